/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus: what can be claimed, what overlaps, where there is room. */
#include "tests/unit/bus_fixture.h"

/* ---- what can be claimed ---- */

static void a_length_of_zero_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x1000, 0, "led"), -EINVAL);
	assert_string_equal(fixture->err.text, "led: a range at 0x1000 has the length 0");
	assert_int_equal(insert(fixture, BP_PIO, 0x60, 0, "kbd"), -EINVAL);
	assert_int_equal(claims(fixture), 0);
}

static void a_range_that_wraps_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, UINT64_MAX, 2, "led"), -EINVAL);
	assert_string_equal(fixture->err.text,
			    "led: a range of 0x2 bytes at 0xffffffffffffffff leaves the address space");
	assert_int_equal(insert(fixture, BP_MMIO, 1, UINT64_MAX, "whole"), 0);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 1), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 2, UINT64_MAX, "led"), -EINVAL);
	assert_int_equal(insert(fixture, BP_MMIO, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, "led"), -EINVAL);
	assert_int_equal(claims(fixture), 0);
}

static void the_last_byte_of_memory_can_be_claimed(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, UINT64_MAX - 0xfff, 0x1000, "top"), 0);
	fixture->probe.answer = 0x5a;
	assert_int_equal(do_read(fixture, BP_MMIO, UINT64_MAX, 1), 0x5a);
	assert_int_equal(fixture->probe.offset, 0xfff);
	/* One byte of it lies there, the next at address 0. */
	assert_int_equal(do_read(fixture, BP_MMIO, UINT64_MAX, 2), 0xffff);
	assert_int_equal(fixture->probe.calls, 1);
}

static void ports_end_at_0xffff(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_PIO, 0xffff, 2, "io"), -EINVAL);
	assert_string_equal(fixture->err.text, "io: a range of 0x2 bytes at 0xffff leaves the address space");
	assert_int_equal(insert(fixture, BP_PIO, 0x10000, 1, "io"), -EINVAL);
	assert_int_equal(insert(fixture, BP_PIO, 0, 0x10001, "io"), -EINVAL);
	assert_int_equal(insert(fixture, BP_PIO, 0xffff, 1, "io"), 0);
	fixture->probe.answer = 0x77;
	assert_int_equal(do_read(fixture, BP_PIO, 0xffff, 1), 0x77);
}

static void an_unknown_space_is_refused(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, 0, 0x1000, 8, "led"), -EINVAL);
	assert_int_equal(insert(fixture, 3, 0x1000, 8, "led"), -EINVAL);
	assert_string_equal(fixture->err.text, "led: there is no address space 3");
}

static void widths_must_be_usable(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert_widths(fixture, 0x1000, 8, 0), -EINVAL);
	assert_string_equal(fixture->err.text, "dev: the range at 0x1000 takes no access width that fits (0x0)");
	assert_int_equal(insert_widths(fixture, 0x1000, 8, BP_UNALIGNED), -EINVAL);
	assert_int_equal(insert_widths(fixture, 0x1000, 8, BP_W8 | 1u << 4), -EINVAL);
	assert_int_equal(insert_widths(fixture, 0x1000, 8, BP_W8 | 1u << 31), -EINVAL);
	assert_int_equal(insert_widths(fixture, 0x1000, 4, BP_W64), -EINVAL);
	assert_int_equal(insert_widths(fixture, 0x1000, 1, BP_W16), -EINVAL);
	assert_int_equal(insert_widths(fixture, 0x1000, 4, BP_W64 | BP_W32), 0);
}

/* ---- overlaps ---- */

static void overlaps_are_refused_in_each_position(void **state)
{
	static const struct {
		uint64_t base;
		uint64_t length;
		const char *range;
	} bad[] = {
		{ 0x10000, 0x1000, "0x10000-0x10fff" }, /* the same */
		{ 0x10000, 0x800, "0x10000-0x107ff" },  /* from its start */
		{ 0x10800, 0x800, "0x10800-0x10fff" },  /* to its end */
		{ 0x10400, 4, "0x10400-0x10403" },      /* inside */
		{ 0xf000, 0x3000, "0xf000-0x11fff" },   /* around */
		{ 0xf000, 0x2000, "0xf000-0x10fff" },   /* around, to its end */
		{ 0x10000, 0x2000, "0x10000-0x11fff" }, /* around, from its start */
		{ 0xf000, 0x1001, "0xf000-0x10000" },   /* its first byte */
		{ 0x10fff, 0x1000, "0x10fff-0x11ffe" }, /* its last byte */
		{ 0x10fff, 1, "0x10fff-0x10fff" },      /* its last byte alone */
		{ 0, UINT64_MAX, "0x0-0xfffffffffffffffe" }, { 1, UINT64_MAX, "0x1-0xffffffffffffffff" },
	};
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x10000, 0x1000, "old"), 0);
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		char text[ERR_TEXT_MAX];

		assert_int_equal(insert(fixture, BP_MMIO, bad[i].base, bad[i].length, "new"), -EEXIST);
		snprintf(text, sizeof(text), "memory range %s of new overlaps 0x10000-0x10fff of old", bad[i].range);
		assert_string_equal(fixture->err.text, text);
		assert_int_equal(claims(fixture), 1);
	}
}

static void an_overlap_of_ports_says_so(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_PIO, 0x3f8, 8, "com1"), 0);
	assert_int_equal(insert(fixture, BP_PIO, 0x3f4, 8, "floppy"), -EEXIST);
	assert_string_equal(fixture->err.text, "port range 0x3f4-0x3fb of floppy overlaps 0x3f8-0x3ff of com1");
}

static void an_overlap_with_any_claim_is_found(void **state)
{
	struct fixture *fixture = *state;

	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(insert(fixture, BP_MMIO, 0x1000 + i * 0x100, 0x80, "many"), 0);
	for (uint64_t i = 0; i < 20; i++) {
		assert_int_equal(insert(fixture, BP_MMIO, 0x1000 + i * 0x100 + 0x7f, 2, "new"), -EEXIST);
		assert_int_equal(insert(fixture, BP_MMIO, 0x1000 + i * 0x100 + 0x80, 0x81, "new"),
				 i < 19 ? -EEXIST : 0);
	}
}

static void neighbours_do_not_overlap(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x10000, 0x1000, "middle"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0xf000, 0x1000, "left"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0x11000, 0x1000, "right"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0, 0xf000, "rest below"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0x12000, UINT64_MAX - 0x11fff, "rest above"), 0);
	assert_int_equal(claims(fixture), 5);
}

static void the_spaces_are_apart(void **state)
{
	struct fixture *fixture = *state;
	struct probe port = { .answer = 2 };
	struct bus_claim claim = claim_of(fixture, BP_PIO, 0x1000, 0x10, "ports");

	claim.ctx = &port;
	fixture->probe.answer = 1;
	assert_int_equal(insert(fixture, BP_MMIO, 0x1000, 0x10, "memory"), 0);
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 1);
	assert_int_equal(do_read(fixture, BP_PIO, 0x1000, 4), 2);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 1);
	assert_int_equal(bus_remove(fixture->bus, BP_PIO, 0x1000), 0);
	assert_int_equal(do_read(fixture, BP_PIO, 0x1000, 4), 0xffffffff);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 1);
}

/* ---- changes ---- */

static void only_what_is_there_can_be_removed(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0), -ENOENT);
	assert_int_equal(insert(fixture, BP_MMIO, 0x1000, 0x10, "dev"), 0);
	assert_int_equal(bus_remove(fixture->bus, BP_PIO, 0x1000), -ENOENT);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1001), -ENOENT);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1000), 0);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1000), -ENOENT);
	assert_int_equal(insert(fixture, BP_MMIO, 0x1000, 0x10, "dev"), 0);
}

/* The reader remembers an index into a table; the index means another claim in the next table. */
static void the_last_hit_does_not_survive_a_change(void **state)
{
	struct fixture *fixture = *state;
	struct probe other = { .answer = 2 };
	struct bus_claim claim = claim_of(fixture, BP_MMIO, 0x1000, 0x10, "other");

	claim.ctx = &other;
	fixture->probe.answer = 1;
	assert_int_equal(insert(fixture, BP_MMIO, 0x2000, 0x10, "dev"), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x2000, 4), 1);
	assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x2000, 4), 1);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 2);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1000), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 4), 0xffffffff);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x2000, 4), 1);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x2000), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x2000, 4), 0xffffffff);
}

/* Tables are freed, so an allocator may give the next table the address of the one that the hit was in. */
static void the_last_hit_does_not_trust_an_address(void **state)
{
	struct fixture *fixture = *state;
	struct probe devices[2] = { { .answer = 1 }, { .answer = 2 } };

	for (unsigned int i = 0; i < 2000; i++) {
		struct bus_claim claim = claim_of(fixture, BP_MMIO, i % 2 ? 0x1000 : 0x1008, 0x10, "dev");

		claim.ctx = &devices[i % 2];
		assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
		assert_int_equal(do_read(fixture, BP_MMIO, 0x100f - 7, 4), i % 2 ? 2 : 1);
		assert_int_equal(devices[i % 2].offset, i % 2 ? 8 : 0);
		assert_int_equal(bus_remove(fixture->bus, BP_MMIO, claim.base), 0);
		assert_int_equal(do_read(fixture, BP_MMIO, 0x1008, 4), 0xffffffff);
	}
}

static void each_claim_of_many_is_found(void **state)
{
	struct fixture *fixture = *state;
	struct probe devices[100] = { { 0 } };

	/* In an order that is none. */
	for (uint64_t i = 0; i < COUNT_OF(devices); i++) {
		uint64_t at = i * 37 % COUNT_OF(devices);
		struct bus_claim claim = claim_of(fixture, at % 3 ? BP_MMIO : BP_PIO, 0x100 + at * 0x20, 0x10, "dev");

		claim.ctx = &devices[at];
		claim.cookie = (uint32_t)at;
		devices[at].answer = at;
		assert_int_equal(bus_insert(fixture->bus, &claim, &fixture->err), 0);
	}
	for (uint64_t i = 0; i < COUNT_OF(devices); i++) {
		uint32_t space = i % 3 ? BP_MMIO : BP_PIO;

		assert_int_equal(do_read(fixture, space, 0x100 + i * 0x20, 1), i);
		assert_int_equal(do_read(fixture, space, 0x10f + i * 0x20, 1), i);
		assert_int_equal(devices[i].cookie, i);
		assert_int_equal(do_read(fixture, space, 0xff + i * 0x20, 1), 0xff);
		assert_int_equal(do_read(fixture, space, 0x110 + i * 0x20, 1), 0xff);
		assert_int_equal(devices[i].calls, 2);
	}
}

static void note_order(const struct bus_claim *claim, void *arg)
{
	char *text = arg;

	snprintf(text + strlen(text), 256 - strlen(text), "%s%s:%" PRIx64, *text ? " " : "",
		 claim->space == BP_PIO ? "pio" : "mmio", claim->base);
}

static void claims_come_ports_first_by_address(void **state)
{
	struct fixture *fixture = *state;
	char text[256] = "";

	assert_int_equal(insert(fixture, BP_MMIO, 0x20, 8, "a"), 0);
	assert_int_equal(insert(fixture, BP_PIO, 0x70, 2, "b"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0x10, 8, "c"), 0);
	assert_int_equal(insert(fixture, BP_PIO, 0x60, 1, "d"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0x30, 8, "e"), 0);
	bus_each(fixture->bus, note_order, text);
	assert_string_equal(text, "pio:60 pio:70 mmio:10 mmio:20 mmio:30");
}

static void readers_are_limited(void **state)
{
	struct fixture *fixture = *state;
	static struct bus_reader readers[BUS_READERS_MAX];

	memset(readers, 0, sizeof(readers));
	for (size_t i = 0; i < BUS_READERS_MAX - 1; i++)
		assert_int_equal(bus_reader_add(fixture->bus, &readers[i]), 0);
	assert_int_equal(bus_reader_add(fixture->bus, &readers[BUS_READERS_MAX - 1]), -ENOSPC);
	bus_reader_remove(&readers[5]);
	bus_reader_remove(&readers[5]);
	assert_int_equal(bus_reader_add(fixture->bus, &readers[BUS_READERS_MAX - 1]), 0);
	for (size_t i = 0; i < BUS_READERS_MAX; i++)
		bus_reader_remove(&readers[i]);
}

static void a_range_in_words(void **state)
{
	char text[BUS_RANGE_TEXT];

	(void)state;
	assert_string_equal(bus_range_text(0xd0000000, 0x1000, text), "0xd0000000-0xd0000fff");
	assert_string_equal(bus_range_text(0, 1, text), "0x0-0x0");
	assert_string_equal(bus_range_text(UINT64_MAX, 1, text), "0xffffffffffffffff-0xffffffffffffffff");
	assert_string_equal(bus_range_text(1, UINT64_MAX, text), "0x1-0xffffffffffffffff");
}

/* ---- free room ---- */

static uint64_t find(struct fixture *fixture, uint64_t low, uint64_t high, uint64_t length, uint64_t align)
{
	uint64_t base = 1;
	int r = bus_find_free(fixture->bus, BP_MMIO, low, high, length, align, &base);

	assert_true(r == 0 || r == -ENOSPC);
	if (r < 0)
		assert_int_equal(base, 1);
	return r < 0 ? UINT64_MAX : base;
}

#define NONE UINT64_MAX

static void free_room_in_an_empty_space(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(find(fixture, 0x1000, 0x2000, 0x1000, 0x1000), 0x1000);
	assert_int_equal(find(fixture, 0x1000, 0x2000, 0x1001, 1), NONE);
	assert_int_equal(find(fixture, 0x1001, 0x2000, 0x800, 0x800), 0x1800);
	assert_int_equal(find(fixture, 0x1001, 0x1fff, 0x800, 0x800), NONE);
	assert_int_equal(find(fixture, 0x1000, 0x1000, 1, 1), NONE);
	assert_int_equal(find(fixture, 0x2000, 0x1000, 1, 1), NONE);
	assert_int_equal(find(fixture, 0x1000, 0x2000, 0, 1), NONE);
	assert_int_equal(find(fixture, 0, UINT64_MAX, UINT64_MAX, 1), 0);
	assert_int_equal(find(fixture, 1, UINT64_MAX, UINT64_MAX, 1), NONE);
	assert_int_equal(find(fixture, UINT64_MAX - 1, UINT64_MAX, 1, 1), UINT64_MAX - 1);
	/* Rounding up wraps. */
	assert_int_equal(find(fixture, UINT64_MAX - 1, UINT64_MAX, 1, 0x1000), NONE);
}

static void free_room_between_claims(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x2000, 0x1000, "a"), 0);
	assert_int_equal(insert(fixture, BP_MMIO, 0x4000, 0x10, "b"), 0);
	assert_int_equal(insert(fixture, BP_PIO, 0x1000, 0x1000, "ports do not count"), 0);
	assert_int_equal(find(fixture, 0x1000, 0x8000, 0x1000, 0x1000), 0x1000);
	assert_int_equal(find(fixture, 0x2000, 0x8000, 0x1000, 0x1000), 0x3000);
	assert_int_equal(find(fixture, 0x1000, 0x8000, 0x1001, 1), 0x4010);
	assert_int_equal(find(fixture, 0x1000, 0x8000, 0x2000, 0x1000), 0x5000);
	assert_int_equal(find(fixture, 0x3001, 0x8000, 0x1000, 0x1000), 0x5000);
	assert_int_equal(find(fixture, 0x2800, 0x8000, 0x1000, 1), 0x3000);
	assert_int_equal(find(fixture, 0x2000, 0x4000, 0x1000, 0x1000), 0x3000);
	assert_int_equal(find(fixture, 0x2000, 0x3fff, 0x1000, 0x1000), NONE);
	assert_int_equal(find(fixture, 0x2000, 0x3000, 1, 1), NONE);
	assert_int_equal(find(fixture, 0x3000, 0x5000, 0x1000, 1), 0x3000);
	assert_int_equal(find(fixture, 0x3001, 0x5000, 0x1000, 1), NONE);
	assert_int_equal(find(fixture, 0x3001, 0x5000, 0xfff, 1), 0x3001);
}

static void free_room_beside_the_last_byte(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, UINT64_MAX - 0xfff, 0x1000, "top"), 0);
	assert_int_equal(find(fixture, UINT64_MAX - 0x1fff, UINT64_MAX, 0x1000, 0x1000), UINT64_MAX - 0x1fff);
	assert_int_equal(find(fixture, UINT64_MAX - 0xfff, UINT64_MAX, 1, 1), NONE);
	assert_int_equal(find(fixture, UINT64_MAX - 0x1fff, UINT64_MAX, 0x1001, 1), NONE);
}

static void what_was_found_can_be_claimed(void **state)
{
	struct fixture *fixture = *state;
	uint64_t base;

	for (uint64_t i = 0; i < 64; i++) {
		assert_int_equal(bus_find_free(fixture->bus, BP_MMIO, 0x10000, 0x20000, 0x400, 0x400, &base), 0);
		assert_int_equal(base, 0x10000 + i * 0x400);
		assert_int_equal(insert(fixture, BP_MMIO, base, 0x400, "dev"), 0);
	}
	assert_int_equal(bus_find_free(fixture->bus, BP_MMIO, 0x10000, 0x20000, 1, 1, &base), -ENOSPC);
	assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x14000), 0);
	assert_int_equal(bus_find_free(fixture->bus, BP_MMIO, 0x10000, 0x20000, 0x400, 0x400, &base), 0);
	assert_int_equal(base, 0x14000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_length_of_zero_is_refused),
		TEST(a_range_that_wraps_is_refused),
		TEST(the_last_byte_of_memory_can_be_claimed),
		TEST(ports_end_at_0xffff),
		TEST(an_unknown_space_is_refused),
		TEST(widths_must_be_usable),
		TEST(overlaps_are_refused_in_each_position),
		TEST(an_overlap_of_ports_says_so),
		TEST(an_overlap_with_any_claim_is_found),
		TEST(neighbours_do_not_overlap),
		TEST(the_spaces_are_apart),
		TEST(only_what_is_there_can_be_removed),
		TEST(the_last_hit_does_not_survive_a_change),
		TEST(the_last_hit_does_not_trust_an_address),
		TEST(each_claim_of_many_is_found),
		TEST(claims_come_ports_first_by_address),
		TEST(readers_are_limited),
		TEST(a_range_in_words),
		TEST(free_room_in_an_empty_space),
		TEST(free_room_between_claims),
		TEST(free_room_beside_the_last_byte),
		TEST(what_was_found_can_be_claimed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
