/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the paths in a configuration lead. Any thread. */
#ifndef CONFIG_PATH_H
#define CONFIG_PATH_H

#include "core/base/values.h"

/* A path that stands at `place`: relative to the directory of that file, or, given by --set, to the
 * current one. The caller frees *ret. 0 or -ENOMEM. */
int config_resolve_path(const struct place *place, const char *path, char **ret);

#endif
