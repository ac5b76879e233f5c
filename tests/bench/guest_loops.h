/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest whose CPUs do nothing but access a register of a device, each as often as it is told; on real KVM. The payload is
 * tests/payload's, the devices are those of tests/unit/dispatch_fixture.h. Main thread.
 */
#ifndef TESTS_BENCH_GUEST_LOOPS_H
#define TESTS_BENCH_GUEST_LOOPS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define GUEST_LOOPS_CPUS_MAX 2

struct guest_loops {
	uint32_t cpus;
	bool same;         /* all on one device; else each on its own */
	uint32_t accesses; /* of each CPU */
};

/* Runs one; accesses a second, of all CPUs together, from when the first begins to when the last ends. -errno with one line,
 * for example if this host has no KVM that can do it. */
int guest_loops_run(const struct guest_loops *loops, double *ret_rate, struct err *err);

/* How many accesses of one CPU take about a quarter of a second here. */
int guest_loops_calibrate(uint32_t *ret_accesses, struct err *err);

#endif
