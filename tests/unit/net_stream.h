/* SPDX-License-Identifier: BSD-3-Clause */
/* The other end of a network card's connection; see net_fixture.h. */
#ifndef TESTS_UNIT_NET_STREAM_H
#define TESTS_UNIT_NET_STREAM_H

#include "tests/unit/net_fixture.h"

#include <sys/un.h>

#define LENGTH 4u

static inline void put_bytes(int fd, const void *bytes, size_t count)
{
	assert_int_equal(__real_send(fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT), count);
}

static inline void put_length(int fd, uint32_t length)
{
	const uint32_t bytes = htobe32(length);

	put_bytes(fd, &bytes, sizeof(bytes));
}

/* A frame of a pattern, whole. */
static inline void stream_put(struct card *card, int fd, uint32_t seed, uint32_t bytes)
{
	put_length(fd, bytes);
	put_bytes(fd, frame_make(card, seed, bytes), bytes);
}

/* All that there is, up to `count` bytes, in card->got. */
static inline size_t get_bytes(struct card *card, int fd, size_t count)
{
	size_t done = 0;

	assert_true(count <= sizeof(card->got));
	while (done < count) {
		ssize_t got = __real_recv(fd, card->got + done, count - done, MSG_DONTWAIT);

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static inline void assert_stream_got(struct card *card, int fd, uint32_t seed, uint32_t bytes)
{
	uint32_t length;

	assert_int_equal(get_bytes(card, fd, LENGTH + bytes), LENGTH + bytes);
	memcpy(&length, card->got, LENGTH);
	assert_int_equal(be32toh(length), bytes);
	assert_frame(card, seed, card->got + LENGTH, bytes);
}

static inline void assert_stream_empty(struct card *card, int fd)
{
	assert_int_equal(get_bytes(card, fd, 1), 0);
}

/* Whether this end has been closed by the card. */
static inline bool is_closed(int fd)
{
	uint8_t byte;

	return __real_recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

#endif
