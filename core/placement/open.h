/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening what a device's parameters name: FILE and STREAM values get their descriptors. Main thread, once per VM. */
#ifndef PLACEMENT_OPEN_H
#define PLACEMENT_OPEN_H

#include "core/base/values.h"

struct opener {
	bool terminal_used; /* a process has one */
};

/* Opens everything in `values`, groups included. The descriptors belong to the values, also after a failure. -errno with the
 * place, the path and the reason. */
int open_values(struct opener *opener, struct values *values, struct err *err);

#endif
