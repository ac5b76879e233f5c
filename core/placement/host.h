/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What this host can do: whether guests can run, and what devices and the isolation of plugins could use. Everything is found
 * out by doing it, in child processes that have a limit of time and leave nothing behind. Main thread, while it is the only
 * one.
 */
#ifndef PLACEMENT_HOST_H
#define PLACEMENT_HOST_H

#include "core/base/err.h"
#include "core/machine/probe.h"

#include <stdbool.h>
#include <stddef.h>

enum host_state {
	HOST_OK,
	HOST_NO,
	HOST_UNKNOWN /* it could not be tried */
};

#define HOST_CHECKS_MAX       16
#define HOST_CAPABILITIES_MAX 32
#define HOST_TEXT_MAX         512

struct host_check {
	const char *name;
	bool needed; /* no guest runs without it */
	enum host_state state;
	char text[HOST_TEXT_MAX]; /* one line: what there is; or why not, and what to do */
};

struct host_capability {
	const char *name; /* "KVM_CAP_IRQFD" */
	int value;        /* 0: this KVM lacks it */
};

struct host_report {
	size_t check_count;
	struct host_check checks[HOST_CHECKS_MAX];
	size_t capability_count; /* 0 if KVM cannot be asked; all are needed */
	struct host_capability capabilities[HOST_CAPABILITIES_MAX];
	enum probe_stage stage; /* the last that the probe guest began */
};

/* Everything, or only the probe guest. */
void host_examine(bool only_probe, struct host_report *ret);

/* Whether everything is there that guests need, as far as it has been examined. */
bool host_can_run(const struct host_report *report);

#endif
