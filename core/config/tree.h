/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tree: a configuration as it was written, with the place of each node, before any schema has
 * been asked. Made by file.c, changed by set.c, read by check.c. Plain inside, main thread.
 */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include "core/base/values.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tree_kind {
	TREE_GROUP,
	TREE_LIST,
	TREE_BOOL,
	TREE_INTEGER,
	TREE_FLOAT,
	TREE_STRING,
	TREE_TEXT, /* from --set: the schema decides what it is */
};

struct tree_node {
	enum tree_kind kind;
	char *key; /* owned; NULL for the root and in a list */
	struct place place;
	bool boolean;
	int64_t integer;
	double real;
	char *text;   /* STRING and TEXT; owned */
	size_t count; /* GROUP and LIST */
	struct tree_node **items;
};

struct tree {
	struct tree_node *root; /* a group */
	char **names;           /* the files that places point to */
	size_t name_count;
};

/* An empty tree whose root is placed in line 1 of `path`. 0 or -ENOMEM. */
int tree_new(const char *path, struct tree **ret);
void tree_free(struct tree *tree);

/* A file name that lives as long as the tree. 0 or -ENOMEM. */
int tree_add_name(struct tree *tree, const char *name, const char **ret);

/* A node on its own; `key` and `text` are copied and may be NULL. 0 or -ENOMEM. */
int tree_node_new(enum tree_kind kind, const char *key, const char *text, struct place place, struct tree_node **ret);
void tree_node_free(struct tree_node *node);

/* Appends to a group or list, which owns the child on success. 0 or -ENOMEM. */
int tree_append(struct tree_node *parent, struct tree_node *child);

/* The same, but a child of the same key is replaced where it stands. */
int tree_put(struct tree_node *group, struct tree_node *child);

/* A child of a group by its key, or NULL; also NULL if `node` is NULL or no group. */
struct tree_node *tree_find(const struct tree_node *node, const char *key);

/* The text of a STRING or TEXT, else NULL; NULL for NULL. */
const char *tree_text(const struct tree_node *node);

/* What a message calls a node: `the string "2"`, `the integer 5`, `a list`. Cut if it is long. */
#define TREE_DESCRIPTION_MAX 96
void tree_describe(const struct tree_node *node, char ret[static TREE_DESCRIPTION_MAX]);

#endif
