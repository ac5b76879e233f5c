/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --set PATH=VALUE: changes to the tree from the command line. PATH is machine.KEY, boot.KEY or
 * devices.ID.KEY, each followed by more keys for groups in groups. Groups that are missing on the
 * way are made; what VALUE is, the schema decides later. Main thread.
 */
#ifndef CONFIG_SET_H
#define CONFIG_SET_H

#include "core/base/err.h"
#include "core/config/tree.h"

/* Applies one "PATH=VALUE". What it gives has no file in its place. -EINVAL with "--set PATH:
 * TEXT", -ENOMEM. */
int set_apply(struct tree *tree, const char *argument, struct err *err);

#endif
