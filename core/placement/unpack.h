/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An ELF kernel from a bzImage, unpacked by a confined process of its own (core/unpack/main.c, which shows what the two say to
 * each other) and kept in the cache under the hash of the bzImage. Main thread, before there is a guest.
 */
#ifndef PLACEMENT_UNPACK_H
#define PLACEMENT_UNPACK_H

#include "core/base/err.h"

/* Whether the bzImage behind `fd` is one that can be unpacked, as far as its headers tell. Makes nothing. 0, or -errno with a
 * message that does not name the file. */
int unpack_check(int fd, struct err *err);

/* The ELF kernel in the bzImage behind `fd`, as a file that is open for reading and that the caller closes: from the cache, or
 * unpacked now. A cache that cannot be used costs time, not the kernel. -errno with a message that does not name the file. */
int unpack_kernel(int fd, struct err *err);

#endif
