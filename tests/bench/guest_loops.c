/* SPDX-License-Identifier: BSD-3-Clause */
/* Guests that loop on a register; see guest_loops.h. */
#include "tests/bench/guest_loops.h"

#include "core/base/clock.h"
#include "tests/payload/harness.h"
#include "tests/unit/dispatch_fixture.h"

#include <backplane/device.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define LIMIT_MS      60000
#define CALIBRATION   1000u
#define ACCESSES_MAX  1000000u
#define RUNS_A_SECOND 4

/* When each CPU began and ended. Each is written by its own vCPU's thread, and read when none is left. */
struct marks {
	uint64_t begin_ns[GUEST_LOOPS_CPUS_MAX];
	uint64_t end_ns[GUEST_LOOPS_CPUS_MAX];
};

static int mark_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct marks *marks = ctx;
	uint64_t cpu = *value & ~(uint64_t)PAYLOAD_MARK_MASK;

	(void)cookie, (void)offset, (void)width;
	if (!write || cpu >= GUEST_LOOPS_CPUS_MAX)
		return -ENODEV;
	if ((*value & PAYLOAD_MARK_MASK) == PAYLOAD_MARK_BEGIN)
		marks->begin_ns[cpu] = clock_now_ns();
	else
		marks->end_ns[cpu] = clock_now_ns();
	return 0;
}

static int rate(const struct guest_loops *loops, const struct marks *marks, double *ret_rate, struct err *err)
{
	uint64_t begin = UINT64_MAX, end = 0;

	for (uint32_t i = 0; i < loops->cpus; i++) {
		if (!marks->begin_ns[i] || marks->end_ns[i] <= marks->begin_ns[i])
			return err_set(err, -EIO, "the guest's CPU %u made no loop", i);
		begin = marks->begin_ns[i] < begin ? marks->begin_ns[i] : begin;
		end = marks->end_ns[i] > end ? marks->end_ns[i] : end;
	}
	*ret_rate = (double)loops->cpus * loops->accesses * (double)NS_PER_S / (double)(end - begin);
	return 0;
}

static int run(struct harness *harness, const struct guest_loops *loops, double *ret_rate, struct err *err)
{
	struct marks marks = { .begin_ns = { 0 } };
	const struct bus_claim claim = {
		.space = BP_PIO,
		.widths = BP_W32,
		.base = PAYLOAD_MARK,
		.length = 4,
		.access = mark_access,
		.ctx = &marks,
		.owner = "mark",
	};
	struct payload_shared *shared = harness_shared(harness);
	enum machine_end end;
	int r = bus_insert(harness->bus, &claim, err);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < loops->cpus; i++)
		shared->ops[i] = (struct payload_op){
			.kind = PAYLOAD_OP_READ,
			.width = 4,
			.count = loops->accesses,
			.address = dispatch_address(loops->same ? 0 : i),
		};
	r = harness_start(harness, err);
	if (r < 0)
		return r;
	end = harness_wait(harness, LIMIT_MS);
	if (end != MACHINE_POWEROFF)
		return err_set(err, -EIO, "the guest did not come to its end: %s",
			       end == MACHINE_CRASH ? machine_crash_text(harness->machine) : "it takes too long");
	return rate(loops, &marks, ret_rate, err);
}

int guest_loops_run(const struct guest_loops *loops, double *ret_rate, struct err *err)
{
	static struct harness harness;
	const struct machine_spec spec = { .vcpus = loops->cpus, .memory_bytes = HARNESS_MEMORY, .quiet = true };
	struct dispatch dispatch;
	char cmdline[32];
	int r;

	snprintf(cmdline, sizeof(cmdline), "case=loop cpus=%u", loops->cpus);
	r = harness_open(&harness, &spec, cmdline, err);
	if (r == 0) {
		dispatch_attach(&dispatch, harness.bus, GUEST_LOOPS_CPUS_MAX);
		r = run(&harness, loops, ret_rate, err);
		dispatch_detach(&dispatch);
	}
	harness_close(&harness);
	return r;
}

int guest_loops_calibrate(uint32_t *ret_accesses, struct err *err)
{
	const struct guest_loops loops = { .cpus = 1, .accesses = CALIBRATION };
	double one = 0;
	int r = guest_loops_run(&loops, &one, err);

	if (r < 0)
		return r;
	one /= RUNS_A_SECOND;
	*ret_accesses = one > ACCESSES_MAX ? ACCESSES_MAX : one < CALIBRATION ? CALIBRATION : (uint32_t)one;
	return 0;
}
