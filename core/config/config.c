/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole configuration; see config.h. */
#include "core/config/config.h"

#include "core/config/devices.h"
#include "core/config/file.h"
#include "core/config/report.h"
#include "core/config/sections.h"
#include "core/config/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *key;
	enum tree_kind kind;
	const char *expectation;
} sections[] = {
	{ "machine", TREE_GROUP, "a group" },
	{ "boot", TREE_GROUP, "a group" },
	{ "defaults", TREE_GROUP, "a group" },
	{ "devices", TREE_LIST, "a list" },
};

#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

static int check_section(const struct tree_node *node, struct err *err)
{
	struct nearest nearest = NEAREST_INIT(node->key);
	char hint[NEAREST_HINT_MAX], found[TREE_DESCRIPTION_MAX];

	for (size_t i = 0; i < SECTION_COUNT; i++) {
		nearest_offer(&nearest, sections[i].key);
		if (strcmp(sections[i].key, node->key) != 0)
			continue;
		if (node->kind == sections[i].kind)
			return 0;
		tree_describe(node, found);
		return config_fail(err, &node->place, node->key, "expected %s, found %s", sections[i].expectation,
				   found);
	}
	nearest_hint(&nearest, hint);
	return config_fail(err, &node->place, "", "unknown key \"%.64s\"%s", node->key, hint);
}

/* A section; one that is absent is checked like an empty one in the first line, which says what is
 * missing in it. */
static int read_section(const struct tree *tree, const char *key, const struct schema *schema, struct values **ret,
			struct err *err)
{
	const struct tree_node empty = { .kind = TREE_GROUP, .place = tree->root->place };
	const struct tree_node *node = tree_find(tree->root, key);

	return config_check_group(node ? node : &empty, schema, key, NULL, ret, err);
}

/* The schema of what every device has, and its names as a list. */
static int make_device_schema(struct config *config, struct err *err)
{
	const struct schema *schema;
	int r = sections_device(&config->device_schema, err);

	if (r < 0)
		return r;
	schema = config->device_schema;
	config->device_keys = calloc(schema->count + 1, sizeof(*config->device_keys));
	if (!config->device_keys)
		return config_no_memory(err);
	for (size_t i = 0; i < schema->count; i++)
		config->device_keys[i] = schema->params[i].name;
	return 0;
}

static int read_all(struct config *config, const char *path, const char *const *sets, size_t set_count, struct err *err)
{
	const struct tree_node *root;
	int r;

	r = file_read(path, &config->tree, err);
	if (r < 0)
		return r;
	root = config->tree->root;
	for (size_t i = 0; i < root->count; i++) {
		r = check_section(root->items[i], err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < set_count; i++) {
		r = set_apply(config->tree, sets[i], err);
		if (r < 0)
			return r;
	}
	r = sections_machine(&config->machine_schema, err);
	if (r < 0)
		return r;
	r = sections_boot(&config->boot_schema, err);
	if (r < 0)
		return r;
	r = sections_defaults(&config->defaults_schema, err);
	if (r < 0)
		return r;
	r = make_device_schema(config, err);
	if (r < 0)
		return r;
	r = read_section(config->tree, "machine", config->machine_schema, &config->machine, err);
	if (r < 0)
		return r;
	r = read_section(config->tree, "boot", config->boot_schema, &config->boot, err);
	if (r < 0)
		return r;
	r = read_section(config->tree, "defaults", config->defaults_schema, &config->defaults, err);
	if (r < 0)
		return r;
	return devices_read(config, err);
}

int config_load(const char *path, const char *const *sets, size_t set_count, struct config **ret, struct err *err)
{
	struct config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return config_no_memory(err);
	config->path = realpath(path, NULL);
	/* A pipe has none, or it cannot be read either. */
	if (!config->path)
		config->path = strdup(path);
	r = config->path ? 0 : config_no_memory(err);
	if (r == 0)
		r = read_all(config, path, sets, set_count, err);
	if (r < 0) {
		config_free(config);
		return r;
	}
	*ret = config;
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->device_count; i++) {
		free(config->devices[i].id);
		free(config->devices[i].plugin);
		free(config->devices[i].class_name);
		values_free(config->devices[i].common);
	}
	free(config->devices);
	values_free(config->machine);
	values_free(config->boot);
	values_free(config->defaults);
	schema_free(config->machine_schema);
	schema_free(config->boot_schema);
	schema_free(config->defaults_schema);
	schema_free(config->device_schema);
	free(config->device_keys);
	tree_free(config->tree);
	free(config->path);
	free(config);
}
