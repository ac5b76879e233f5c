/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing and reading a device's saved state; see state.h. */
#include "core/device/state.h"

#include "core/base/checked.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC       "bpstate1"
#define HEAD_BYTES  16u
#define FIELD_BYTES 12u

#define KIND_UINT   1u
#define KIND_BYTES  2u

struct field {
	uint32_t tag;
	uint32_t kind;
	uint32_t count;
	const uint8_t *data;
};

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

/* The field at *at, which the caller moves on; false at the end or where the bytes are not a field. */
static bool field_next(const uint8_t *bytes, size_t count, size_t *at, struct field *ret)
{
	size_t left = count - *at;

	if (left < FIELD_BYTES)
		return false;
	ret->tag = get32(bytes + *at);
	ret->kind = get32(bytes + *at + 4);
	ret->count = get32(bytes + *at + 8);
	ret->data = bytes + *at + FIELD_BYTES;
	if (ret->count > left - FIELD_BYTES)
		return false;
	if (ret->kind == KIND_UINT ? ret->count != sizeof(uint64_t) : ret->kind != KIND_BYTES)
		return false;
	*at += FIELD_BYTES + ret->count;
	return true;
}

/* The index of the field with that tag among `fields` well-formed ones, and what it is; -1 if there is none. */
static int field_find(const uint8_t *bytes, size_t count, uint32_t fields, uint32_t tag, struct field *ret)
{
	size_t at = HEAD_BYTES;

	for (uint32_t i = 0; i < fields && field_next(bytes, count, &at, ret); i++)
		if (ret->tag == tag)
			return (int)i;
	return -1;
}

/* ---- writing ---- */

int state_writer_begin(struct state_writer *writer, const struct bp_host *host, uint32_t version)
{
	*writer = (struct state_writer){ .head = { .host = host }, .count = HEAD_BYTES, .cap = 256 };
	writer->bytes = calloc(1, writer->cap);
	if (!writer->bytes)
		return -ENOMEM;
	memcpy(writer->bytes, MAGIC, sizeof(MAGIC) - 1);
	put32(writer->bytes + 8, version);
	return 0;
}

static int writer_grow(struct state_writer *writer, size_t count)
{
	size_t need = writer->count + count, cap = writer->cap;
	uint8_t *bytes;

	if (need <= cap)
		return 0;
	while (cap < need)
		cap *= 2;
	bytes = realloc(writer->bytes, cap);
	if (!bytes)
		return -ENOMEM;
	writer->bytes = bytes;
	writer->cap = cap;
	return 0;
}

static int put(struct state_writer *writer, uint32_t tag, uint32_t kind, const void *data, size_t count)
{
	struct field there;
	uint8_t *at;
	int r;

	if (count > BP_STATE_MAX - FIELD_BYTES || writer->count + FIELD_BYTES + count > BP_STATE_MAX ||
	    writer->fields == STATE_FIELDS_MAX)
		return -ENOSPC;
	if (field_find(writer->bytes, writer->count, writer->fields, tag, &there) >= 0)
		return -EEXIST;
	r = writer_grow(writer, FIELD_BYTES + count);
	if (r < 0)
		return r;
	at = writer->bytes + writer->count;
	put32(at, tag);
	put32(at + 4, kind);
	put32(at + 8, (uint32_t)count);
	if (count)
		memcpy(at + FIELD_BYTES, data, count);
	writer->count += FIELD_BYTES + count;
	writer->fields++;
	return 0;
}

/* Remembers the first error. */
static int note(struct state_writer *writer, int r)
{
	if (r < 0 && !writer->error)
		writer->error = r;
	return r;
}

int host_put_uint(struct bp_writer *head, uint32_t tag, uint64_t value)
{
	struct state_writer *writer = (struct state_writer *)head;
	uint64_t wire = htole64(value);

	return note(writer, put(writer, tag, KIND_UINT, &wire, sizeof(wire)));
}

int host_put_bytes(struct bp_writer *head, uint32_t tag, const void *bytes, size_t count)
{
	struct state_writer *writer = (struct state_writer *)head;

	return note(writer, put(writer, tag, KIND_BYTES, bytes, count));
}

int state_writer_end(struct state_writer *writer, uint8_t **ret, size_t *ret_count)
{
	int r = writer->error;

	if (r < 0) {
		free(writer->bytes);
	} else {
		put32(writer->bytes + 12, writer->fields);
		*ret = writer->bytes;
		*ret_count = writer->count;
	}
	writer->bytes = NULL;
	return r;
}

/* ---- reading ---- */

int state_reader_begin(struct state_reader *reader, const struct bp_host *host, const void *bytes, size_t count,
		       struct err *err)
{
	size_t at = HEAD_BYTES;
	struct field field, first;

	memset(reader, 0, sizeof(*reader));
	reader->head.host = host;
	reader->bytes = bytes;
	reader->count = count;
	if (count < HEAD_BYTES || count > BP_STATE_MAX || memcmp(bytes, MAGIC, sizeof(MAGIC) - 1) != 0)
		return err_set(err, -EINVAL, "these are not the bytes of a device's state");
	reader->version = get32(reader->bytes + 8);
	reader->fields = get32(reader->bytes + 12);
	if (reader->fields > STATE_FIELDS_MAX)
		return err_set(err, -EINVAL, "the state has %" PRIu32 " fields, at most %d can be", reader->fields,
			       STATE_FIELDS_MAX);
	for (uint32_t i = 0; i < reader->fields; i++) {
		if (!field_next(reader->bytes, count, &at, &field))
			return err_set(err, -EINVAL, "field %" PRIu32 " of the state is cut off or malformed", i);
		if (field_find(reader->bytes, count, reader->fields, field.tag, &first) != (int)i)
			return err_set(err, -EINVAL, "field 0x%" PRIx32 " stands twice in the state", field.tag);
	}
	if (at != count)
		return err_set(err, -EINVAL, "the state has %zu bytes too many", count - at);
	return 0;
}

static int get(struct state_reader *reader, uint32_t tag, uint32_t kind, struct field *ret)
{
	int index = field_find(reader->bytes, reader->count, reader->fields, tag, ret);

	if (index < 0)
		return -ENOENT;
	reader->read[index] = true;
	return ret->kind == kind ? 0 : -EINVAL;
}

int host_get_uint(struct bp_reader *head, uint32_t tag, uint64_t *ret)
{
	struct field field;
	uint64_t wire;
	int r = get((struct state_reader *)head, tag, KIND_UINT, &field);

	if (r < 0)
		return r;
	memcpy(&wire, field.data, sizeof(wire));
	*ret = le64toh(wire);
	return 0;
}

int host_get_bytes(struct bp_reader *head, uint32_t tag, void *buf, size_t cap)
{
	struct field field;
	int r = get((struct state_reader *)head, tag, KIND_BYTES, &field);

	if (r < 0)
		return r;
	if (field.count > cap)
		return -EMSGSIZE;
	if (field.count)
		memcpy(buf, field.data, field.count);
	return (int)field.count;
}

int state_reader_end(const struct state_reader *reader, struct err *err)
{
	size_t at = HEAD_BYTES;
	struct field field;

	for (uint32_t i = 0; i < reader->fields && field_next(reader->bytes, reader->count, &at, &field); i++)
		if (!reader->read[i] && !(field.tag & BP_TAG_OPTIONAL))
			return err_set(err, -EINVAL, "the plugin does not know field 0x%" PRIx32 " of the state",
				       field.tag);
	return 0;
}
