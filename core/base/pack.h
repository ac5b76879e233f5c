/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain data as bytes, for another of our processes: numbers in little endian, strings and byte arrays with their
 * length before them. A writer gathers, a reader takes apart what a hostile side may have written. Both remember the
 * first error, so that a caller asks once, at the end: after an error a reader gives 0 and NULL, and a writer ignores
 * what comes.
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include <stddef.h>
#include <stdint.h>

struct pack_writer {
	uint8_t *bytes; /* owned */
	size_t count, cap;
	size_t limit; /* of count */
	int error;
};

/* `limit`: how long the whole may become. */
void pack_begin(struct pack_writer *writer, size_t limit);
void pack_u32(struct pack_writer *writer, uint32_t value);
void pack_u64(struct pack_writer *writer, uint64_t value);
void pack_text(struct pack_writer *writer, const char *text); /* NULL is kept apart from "" */
void pack_bytes(struct pack_writer *writer, const void *bytes, size_t count);
/* The bytes, which the caller frees (NULL for none), or -ENOMEM, -E2BIG. The writer is empty then. */
int pack_end(struct pack_writer *writer, uint8_t **ret, size_t *ret_count);

struct pack_reader {
	const uint8_t *bytes; /* borrowed */
	size_t count, at;
	int error; /* -EBADMSG, -ENOMEM */
};

void unpack_begin(struct pack_reader *reader, const void *bytes, size_t count);
uint32_t unpack_u32(struct pack_reader *reader);
uint64_t unpack_u64(struct pack_reader *reader);
/* A number that must not be above `max`. */
uint32_t unpack_count(struct pack_reader *reader, uint32_t max);
/* A string of at most `max` bytes without NUL, which the caller frees; NULL if that was packed, and after an error. */
char *unpack_text(struct pack_reader *reader, size_t max);
/* At most `max` bytes, in place: valid as long as the reader's. */
const uint8_t *unpack_bytes(struct pack_reader *reader, size_t max, size_t *ret_count);
/* 0 if all has been read without an error, or the first error; -EBADMSG if bytes are left. */
int unpack_end(const struct pack_reader *reader);

#endif
