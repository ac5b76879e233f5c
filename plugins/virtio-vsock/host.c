/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs of the host: those that come to the socket and say by a line which port of the guest they want, and those that the guest wants
 * to reach, at the socket's path with their port behind it, to which the host connects for us (bp_connect).
 *
 * The line is looked at where it lies, in the socket, and taken out up to its end: what a program has sent behind it stays there, to
 * be read into the guest's memory later.
 */
#include "vsock.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_MAX 64 /* in a callback */

/* ---- lines ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at)
{
	while (is_blank(*at))
		at++;
	return at;
}

/* "CONNECT <port>\n", the word in any case and with blanks where people may leave some. */
static bool parse_line(const char *at, uint32_t *ret_port)
{
	static const char word[] = "connect";
	uint64_t port = 0;

	at = skip_blanks(at);
	for (size_t i = 0; word[i]; i++, at++)
		if ((*at | 0x20) != word[i])
			return false;
	if (!is_blank(*at))
		return false;
	at = skip_blanks(at);
	if (*at < '0' || *at > '9')
		return false;
	/* No line is long enough for more than this can count. */
	for (; *at >= '0' && *at <= '9' && port <= UINT32_MAX; at++)
		port = port * 10 + (uint64_t)(*at - '0');
	if (port > UINT32_MAX || *skip_blanks(at) != '\n')
		return false;
	*ret_port = (uint32_t)port;
	return true;
}

static void refuse(struct conn *conn)
{
	bp_metric_add(conn->vsock->metrics.refused, 1);
	conn_free(conn);
}

static void line_complete(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;
	uint32_t port;

	if (!parse_line(conn->line, &port)) {
		refuse(conn);
		return;
	}
	conn_enter(conn, CONN_REQUESTED);
	conn_link(conn, conn_choose_port(vsock, port), port);
	deadline_start(vsock, &vsock->limits, &conn->limit);
	conn_want(conn, WANT_REQUEST);
	conn_watch(conn);
}

void host_line(struct conn *conn)
{
	while (conn->line_bytes < LINE_MAX_BYTES) {
		char *to = conn->line + conn->line_bytes;
		ssize_t there = recv(conn->fd, to, LINE_MAX_BYTES - conn->line_bytes, MSG_PEEK | MSG_DONTWAIT);
		const char *end;
		size_t bytes;

		if (there < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (there <= 0)
			break;
		end = memchr(to, '\n', (size_t)there);
		bytes = end ? (size_t)(end - to) + 1 : (size_t)there;
		if (recv(conn->fd, to, bytes, MSG_DONTWAIT) != (ssize_t)bytes)
			break;
		conn->line_bytes += (uint32_t)bytes;
		if (end) {
			line_complete(conn);
			return;
		}
	}
	refuse(conn);
}

/* ---- who comes ---- */

static void let_in(struct vsock *vsock, int fd)
{
	struct conn *conn = conn_new(vsock, CONN_LINE);

	if (!conn) {
		bp_metric_add(vsock->metrics.refused, 1);
		close(fd);
		return;
	}
	conn->fd = fd;
	conn->accepted = true;
	conn->events = BP_FD_IN;
	if (bp_fd_add(vsock->dev, fd, conn->events, conn_socket, conn) < 0) {
		refuse(conn);
		return;
	}
	conn->watched = true;
	deadline_start(vsock, &vsock->limits, &conn->limit);
}

void host_listen(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct vsock *vsock = arg;

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client >= 0) {
			let_in(vsock, client);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno == EAGAIN)
			break;
		/* There is no room, and the socket would say at once that somebody is waiting. */
		bp_log(vsock->dev, BP_LOG_WARN, "programs that come to the socket have to wait: %s", strerror(errno));
		vsock->listen_at_ns = bp_clock_ns(vsock->dev) + LISTEN_PAUSE_NS;
		bp_fd_set(vsock->dev, fd, 0);
		break;
	}
	vsock_work(vsock);
}

void host_listen_again(struct vsock *vsock)
{
	vsock->listen_at_ns = 0;
	bp_fd_set(vsock->dev, vsock->listen_fd, BP_FD_IN);
}

/* ---- whom the guest wants ---- */

static void connected(void *arg, int fd) /* [dev] */
{
	struct ask *ask = arg;
	struct vsock *vsock = ask->vsock;
	struct conn *conn = ask->conn;

	ask->conn = NULL;
	ask->next = vsock->free_asks;
	vsock->free_asks = ask;
	if (conn)
		conn->ask = NULL;
	if (!conn) {
		if (fd >= 0)
			close(fd);
	} else if (fd == -EAGAIN) {
		deadline_start(vsock, &vsock->retries, &conn->pause);
	} else if (fd < 0) {
		conn_abort(conn, NULL);
	} else {
		conn->fd = fd;
		conn->watched = bp_fd_add(vsock->dev, fd, 0, conn_socket, conn) == 0;
		if (conn->watched) {
			conn_opened(conn);
			conn_want(conn, WANT_RESPONSE);
		} else {
			conn_abort(conn, NULL);
		}
	}
	if (!list_empty(&vsock->waiting)) {
		conn = CONN_OF(vsock->waiting.next, pause.node);
		list_remove(&conn->pause.node);
		host_ask(conn);
	}
	vsock_work(vsock);
}

void host_ask(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;
	struct ask *ask = vsock->free_asks;
	int r;

	if (!ask) {
		list_append(&vsock->waiting, &conn->pause.node);
		return;
	}
	r = bp_connect(vsock->dev, "uds_path", 0, conn->host_port, connected, ask);
	if (r < 0) {
		conn_abort(conn, NULL);
		return;
	}
	vsock->free_asks = ask->next;
	ask->conn = conn;
	conn->ask = ask;
}

void host_forget(struct conn *conn)
{
	if (conn->ask)
		conn->ask->conn = NULL;
	conn->ask = NULL;
}

int host_init(struct vsock *vsock)
{
	for (uint32_t i = 0; i < ASKS_MAX; i++) {
		vsock->all_asks[i].vsock = vsock;
		vsock->all_asks[i].next = vsock->free_asks;
		vsock->free_asks = &vsock->all_asks[i];
	}
	list_init(&vsock->waiting);
	return bp_fd_add(vsock->dev, vsock->listen_fd, BP_FD_IN, host_listen, vsock);
}
