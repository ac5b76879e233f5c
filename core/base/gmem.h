/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory as seen by whoever may touch it: a short, sorted list of regions of RAM, each mapped somewhere in this
 * process. The machine makes it, a device's runtime gets a copy (of the list, not of the memory) and, in a process of its
 * own, its own mapping. Immutable once made, so any thread may use it. Device pages are never part of it.
 *
 * The guest runs while we read: copies may be torn, so a field is read once and the copy is checked.
 */
#ifndef BASE_GMEM_H
#define BASE_GMEM_H

#include <stddef.h>
#include <stdint.h>

#define GMEM_REGIONS_MAX 8

struct gmem_region {
	uint64_t gpa;   /* guest physical address */
	uint64_t bytes; /* not 0; gpa + bytes does not wrap */
	uint8_t *host;  /* where it is mapped */
};

struct gmem {
	size_t count;
	struct gmem_region regions[GMEM_REGIONS_MAX]; /* by address, not overlapping */
};

/* A pointer to [gpa, gpa + bytes), which must lie in one region. NULL if any byte is outside RAM, or if bytes is 0. */
void *gmem_slice(const struct gmem *mem, uint64_t gpa, uint64_t bytes);

/* A pointer to `gpa`, and in *ret_bytes how many bytes follow in the same region, at least 1. NULL outside of RAM. */
void *gmem_run(const struct gmem *mem, uint64_t gpa, uint64_t *ret_bytes);

/* 0, or -EFAULT if any byte is outside RAM: nothing has been copied then. Zero bytes at any address are fine. */
int gmem_read(const struct gmem *mem, uint64_t gpa, void *buf, size_t bytes);
int gmem_write(const struct gmem *mem, uint64_t gpa, const void *buf, size_t bytes);
int gmem_copy(const struct gmem *mem, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes);
int gmem_zero(const struct gmem *mem, uint64_t gpa, uint64_t bytes);

/* A hint: all of [gpa, gpa + bytes) is about to be written. The host takes huge pages for it where it can, so that neither
 * we nor the guest pays for each small one. Nothing is written, and nothing fails. */
void gmem_expect(const struct gmem *mem, uint64_t gpa, uint64_t bytes);

/* Sum of all regions. */
uint64_t gmem_total(const struct gmem *mem);

#endif
