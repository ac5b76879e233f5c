/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Schemas; see schema.h. A plugin's table is hostile input: entries are read once, at the stride
 * that the plugin was built with, into a struct of ours; strings are copied with a bound before
 * they are looked at; groups, which may point back at themselves, are bounded in depth and in
 * total.
 */
#include "core/base/schema.h"

#include <backplane/network.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every version of the table has. */
#define STRIDE_MIN   (offsetof(struct bp_param, help) + sizeof(const char *))
#define STRIDE_MAX   1024
#define FLAGS_SOCKET (BP_P_LISTEN | BP_P_CONNECT)
#define FLAGS_KNOWN  (BP_P_REQUIRED | BP_P_REPEATED | BP_P_WRITE | FLAGS_SOCKET)
/* "limit.burst.size": a label in messages. */
#define LABEL_MAX    ((SCHEMA_DEPTH_MAX + 1) * (SCHEMA_NAME_MAX + 1) + 1)

static const char *const type_names[] = {
	[BP_P_BOOL] = "bool",         [BP_P_INT] = "int",         [BP_P_UINT] = "uint",     [BP_P_SIZE] = "size",
	[BP_P_DURATION] = "duration", [BP_P_STRING] = "string",   [BP_P_CHOICE] = "choice", [BP_P_MAC] = "mac",
	[BP_P_ADDRESS] = "address",   [BP_P_FILE] = "file",       [BP_P_STREAM] = "stream", [BP_P_GROUP] = "group",
	[BP_P_SOCKET] = "socket",     [BP_P_NETWORK] = "network",
};

static_assert(sizeof(type_names) / sizeof(type_names[0]) == BP_P_NETWORK + 1, "one name a type");

/* One run of schema_copy(). */
struct copying {
	size_t total; /* parameters so far */
	struct err *err;
};

static int copy_table(struct copying *copying, const struct bp_param *table, uint32_t stride, uint32_t count,
		      unsigned int depth, const char *prefix, struct schema **ret);

const char *schema_type_name(uint32_t type)
{
	if (type < BP_P_BOOL || type > BP_P_NETWORK)
		return "?";
	return type_names[type];
}

bool schema_name_ok(const char *text, const char *extra, size_t max)
{
	size_t length;

	if (text[0] < 'a' || text[0] > 'z')
		return false;
	for (length = 1; text[length]; length++) {
		char c = text[length];

		if (length >= max)
			return false;
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !strchr(extra, c))
			return false;
	}
	return true;
}

int schema_find(const struct schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->count; i++)
		if (!strcmp(schema->params[i].name, name))
			return (int)i;
	return -1;
}

static void param_clear(struct param *param)
{
	for (size_t i = 0; i < param->choice_count; i++)
		free(param->choices[i]);
	free(param->choices);
	free(param->name);
	free(param->def);
	free(param->help);
	free(param->readonly_param);
	free(param->pairs_param);
	schema_free(param->group);
}

void schema_free(struct schema *schema)
{
	if (!schema)
		return;
	for (size_t i = 0; i < schema->count; i++)
		param_clear(&schema->params[i]);
	free(schema->params);
	free(schema);
}

/* Copies a string of at most `max` bytes. 0, -E2BIG or -ENOMEM. */
static int copy_string(const char *from, size_t max, char **ret)
{
	char *copy = strndup(from, max + 1);

	if (!copy)
		return -ENOMEM;
	if (strlen(copy) > max) {
		free(copy);
		return -E2BIG;
	}
	*ret = copy;
	return 0;
}

/* Whether each byte is within `low` to 0xff, DEL excepted. */
static bool bytes_from(const char *text, unsigned char low)
{
	for (; *text; text++)
		if ((unsigned char)*text < low || *text == 0x7f)
			return false;
	return true;
}

/* An optional line of text: `def` or `help`. */
static int copy_line(struct copying *copying, const char *from, const char *label, const char *what, char **ret)
{
	int r;

	if (!from)
		return 0;
	r = copy_string(from, SCHEMA_TEXT_MAX, ret);
	if (r == -ENOMEM)
		return err_set(copying->err, r, "out of memory");
	if (r < 0)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": its %s is longer than %d bytes", label, what,
			       SCHEMA_TEXT_MAX);
	if (!bytes_from(*ret, ' '))
		return err_set(copying->err, -EINVAL, "parameter \"%s\": its %s has a control character", label, what);
	return 0;
}

static int copy_choices(struct copying *copying, const char *const *choices, const char *label, struct param *param)
{
	param->choices = calloc(SCHEMA_CHOICES_MAX, sizeof(*param->choices));
	if (!param->choices)
		return err_set(copying->err, -ENOMEM, "out of memory");
	for (;;) {
		const char *from = choices[param->choice_count];
		char *choice;
		int r;

		if (!from)
			break;
		if (param->choice_count == SCHEMA_CHOICES_MAX)
			return err_set(copying->err, -EINVAL, "parameter \"%s\": more than %d choices", label,
				       SCHEMA_CHOICES_MAX);
		r = copy_string(from, SCHEMA_NAME_MAX, &choice);
		if (r == -ENOMEM)
			return err_set(copying->err, r, "out of memory");
		if (r < 0)
			return err_set(copying->err, -EINVAL, "parameter \"%s\": choice %zu is longer than %d bytes",
				       label, param->choice_count, SCHEMA_NAME_MAX);
		param->choices[param->choice_count++] = choice;
		if (!choice[0] || !bytes_from(choice, '!'))
			return err_set(copying->err, -EINVAL, "parameter \"%s\": choice %zu is not a word", label,
				       param->choice_count - 1);
		for (size_t i = 0; i + 1 < param->choice_count; i++)
			if (!strcmp(param->choices[i], choice))
				return err_set(copying->err, -EINVAL, "parameter \"%s\": choice \"%s\" stands twice",
					       label, choice);
	}
	if (!param->choice_count)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": no choices", label);
	return 0;
}

static bool type_has_range(uint32_t type)
{
	return type == BP_P_INT || type == BP_P_UINT || type == BP_P_SIZE || type == BP_P_DURATION;
}

/* What is wrong with an entry apart from its texts; NULL: nothing. */
static const char *entry_complaint(const struct bp_param *raw)
{
	if (raw->flags & ~FLAGS_KNOWN)
		return "unknown flags";
	if ((raw->flags & BP_P_WRITE) && raw->type != BP_P_FILE)
		return "BP_P_WRITE is for files";
	if ((raw->flags & FLAGS_SOCKET) && raw->type != BP_P_SOCKET)
		return "BP_P_LISTEN and BP_P_CONNECT are for sockets";
	if (!(raw->flags & FLAGS_SOCKET) && raw->type == BP_P_SOCKET)
		return "a socket without BP_P_LISTEN or BP_P_CONNECT";
	if ((raw->min || raw->max) && !type_has_range(raw->type))
		return "a range is for int, uint, size and duration";
	if (raw->min > raw->max)
		return "min is greater than max";
	if (raw->min < 0 && raw->type != BP_P_INT)
		return "min is negative";
	if (raw->def && (raw->flags & BP_P_REQUIRED))
		return "required, yet with a default";
	if (raw->def && (raw->flags & BP_P_REPEATED))
		return "repeated, yet with a default";
	if (raw->def && raw->type == BP_P_GROUP)
		return "a group, yet with a default";
	if (raw->choices && raw->type != BP_P_CHOICE)
		return "choices without being a choice";
	if (!raw->choices && raw->type == BP_P_CHOICE)
		return "no choices";
	if ((raw->group || raw->group_count) && raw->type != BP_P_GROUP)
		return "a table without being a group";
	if ((!raw->group || !raw->group_count) && raw->type == BP_P_GROUP)
		return "a group without a table";
	return NULL;
}

/* Copies one entry into `param`, which the caller clears on failure too. */
static int copy_entry(struct copying *copying, const struct bp_param *raw, unsigned int depth, const char *label,
		      struct param *param)
{
	const char *complaint;
	int r;

	if (raw->type < BP_P_BOOL || raw->type > BP_P_NETWORK)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": unknown type %" PRIu32, label, raw->type);
	complaint = entry_complaint(raw);
	if (complaint)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": %s", label, complaint);
	if (depth && (raw->type == BP_P_NETWORK || (raw->flags & BP_P_CONNECT)))
		return err_set(copying->err, -EINVAL,
			       "parameter \"%s\": what bp_connect() reaches stands in the device's own table, not in "
			       "a group",
			       label);
	param->type = raw->type;
	param->flags = raw->flags;
	param->min = raw->min;
	param->max = raw->max;
	r = copy_line(copying, raw->def, label, "default", &param->def);
	if (r < 0)
		return r;
	r = copy_line(copying, raw->help, label, "help text", &param->help);
	if (r < 0)
		return r;
	r = copy_line(copying, raw->readonly_param, label, "readonly parameter", &param->readonly_param);
	if (r < 0)
		return r;
	r = copy_line(copying, raw->pairs_param, label, "pairs parameter", &param->pairs_param);
	if (r < 0)
		return r;
	if (raw->type == BP_P_CHOICE)
		return copy_choices(copying, raw->choices, label, param);
	if (raw->type != BP_P_GROUP)
		return 0;
	if (depth == SCHEMA_DEPTH_MAX)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": groups are more than %d deep", label,
			       SCHEMA_DEPTH_MAX);
	return copy_table(copying, raw->group, raw->group_stride, raw->group_count, depth + 1, label, &param->group);
}

/* Copies the name first, so that every later complaint can say it. */
static int copy_param(struct copying *copying, const struct bp_param *raw, uint32_t index, unsigned int depth,
		      const char *prefix, struct schema *schema)
{
	struct param *param = &schema->params[schema->count];
	const char *dot = prefix[0] ? "." : "";
	char label[LABEL_MAX];
	char *name;
	int r;

	snprintf(label, sizeof(label), "%s%s#%" PRIu32, prefix, dot, index);
	if (++copying->total > SCHEMA_TOTAL_MAX)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": more than %d parameters", label,
			       SCHEMA_TOTAL_MAX);
	if (!raw->name)
		return err_set(copying->err, -EINVAL, "parameter \"%s\": no name", label);
	r = copy_string(raw->name, SCHEMA_NAME_MAX, &name);
	if (r == -ENOMEM)
		return err_set(copying->err, r, "out of memory");
	if (r < 0 || !schema_name_ok(name, "_", SCHEMA_NAME_MAX)) {
		if (!r)
			free(name);
		return err_set(copying->err, -EINVAL,
			       "parameter \"%s\": its name is not [a-z][a-z0-9_]* of at most %d bytes", label,
			       SCHEMA_NAME_MAX);
	}
	snprintf(label, sizeof(label), "%s%s%s", prefix, dot, name);
	if (schema_find(schema, name) >= 0) {
		free(name);
		return err_set(copying->err, -EINVAL, "parameter \"%s\": stands twice", label);
	}
	param->name = name;
	schema->count++; /* from here on schema_free() knows it */
	return copy_entry(copying, raw, depth, label, param);
}

/* The parameter of that name and type, which has one value at most; NULL: there is none. */
static const struct param *find_other(const struct schema *schema, const char *name, uint32_t type)
{
	int index = schema_find(schema, name);

	if (index < 0 || schema->params[index].type != type || (schema->params[index].flags & BP_P_REPEATED))
		return NULL;
	return &schema->params[index];
}

static int check_readonly(struct copying *copying, const struct schema *schema, const struct param *param,
			  const char *prefix)
{
	const char *dot = prefix[0] ? "." : "";

	if (param->type != BP_P_FILE || !(param->flags & BP_P_WRITE))
		return err_set(copying->err, -EINVAL,
			       "parameter \"%s%s%s\": only a file that is written has a readonly parameter", prefix,
			       dot, param->name);
	if (!find_other(schema, param->readonly_param, BP_P_BOOL))
		return err_set(copying->err, -EINVAL,
			       "parameter \"%s%s%s\": its readonly parameter \"%s\" is not one of type bool", prefix,
			       dot, param->name, param->readonly_param);
	return 0;
}

static int check_pairs(struct copying *copying, const struct schema *schema, const struct param *param,
		       const char *prefix)
{
	const struct param *pairs = find_other(schema, param->pairs_param, BP_P_UINT);
	const char *dot = prefix[0] ? "." : "";

	if (param->type != BP_P_NETWORK)
		return err_set(copying->err, -EINVAL, "parameter \"%s%s%s\": only a network has a pairs parameter",
			       prefix, dot, param->name);
	/* So that whatever a configuration says can be opened. */
	if (!pairs || pairs->min < 1 || pairs->max > (int64_t)BP_NETWORK_FDS_MAX)
		return err_set(copying->err, -EINVAL,
			       "parameter \"%s%s%s\": its pairs parameter \"%s\" is not one of type uint with a "
			       "range within 1 to %u",
			       prefix, dot, param->name, param->pairs_param, BP_NETWORK_FDS_MAX);
	return 0;
}

/* What a parameter says of another one has to be true. */
static int check_table(struct copying *copying, const struct schema *schema, const char *prefix)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct param *param = &schema->params[i];
		int r = 0;

		if (param->readonly_param)
			r = check_readonly(copying, schema, param, prefix);
		if (r == 0 && param->pairs_param)
			r = check_pairs(copying, schema, param, prefix);
		if (r < 0)
			return r;
	}
	return 0;
}

static int copy_table(struct copying *copying, const struct bp_param *table, uint32_t stride, uint32_t count,
		      unsigned int depth, const char *prefix, struct schema **ret)
{
	const char *of = prefix[0] ? prefix : "parameters";
	struct schema *schema;
	int r;

	if (count && !table)
		return err_set(copying->err, -EINVAL, "table of \"%s\": missing", of);
	if (count && (stride < STRIDE_MIN || stride > STRIDE_MAX || stride % _Alignof(struct bp_param)))
		return err_set(copying->err, -EINVAL, "table of \"%s\": entries of %" PRIu32 " bytes", of, stride);
	if (count > SCHEMA_PARAMS_MAX)
		return err_set(copying->err, -EINVAL, "table of \"%s\": %" PRIu32 " parameters, at most %d are allowed",
			       of, count, SCHEMA_PARAMS_MAX);
	schema = calloc(1, sizeof(*schema));
	if (!schema)
		return err_set(copying->err, -ENOMEM, "out of memory");
	schema->params = calloc(count ? count : 1, sizeof(*schema->params));
	if (!schema->params) {
		r = err_set(copying->err, -ENOMEM, "out of memory");
		goto fail;
	}
	for (uint32_t i = 0; i < count; i++) {
		size_t bytes = stride < sizeof(struct bp_param) ? stride : sizeof(struct bp_param);
		struct bp_param raw = { .name = NULL };

		memcpy(&raw, (const char *)table + (size_t)i * stride, bytes);
		r = copy_param(copying, &raw, i, depth, prefix, schema);
		if (r < 0)
			goto fail;
	}
	r = check_table(copying, schema, prefix);
	if (r < 0)
		goto fail;
	*ret = schema;
	return 0;
fail:
	schema_free(schema);
	return r;
}

int schema_copy(const struct bp_param *table, uint32_t stride, uint32_t count, struct schema **ret, struct err *err)
{
	struct copying copying = { .err = err };

	return copy_table(&copying, table, stride, count, 0, "", ret);
}
