/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A driver for a virtio disk, in this process and without a VM, that does what Linux's does: indirect descriptors,
 * EVENT_IDX, one kick a batch, one look at the used ring an interrupt. Its interrupts come through an eventfd, for
 * whose edges it sleeps in one system call, as a vCPU does in HLT. Its memory is a memfd, as a guest's is, so that the
 * disk may be in another process. One thread, but for what is constant.
 */
#ifndef TESTS_BENCH_BLK_DRIVER_H
#define TESTS_BENCH_BLK_DRIVER_H

#include "core/base/gmem.h"
#include "core/base/virtio_isr.h"

#include <stdint.h>

#define BLK_DRIVER_BLOCK     UINT64_C(4096)
#define BLK_DRIVER_DEPTH_MAX 64u

struct blk_driver;

/* What a device has to know of it; everything belongs to the driver. */
struct blk_driver_side {
	const struct gmem *mem; /* one region, at the beginning of memory_fd */
	int memory_fd;
	uint64_t features;
	uint16_t ring_size;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	int kick_fd, call_fd;
};

/* What a run took. */
struct blk_run {
	uint64_t requests;
	uint64_t ns;
	uint64_t kicks;      /* notifications to the device */
	uint64_t interrupts; /* from it */
};

/* For a disk of so many blocks, each of which begins with its number in 64 bits. Without
 * memory or descriptors it ends the process. */
struct blk_driver *blk_driver_new(uint64_t blocks);
void blk_driver_free(struct blk_driver *driver); /* NULL is fine */

const struct blk_driver_side *blk_driver_side(const struct blk_driver *driver);

/* Reads blocks at random, `depth` at a time, for `window_ns` or until `requests` have begun, whichever is first and not
 * 0. The disk has been activated, and raises its interrupts in `isr`. Each status and each block's number is looked at:
 * whatever is wrong ends the process. */
struct blk_run blk_driver_run(struct blk_driver *driver, struct virtio_isr *isr, uint32_t depth, uint64_t window_ns,
			      uint64_t requests);

#endif
