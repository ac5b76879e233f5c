/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection of a peer; see exchange.h. */
#include "exchange.h"

#include "data.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLAN_MAGIC 0x6e616c70u
#define PIECE_MAX  65536

static const char *const state_names[] = {
	[EXCHANGE_CONNECTING] = "connecting",
	[EXCHANGE_GREETING] = "greeting",
	[EXCHANGE_PLANNING] = "planning",
	[EXCHANGE_OPEN] = "open",
	[EXCHANGE_OVER] = "over",
};

static uint8_t buffer[PIECE_MAX];

__attribute__((format(printf, 3, 4))) static void end(struct exchange *exchange, enum exchange_result result,
						      const char *format, ...)
{
	va_list list;

	if (exchange->state == EXCHANGE_OVER)
		return;
	va_start(list, format);
	vsnprintf(exchange->why, sizeof(exchange->why), format, list);
	va_end(list);
	exchange->state = EXCHANGE_OVER;
	exchange->result = result;
	close(exchange->fd);
	exchange->fd = -1;
}

/* ---- what the plan says to this side: 0 is the connector, 1 the acceptor ---- */

static unsigned int side(const struct exchange *exchange)
{
	return exchange->address ? 0 : 1;
}

static uint64_t to_send(const struct exchange *exchange)
{
	return exchange->plan.bytes[side(exchange)];
}

static uint64_t to_receive(const struct exchange *exchange)
{
	return exchange->plan.bytes[1 - side(exchange)];
}

static bool waits_for_end(const struct exchange *exchange)
{
	return exchange->plan.flags & (exchange->address ? PLAN_ACCEPTOR_FIRST : PLAN_CONNECTOR_FIRST);
}

static bool cuts(const struct exchange *exchange)
{
	return exchange->plan.flags & (exchange->address ? PLAN_CONNECTOR_CUTS : PLAN_ACCEPTOR_CUTS);
}

static bool other_cuts(const struct exchange *exchange)
{
	return exchange->plan.flags & (PLAN_TORN | (exchange->address ? PLAN_ACCEPTOR_CUTS : PLAN_CONNECTOR_CUTS));
}

/* ---- steps ---- */

/* The connection has gone while there was something to do. */
static void lost(struct exchange *exchange, const char *what, int error)
{
	if (other_cuts(exchange))
		end(exchange, RESULT_CUT, "cut by the other side");
	else
		end(exchange, RESULT_BAD, "%s: %s, after %" PRIu64 " bytes sent and %" PRIu64 " received", what,
		    error ? strerror(error) : "the end", exchange->sent, exchange->received);
}

static void look_whether_over(struct exchange *exchange)
{
	if (exchange->state != EXCHANGE_OPEN)
		return;
	if (!exchange->has_ended && exchange->sent == to_send(exchange) &&
	    (!waits_for_end(exchange) || exchange->other_has_ended)) {
		/* It fails if the other one has gone, which the read will tell. */
		(void)shutdown(exchange->fd, SHUT_WR);
		exchange->has_ended = true;
	}
	if (exchange->has_ended && exchange->other_has_ended)
		end(exchange, RESULT_COMPLETE, "complete");
	else if (cuts(exchange) && exchange->sent >= exchange->cut_sent && exchange->received >= exchange->cut_received)
		end(exchange, RESULT_CUT, "cut");
}

static void open_up(struct exchange *exchange)
{
	if (cuts(exchange)) {
		uint64_t cut = data_next(&exchange->random);

		/* Somewhere in one direction: in both, it could be that each side waits for the other. */
		if (cut & 1)
			exchange->cut_sent = data_next(&exchange->random) % (to_send(exchange) + 1);
		else
			exchange->cut_received = data_next(&exchange->random) % (to_receive(exchange) + 1);
	}
	exchange->state = EXCHANGE_OPEN;
	look_whether_over(exchange);
}

static void send_plan(struct exchange *exchange)
{
	if (exchange->empty) {
		end(exchange, RESULT_EMPTY, "empty");
		return;
	}
	errno = 0;
	if (send(exchange->fd, &exchange->plan, sizeof(exchange->plan), MSG_NOSIGNAL) != sizeof(exchange->plan))
		lost(exchange, "the plan could not be sent", errno);
	else
		open_up(exchange);
}

static void connected(struct exchange *exchange)
{
	int error = 0;
	socklen_t bytes = sizeof(error);

	if (getsockopt(exchange->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		error = errno;
	if (error) {
		end(exchange, RESULT_REFUSED, "refused: %s", strerror(error));
	} else if (exchange->address->is_unix) {
		int r = address_ask(exchange->address, exchange->fd, exchange->eager ? &exchange->plan : NULL,
				    exchange->eager ? sizeof(exchange->plan) : 0);

		exchange->state = EXCHANGE_GREETING;
		if (r)
			end(exchange, RESULT_BAD, "CONNECT could not be sent: %s", strerror(-r));
	} else {
		send_plan(exchange);
	}
}

/* Byte by byte, since what comes behind the line is data. */
static void greeted(struct exchange *exchange)
{
	char *line = exchange->greeting;
	unsigned int port;
	char rest;
	ssize_t count = recv(exchange->fd, line + exchange->head_bytes, 1, MSG_DONTWAIT);

	if (count < 0 && errno == EAGAIN)
		return;
	if (count <= 0 && !exchange->head_bytes) {
		end(exchange, RESULT_REFUSED, "refused: %s", count < 0 ? strerror(errno) : "closed");
		return;
	}
	if (count <= 0 || exchange->head_bytes == sizeof(exchange->greeting) - 1) {
		end(exchange, RESULT_BAD, "no greeting: \"%s\"", line);
		return;
	}
	if (line[exchange->head_bytes++] != '\n')
		return;
	line[exchange->head_bytes - 1] = 0;
	if (sscanf(line, "OK %u%c", &port, &rest) != 1)
		end(exchange, RESULT_BAD, "a bad greeting: \"%s\"", line);
	else if (exchange->eager)
		open_up(exchange);
	else
		send_plan(exchange);
}

static void plan_came(struct exchange *exchange)
{
	size_t have = exchange->head_bytes;
	ssize_t count =
	    recv(exchange->fd, (uint8_t *)&exchange->plan + have, sizeof(exchange->plan) - have, MSG_DONTWAIT);

	if (count < 0 && errno == EAGAIN)
		return;
	if (count <= 0) {
		end(exchange, have ? RESULT_BAD : RESULT_EMPTY, "%zu bytes of a plan", have);
		return;
	}
	exchange->head_bytes += (size_t)count;
	if (exchange->head_bytes < sizeof(exchange->plan))
		return;
	if (exchange->plan.magic != PLAN_MAGIC) {
		end(exchange, RESULT_BAD, "a bad plan");
		return;
	}
	exchange->random ^= exchange->plan.seed;
	open_up(exchange);
}

static void send_piece(struct exchange *exchange)
{
	uint64_t left = to_send(exchange) - exchange->sent;
	size_t most = (size_t)data_size(&exchange->random, PIECE_MAX - 1) + 1;
	ssize_t count;

	if (most > left)
		most = (size_t)left;
	data_fill(exchange->plan.seed + side(exchange), exchange->sent, buffer, most);
	count = send(exchange->fd, buffer, most, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (count < 0) {
		if (errno != EAGAIN)
			lost(exchange, "sending", errno);
		return;
	}
	exchange->sent += (uint64_t)count;
}

static void receive_piece(struct exchange *exchange)
{
	size_t most = (size_t)data_size(&exchange->random, PIECE_MAX - 1) + 1, right;
	ssize_t count = recv(exchange->fd, buffer, most, MSG_DONTWAIT);

	if (count < 0 && errno == EAGAIN)
		return;
	if (count <= 0) {
		exchange->other_has_ended = true;
		if (count < 0 || exchange->received < to_receive(exchange))
			lost(exchange, "receiving", count < 0 ? errno : 0);
		return;
	}
	most = (size_t)count;
	if (most > to_receive(exchange) - exchange->received)
		most = (size_t)(to_receive(exchange) - exchange->received);
	right = data_check(exchange->plan.seed + 1 - side(exchange), exchange->received, buffer, most);
	if (right < most)
		end(exchange, RESULT_BAD, "byte %" PRIu64 " is another", exchange->received + right);
	else if (most < (size_t)count)
		end(exchange, RESULT_BAD, "%zu bytes behind the end", (size_t)count - most);
	exchange->received += (uint64_t)count;
}

static bool wants_to_send(const struct exchange *exchange)
{
	return exchange->sent < to_send(exchange) && (!waits_for_end(exchange) || exchange->other_has_ended);
}

static bool wants_to_receive(const struct exchange *exchange)
{
	return !exchange->other_has_ended && !exchange->stalled;
}

/* ---- for others ---- */

void exchange_connects(struct exchange *exchange, int fd, const struct address *address, const struct plan *plan)
{
	exchange->fd = fd;
	exchange->address = address;
	exchange->plan = *plan;
	exchange->plan.magic = PLAN_MAGIC;
	exchange->state = EXCHANGE_CONNECTING;
}

void exchange_accepted(struct exchange *exchange, int fd)
{
	exchange->fd = fd;
	exchange->state = EXCHANGE_PLANNING;
}

short exchange_wants(const struct exchange *exchange)
{
	short events = 0;

	switch (exchange->state) {
	case EXCHANGE_CONNECTING:
		return POLLOUT;
	case EXCHANGE_GREETING:
	case EXCHANGE_PLANNING:
		return POLLIN;
	case EXCHANGE_OVER:
		return 0;
	case EXCHANGE_OPEN:
		break;
	}
	if (wants_to_send(exchange))
		events |= POLLOUT;
	if (wants_to_receive(exchange))
		events |= POLLIN;
	return events;
}

void exchange_step(struct exchange *exchange, short events)
{
	switch (exchange->state) {
	case EXCHANGE_CONNECTING:
		connected(exchange);
		return;
	case EXCHANGE_GREETING:
		greeted(exchange);
		return;
	case EXCHANGE_PLANNING:
		plan_came(exchange);
		return;
	case EXCHANGE_OVER:
		return;
	case EXCHANGE_OPEN:
		break;
	}
	if (events & (POLLIN | POLLHUP | POLLERR) && wants_to_receive(exchange))
		receive_piece(exchange);
	if (exchange->state == EXCHANGE_OPEN && events & (POLLOUT | POLLHUP | POLLERR) && wants_to_send(exchange))
		send_piece(exchange);
	look_whether_over(exchange);
}

void exchange_describe(const struct exchange *exchange, char *ret, size_t room)
{
	snprintf(ret, room, "state=%s sent=%" PRIu64 "/%" PRIu64 " received=%" PRIu64 "/%" PRIu64 " ended=%d,%d",
		 state_names[exchange->state], exchange->sent, to_send(exchange), exchange->received,
		 to_receive(exchange), exchange->has_ended, exchange->other_has_ended);
}
