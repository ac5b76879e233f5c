/* SPDX-License-Identifier: BSD-3-Clause */
/* Plain data as bytes; see pack.h. */
#include "core/base/pack.h"

#include "core/base/checked.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_TEXT   UINT32_MAX /* for a length: NULL */
#define CAP_FIRST 256u

void pack_begin(struct pack_writer *writer, size_t limit)
{
	*writer = (struct pack_writer){ .limit = limit };
}

/* Room for `count` more bytes, which count as written; NULL after an error. */
static uint8_t *make_room(struct pack_writer *writer, size_t count)
{
	size_t cap = writer->cap ? writer->cap : CAP_FIRST;
	uint8_t *bytes, *room;

	if (writer->error)
		return NULL;
	if (!range_within(writer->count, count, writer->limit)) {
		writer->error = -E2BIG;
		return NULL;
	}
	while (cap < writer->count + count)
		cap = cap > writer->limit / 2 ? writer->limit : cap * 2;
	if (cap != writer->cap) {
		bytes = realloc(writer->bytes, cap);
		if (!bytes) {
			writer->error = -ENOMEM;
			return NULL;
		}
		writer->bytes = bytes;
		writer->cap = cap;
	}
	room = writer->bytes + writer->count;
	writer->count += count;
	return room;
}

static void put_le(struct pack_writer *writer, uint64_t value, size_t count)
{
	uint8_t *room = make_room(writer, count);

	for (size_t i = 0; room && i < count; i++)
		room[i] = (uint8_t)(value >> (8 * i));
}

void pack_u32(struct pack_writer *writer, uint32_t value)
{
	put_le(writer, value, sizeof(value));
}

void pack_u64(struct pack_writer *writer, uint64_t value)
{
	put_le(writer, value, sizeof(value));
}

void pack_bytes(struct pack_writer *writer, const void *bytes, size_t count)
{
	uint8_t *room;

	if (count >= NO_TEXT) {
		if (!writer->error)
			writer->error = -E2BIG;
		return;
	}
	pack_u32(writer, (uint32_t)count);
	room = make_room(writer, count);
	if (room && count)
		memcpy(room, bytes, count);
}

void pack_text(struct pack_writer *writer, const char *text)
{
	if (text)
		pack_bytes(writer, text, strlen(text));
	else
		pack_u32(writer, NO_TEXT);
}

int pack_end(struct pack_writer *writer, uint8_t **ret, size_t *ret_count)
{
	int r = writer->error;

	if (r < 0) {
		free(writer->bytes);
	} else {
		*ret = writer->bytes;
		*ret_count = writer->count;
	}
	*writer = (struct pack_writer){ .limit = writer->limit };
	return r;
}

void unpack_begin(struct pack_reader *reader, const void *bytes, size_t count)
{
	*reader = (struct pack_reader){ .bytes = count ? bytes : (const uint8_t *)"", .count = count };
}

/* The next `count` bytes, or NULL after an error or where there are fewer. */
static const uint8_t *take_bytes(struct pack_reader *reader, size_t count)
{
	const uint8_t *bytes = reader->bytes + reader->at;

	if (reader->error)
		return NULL;
	if (count > reader->count - reader->at) {
		reader->error = -EBADMSG;
		return NULL;
	}
	reader->at += count;
	return bytes;
}

static uint64_t get_le(struct pack_reader *reader, size_t count)
{
	const uint8_t *bytes = take_bytes(reader, count);
	uint64_t value = 0;

	for (size_t i = 0; bytes && i < count; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint32_t unpack_u32(struct pack_reader *reader)
{
	return (uint32_t)get_le(reader, sizeof(uint32_t));
}

uint64_t unpack_u64(struct pack_reader *reader)
{
	return get_le(reader, sizeof(uint64_t));
}

uint32_t unpack_count(struct pack_reader *reader, uint32_t max)
{
	uint32_t count = unpack_u32(reader);

	if (count <= max)
		return count;
	reader->error = -EBADMSG;
	return 0;
}

/* The bytes behind a length that has been read. */
static const uint8_t *bounded_bytes(struct pack_reader *reader, uint32_t count, size_t max)
{
	if (!reader->error && count > max)
		reader->error = -EBADMSG;
	return take_bytes(reader, count);
}

const uint8_t *unpack_bytes(struct pack_reader *reader, size_t max, size_t *ret_count)
{
	uint32_t count = unpack_u32(reader);
	const uint8_t *bytes = bounded_bytes(reader, count, max);

	*ret_count = bytes ? count : 0;
	return bytes;
}

char *unpack_text(struct pack_reader *reader, size_t max)
{
	uint32_t count = unpack_u32(reader);
	const uint8_t *bytes;
	char *text;

	if (count == NO_TEXT)
		return NULL;
	bytes = bounded_bytes(reader, count, max);
	if (!bytes)
		return NULL;
	if (memchr(bytes, 0, count)) {
		reader->error = -EBADMSG;
		return NULL;
	}
	text = malloc((size_t)count + 1);
	if (!text) {
		reader->error = -ENOMEM;
		return NULL;
	}
	memcpy(text, bytes, count);
	text[count] = 0;
	return text;
}

int unpack_end(const struct pack_reader *reader)
{
	if (reader->error)
		return reader->error;
	return reader->at == reader->count ? 0 : -EBADMSG;
}
