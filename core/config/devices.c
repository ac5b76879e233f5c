/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices of a configuration; see devices.h. */
#include "core/config/devices.h"

#include "core/config/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES     64 /* "devices[12]", "devices.ID" */
#define KEY_PATH_BYTES (PATH_BYTES + SCHEMA_NAME_MAX + 1)

int config_device_id(const struct tree_node *device, char **ret)
{
	const char *text = tree_text(tree_find(device, "id"));
	size_t length;
	char *id;

	if (text) {
		length = strlen(text);
	} else {
		const char *slash;

		text = tree_text(tree_find(device, "plugin"));
		if (!text)
			return -EINVAL;
		slash = strrchr(text, '/');
		if (slash)
			text = slash + 1;
		length = strlen(text);
		if (length > 3 && !strcmp(text + length - 3, ".so"))
			length -= 3;
	}
	id = strndup(text, length);
	if (!id)
		return -ENOMEM;
	*ret = id;
	return 0;
}

/* A string that is not empty; *ret stays as it is if the key is absent. */
static int read_string(const struct tree_node *device, const char *path, const char *key, char **ret, struct err *err)
{
	const struct tree_node *node = tree_find(device, key);
	char found[TREE_DESCRIPTION_MAX], key_path[KEY_PATH_BYTES];
	const char *text = tree_text(node);
	char *copy;

	if (!node)
		return 0;
	if (!text || !text[0]) {
		snprintf(key_path, sizeof(key_path), "%s.%s", path, key);
		if (text)
			return config_fail(err, &node->place, key_path, "this is empty");
		tree_describe(node, found);
		return config_fail(err, &node->place, key_path, "expected a string, found %s", found);
	}
	copy = strdup(text);
	if (!copy)
		return config_no_memory(err);
	*ret = copy;
	return 0;
}

static int read_id(const struct tree_node *node, const char *path, struct config_device *device, struct err *err)
{
	const struct tree_node *id_node = tree_find(node, "id");
	char key_path[KEY_PATH_BYTES];
	int r;

	r = read_string(node, path, "id", &device->id, err);
	if (r < 0)
		return r;
	if (!device->id) {
		r = config_device_id(node, &device->id);
		if (r < 0)
			return config_no_memory(err);
	}
	if (schema_name_ok(device->id, "_-", SCHEMA_NAME_MAX))
		return 0;
	if (!id_node)
		return config_fail(err, &node->place, path, "the plugin's name \"%.64s\" cannot be the id: add one",
				   device->id);
	snprintf(key_path, sizeof(key_path), "%s.id", path);
	return config_fail(err, &id_node->place, key_path, "\"%.64s\" is not [a-z][a-z0-9_-]* of at most %d bytes",
			   device->id, SCHEMA_NAME_MAX);
}

static int check_unique(const struct config *config, const struct config_device *device, struct err *err)
{
	for (const struct config_device *other = config->devices; other < device; other++) {
		char path[PATH_BYTES];

		if (strcmp(other->id, device->id) != 0)
			continue;
		snprintf(path, sizeof(path), "devices.%s", device->id);
		if (strcmp(other->place.file, device->place.file) != 0)
			return config_fail(err, &device->place, path, "duplicate id \"%s\", also at %s:%u", device->id,
					   other->place.file, other->place.line);
		return config_fail(err, &device->place, path, "duplicate id \"%s\", also at line %u", device->id,
				   other->place.line);
	}
	return 0;
}

static uint64_t common_number(const struct config *config, const struct config_device *device, const char *key)
{
	return values_number(device->common, key, values_number(config->defaults, key, 0));
}

/* What every device can say, and what the file says for those that do not. */
static int read_common(const struct config *config, const char *path, struct config_device *device, struct err *err)
{
	int r = config_check_part(device->node, config->device_schema, path, &device->common, err);

	if (r < 0)
		return r;
	device->placement = (enum config_placement)common_number(config, device, "placement");
	device->on_failure = (uint32_t)common_number(config, device, "on_failure");
	device->deadline_ns = common_number(config, device, "deadline");
	return 0;
}

static int read_device(const struct config *config, const struct tree_node *node, size_t index,
		       struct config_device *device, struct err *err)
{
	char found[TREE_DESCRIPTION_MAX], path[PATH_BYTES];
	int r;

	snprintf(path, sizeof(path), "devices[%zu]", index);
	device->node = node;
	device->place = node->place;
	if (node->kind != TREE_GROUP) {
		tree_describe(node, found);
		return config_fail(err, &node->place, path, "expected a group, found %s", found);
	}
	r = read_string(node, path, "plugin", &device->plugin, err);
	if (r < 0)
		return r;
	if (!device->plugin)
		return config_fail(err, &node->place, path, "missing required key \"plugin\"");
	r = read_id(node, path, device, err);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "devices.%s", device->id);
	r = read_string(node, path, "class", &device->class_name, err);
	if (r < 0)
		return r;
	r = check_unique(config, device, err);
	return r < 0 ? r : read_common(config, path, device, err);
}

int devices_read(struct config *config, struct err *err)
{
	const struct tree_node *list = tree_find(config->tree->root, "devices");

	if (!list || !list->count)
		return 0;
	config->devices = calloc(list->count, sizeof(*config->devices));
	if (!config->devices)
		return config_no_memory(err);
	for (size_t i = 0; i < list->count; i++) {
		struct config_device *device = &config->devices[config->device_count++];
		int r = read_device(config, list->items[i], i, device, err);

		if (r < 0)
			return r;
	}
	return 0;
}
