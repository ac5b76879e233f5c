/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A whole configuration: the file, what --set changed, the core's own sections checked. Made once,
 * on the main thread, read-only afterwards, except that placement opens the files of `boot`.
 *
 * What a device's keys mean is for its plugin: the caller checks each with
 *
 *	config_check_group(device->node, schema, "devices.ID", config->device_keys, &values, &err)
 *
 * once the schema is known. Those values point into the configuration, which must outlive them.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "core/base/err.h"
#include "core/base/values.h"
#include "core/config/check.h"
#include "core/config/path.h"
#include "core/config/tree.h"

#include <stddef.h>

/* Where a device's plugin runs; in the order of the words that the key takes. */
enum config_placement { CONFIG_PROCESS, CONFIG_THREAD };

struct config_device {
	char *id;                     /* [a-z][a-z0-9_-]*, unique, at most SCHEMA_NAME_MAX bytes */
	char *plugin;                 /* as written; a path if it has a slash */
	char *class_name;             /* NULL: not said */
	const struct tree_node *node; /* its group; borrowed from the tree */
	struct values *common;        /* the keys that every device has, as far as it has them */
	/* What it says, or else the defaults of the file. */
	enum config_placement placement;
	uint32_t on_failure; /* index of the word: needs_reset, stop */
	uint64_t deadline_ns;
	struct place place;
};

struct config {
	char *path; /* of the file, without links and with all folders where the system knows it */
	struct tree *tree;
	struct schema *machine_schema;
	struct schema *boot_schema;
	struct schema *defaults_schema;
	struct schema *device_schema;
	const char **device_keys; /* the names in device_schema, which are no plugin's; ends with NULL */
	struct values *machine;   /* name, vcpus, memory, hugepages, prefault */
	struct values *boot;      /* kernel, unpack, initrd, cmdline */
	struct values *defaults;  /* placement, on_failure, deadline */
	size_t device_count;
	struct config_device *devices; /* in the order of the file */
};

/* Reads `path` and applies the `set_count` arguments of --set, in their order. The caller owns
 * *ret. -EINVAL with the first error, in one line: "FILE:LINE: PATH: TEXT", or "--set PATH: TEXT";
 * -ENOMEM. */
int config_load(const char *path, const char *const *sets, size_t set_count, struct config **ret, struct err *err);
/* NULL is fine. */
void config_free(struct config *config);

#endif
