/* SPDX-License-Identifier: BSD-3-Clause */
/* --set PATH=VALUE; see set.h. */
#include "core/config/set.h"

#include "core/base/fd.h"
#include "core/config/devices.h"
#include "core/config/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 8 /* words of a PATH: more than any schema has */

struct setting {
	const char *path; /* as given */
	const char *value;
	size_t count;
	char *steps[STEPS_MAX]; /* the words of the path */
	struct err *err;
};

/* What is given on the command line has no file. */
static const struct place no_place = { .file = NULL };

static int fail(struct setting *set, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct setting *set, const char *format, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	config_fail(set->err, &no_place, set->path, "%s", text);
	return -EINVAL;
}

/* Cuts `words` at its dots, in place. */
static int split(struct setting *set, char *words)
{
	for (char *word; (word = strsep(&words, "."));) {
		if (set->count == STEPS_MAX)
			return fail(set, "too many words in the path");
		if (!schema_name_ok(word, "_-", SCHEMA_NAME_MAX))
			return fail(set, "\"%.64s\" cannot be a key", word);
		set->steps[set->count++] = word;
	}
	return 0;
}

/* Puts a new node into a group; *ret_node may be NULL if nobody asks. */
static int put(struct setting *set, struct tree_node *group, enum tree_kind kind, const char *key, const char *text,
	       struct place place, struct tree_node **ret_node)
{
	struct tree_node *node;
	int r;

	r = tree_node_new(kind, key, text, place, &node);
	if (r < 0)
		return config_no_memory(set->err);
	r = tree_put(group, node);
	if (r < 0) {
		tree_node_free(node);
		return config_no_memory(set->err);
	}
	if (ret_node)
		*ret_node = node;
	return 0;
}

static int find_device(struct setting *set, const struct tree_node *root, struct tree_node **ret)
{
	const struct tree_node *devices = tree_find(root, "devices");
	struct nearest nearest = NEAREST_INIT(set->steps[1]);
	char hint[NEAREST_HINT_MAX];
	struct tree_node *found = NULL;
	/* The nearest name must outlive the loop. */
	FREE_AUTO char *best = NULL;

	for (size_t i = 0; devices && !found && i < devices->count; i++) {
		FREE_AUTO char *id = NULL;
		int r = config_device_id(devices->items[i], &id);

		if (r == -ENOMEM)
			return config_no_memory(set->err);
		if (r < 0)
			continue;
		if (!strcmp(id, set->steps[1]))
			found = devices->items[i];
		nearest_offer(&nearest, id);
		if (nearest.best == id) {
			free(best);
			best = take(&id);
		}
	}
	if (found) {
		*ret = found;
		return 0;
	}
	nearest_hint(&nearest, hint);
	fail(set, "no device has the id \"%s\"%s", set->steps[1], hint);
	return -EINVAL;
}

/* A device without an id keeps the one that its plugin gave it, for the next --set too. */
static int keep_id(struct setting *set, struct tree_node *device)
{
	FREE_AUTO char *id = NULL;
	int r;

	if (tree_find(device, "id"))
		return 0;
	r = config_device_id(device, &id);
	if (r < 0)
		return config_no_memory(set->err);
	return put(set, device, TREE_STRING, "id", id, device->place, NULL);
}

/* Where the path begins; *ret_step is the word that is looked for in it. */
static int find_start(struct setting *set, struct tree_node *root, struct tree_node **ret_group, size_t *ret_step)
{
	static const char *const sections[] = { "machine", "boot", "defaults", "devices" };
	struct nearest nearest = NEAREST_INIT(set->steps[0]);
	char hint[NEAREST_HINT_MAX];
	int r;

	if (!strcmp(set->steps[0], "devices")) {
		if (set->count < 3)
			return fail(set, "expected devices.ID.KEY=VALUE");
		r = find_device(set, root, ret_group);
		if (r < 0)
			return r;
		*ret_step = 2;
		if (set->count > 3)
			return 0;
		if (!strcmp(set->steps[2], "id"))
			return fail(set, "an id cannot be changed");
		if (!strcmp(set->steps[2], "plugin"))
			return keep_id(set, *ret_group);
		return 0;
	}
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		nearest_offer(&nearest, sections[i]);
		if (strcmp(set->steps[0], sections[i]) != 0)
			continue;
		if (set->count < 2)
			return fail(set, "expected %s.KEY=VALUE", set->steps[0]);
		*ret_group = root;
		*ret_step = 0;
		return 0;
	}
	nearest_hint(&nearest, hint);
	return fail(set, "unknown section \"%s\"%s", set->steps[0], hint);
}

static int walk(struct setting *set, struct tree_node *group, size_t step)
{
	struct tree_node *node;
	int r;

	for (; step + 1 < set->count; step++) {
		const char *key = set->steps[step];

		node = tree_find(group, key);
		if (!node) {
			r = put(set, group, TREE_GROUP, key, NULL, no_place, &node);
			if (r < 0)
				return r;
		}
		if (node->kind == TREE_LIST)
			return fail(set, "\"%s\" is a list, which --set cannot reach into", key);
		if (node->kind != TREE_GROUP)
			return fail(set, "\"%s\" is not a group", key);
		group = node;
	}
	node = tree_find(group, set->steps[step]);
	if (node && node->kind == TREE_GROUP)
		return fail(set, "this is a group: set one of its keys");
	return put(set, group, TREE_TEXT, set->steps[step], set->value, no_place, NULL);
}

int set_apply(struct tree *tree, const char *argument, struct err *err)
{
	size_t length = strcspn(argument, "=");
	FREE_AUTO char *path = strndup(argument, length);
	FREE_AUTO char *words = strndup(argument, length);
	struct setting set = { .path = path, .err = err };
	struct tree_node *group = NULL;
	size_t step = 0;
	int r;

	if (!path || !words)
		return config_no_memory(err);
	if (!argument[length])
		return fail(&set, "expected PATH=VALUE");
	set.value = argument + length + 1;
	r = split(&set, words);
	if (r < 0)
		return r;
	r = find_start(&set, tree->root, &group, &step);
	if (r < 0)
		return r;
	return walk(&set, group, step);
}
