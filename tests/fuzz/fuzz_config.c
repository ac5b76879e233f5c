/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a configuration file, then, each after a NUL, arguments of --set. Everything is read and
 * checked as `backplane check` would, with a table for the devices that has every type.
 */
#include "core/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SETS_MAX     8
#define BYTES_MAX    65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const engines[] = { "sync", "io_uring", NULL };

static const struct bp_param limit_params[] = {
	{ .name = "size", .type = BP_P_SIZE, .flags = BP_P_REQUIRED, .min = 1, .max = INT64_MAX },
	{ .name = "refill", .type = BP_P_DURATION, .def = "1s" },
};

#define GROUP_OF(table) .group = (table), .group_stride = sizeof((table)[0]), .group_count = COUNT(table)

static const struct bp_param params[] = {
	{ .name = "flag", .type = BP_P_BOOL, .def = "false" },
	{ .name = "int", .type = BP_P_INT, .min = -5, .max = 5 },
	{ .name = "uint", .type = BP_P_UINT, .def = "1", .min = 1, .max = 8 },
	{ .name = "size", .type = BP_P_SIZE, .min = 4096, .max = 1 << 20 },
	{ .name = "timeout", .type = BP_P_DURATION, .def = "10ms" },
	{ .name = "text", .type = BP_P_STRING, .def = "" },
	{ .name = "engine", .type = BP_P_CHOICE, .def = "sync", .choices = engines },
	{ .name = "mac", .type = BP_P_MAC },
	{ .name = "base", .type = BP_P_ADDRESS },
	{ .name = "path", .type = BP_P_FILE },
	{ .name = "log", .type = BP_P_STREAM },
	{ .name = "tags", .type = BP_P_STRING, .flags = BP_P_REPEATED },
	{ .name = "ports", .type = BP_P_UINT, .flags = BP_P_REPEATED, .max = 65535 },
	{ .name = "limit", .type = BP_P_GROUP, GROUP_OF(limit_params) },
	{ .name = "zones", .type = BP_P_GROUP, .flags = BP_P_REPEATED, GROUP_OF(limit_params) },
	{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "uint" },
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_CONNECT },
};

/* An error is one line, and no success has one. */
static void expect(int r, const struct err *err)
{
	if ((r < 0) != (err->text[0] != '\0') || strchr(err->text, '\n'))
		abort();
}

static void check_devices(const struct config *config)
{
	struct err err = ERR_NONE;
	struct schema *schema;

	if (schema_copy(params, sizeof(params[0]), COUNT(params), &schema, &err) < 0)
		abort();
	for (size_t i = 0; i < config->device_count; i++) {
		const struct config_device *device = &config->devices[i];
		struct values *values = NULL;
		char path[64];
		int r;

		err.text[0] = '\0';
		snprintf(path, sizeof(path), "devices.%s", device->id);
		r = config_check_group(device->node, schema, path, config->device_keys, &values, &err);
		expect(r, &err);
		values_free(values);
	}
	schema_free(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *sets[SETS_MAX];
	struct config *config = NULL;
	struct err err = ERR_NONE;
	size_t set_count = 0;
	size_t file_bytes;
	char *text, *at;
	char path[64];
	int fd, r;

	if (size > BYTES_MAX)
		return 0;
	text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	file_bytes = strlen(text);
	for (at = text + file_bytes; at < text + size && set_count < SETS_MAX; at += strlen(at))
		sets[set_count++] = ++at;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, text, file_bytes) != (ssize_t)file_bytes)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_load(path, sets, set_count, &config, &err);
	expect(r, &err);
	if (!r)
		check_devices(config);
	config_free(config);
	close(fd);
	free(text);
	return 0;
}
