/* SPDX-License-Identifier: BSD-3-Clause */
/* A configuration file as a tree; the only part that knows libconfig. Main thread. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "core/base/err.h"
#include "core/config/tree.h"

/* Reads `path` and what it includes. The caller owns *ret. -EINVAL with "FILE:LINE: TEXT" (or
 * "FILE: TEXT" where no line is at fault), -ENOMEM. */
int file_read(const char *path, struct tree **ret, struct err *err);

#endif
