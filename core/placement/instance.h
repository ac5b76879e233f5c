/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM as vm.c makes it and run.c runs it; private to the two. Main thread, but for what is atomic: devices' threads and vCPUs
 * write that. */
#ifndef PLACEMENT_INSTANCE_H
#define PLACEMENT_INSTANCE_H

#include "core/device/device.h"
#include "core/placement/open.h"
#include "core/placement/vm.h"

#include <stdatomic.h>

/* Lines that a guest can make by marks in one life. */
#define INSTANCE_MARKS_MAX 64

struct vm {
	struct plan *plan; /* borrowed */
	struct bus *bus;
	struct machine *machine;
	size_t device_count;
	struct device **devices;
	bool uses_terminal;
	struct opener opener;
	_Atomic(bool) quit;         /* the user asked for the end on a terminal */
	_Atomic(bool) crash_loaded; /* the guest goes on with a crash kernel */
	_Atomic(uint32_t) marks;    /* in this life */
};

#endif
