/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unpacking a payload; see decode.h. One function a format, all alike: they return how much came out, or an error. In one
 * call each, from memory to memory, so none can write behind the output's end.
 */
#define ZLIB_CONST /* its input pointer may point to what is const */
#include "core/unpack/decode.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* The legacy frame of the lz4 program, which the kernel's build uses: a magic number, then blocks, each with its packed size
 * before it, of 8 MiB unpacked or less. */
#define LZ4_MAGIC_BYTES 4u
#define LZ4_SIZE_BYTES  4u
#define LZ4_BLOCK_MAX   (UINT32_C(8) << 20)

/* The kernel's build asks for dictionaries of 32 or 128 MiB, which the decoder allocates. */
#define XZ_MEMORY_MAX   (UINT64_C(256) << 20)

/* Lets inflate() expect a gzip header (zlib.h, inflateInit2). */
#define GZIP_WINDOW     (15 + 16)

static_assert(PAYLOAD_FILE_MAX <= INT32_MAX && PAYLOAD_UNPACKED_MAX <= INT32_MAX,
	      "sizes fit LZ4's int and zlib's uInt");
static_assert(LZ4_BLOCK_MAX <= LZ4_MAX_INPUT_SIZE, "LZ4_COMPRESSBOUND() is not 0");

struct data {
	const uint8_t *packed;
	size_t packed_bytes;
	uint8_t *unpacked;
	size_t unpacked_bytes; /* before: the room; after: what came out */
	size_t used_bytes;     /* after: of `packed` */
};

static int corrupt(const char *why, struct err *err)
{
	return err_set(err, -EBADMSG, "its payload is corrupt: %s", why);
}

static int decode_lz4(struct data *data, struct err *err)
{
	size_t in = LZ4_MAGIC_BYTES, out = 0;

	while (in < data->packed_bytes) {
		const uint8_t *size = data->packed + in;
		size_t room = data->unpacked_bytes - out;
		uint32_t packed;
		int got;

		if (data->packed_bytes - in < LZ4_SIZE_BYTES)
			return corrupt("LZ4: it ends in a block's size", err);
		packed = (uint32_t)size[0] | (uint32_t)size[1] << 8 | (uint32_t)size[2] << 16 | (uint32_t)size[3] << 24;
		in += LZ4_SIZE_BYTES;
		if (!packed || packed > LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX))
			return corrupt("LZ4: a block of an impossible size", err);
		if (packed > data->packed_bytes - in)
			return corrupt("LZ4: it ends in a block", err);
		if (room > LZ4_BLOCK_MAX)
			room = LZ4_BLOCK_MAX;
		got = LZ4_decompress_safe((const char *)data->packed + in, (char *)data->unpacked + out, (int)packed,
					  (int)room);
		if (got < 0)
			return corrupt("LZ4: a block is damaged, or larger than it may be", err);
		in += packed;
		out += (size_t)got;
	}
	data->used_bytes = in;
	data->unpacked_bytes = out;
	return 0;
}

static int decode_xz(struct data *data, struct err *err)
{
	uint64_t memory = XZ_MEMORY_MAX;
	size_t in = 0, out = 0;

	switch (lzma_stream_buffer_decode(&memory, 0, NULL, data->packed, &in, data->packed_bytes, data->unpacked, &out,
					  data->unpacked_bytes)) {
	case LZMA_OK:
		data->used_bytes = in;
		data->unpacked_bytes = out;
		return 0;
	case LZMA_BUF_ERROR:
		return corrupt("XZ: it is cut short, or larger than it says", err);
	case LZMA_MEM_ERROR:
		return err_sys(err, -ENOMEM, "XZ");
	case LZMA_MEMLIMIT_ERROR:
		return corrupt("XZ: it asks for more than 256 MiB to be unpacked", err);
	case LZMA_OPTIONS_ERROR:
		return corrupt("XZ: it uses what this version of liblzma does not know", err);
	default:
		return corrupt("XZ: its data is damaged", err);
	}
}

static int decode_zstd(struct data *data, struct err *err)
{
	size_t got = ZSTD_decompress(data->unpacked, data->unpacked_bytes, data->packed, data->packed_bytes);

	if (ZSTD_isError(got))
		return err_set(err, -EBADMSG, "its payload is corrupt: zstd: %s", ZSTD_getErrorName(got));
	/* Frames follow each other to the end, or it is an error. */
	data->used_bytes = data->packed_bytes;
	data->unpacked_bytes = got;
	return 0;
}

static int decode_gzip(struct data *data, struct err *err)
{
	z_stream stream = {
		.next_in = data->packed,
		.avail_in = (uInt)data->packed_bytes,
		.next_out = data->unpacked,
		.avail_out = (uInt)data->unpacked_bytes,
	};
	int r = inflateInit2(&stream, GZIP_WINDOW);

	if (r != Z_OK)
		return err_sys(err, -ENOMEM, "gzip");
	r = inflate(&stream, Z_FINISH);
	data->used_bytes = data->packed_bytes - stream.avail_in;
	data->unpacked_bytes -= stream.avail_out;
	inflateEnd(&stream);
	switch (r) {
	case Z_STREAM_END:
		return 0;
	case Z_OK:
	case Z_BUF_ERROR:
		return corrupt("gzip: it is cut short, or larger than it says", err);
	case Z_MEM_ERROR:
		return err_sys(err, -ENOMEM, "gzip");
	default:
		return corrupt("gzip: its data is damaged", err);
	}
}

static int check_elf(const uint8_t *data, size_t bytes, struct err *err)
{
	Elf64_Ehdr header;

	if (bytes < sizeof(header) || memcmp(data, ELFMAG, SELFMAG) != 0)
		return err_set(err, -ENOEXEC, "its payload is not an ELF file");
	memcpy(&header, data, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_X86_64)
		return err_set(err, -ENOEXEC, "its payload is an ELF file, but not for x86_64");
	return 0;
}

int payload_decode(const struct payload *payload, const uint8_t *packed, uint8_t *unpacked, struct err *err)
{
	static int (*const decoders[])(struct data *, struct err *) = {
		[PAYLOAD_LZ4] = decode_lz4,
		[PAYLOAD_XZ] = decode_xz,
		[PAYLOAD_ZSTD] = decode_zstd,
		[PAYLOAD_GZIP] = decode_gzip,
	};
	struct data data = {
		.packed = packed,
		.packed_bytes = (size_t)payload->bytes,
		.unpacked = unpacked,
		.unpacked_bytes = (size_t)payload->unpacked_bytes,
	};
	int r = decoders[payload->format](&data, err);

	if (r < 0)
		return r;
	if (data.used_bytes != payload->bytes)
		return err_set(err, -EBADMSG, "its payload is corrupt: %s: %" PRIu64 " bytes follow its end",
			       payload_format_name(payload->format), payload->bytes - data.used_bytes);
	if (data.unpacked_bytes != payload->unpacked_bytes)
		return err_set(err, -EBADMSG, "its payload is corrupt: %s: it has %zu bytes unpacked, not %" PRIu64,
			       payload_format_name(payload->format), data.unpacked_bytes, payload->unpacked_bytes);
	return check_elf(unpacked, data.unpacked_bytes, err);
}
