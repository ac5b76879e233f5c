/* SPDX-License-Identifier: BSD-3-Clause */
/* A group of the tree against a schema: what comes out is complete and typed, or an error that says
 * where and why. Main thread. */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "core/base/err.h"
#include "core/base/values.h"
#include "core/config/tree.h"

/*
 * Checks `group` strictly: each key is known and has the right type and range, none that is
 * required is missing; absent ones get their defaults. The keys in `ignored_keys` (NULL-terminated;
 * NULL: none) belong to the caller, and the schema must not have them. `path` is what messages call
 * the group: "devices.root".
 *
 * The caller owns *ret and frees it with values_free(); places in it point into the tree of
 * `group`, which must outlive it, as must `schema`. -EINVAL with the first error, one line, or
 * -ENOMEM.
 */
int config_check_group(const struct tree_node *group, const struct schema *schema, const char *path,
		       const char *const *ignored_keys, struct values **ret, struct err *err);

/* The same for a group of which only a part is the schema's: keys that it does not have are somebody else's, and are left alone. */
int config_check_part(const struct tree_node *group, const struct schema *schema, const char *path, struct values **ret,
		      struct err *err);

#endif
