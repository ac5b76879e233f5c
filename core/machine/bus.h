/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bus: which device answers at which address, for memory and for ports.
 *
 * Changes take the bus's mutex and publish a new, immutable, sorted table; lookups take no lock. Each thread that makes
 * accesses is a reader with a slot of its own, in which it says which table it is using; a removal publishes a table without
 * the claim and then waits until no slot names an older one. As a reader keeps its slot for the whole access, nobody is
 * inside the device after that. The bus holds no lock while a device runs.
 *
 *   call                      who, when
 *   bus_new, bus_free         main thread; no readers left
 *   bus_insert, bus_remove,
 *   bus_find_free, bus_each   any thread that is not inside an access
 *   bus_access                the thread that owns the reader
 */
#ifndef MACHINE_BUS_H
#define MACHINE_BUS_H

#include "core/base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;
struct bus_table;

#define BUS_READERS_MAX 64
#define BUS_OWNER_MAX   64 /* bytes of an owner's name with its NUL */

/*
 * One access inside a claim: `offset` from its base, `width` of 1, 2, 4 or 8 bytes, naturally aligned unless the claim
 * says otherwise. *value holds what is written, or receives what is read; bits beyond the width are cut by the bus. A
 * callee that fails returns -errno, and a read then gives all-ones.
 */
typedef int bus_access_fn(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value);

/* What a device claims. */
struct bus_claim {
	uint32_t space;  /* BP_MMIO or BP_PIO */
	uint32_t widths; /* BP_W* and BP_UNALIGNED */
	uint64_t base;
	uint64_t length;
	bus_access_fn *access;
	void *ctx;
	uint32_t cookie;
	char owner[BUS_OWNER_MAX]; /* for messages and tables */
};

/* A thread that makes accesses. Zero it, then bus_reader_add(). Its own cache line: the slot is written on each access. */
struct bus_reader {
	_Alignas(64) _Atomic(const struct bus_table *) using;
	uint64_t hit_generation;     /* of the table that the last hit is in; of no other is it looked at */
	const struct bus_claim *hit; /* borrowed from that table */
	uint64_t unclaimed;          /* atomic: accesses that nobody, or nobody for this width, answered */
	struct bus *bus;
};

/* 0 or -ENOMEM. */
int bus_new(struct bus **ret);
void bus_free(struct bus *bus); /* NULL is fine */

/* Joins the bus; the reader must stay in place until bus_reader_remove(). -ENOSPC beyond BUS_READERS_MAX. */
int bus_reader_add(struct bus *bus, struct bus_reader *reader);
void bus_reader_remove(struct bus_reader *reader);

/* Adds a claim, which is copied. One step: either all of it is there, or nothing. -EINVAL for a length of 0, a range that
 * wraps or leaves its space, widths that no access can have; -EEXIST for an overlap: the message names both owners and both
 * ranges; -ENOMEM. */
int bus_insert(struct bus *bus, const struct bus_claim *claim, struct err *err);

/* Takes a claim away, and returns when no access to it is under way and none can follow. -ENOENT; -EDEADLK from inside an
 * access (nothing has changed then): the caller would wait for itself. */
int bus_remove(struct bus *bus, uint32_t space, uint64_t base);

/* The lowest free base in [low, high) for `length` bytes, a multiple of `align` (a power of two). 0 or -ENOSPC. The caller
 * inserts it itself, so two callers need a lock of their own. */
int bus_find_free(struct bus *bus, uint32_t space, uint64_t low, uint64_t high, uint64_t length, uint64_t align,
		  uint64_t *ret_base);

/* Calls fn for each claim, ports first, by address. The bus is locked: fn does not call it. */
void bus_each(struct bus *bus, void (*fn)(const struct bus_claim *claim, void *arg), void *arg);

/* One access of the guest. Unclaimed addresses, accesses that do not lie in one claim as a whole, and widths that it does
 * not take: reads give all-ones, writes vanish; counted, and logged at debug level with a rate limit. */
void bus_access(struct bus_reader *reader, uint32_t space, uint64_t address, uint32_t width, bool write,
		uint64_t *value);

/* "0xd0000000-0xd0000fff" */
#define BUS_RANGE_TEXT 48
const char *bus_range_text(uint64_t base, uint64_t length, char text[BUS_RANGE_TEXT]);

#endif
