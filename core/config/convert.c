/* SPDX-License-Identifier: BSD-3-Clause */
/* One scalar of the tree as a value of a parameter; see convert.h. */
#include "core/config/convert.h"

#include "core/config/network.h"
#include "core/config/report.h"
#include "core/config/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICE_LIST_MAX 512 /* bytes of `"a", "b"` in a message; the rest is cut */

static const char *const expectations[] = {
	[BP_P_BOOL] = "true or false",
	[BP_P_INT] = "an integer",
	[BP_P_UINT] = "an integer",
	[BP_P_SIZE] = "a size such as \"512M\"",
	[BP_P_DURATION] = "a duration such as \"10ms\"",
	[BP_P_STRING] = "a string",
	[BP_P_CHOICE] = "a string",
	[BP_P_MAC] = "a MAC address such as \"52:54:00:12:34:56\"",
	[BP_P_ADDRESS] = "an address such as \"0xd0000000\"",
	[BP_P_FILE] = "a path",
	[BP_P_STREAM] = "\"terminal\", \"null\", \"file:PATH\", \"pty\", \"pty:LINK\" or \"unix:PATH\"",
	[BP_P_GROUP] = "a group",
	[BP_P_SOCKET] = "the path of a socket",
	[BP_P_NETWORK] = "\"tap\", \"tap:NAME\", \"fd:N\", \"passt\", \"connect:PATH\" or \"listen:PATH\"",
};

static_assert(sizeof(expectations) / sizeof(expectations[0]) == BP_P_NETWORK + 1, "one a type");

static int fail_type(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	char found[TREE_DESCRIPTION_MAX];

	tree_describe(node, found);
	return err_set(complaint, -EINVAL, "expected %s, found %s", expectations[param->type], found);
}

/* A text that is no value of the type: the type of the node is right, so only the text is shown. */
static int fail_text(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	struct tree_node shown = *node;

	shown.kind = TREE_TEXT;
	return fail_type(&shown, param, complaint);
}

/* A number as the file would write it. */
static void format_number(const struct param *param, uint64_t number, char ret[static TEXT_NUMBER_MAX])
{
	if (param->type == BP_P_SIZE)
		text_format_size(number, ret);
	else if (param->type == BP_P_DURATION)
		text_format_duration(number, ret);
	else if (param->type == BP_P_INT)
		snprintf(ret, TEXT_NUMBER_MAX, "%" PRId64, (int64_t)number);
	else
		snprintf(ret, TEXT_NUMBER_MAX, "%" PRIu64, number);
}

static int fail_range(const struct param *param, const char *shown, struct err *complaint)
{
	char min[TEXT_NUMBER_MAX], max[TEXT_NUMBER_MAX];

	if (!param_has_range(param))
		return err_set(complaint, -EINVAL, "%s is out of range", shown);
	format_number(param, (uint64_t)param->min, min);
	format_number(param, (uint64_t)param->max, max);
	if (param->max == INT64_MAX)
		return err_set(complaint, -EINVAL, "%s is out of range: at least %s", shown, min);
	if (param->min == INT64_MIN)
		return err_set(complaint, -EINVAL, "%s is out of range: at most %s", shown, max);
	return err_set(complaint, -EINVAL, "%s is out of range: %s to %s", shown, min, max);
}

static int parse_number(const struct param *param, const char *text, uint64_t *ret)
{
	int64_t number;
	int r;

	switch (param->type) {
	case BP_P_SIZE:
		return text_parse_size(text, ret);
	case BP_P_DURATION:
		return text_parse_duration(text, ret);
	case BP_P_ADDRESS:
		return text_parse_address(text, ret);
	case BP_P_MAC:
		return text_parse_mac(text, ret);
	case BP_P_UINT:
		r = text_parse_uint(text, ret);
		if (r != -EINVAL)
			return r;
		/* "-1" is an integer, if not one for us. */
		r = text_parse_int(text, &number);
		return r < 0 ? r : -ERANGE;
	default:
		r = text_parse_int(text, &number);
		if (r < 0)
			return r;
		*ret = (uint64_t)number;
		return 0;
	}
}

static int convert_number(const struct tree_node *node, const struct param *param, uint64_t *ret, struct err *complaint)
{
	bool is_integer = param->type == BP_P_INT || param->type == BP_P_UINT;
	char text[TEXT_NUMBER_MAX], shown[TEXT_NUMBER_MAX];
	const char *written = text;
	uint64_t number;
	int r;

	if (node->kind == TREE_TEXT || (node->kind == TREE_STRING && !is_integer))
		written = node->text;
	else if (node->kind == TREE_INTEGER && is_integer)
		snprintf(text, sizeof(text), "%" PRId64, node->integer);
	else
		return fail_type(node, param, complaint);
	r = parse_number(param, written, &number);
	if (r == -EINVAL)
		return fail_text(node, param, complaint);
	if (r < 0) {
		snprintf(shown, sizeof(shown), "%.20s%s", written, strlen(written) > 20 ? "..." : "");
		return fail_range(param, shown, complaint);
	}
	if (!param_in_range(param, number)) {
		format_number(param, number, shown);
		return fail_range(param, shown, complaint);
	}
	*ret = number;
	return 0;
}

static int convert_bool(const struct tree_node *node, const struct param *param, uint64_t *ret, struct err *complaint)
{
	bool flag = node->boolean;

	if (node->kind != TREE_BOOL && (node->kind != TREE_TEXT || text_parse_bool(node->text, &flag) < 0))
		return fail_type(node, param, complaint);
	*ret = flag;
	return 0;
}

static int convert_choice(const struct tree_node *node, const struct param *param, uint64_t *ret, struct err *complaint)
{
	struct nearest nearest = NEAREST_INIT(node->text);
	char found[TREE_DESCRIPTION_MAX], hint[NEAREST_HINT_MAX];
	struct tree_node shown = *node;
	char list[CHOICE_LIST_MAX];
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < param->choice_count; i++) {
		if (!strcmp(node->text, param->choices[i])) {
			*ret = i;
			return 0;
		}
		nearest_offer(&nearest, param->choices[i]);
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s\"%s\"", i ? ", " : "",
						 param->choices[i]);
	}
	shown.kind = TREE_TEXT;
	tree_describe(&shown, found);
	nearest_hint(&nearest, hint);
	return err_set(complaint, -EINVAL, "expected one of %s, found %s%s", list, found, hint);
}

/* Whether `text` is "KIND:PATH" with some path. */
static bool has_path(const char *text, const char *kind)
{
	size_t length = strlen(kind);

	return !strncmp(text, kind, length) && text[length] == ':' && text[length + 1];
}

/* A stream is one of the forms. */
static int check_stream(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	static const char *const words[] = { "terminal", "null", "pty" };
	const char *text = node->text;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(text, words[i]))
			return 0;
	if (has_path(text, "file") || has_path(text, "pty"))
		return 0;
	if (!has_path(text, "unix"))
		return fail_text(node, param, complaint);
	return network_check_path(&node->place, text + strlen("unix:"), 0, complaint);
}

static int check_socket(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	if (!node->text[0])
		return fail_text(node, param, complaint);
	return network_check_path(&node->place, node->text, param->flags & BP_P_CONNECT ? NETWORK_NUMBER_MAX : 0,
				  complaint);
}

static int check_network(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	const char *rest;

	if (network_form(node->text, &rest) == NETWORK_NONE)
		return fail_text(node, param, complaint);
	return network_check(&node->place, node->text, complaint);
}

/* What a plugin is promised of each string: its length, and UTF-8. */
static int check_text(const struct tree_node *node, const struct param *param, struct err *complaint)
{
	const char *text = node->text;

	if (node->kind != TREE_STRING && node->kind != TREE_TEXT)
		return fail_type(node, param, complaint);
	if (strnlen(text, SCHEMA_TEXT_MAX + 1) > SCHEMA_TEXT_MAX)
		return err_set(complaint, -EINVAL, "text is longer than %d bytes", SCHEMA_TEXT_MAX);
	if (!text_is_utf8(text))
		return err_set(complaint, -EINVAL, "text is not UTF-8");
	if (param->type == BP_P_FILE && !text[0])
		return fail_text(node, param, complaint);
	switch (param->type) {
	case BP_P_STREAM:
		return check_stream(node, param, complaint);
	case BP_P_SOCKET:
		return check_socket(node, param, complaint);
	case BP_P_NETWORK:
		return check_network(node, param, complaint);
	default:
		return 0;
	}
}

static int convert_text(const struct tree_node *node, const struct param *param, struct value *value,
			struct err *complaint)
{
	int r;

	r = check_text(node, param, complaint);
	if (r < 0)
		return r;
	if (param->type == BP_P_CHOICE) {
		r = convert_choice(node, param, &value->number, complaint);
		if (r < 0)
			return r;
	}
	value->text = strdup(node->text);
	if (!value->text)
		return config_no_memory(complaint);
	return 0;
}

int convert_scalar(const struct tree_node *node, const struct param *param, struct value *ret, struct err *complaint)
{
	struct value value = { .fd = -1, .fd_out = -1, .place = node->place };
	int r;

	switch (param->type) {
	case BP_P_BOOL:
		r = convert_bool(node, param, &value.number, complaint);
		break;
	case BP_P_STRING:
	case BP_P_CHOICE:
	case BP_P_FILE:
	case BP_P_STREAM:
	case BP_P_SOCKET:
	case BP_P_NETWORK:
		r = convert_text(node, param, &value, complaint);
		break;
	default:
		r = convert_number(node, param, &value.number, complaint);
		break;
	}
	if (r < 0)
		return r;
	*ret = value;
	return 0;
}
