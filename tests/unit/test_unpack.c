/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding and unpacking the kernel in a bzImage, and what is no such thing: headers that lie, streams that are cut, damaged, or
 * larger than they say. What is unpacked goes to the end of a page with a page behind it that nobody may touch.
 */
#include "core/unpack/decode.h"
#include "tests/unit/packed_images.h"
#include "tests/unit/support.h"

#include <errno.h>

#define PAGE 4096u

static const enum payload_format formats[] = { PAYLOAD_LZ4, PAYLOAD_XZ, PAYLOAD_ZSTD, PAYLOAD_GZIP };

/* What is packed: begins like an ELF kernel, and goes on with what can be packed a little. */
#define KERNEL_BYTES 1001u
static uint8_t kernel[KERNEL_BYTES];

static int make_kernel(void **state)
{
	static const uint8_t elf[] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(kernel); i++)
		kernel[i] = (uint8_t)(i % 61 * (i / 61));
	memcpy(kernel, elf, sizeof(elf));
	kernel[18] = 62;
	return 0;
}

/* The last `bytes` before a page that faults. */
struct guarded {
	uint8_t *map;
	size_t map_bytes;
	uint8_t *data;
};

static struct guarded guarded_make(size_t bytes)
{
	struct guarded guarded = { .map_bytes = (bytes + PAGE - 1) / PAGE * PAGE + PAGE };

	guarded.map = mmap(NULL, guarded.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(guarded.map != MAP_FAILED);
	MUST(mprotect(guarded.map + guarded.map_bytes - PAGE, PAGE, PROT_NONE) == 0);
	guarded.data = guarded.map + guarded.map_bytes - PAGE - bytes;
	return guarded;
}

static void guarded_free(struct guarded *guarded)
{
	munmap(guarded->map, guarded->map_bytes);
}

/* As the unpacker does it. The result, or the error that came first; *ret is what was unpacked, if it is not NULL. */
static int unpack(struct packed *packed, uint8_t *ret, struct err *err)
{
	struct payload payload = { 0 };
	struct guarded in, out;
	int r;

	err->text[0] = 0;
	r = payload_find(packed_read, packed, packed->bytes, &payload, err);
	if (r == 0) {
		assert_true(payload.offset + payload.bytes <= packed->bytes);
		assert_true(payload.unpacked_bytes <= PAYLOAD_UNPACKED_MAX);
		in = guarded_make(payload.bytes);
		out = guarded_make(payload.unpacked_bytes);
		memcpy(in.data, packed->file + payload.offset, payload.bytes);
		r = payload_decode(&payload, in.data, out.data, err);
		if (r == 0 && ret)
			memcpy(ret, out.data, payload.unpacked_bytes);
		guarded_free(&in);
		guarded_free(&out);
	}
	if (r < 0) {
		assert_true(err->text[0]);
		assert_null(strchr(err->text, '\n'));
	}
	return r;
}

static void assert_fails(struct packed *packed, const char *part)
{
	struct err err;

	assert_true(unpack(packed, NULL, &err) < 0);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void every_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct packed packed = { 0 };
		uint8_t out[KERNEL_BYTES];
		struct err err;

		MUST(packed_make(formats[i], kernel, sizeof(kernel), &packed));
		if (unpack(&packed, out, &err) < 0)
			fail_msg("%s: %s", payload_format_name(formats[i]), err.text);
		assert_memory_equal(out, kernel, sizeof(kernel));
		free(packed.file);
	}
}

/* Larger than a block of LZ4's legacy frame, and than any window. */
static void many_blocks(void **state)
{
	size_t bytes = (20u << 20) + 12345;
	uint8_t *data = calloc(1, bytes), *out = malloc(bytes);

	(void)state;
	assert_true(data && out);
	for (size_t i = 0; i < bytes; i += 97)
		data[i] = (uint8_t)(i / 97);
	memcpy(data, kernel, sizeof(kernel));
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct packed packed = { 0 };
		struct err err;

		MUST(packed_make(formats[i], data, bytes, &packed));
		if (unpack(&packed, out, &err) < 0)
			fail_msg("%s: %s", payload_format_name(formats[i]), err.text);
		assert_memory_equal(out, data, bytes);
		free(packed.file);
	}
	free(data);
	free(out);
}

/* ---- headers ---- */

struct bad_header {
	size_t offset;
	unsigned int width;
	uint64_t value;
	const char *message;
};

static const struct bad_header bad_headers[] = {
	{ 0x202, 1, 'X', "it is not a bzImage" },
	{ 0x206, 2, 0x0209, "boot protocol 2.09 does not say how large" },
	{ 0x1f1, 1, 200, "its payload ends at byte" },
	{ 0x248, 4, 0xffffffff, "its payload ends at byte" },
	{ 0x24c, 4, 0xffffffff, "its payload ends at byte" },
	{ 0x24c, 4, 0, "its payload has only 0 bytes" },
	{ 0x24c, 4, 9, "its payload has only 9 bytes" },
	{ 0x260, 4, 0, "more than the 0 that it may take" },
	{ 0x260, 4, KERNEL_BYTES - 1, "bytes unpacked, more than the 1000 that it may take" },
	{ PACKED_OFFSET, 4, 0x4f5a4c89, "compressed with lzo" },
	{ PACKED_OFFSET, 4, 0x39685a42, "compressed with bzip2" },
	{ PACKED_OFFSET, 4, 0x0000005d, "compressed with lzma" },
	{ PACKED_OFFSET, 4, 0x184d2204, "begins with 04 22 4d 18, which is no known format" },
	{ PACKED_OFFSET, 4, 0, "begins with 00 00 00 00" },
};

static void headers_that_lie(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad_headers); i++) {
		const struct bad_header *bad = &bad_headers[i];
		struct packed packed = { 0 };

		MUST(packed_make(PAYLOAD_ZSTD, kernel, sizeof(kernel), &packed));
		packed_put(packed.file, bad->offset, bad->width, bad->value);
		assert_fails(&packed, bad->message);
		free(packed.file);
	}
}

/* The size at the payload's end. */
static void sizes_that_lie(void **state)
{
	static const struct {
		uint64_t claimed;
		uint32_t init_size;
		const char *message;
	} cases[] = {
		{ 0, 64 << 20, "its payload is empty" },
		{ KERNEL_BYTES - 1, 64 << 20, "its payload is corrupt: " },
		{ KERNEL_BYTES + 1, 64 << 20, "its payload is corrupt: " },
		{ 1, 64 << 20, "its payload is corrupt: " },
		{ 0x40000001, 0xffffffff, "more than the 1073741824 that it may take" },
		{ 0xffffffff, 0xffffffff, "more than the 1073741824 that it may take" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(formats); i++)
		for (size_t j = 0; j < COUNT_OF(cases); j++) {
			struct packed packed = { 0 };

			MUST(packed_make(formats[i], kernel, sizeof(kernel), &packed));
			packed_put(packed.file, PACKED_OFFSET + packed.payload_bytes - 4, 4, cases[j].claimed);
			packed_put(packed.file, 0x260, 4, cases[j].init_size);
			assert_fails(&packed, cases[j].message);
			free(packed.file);
		}
}

static void files_too_small_and_too_large(void **state)
{
	struct packed packed = { 0 };
	struct payload payload;
	struct err err;
	size_t whole;

	(void)state;
	MUST(packed_make(PAYLOAD_GZIP, kernel, sizeof(kernel), &packed));
	whole = packed.bytes;
	for (packed.bytes = 0; packed.bytes < PACKED_OFFSET + packed.payload_bytes; packed.bytes++)
		assert_true(unpack(&packed, NULL, &err) < 0);
	packed.bytes = whole;
	assert_int_equal(unpack(&packed, NULL, &err), 0);
	assert_int_equal(payload_find(packed_read, &packed, PAYLOAD_FILE_MAX + 1, &payload, &err), -EFBIG);
	free(packed.file);
}

/* ---- streams ---- */

/* Cut after every byte, with a header that agrees. */
static void cut_streams(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		uint8_t *stream;
		size_t bytes = packed_stream(formats[i], kernel, sizeof(kernel), &stream);

		assert_true(bytes);
		for (size_t cut = 0; cut < bytes; cut++) {
			struct packed packed = { 0 };
			struct err err;

			/* LZ4's blocks have no end of their own. */
			MUST(packed_wrap(formats[i], stream, cut, sizeof(kernel), &packed));
			assert_true(unpack(&packed, NULL, &err) < 0);
			free(packed.file);
		}
		free(stream);
	}
}

/* Each byte with a small, a large and every bit changed. Nothing is written outside, and where there is a checksum nothing wrong comes out. */
static void damaged_streams(void **state)
{
	static const uint8_t masks[] = { 0x01, 0x80, 0xff };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct packed packed = { 0 };
		size_t end;

		MUST(packed_make(formats[i], kernel, sizeof(kernel), &packed));
		end = PACKED_OFFSET + packed.payload_bytes;
		for (size_t at = PACKED_OFFSET; at < end; at++)
			for (size_t j = 0; j < COUNT_OF(masks); j++) {
				uint8_t out[KERNEL_BYTES];
				struct err err;

				packed.file[at] ^= masks[j];
				if (unpack(&packed, out, &err) == 0 &&
				    (formats[i] == PAYLOAD_XZ || formats[i] == PAYLOAD_GZIP))
					assert_memory_equal(out, kernel, sizeof(kernel));
				packed.file[at] ^= masks[j];
			}
		free(packed.file);
	}
}

/* 64 MiB of zeros in a few KiB, in a file that says 4 MiB: it ends there. */
static void bombs(void **state)
{
	size_t bytes = 64u << 20;
	uint8_t *data = calloc(1, bytes);

	(void)state;
	assert_non_null(data);
	memcpy(data, kernel, sizeof(kernel));
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct packed packed = { 0 };
		uint8_t *stream;
		size_t used = packed_stream(formats[i], data, bytes, &stream);

		assert_true(used);
		MUST(packed_wrap(formats[i], stream, used, 4u << 20, &packed));
		assert_fails(&packed, "its payload is corrupt: ");
		free(packed.file);
		free(stream);
	}
	free(data);
}

static void something_follows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(formats); i++) {
		struct packed packed = { 0 };
		uint8_t *stream;
		size_t used = packed_stream(formats[i], kernel, sizeof(kernel), &stream);

		memset(stream + used, 0x5a, 32);
		MUST(packed_wrap(formats[i], stream, used + 32, sizeof(kernel), &packed));
		if (formats[i] == PAYLOAD_GZIP)
			packed_put(packed.file, PACKED_OFFSET + packed.payload_bytes - 4, 4, sizeof(kernel));
		assert_fails(&packed, "its payload is corrupt: ");
		free(packed.file);
		free(stream);
	}
}

static void impossible_lz4_blocks(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 0x808093, 0x7fffffff, 0x80000000, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct packed packed = { 0 };

		MUST(packed_make(PAYLOAD_LZ4, kernel, sizeof(kernel), &packed));
		packed_put(packed.file, PACKED_OFFSET + 4, 4, sizes[i]);
		assert_fails(&packed, "its payload is corrupt: LZ4: ");
		free(packed.file);
	}
}

/* An XZ stream that wants a dictionary of 4 GiB: refused before anything is allocated. */
static void greedy_xz(void **state)
{
	struct packed packed = { 0 };
	uint8_t *block, *filter;
	size_t header_bytes;

	(void)state;
	MUST(packed_make(PAYLOAD_XZ, kernel, sizeof(kernel), &packed));
	/* The block header follows the stream's 12 bytes: its size in words less one, then, somewhere, LZMA2 with its one byte of
	 * properties, at the end its CRC (xz-file-format, 3.1). */
	block = packed.file + PACKED_OFFSET + 12;
	header_bytes = (block[0] + (size_t)1) * 4;
	filter = memmem(block, header_bytes, "\x21\x01", 2);
	assert_non_null(filter);
	filter[2] = 40;
	packed_put(block, header_bytes - 4, 4, lzma_crc32(block, header_bytes - 4, 0));
	assert_fails(&packed, "XZ: it asks for more than 256 MiB");
	free(packed.file);
}

static void not_a_kernel(void **state)
{
	static const struct {
		size_t bytes;
		size_t offset;
		uint8_t value;
		const char *message;
	} cases[] = {
		{ KERNEL_BYTES, 0, 'M', "its payload is not an ELF file" },
		{ 63, 18, 62, "its payload is not an ELF file" },
		{ KERNEL_BYTES, 4, 1, "an ELF file, but not for x86_64" },
		{ KERNEL_BYTES, 5, 2, "an ELF file, but not for x86_64" },
		{ KERNEL_BYTES, 18, 183, "an ELF file, but not for x86_64" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct packed packed = { 0 };
		uint8_t data[KERNEL_BYTES];

		memcpy(data, kernel, sizeof(kernel));
		data[cases[i].offset] = cases[i].value;
		MUST(packed_make(formats[i % COUNT_OF(formats)], data, cases[i].bytes, &packed));
		assert_fails(&packed, cases[i].message);
		free(packed.file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format),
		cmocka_unit_test(many_blocks),
		cmocka_unit_test(headers_that_lie),
		cmocka_unit_test(sizes_that_lie),
		cmocka_unit_test(files_too_small_and_too_large),
		cmocka_unit_test(cut_streams),
		cmocka_unit_test(damaged_streams),
		cmocka_unit_test(bombs),
		cmocka_unit_test(something_follows),
		cmocka_unit_test(impossible_lz4_blocks),
		cmocka_unit_test(greedy_xz),
		cmocka_unit_test(not_a_kernel),
	};

	return cmocka_run_group_tests(tests, make_kernel, NULL);
}
