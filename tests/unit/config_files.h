/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of configurations share: a directory for their files, a table of parameters that has
 * every type, and the claim that a file ends in exactly one message. Included by the one file of each
 * program.
 */
#ifndef UNIT_CONFIG_FILES_H
#define UNIT_CONFIG_FILES_H

#include "core/config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SETS_MAX     4

/* Lines 1 and 2 of most files. */
#define HEAD         "machine = { memory = \"64M\"; };\nboot = { kernel = \"vmlinuz\"; };\n"
/* A device in line 4, its keys from line 5 on. */
#define DEVICE(keys) \
	HEAD "devices = (\n  { plugin = \"virtio-blk\"; id = \"root\"; path = \"disk.img\";\n" keys "\n} );\n"

static const char *const engines[] = { "sync", "io_uring", NULL };

static const struct bp_param limit_params[] = {
	{ .name = "size", .type = BP_P_SIZE, .flags = BP_P_REQUIRED, .min = 1, .max = INT64_MAX },
	{ .name = "refill", .type = BP_P_DURATION, .def = "1s", .min = 1000, .max = 3600000000000 },
};

#define GROUP_OF(table) .group = (table), .group_stride = sizeof((table)[0]), .group_count = COUNT(table)

static const struct bp_param params[] = {
	{ .name = "path", .type = BP_P_FILE, .flags = BP_P_REQUIRED },
	{ .name = "readonly", .type = BP_P_BOOL, .def = "false" },
	{ .name = "offset", .type = BP_P_INT, .min = -5, .max = 5 },
	{ .name = "low", .type = BP_P_INT, .min = INT64_MIN, .max = -1 },
	{ .name = "queues", .type = BP_P_UINT, .def = "1", .min = 1, .max = 8 },
	{ .name = "number", .type = BP_P_UINT },
	{ .name = "cache", .type = BP_P_SIZE, .min = 4096, .max = 1 << 20 },
	{ .name = "timeout", .type = BP_P_DURATION, .def = "10ms", .min = 1, .max = 60000000000 },
	{ .name = "serial", .type = BP_P_STRING, .def = "" },
	{ .name = "engine", .type = BP_P_CHOICE, .def = "io_uring", .choices = engines },
	{ .name = "mac", .type = BP_P_MAC },
	{ .name = "base", .type = BP_P_ADDRESS },
	{ .name = "log", .type = BP_P_STREAM },
	{ .name = "tags", .type = BP_P_STRING, .flags = BP_P_REPEATED },
	{ .name = "ports", .type = BP_P_UINT, .flags = BP_P_REPEATED, .max = 65535 },
	{ .name = "limit", .type = BP_P_GROUP, GROUP_OF(limit_params) },
	{ .name = "zones", .type = BP_P_GROUP, .flags = BP_P_REPEATED, GROUP_OF(limit_params) },
};

static char directory[] = "/tmp/test_config.XXXXXX";

struct loaded {
	struct config *config;
	struct schema *schema;
	struct values *device; /* of the first one */
};

static inline int enter_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) && !chdir(directory) ? 0 : -1;
}

static inline int leave_directory(void **state)
{
	static const char *const files[] = { "vm.conf", "other.conf", "sub/a.conf", "sub/b.conf" };

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++)
		unlink(files[i]);
	rmdir("sub");
	return chdir("/") || rmdir(directory) ? -1 : 0;
}

static inline void write_bytes(const char *path, const void *bytes, size_t count)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

static inline void write_file(const char *path, const char *text)
{
	write_bytes(path, text, strlen(text));
}

static inline void unload(struct loaded *loaded)
{
	values_free(loaded->device);
	schema_free(loaded->schema);
	config_free(loaded->config);
}

/* Loads `path` and checks each device. */
static inline int load_table(const char *path, const char *const *sets, const struct bp_param *table,
			     size_t table_count, struct loaded *loaded, struct err *err)
{
	size_t set_count = 0;
	int r;

	*loaded = (struct loaded){ .config = NULL };
	while (set_count < SETS_MAX && sets && sets[set_count])
		set_count++;
	r = schema_copy(table, sizeof(table[0]), (uint32_t)table_count, &loaded->schema, err);
	assert_int_equal(r, 0);
	r = config_load(path, sets, set_count, &loaded->config, err);
	for (size_t i = 0; !r && i < loaded->config->device_count; i++) {
		const struct config_device *device = &loaded->config->devices[i];
		struct values *values = NULL;
		char name[64];

		snprintf(name, sizeof(name), "devices.%s", device->id);
		r = config_check_group(device->node, loaded->schema, name, loaded->config->device_keys, &values, err);
		if (i)
			values_free(values);
		else
			loaded->device = values;
	}
	return r;
}

static inline int load(const char *path, const char *const *sets, struct loaded *loaded, struct err *err)
{
	return load_table(path, sets, params, COUNT(params), loaded, err);
}

/* A file that must load. */
static inline void load_good(const char *text, const char *const *sets, struct loaded *loaded)
{
	struct err err = ERR_NONE;

	write_file("vm.conf", text);
	if (load("vm.conf", sets, loaded, &err) < 0)
		fail_msg("%s", err.text);
}

struct bad_case {
	const char *text;
	const char *error;
};

static inline void check_error(const char *path, const char *const *sets, const char *error)
{
	struct err err = ERR_NONE;
	struct loaded loaded;
	int r;

	r = load(path, sets, &loaded, &err);
	unload(&loaded);
	if (r != -EINVAL)
		fail_msg("%d instead of: %s", r, error);
	assert_string_equal(err.text, error);
}

static inline void check_bad(const struct bad_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		write_file("vm.conf", cases[i].text);
		check_error("vm.conf", NULL, cases[i].error);
	}
}

#endif
