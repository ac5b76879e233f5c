/* SPDX-License-Identifier: BSD-3-Clause */
/* Plugin look-up; see store.h. */
#include "core/placement/store.h"

#include "core/base/fd.h"
#include "core/config/path.h"
#include "core/config/report.h"
#include "core/placement/own_place.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#ifndef BACKPLANE_PLUGIN_DIR
#error "BACKPLANE_PLUGIN_DIR must be set by the build"
#endif

#define DIRS_MAX    16
#define PLUGINS_MAX 64
#define SUFFIX      ".so"
#define PATH_ENV    "BACKPLANE_PLUGIN_PATH"

struct store {
	size_t dir_count;
	char *dirs[DIRS_MAX];
	size_t plugin_count;
	struct plugin *plugins[PLUGINS_MAX];
};

static int add_dir(struct store *store, const char *dir)
{
	char *copy;

	if (!*dir || store->dir_count == DIRS_MAX)
		return 0;
	copy = strdup(dir);
	if (!copy)
		return -ENOMEM;
	store->dirs[store->dir_count++] = copy;
	return 0;
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where libtool leaves plugins beside a program that has not been installed, and where they are installed: with the program, below
 * whatever root. */
static int add_own_dirs(struct store *store)
{
	struct own_place own;
	char path[PATH_MAX];
	int r = 0;

	if (own_place_find(&own)) {
		if (snprintf(path, sizeof(path), "%s/plugins/.libs", own.folder) < PATH_MAX && is_folder(path))
			r = add_dir(store, path);
		if (r == 0 && own.installed &&
		    snprintf(path, sizeof(path), "%s%s", own.root, BACKPLANE_PLUGIN_DIR) < PATH_MAX && is_folder(path))
			return add_dir(store, path);
	}
	return r == 0 ? add_dir(store, BACKPLANE_PLUGIN_DIR) : r;
}

int store_new(struct store **ret, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	const char *env = getenv(PATH_ENV);
	int r;

	if (!store)
		return err_sys(err, -ENOMEM, "plugins");
	r = add_own_dirs(store);
	if (r == 0 && env && geteuid() != 0 && !getauxval(AT_SECURE)) {
		FREE_AUTO char *copy = strdup(env);
		char *state = NULL;

		r = copy ? 0 : -ENOMEM;
		for (char *dir = copy ? strtok_r(copy, ":", &state) : NULL; dir && r == 0;
		     dir = strtok_r(NULL, ":", &state))
			r = add_dir(store, dir);
	}
	if (r < 0) {
		store_free(store);
		return err_sys(err, r, "plugins");
	}
	*ret = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->plugin_count; i++)
		plugin_free(store->plugins[i]);
	for (size_t i = 0; i < store->dir_count; i++)
		free(store->dirs[i]);
	free(store);
}

static int compare_names(const void *a, const void *b)
{
	const char *const *left = a, *const *right = b;

	return strcmp(*left, *right);
}

/* Adds the plugins of one folder to a list that grows; a folder that is not there has none. */
static int list_dir(const char *dir, char ***names, size_t *count)
{
	DIR *open_dir = opendir(dir);
	const struct dirent *entry;
	int r = 0;

	if (!open_dir)
		return 0;
	while (r == 0 && (entry = readdir(open_dir))) {
		size_t length = strlen(entry->d_name);
		char **grown;

		if (length <= strlen(SUFFIX) || strcmp(entry->d_name + length - strlen(SUFFIX), SUFFIX) != 0)
			continue;
		r = -ENOMEM;
		grown = realloc(*names, (*count + 1) * sizeof(**names));
		if (!grown)
			break;
		*names = grown;
		grown[*count] = strndup(entry->d_name, length - strlen(SUFFIX));
		if (!grown[*count])
			break;
		++*count;
		r = 0;
	}
	closedir(open_dir);
	return r;
}

int store_names(const struct store *store, char ***ret_names, size_t *ret_count, struct err *err)
{
	char **names = NULL;
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < store->dir_count; i++) {
		int r = list_dir(store->dirs[i], &names, &count);

		if (r < 0) {
			store_names_free(names, count);
			return err_sys(err, r, "plugins");
		}
	}
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (kept && !strcmp(names[kept - 1], names[i]))
			free(names[i]);
		else
			names[kept++] = names[i];
	}
	*ret_names = names;
	*ret_count = kept;
	return 0;
}

void store_names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static int no_such_plugin(const struct store *store, const char *name, struct err *err)
{
	struct nearest nearest = NEAREST_INIT(name);
	char hint[NEAREST_HINT_MAX];
	struct err ignored;
	char **names = NULL;
	size_t count = 0;

	if (store_names(store, &names, &count, &ignored) == 0)
		for (size_t i = 0; i < count; i++)
			nearest_offer(&nearest, names[i]);
	nearest_hint(&nearest, hint);
	store_names_free(names, count);
	return err_set(err, -ENOENT, "there is no plugin \"%s\"%s", name, hint);
}

int store_find(const struct store *store, const char *name, const struct place *place, char **ret, struct err *err)
{
	if (strchr(name, '/')) {
		int r = config_resolve_path(place, name, ret);

		return r < 0 ? err_sys(err, r, "plugin \"%s\"", name) : 0;
	}
	for (size_t i = 0; i < store->dir_count; i++) {
		char *path;

		if (asprintf(&path, "%s/%s" SUFFIX, store->dirs[i], name) < 0)
			return err_sys(err, -ENOMEM, "plugin \"%s\"", name);
		if (access(path, F_OK) == 0) {
			*ret = path;
			return 0;
		}
		free(path);
	}
	return no_such_plugin(store, name, err);
}

int store_load(struct store *store, const char *path, const struct plugin **ret, struct err *err)
{
	FREE_AUTO char *real = realpath(path, NULL);
	struct plugin *plugin;
	int r;

	for (size_t i = 0; real && i < store->plugin_count; i++)
		if (!strcmp(store->plugins[i]->path, real)) {
			*ret = store->plugins[i];
			return 0;
		}
	if (store->plugin_count == PLUGINS_MAX)
		return err_set(err, -ENOSPC, "more than %d different plugins", PLUGINS_MAX);
	r = plugin_load(path, &plugin, err);
	if (r < 0)
		return r;
	store->plugins[store->plugin_count++] = plugin;
	*ret = plugin;
	return 0;
}
