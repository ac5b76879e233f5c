/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash of texts, 64 bits: FNV-1a, and a mixer that spreads what it found over all bits. It is for numbers that shall differ, and that
 * nobody would gain from making equal. What it gives is in the field for good (identities of devices): it never changes. Any thread.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#define HASH_INIT UINT64_C(0xcbf29ce484222325)

/* Adds a text and the NUL at its end, so that "a", "bc" is not "ab", "c". */
static inline uint64_t hash_text(uint64_t hash, const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	do
		hash = (hash ^ *byte) * UINT64_C(0x100000001b3);
	while (*byte++);
	return hash;
}

/* splitmix64's. */
static inline uint64_t hash_end(uint64_t hash)
{
	hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
	return hash ^ hash >> 31;
}

#endif
