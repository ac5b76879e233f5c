/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening what a device's parameters name: FILE, STREAM, SOCKET and NETWORK values get their descriptors. Main thread, once per VM. */
#ifndef PLACEMENT_OPEN_H
#define PLACEMENT_OPEN_H

#include "core/placement/passt.h"
#include "core/placement/streams.h"

/* All zero at first; ended by opener_end() and then opener_wait(). */
struct opener {
	bool terminal_used; /* a process has one */
	struct made *made;  /* links and sockets; owned */
	struct passts passts;
};

/* Opens everything in `values`, groups included. The descriptors belong to the values, also after a failure. -errno with the
 * place, the path and the reason. */
int open_values(struct opener *opener, struct values *values, struct err *err);

/* Removes what opening has made in the file system: at the end of the VM, while the values still hold their descriptors. Once more is
 * fine. */
void opener_end(struct opener *opener);

/* Waits for processes that serve what has been opened: when nobody has its descriptors any more. Once more is fine. */
void opener_wait(struct opener *opener);

#endif
