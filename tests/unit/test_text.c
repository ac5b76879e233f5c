/* SPDX-License-Identifier: BSD-3-Clause */
/* Scalars as text: what is a value, what is none, what is too large, and how a message writes it. */
#include "core/config/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED    UINT64_C(0x5a5a5a5a5a5a5a5a)

struct number_case {
	const char *text;
	int r;
	uint64_t number;
};

static void check_numbers(int (*parse)(const char *, uint64_t *), const struct number_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t number = UNTOUCHED;
		int r = parse(cases[i].text, &number);

		if (r != cases[i].r)
			fail_msg("\"%s\": %d instead of %d", cases[i].text, r, cases[i].r);
		if (number != (r < 0 ? UNTOUCHED : cases[i].number))
			fail_msg("\"%s\": %llu", cases[i].text, (unsigned long long)number);
	}
}

static void sizes(void **state)
{
	static const struct number_case cases[] = {
		{ "0", 0, 0 },
		{ "4096", 0, 4096 },
		{ "4K", 0, 4096 },
		{ "4KiB", 0, 4096 },
		{ "512M", 0, UINT64_C(512) << 20 },
		{ "512MiB", 0, UINT64_C(512) << 20 },
		{ "3G", 0, UINT64_C(3) << 30 },
		{ "3GiB", 0, UINT64_C(3) << 30 },
		{ "1T", 0, UINT64_C(1) << 40 },
		{ "1TiB", 0, UINT64_C(1) << 40 },
		{ "007K", 0, 7168 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18014398509481983K", 0, UINT64_MAX - 1023 },
		{ "16777215T", 0, UINT64_C(16777215) << 40 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "18014398509481984K", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 },
		{ "99999999999999999999999T", -ERANGE, 0 },
		{ "99999999999999999999999Q", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "K", -EINVAL, 0 },
		{ "4k", -EINVAL, 0 },
		{ "4KB", -EINVAL, 0 },
		{ "4Ki", -EINVAL, 0 },
		{ "4 K", -EINVAL, 0 },
		{ " 4K", -EINVAL, 0 },
		{ "4K ", -EINVAL, 0 },
		{ "+4K", -EINVAL, 0 },
		{ "-4K", -EINVAL, 0 },
		{ "4.5K", -EINVAL, 0 },
		{ "0x1000", -EINVAL, 0 },
		{ "4KK", -EINVAL, 0 },
		{ "4K\n", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_size, cases, COUNT(cases));
}

static void durations(void **state)
{
	static const struct number_case cases[] = {
		{ "0ns", 0, 0 },
		{ "7ns", 0, 7 },
		{ "7us", 0, 7000 },
		{ "10ms", 0, 10000000 },
		{ "10s", 0, UINT64_C(10000000000) },
		{ "2min", 0, UINT64_C(120000000000) },
		{ "1h", 0, UINT64_C(3600000000000) },
		{ "18446744073709551615ns", 0, UINT64_MAX },
		{ "18446744073709551616ns", -ERANGE, 0 },
		{ "18446744073710s", -ERANGE, 0 },
		{ "5124096h", -ERANGE, 0 },
		{ "10", -EINVAL, 0 },
		{ "0", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "ms", -EINVAL, 0 },
		{ "10 ms", -EINVAL, 0 },
		{ "1.5s", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "10m", -EINVAL, 0 },
		{ "10MS", -EINVAL, 0 },
		{ "10sec", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_duration, cases, COUNT(cases));
}

static void addresses(void **state)
{
	static const struct number_case cases[] = {
		{ "0xd0000000", 0, 0xd0000000 },
		{ "0xD000aBcD", 0, 0xd000abcd },
		{ "1016", 0, 1016 },
		{ "0x0", 0, 0 },
		{ "0", 0, 0 },
		{ "010", 0, 10 },
		{ "0xffffffffffffffff", 0, UINT64_MAX },
		{ "0x0000000000000000001", 0, 1 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0x10000000000000000", -ERANGE, 0 },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "0x", -EINVAL, 0 },
		{ "0X10", -EINVAL, 0 },
		{ "0xg", -EINVAL, 0 },
		{ "0x10 ", -EINVAL, 0 },
		{ "d0000000", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "0x10000000000000000z", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_address, cases, COUNT(cases));
}

static void unsigned_integers(void **state)
{
	static const struct number_case cases[] = {
		{ "0", 0, 0 },
		{ "32", 0, 32 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-0", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "0x1", -EINVAL, 0 },
		{ "1e3", -EINVAL, 0 },
		{ "two", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_uint, cases, COUNT(cases));
}

static void macs(void **state)
{
	static const struct number_case cases[] = {
		{ "52:54:00:12:34:56", 0, UINT64_C(0x563412005452) },
		{ "ff:FF:aA:Bb:00:01", 0, UINT64_C(0x0100bbaaffff) },
		{ "00:00:00:00:00:00", 0, 0 },
		{ "", -EINVAL, 0 },
		{ "52:54:00:12:34", -EINVAL, 0 },
		{ "52:54:00:12:34:", -EINVAL, 0 },
		{ "52:54:00:12:34:5", -EINVAL, 0 },
		{ "52:54:00:12:34:56:78", -EINVAL, 0 },
		{ "52-54-00-12-34-56", -EINVAL, 0 },
		{ "5:54:00:12:34:56", -EINVAL, 0 },
		{ "52:54:00:12:34:5g", -EINVAL, 0 },
		{ "525400123456", -EINVAL, 0 },
	};

	(void)state;
	check_numbers(text_parse_mac, cases, COUNT(cases));
}

static void signed_integers(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t number;
	} cases[] = {
		{ "0", 0, 0 },
		{ "-0", 0, 0 },
		{ "-5", 0, -5 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "-9223372036854775808", 0, INT64_MIN },
		{ "9223372036854775808", -ERANGE, 0 },
		{ "-9223372036854775809", -ERANGE, 0 },
		{ "-99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-", -EINVAL, 0 },
		{ "--1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "- 1", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t number = 77;
		int r = text_parse_int(cases[i].text, &number);

		if (r != cases[i].r || number != (r < 0 ? 77 : cases[i].number))
			fail_msg("\"%s\": %d, %lld", cases[i].text, r, (long long)number);
	}
}

static void bools(void **state)
{
	static const char *const wrong[] = { "", "True", "TRUE", "yes", "no", "1", "0", "on", "t", "false ", " true" };
	bool flag = false;

	(void)state;
	assert_int_equal(text_parse_bool("true", &flag), 0);
	assert_true(flag);
	assert_int_equal(text_parse_bool("false", &flag), 0);
	assert_false(flag);
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (text_parse_bool(wrong[i], &flag) != -EINVAL)
			fail_msg("\"%s\" is a bool", wrong[i]);
}

static void formats(void **state)
{
	static const struct {
		void (*format)(uint64_t number, char *ret);
		uint64_t number;
		const char *text;
	} cases[] = {
		{ text_format_size, 0, "0" },
		{ text_format_size, 1, "1" },
		{ text_format_size, 1023, "1023" },
		{ text_format_size, 1024, "1K" },
		{ text_format_size, 1536, "1536" },
		{ text_format_size, UINT64_C(1536) * 1024, "1536K" },
		{ text_format_size, UINT64_C(512) << 20, "512M" },
		{ text_format_size, UINT64_C(3) << 30, "3G" },
		{ text_format_size, UINT64_C(2048) << 40, "2048T" },
		{ text_format_size, UINT64_MAX, "18446744073709551615" },
		{ text_format_duration, 0, "0ns" },
		{ text_format_duration, 1, "1ns" },
		{ text_format_duration, 1500, "1500ns" },
		{ text_format_duration, 10000000, "10ms" },
		{ text_format_duration, UINT64_C(90000000000), "90s" },
		{ text_format_duration, UINT64_C(120000000000), "2min" },
		{ text_format_duration, UINT64_C(7200000000000), "2h" },
		{ text_format_duration, UINT64_MAX, "18446744073709551615ns" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[TEXT_NUMBER_MAX];

		cases[i].format(cases[i].number, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void utf8(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "", true },
		{ "abc", true },
		{ "\xc3\xa4", true },
		{ "\xe2\x82\xac", true },
		{ "\xf0\x9f\x98\x80", true },
		{ "\xf4\x8f\xbf\xbf", true },
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xc3(", false },
		{ "\xc0\xaf", false },
		{ "\xe0\x80\xaf", false },
		{ "\xed\xa0\x80", false },
		{ "\xf0\x80\x80\x80", false },
		{ "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xe2\x82", false },
		{ "\xff", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		if (text_is_utf8(cases[i].text) != cases[i].ok)
			fail_msg("case %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(addresses),
		cmocka_unit_test(unsigned_integers),
		cmocka_unit_test(signed_integers),
		cmocka_unit_test(macs),
		cmocka_unit_test(bools),
		cmocka_unit_test(formats),
		cmocka_unit_test(utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
