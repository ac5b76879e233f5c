/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A machine that runs the payload: the bus with the reporting port, the machine, a bounded wait for its end. Used on the main
 * thread of the programs in this folder and of some in tests/bench; reports arrive on vCPU threads.
 *
 *   call             before            after
 *   harness_open     -                 made and loaded: claims, shared memory
 *   harness_start    harness_open      runs
 *   harness_wait     harness_start     ended, no vCPU thread is left
 *   harness_close    any               nothing is left
 */
#ifndef TESTS_PAYLOAD_HARNESS_H
#define TESTS_PAYLOAD_HARNESS_H

#include "core/machine/machine.h"
#include "tests/payload/payload.h"

#include <pthread.h>

#define HARNESS_REPORTS_MAX 4096
#define HARNESS_MEMORY      (UINT64_C(32) << 20) /* enough for the payload */

struct harness {
	struct bus *bus;
	struct machine *machine;
	struct boot_image *image;
	pthread_mutex_t lock; /* reports */
	pthread_cond_t reported;
	size_t report_count; /* also those beyond the end of the list */
	uint32_t reports[HARNESS_REPORTS_MAX];
};

/* Makes a machine of `spec` with the payload loaded, which is to be found in this program's folder or in one beside it. 0, or
 * -errno with a message; harness_close() is needed in both cases. */
int harness_open(struct harness *harness, const struct machine_spec *spec, const char *cmdline, struct err *err);
void harness_close(struct harness *harness);

/* The shared page in guest memory, for use while the guest does not run. */
struct payload_shared *harness_shared(struct harness *harness);

int harness_start(struct harness *harness, struct err *err);

/* Waits at most `timeout_ms` for the guest to end, then takes its vCPUs out of it. MACHINE_RUNNING: it did not end by
 * itself. */
enum machine_end harness_wait(struct harness *harness, int timeout_ms);

/* Waits at most `timeout_ms` until there have been `count` reports. */
bool harness_wait_reports(struct harness *harness, size_t count, int timeout_ms);

/* The last report of that kind (PAYLOAD_SAYS_*) without its kind, or `otherwise`. */
uint32_t harness_last(struct harness *harness, uint32_t kind, uint32_t otherwise);

/* How many reports were exactly this. */
size_t harness_count(struct harness *harness, uint32_t report);

#endif
