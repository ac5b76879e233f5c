/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins in processes of their own, from the core's side. `processes` is the set of a VM: the spawner and everything
 * that is minded while the guest runs (ends, notices, pings). A `process` begins when the plan needs its plugin's
 * declaration, and becomes a device (placed.h) later.
 *
 *   state      entered by             allowed then
 *   loaded     process_new            process_plugin, process_create, process_free
 *   device     process_create == 0    what placed.h says, through the struct placed; its free is process_free
 *   failed     see placed.h           the same
 *
 * Deadlines: a register read has `read_ns`; what the main thread or a vCPU asks otherwise has `request_ns`. A process
 * that misses one is killed, as is one that breaks a rule. Each is asked every `request_ns` / 4 whether its device's
 * lock can still be had, so that a callback that hangs where nobody waits for it is found, too.
 *
 * Its failure is told in one line, whose form does not change:
 *	devices.ID: failed: plugin=NAME cause=exit|signal|hang|protocol [status=N] [signal=NAME] while=CALLBACK|running action=needs_reset|stop
 *
 * Main thread, but for accesses and virtio's, which may come from vCPU threads.
 */
#ifndef PLACEMENT_PROCESS_H
#define PLACEMENT_PROCESS_H

#include "core/placement/placed.h"
#include "core/placement/spawner.h"

struct processes;
struct process;

struct process_spec {
	const char *id;          /* of the device; copied */
	const char *plugin_path; /* copied */
	uint64_t read_ns, request_ns;
	enum on_failure on_failure; /* for the line */
};

/* Starts the spawner. While this process is single-threaded, and before KVM and guest memory. */
int processes_new(struct processes **ret, struct err *err);
/* After all of its processes. NULL is fine. */
void processes_free(struct processes *set);
/* Readable when processes_mind() has something to do. */
int processes_fd(const struct processes *set);
/* Sees to all that has come: ends, notices, lines of the log, pings. Does not wait. -ECONNRESET once the spawner has gone: the
 * VM ends with status 1. */
int processes_mind(struct processes *set, struct err *err);

/* A new process with the plugin loaded and its declaration checked. -errno with one sentence, as of plugin_load(); a
 * plugin that crashes or hangs in a constructor is named with what happened. */
int process_new(struct processes *set, const struct process_spec *spec, struct process **ret, struct err *err);
const struct plugin *process_plugin(const struct process *process);
/* Asks the process to end, and kills it if it does not; on return it is no more. NULL is fine. */
void process_free(struct process *process);

/* A region of guest memory, to be mapped by another process. */
struct process_memory {
	size_t count;
	struct {
		uint64_t gpa, bytes, offset;
		int fd; /* borrowed */
	} regions[GMEM_REGIONS_MAX];
};

struct process_device {
	const struct plugin_class *class; /* of process_plugin() */
	struct values *values;            /* opened; owned by the device on success */
	const struct process_memory *memory;
	uint32_t vcpus;
	uint64_t identity; /* BP_INFO_IDENTITY */
	uint64_t bases[CLASS_RANGES_MAX];
	int irq_fds[CLASS_IRQS_MAX]; /* owned by the device on success */
};

/* The counterpart of device_new(). The claims go to home->claim(). `home` is copied; what it points to lives until
 * process_free() has returned, which still may give claims back. home->failed() and the others do not free the
 * process. */
int process_create(struct process *process, const struct process_device *spec, const struct placed_home *home,
		   struct placed *ret, struct err *err);

#endif
