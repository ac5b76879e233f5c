/* SPDX-License-Identifier: BSD-3-Clause */
/* The panic device (plugins/pvpanic) on the fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugin_fixture.h"

#define PANICKED     1
#define CRASH_LOADED 2

static void supported_events(void **state)
{
	assert_int_equal(plugin_in(plugin_make(*state, NULL, "panic", NULL), 0, 0), PANICKED | CRASH_LOADED);
}

static void writes_are_events(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, "pvpanic", "panic", NULL);
	uint64_t val;

	plugin_out(dev, 0, 0, PANICKED);
	plugin_out(dev, 0, 0, CRASH_LOADED);
	plugin_out(dev, 0, 0, PANICKED | CRASH_LOADED);
	assert_int_equal(fakehost_event_count(dev, 0), 3);
	assert_int_equal(fakehost_event(dev, 0, &val), BP_EVENT_PANIC);
	assert_int_equal(val, 0);
	assert_int_equal(fakehost_event(dev, 1, NULL), BP_EVENT_CRASH_LOADED);
	assert_int_equal(fakehost_event(dev, 2, NULL), BP_EVENT_PANIC); /* the worse of the two */
	assert_int_equal(plugin_metric(dev, "panics"), 2);
	assert_int_equal(plugin_metric(dev, "crash_kernels"), 1);
}

static void unknown_bits_say_nothing(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, NULL, "panic", NULL);

	for (unsigned int value = 0; value < 256; value += 4)
		plugin_out(dev, 0, 0, (uint8_t)value);
	assert_int_equal(fakehost_event_count(dev, 0), 0);
}

static void places(void **state)
{
	static const struct fakehost_pair other[] = { { "base", "0x506" }, { NULL, NULL } };
	struct fakehost_dev *first = plugin_make(*state, "pvpanic", "first", NULL);
	struct fakehost_dev *second = plugin_make(*state, "pvpanic", "second", other);
	struct fakehost_dev *mmio = plugin_make(*state, "pvpanic-mmio", "mmio", NULL);
	uint64_t base;

	assert_int_equal(fakehost_range_base(first, 0, &base), 0);
	assert_int_equal(base, 0x505);
	plugin_out(second, 0, 0, PANICKED);
	plugin_out(mmio, 0, 0, CRASH_LOADED);
	assert_int_equal(fakehost_event_count(first, 0), 0);
	assert_int_equal(fakehost_event_count(second, BP_EVENT_PANIC), 1);
	assert_int_equal(fakehost_event_count(mmio, BP_EVENT_CRASH_LOADED), 1);
}

static void hostile_accesses(void **state)
{
	plugin_accesses(plugin_make(*state, "pvpanic", "panic", NULL), 0, 1, BP_W8);
	plugin_accesses(plugin_make(*state, "pvpanic-mmio", "mmio", NULL), 0, 1, BP_W8);
}

static void state_is_empty(void **state)
{
	struct fakehost_dev *dev = plugin_make(*state, NULL, "panic", NULL);

	plugin_out(dev, 0, 0, PANICKED);
	plugin_check_state(*state, dev);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(plugin_in(dev, 0, 0), PANICKED | CRASH_LOADED);
	assert_int_equal(fakehost_event_count(dev, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(supported_events), PLUGIN_TEST(writes_are_events), PLUGIN_TEST(unknown_bits_say_nothing),
		PLUGIN_TEST(places),           PLUGIN_TEST(hostile_accesses),  PLUGIN_TEST(state_is_empty),
	};

	return cmocka_run_group_tests_name("pvpanic", tests, NULL, NULL);
}
