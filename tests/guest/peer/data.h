/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers and bytes that look like chance and that both sides of a connection know: byte `at` of the stream of `seed` is the same
 * wherever it is asked for, and no piece of a stream is like another.
 */
#ifndef TESTS_GUEST_PEER_DATA_H
#define TESTS_GUEST_PEER_DATA_H

#include <stddef.h>
#include <stdint.h>

/* The number after *state, which it changes. */
uint64_t data_next(uint64_t *state);

/* Something up to `most`, in each order of magnitude as often. */
uint64_t data_size(uint64_t *state, uint64_t most);

void data_fill(uint64_t seed, uint64_t at, uint8_t *bytes, size_t count);

/* Where the first byte is that is not what it should be; `count` if all are. */
size_t data_check(uint64_t seed, uint64_t at, const uint8_t *bytes, size_t count);

#endif
