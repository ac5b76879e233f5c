/* SPDX-License-Identifier: BSD-3-Clause */
/* The bus: which accesses reach a device, and what the others give. */
#include "tests/unit/bus_fixture.h"

/* ---- accesses ---- */

static void an_access_arrives_as_it_was_made(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x10000, 0x1000, "dev"), 0);
	fixture->probe.answer = UINT64_C(0x8877665544332211);
	for (uint32_t width = 1; width <= 8; width *= 2) {
		do_write(fixture, BP_MMIO, 0x10010, width, UINT64_C(0xf1f2f3f4f5f6f7f8));
		assert_true(fixture->probe.write);
		assert_int_equal(fixture->probe.offset, 0x10);
		assert_int_equal(fixture->probe.width, width);
		assert_int_equal(fixture->probe.cookie, 7);
		assert_int_equal(fixture->probe.written, UINT64_C(0xf1f2f3f4f5f6f7f8) & all_ones(width));
		assert_int_equal(do_read(fixture, BP_MMIO, 0x10ff8, width), fixture->probe.answer & all_ones(width));
		assert_false(fixture->probe.write);
		assert_int_equal(fixture->probe.offset, 0xff8);
	}
	assert_int_equal(fixture->probe.calls, 8);
	assert_int_equal(fixture->reader.unclaimed, 0);
}

static void only_the_widths_of_the_claim_pass(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t mask = 1; mask <= WIDTHS_ALL; mask++) {
		uint64_t unclaimed = fixture->reader.unclaimed;

		assert_int_equal(insert_widths(fixture, 0x1000, 0x100, mask), 0);
		for (uint32_t width = 1; width <= 8; width *= 2) {
			unsigned int calls = fixture->probe.calls;
			bool takes = mask & width;

			assert_int_equal(do_read(fixture, BP_MMIO, 0x1010, width), takes ? 0 : all_ones(width));
			do_write(fixture, BP_MMIO, 0x1010, width, 1);
			assert_int_equal(fixture->probe.calls, calls + (takes ? 2 : 0));
			unclaimed += takes ? 0 : 2;
			assert_int_equal(fixture->reader.unclaimed, unclaimed);
		}
		assert_int_equal(bus_remove(fixture->bus, BP_MMIO, 0x1000), 0);
	}
}

static void unaligned_accesses_need_the_flag(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert_widths(fixture, 0x1000, 0x20, WIDTHS_ALL), 0);
	assert_int_equal(insert_widths(fixture, 0x2000, 0x20, WIDTHS_ALL | BP_UNALIGNED), 0);
	for (uint32_t width = 1; width <= 8; width *= 2)
		for (uint64_t offset = 0; offset <= 0x20 - width; offset++) {
			uint64_t refused = all_ones(width);

			assert_int_equal(do_read(fixture, BP_MMIO, 0x1000 + offset, width),
					 offset % width ? refused : 0);
			assert_int_equal(do_read(fixture, BP_MMIO, 0x2000 + offset, width), 0);
			assert_int_equal(fixture->probe.offset, offset);
		}
}

/* Alignment counts from the claim's base: a device at an odd address still has its registers in order. */
static void alignment_counts_from_the_base(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_PIO, 0x61, 4, "odd"), 0);
	assert_int_equal(do_read(fixture, BP_PIO, 0x61, 2), 0);
	assert_int_equal(fixture->probe.offset, 0);
	assert_int_equal(do_read(fixture, BP_PIO, 0x62, 2), 0xffff);
}

/* What KVM hands over when an access crosses a page. */
static void odd_widths_never_arrive(void **state)
{
	static const uint32_t odd[] = { 0, 3, 5, 6, 7, 9, 12, 16, 64, 256 };
	struct fixture *fixture = *state;

	assert_int_equal(insert_widths(fixture, 0x1000, 0x1000, WIDTHS_ALL | BP_UNALIGNED), 0);
	for (size_t i = 0; i < COUNT_OF(odd); i++) {
		assert_int_equal(do_read(fixture, BP_MMIO, 0x1100, odd[i]), all_ones(odd[i]));
		do_write(fixture, BP_MMIO, 0x1100, odd[i], 1);
		do_write(fixture, BP_MMIO, 0x1fff, odd[i], 1);
	}
	assert_int_equal(fixture->probe.calls, 0);
	assert_int_equal(fixture->reader.unclaimed, 3 * COUNT_OF(odd));
}

static void an_access_lies_in_one_claim_as_a_whole(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert_widths(fixture, 0x1000, 6, WIDTHS_ALL | BP_UNALIGNED), 0);
	assert_int_equal(insert_widths(fixture, 0x1006, 2, WIDTHS_ALL | BP_UNALIGNED), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1004, 4), 0xffffffff);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, 8), UINT64_MAX);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1006, 4), 0xffffffff);
	assert_int_equal(do_read(fixture, BP_MMIO, 0xfff, 2), 0xffff);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1007, 2), 0xffff);
	assert_int_equal(fixture->probe.calls, 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1002, 4), 0);
	assert_int_equal(do_read(fixture, BP_MMIO, 0x1006, 2), 0);
	assert_int_equal(fixture->probe.calls, 2);
}

static void nobody_answers_with_all_ones(void **state)
{
	struct fixture *fixture = *state;

	for (uint32_t width = 1; width <= 8; width *= 2) {
		assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, width), all_ones(width));
		assert_int_equal(do_read(fixture, BP_PIO, 0x10, width), all_ones(width));
		do_write(fixture, BP_MMIO, UINT64_MAX, width, 0);
	}
	assert_int_equal(fixture->reader.unclaimed, 12);
}

static void what_nobody_answers_is_logged_with_a_limit(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert_widths(fixture, 0x1000, 8, BP_W32), 0);
	log_catch(LOG_LEVEL_DEBUG);
	do_read(fixture, BP_MMIO, 0x1000, 2);
	do_write(fixture, BP_PIO, 0x80, 1, 0);
	for (int i = 0; i < 1000; i++)
		do_read(fixture, BP_MMIO, 0x4000, 4);
	assert_non_null(
	    strstr(log_caught(),
		   "backplane: debug: read of 2 bytes at address 0x1000: not a width or alignment of dev\n"));
	assert_non_null(strstr(log_caught(), "backplane: debug: write of 1 bytes at port 0x80: nobody answers\n"));
	assert_int_equal(count_of_text(log_caught(), "\n"), 10);
	log_release();
}

static void a_failing_device_reads_as_all_ones(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(insert(fixture, BP_MMIO, 0x1000, 0x10, "dev"), 0);
	fixture->probe.answer = 0x12345678;
	fixture->probe.result = -EIO;
	for (uint32_t width = 1; width <= 8; width *= 2)
		assert_int_equal(do_read(fixture, BP_MMIO, 0x1000, width), all_ones(width));
	do_write(fixture, BP_MMIO, 0x1000, 4, 5);
	assert_int_equal(fixture->probe.calls, 5);
	/* It was there, so it does not count as unclaimed. */
	assert_int_equal(fixture->reader.unclaimed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_access_arrives_as_it_was_made),
		TEST(only_the_widths_of_the_claim_pass),
		TEST(unaligned_accesses_need_the_flag),
		TEST(alignment_counts_from_the_base),
		TEST(odd_widths_never_arrive),
		TEST(an_access_lies_in_one_claim_as_a_whole),
		TEST(nobody_answers_with_all_ones),
		TEST(what_nobody_answers_is_logged_with_a_limit),
		TEST(a_failing_device_reads_as_all_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
