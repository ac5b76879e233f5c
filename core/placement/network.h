/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening NETWORK values, and connecting to Unix sockets. */
#ifndef PLACEMENT_NETWORK_H
#define PLACEMENT_NETWORK_H

#include "core/placement/open.h"

/* Opens what `value` says, for a device with `pairs` queue pairs; `path` is the value's, for what is printed and logged. What it has then
 * belongs to the value, also after a failure. 0, or -errno with the message. Main thread. */
int network_open(struct opener *opener, struct value *value, uint32_t pairs, const char *path, struct err *err);

/* Connects to the socket at `path`, as it stands in the configuration, without waiting. The descriptor, non-blocking, which is the
 * caller's; connect()'s -errno, -ENAMETOOLONG. Any thread. */
int network_connect(const struct place *place, const char *path);

#endif
