/* SPDX-License-Identifier: BSD-3-Clause */
/* The AML writer: lengths and integers in their shortest form, and errors that stick. */
#include "core/machine/acpi/aml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A package with `content` bytes after its length, which counts them and itself. */
static void assert_package(size_t content, const char *length, size_t length_bytes)
{
	struct aml aml = AML_EMPTY;
	uint8_t *zeros = calloc(1, content);
	size_t mark;

	assert_non_null(zeros);
	mark = aml_package_begin(&aml, 0);
	aml_raw(&aml, zeros, content - 1); /* the count is the first one */
	aml_end(&aml, mark);
	assert_int_equal(aml.error, 0);
	assert_int_equal(aml.bytes, 1 + length_bytes + content);
	assert_memory_equal(aml.data + 1, length, length_bytes);
	aml_reset(&aml);
	free(zeros);
}

static void package_lengths_are_the_shortest(void **state)
{
	(void)state;
	assert_package(1, "\x02", 1);
	assert_package(61, "\x3e", 1);
	assert_package(62, "\x3f", 1);
	assert_package(63, "\x41\x04", 2); /* 65 */
	assert_package(64, "\x42\x04", 2);
	assert_package(4093, "\x4f\xff", 2);
	assert_package(4094, "\x81\x00\x01", 3); /* 4097 */
	assert_package(4095, "\x82\x00\x01", 3);
	assert_package(4096, "\x83\x00\x01", 3);
	assert_package(0xfffff - 3, "\x8f\xff\xff", 3);
	assert_package(0xfffff - 2, "\xc1\x00\x00\x01", 4);
}

static void integers_are_the_shortest(void **state)
{
	static const struct {
		uint64_t value;
		const char *bytes;
		size_t count;
	} cases[] = {
		{ 0, "\0", 1 },
		{ 1, "\1", 1 },
		{ 2, "\x0a\2", 2 },
		{ 0xff, "\x0a\xff", 2 },
		{ 0x100, "\x0b\0\1", 3 },
		{ 0xffff, "\x0b\xff\xff", 3 },
		{ 0x10000, "\x0c\0\0\1\0", 5 },
		{ 0x100000000, "\x0e\0\0\0\0\1\0\0\0", 9 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct aml aml = AML_EMPTY;

		aml_integer(&aml, cases[i].value);
		assert_int_equal(aml.bytes, cases[i].count);
		assert_memory_equal(aml.data, cases[i].bytes, cases[i].count);
		aml_reset(&aml);
	}
}

static void an_error_sticks(void **state)
{
	static const char *const names[] = { "", "ABCDE", "1ABC", "abcd", "\\_SB", "A.B" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct aml aml = AML_EMPTY;
		size_t mark = aml_scope_begin(&aml, names[i]);
		size_t bytes = aml.bytes;

		aml_integer(&aml, 5);
		aml_string(&aml, "text");
		aml_end(&aml, mark);
		assert_int_equal(aml.error, -EINVAL);
		assert_int_equal(aml.bytes, bytes);
		aml_reset(&aml);
		assert_int_equal(aml.error, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(package_lengths_are_the_shortest),
		cmocka_unit_test(integers_are_the_shortest),
		cmocka_unit_test(an_error_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
