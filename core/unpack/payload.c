/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a bzImage keeps its kernel; see payload.h. */
#include "core/unpack/payload.h"

#include "core/base/checked.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* Fields of the setup header, by their place in the file. */
#define SETUP_SECTS     0x1f1u
#define MAGIC           0x202u
#define VERSION         0x206u
#define PAYLOAD_OFFSET  0x248u
#define PAYLOAD_LENGTH  0x24cu
#define INIT_SIZE       0x260u
#define HEADER_BYTES    0x264u

#define VERSION_MIN     0x020au /* 2.10 has init_size */
#define SECTOR_BYTES    512u
#define SETUP_SECTS_OLD 4u /* what 0 means */

/* How the unpacked size is told: in four bytes at the end, little endian. gzip's format has them there itself; to the others
 * the kernel's build appends them, so they are no part of the stream. */
#define SIZE_BYTES      4u

struct format {
	const char *name;
	const char *magic;
	uint32_t magic_bytes;
	bool known;
	bool has_size; /* the size is part of the stream */
	enum payload_format format;
};

/* By the kernel's scripts/Makefile.lib: all that it can be told to use. */
static const struct format formats[] = {
	{ .name = "LZ4", .magic = "\x02\x21\x4c\x18", .magic_bytes = 4, .known = true, .format = PAYLOAD_LZ4 },
	{ .name = "XZ", .magic = "\xfd\x37zXZ\0", .magic_bytes = 6, .known = true, .format = PAYLOAD_XZ },
	{ .name = "zstd", .magic = "\x28\xb5\x2f\xfd", .magic_bytes = 4, .known = true, .format = PAYLOAD_ZSTD },
	{
	    .name = "gzip",
	    .magic = "\x1f\x8b\x08",
	    .magic_bytes = 3,
	    .known = true,
	    .has_size = true,
	    .format = PAYLOAD_GZIP,
	},
	{ .name = "bzip2", .magic = "BZh", .magic_bytes = 3 },
	{ .name = "lzma", .magic = "\x5d\0\0", .magic_bytes = 3 },
	{ .name = "lzo", .magic = "\x89LZO", .magic_bytes = 4 },
};

#define MAGIC_MAX 6u

static uint32_t get_le(const uint8_t *at, unsigned int bytes)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint32_t)at[i] << 8 * i;
	return value;
}

/* NULL with a message if it is none, or one that nobody here unpacks. */
static const struct format *find_format(const uint8_t magic[static MAGIC_MAX], struct err *err)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		const struct format *format = &formats[i];

		if (memcmp(magic, format->magic, format->magic_bytes) != 0)
			continue;
		if (format->known)
			return format;
		err_set(err, 0, "its payload is compressed with %s; only LZ4, XZ, zstd and gzip can be unpacked",
			format->name);
		return NULL;
	}
	err_set(err, 0, "its payload begins with %02x %02x %02x %02x, which is no known format", magic[0], magic[1],
		magic[2], magic[3]);
	return NULL;
}

/* The place of the payload with all that belongs to it, and the memory that the kernel asks for. */
static int find_place(const uint8_t head[static HEADER_BYTES], uint64_t file_bytes, struct payload *payload,
		      uint64_t *ret_init_size, struct err *err)
{
	uint32_t sects = head[SETUP_SECTS] ? head[SETUP_SECTS] : SETUP_SECTS_OLD;
	uint32_t version = get_le(head + VERSION, 2);

	if (memcmp(head + MAGIC, "HdrS", 4) != 0)
		return err_set(err, -ENOEXEC, "it is not a bzImage");
	if (version < VERSION_MIN)
		return err_set(err, -ENOEXEC,
			       "its boot protocol %" PRIu32 ".%02" PRIu32 " does not say how large the kernel is",
			       version >> 8, version & 0xffu);
	/* At most 256 sectors and 2^32: no overflow. */
	payload->offset = (uint64_t)SECTOR_BYTES * (sects + 1) + get_le(head + PAYLOAD_OFFSET, 4);
	payload->bytes = get_le(head + PAYLOAD_LENGTH, 4);
	if (payload->bytes < MAGIC_MAX + SIZE_BYTES)
		return err_set(err, -ENOEXEC, "its payload has only %" PRIu64 " bytes", payload->bytes);
	if (!range_within(payload->offset, payload->bytes, file_bytes))
		return err_set(err, -ENOEXEC, "its payload ends at byte %" PRIu64 ", the file at byte %" PRIu64,
			       payload->offset + payload->bytes, file_bytes);
	*ret_init_size = get_le(head + INIT_SIZE, 4);
	return 0;
}

int payload_find(payload_read_fn *read, void *ctx, uint64_t file_bytes, struct payload *ret, struct err *err)
{
	uint8_t head[HEADER_BYTES], magic[MAGIC_MAX], size[SIZE_BYTES];
	const struct format *format;
	struct payload payload = { 0 };
	uint64_t init_size = 0;
	int r;

	if (file_bytes > PAYLOAD_FILE_MAX)
		return err_set(err, -EFBIG,
			       "it has %" PRIu64 " MiB, and a kernel that is unpacked has at most %" PRIu64,
			       file_bytes >> 20, PAYLOAD_FILE_MAX >> 20);
	if (file_bytes < HEADER_BYTES)
		return err_set(err, -ENOEXEC, "it has only %" PRIu64 " bytes", file_bytes);
	r = read(ctx, 0, head, sizeof(head), err);
	if (r < 0)
		return r;
	r = find_place(head, file_bytes, &payload, &init_size, err);
	if (r < 0)
		return r;
	r = read(ctx, payload.offset, magic, sizeof(magic), err);
	if (r < 0)
		return r;
	format = find_format(magic, err);
	if (!format)
		return -ENOEXEC;
	r = read(ctx, payload.offset + payload.bytes - SIZE_BYTES, size, sizeof(size), err);
	if (r < 0)
		return r;

	payload.format = format->format;
	if (!format->has_size)
		payload.bytes -= SIZE_BYTES;
	payload.unpacked_bytes = get_le(size, SIZE_BYTES);
	if (!payload.unpacked_bytes)
		return err_set(err, -ENOEXEC, "its payload is empty");
	/* A kernel that starts by itself unpacks into that memory, so no honest one is larger. */
	if (payload.unpacked_bytes > init_size || payload.unpacked_bytes > PAYLOAD_UNPACKED_MAX)
		return err_set(err, -ENOEXEC,
			       "its payload is to be %" PRIu64 " bytes unpacked, more than the %" PRIu64
			       " that it may take",
			       payload.unpacked_bytes,
			       init_size < PAYLOAD_UNPACKED_MAX ? init_size : PAYLOAD_UNPACKED_MAX);
	*ret = payload;
	return 0;
}

const char *payload_format_name(enum payload_format format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].known && formats[i].format == format)
			return formats[i].name;
	return "?";
}
