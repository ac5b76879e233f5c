/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk without a VM: the real virtio-blk plugin on the real runtime, and a driver for it in this process that does what Linux's does:
 * indirect descriptors, EVENT_IDX, one kick a batch, one look at the used ring an interrupt. Its interrupts come through an
 * eventfd, in whose read() it sleeps as a vCPU does in HLT. One disk at a time, one thread.
 */
#ifndef TESTS_BENCH_BLK_DRIVER_H
#define TESTS_BENCH_BLK_DRIVER_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define BLK_DRIVER_BLOCK     UINT64_C(4096)
#define BLK_DRIVER_DEPTH_MAX 64u

struct blk_driver;

/* What a run took. */
struct blk_run {
	uint64_t requests;
	uint64_t ns;
	uint64_t kicks;      /* notifications to the device */
	uint64_t interrupts; /* from it */
};

/* A disk on a file of whole blocks, each of which begins with its number in 64 bits. `fd` is taken, also by a failure. -errno with one
 * sentence. */
int blk_driver_open(const char *path, int fd, bool direct, struct blk_driver **ret, struct err *err);
void blk_driver_close(struct blk_driver *driver);

/* Reads blocks at random, `depth` at a time, for `window_ns` or until `requests` have begun, whichever is first and not 0. Each
 * status and each block's number is looked at: whatever is wrong ends the process. */
struct blk_run blk_driver_run(struct blk_driver *driver, uint32_t depth, uint64_t window_ns, uint64_t requests);

#endif
