/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus: changes from inside an access, and while others look up. */
#include "tests/unit/bus_fixture.h"

#include <sched.h>

/* ---- changes from inside, and waiting ---- */

struct insider {
	struct bus *bus;
	int removed;
	int inserted;
	struct err err;
};

static int insider_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct insider *insider = ctx;
	struct bus_claim claim = { .space = BP_MMIO, .widths = BP_W8, .base = 0x9000, .length = 1, .owner = "insider" };

	(void)cookie, (void)offset, (void)width, (void)write, (void)value;
	insider->removed = bus_remove(insider->bus, BP_MMIO, 0x1000);
	insider->inserted = bus_insert(insider->bus, &claim, &insider->err);
	return 0;
}

static void no_change_from_inside_an_access(void **state)
{
	struct fixture *fixture = *state;
	struct insider insider = { .bus = fixture->bus };
	struct bus_claim claim = claim_of(fixture, BP_MMIO, 0x1000, 8, "insider");

	claim.access = insider_access;
	claim.ctx = &insider;
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	do_write(fixture, BP_MMIO, 0x1000, 4, 0);
	assert_int_equal(insider.removed, -EDEADLK);
	assert_int_equal(insider.inserted, -EDEADLK);
	assert_string_equal(insider.err.text, "insider: a range cannot be claimed from inside an access");
	assert_int_equal(claims(fixture), 1);
	/* Outside again, both are allowed. */
	assert_int_equal(insert(fixture, BP_MMIO, 0x9000, 1, "outside"), 0);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1000), 0);
}

/* A device whose first access lasts until the test says so. */
struct slow {
	struct event entered;
	struct event leave;
	atomic_bool begun;
	atomic_bool inside;
};

static int slow_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct slow *slow = ctx;

	(void)cookie, (void)offset, (void)width, (void)write;
	*value = 0x42;
	if (atomic_exchange(&slow->begun, true))
		return 0;
	atomic_store(&slow->inside, true);
	event_post(&slow->entered);
	MUST(event_wait(&slow->leave, 1));
	atomic_store(&slow->inside, false);
	return 0;
}

struct visitor {
	struct bus *bus;
	uint64_t address;
	uint64_t value;
};

static void *visit(void *arg)
{
	struct visitor *visitor = arg;
	struct bus_reader reader = { .bus = NULL };

	MUST(bus_reader_add(visitor->bus, &reader) == 0);
	bus_access(&reader, BP_MMIO, visitor->address, 4, false, &visitor->value);
	bus_reader_remove(&reader);
	return NULL;
}

struct remover {
	struct bus *bus;
	struct slow *slow;
	int result;
	bool was_inside;
	atomic_bool done;
};

static void *remove_slow(void *arg)
{
	struct remover *remover = arg;

	remover->result = bus_remove(remover->bus, BP_MMIO, 0x1000);
	remover->was_inside = atomic_load(&remover->slow->inside);
	atomic_store(&remover->done, true);
	return NULL;
}

static void a_removal_waits_until_nobody_is_inside(void **state)
{
	struct fixture *fixture = *state;
	struct slow slow = { .entered = EVENT_INIT, .leave = EVENT_INIT };
	struct visitor visitor = { .bus = fixture->bus, .address = 0x1000 };
	struct remover remover = { .bus = fixture->bus, .slow = &slow };
	struct bus_claim claim = claim_of(fixture, BP_MMIO, 0x1000, 8, "slow");
	pthread_t inside, removing;
	time_t end;

	claim.access = slow_access;
	claim.ctx = &slow;
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	assert_int_equal(pthread_create(&inside, NULL, visit, &visitor), 0);
	assert_true(event_wait(&slow.entered, 1));
	assert_int_equal(pthread_create(&removing, NULL, remove_slow, &remover), 0);
	/* As soon as the address is nobody's the new table is out, and there is nothing left to wait for but the visitor. */
	end = time(NULL) + PATIENCE_S;
	while (do_read(fixture, BP_MMIO, 0x1000, 4) == 0x42 && time(NULL) < end)
		sched_yield();
	for (int i = 0; i < 1000; i++) {
		assert_false(atomic_load(&remover.done));
		sched_yield();
	}
	event_post(&slow.leave);
	assert_true(thread_join(inside));
	assert_true(thread_join(removing));
	assert_int_equal(remover.result, 0);
	assert_false(remover.was_inside);
	assert_int_equal(visitor.value, 0x42);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 0xffffffff);
}

static void nothing_is_locked_while_a_device_runs(void **state)
{
	struct fixture *fixture = *state;
	struct slow slow = { .entered = EVENT_INIT, .leave = EVENT_INIT };
	struct visitor visitor = { .bus = fixture->bus, .address = 0x1000 };
	struct bus_claim claim = claim_of(fixture, BP_MMIO, 0x1000, 8, "slow");
	pthread_t inside;
	uint64_t base;

	claim.access = slow_access;
	claim.ctx = &slow;
	fixture->probe.answer = 9;
	assert_int_equal(insert(fixture, BP_MMIO, 0x2000, 8, "other"), 0);
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	assert_int_equal(pthread_create(&inside, NULL, visit, &visitor), 0);
	assert_true(event_wait(&slow.entered, 1));
	assert_int_equal(do_read(fixture, BP_MMIO, 0x2000, 4), 9);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 0x42);
	assert_int_equal(claims(fixture), 2);
	assert_int_equal(bus_find_free(fixture->bus, BP_MMIO, 0x1000, 0x2000, 8, 8, &base), 0);
	assert_int_equal(base, 0x1008);
	event_post(&slow.leave);
	assert_true(thread_join(inside));
}

/* ---- all at once ---- */

#define SLOTS      16
#define SLOT_BYTES 0x100
#define THREADS    4
#define CHANGES    20000
#define LIVE_MAGIC UINT64_C(0x6c697665)
#define DEAD_MAGIC UINT64_C(0x64656164)

/* What a claim points to: made for it and freed after its removal, so that a late access touches freed memory. Its fields
 * are plain on purpose: if the bus let anybody in after a removal, ThreadSanitizer would see the race. */
struct tenant {
	uint64_t magic;
	uint64_t slot;
};

struct storm {
	struct bus *bus;
	struct event ready; /* once per reader */
	struct event hit;   /* once per reader, at its first hit */
	atomic_bool end;
};

static int tenant_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	const struct tenant *tenant = ctx;

	(void)write;
	MUST(tenant->magic == LIVE_MAGIC);
	MUST(tenant->slot == cookie);
	MUST(offset + width <= SLOT_BYTES / 2);
	*value = tenant->slot;
	return 0;
}

static void *storm_reader(void *arg)
{
	struct storm *storm = arg;
	struct bus_reader reader = { .bus = NULL };
	unsigned int seed = (unsigned int)(uintptr_t)&reader;
	bool hit = false;

	MUST(bus_reader_add(storm->bus, &reader) == 0);
	event_post(&storm->ready);
	while (!atomic_load_explicit(&storm->end, memory_order_relaxed)) {
		uint64_t slot = (uint64_t)rand_r(&seed) % SLOTS;
		uint32_t space = slot % 2 ? BP_MMIO : BP_PIO;
		uint64_t value = 0;

		/* Some beside the claim, some across its end. */
		bus_access(&reader, space, 0x1000 + slot * SLOT_BYTES + (uint64_t)rand_r(&seed) % (SLOT_BYTES / 2 + 8),
			   4, false, &value);
		MUST(value == slot || value == 0xffffffff);
		if (value == slot && !hit)
			event_post(&storm->hit);
		hit |= value == slot;
	}
	bus_reader_remove(&reader);
	return NULL;
}

static void change_slot(struct fixture *fixture, struct tenant **tenants, uint32_t slot)
{
	struct bus_claim claim =
	    claim_of(fixture, slot % 2 ? BP_MMIO : BP_PIO, 0x1000 + slot * SLOT_BYTES, SLOT_BYTES / 2, "tenant");

	if (tenants[slot]) {
		assert_int_equal(bus_remove(fixture->bus, claim.space, claim.base), 0);
		tenants[slot]->magic = DEAD_MAGIC;
		free(tenants[slot]);
		tenants[slot] = NULL;
		return;
	}
	tenants[slot] = malloc(sizeof(struct tenant));
	assert_non_null(tenants[slot]);
	*tenants[slot] = (struct tenant){ .magic = LIVE_MAGIC, .slot = slot };
	claim.widths = BP_W32 | BP_UNALIGNED;
	claim.access = tenant_access;
	claim.ctx = tenants[slot];
	claim.cookie = slot;
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
}

static void changes_while_others_look_up(void **state)
{
	struct fixture *fixture = *state;
	struct storm storm = { .bus = fixture->bus, .ready = EVENT_INIT, .hit = EVENT_INIT };
	struct tenant *tenants[SLOTS] = { NULL };
	pthread_t threads[THREADS];
	unsigned int seed = 1;

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm_reader, &storm), 0);
	assert_true(event_wait(&storm.ready, THREADS));
	for (unsigned int i = 0; i < CHANGES; i++)
		change_slot(fixture, tenants, (uint32_t)rand_r(&seed) % SLOTS);
	/* Each has been let in at least once, or nothing has been shown. */
	if (!tenants[0])
		change_slot(fixture, tenants, 0);
	assert_true(event_wait(&storm.hit, THREADS));
	atomic_store(&storm.end, true);
	for (size_t i = 0; i < THREADS; i++)
		assert_true(thread_join(threads[i]));
	for (size_t i = 0; i < SLOTS; i++)
		free(tenants[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_change_from_inside_an_access),
		TEST(a_removal_waits_until_nobody_is_inside),
		TEST(nothing_is_locked_while_a_device_runs),
		TEST(changes_while_others_look_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
