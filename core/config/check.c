/* SPDX-License-Identifier: BSD-3-Clause */
/* A group of the tree against a schema; see check.h. Recursion follows the schema, which is
 * bounded. */
#include "core/config/check.h"

#include "core/base/fd.h"
#include "core/config/convert.h"
#include "core/config/network.h"
#include "core/config/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "PATH.KEY", or "PATH[INDEX]" if `key` is NULL; NULL without memory. The caller frees it. */
static char *join(const char *path, const char *key, size_t index)
{
	char *joined;
	int r;

	if (key)
		r = asprintf(&joined, "%s.%s", path, key);
	else
		r = asprintf(&joined, "%s[%zu]", path, index);
	return r < 0 ? NULL : joined;
}

static bool is_ignored(const char *key, const char *const *ignored_keys)
{
	for (; ignored_keys && *ignored_keys; ignored_keys++)
		if (!strcmp(key, *ignored_keys))
			return true;
	return false;
}

static int fail_unknown(const struct tree_node *node, const struct schema *schema, const char *path,
			const char *const *ignored_keys, struct err *err)
{
	struct nearest nearest = NEAREST_INIT(node->key);
	FREE_AUTO char *key_path = NULL;
	char hint[NEAREST_HINT_MAX];

	for (size_t i = 0; i < schema->count; i++)
		nearest_offer(&nearest, schema->params[i].name);
	for (; ignored_keys && *ignored_keys; ignored_keys++)
		nearest_offer(&nearest, *ignored_keys);
	nearest_hint(&nearest, hint);
	if (!node->place.file) {
		/* PATH is what stands behind --set. */
		key_path = join(path, node->key, 0);
		if (!key_path)
			return config_no_memory(err);
		path = key_path;
	}
	return config_fail(err, &node->place, path, "unknown key \"%.64s\"%s", node->key, hint);
}

static int fail_expected(const struct tree_node *node, const char *path, const char *expectation, struct err *err)
{
	char found[TREE_DESCRIPTION_MAX];

	tree_describe(node, found);
	return config_fail(err, &node->place, path, "expected %s, found %s", expectation, found);
}

/* One value, from a key, an element of a list or a default; `path` is its own. */
static int add_value(struct values *values, size_t index, const struct tree_node *node, const char *path,
		     bool is_default, struct err *err)
{
	const struct param *param = &values->schema->params[index];
	struct value value = { .fd = -1, .fd_out = -1, .place = node->place };
	struct err complaint = ERR_NONE;
	int r;

	if (param->type == BP_P_GROUP) {
		if (node->kind != TREE_GROUP)
			return fail_expected(node, path, "a group", err);
		r = config_check_group(node, param->group, path, NULL, &value.group, err);
		if (r < 0)
			return r;
	} else {
		r = convert_scalar(node, param, &value, &complaint);
		if (r == -ENOMEM)
			return config_no_memory(err);
		if (r < 0)
			return config_fail(err, &node->place, path, "%s%s",
					   is_default ? "bad default in the plugin's table: " : "", complaint.text);
	}
	r = values_add(values, index, &value);
	if (r < 0) {
		value_clear(&value);
		return config_no_memory(err);
	}
	values->lists[index].is_default = is_default;
	return 0;
}

/* The elements of a list, or the one value that --set can give. */
static int add_list(struct values *values, size_t index, const struct tree_node *node, const char *path,
		    struct err *err)
{
	const struct param *param = &values->schema->params[index];

	if (node->kind == TREE_TEXT) {
		if (strchr(node->text, ','))
			return config_fail(err, &node->place, path,
					   "a list can be set to one value only, without a comma");
		return add_value(values, index, node, path, false, err);
	}
	if (node->kind != TREE_LIST)
		return fail_expected(node, path, "a list", err);
	if (!node->count && (param->flags & BP_P_REQUIRED))
		return config_fail(err, &node->place, path, "expected at least one value");
	for (size_t i = 0; i < node->count; i++) {
		FREE_AUTO char *item_path = join(path, NULL, i);
		int r;

		if (!item_path)
			return config_no_memory(err);
		r = add_value(values, index, node->items[i], item_path, false, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_key(struct values *values, size_t index, const struct tree_node *node, struct err *err)
{
	FREE_AUTO char *path = join(values->path, node->key, 0);

	if (!path)
		return config_no_memory(err);
	if (values->schema->params[index].flags & BP_P_REPEATED)
		return add_list(values, index, node, path, err);
	return add_value(values, index, node, path, false, err);
}

static int add_default(struct values *values, size_t index, struct err *err)
{
	const struct param *param = &values->schema->params[index];
	struct tree_node node = { .kind = TREE_TEXT, .text = param->def, .place = values->place };
	FREE_AUTO char *path = join(values->path, param->name, 0);

	if (!path)
		return config_no_memory(err);
	return add_value(values, index, &node, path, true, err);
}

/* Defaults of absent keys, and complaints about those that must not be absent. */
static int complete(struct values *values, const struct tree_node *group, struct err *err)
{
	const struct schema *schema = values->schema;

	for (size_t i = 0; i < schema->count; i++) {
		const struct param *param = &schema->params[i];
		int r = 0;

		if (tree_find(group, param->name))
			continue;
		if (param->flags & BP_P_REQUIRED)
			return config_fail(err, &group->place, values->path, "missing required key \"%s\"",
					   param->name);
		if (param->def)
			r = add_default(values, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill(struct values *values, const struct tree_node *group, const char *const *ignored_keys, bool is_whole,
		struct err *err)
{
	const struct schema *schema = values->schema;
	int r;

	for (const char *const *key = ignored_keys; key && *key; key++)
		if (schema_find(schema, *key) >= 0)
			return config_fail(err, &group->place, values->path,
					   "the plugin's table has the reserved key \"%s\"", *key);
	for (size_t i = 0; i < group->count; i++) {
		const struct tree_node *node = group->items[i];
		int index;

		if (is_ignored(node->key, ignored_keys))
			continue;
		index = schema_find(schema, node->key);
		if (index < 0 && !is_whole)
			continue;
		if (index < 0)
			return fail_unknown(node, schema, values->path, ignored_keys, err);
		r = add_key(values, (size_t)index, node, err);
		if (r < 0)
			return r;
	}
	r = complete(values, group, err);
	return r < 0 ? r : network_check_pairs(values, err);
}

static int check(const struct tree_node *group, const struct schema *schema, const char *path,
		 const char *const *ignored_keys, bool is_whole, struct values **ret, struct err *err)
{
	struct values *values;
	int r;

	r = values_new(schema, path, group->place, &values);
	if (r < 0)
		return config_no_memory(err);
	r = fill(values, group, ignored_keys, is_whole, err);
	if (r < 0) {
		values_free(values);
		return r;
	}
	*ret = values;
	return 0;
}

int config_check_group(const struct tree_node *group, const struct schema *schema, const char *path,
		       const char *const *ignored_keys, struct values **ret, struct err *err)
{
	return check(group, schema, path, ignored_keys, true, ret, err);
}

int config_check_part(const struct tree_node *group, const struct schema *schema, const char *path, struct values **ret,
		      struct err *err)
{
	return check(group, schema, path, NULL, false, ret, err);
}
