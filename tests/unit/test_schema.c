/* SPDX-License-Identifier: BSD-3-Clause */
/* Schemas: a good table is copied whole, and no bad one gets through, whatever a plugin puts there. */
#include "core/base/schema.h"

#include "core/base/values.h"

#include <backplane/device.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TABLE(table) (table), sizeof((table)[0]), (uint32_t)COUNT(table)
#define NAME_31      "a234567890123456789012345678901"
#define NAME_32      (NAME_31 "2")
#define OF_16        "0123456789abcdef"
#define OF_256       OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16 OF_16
#define OF_4096                                                                                                   \
	(OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 OF_256 \
	     OF_256)

static const char *const engines[] = { "sync", "io_uring", NULL };

static const struct bp_param limit_params[] = {
	{ .name = "size", .type = BP_P_SIZE, .flags = BP_P_REQUIRED, .min = 1, .max = INT64_MAX },
	{ .name = "refill", .type = BP_P_DURATION, .def = "1s", .help = "time to fill up" },
};

static const struct bp_param good[] = {
	{ .name = "path", .type = BP_P_FILE, .flags = BP_P_REQUIRED | BP_P_WRITE, .help = "image" },
	{ .name = "engine", .type = BP_P_CHOICE, .def = "sync", .choices = engines },
	{ .name = "offset", .type = BP_P_INT, .def = "-1", .min = -5, .max = 5 },
	{ .name = "tags", .type = BP_P_STRING, .flags = BP_P_REPEATED },
	{
	    .name = "limit",
	    .type = BP_P_GROUP,
	    .group = limit_params,
	    .group_stride = sizeof(struct bp_param),
	    .group_count = COUNT(limit_params),
	},
	{ .name = NAME_31, .type = BP_P_BOOL },
};

static void copies_everything(void **state)
{
	struct err err = ERR_NONE;
	struct schema *schema;
	const struct param *param;

	(void)state;
	assert_int_equal(schema_copy(TABLE(good), &schema, &err), 0);
	assert_string_equal(err.text, "");
	assert_int_equal(schema->count, COUNT(good));
	param = &schema->params[schema_find(schema, "path")];
	assert_int_equal(param->type, BP_P_FILE);
	assert_int_equal(param->flags, BP_P_REQUIRED | BP_P_WRITE);
	assert_null(param->def);
	assert_string_equal(param->help, "image");
	assert_ptr_not_equal(param->help, good[0].help);
	param = &schema->params[schema_find(schema, "engine")];
	assert_int_equal(param->choice_count, 2);
	assert_string_equal(param->choices[1], "io_uring");
	assert_string_equal(param->def, "sync");
	param = &schema->params[schema_find(schema, "offset")];
	assert_true(param_has_range(param));
	assert_int_equal(param->min, -5);
	assert_int_equal(param->max, 5);
	param = &schema->params[schema_find(schema, "limit")];
	assert_int_equal(param->group->count, 2);
	assert_string_equal(param->group->params[1].name, "refill");
	assert_int_equal(schema_find(schema, "limits"), -1);
	schema_free(schema);
	schema_free(NULL);
}

static void an_empty_table_is_a_schema(void **state)
{
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	assert_int_equal(schema_copy(NULL, 0, 0, &schema, &err), 0);
	assert_int_equal(schema->count, 0);
	schema_free(schema);
}

/* A plugin built against later headers has longer entries. */
static void entries_may_be_longer(void **state)
{
	struct {
		struct bp_param param;
		uint64_t later;
	} table[2] = { { good[0], UINT64_MAX }, { good[1], UINT64_MAX } };
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	assert_int_equal(schema_copy(&table[0].param, sizeof(table[0]), 2, &schema, &err), 0);
	assert_string_equal(schema->params[1].name, "engine");
	schema_free(schema);
}

static void refuse(const struct bp_param *table, uint32_t stride, uint32_t count, const char *text)
{
	struct schema *schema = (struct schema *)&schema;
	struct err err = ERR_NONE;

	assert_int_equal(schema_copy(table, stride, count, &schema, &err), -EINVAL);
	assert_string_equal(err.text, text);
	assert_ptr_equal(schema, &schema); /* written only on success */
}

static void readonly_parameter_is_a_bool_of_the_same_table(void **state)
{
	struct bp_param table[] = {
		{ .name = "path", .type = BP_P_FILE, .flags = BP_P_WRITE, .readonly_param = "readonly" },
		{ .name = "readonly", .type = BP_P_BOOL },
		{ .name = "count", .type = BP_P_UINT },
	};
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	assert_int_equal(schema_copy(table, sizeof(table[0]), 3, &schema, &err), 0);
	assert_string_equal(schema->params[0].readonly_param, "readonly");
	schema_free(schema);
	table[0].readonly_param = "count";
	refuse(table, sizeof(table[0]), 3,
	       "parameter \"path\": its readonly parameter \"count\" is not one of type bool");
	table[0].readonly_param = "absent";
	refuse(table, sizeof(table[0]), 3,
	       "parameter \"path\": its readonly parameter \"absent\" is not one of type bool");
	table[0].flags = 0;
	refuse(table, sizeof(table[0]), 3, "parameter \"path\": only a file that is written has a readonly parameter");
}

static void pairs_parameter_is_a_bounded_uint_of_the_same_table(void **state)
{
	static const char complaint[] =
	    "parameter \"network\": its pairs parameter \"pairs\" is not one of type uint with a "
	    "range within 1 to 16";
	struct bp_param table[] = {
		{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs" },
		{ .name = "pairs", .type = BP_P_UINT, .min = 1, .max = 16 },
	};
	const struct bp_param wrong[] = {
		{ .name = "pairs", .type = BP_P_UINT },
		{ .name = "pairs", .type = BP_P_UINT, .min = 0, .max = 16 },
		{ .name = "pairs", .type = BP_P_UINT, .min = 1, .max = 17 },
		{ .name = "pairs", .type = BP_P_SIZE, .min = 1, .max = 16 },
		{ .name = "pairs", .type = BP_P_UINT, .flags = BP_P_REPEATED, .min = 1, .max = 16 },
		{ .name = "other", .type = BP_P_UINT, .min = 1, .max = 16 },
	};
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	assert_int_equal(schema_copy(TABLE(table), &schema, &err), 0);
	assert_string_equal(schema->params[0].pairs_param, "pairs");
	schema_free(schema);
	for (size_t i = 0; i < COUNT(wrong); i++) {
		table[1] = wrong[i];
		refuse(TABLE(table), complaint);
	}
	table[1] = (struct bp_param){ .name = "pairs", .type = BP_P_UINT, .min = 1, .max = 16 };
	table[0].type = BP_P_STRING;
	refuse(TABLE(table), "parameter \"network\": only a network has a pairs parameter");
}

/* A plugin of ABI 0.2 has shorter entries, behind which is whatever follows. */
static void entries_without_a_pairs_parameter(void **state)
{
	struct {
		char bytes[offsetof(struct bp_param, pairs_param)];
	} table[2];
	const struct bp_param param = { .name = "network", .type = BP_P_NETWORK };
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	memset(table, 0xff, sizeof(table));
	memcpy(&table[0], &param, sizeof(table[0]));
	assert_int_equal(schema_copy((const struct bp_param *)(const void *)table, sizeof(table[0]), 1, &schema, &err),
			 0);
	assert_null(schema->params[0].pairs_param);
	schema_free(schema);
}

/* bp_connect() finds values by their names in the device's own table. */
static void what_is_connected_is_not_in_a_group(void **state)
{
	static const char complaint[] = "parameter \"limit.x\": what bp_connect() reaches stands in the device's own "
					"table, not in a group";
	struct bp_param inner[] = { { .name = "x", .type = BP_P_SOCKET, .flags = BP_P_LISTEN } };
	struct bp_param outer[] = { { .name = "limit", .type = BP_P_GROUP, BP_GROUP(inner) } };
	struct err err = ERR_NONE;
	struct schema *schema;

	(void)state;
	assert_int_equal(schema_copy(TABLE(outer), &schema, &err), 0);
	schema_free(schema);
	inner[0].flags = BP_P_LISTEN | BP_P_CONNECT;
	refuse(TABLE(outer), complaint);
	inner[0] = (struct bp_param){ .name = "x", .type = BP_P_NETWORK };
	refuse(TABLE(outer), complaint);
}

static void tables_of_a_wrong_shape(void **state)
{
	static const uint32_t strides[] = { 0, 1, 8, 64, sizeof(struct bp_param) + 4, 1032, 1u << 31 };
	static struct bp_param many[SCHEMA_PARAMS_MAX + 1];

	(void)state;
	refuse(NULL, sizeof(struct bp_param), 1, "table of \"parameters\": missing");
	for (size_t i = 0; i < COUNT(strides); i++) {
		char text[64];

		snprintf(text, sizeof(text), "table of \"parameters\": entries of %u bytes", strides[i]);
		refuse(good, strides[i], 1, text);
	}
	refuse(TABLE(many), "table of \"parameters\": 65 parameters, at most 64 are allowed");
	refuse(good, sizeof(good[0]), UINT32_MAX,
	       "table of \"parameters\": 4294967295 parameters, at most 64 are allowed");
}

static const char *const no_choice[] = { NULL };
static const char *const same_choices[] = { "a", "b", "a", NULL };
static const char *const empty_choice[] = { "a", "", NULL };
static const char *const bad_choice[] = { "a b", NULL };
static const char *const long_choice[] = { "a", NAME_32, NULL };

/* One entry each; `text` follows `parameter "x": `. */
static const struct {
	struct bp_param param;
	const char *text;
} hostile[] = {
	{ { .type = 0 }, "unknown type 0" },
	{ { .type = 15 }, "unknown type 15" },
	{ { .type = UINT32_MAX }, "unknown type 4294967295" },
	{ { .type = BP_P_BOOL, .flags = 32 }, "unknown flags" },
	{ { .type = BP_P_STRING, .flags = BP_P_WRITE }, "BP_P_WRITE is for files" },
	{ { .type = BP_P_FILE, .flags = BP_P_LISTEN }, "BP_P_LISTEN and BP_P_CONNECT are for sockets" },
	{ { .type = BP_P_NETWORK, .flags = BP_P_CONNECT }, "BP_P_LISTEN and BP_P_CONNECT are for sockets" },
	{ { .type = BP_P_SOCKET }, "a socket without BP_P_LISTEN or BP_P_CONNECT" },
	{ { .type = BP_P_UINT, .min = 2, .max = 1 }, "min is greater than max" },
	{ { .type = BP_P_UINT, .min = 1 }, "min is greater than max" },
	{ { .type = BP_P_UINT, .min = -1, .max = 1 }, "min is negative" },
	{ { .type = BP_P_SIZE, .min = INT64_MIN, .max = 1 }, "min is negative" },
	{ { .type = BP_P_STRING, .max = 1 }, "a range is for int, uint, size and duration" },
	{ { .type = BP_P_GROUP, .min = -1 }, "a range is for int, uint, size and duration" },
	{ { .type = BP_P_UINT, .flags = BP_P_REQUIRED, .def = "1" }, "required, yet with a default" },
	{ { .type = BP_P_UINT, .flags = BP_P_REPEATED, .def = "1" }, "repeated, yet with a default" },
	{ { .type = BP_P_GROUP, .def = "{}", .group = good, .group_count = 1 }, "a group, yet with a default" },
	{ { .type = BP_P_STRING, .choices = engines }, "choices without being a choice" },
	{ { .type = BP_P_CHOICE }, "no choices" },
	{ { .type = BP_P_CHOICE, .choices = no_choice }, "no choices" },
	{ { .type = BP_P_CHOICE, .choices = same_choices }, "choice \"a\" stands twice" },
	{ { .type = BP_P_CHOICE, .choices = empty_choice }, "choice 1 is not a word" },
	{ { .type = BP_P_CHOICE, .choices = bad_choice }, "choice 0 is not a word" },
	{ { .type = BP_P_CHOICE, .choices = long_choice }, "choice 1 is longer than 31 bytes" },
	{ { .type = BP_P_GROUP }, "a group without a table" },
	{ { .type = BP_P_GROUP, .group = good }, "a group without a table" },
	{ { .type = BP_P_GROUP, .group_count = 1 }, "a group without a table" },
	{ { .type = BP_P_BOOL, .group = good }, "a table without being a group" },
	{ { .type = BP_P_BOOL, .group_count = 1 }, "a table without being a group" },
	{ { .type = BP_P_STRING, .def = OF_4096 }, "its default is longer than 4095 bytes" },
	{ { .type = BP_P_STRING, .def = "a\nb" }, "its default has a control character" },
	{ { .type = BP_P_STRING, .help = OF_4096 }, "its help text is longer than 4095 bytes" },
	{ { .type = BP_P_STRING, .help = "a\x7f" }, "its help text has a control character" },
};

static void hostile_entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(hostile); i++) {
		struct bp_param table[] = { good[0], hostile[i].param };
		char text[128];

		table[1].name = "x";
		snprintf(text, sizeof(text), "parameter \"x\": %s", hostile[i].text);
		refuse(TABLE(table), text);
	}
}

static void hostile_names(void **state)
{
	static const char *const names[] = { "", "A", "1a", "_a", "a-b", "a.b", "a b", "\xc3\xa4", NAME_32, OF_4096 };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct bp_param table[] = { good[0], { .name = names[i], .type = BP_P_BOOL } };

		refuse(TABLE(table), "parameter \"#1\": its name is not [a-z][a-z0-9_]* of at most 31 bytes");
	}
	{
		struct bp_param table[] = { good[0], good[1], good[0] };

		refuse(TABLE(table), "parameter \"path\": stands twice");
		table[2].name = NULL;
		refuse(TABLE(table), "parameter \"#2\": no name");
	}
}

/* Whatever is wrong in a group is told with the group's name. */
static void hostile_groups(void **state)
{
	struct bp_param inner[] = { { .name = "x", .type = 99 } };
	struct bp_param outer[] = { { .name = "limit", .type = BP_P_GROUP, .group = inner, .group_count = 1 } };
	struct bp_param self[] = {
		{ .name = "a", .type = BP_P_GROUP, .group = self, .group_stride = sizeof(self[0]), .group_count = 1 }
	};

	(void)state;
	refuse(TABLE(outer), "table of \"limit\": entries of 0 bytes");
	outer[0].group_stride = sizeof(inner[0]);
	refuse(TABLE(outer), "parameter \"limit.x\": unknown type 99");
	inner[0].name = "X";
	refuse(TABLE(outer), "parameter \"limit.#0\": its name is not [a-z][a-z0-9_]* of at most 31 bytes");
	refuse(TABLE(self), "parameter \"a.a.a.a.a\": groups are more than 4 deep");
}

/* 60 groups that each hold the same 60 parameters. */
static void a_table_that_multiplies(void **state)
{
	static struct bp_param outer[60], inner[60];
	static char names[60][8];

	(void)state;
	for (size_t i = 0; i < COUNT(outer); i++) {
		snprintf(names[i], sizeof(names[i]), "p%zu", i);
		inner[i] = (struct bp_param){ .name = names[i], .type = BP_P_BOOL };
		outer[i] = (struct bp_param){ .name = names[i],
					      .type = BP_P_GROUP,
					      .group = inner,
					      .group_stride = sizeof(inner[0]),
					      .group_count = COUNT(inner) };
	}
	refuse(TABLE(outer), "parameter \"p8.#23\": more than 512 parameters");
}

static void type_names(void **state)
{
	(void)state;
	assert_string_equal(schema_type_name(BP_P_BOOL), "bool");
	assert_string_equal(schema_type_name(BP_P_SIZE), "size");
	assert_string_equal(schema_type_name(BP_P_GROUP), "group");
	assert_string_equal(schema_type_name(0), "?");
	assert_string_equal(schema_type_name(BP_P_NETWORK), "network");
	assert_string_equal(schema_type_name(15), "?");
	assert_string_equal(schema_type_name(UINT32_MAX), "?");
}

static void names(void **state)
{
	(void)state;
	assert_true(schema_name_ok("a", "", 1));
	assert_true(schema_name_ok("virtio-blk_2", "_-", 31));
	assert_true(schema_name_ok(NAME_31, "", 31));
	assert_false(schema_name_ok(NAME_32, "", 31));
	assert_false(schema_name_ok("virtio-blk", "_", 31));
	assert_false(schema_name_ok("", "_", 31));
	assert_false(schema_name_ok("-a", "-", 31));
}

static void values_own_what_they_hold(void **state)
{
	const struct place place = { .file = "vm.conf", .line = 7 };
	struct value value = { .number = 5, .fd = -1, .fd_out = -1, .place = place };
	struct values *values, *group;
	struct err err = ERR_NONE;
	struct schema *schema;
	int fds[2];

	(void)state;
	assert_int_equal(schema_copy(TABLE(good), &schema, &err), 0);
	assert_int_equal(values_new(schema, "devices.root", place, &values), 0);
	assert_string_equal(values->path, "devices.root");
	assert_null(values_get(values, "offset", 0));
	assert_int_equal(values_number(values, "offset", 9), 9);
	assert_int_equal(values_add(values, (size_t)schema_find(schema, "offset"), &value), 0);
	assert_int_equal(values_number(values, "offset", 9), 5);
	assert_string_equal(values_text(values, "offset", "none"), "none");
	assert_null(values_get(values, "offset", 1));
	assert_null(values_get(values, "nothing", 0));
	for (uint32_t i = 0; i < 100; i++) {
		value.text = strdup("tag");
		assert_int_equal(values_add(values, (size_t)schema_find(schema, "tags"), &value), 0);
	}
	assert_string_equal(values_get(values, "tags", 99)->text, "tag");
	assert_string_equal(values_text(values, "tags", ""), "tag");
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	value.text = NULL;
	value.fd = fds[0];
	value.fd_out = fds[1];
	assert_int_equal(values_add(values, (size_t)schema_find(schema, "path"), &value), 0);
	value.fd = value.fd_out = -1;
	assert_int_equal(values_new(schema->params[4].group, "devices.root.limit", place, &group), 0);
	value.group = group;
	assert_int_equal(values_add(values, 4, &value), 0);
	values_free(values);
	values_free(NULL);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	schema_free(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_everything),
		cmocka_unit_test(an_empty_table_is_a_schema),
		cmocka_unit_test(entries_may_be_longer),
		cmocka_unit_test(readonly_parameter_is_a_bool_of_the_same_table),
		cmocka_unit_test(pairs_parameter_is_a_bounded_uint_of_the_same_table),
		cmocka_unit_test(entries_without_a_pairs_parameter),
		cmocka_unit_test(what_is_connected_is_not_in_a_group),
		cmocka_unit_test(tables_of_a_wrong_shape),
		cmocka_unit_test(hostile_entries),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(hostile_groups),
		cmocka_unit_test(a_table_that_multiplies),
		cmocka_unit_test(type_names),
		cmocka_unit_test(names),
		cmocka_unit_test(values_own_what_they_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
