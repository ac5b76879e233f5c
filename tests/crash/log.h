/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log of what happened to a disk: written by recorder.c as it happens, read by the judge.
 *
 * A file holds a struct crash_log_header and then entries, each a struct crash_entry_header with `bytes` of data behind it, without
 * gaps. Numbers are in the byte order of the machine. An entry is there before whoever asked for the operation hears of its end, so:
 *
 *   what stands before a FLUSH is on stable storage, whatever happens later;
 *   what stands behind the last FLUSH may have come to the disk or not, in parts of CRASH_SECTOR bytes;
 *   what a NOTE says was known when everything before it had happened.
 */
#ifndef TESTS_CRASH_LOG_H
#define TESTS_CRASH_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CRASH_MAGIC     0x31676f6c68737263u /* "crshlog1" */
#define CRASH_SECTOR    512u                /* a disk writes so many bytes or none of them */
#define CRASH_DATA_MAX  (1u << 20)          /* of one entry, in bytes */
#define CRASH_IMAGE_MAX (1u << 30)          /* bytes of a disk */

enum crash_kind {
	CRASH_WRITE = 1, /* data at offset; length equals bytes */
	CRASH_ZERO = 2,  /* length bytes at offset read as zeroes; no data */
	CRASH_FLUSH = 3, /* an fsync has returned; no data */
	CRASH_NOTE = 4,  /* a line that the guest printed, without its end; length equals bytes */
};

struct crash_log_header {
	uint64_t magic;
	uint64_t image_bytes; /* of the disk */
};

struct crash_entry_header {
	uint32_t kind;
	uint32_t bytes; /* of data */
	uint64_t offset;
	uint64_t length;
};

/* ---- writing, [any] one thread at a time ---- */

/* Puts the header into an empty stream. 0, or -EIO. */
int crash_log_begin(FILE *log, uint64_t image_bytes);

/* Adds an entry; data may be NULL if the kind has none. 0, -EINVAL for more than CRASH_DATA_MAX, or -EIO. */
int crash_log_add(FILE *log, enum crash_kind kind, uint64_t offset, uint64_t length, const void *data);

/* ---- reading ---- */

struct crash_entry {
	enum crash_kind kind;
	uint64_t offset, length;
	const uint8_t *data; /* in the log's memory; NULL if the kind has none */
};

struct crash_log {
	uint64_t image_bytes;
	size_t count;
	struct crash_entry *entries; /* in the order in which they happened */
};

/* Reads a log that lies in memory, which must stay as long as *ret is used. 0, -EBADMSG if it is not one or ends in the middle of an
 * entry or has a write outside the disk, or -ENOMEM. */
int crash_log_read(const void *bytes, size_t size, struct crash_log *ret);

/* Gives back what crash_log_read() has taken. */
void crash_log_free(struct crash_log *log);

#endif
