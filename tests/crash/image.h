/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks as they could look after a crash, made from a log. The power fails after a number of entries; what was written before the last flush
 * among these is on the disk, and of the later writes a part is. Which part is drawn from a seed, so the same seed gives the same disk:
 *
 *   nothing   none of them
 *   some      each one is there, or not, or torn: some of its sectors are there
 *   one less  all but one, which is torn or not there
 *   one       only one, whole or torn
 *
 * Writes stay in their order, as a disk's cache never gives back what was overwritten in it.
 */
#ifndef TESTS_CRASH_IMAGE_H
#define TESTS_CRASH_IMAGE_H

#include "log.h"

enum crash_manner {
	CRASH_NOTHING,
	CRASH_SOME,
	CRASH_ONE_LESS,
	CRASH_ONE,
	CRASH_MANNERS,
};

struct crash_cut {
	uint64_t seed;  /* of what follows */
	size_t at;      /* so many entries have happened */
	size_t flushed; /* so many of these are on stable storage: the last of them is a flush, or 0 */
	enum crash_manner manner;
};

/* Draws a point in time with at least `first` entries before it, and a manner. Half of the cuts lie right behind a NOTE, where
 * the youngest promise is. `first` is at most the log's count. */
struct crash_cut crash_draw(const struct crash_log *log, size_t first, uint64_t seed);

/* Turns `image` (image_bytes of the log), which holds what the disk had at the log's beginning, into the disk after that crash. */
void crash_apply(const struct crash_log *log, const struct crash_cut *cut, uint8_t *image);

/* For people. */
const char *crash_manner_name(enum crash_manner manner);

#endif
