/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's RAM: one sealed memfd per region, below the hole and above it, mapped shared so that another process can map
 * it too. Main thread; the resulting gmem is immutable.
 */
#ifndef MACHINE_MEMORY_H
#define MACHINE_MEMORY_H

#include "core/base/gmem.h"
#include "core/machine/kvm.h"

struct memory {
	struct gmem map;
	int fds[GMEM_REGIONS_MAX]; /* of the regions in `map`; owned */
};

/* Whether the host has that much at all: -ENOMEM with both figures if not. Nothing is created. */
int memory_check(uint64_t bytes, struct err *err);

/* RAM below the hole when the guest has `bytes` in all. */
uint64_t memory_low_bytes(uint64_t bytes);

/* Makes `bytes` of RAM, a multiple of 4096, and maps it here. */
int memory_create(struct memory *memory, uint64_t bytes, struct err *err);

/* Makes it the guest's: one slot per region. */
int memory_attach(const struct memory *memory, struct kvm *kvm, struct err *err);

void memory_destroy(struct memory *memory);

#endif
