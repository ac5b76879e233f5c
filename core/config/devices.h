/* SPDX-License-Identifier: BSD-3-Clause */
/* The devices of a configuration: which plugins, under which ids, and what else every device can say. Their other keys
 * are left to whoever knows the plugins' schemas. Main thread. */
#ifndef CONFIG_DEVICES_H
#define CONFIG_DEVICES_H

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/config/tree.h"

/* The id of a device: its `id`, else the name of its plugin without directory and ".so". The caller
 * frees *ret. -EINVAL if it has neither, -ENOMEM. Whether the id is well formed is not asked. */
int config_device_id(const struct tree_node *device, char **ret);

/* Fills config->devices from config->tree; the schemas and `defaults` are there. -EINVAL with the first error, -ENOMEM;
 * what has been filled by then is config_free()'s. */
int devices_read(struct config *config, struct err *err);

#endif
