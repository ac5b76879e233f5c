/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether this host's KVM can run a stock kernel, found out by running a guest of a few hundred instructions that does what
 * such a kernel needs. Versions and capabilities do not tell: some KVMs interpret kernel-mode code, and lack instructions.
 *
 * Nothing but the guest's own memory is touched, and whatever the guest does or does not do, it is gone when the call
 * returns. A KVM that hangs in the host's kernel can hang the caller: who cannot have that calls from a child process.
 */
#ifndef MACHINE_PROBE_H
#define MACHINE_PROBE_H

#include "core/base/err.h"

#include <stddef.h>

enum probe_stage {
	PROBE_START, /* the machine is made; the guest's first instructions */
	PROBE_SSE,
	PROBE_CMPXCHG16B,
	PROBE_PAGING, /* other page tables, and a change in them */
	PROBE_IPI,    /* an interrupt that the CPU sends to itself */
	PROBE_TIMER,  /* one by the timer of the local APIC */
	PROBE_SMP,    /* a second CPU */
	PROBE_END,    /* power-off */
};

/* How long the guest may take. It needs milliseconds, and about a second where everything is emulated. */
#define PROBE_LIMIT_MS 10000

/* [main] Runs the probe guest. 0 if it did everything and powered off. Else -errno and one line that names the stage, which
 * is in *ret_stage as well; PROBE_START with the line of machine_new() if there is no machine to run it in. Unlike other
 * results *ret_stage is written in every case. */
int machine_probe(enum probe_stage *ret_stage, struct err *err);

/* "SSE", "cmpxchg16b", ... */
const char *probe_stage_name(enum probe_stage stage);

/* machine_probe() with another guest and another limit: for its tests. `code` is as arch/.../probe_guest.h says. */
int probe_run(const void *code, size_t bytes, int limit_ms, enum probe_stage *ret_stage, struct err *err);

#endif
