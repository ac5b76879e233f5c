/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic on numbers that came from outside: every sum and product that could wrap goes through here. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Whether [offset, offset + length) lies in [0, capacity); an empty range does if offset <= capacity. */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t capacity)
{
	uint64_t end;

	return !__builtin_add_overflow(offset, length, &end) && end <= capacity;
}

/* Whether [a, a + a_len) and [b, b + b_len) share an address; both lengths non-zero and neither range wrapping. */
static inline bool range_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a <= b + (b_len - 1) && b <= a + (a_len - 1);
}

/* Rounds up to a power of two `align`. False if that does not fit. */
static inline bool align_up(uint64_t value, uint64_t align, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(value, align - 1, &sum))
		return false;
	*ret = sum & ~(align - 1);
	return true;
}

#endif
