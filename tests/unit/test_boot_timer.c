/* SPDX-License-Identifier: BSD-3-Clause */
/* The boot timer (plugins/boot-timer) on the fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugin_fixture.h"

#define US UINT64_C(1000)

static uint64_t read_wide(struct fakehost_dev *dev, uint64_t offset, uint32_t width)
{
	uint64_t val;

	assert_int_equal(fakehost_read(dev, 0, offset, width, &val), 0);
	return val;
}

static void marks_have_any_width(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, "boot-timer-mmio", "timer", NULL);
	uint64_t val;

	for (uint32_t width = 1, i = 0; width <= 8; width *= 2, i++) {
		assert_int_equal(fakehost_write(dev, 0, 0, width, UINT64_C(0x1122334455667788)), 0);
		assert_int_equal(fakehost_event(dev, i, &val), BP_EVENT_MARK);
		assert_int_equal(val, width == 8 ? UINT64_C(0x1122334455667788)
						 : UINT64_C(0x55667788) & ((UINT64_C(1) << width * 8) - 1));
	}
	assert_int_equal(plugin_metric(dev, "marks"), 4);
}

static void only_offset_0_marks(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, NULL, "timer", NULL);

	for (uint64_t offset = 1; offset < 8; offset++)
		plugin_out(dev, 0, offset, 1);
	assert_int_equal(fakehost_event_count(dev, 0), 0);
	assert_int_equal(plugin_metric(dev, "marks"), 0);
}

static void time_is_held(void **state)
{
	struct fakehost *host = *state;
	struct fakehost_dev *dev = plugin_make(host, NULL, "timer", NULL);
	uint64_t us = UINT64_C(0x123456789a), val = 0;

	assert_int_equal(fakehost_clock_set(host, BP_CLOCK_START, us * US + 999), 0);
	assert_int_equal(read_wide(dev, 4, 4), 0); /* nothing has been held yet */
	assert_int_equal(read_wide(dev, 0, 4), us & UINT32_MAX);
	fakehost_advance(host, (UINT64_C(1) << 32) * US);
	assert_int_equal(read_wide(dev, 4, 4), us >> 32);
	/* By bytes. */
	for (uint64_t offset = 8; offset-- > 1;)
		val |= (uint64_t)plugin_in(dev, 0, offset) << 8 * offset;
	assert_int_equal(val >> 8, us >> 8);
	assert_int_equal(read_wide(dev, 0, 2), us & UINT16_MAX);
	assert_int_equal(read_wide(dev, 4, 2), (us >> 32) + 1);
	assert_int_equal(fakehost_event_count(dev, 0), 0);
}

static void time_in_one_read(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, "boot-timer-mmio", "timer", NULL);

	assert_int_equal(fakehost_clock_set(*state, BP_CLOCK_START, UINT64_C(0x123456789a) * US), 0);
	assert_int_equal(read_wide(dev, 0, 8), UINT64_C(0x123456789a));
}

static void marks_are_bounded(void **state)
{
	static const struct fakehost_pair values[] = { { "marks", "3" }, { NULL, NULL } };
	static const struct fakehost_pair none[] = { { "marks", "0" }, { "base", "0x570" }, { NULL, NULL } };
	struct fakehost_dev *dev = plugin_make(*state, NULL, "timer", values);
	struct fakehost_dev *silent = plugin_make(*state, NULL, "silent", none);

	for (unsigned int i = 0; i < 10; i++)
		plugin_out(dev, 0, 0, (uint8_t)i);
	assert_int_equal(fakehost_event_count(dev, BP_EVENT_MARK), 3);
	assert_int_equal(plugin_metric(dev, "marks"), 10);
	assert_int_equal(fakehost_reset(dev), 0);
	plugin_out(dev, 0, 0, 1);
	assert_int_equal(fakehost_event_count(dev, BP_EVENT_MARK), 4);
	plugin_out(silent, 0, 0, 1);
	assert_int_equal(fakehost_event_count(silent, 0), 0);
	assert_int_equal(plugin_metric(silent, "marks"), 1);
}

static void hostile_accesses(void **state)
{
	plugin_accesses(plugin_make(*state, "boot-timer", "timer", NULL), 0, 8, BP_W8 | BP_W16 | BP_W32);
	plugin_accesses(plugin_make(*state, "boot-timer-mmio", "mmio", NULL), 0, 8, BP_W8 | BP_W16 | BP_W32 | BP_W64);
}

static void state_goes_round(void **state)
{
	static const struct fakehost_pair values[] = { { "marks", "3" }, { NULL, NULL } };
	struct fakehost_dev *dev = plugin_make(*state, NULL, "timer", values);
	struct fakehost_bytes saved;

	assert_int_equal(fakehost_clock_set(*state, BP_CLOCK_START, UINT64_C(0x123456789a) * US), 0);
	for (unsigned int i = 0; i < 2; i++)
		plugin_out(dev, 0, 0, 7);
	read_wide(dev, 0, 4);
	plugin_check_state(*state, dev);
	saved = plugin_save(dev);
	plugin_refuses(dev, &saved, 1, 1000001, -ERANGE);
	assert_int_equal(plugin_load(dev, &saved), 0);
	assert_int_equal(read_wide(dev, 4, 4), 0x12);
	for (unsigned int i = 0; i < 5; i++)
		plugin_out(dev, 0, 0, 7);
	assert_int_equal(fakehost_event_count(dev, BP_EVENT_MARK), 3);
	fakehost_bytes_free(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(marks_have_any_width), PLUGIN_TEST(only_offset_0_marks), PLUGIN_TEST(time_is_held),
		PLUGIN_TEST(time_in_one_read),     PLUGIN_TEST(marks_are_bounded),   PLUGIN_TEST(hostile_accesses),
		PLUGIN_TEST(state_goes_round),
	};

	return cmocka_run_group_tests_name("boot_timer", tests, NULL, NULL);
}
