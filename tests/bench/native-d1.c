/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * D1: what it costs to take a guest's access from the bus through the runtime into a plugin and back. The instructions are
 * counted exactly; the time is that of a guest that loops on one register, beside the same guest where the access is
 * answered as soon as KVM_RUN has returned, without bus and device (bus_access() is wrapped at link time). Without a KVM
 * that can do it, only the counts are given.
 */
#include "tests/bench/guest_loops.h"
#include "tests/bench/native.h"
#include "tests/unit/dispatch_fixture.h"
#include "tests/unit/steps.h"

#include <stdio.h>

/* ---- instructions ---- */

/* What the linker calls the bus's own. */
void __real_bus_access(struct bus_reader *reader, uint32_t space, uint64_t address, uint32_t width, bool write,
		       uint64_t *value);
void __wrap_bus_access(struct bus_reader *reader, uint32_t space, uint64_t address, uint32_t width, bool write,
		       uint64_t *value);

struct one_access {
	struct bus_reader reader;
	bool write;
	uint64_t value;
};

static void access_once(void *arg)
{
	struct one_access *one = arg;

	__real_bus_access(&one->reader, BP_MMIO, dispatch_address(0), 4, one->write, &one->value);
}

static void tell_instructions(void)
{
	static struct one_access one;
	struct dispatch dispatch;
	long reading, writing;

	dispatch_open(&dispatch, DISPATCH_DEVICES_MAX);
	DISPATCH_MUST(bus_reader_add(dispatch.bus, &one.reader) == 0);
	access_once(&one);
	reading = steps_count((uint64_t)(uintptr_t)__real_bus_access, access_once, &one);
	one.write = true;
	writing = steps_count((uint64_t)(uintptr_t)__real_bus_access, access_once, &one);
	bus_reader_remove(&one.reader);
	dispatch_close(&dispatch);
	if (reading < 0 || writing < 0) {
		fprintf(stderr, "D1: a child cannot be traced here, so no instructions are counted\n");
		return;
	}
	printf("D1 read_instructions %ld instructions\n", reading);
	printf("D1 write_instructions %ld instructions\n", writing);
	printf("D1 user_instructions %ld instructions\n", reading > writing ? reading : writing);
}

/* ---- time ---- */

/* Set while no guest runs. */
static bool bare;

void __wrap_bus_access(struct bus_reader *reader, uint32_t space, uint64_t address, uint32_t width, bool write,
		       uint64_t *value)
{
	if (bare && space == BP_MMIO && address == dispatch_address(0)) {
		*value = 0;
		return;
	}
	__real_bus_access(reader, space, address, width, write, value);
}

static double rate(bool without_bus, uint32_t accesses)
{
	const struct guest_loops loops = { .cpus = 1, .accesses = accesses };
	struct err err;
	double result;

	bare = without_bus;
	if (guest_loops_run(&loops, &result, &err) < 0) {
		fprintf(stderr, "D1: %s\n", err.text);
		exit(1);
	}
	return result;
}

static void tell_ratio(void)
{
	double ratios[NATIVE_ROUNDS], last = 0;
	uint32_t accesses;
	struct err err;

	if (guest_loops_calibrate(&accesses, &err) < 0) {
		fprintf(stderr, "D1: no ratio, since no payload runs here: %s\n", err.text);
		return;
	}
	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		double without = rate(true, accesses), with = rate(false, accesses);

		with += rate(false, accesses);
		without += rate(true, accesses);
		if (round >= 0)
			ratios[round] = without / with;
		last = with / 2;
	}
	native_ratio("D1", "total_ratio", ratios);
	printf("D1 access %.0f ns\n", 1e9 / last);
}

int main(void)
{
	tell_instructions();
	tell_ratio();
	return 0;
}
