/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What appender.c writes in the guest and the judge looks for: streams of records. A record's bytes follow from its stream and its number
 * alone, so whoever knows these can tell whether it is whole. CRASH_PER_FILE records in a row make a file, sSTREAM.FILE. When fsync has
 * returned for one, the line
 *
 *   crash.ack STREAM NUMBER
 *
 * says so. Numbers begin at 0.
 */
#ifndef TESTS_CRASH_RECORDS_H
#define TESTS_CRASH_RECORDS_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define CRASH_STREAMS_MAX 16u
#define CRASH_RECORDS_MAX 4096u /* of a stream */
#define CRASH_PER_FILE    8u
#define CRASH_RECORD_MIN  24u /* bytes: a mark, its stream, its number, its size */
#define CRASH_RECORD_MAX  6000u
#define CRASH_NAME_MAX    32u
#define CRASH_ACK         "crash.ack"

/* Numbers that look random: the next one of a sequence (splitmix64). */
static inline uint64_t crash_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* The bytes that a record has. */
static inline uint32_t crash_record_bytes(uint32_t stream, uint32_t number)
{
	uint64_t state = (uint64_t)stream << 32 | number;

	return CRASH_RECORD_MIN + (uint32_t)(crash_random(&state) % (CRASH_RECORD_MAX - CRASH_RECORD_MIN + 1));
}

/* Makes a record; the count of its bytes. */
static inline uint32_t crash_record_make(uint32_t stream, uint32_t number, uint8_t record[static CRASH_RECORD_MAX])
{
	uint32_t bytes = crash_record_bytes(stream, number), at = CRASH_RECORD_MIN;
	uint64_t state = ~((uint64_t)stream << 32 | number);

	memcpy(record, "a record", 8);
	memcpy(record + 8, &stream, 4);
	memcpy(record + 12, &number, 4);
	memcpy(record + 16, &bytes, 4);
	memset(record + 20, 0, 4);
	while (at < bytes) {
		uint64_t value = crash_random(&state);
		uint32_t part = bytes - at < 8 ? bytes - at : 8;

		memcpy(record + at, &value, part);
		at += part;
	}
	return bytes;
}

/* The file that a record stands in. */
static inline void crash_record_file(uint32_t stream, uint32_t number, char name[static CRASH_NAME_MAX])
{
	snprintf(name, CRASH_NAME_MAX, "s%u.%u", stream, number / CRASH_PER_FILE);
}

/* Where in that file. */
static inline uint32_t crash_record_at(uint32_t stream, uint32_t number)
{
	uint32_t at = 0;

	for (uint32_t i = number - number % CRASH_PER_FILE; i < number; i++)
		at += crash_record_bytes(stream, i);
	return at;
}

#endif
