/* SPDX-License-Identifier: BSD-3-Clause */
/* What the text of a value means, for the fake host's parameters; see fakehost_impl.h. */
#include "fakehost_impl.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{ "", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "min", UINT64_C(60000000000) },
	{ "h", UINT64_C(3600000000000) },
	{ NULL, 0 },
};

static bool parse_units(const char *text, const struct unit *units, uint64_t *ret)
{
	uint64_t number;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	for (; units->name; units++)
		if (!strcmp(end, units->name))
			return !__builtin_mul_overflow(number, units->factor, ret);
	return false;
}

/* Six pairs of hexadecimal digits; the first byte is the lowest of the number. */
static bool parse_mac(const char *text, uint64_t *ret)
{
	static const char pattern[] = "hh:hh:hh:hh:hh:hh";
	uint64_t number = 0;

	if (strlen(text) != sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; i < sizeof(pattern) - 1; i++)
		if (pattern[i] == 'h' ? !isxdigit((unsigned char)text[i]) : text[i] != pattern[i])
			return false;
	for (unsigned int byte = 0; byte < 6; byte++)
		number |= (uint64_t)strtoul(text + (size_t)3 * byte, NULL, 16) << 8 * byte;
	*ret = number;
	return true;
}

static bool parse_choice(const struct bp_param *param, const char *text, uint64_t *ret)
{
	for (uint64_t i = 0; param->choices && param->choices[i]; i++) {
		if (!strcmp(param->choices[i], text)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

bool fake_parse(const struct bp_param *param, const char *text, uint64_t *ret)
{
	static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };
	char *end;

	*ret = 0;
	switch (param->type) {
	case BP_P_BOOL:
		*ret = !strcmp(text, "true");
		return *ret || !strcmp(text, "false");
	case BP_P_INT:
		errno = 0;
		*ret = (uint64_t)strtoll(text, &end, 10);
		return *text && !*end && !errno;
	case BP_P_UINT:
		return parse_units(text, no_units, ret);
	case BP_P_SIZE:
		return parse_units(text, size_units, ret);
	case BP_P_DURATION:
		return parse_units(text, duration_units, ret);
	case BP_P_ADDRESS:
		errno = 0;
		*ret = strtoull(text, &end, 0);
		return *text >= '0' && *text <= '9' && !*end && !errno;
	case BP_P_CHOICE:
		return parse_choice(param, text, ret);
	case BP_P_MAC:
		return parse_mac(text, ret);
	case BP_P_SOCKET:
		return *text != '\0';
	case BP_P_NETWORK:
		return fake_network_ok(text);
	default:
		return param->type >= BP_P_BOOL && param->type < BP_P_GROUP;
	}
}

bool fake_in_bounds(const struct bp_param *param, uint64_t number)
{
	if (!param->min && !param->max)
		return true;
	if (param->type == BP_P_INT)
		return (int64_t)number >= param->min && (int64_t)number <= param->max;
	if (param->type != BP_P_UINT && param->type != BP_P_SIZE && param->type != BP_P_DURATION)
		return true;
	return number <= INT64_MAX && (int64_t)number >= param->min && (int64_t)number <= param->max;
}
