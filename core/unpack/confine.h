/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the unpacker takes away from itself before it looks at a byte that somebody else wrote. Main thread, the only one, once.
 */
#ifndef UNPACK_CONFINE_H
#define UNPACK_CONFINE_H

#include "core/base/err.h"

/* The descriptors that are left, and all that may be done with them. */
#define CONFINE_KERNEL_FD 0 /* pread */
#define CONFINE_OUTPUT_FD 1 /* write */
#define CONFINE_REPORT_FD 2 /* read, write */

/* Closes all other descriptors, sets limits, gives up core dumps and new privileges for good, asks to be killed when the parent
 * ends, and installs a filter after which the process can use memory (never executable), those three descriptors, and end. Any
 * other system call kills it. 0; or -errno with a message, and then nothing may be read. */
int confine(struct err *err);

#endif
