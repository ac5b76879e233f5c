/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection of a peer, and what goes over it. Whoever connects sends a plan first, of struct plan; then each side sends as many
 * bytes as it says, in pieces of random sizes, looks at every byte that comes, and says by a half close that it has sent all. Both know
 * the other's bytes by the plan's seed. A connection is over when both have; or in the midst of it if the plan says so, and
 * then all that has come until then has to be right.
 *
 *   state        ends with
 *   CONNECTING   the connection, or its refusal
 *   GREETING     the line that says OK, of a Unix socket
 *   PLANNING     the plan, received
 *   OPEN         both sides' ends
 *   OVER
 */
#ifndef TESTS_GUEST_PEER_EXCHANGE_H
#define TESTS_GUEST_PEER_EXCHANGE_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Flags of a plan. */
#define PLAN_CONNECTOR_FIRST (1u << 0) /* the acceptor sends only after the connector has half closed */
#define PLAN_ACCEPTOR_FIRST  (1u << 1) /* and the other way round */
#define PLAN_CONNECTOR_CUTS  (1u << 2) /* it closes somewhere in the midst */
#define PLAN_ACCEPTOR_CUTS   (1u << 3)
#define PLAN_TORN            (1u << 4) /* neither closes, but something else will end it */

struct plan {
	uint32_t magic;
	uint32_t flags;
	uint64_t seed;
	uint64_t bytes[2]; /* of the connector, of the acceptor */
};

enum exchange_state { EXCHANGE_CONNECTING, EXCHANGE_GREETING, EXCHANGE_PLANNING, EXCHANGE_OPEN, EXCHANGE_OVER };

enum exchange_result {
	RESULT_NONE, /* not over yet */
	RESULT_COMPLETE,
	RESULT_CUT,   /* as the plan says, before all was sent or had come */
	RESULT_EMPTY, /* it came without a plan, or went without one on purpose */
	RESULT_REFUSED,
	RESULT_BAD, /* see why */
	RESULTS
};

struct exchange {
	enum exchange_state state;
	enum exchange_result result;
	char why[128];
	int fd;
	const struct address *address; /* borrowed; NULL: it was accepted */
	bool empty;                    /* closes as soon as it is open */
	bool stalled;                  /* reads nothing behind the plan */
	bool eager;                    /* sends the plan at once, before it is told that it is connected */
	uint64_t random;
	struct plan plan;
	size_t head_bytes; /* of the plan or the greeting, so far */
	char greeting[32];
	uint64_t sent, received;
	uint64_t cut_sent, cut_received; /* if this side cuts: once both are reached */
	bool has_ended, other_has_ended;
};

/* Begins with a socket that connects to `address`, and sends this plan. */
void exchange_connects(struct exchange *exchange, int fd, const struct address *address, const struct plan *plan);

/* Begins with a connection that was accepted. */
void exchange_accepted(struct exchange *exchange, int fd);

/* What poll() should wait for; 0: nothing at all. */
short exchange_wants(const struct exchange *exchange);

/* Goes on, when poll() has said so: a read and a write at most. */
void exchange_step(struct exchange *exchange, short events);

/* "state=... sent=... received=...", for a message. */
void exchange_describe(const struct exchange *exchange, char *ret, size_t room);

#endif
