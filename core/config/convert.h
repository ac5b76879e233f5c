/* SPDX-License-Identifier: BSD-3-Clause */
/* One scalar of the tree as a value of a parameter. Called by check.c, main thread. */
#ifndef CONFIG_CONVERT_H
#define CONFIG_CONVERT_H

#include "core/base/err.h"
#include "core/config/tree.h"

/* Makes the value of a parameter that is no group; ret->text is the caller's. -EINVAL with what is
 * wrong, without place and path, or -ENOMEM. */
int convert_scalar(const struct tree_node *node, const struct param *param, struct value *ret, struct err *complaint);

#endif
