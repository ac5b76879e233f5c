/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio driver in miniature, for tests that play the guest: RAM in three regions, of which the first two touch, and one queue's
 * rings in the first of them. It writes what the test says, right or wrong.
 *
 *   RING_RAM             rings, indirect tables and buffers
 *   RING_RAM_NEXT        goes on where RING_RAM ends, but is mapped elsewhere
 *   RING_HOLE            no memory
 *   RING_RAM_FAR         behind the hole
 */
#ifndef TESTS_UNIT_RING_DRIVER_H
#define TESTS_UNIT_RING_DRIVER_H

#include "core/base/gmem.h"

#include "tests/unit/support.h"

#define RING_REGION     UINT64_C(0x40000)
#define RING_RAM        UINT64_C(0x100000)
#define RING_RAM_NEXT   (RING_RAM + RING_REGION)
#define RING_HOLE       (RING_RAM_NEXT + RING_REGION)
#define RING_RAM_FAR    UINT64_C(0x400000)

#define RING_DESC       RING_RAM
#define RING_AVAIL      (RING_RAM + 0x8000)
#define RING_USED       (RING_RAM + 0xa000)
#define RING_TABLE      (RING_RAM + 0x10000) /* for indirect tables */
#define RING_DATA       (RING_RAM + 0x20000)

#define RING_F_NEXT     1u
#define RING_F_WRITE    2u
#define RING_F_INDIRECT 4u

struct ring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct ring_driver {
	struct gmem mem;
	uint16_t size;
	uint16_t avail_idx;
	uint16_t used_seen;
};

static inline void ring_init(struct ring_driver *driver, uint16_t size)
{
	static const uint64_t gpas[] = { RING_RAM, RING_RAM_NEXT, RING_RAM_FAR };

	*driver = (struct ring_driver){ .size = size };
	for (size_t i = 0; i < COUNT_OF(gpas); i++) {
		/* On its own pages each, with a hole behind it, so that an access too far is seen. */
		uint8_t *host = mmap(NULL, RING_REGION + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		MUST(host != MAP_FAILED && mprotect(host, RING_REGION, PROT_READ | PROT_WRITE) == 0);
		driver->mem.regions[driver->mem.count++] =
		    (struct gmem_region){ .gpa = gpas[i], .bytes = RING_REGION, .host = host };
	}
}

static inline void ring_end(struct ring_driver *driver)
{
	for (size_t i = 0; i < driver->mem.count; i++)
		munmap(driver->mem.regions[i].host, RING_REGION + 4096);
	driver->mem.count = 0;
}

static inline void *ring_at(const struct ring_driver *driver, uint64_t gpa)
{
	uint64_t run;
	void *host = gmem_run(&driver->mem, gpa, &run);

	MUST(host);
	return host;
}

static inline void ring_put16(const struct ring_driver *driver, uint64_t gpa, uint16_t value)
{
	__atomic_store_n((uint16_t *)ring_at(driver, gpa), value, __ATOMIC_RELEASE);
}

static inline uint16_t ring_get16(const struct ring_driver *driver, uint64_t gpa)
{
	return __atomic_load_n((uint16_t *)ring_at(driver, gpa), __ATOMIC_ACQUIRE);
}

/* Descriptor `index` of the table at `table`. */
static inline void ring_set(const struct ring_driver *driver, uint64_t table, uint32_t index, uint64_t addr,
			    uint32_t len, unsigned int flags, uint16_t next)
{
	const struct ring_desc desc = { .addr = addr, .len = len, .flags = (uint16_t)flags, .next = next };

	memcpy(ring_at(driver, table + index * sizeof(desc)), &desc, sizeof(desc));
}

/* Puts a head into the ring without showing it. */
static inline void ring_enter(struct ring_driver *driver, uint16_t head)
{
	ring_put16(driver, RING_AVAIL + 4 + 2u * (driver->avail_idx++ % driver->size), head);
}

static inline void ring_show(const struct ring_driver *driver)
{
	ring_put16(driver, RING_AVAIL + 2, driver->avail_idx);
}

static inline void ring_offer(struct ring_driver *driver, uint16_t head)
{
	ring_enter(driver, head);
	ring_show(driver);
}

static inline uint16_t ring_used_idx(const struct ring_driver *driver)
{
	return ring_get16(driver, RING_USED + 2);
}

/* The next used entry, if the device has shown one. */
static inline bool ring_used(struct ring_driver *driver, uint32_t *ret_id, uint32_t *ret_len)
{
	uint32_t entry[2];

	if (ring_used_idx(driver) == driver->used_seen)
		return false;
	memcpy(entry, ring_at(driver, RING_USED + 4 + 8u * (driver->used_seen++ % driver->size)), sizeof(entry));
	*ret_id = entry[0];
	*ret_len = entry[1];
	return true;
}

/* What the driver and the device say of the notifications that they want. */
static inline void ring_set_avail_flags(const struct ring_driver *driver, uint16_t flags)
{
	ring_put16(driver, RING_AVAIL, flags);
}

static inline void ring_set_used_event(const struct ring_driver *driver, uint16_t event)
{
	ring_put16(driver, RING_AVAIL + 4 + 2u * driver->size, event);
}

static inline uint16_t ring_used_flags(const struct ring_driver *driver)
{
	return ring_get16(driver, RING_USED);
}

static inline uint16_t ring_avail_event(const struct ring_driver *driver)
{
	return ring_get16(driver, RING_USED + 4 + 8u * driver->size);
}

#endif
