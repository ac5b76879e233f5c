/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk without a VM: the real virtio-blk plugin, linked into this program, on the real runtime, with the driver of
 * blk_driver.h. One disk at a time, one thread. */
#ifndef TESTS_BENCH_BLK_DISK_H
#define TESTS_BENCH_BLK_DISK_H

#include "core/base/err.h"
#include "tests/bench/blk_driver.h"

#include <stdbool.h>

struct blk_disk;

/* A disk on a file of whole blocks. `fd` is taken, also by a failure. -errno with one sentence. */
int blk_disk_open(const char *path, int fd, bool direct, struct blk_disk **ret, struct err *err);
void blk_disk_close(struct blk_disk *disk);

/* blk_driver_run(). */
struct blk_run blk_disk_run(struct blk_disk *disk, uint32_t depth, uint64_t window_ns, uint64_t requests);

#endif
