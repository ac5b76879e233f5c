/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the core hands to a plugin's process: regions of guest memory and the page with the interrupt status. The
 * descriptors are hostile: only files in memory that are sealed against shrinking and long enough are mapped, so that
 * no access to them can fault. Main thread.
 */
#ifndef PLACEMENT_CHILD_MEMORY_H
#define PLACEMENT_CHILD_MEMORY_H

#include "core/base/err.h"
#include "core/base/gmem.h"

#include <stddef.h>
#include <stdint.h>

struct memory_region {
	uint64_t gpa, bytes, offset; /* the last within the file */
};

/* Fills *mem, which is empty, with mappings of all regions, in whichever order they come. The descriptors are borrowed;
 * the mappings do not need them. -EINVAL with one line, and *mem empty, for regions that wrap, overlap, are not of
 * whole pages or not in their files. */
int memory_map(struct gmem *mem, size_t count, const struct memory_region *regions, const int *fds, struct err *err);
/* Takes the mappings away; *mem is empty then, as it may be before. */
void memory_unmap(struct gmem *mem);

/* Maps the first page of `fd`, borrowed. -EINVAL with one line. */
int memory_map_page(int fd, void **ret, struct err *err);
void memory_unmap_page(void *page); /* NULL is fine */

#endif
