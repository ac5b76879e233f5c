/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection; its states are in vsock.h. What happens to it comes from the guest (conn_packet), from the host (its socket) or
 * from the clock (conn_expired), and what follows for the guest is noted in WANT_*.
 */
#include "vsock.h"

#include <inttypes.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what it waits for ---- */

void conn_want(struct conn *conn, uint32_t want)
{
	conn->want |= want;
	conn_ready(conn);
}

void conn_ready(struct conn *conn)
{
	bool data = conn->want & WANT_DATA, room = credit_free(&conn->credit) > 0;

	if (!(conn->want & ~WANT_DATA) && !(data && room))
		list_remove(&conn->ready);
	else if (list_empty(&conn->ready))
		list_append(&conn->vsock->ready, &conn->ready);
	if (conn->state != CONN_OPEN)
		return;
	/* A guest says by itself when there is room again, as others have it; one that does not is asked. */
	if (!data || room)
		list_remove(&conn->pause.node);
	else if (list_empty(&conn->pause.node))
		deadline_start(conn->vsock, &conn->vsock->asks, &conn->pause);
}

void conn_watch(struct conn *conn)
{
	uint32_t events = conn->buffer ? BP_FD_OUT : 0;

	if (conn->state == CONN_LINE || (conn->state == CONN_OPEN && !(conn->want & WANT_DATA) &&
					 !(conn->host_shut & SHUT_SEND) && !(conn->guest_shut & SHUT_RECEIVE)))
		events |= BP_FD_IN;
	if (!conn->watched || events == conn->events)
		return;
	conn->events = events;
	bp_fd_set(conn->vsock->dev, conn->fd, events);
}

void conn_unwatch(struct conn *conn)
{
	if (conn->watched)
		bp_fd_del(conn->vsock->dev, conn->fd);
	conn->watched = false;
}

void conn_close(struct conn *conn)
{
	conn_unwatch(conn);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
}

void conn_enter(struct conn *conn, enum conn_state state)
{
	host_forget(conn);
	conn->state = state;
	list_remove(&conn->limit.node);
	list_remove(&conn->pause.node);
}

/* ---- how it ends ---- */

/* What the guest wants to be told is RST alone. Bytes for the host may be left. */
static void to_reset(struct conn *conn)
{
	conn_enter(conn, CONN_RESET);
	conn->want = 0;
	conn_want(conn, WANT_RST);
}

void conn_abort(struct conn *conn, const char *why)
{
	if (why)
		bp_log(conn->vsock->dev, BP_LOG_WARN,
		       "connection between port %" PRIu32 " of the guest and %" PRIu32 " of the host ended: %s",
		       conn->guest_port, conn->host_port, why);
	if (conn->state != CONN_OPEN && conn->state != CONN_CLOSING && conn->state != CONN_ENDING)
		bp_metric_add(conn->vsock->metrics.refused, 1);
	output_drop(conn);
	conn_close(conn);
	to_reset(conn);
}

void conn_over(struct conn *conn)
{
	if (!conn->buffer) {
		conn_free(conn);
		return;
	}
	conn_enter(conn, CONN_DRAINING);
	conn_unlink(conn);
	conn->want = 0;
	conn_ready(conn);
	shutdown(conn->fd, SHUT_RD);
	conn_watch(conn);
}

/* Both directions are over for the host, and the guest is told. */
static void to_ending(struct conn *conn)
{
	output_drop(conn);
	conn_close(conn);
	conn_enter(conn, CONN_ENDING);
	conn->host_shut = SHUT_BOTH;
	conn->want &= WANT_RESPONSE;
	conn_want(conn, WANT_SHUTDOWN);
}

/* A direction may have ended. */
static void settle(struct conn *conn)
{
	bool to_guest_over = (conn->host_shut & SHUT_SEND) || (conn->guest_shut & SHUT_RECEIVE);
	bool to_host_over = (conn->host_shut & SHUT_RECEIVE) || ((conn->guest_shut & SHUT_SEND) && !conn->buffer);

	if (to_guest_over && to_host_over)
		to_ending(conn);
	else
		conn_watch(conn);
}

void conn_host_ended(struct conn *conn)
{
	conn->host_shut |= SHUT_SEND;
	conn->want &= ~WANT_DATA;
	conn_want(conn, WANT_SHUTDOWN);
	settle(conn);
}

void conn_host_deaf(struct conn *conn)
{
	if (conn->state != CONN_OPEN) {
		output_drop(conn);
		conn_flushed(conn);
		return;
	}
	if (conn->host_shut & SHUT_RECEIVE)
		return;
	output_forwarded(conn, conn->buffered);
	output_drop(conn);
	conn->host_shut |= SHUT_RECEIVE;
	conn_want(conn, WANT_SHUTDOWN);
	settle(conn);
}

void conn_flushed(struct conn *conn)
{
	switch (conn->state) {
	case CONN_OPEN:
		if (conn->guest_shut & SHUT_SEND)
			shutdown(conn->fd, SHUT_WR);
		settle(conn);
		break;
	case CONN_CLOSING:
		conn_close(conn);
		to_reset(conn);
		break;
	case CONN_RESET:
		conn_close(conn);
		break;
	case CONN_DRAINING:
		conn_free(conn);
		break;
	default:
		break;
	}
}

void conn_expired(struct conn *conn)
{
	switch (conn->state) {
	case CONN_LINE:
		bp_metric_add(conn->vsock->metrics.refused, 1);
		conn_free(conn);
		break;
	case CONN_REQUESTED:
		if (conn->want & WANT_REQUEST) {
			/* The guest has never heard of it. */
			bp_metric_add(conn->vsock->metrics.refused, 1);
			conn_free(conn);
			break;
		}
		conn_abort(conn, NULL);
		break;
	case CONN_CLOSING:
		/* The guest need not wait for a host that is slow; the host gets its bytes all the same. */
		to_reset(conn);
		break;
	default:
		conn_abort(conn, NULL);
		break;
	}
}

/* ---- how it begins ---- */

void conn_opened(struct conn *conn)
{
	conn_enter(conn, CONN_OPEN);
	bp_metric_add(conn->vsock->metrics.made, 1);
	/* The host may have gone in the meantime. What it sent before is there. */
	if (conn->watched)
		conn_watch(conn);
	else
		conn_want(conn, WANT_DATA);
}

/* The program that has come is told of the port that it was given. */
static void accepted(struct conn *conn)
{
	char text[24];
	int bytes = snprintf(text, sizeof(text), "OK %" PRIu32 "\n", conn->host_port);
	ssize_t n;

	conn_opened(conn);
	n = send(conn->fd, text, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n == bytes)
		return;
	if (n >= 0 || errno == EAGAIN)
		conn_abort(conn, NULL);
	else
		conn_host_deaf(conn);
}

/* ---- packets ---- */

static void on_data(struct conn *conn, const struct packet *packet, struct bp_chain *chain)
{
	int r = 0;

	if (packet->len > bp_chain_left(chain, BP_CHAIN_READ)) {
		conn_abort(conn, "a packet is shorter than it says");
		return;
	}
	if (conn->guest_shut & SHUT_SEND) {
		conn_abort(conn, "there is data after the end of it");
		return;
	}
	if (!credit_receive(&conn->credit, packet->len)) {
		conn_abort(conn, "the guest has sent more than it might");
		return;
	}
	if (!packet->len)
		return;
	if (conn->state != CONN_OPEN || (conn->host_shut & SHUT_RECEIVE)) {
		output_forwarded(conn, packet->len);
		return;
	}
	bp_metric_add(conn->vsock->metrics.out_bytes, packet->len);
	r = output_chain(conn, chain, packet->len);
	if (r == -EPIPE) {
		output_forwarded(conn, packet->len);
		conn_host_deaf(conn);
	} else if (r < 0) {
		conn_abort(conn, "no memory");
	} else {
		conn_watch(conn);
	}
}

static void on_shutdown(struct conn *conn, uint32_t flags)
{
	uint32_t before = conn->guest_shut;

	/* What was said once stays said. */
	conn->guest_shut |= flags & SHUT_BOTH;
	if (conn->guest_shut == SHUT_BOTH) {
		if (!conn->buffer) {
			conn_close(conn);
			to_reset(conn);
		} else if (conn->state == CONN_OPEN) {
			conn_enter(conn, CONN_CLOSING);
			conn->want = 0;
			conn_ready(conn);
			shutdown(conn->fd, SHUT_RD);
			conn_watch(conn);
			deadline_start(conn->vsock, &conn->vsock->limits, &conn->limit);
		}
		return;
	}
	if (conn->state != CONN_OPEN || conn->guest_shut == before)
		return;
	if (conn->guest_shut & SHUT_RECEIVE) {
		shutdown(conn->fd, SHUT_RD);
		conn->want &= ~WANT_DATA;
		conn_ready(conn);
	}
	if ((conn->guest_shut & SHUT_SEND) && !conn->buffer)
		shutdown(conn->fd, SHUT_WR);
	settle(conn);
}

/* One of a connection that is, or was, open. */
static void on_packet(struct conn *conn, const struct packet *packet, struct bp_chain *chain)
{
	switch (packet->op) {
	case OP_RW:
		on_data(conn, packet, chain);
		break;
	case OP_SHUTDOWN:
		on_shutdown(conn, packet->flags);
		break;
	case OP_CREDIT_UPDATE:
		break;
	case OP_CREDIT_REQUEST:
		if (conn->state == CONN_OPEN)
			conn_want(conn, WANT_ANSWER);
		break;
	default:
		conn_abort(conn, "a packet that is not for a connection that is open");
		break;
	}
}

void conn_packet(struct conn *conn, const struct packet *packet, struct bp_chain *chain)
{
	if (packet->op == OP_RST) {
		if (conn->state == CONN_REQUESTED)
			bp_metric_add(conn->vsock->metrics.refused, 1);
		conn_over(conn);
		return;
	}
	if (conn->state == CONN_RESET)
		return;
	if (!credit_update(&conn->credit, packet->buf_alloc, packet->fwd_cnt)) {
		conn_abort(conn, "the guest's count of bytes that it has taken is wrong");
		return;
	}
	switch (conn->state) {
	case CONN_REQUESTED:
		if (packet->op == OP_RESPONSE && !(conn->want & WANT_REQUEST))
			accepted(conn);
		else
			conn_abort(conn, NULL);
		break;
	case CONN_CONNECTING:
		conn_abort(conn, NULL);
		break;
	default:
		if (conn->want & WANT_DATA)
			conn_ready(conn);
		on_packet(conn, packet, chain);
		break;
	}
}

/* ---- the socket ---- */

/* Nobody will read what is sent there, and nothing more will come: of that it would tell again and again. */
static void on_hangup(struct conn *conn)
{
	conn_unwatch(conn);
	if (conn->state == CONN_REQUESTED)
		return;
	/* What came before is to be read, up to its end. */
	if (conn->state == CONN_OPEN && !(conn->guest_shut & SHUT_RECEIVE) && !(conn->host_shut & SHUT_SEND))
		conn_want(conn, WANT_DATA);
	conn_host_deaf(conn);
}

void conn_socket(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct conn *conn = arg;
	struct vsock *vsock = conn->vsock;

	(void)fd;
	vsock->called = conn;
	if (conn->state == CONN_LINE) {
		host_line(conn);
	} else if (events & (BP_FD_HUP | BP_FD_ERR)) {
		on_hangup(conn);
	} else {
		int r = events & BP_FD_OUT ? output_flush(conn) : 0;

		if ((events & BP_FD_IN) && conn->state == CONN_OPEN)
			conn_want(conn, WANT_DATA);
		if (r < 0)
			conn_host_deaf(conn);
		else if ((events & BP_FD_OUT) && !conn->buffer)
			conn_flushed(conn);
	}
	vsock_work(vsock);
	/* What could not be read, for want of buffers or credit, is not waited for until that has changed. */
	if (vsock->called)
		conn_watch(vsock->called);
	vsock->called = NULL;
}
