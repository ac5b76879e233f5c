/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tap interfaces as a device gets them: frames behind a header of BP_NETWORK_HEADER bytes, little endian, no offloads yet;
 * non-blocking, one descriptor a queue. Nothing is said to the interface but that: it is up, has an address or is in a bridge if
 * its administrator says so. One that was made here goes with its last descriptor. Main thread.
 */
#ifndef PLACEMENT_TAP_H
#define PLACEMENT_TAP_H

#include "core/base/err.h"
#include "core/base/values.h"

#include <net/if.h>

/* Opens the interface `name`, or makes it, or if that is NULL one whose name the kernel chooses; its name in *ret_name. `pairs` queues: an
 * interface that is there already must have one or several, as `pairs` is 1 or more. Fills *ret, whose descriptors are the
 * caller's, also after a failure. -errno with what to do. */
int tap_open(const char *name, uint32_t pairs, struct network *ret, char ret_name[static IFNAMSIZ], struct err *err);

/* Takes over the descriptors with these numbers, that the program was started with: each a queue of the same interface, if there are
 * several. Otherwise as tap_open(). */
int tap_take(const int *fds, uint32_t count, struct network *ret, struct err *err);

#endif
