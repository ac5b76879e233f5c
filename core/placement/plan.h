/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan: everything about a VM that follows from its configuration and from what its plugins declare, before anything is
 * made. `check` and `plan` stop here; `run` carries it out. Main thread.
 *
 * What a plugin declares is told by the plugin, so the processes that are to be devices exist from here on, with the
 * plugin loaded and nothing else: before this process has threads, KVM or guest memory.
 */
#ifndef PLACEMENT_PLAN_H
#define PLACEMENT_PLAN_H

#include "core/config/config.h"
#include "core/device/plugin.h"
#include "core/machine/boot/boot.h"
#include "core/machine/machine.h"
#include "core/placement/endings.h"
#include "core/placement/process.h"
#include "core/placement/store.h"

#include <stdio.h>

struct plan_device {
	const struct config_device *config;
	struct process *process;     /* that it runs in; owned until a device takes it over; NULL: it is loaded here */
	const struct plugin *plugin; /* of the process, or of the store */
	const struct plugin_class *class;
	/* What it occupies and how a guest finds it: what its class declares, or what its transport does. */
	const char *hid, *compatible; /* or NULL */
	size_t range_count;
	const struct class_range *ranges;
	size_t irq_count;
	const struct class_irq *irqs;
	uint64_t identity;     /* BP_INFO_IDENTITY */
	struct values *values; /* checked; not opened yet; owned until a device takes them over */
	uint64_t bases[CLASS_RANGES_MAX];
	uint32_t lines[CLASS_IRQS_MAX];
};

struct plan {
	const struct config *config; /* borrowed */
	struct store *store;         /* borrowed */
	struct machine_spec machine;
	struct endings_config endings;
	uint64_t shutdown_timeout_ns;
	struct processes *processes; /* NULL: no device has one */
	struct bus *bus;             /* who would answer where; nobody accesses it */
	size_t device_count;
	struct plan_device *devices;
	struct boot_image *image;
	bool unpack;              /* the image is a bzImage that plan_unpack() is to unpack */
	struct firmware firmware; /* its nodes are below */
	struct firmware_node *nodes;
};

/* Works the plan out. -errno with one line that names file and line. */
int plan_make(const struct config *config, struct store *store, struct plan **ret, struct err *err);
void plan_free(struct plan *plan); /* NULL is fine */

/* Puts an unpacked kernel in the place of a packed one, where the configuration asks for it. It is the one step of a plan that
 * makes something (a file in the cache), so only `run` takes it, before all else. -errno with one line. */
int plan_unpack(struct plan *plan, struct err *err);

/* Tables for people: the machine, address map, interrupts, firmware nodes. */
void plan_print(const struct plan *plan, FILE *out);

#endif
