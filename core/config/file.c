/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A configuration file as a tree; see file.h. libconfig parses the text that source.c has prepared,
 * and its settings are copied out with the places that their lines had.
 */
#include "core/config/file.h"

#include "core/config/report.h"
#include "core/config/source.h"

#include <errno.h>
#include <libconfig.h>
#include <string.h>

static int copy_setting(const config_setting_t *setting, const struct source *source, const struct tree_node *parent,
			struct tree_node **ret);

/* Takes the members of `setting` into `node`. Depth is bounded by source.c. */
static int copy_members(const config_setting_t *setting, const struct source *source, struct tree_node *node)
{
	unsigned int count = (unsigned int)config_setting_length(setting);

	for (unsigned int i = 0; i < count; i++) {
		struct tree_node *child;
		int r;

		r = copy_setting(config_setting_get_elem(setting, i), source, node, &child);
		if (r < 0)
			return r;
		r = tree_append(node, child);
		if (r < 0) {
			tree_node_free(child);
			return r;
		}
	}
	return 0;
}

static struct place place_of(const config_setting_t *setting, const struct source *source,
			     const struct tree_node *parent)
{
	/* libconfig joins adjacent strings, so in a list it has read the next token by the time it
	 * notes the line: take that of the list. */
	if (!config_setting_name(setting) && setting->type == CONFIG_TYPE_STRING)
		return parent->place;
	return source_place(source, config_setting_source_line(setting));
}

static int copy_setting(const config_setting_t *setting, const struct source *source, const struct tree_node *parent,
			struct tree_node **ret)
{
	static const enum tree_kind kinds[] = {
		[CONFIG_TYPE_GROUP] = TREE_GROUP,   [CONFIG_TYPE_INT] = TREE_INTEGER,
		[CONFIG_TYPE_INT64] = TREE_INTEGER, [CONFIG_TYPE_FLOAT] = TREE_FLOAT,
		[CONFIG_TYPE_STRING] = TREE_STRING, [CONFIG_TYPE_BOOL] = TREE_BOOL,
		[CONFIG_TYPE_ARRAY] = TREE_LIST,    [CONFIG_TYPE_LIST] = TREE_LIST,
	};
	const char *text = NULL;
	struct tree_node *node;
	int r;

	if (setting->type == CONFIG_TYPE_STRING)
		text = config_setting_get_string(setting);
	r = tree_node_new(kinds[setting->type], config_setting_name(setting), text, place_of(setting, source, parent),
			  &node);
	if (r < 0)
		return r;
	switch (setting->type) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		node->integer = config_setting_get_int64(setting);
		break;
	case CONFIG_TYPE_FLOAT:
		node->real = config_setting_get_float(setting);
		break;
	case CONFIG_TYPE_BOOL:
		node->boolean = config_setting_get_bool(setting);
		break;
	case CONFIG_TYPE_GROUP:
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		r = copy_members(setting, source, node);
		if (r < 0) {
			tree_node_free(node);
			return r;
		}
		break;
	default:
		break;
	}
	*ret = node;
	return 0;
}

static int parse(const struct source *source, struct tree *tree, struct err *err)
{
	config_t parsed;
	int r;

	if (!source->bytes)
		return 0;
	config_init(&parsed);
	if (config_read_string(&parsed, source->text) == CONFIG_TRUE) {
		r = copy_members(config_root_setting(&parsed), source, tree->root);
		if (r < 0)
			config_no_memory(err);
	} else {
		struct place place = source_place(source, (unsigned int)config_error_line(&parsed));

		r = config_fail(err, &place, "", "%s", config_error_text(&parsed));
	}
	config_destroy(&parsed);
	return r;
}

int file_read(const char *path, struct tree **ret, struct err *err)
{
	struct source source;
	struct tree *tree;
	int r;

	r = tree_new(path, &tree);
	if (r < 0)
		return config_no_memory(err);
	r = source_read(tree, tree->names[0], &source, err);
	if (r < 0)
		goto fail_tree;
	r = parse(&source, tree, err);
	source_free(&source);
	if (r < 0)
		goto fail_tree;
	*ret = tree;
	return 0;
fail_tree:
	tree_free(tree);
	return r;
}
