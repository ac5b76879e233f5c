/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's saved state as bytes: what bp_put_*() and bp_get_*() work on. A writer gathers fields, a reader has checked all of them before
 * it gives out the first. Under the device's lock.
 *
 * The bytes, all numbers in little endian:
 *   8  "bpstate1"     4  version of the class      4  number of fields
 *   then for each field, in the order in which they were put:
 *   4  tag            4  kind (1: number, 2: bytes) 4  bytes that follow (8 for a number)   n  those
 */
#ifndef DEVICE_STATE_H
#define DEVICE_STATE_H

#include "core/base/err.h"

#include <backplane/state.h>

#include <stdbool.h>

#define STATE_FIELDS_MAX 4096

struct state_writer {
	struct bp_writer head; /* first: what the plugin holds */
	uint8_t *bytes;        /* owned; state_writer_end() hands it on */
	size_t count;
	size_t cap;
	uint32_t fields;
	int error; /* the first that a put met */
};

struct state_reader {
	struct bp_reader head; /* first: what the plugin holds */
	const uint8_t *bytes;  /* borrowed */
	size_t count;
	uint32_t version;
	uint32_t fields;
	bool read[STATE_FIELDS_MAX]; /* by index: whether load asked for it */
};

/* Begins with the class's version; 0 or -ENOMEM. */
int state_writer_begin(struct state_writer *writer, const struct bp_host *host, uint32_t version);
/* The finished state, which the caller frees, or the first error of a put. The writer is empty then. */
int state_writer_end(struct state_writer *writer, uint8_t **ret, size_t *ret_count);

/* Checks `bytes`, which are hostile and stay in place: -EINVAL with what is wrong. */
int state_reader_begin(struct state_reader *reader, const struct bp_host *host, const void *bytes, size_t count,
		       struct err *err);
/* -EINVAL, naming the tag, if a field that is not optional was not read. */
int state_reader_end(const struct state_reader *reader, struct err *err);

/* The host table's entries. */
int host_put_uint(struct bp_writer *head, uint32_t tag, uint64_t value);
int host_put_bytes(struct bp_writer *head, uint32_t tag, const void *bytes, size_t count);
int host_get_uint(struct bp_reader *head, uint32_t tag, uint64_t *ret);
int host_get_bytes(struct bp_reader *head, uint32_t tag, void *buf, size_t cap);

#endif
