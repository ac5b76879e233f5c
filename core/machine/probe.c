/* SPDX-License-Identifier: BSD-3-Clause */
/* The probe guest's machine, and what its end means; see probe.h. Reports arrive on vCPU threads. */
#include "core/machine/probe.h"

#include "core/base/clock.h"
#include "core/machine/arch/x86_64/probe_guest.h"
#include "core/machine/layout.h"
#include "core/machine/machine.h"
#include "core/machine/power.h"

#include <backplane/device.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

_Static_assert(PROBE_GUEST_SSE == PROBE_SSE && PROBE_GUEST_CMPXCHG16B == PROBE_CMPXCHG16B &&
		   PROBE_GUEST_PAGING == PROBE_PAGING && PROBE_GUEST_IPI == PROBE_IPI &&
		   PROBE_GUEST_TIMER == PROBE_TIMER && PROBE_GUEST_SMP == PROBE_SMP && PROBE_GUEST_END == PROBE_END,
	       "the guest's stages are enum probe_stage");
_Static_assert(PROBE_GUEST_POWER == LAYOUT_POWER + POWER_SLEEP_CONTROL &&
		   PROBE_GUEST_POWER_OFF == (POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT),
	       "how the guest powers off");
_Static_assert((PROBE_GUEST_BASE & 0xffff) == 0 && PROBE_GUEST_BASE >= LAYOUT_PAGE_TABLES + 6 * UINT64_C(4096) &&
		   PROBE_GUEST_BASE + PROBE_GUEST_MAX <= PROBE_GUEST_MEMORY,
	       "where the guest lies");

/* probe_guest.S */
extern const uint8_t probe_guest[];
extern const uint64_t probe_guest_bytes;

static const char *const stage_names[] = {
	[PROBE_START] = "the first instructions",
	[PROBE_SSE] = "SSE",
	[PROBE_CMPXCHG16B] = "cmpxchg16b",
	[PROBE_PAGING] = "a change of page tables",
	[PROBE_IPI] = "an interrupt that the CPU sends to itself",
	[PROBE_TIMER] = "an interrupt by the local APIC's timer",
	[PROBE_SMP] = "the start of a second CPU",
	[PROBE_END] = "power-off",
};
_Static_assert(sizeof(stage_names) / sizeof(stage_names[0]) == PROBE_END + 1, "a name for each stage");

/* What the guest has said. Written by its vCPUs, read when none runs. */
struct reports {
	_Atomic(uint32_t) stage;   /* the last one that has begun */
	_Atomic(uint32_t) verdict; /* 0, PROBE_GUEST_WRONG, or PROBE_GUEST_FAULT + vector */
};

struct probe {
	struct bus *bus;
	struct machine *machine;
	struct reports reports;
};

const char *probe_stage_name(enum probe_stage stage)
{
	return stage_names[stage <= PROBE_END ? stage : PROBE_START];
}

static int report_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct reports *reports = ctx;

	(void)cookie;
	(void)offset;
	(void)width;
	if (!write) {
		*value = 0;
		return -ENODEV;
	}
	if (*value > PROBE_START && *value <= PROBE_END)
		atomic_store(&reports->stage, (uint32_t)*value);
	else
		atomic_store(&reports->verdict, (uint32_t)*value);
	return 0;
}

static int probe_make(struct probe *probe, const void *code, size_t bytes, struct err *err)
{
	const struct machine_spec spec = {
		.vcpus = PROBE_GUEST_CPUS,
		.memory_bytes = PROBE_GUEST_MEMORY,
		.quiet = true,
	};
	const struct bus_claim port = {
		.space = BP_PIO,
		.widths = BP_W32,
		.base = PROBE_GUEST_PORT,
		.length = 4,
		.access = report_access,
		.ctx = &probe->reports,
		.owner = "probe",
	};
	int r = bus_new(&probe->bus);

	if (r < 0)
		return err_sys(err, r, "bus");
	r = machine_reserve(&spec, probe->bus, err);
	if (r == 0)
		r = bus_insert(probe->bus, &port, err);
	if (r == 0)
		r = machine_new(&spec, probe->bus, &probe->machine, err);
	if (r == 0)
		r = machine_boot_code(probe->machine, code, bytes, PROBE_GUEST_BASE, err);
	return r;
}

/* Until the guest has ended or the time is up. Then no vCPU runs; MACHINE_RUNNING: one had to be taken out of the guest. */
static enum machine_end probe_wait(const struct probe *probe, int limit_ms)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)limit_ms * NS_PER_MS;
	struct pollfd end = { .fd = machine_end_fd(probe->machine), .events = POLLIN };
	enum machine_end reason;

	for (uint64_t now = clock_now_ns(); now < deadline_ns; now = clock_now_ns())
		if (poll(&end, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1) >= 0 || errno != EINTR)
			break;
	reason = machine_end_reason(probe->machine);
	machine_stop(probe->machine);
	return reason;
}

static int probe_judge(struct probe *probe, enum machine_end end, int limit_ms, struct err *err)
{
	uint32_t verdict = atomic_load(&probe->reports.verdict);

	if (end == MACHINE_CRASH || end == MACHINE_KVM_ERROR)
		return err_set(err, -EIO, "%s", machine_crash_text(probe->machine));
	if (end == MACHINE_RUNNING)
		return err_set(err, -ETIMEDOUT, "no end within %d s", limit_ms / 1000);
	if (end != MACHINE_POWEROFF)
		return err_set(err, -EIO, "the guest reset itself");
	if (verdict == PROBE_GUEST_WRONG)
		return err_set(err, -EIO, "a wrong result");
	if (verdict)
		return err_set(err, -EIO, "exception %u", verdict - PROBE_GUEST_FAULT);
	if (atomic_load(&probe->reports.stage) != PROBE_END)
		return err_set(err, -EIO, "the guest ended too early");
	return 0;
}

int probe_run(const void *code, size_t bytes, int limit_ms, enum probe_stage *ret_stage, struct err *err)
{
	struct probe probe = { 0 };
	enum probe_stage stage = PROBE_START;
	int r = probe_make(&probe, code, bytes, err);

	if (r == 0)
		r = machine_start(probe.machine, err);
	if (r == 0) {
		r = probe_judge(&probe, probe_wait(&probe, limit_ms), limit_ms, err);
		stage = (enum probe_stage)atomic_load(&probe.reports.stage);
		if (r < 0)
			err_prefix(err, "stage %d of %d (%s): ", (int)stage, PROBE_END, probe_stage_name(stage));
	}
	machine_free(probe.machine);
	bus_free(probe.bus);
	*ret_stage = stage;
	return r;
}

int machine_probe(enum probe_stage *ret_stage, struct err *err)
{
	return probe_run(probe_guest, probe_guest_bytes, PROBE_LIMIT_MS, ret_stage, err);
}
