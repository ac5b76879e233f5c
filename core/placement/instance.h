/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM as vm.c makes it and run.c runs it; private to the two. Main thread, but for what is atomic: devices' threads and vCPUs
 * write that. */
#ifndef PLACEMENT_INSTANCE_H
#define PLACEMENT_INSTANCE_H

#include "core/placement/open.h"
#include "core/placement/placed.h"
#include "core/placement/virtio.h"
#include "core/placement/vm.h"

#include <stdatomic.h>

/* Lines that a guest can make by marks in one life. */
#define INSTANCE_MARKS_MAX 64

struct vm_device {
	struct placed placed;
	struct virtio_seat *seat; /* NULL for one that is no virtio device */
	bool failed;
};

struct vm {
	struct plan *plan; /* borrowed */
	struct bus *bus;
	struct machine *machine;
	size_t device_count;
	struct vm_device *devices; /* those of the plan, as far as they have been made */
	struct opener opener;      /* what it made in the file system is there as long as the VM */
	const char *metrics_path;  /* borrowed; NULL: nowhere */
	uint64_t restarts;
	/* It ends, and is not restarted. */
	bool device_gone; /* one that has failed, whose on_failure is "stop" */
	bool spawner_gone;
	_Atomic(bool) quit;         /* the user asked for the end on a terminal */
	_Atomic(bool) crash_loaded; /* the guest goes on with a crash kernel */
	_Atomic(uint32_t) told;     /* BP_EVENT_*, as a mask of 1 << event; in this life */
	_Atomic(uint32_t) marks;    /* in this life */
};

#endif
