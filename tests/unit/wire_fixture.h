/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of control sockets: a pair, of which one side keeps to the rules and the other need not. */
#ifndef UNIT_WIRE_FIXTURE_H
#define UNIT_WIRE_FIXTURE_H

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/wire/wire.h"
#include "tests/unit/send_raw.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <sys/socket.h>

struct wires {
	struct wire ours, theirs;
	size_t fds_before;
};

static inline int wires_setup(void **state)
{
	struct wires *wires = calloc(1, sizeof(*wires));
	int pair[2];

	assert_non_null(wires);
	wires->fds_before = count_fds();
	assert_int_equal(msg_pair(SOCK_SEQPACKET, pair), 0);
	wires->ours.fd = pair[0];
	wires->theirs.fd = pair[1];
	*state = wires;
	return 0;
}

/* Every test ends here: no descriptor is left. */
static inline int wires_teardown(void **state)
{
	struct wires *wires = *state;
	size_t before = wires->fds_before, after;

	wire_end(&wires->ours);
	wire_end(&wires->theirs);
	fd_close(wires->ours.fd);
	fd_close(wires->theirs.fd);
	free(wires);
	after = count_fds();
	if (after != before)
		print_error("%zu descriptors were open, %zu are\n", before, after);
	return after == before ? 0 : -1;
}

#define WIRE_TEST(name) cmocka_unit_test_setup_teardown(name, wires_setup, wires_teardown)

static inline uint64_t wires_soon(void)
{
	return clock_now_ns() + PATIENCE_S * NS_PER_S;
}

/* A message as any side may make one. Bytes of the body that were not given are zero. */
struct raw {
	struct wire_head head;
	uint8_t body[sizeof(union wire_body) + 64];
};

/* The head of a good message. */
static inline struct raw raw_of(uint32_t op)
{
	return (struct raw){ .head = { .version = WIRE_VERSION, .op = op, .sequence = 7 } };
}

/* Sends the head and `body_bytes` of the body, with `fd_count` descriptors. */
static inline void raw_send(struct wires *wires, const struct raw *raw, size_t body_bytes, size_t fd_count)
{
	MUST(body_bytes <= sizeof(raw->body));
	MUST(send_raw(wires->theirs.fd, raw, sizeof(raw->head) + body_bytes, fd_count, 0));
}

static inline void raw_send_piece(struct wires *wires, uint32_t bytes)
{
	struct raw raw = raw_of(WIRE_BLOB);

	memcpy(raw.body, &bytes, sizeof(bytes));
	raw_send(wires, &raw, offsetof(struct wire_piece, data) + bytes, 0);
}

#endif
