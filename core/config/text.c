/* SPDX-License-Identifier: BSD-3-Clause */
/* Scalars as text; see text.h. */
#include "core/config/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
	const char *suffix;
	uint64_t factor;
};

/* Ascending; of two with the same factor messages use the first. */
static const struct unit size_units[] = {
	{ "", UINT64_C(1) },          { "K", UINT64_C(1) << 10 },   { "KiB", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },   { "MiB", UINT64_C(1) << 20 }, { "G", UINT64_C(1) << 30 },
	{ "GiB", UINT64_C(1) << 30 }, { "T", UINT64_C(1) << 40 },   { "TiB", UINT64_C(1) << 40 },
};

static const struct unit duration_units[] = {
	{ "ns", UINT64_C(1) },
	{ "us", UINT64_C(1000) },
	{ "ms", UINT64_C(1000) * 1000 },
	{ "s", UINT64_C(1000) * 1000 * 1000 },
	{ "min", UINT64_C(60) * 1000 * 1000 * 1000 },
	{ "h", UINT64_C(3600) * 1000 * 1000 * 1000 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Takes all digits of `base` at *text and moves *text behind them. -EINVAL if there is none; on
 * -ERANGE *text has moved too, so that the caller can still find that the rest is no value at all.
 */
static int take_digits(const char **text, unsigned int base, uint64_t *ret)
{
	const char *at = *text;
	uint64_t number = 0;
	bool overflow = false;

	for (; digit_value(*at) < (int)base; at++)
		if (__builtin_mul_overflow(number, base, &number) ||
		    __builtin_add_overflow(number, (uint64_t)digit_value(*at), &number))
			overflow = true;
	if (at == *text)
		return -EINVAL;
	*text = at;
	if (overflow)
		return -ERANGE;
	*ret = number;
	return 0;
}

static int parse_digits(const char *text, unsigned int base, uint64_t *ret)
{
	uint64_t number;
	int r;

	r = take_digits(&text, base, &number);
	if (r == -EINVAL || *text)
		return -EINVAL;
	if (r < 0)
		return r;
	*ret = number;
	return 0;
}

static int parse_unit(const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
	uint64_t number;
	int r;

	r = take_digits(&text, 10, &number);
	if (r == -EINVAL)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].suffix) != 0)
			continue;
		if (r < 0 || __builtin_mul_overflow(number, units[i].factor, &number))
			return -ERANGE;
		*ret = number;
		return 0;
	}
	return -EINVAL;
}

int text_parse_bool(const char *text, bool *ret)
{
	if (!strcmp(text, "true"))
		*ret = true;
	else if (!strcmp(text, "false"))
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

int text_parse_uint(const char *text, uint64_t *ret)
{
	return parse_digits(text, 10, ret);
}

int text_parse_int(const char *text, int64_t *ret)
{
	bool negative = text[0] == '-';
	uint64_t number;
	int r;

	r = parse_digits(text + negative, 10, &number);
	if (r < 0)
		return r;
	if (number > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	*ret = (int64_t)(negative ? 0 - number : number);
	return 0;
}

int text_parse_size(const char *text, uint64_t *ret_bytes)
{
	return parse_unit(text, size_units, COUNT(size_units), ret_bytes);
}

int text_parse_duration(const char *text, uint64_t *ret_ns)
{
	return parse_unit(text, duration_units, COUNT(duration_units), ret_ns);
}

int text_parse_address(const char *text, uint64_t *ret)
{
	if (text[0] == '0' && text[1] == 'x')
		return parse_digits(text + 2, 16, ret);
	return parse_digits(text, 10, ret);
}

int text_parse_mac(const char *text, uint64_t *ret)
{
	uint64_t mac = 0;

	for (unsigned int i = 0; i < 6; i++) {
		int high, low;

		high = digit_value(text[0]);
		if (high > 15)
			return -EINVAL;
		low = digit_value(text[1]);
		if (low > 15)
			return -EINVAL;
		if (text[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac |= (uint64_t)(high << 4 | low) << (8 * i);
		text += 3;
	}
	*ret = mac;
	return 0;
}

static void format_unit(uint64_t number, const struct unit *units, size_t count, char *ret)
{
	const struct unit *best = &units[0];

	for (size_t i = 1; number && i < count; i++)
		if (units[i].factor > best->factor && number % units[i].factor == 0)
			best = &units[i];
	snprintf(ret, TEXT_NUMBER_MAX, "%" PRIu64 "%s", number / best->factor, best->suffix);
}

void text_format_size(uint64_t bytes, char ret[static TEXT_NUMBER_MAX])
{
	format_unit(bytes, size_units, COUNT(size_units), ret);
}

void text_format_duration(uint64_t ns, char ret[static TEXT_NUMBER_MAX])
{
	format_unit(ns, duration_units, COUNT(duration_units), ret);
}

/* Length of the sequence at `text`, or 0. RFC 3629, section 4. */
static size_t utf8_length(const unsigned char *text)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (text[0] < 0x80)
		return 1;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (text[0] == 0xe0)
		low = 0xa0;
	else if (text[0] == 0xed)
		high = 0x9f;
	else if (text[0] == 0xf0)
		low = 0x90;
	else if (text[0] == 0xf4)
		high = 0x8f;
	/* A NUL is no continuation byte, so this stops at the end of the text. */
	for (size_t i = 1; i < length; i++) {
		if (text[i] < low || text[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return length;
}

bool text_is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		size_t length = utf8_length(at);

		if (!length)
			return false;
		at += length;
	}
	return true;
}
