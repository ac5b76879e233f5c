/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's RAM: one sealed memfd per region, below the hole and above it, mapped shared so that another process can map
 * it too; of ordinary pages, or of huge ones. Main thread; the resulting gmem is immutable.
 */
#ifndef MACHINE_MEMORY_H
#define MACHINE_MEMORY_H

#include "core/base/gmem.h"
#include "core/machine/kvm.h"

#include <stdbool.h>

#define MEMORY_HUGE_BYTES (UINT64_C(2) << 20)

struct memory_spec {
	uint64_t bytes; /* multiple of 4096; of MEMORY_HUGE_BYTES with huge pages */
	bool hugepages; /* the host's huge pages of MEMORY_HUGE_BYTES, all of them set aside for us from the start */
	bool prefault;  /* taken from the host at once, so that the guest never waits for it */
};

struct memory {
	struct memory_spec spec;
	struct gmem map;
	int fds[GMEM_REGIONS_MAX]; /* of the regions in `map`; owned */
};

/* Whether the host has that much at all: -ENOMEM with both figures if not; -EINVAL if it cannot be divided into huge pages that
 * it is to be in. Nothing is created. */
int memory_check(const struct memory_spec *spec, struct err *err);

/* Whether there are enough huge pages now, if the spec wants them: -ENOMEM with how many are missing, -ENODEV if the host's kernel
 * has none. Nothing is created. */
int memory_check_hugepages(const struct memory_spec *spec, struct err *err);

/* RAM below the hole when the guest has `bytes` in all. */
uint64_t memory_low_bytes(uint64_t bytes);

/* Makes RAM and maps it here. Prefaulting can take minutes; it tells how far it is on a terminal, and -EINTR, when one of the
 * signals that end a VM is waiting, ends it. */
int memory_create(struct memory *memory, const struct memory_spec *spec, struct err *err);

/* Makes all of it zero again, as it was made: gives the pages back to the host, and takes them anew where the spec says so. The
 * mappings stay where they are. No guest runs. -errno with a message if huge pages, or memory to prefault, are gone meanwhile. */
int memory_clear(struct memory *memory, struct err *err);

/* Makes it the guest's: one slot per region. */
int memory_attach(const struct memory *memory, struct kvm *kvm, struct err *err);

void memory_destroy(struct memory *memory);

#endif
