/* SPDX-License-Identifier: BSD-3-Clause */
/* The keyboard controller (plugins/i8042) on the fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugin_fixture.h"

#define DATA      0u
#define COMMAND   1u

#define ST_FULL   0x01
#define ST_SYSTEM 0x04
#define ST_CMD    0x08
#define ST_OPEN   0x10
#define ST_MOUSE  0x20
#define ST_LATE   0x40

static struct fakehost_dev *make(struct fakehost *host)
{
	return plugin_make(host, NULL, "keyboard", NULL);
}

/* What Linux's i8042_command() does: no wait is longer than one look. */
static int command(struct fakehost_dev *dev, uint8_t what, int argument)
{
	assert_int_equal(plugin_in(dev, COMMAND, 0) & 0x02, 0);
	plugin_out(dev, COMMAND, 0, what);
	if (argument >= 0) {
		assert_int_equal(plugin_in(dev, COMMAND, 0) & 0x02, 0);
		plugin_out(dev, DATA, 0, (uint8_t)argument);
	}
	return plugin_in(dev, COMMAND, 0) & ST_FULL ? plugin_in(dev, DATA, 0) : -1;
}

static void power_on(void **state)
{
	struct fakehost_dev *dev = make(*state);
	uint64_t base;

	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_SYSTEM | ST_OPEN);
	assert_int_equal(fakehost_range_base(dev, DATA, &base), 0);
	assert_int_equal(base, 0x60);
	assert_int_equal(fakehost_range_base(dev, COMMAND, &base), 0);
	assert_int_equal(base, 0x64);
}

static void self_tests(void **state)
{
	struct fakehost_dev *dev = make(*state);

	assert_int_equal(command(dev, 0xaa, -1), 0x55);
	assert_int_equal(command(dev, 0xab, -1), 0x00);
	/* No mouse: neither 0, 0xfa nor 0xff, with which Linux would go on. */
	assert_int_equal(command(dev, 0xa9, -1), 0x02);
	assert_int_equal(plugin_in(dev, COMMAND, 0) & ST_FULL, 0);
	assert_int_equal(fakehost_irqs(dev, 0), 0);
}

static void command_byte(void **state)
{
	struct fakehost_dev *dev = make(*state);

	assert_int_equal(command(dev, 0x20, -1), 0x65);
	assert_int_equal(command(dev, 0x60, 0x74), -1);
	assert_int_equal(command(dev, 0x20, -1), 0x74);
	plugin_out(dev, COMMAND, 0, 0xae);
	plugin_out(dev, COMMAND, 0, 0xa8);
	assert_int_equal(command(dev, 0x20, -1), 0x44);
	plugin_out(dev, COMMAND, 0, 0xad);
	plugin_out(dev, COMMAND, 0, 0xa7);
	assert_int_equal(command(dev, 0x20, -1), 0x74);
	/* The rest of the RAM. */
	for (uint8_t i = 1; i < 32; i++)
		assert_int_equal(command(dev, 0x60 | i, i * 3), -1);
	for (uint8_t i = 1; i < 32; i++)
		assert_int_equal(command(dev, 0x20 | i, -1), i * 3);
	assert_int_equal(command(dev, 0x20, -1), 0x74);
}

static void system_flag_follows_the_command_byte(void **state)
{
	struct fakehost_dev *dev = make(*state);

	command(dev, 0x60, 0x00);
	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_OPEN);
	command(dev, 0xaa, -1);
	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_OPEN | ST_SYSTEM | ST_CMD);
}

/* Linux's i8042_check_aux(): an answer that is not marked as a mouse's. */
static void no_mouse(void **state)
{
	struct fakehost_dev *dev = make(*state);

	command(dev, 0x60, 0x74);
	plugin_out(dev, COMMAND, 0, 0xd3);
	plugin_out(dev, DATA, 0, 0x5a);
	assert_int_equal(plugin_in(dev, COMMAND, 0) & (ST_FULL | ST_MOUSE), ST_FULL);
	assert_int_equal(plugin_in(dev, DATA, 0), 0x5a);
	plugin_out(dev, COMMAND, 0, 0xd4);
	plugin_out(dev, DATA, 0, 0xf2);
	assert_int_equal(plugin_in(dev, COMMAND, 0) & (ST_FULL | ST_LATE), ST_FULL | ST_LATE);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
	assert_int_equal(fakehost_irqs(dev, 0), 0);
}

/* A keyboard that does not answer is reported at once, by an interrupt if that is enabled. */
static void no_keyboard(void **state)
{
	struct fakehost_dev *dev = make(*state);

	command(dev, 0x60, 0x45);
	plugin_out(dev, DATA, 0, 0xf2);
	assert_int_equal(fakehost_irqs(dev, 0), 1);
	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_FULL | ST_SYSTEM | ST_OPEN | ST_LATE);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_SYSTEM | ST_OPEN);
	command(dev, 0x60, 0x44);
	plugin_out(dev, DATA, 0, 0xed);
	assert_int_equal(fakehost_irqs(dev, 0), 1);
	/* Enabled with something in the buffer, it comes then. */
	plugin_out(dev, COMMAND, 0, 0x60);
	plugin_out(dev, DATA, 0, 0x45);
	assert_int_equal(fakehost_irqs(dev, 0), 2);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
}

static void loopback(void **state)
{
	struct fakehost_dev *dev = make(*state);

	assert_int_equal(command(dev, 0xd2, 0x1c), 0x1c);
	assert_int_equal(fakehost_irqs(dev, 0), 1);
}

static void ports(void **state)
{
	struct fakehost_dev *dev = make(*state);

	assert_int_equal(command(dev, 0xc0, -1), 0x80);
	assert_int_equal(command(dev, 0xe0, -1), 0x00);
	assert_int_equal(command(dev, 0xd0, -1), 0x03);
	assert_int_equal(command(dev, 0xd1, 0xdd), -1);
	assert_int_equal(command(dev, 0xd0, -1), 0xdd);
	assert_int_equal(fakehost_event_count(dev, 0), 0);
}

static void reset_lines(void **state)
{
	struct fakehost_dev *dev = make(*state);
	uint32_t resets = 0;

	for (unsigned int what = 0xf0; what <= 0xff; what++) {
		plugin_out(dev, COMMAND, 0, (uint8_t)what);
		resets += !(what & 1);
		assert_int_equal(fakehost_event_count(dev, BP_EVENT_RESET), resets);
	}
	assert_int_equal(resets, 8);
	command(dev, 0xd1, 0xfe);
	assert_int_equal(fakehost_event_count(dev, BP_EVENT_RESET), 9);
	assert_int_equal(fakehost_event_count(dev, 0), 9);
	assert_int_equal(plugin_metric(dev, "resets"), 9);
}

/* A command that waits for a byte is forgotten when another one comes. */
static void commands_replace_one_another(void **state)
{
	struct fakehost_dev *dev = make(*state);

	plugin_out(dev, COMMAND, 0, 0xd1);
	plugin_out(dev, COMMAND, 0, 0xad);
	plugin_out(dev, DATA, 0, 0x00);
	assert_int_equal(fakehost_event_count(dev, 0), 0);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
}

static void reset_is_power_on(void **state)
{
	struct fakehost_dev *dev = make(*state);

	command(dev, 0x60, 0x00);
	command(dev, 0x65, 0x11);
	command(dev, 0xd1, 0xff);
	plugin_out(dev, DATA, 0, 0xf2);
	plugin_out(dev, COMMAND, 0, 0xd1);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(plugin_in(dev, COMMAND, 0), ST_SYSTEM | ST_OPEN);
	plugin_out(dev, DATA, 0, 0x00); /* no longer for the output port */
	assert_int_equal(fakehost_event_count(dev, 0), 0);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
	assert_int_equal(command(dev, 0x20, -1), 0x65);
	assert_int_equal(command(dev, 0x25, -1), 0);
	assert_int_equal(command(dev, 0xd0, -1), 0x03);
}

static void two_instances(void **state)
{
	static const struct fakehost_pair values[] = {
		{ "data", "0x160" }, { "command", "0x164" }, { "irq", "5" }, { NULL, NULL }
	};
	struct fakehost_dev *first = make(*state), *second = plugin_make(*state, NULL, "second", values);
	struct fakehost_dev *third;

	command(first, 0x60, 0x00);
	assert_int_equal(command(second, 0x20, -1), 0x65);
	plugin_out(second, COMMAND, 0, 0xfe);
	assert_int_equal(fakehost_event_count(first, 0), 0);
	assert_int_equal(fakehost_event_count(second, 0), 1);
	assert_int_equal(fakehost_create(*state, fakehost_class(&backplane_plugin, NULL), "third", NULL, &third),
			 -EEXIST);
}

static void hostile_accesses(void **state)
{
	struct fakehost_dev *dev = make(*state);
	uint32_t seed = 42;

	plugin_accesses(dev, DATA, 1, BP_W8);
	plugin_accesses(dev, COMMAND, 1, BP_W8);
	for (unsigned int i = 0; i < 100000; i++) {
		uint32_t what = plugin_soup(&seed);

		if (what & 0x200)
			plugin_in(dev, what & 1, 0);
		else
			plugin_out(dev, what & 1, 0, (uint8_t)(what >> 12));
		if (i % 5000 == 0)
			plugin_check_state(*state, dev);
	}
	assert_true(fakehost_reset(dev) == 0 && command(dev, 0xaa, -1) == 0x55);
}

/* A byte that waits, and a command that waits for one, are there after a load. */
static void state_goes_round(void **state)
{
	struct fakehost_dev *dev = make(*state);
	struct fakehost_bytes saved;
	uint64_t irqs;

	command(dev, 0x63, 0x77);
	plugin_out(dev, DATA, 0, 0xf2);
	plugin_out(dev, COMMAND, 0, 0xd1);
	plugin_check_state(*state, dev);
	saved = plugin_save(dev);
	plugin_refuses(dev, &saved, 2, 0x02, -ERANGE);
	plugin_refuses(dev, &saved, 2, 256, -ERANGE);
	plugin_refuses(dev, &saved, 4, 0xaa, -ERANGE);
	plugin_refuses(dev, &saved, 1, 0, -EINVAL);
	irqs = fakehost_irqs(dev, 0);
	assert_int_equal(plugin_load(dev, &saved), 0);
	assert_int_equal(fakehost_irqs(dev, 0), irqs + 1);
	assert_int_equal(plugin_in(dev, DATA, 0), 0xfe);
	plugin_out(dev, DATA, 0, 0xdd);
	assert_int_equal(command(dev, 0xd0, -1), 0xdd);
	assert_int_equal(command(dev, 0x23, -1), 0x77);
	fakehost_bytes_free(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(power_on),          PLUGIN_TEST(self_tests),
		PLUGIN_TEST(command_byte),      PLUGIN_TEST(system_flag_follows_the_command_byte),
		PLUGIN_TEST(no_mouse),          PLUGIN_TEST(no_keyboard),
		PLUGIN_TEST(loopback),          PLUGIN_TEST(ports),
		PLUGIN_TEST(reset_lines),       PLUGIN_TEST(commands_replace_one_another),
		PLUGIN_TEST(reset_is_power_on), PLUGIN_TEST(two_instances),
		PLUGIN_TEST(hostile_accesses),  PLUGIN_TEST(state_goes_round),
	};

	return cmocka_run_group_tests_name("i8042", tests, NULL, NULL);
}
