/* SPDX-License-Identifier: BSD-3-Clause */
/* A bus with one reader and a device that remembers the last access; for the tests of the bus. */
#ifndef TESTS_UNIT_BUS_FIXTURE_H
#define TESTS_UNIT_BUS_FIXTURE_H

#include "core/machine/bus.h"

#include "tests/unit/support.h"

#include <backplane/device.h>

#include <errno.h>
#include <inttypes.h>

#define WIDTHS_ALL (BP_W8 | BP_W16 | BP_W32 | BP_W64)

/* A device that remembers the last access. */
struct probe {
	unsigned int calls;
	uint32_t cookie;
	uint64_t offset;
	uint32_t width;
	bool write;
	uint64_t written;
	uint64_t answer;
	int result;
};

struct fixture {
	struct bus *bus;
	struct bus_reader reader;
	struct probe probe;
	struct err err;
};

static inline int probe_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct probe *probe = ctx;

	probe->calls++;
	probe->cookie = cookie;
	probe->offset = offset;
	probe->width = width;
	probe->write = write;
	if (write)
		probe->written = *value;
	else
		*value = probe->answer;
	return probe->result;
}

static inline int setup(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	if (bus_new(&fixture.bus) < 0)
		return -1;
	*state = &fixture;
	return bus_reader_add(fixture.bus, &fixture.reader);
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	bus_reader_remove(&fixture->reader);
	bus_free(fixture->bus);
	log_release();
	return 0;
}

static inline struct bus_claim claim_of(struct fixture *fixture, uint32_t space, uint64_t base, uint64_t length,
					const char *owner)
{
	struct bus_claim claim = {
		.space = space,
		.widths = WIDTHS_ALL,
		.base = base,
		.length = length,
		.access = probe_access,
		.ctx = &fixture->probe,
		.cookie = 7,
	};

	snprintf(claim.owner, sizeof(claim.owner), "%s", owner);
	return claim;
}

static inline int insert(struct fixture *fixture, uint32_t space, uint64_t base, uint64_t length, const char *owner)
{
	struct bus_claim claim = claim_of(fixture, space, base, length, owner);

	fixture->err.text[0] = 0;
	return bus_insert(fixture->bus, &claim, &fixture->err);
}

static inline int insert_widths(struct fixture *fixture, uint64_t base, uint64_t length, uint32_t widths)
{
	struct bus_claim claim = claim_of(fixture, BP_MMIO, base, length, "dev");

	claim.widths = widths;
	fixture->err.text[0] = 0;
	return bus_insert(fixture->bus, &claim, &fixture->err);
}

static inline uint64_t do_read(struct fixture *fixture, uint32_t space, uint64_t address, uint32_t width)
{
	uint64_t value = UINT64_C(0x0123456789abcdef);

	bus_access(&fixture->reader, space, address, width, false, &value);
	return value;
}

static inline void do_write(struct fixture *fixture, uint32_t space, uint64_t address, uint32_t width, uint64_t value)
{
	bus_access(&fixture->reader, space, address, width, true, &value);
}

static inline uint64_t all_ones(uint32_t width)
{
	return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
}

static inline void count_claim(const struct bus_claim *claim, void *arg)
{
	size_t *count = arg;

	(void)claim;
	++*count;
}

static inline size_t claims(struct fixture *fixture)
{
	size_t count = 0;

	bus_each(fixture->bus, count_claim, &count);
	return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
