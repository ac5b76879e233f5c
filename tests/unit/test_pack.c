/* SPDX-License-Identifier: BSD-3-Clause */
/* Plain data as bytes: what was packed comes out again, and no bytes of a hostile side get a reader beyond them. */
#include "core/base/pack.h"

#include "tests/unit/support.h"

#include <errno.h>

static struct pack_reader reader_of(const void *bytes, size_t count)
{
	struct pack_reader reader;

	unpack_begin(&reader, bytes, count);
	return reader;
}

static void pack_all(struct pack_writer *writer)
{
	pack_u32(writer, 0xdeadbeef);
	pack_u64(writer, UINT64_C(0x123456789abcdef0));
	pack_text(writer, "text");
	pack_text(writer, NULL);
	pack_text(writer, "");
	pack_bytes(writer, "\0\1\2", 3);
	pack_bytes(writer, NULL, 0);
}

static void what_is_packed_comes_out(void **state)
{
	struct pack_writer writer;
	struct pack_reader reader;
	uint8_t *bytes;
	const uint8_t *in_place;
	size_t count, inner;
	char *text;

	(void)state;
	pack_begin(&writer, 1000);
	pack_all(&writer);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	assert_int_equal(count, 4 + 8 + 8 + 4 + 4 + 7 + 4);
	/* Little endian on every machine. */
	assert_memory_equal(bytes, "\xef\xbe\xad\xde\xf0\xde", 6);
	reader = reader_of(bytes, count);
	assert_int_equal(unpack_u32(&reader), 0xdeadbeef);
	assert_int_equal(unpack_u64(&reader), UINT64_C(0x123456789abcdef0));
	text = unpack_text(&reader, 4);
	assert_string_equal(text, "text");
	free(text);
	assert_null(unpack_text(&reader, 4));
	text = unpack_text(&reader, 0);
	assert_string_equal(text, "");
	free(text);
	in_place = unpack_bytes(&reader, 3, &inner);
	assert_int_equal(inner, 3);
	assert_memory_equal(in_place, "\0\1\2", 3);
	assert_int_equal(unpack_end(&reader), -EBADMSG);
	assert_non_null(unpack_bytes(&reader, 0, &inner));
	assert_int_equal(inner, 0);
	assert_int_equal(unpack_end(&reader), 0);
	free(bytes);
}

static void a_writer_stops_at_its_limit(void **state)
{
	struct pack_writer writer;
	uint8_t *bytes = NULL;
	size_t count;

	(void)state;
	for (size_t limit = 0; limit <= 39; limit++) {
		pack_begin(&writer, limit);
		pack_all(&writer);
		assert_true(writer.count <= limit && writer.cap <= 256);
		assert_int_equal(pack_end(&writer, &bytes, &count), limit < 39 ? -E2BIG : 0);
	}
	free(bytes);
	/* After an error nothing more is taken, and afterwards it is as new. */
	pack_begin(&writer, 8);
	pack_u64(&writer, 1);
	pack_u32(&writer, 2);
	pack_u32(&writer, 3);
	assert_int_equal(pack_end(&writer, &bytes, &count), -E2BIG);
	pack_u64(&writer, 4);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	assert_int_equal(count, 8);
	free(bytes);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	assert_int_equal(count, 0);
	assert_null(bytes);
}

static void a_writer_grows(void **state)
{
	struct pack_writer writer;
	struct pack_reader reader;
	uint8_t *bytes;
	size_t count;

	(void)state;
	pack_begin(&writer, 100000);
	for (uint32_t i = 0; i < 25000; i++)
		pack_u32(&writer, i);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	reader = reader_of(bytes, count);
	for (uint32_t i = 0; i < 25000; i++)
		assert_int_equal(unpack_u32(&reader), i);
	assert_int_equal(unpack_end(&reader), 0);
	free(bytes);
}

/* Of exactly their size, so that a sanitizer sees each byte too far. */
static void short_bytes_are_an_error_that_stays(void **state)
{
	struct pack_writer writer;
	uint8_t *bytes;
	size_t count;

	(void)state;
	pack_begin(&writer, 1000);
	pack_all(&writer);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	for (size_t cut = 0; cut < count; cut++) {
		uint8_t *some = malloc(cut ? cut : 1);
		struct pack_reader reader;
		size_t inner;

		assert_non_null(some);
		memcpy(some, bytes, cut);
		reader = reader_of(some, cut);
		unpack_u32(&reader);
		unpack_u64(&reader);
		free(unpack_text(&reader, 100));
		free(unpack_text(&reader, 100));
		free(unpack_text(&reader, 100));
		unpack_bytes(&reader, 100, &inner);
		unpack_bytes(&reader, 100, &inner);
		assert_int_equal(unpack_end(&reader), -EBADMSG);
		assert_int_equal(unpack_u32(&reader), 0);
		assert_int_equal(unpack_u64(&reader), 0);
		assert_int_equal(unpack_count(&reader, 5), 0);
		assert_null(unpack_text(&reader, 100));
		assert_null(unpack_bytes(&reader, 100, &inner));
		assert_int_equal(inner, 0);
		assert_int_equal(unpack_end(&reader), -EBADMSG);
		free(some);
	}
	free(bytes);
}

static void refuse_text(const char *bytes, size_t count, size_t max)
{
	struct pack_reader reader = reader_of(bytes, count);

	assert_null(unpack_text(&reader, max));
	assert_int_equal(unpack_end(&reader), -EBADMSG);
}

static void hostile_lengths(void **state)
{
	struct pack_reader reader;
	size_t inner;

	(void)state;
	refuse_text("\4\0\0\0abcd", 8, 3);   /* longer than allowed */
	refuse_text("\5\0\0\0abcd", 8, 100); /* longer than there is */
	refuse_text("\xfe\xff\xff\xff"
		    "abcd",
		    8, SIZE_MAX);
	refuse_text("\4\0\0\0a\0cd", 8, 100);      /* NUL within */
	refuse_text("\4\0\0\0abc\0", 8, 100);      /* NUL at its end */
	reader = reader_of("\xff\xff\xff\xff", 4); /* NULL, which bytes cannot be */
	assert_null(unpack_bytes(&reader, SIZE_MAX, &inner));
	assert_int_equal(unpack_end(&reader), -EBADMSG);
	reader = reader_of("\5\0\0\0", 4);
	assert_int_equal(unpack_count(&reader, 5), 5);
	assert_int_equal(unpack_end(&reader), 0);
	reader = reader_of("\6\0\0\0", 4);
	assert_int_equal(unpack_count(&reader, 5), 0);
	assert_int_equal(unpack_end(&reader), -EBADMSG);
	reader = reader_of(NULL, 0);
	assert_int_equal(unpack_end(&reader), 0);
	assert_int_equal(unpack_u32(&reader), 0);
	assert_int_equal(unpack_end(&reader), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_packed_comes_out), cmocka_unit_test(a_writer_stops_at_its_limit),
		cmocka_unit_test(a_writer_grows),           cmocka_unit_test(short_bytes_are_an_error_that_stays),
		cmocka_unit_test(hostile_lengths),
	};

	return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
