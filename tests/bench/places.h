/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks without a VM, each with its driver (blk_driver.h), for the bench: the real virtio-blk plugin in a thread of
 * this process or in a process of its own, through core/placement as a VM does it. What goes wrong, but for opening a
 * disk, ends this process. Main thread, but for place_disk_run().
 */
#ifndef TESTS_BENCH_PLACES_H
#define TESTS_BENCH_PLACES_H

#include "core/base/err.h"
#include "tests/bench/blk_driver.h"
#include "tests/bench/calls.h"

#include <stdbool.h>

enum where { WHERE_PROCESS, WHERE_THREAD, WHERES };

struct places;
struct place_disk;

/* While there is one thread. */
struct places *places_new(void);
void places_free(struct places *places);

/* Readable when places_mind() has something to do. */
int places_fd(const struct places *places);
void places_mind(struct places *places);

/* A disk on a file of whole blocks, which is set up and running. -errno with one line. */
int place_disk_open(struct places *places, enum where where, const char *path, bool direct, struct place_disk **ret,
		    struct err *err);
void place_disk_close(struct place_disk *disk); /* NULL is fine */

/* blk_driver_run(). One thread at a time. */
struct blk_run place_disk_run(struct place_disk *disk, uint32_t depth, uint64_t window_ns, uint64_t requests);

/* [any] What the plugins' processes have called. */
struct calls places_host_calls(void);

#endif
