/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bzImages with a payload, made by hand in every format that a kernel may be packed with, for the tests and the fuzzer of
 * core/unpack. Numbers are written out, not taken from the code under test.
 */
#ifndef TESTS_UNIT_PACKED_IMAGES_H
#define TESTS_UNIT_PACKED_IMAGES_H

#include "core/unpack/payload.h"

#include <lz4hc.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define PACKED_OFFSET 1600u /* of the payload in the file: 1024 bytes of setup, 576 of code */

struct packed {
	uint8_t *file;
	size_t bytes;
	size_t payload_bytes; /* as the header says */
};

static inline void packed_put(uint8_t *file, size_t offset, unsigned int width, uint64_t value)
{
	memcpy(file + offset, &value, width);
}

/* The stream alone, in a buffer that the caller frees; 0 bytes if it failed. */
static inline size_t packed_stream(enum payload_format format, const uint8_t *data, size_t bytes, uint8_t **ret)
{
	size_t room = 2 * bytes + 65536, used = 0;
	uint8_t *out = malloc(room);
	z_stream gzip = { 0 };

	if (!out)
		abort();
	*ret = out;
	switch (format) {
	case PAYLOAD_LZ4:
		memcpy(out, "\x02\x21\x4c\x18", 4);
		used = 4;
		for (size_t at = 0; at < bytes; at += 8u << 20) {
			size_t block = bytes - at < (8u << 20) ? bytes - at : 8u << 20;
			int got = LZ4_compress_HC((const char *)data + at, (char *)out + used + 4, (int)block,
						  (int)(room - used - 4), 9);

			packed_put(out, used, 4, (uint64_t)got);
			used += 4 + (size_t)got;
		}
		return used;
	case PAYLOAD_XZ:
		return lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, data, bytes, out, &used, room) == LZMA_OK
			   ? used
			   : 0;
	case PAYLOAD_ZSTD:
		used = ZSTD_compress(out, room, data, bytes, 3);
		return ZSTD_isError(used) ? 0 : used;
	default:
		gzip.next_in = (Bytef *)(uintptr_t)data;
		gzip.avail_in = (uInt)bytes;
		gzip.next_out = out;
		gzip.avail_out = (uInt)room;
		if (deflateInit2(&gzip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
		    deflate(&gzip, Z_FINISH) != Z_STREAM_END)
			return 0;
		used = room - gzip.avail_out;
		deflateEnd(&gzip);
		return used;
	}
}

/* A bzImage around a stream, which says that it has `unpacked` bytes. gzip's own trailer says it already. */
static inline bool packed_wrap(enum payload_format format, const uint8_t *stream, size_t bytes, uint64_t unpacked,
			       struct packed *ret)
{
	size_t trailer = format == PAYLOAD_GZIP ? 0 : 4;

	ret->payload_bytes = bytes + trailer;
	ret->bytes = PACKED_OFFSET + ret->payload_bytes + 100;
	ret->file = calloc(1, ret->bytes);
	if (!ret->file)
		return false;
	ret->file[0x1f1] = 1; /* setup_sects */
	packed_put(ret->file, 0x1fe, 2, 0xaa55);
	memcpy(ret->file + 0x202, "HdrS", 4);
	packed_put(ret->file, 0x206, 2, 0x020f);
	packed_put(ret->file, 0x248, 4, PACKED_OFFSET - 1024);
	packed_put(ret->file, 0x24c, 4, ret->payload_bytes);
	packed_put(ret->file, 0x260, 4, 64u << 20); /* init_size */
	memcpy(ret->file + PACKED_OFFSET, stream, bytes);
	packed_put(ret->file, PACKED_OFFSET + ret->payload_bytes - 4, 4, unpacked);
	return true;
}

/* The whole of it. */
static inline bool packed_make(enum payload_format format, const uint8_t *data, size_t bytes, struct packed *ret)
{
	uint8_t *stream;
	size_t used = packed_stream(format, data, bytes, &stream);
	bool done = used && packed_wrap(format, stream, used, bytes, ret);

	free(stream);
	return done;
}

/* A payload_read_fn on a struct packed. */
static inline int packed_read(void *ctx, uint64_t offset, void *buf, size_t bytes, struct err *err)
{
	const struct packed *packed = ctx;

	(void)err;
	if (offset > packed->bytes || bytes > packed->bytes - offset)
		abort();
	memcpy(buf, packed->file + offset, bytes);
	return 0;
}

#endif
