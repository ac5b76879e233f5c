/* SPDX-License-Identifier: BSD-3-Clause */
/* The tree; see tree.h. */
#include "core/config/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 60 /* bytes of a string in a description */

int tree_new(const char *path, struct tree **ret)
{
	struct tree *tree = calloc(1, sizeof(*tree));
	struct place place = { .line = 1 };
	int r;

	if (!tree)
		return -ENOMEM;
	r = tree_add_name(tree, path, &place.file);
	if (r < 0)
		goto fail;
	r = tree_node_new(TREE_GROUP, NULL, NULL, place, &tree->root);
	if (r < 0)
		goto fail;
	*ret = tree;
	return 0;
fail:
	tree_free(tree);
	return r;
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	tree_node_free(tree->root);
	for (size_t i = 0; i < tree->name_count; i++)
		free(tree->names[i]);
	free(tree->names);
	free(tree);
}

int tree_add_name(struct tree *tree, const char *name, const char **ret)
{
	char **names = reallocarray(tree->names, tree->name_count + 1, sizeof(*names));
	char *copy;

	if (!names)
		return -ENOMEM;
	tree->names = names;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	names[tree->name_count++] = copy;
	*ret = copy;
	return 0;
}

int tree_node_new(enum tree_kind kind, const char *key, const char *text, struct place place, struct tree_node **ret)
{
	struct tree_node *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	node->kind = kind;
	node->place = place;
	if (key) {
		node->key = strdup(key);
		if (!node->key)
			goto fail;
	}
	if (text) {
		node->text = strdup(text);
		if (!node->text)
			goto fail;
	}
	*ret = node;
	return 0;
fail:
	tree_node_free(node);
	return -ENOMEM;
}

void tree_node_free(struct tree_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++)
		tree_node_free(node->items[i]);
	free(node->items);
	free(node->key);
	free(node->text);
	free(node);
}

int tree_append(struct tree_node *parent, struct tree_node *child)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): the array is one of pointers. */
	struct tree_node **items = reallocarray(parent->items, parent->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	items[parent->count++] = child;
	parent->items = items;
	return 0;
}

int tree_put(struct tree_node *group, struct tree_node *child)
{
	for (size_t i = 0; i < group->count; i++)
		if (!strcmp(group->items[i]->key, child->key)) {
			tree_node_free(group->items[i]);
			group->items[i] = child;
			return 0;
		}
	return tree_append(group, child);
}

struct tree_node *tree_find(const struct tree_node *node, const char *key)
{
	if (!node || node->kind != TREE_GROUP)
		return NULL;
	for (size_t i = 0; i < node->count; i++)
		if (!strcmp(node->items[i]->key, key))
			return node->items[i];
	return NULL;
}

const char *tree_text(const struct tree_node *node)
{
	if (!node || (node->kind != TREE_STRING && node->kind != TREE_TEXT))
		return NULL;
	return node->text;
}

static void describe_text(const char *what, const char *text, char *ret)
{
	bool cut = strnlen(text, SHOWN_MAX + 1) > SHOWN_MAX;

	snprintf(ret, TREE_DESCRIPTION_MAX, "%s\"%.*s%s\"", what, SHOWN_MAX, text, cut ? "..." : "");
}

void tree_describe(const struct tree_node *node, char ret[static TREE_DESCRIPTION_MAX])
{
	switch (node->kind) {
	case TREE_GROUP:
		snprintf(ret, TREE_DESCRIPTION_MAX, "a group");
		break;
	case TREE_LIST:
		snprintf(ret, TREE_DESCRIPTION_MAX, "a list");
		break;
	case TREE_BOOL:
		snprintf(ret, TREE_DESCRIPTION_MAX, "%s", node->boolean ? "true" : "false");
		break;
	case TREE_INTEGER:
		snprintf(ret, TREE_DESCRIPTION_MAX, "the integer %" PRId64, node->integer);
		break;
	case TREE_FLOAT:
		snprintf(ret, TREE_DESCRIPTION_MAX, "the number %g", node->real);
		break;
	case TREE_STRING:
		describe_text("the string ", node->text, ret);
		break;
	case TREE_TEXT:
		describe_text("", node->text, ret);
		break;
	}
}
