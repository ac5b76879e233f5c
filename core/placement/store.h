/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which file a plugin's name means, and the plugins that have been loaded into this process. Main thread.
 *
 * A name is looked up in the folder of installed plugins, of the program's own root (DESTDIR) if it has one, then in BACKPLANE_PLUGIN_PATH (colon-separated; ignored for root
 * and for programs that run with raised privileges). A program that runs from its build tree looks beside itself first. With
 * a slash it is a path, relative to the file that it stands in.
 */
#ifndef PLACEMENT_STORE_H
#define PLACEMENT_STORE_H

#include "core/base/values.h"
#include "core/device/plugin.h"

struct store;

int store_new(struct store **ret, struct err *err);
void store_free(struct store *store); /* NULL is fine; also frees the plugins */

/* The path of the plugin's file, which the caller frees; it need not be a plugin. -ENOENT with the nearest known name
 * if there is none. The message does not say where the name stands: the caller does. */
int store_find(const struct store *store, const char *name, const struct place *place, char **ret, struct err *err);

/* Loads the plugin at `path` into this process, or returns the one that is loaded. Messages likewise. */
int store_load(struct store *store, const char *path, const struct plugin **ret, struct err *err);

/* All names that can be looked up, sorted, each once: the file name without its ".so". The caller frees with
 * store_names_free(). */
int store_names(const struct store *store, char ***ret_names, size_t *ret_count, struct err *err);
void store_names_free(char **names, size_t count);

#endif
