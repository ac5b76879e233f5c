/* SPDX-License-Identifier: BSD-3-Clause */
/* Alarms, interrupts, memory and the state of the clock (plugins/rtc) on the fake host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/rtc_fixture.h"

static void alarm_at(struct fakehost_dev *dev, uint8_t hour, uint8_t minute, uint8_t second)
{
	rtc_out(dev, MC_HOURS_ALARM, hour);
	rtc_out(dev, MC_MINUTES_ALARM, minute);
	rtc_out(dev, MC_SECONDS_ALARM, second);
}

static uint64_t irqs(const struct fakehost_dev *dev)
{
	return fakehost_irqs(dev, 0);
}

/* It is 12:34:56. */
static void alarm_interrupts_once(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	alarm_at(dev, 0x12, 0x35, 0x01);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
	fakehost_advance(*state, 5 * SECOND - 1);
	assert_int_equal(irqs(dev), 0);
	fakehost_advance(*state, 1);
	assert_int_equal(irqs(dev), 1);
	assert_int_equal(plugin_metric(dev, "interrupts"), 1);
	assert_int_equal(rtc_in(dev, MC_C), MC_C_IRQF | MC_C_AF | MC_C_UF | MC_C_PF);
	assert_int_equal(rtc_in(dev, MC_C), 0);
	/* And again on the next day. */
	fakehost_advance(*state, 86400 * SECOND - 1);
	assert_int_equal(irqs(dev), 1);
	fakehost_advance(*state, 1);
	assert_int_equal(irqs(dev), 2);
	/* Nobody has read C: the line is up, there is no edge. */
	fakehost_advance(*state, 86400 * SECOND);
	assert_int_equal(irqs(dev), 2);
}

static void alarm_wildcards(void **state)
{
	static const struct {
		uint8_t hour, minute, second;
		uint64_t in_s; /* from 12:34:56 */
	} cases[] = {
		{ 0xff, 0xff, 0xff, 1 },  { 0xc0, 0xc0, 0x00, 4 },     { 0xff, 0xff, 0x56, 60 },
		{ 0xff, 0x35, 0xff, 4 },  { 0xff, 0x34, 0x55, 3599 },  { 0x13, 0xff, 0xff, 25 * 60 + 4 },
		{ 0x12, 0x34, 0x57, 1 },  { 0x12, 0x34, 0x56, 86400 }, { 0x00, 0x00, 0x00, 11 * 3600 + 25 * 60 + 4 },
		{ 0x12, 0xff, 0x56, 60 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fakehost_dev *dev = rtc_make(*state);

		rtc_real(*state, FAKEHOST_REAL_NS / SECOND);
		assert_int_equal(fakehost_reset(dev), 0);
		alarm_at(dev, cases[i].hour, cases[i].minute, cases[i].second);
		rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
		fakehost_advance(*state, cases[i].in_s * SECOND - 1);
		assert_int_equal(irqs(dev), 0);
		fakehost_advance(*state, 1);
		assert_int_equal(irqs(dev), 1);
		fakehost_destroy(dev);
	}
}

static void alarms_that_never_come(void **state)
{
	static const uint8_t never[][3] = {
		{ 0x24, 0x00, 0x00 }, { 0x0a, 0, 0 }, { 0xff, 0x60, 0xff }, { 0xff, 0xff, 0x7f }
	};
	struct fakehost_dev *dev = rtc_make(*state);

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		alarm_at(dev, never[i][0], never[i][1], never[i][2]);
		rtc_in(dev, MC_C);
		rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
		fakehost_advance(*state, 2 * 86400 * SECOND);
		assert_int_equal(rtc_in(dev, MC_C) & MC_C_AF, 0);
	}
	assert_int_equal(irqs(dev), 0);
}

static void alarm_in_12_hours(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	rtc_out(dev, MC_B, 0);
	alarm_at(dev, 0x81, 0x00, 0x00); /* 1 p.m. */
	rtc_out(dev, MC_B, MC_B_AIE);
	fakehost_advance(*state, (25 * 60 + 4) * SECOND - 1);
	assert_int_equal(irqs(dev), 0);
	fakehost_advance(*state, 1);
	assert_int_equal(irqs(dev), 1);
}

/* Flags rise without interrupts, too, and an interrupt that is enabled for one of them comes at once. */
static void flags_without_interrupts(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	alarm_at(dev, 0xff, 0xff, 0x00);
	fakehost_advance(*state, 4 * SECOND);
	assert_int_equal(irqs(dev), 0);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
	assert_int_equal(irqs(dev), 1);
	assert_int_equal(rtc_in(dev, MC_C), MC_C_IRQF | MC_C_AF | MC_C_UF | MC_C_PF);
}

/* Linux's rtc-cmos, when it sets an alarm: off, noted, set, on. */
static void linux_sets_an_alarm(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	alarm_at(dev, 0x12, 0x34, 0x56);
	fakehost_advance(*state, 90000 * SECOND); /* the old one has passed */
	rtc_out(dev, MC_B, rtc_in(dev, MC_B) & (uint8_t)~MC_B_AIE);
	rtc_in(dev, MC_C);
	alarm_at(dev, 0x13, 0x35, 0x00);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
	assert_int_equal(rtc_in(dev, MC_C), 0);
	fakehost_advance(*state, 4 * SECOND);
	assert_int_equal(irqs(dev), 1);
}

static void update_interrupt(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	rtc_out(dev, MC_B, MC_B_24H | MC_B_UIE);
	for (uint64_t i = 1; i <= 5; i++) {
		fakehost_advance(*state, SECOND - 1);
		assert_int_equal(irqs(dev), i - 1);
		fakehost_advance(*state, 1);
		assert_int_equal(irqs(dev), i);
		assert_int_equal(rtc_in(dev, MC_C) & (MC_C_IRQF | MC_C_UF), MC_C_IRQF | MC_C_UF);
	}
	rtc_out(dev, MC_B, MC_B_24H | MC_B_UIE | MC_B_SET);
	assert_int_equal(rtc_in(dev, MC_B), MC_B_24H | MC_B_SET); /* SET takes UIE away */
	fakehost_advance(*state, 5 * SECOND);
	assert_int_equal(rtc_in(dev, MC_C) & MC_C_UF, 0);
	assert_int_equal(irqs(dev), 5);
}

static void periodic_interrupt(void **state)
{
	static const uint16_t hz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2 };

	for (uint8_t rate = 0; rate < 16; rate++) {
		struct fakehost_dev *dev = rtc_make(*state);
		uint64_t before;

		rtc_out(dev, MC_A, MC_A_32KHZ | rate);
		rtc_out(dev, MC_B, MC_B_24H | MC_B_PIE);
		before = irqs(dev);
		assert_int_equal(before, 0);
		for (unsigned int i = 0; i < 40000; i++) {
			fakehost_advance(*state, 50 * US);
			if (irqs(dev) != before) {
				before = irqs(dev);
				assert_int_equal(rtc_in(dev, MC_C) & (MC_C_IRQF | MC_C_PF), MC_C_IRQF | MC_C_PF);
			}
		}
		assert_int_equal(before, hz[rate] * 2);
		/* A guest that does not read C costs nothing. */
		fakehost_advance(*state, 3600 * SECOND);
		assert_true(irqs(dev) <= before + 1);
		fakehost_destroy(dev);
	}
}

/* No timer follows the host's clock when that is set; the alarm does. */
static void host_clock_is_set(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	alarm_at(dev, 0x18, 0x00, 0x00);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
	/* 5 h 25 min to go, and the host's clock jumps to a minute before: that is seen within a minute. */
	assert_int_equal(fakehost_clock_set(*state, BP_CLOCK_REAL,
					    FAKEHOST_REAL_NS + (5 * 3600 + 24 * 60 + 4) * SECOND),
			 0);
	fakehost_advance(*state, 59 * SECOND);
	assert_int_equal(irqs(dev), 0);
	fakehost_advance(*state, 2 * SECOND);
	assert_int_equal(irqs(dev), 1);
	rtc_in(dev, MC_C);
	/* It goes back by a day: nothing happens twice for that. */
	assert_int_equal(fakehost_clock_set(*state, BP_CLOCK_REAL, FAKEHOST_REAL_NS - 86400 * SECOND), 0);
	rtc_in(dev, MC_C);
	assert_int_equal(rtc_in(dev, MC_C) & (MC_C_AF | MC_C_UF), 0);
	assert_int_equal(irqs(dev), 1);
}

static void memory_keeps_its_bytes(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	for (uint8_t reg = 0x0e; reg < 0x80; reg++)
		if (reg != MC_CENTURY)
			rtc_out(dev, reg, (uint8_t)(reg * 7));
	for (uint8_t reg = 0x0e; reg < 0x80; reg++)
		if (reg != MC_CENTURY)
			assert_int_equal(rtc_in(dev, reg), (uint8_t)(reg * 7));
	assert_int_equal(rtc_in(dev, 0x80 | 0x20), 0x20 * 7); /* the top bit is no part of the index */
	plugin_out(dev, 0, 0, 0x20);
	assert_int_equal(plugin_in(dev, 0, 0), 0xff);
	rtc_out(dev, MC_D, 0);
	assert_int_equal(rtc_in(dev, MC_D), MC_D_VALID);
	rtc_out(dev, MC_C, 0xff);
	assert_int_equal(rtc_in(dev, MC_C), 0);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(rtc_in(dev, 0x20), 0);
}

static void reset_is_power_on(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	alarm_at(dev, 0xff, 0xff, 0xff);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE | MC_B_BINARY);
	plugin_out(dev, 0, 0, 0x55);
	assert_int_equal(fakehost_reset(dev), 0);
	plugin_out(dev, 0, 1, 0x30); /* index 0: the seconds */
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x30);
	fakehost_advance(*state, 10 * SECOND);
	assert_int_equal(irqs(dev), 0);
	assert_int_equal(rtc_in(dev, MC_B), MC_B_24H);
	assert_int_equal(rtc_in(dev, MC_SECONDS_ALARM), 0);
}

static void two_instances(void **state)
{
	static const struct fakehost_pair values[] = { { "base", "0x170" }, { "irq", "9" }, { NULL, NULL } };
	struct fakehost_dev *first = rtc_make(*state), *second = plugin_make(*state, NULL, "second", values);
	struct fakehost_dev *third;

	rtc_out(first, 0x40, 1);
	rtc_out(first, MC_YEAR, 0x11);
	rtc_out(second, MC_B, MC_B_24H | MC_B_UIE);
	assert_int_equal(rtc_in(second, 0x40), 0);
	assert_int_equal(rtc_in(second, MC_YEAR), 0x24);
	fakehost_advance(*state, SECOND);
	assert_int_equal(irqs(first), 0);
	assert_int_equal(irqs(second), 1);
	assert_int_equal(fakehost_create(*state, fakehost_class(&backplane_plugin, NULL), "third", NULL, &third),
			 -EEXIST);
}

static void hostile_accesses(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);
	uint32_t seed = 99;

	plugin_accesses(dev, 0, 2, BP_W8);
	for (unsigned int i = 0; i < 100000; i++) {
		uint32_t what = plugin_soup(&seed);

		if (what % 64 == 0)
			fakehost_advance(*state, (uint64_t)plugin_soup(&seed) * (what & 0x400 ? US : MS));
		else if (what % 64 == 1)
			rtc_real(*state, (uint64_t)plugin_soup(&seed) * 1000);
		else if (what & 0x400)
			rtc_in(dev, (uint8_t)(what >> 12) & (what & 0x800 ? 0x0f : 0xff));
		else
			rtc_out(dev, (uint8_t)(what >> 12) & (what & 0x800 ? 0x0f : 0xff), (uint8_t)plugin_soup(&seed));
		if (i % 5000 == 0)
			plugin_check_state(*state, dev);
	}
}

static void state_goes_round(void **state)
{
	static const uint8_t time[] = { 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x50 };
	struct fakehost_dev *dev = rtc_make(*state);
	struct fakehost_bytes saved;

	rtc_set(dev, time);
	rtc_out(dev, 0x55, 0xaa);
	alarm_at(dev, 0x23, 0x59, 0x59);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_AIE);
	rtc_in(dev, MC_C);
	plugin_out(dev, 0, 0, 0x55);
	plugin_check_state(*state, dev);
	saved = plugin_save(dev);
	assert_int_equal(fakehost_reset(dev), 0);
	fakehost_advance(*state, 5 * SECOND);
	assert_int_equal(irqs(dev), 0);
	assert_int_equal(plugin_load(dev, &saved), 0);
	assert_int_equal(plugin_in(dev, 0, 1), 0xaa);
	/* Time has passed since, and the alarm is still to come. */
	rtc_expect(dev, (const uint8_t[]){ 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x55 });
	fakehost_advance(*state, 3500 * MS - 1);
	assert_int_equal(irqs(dev), 0);
	fakehost_advance(*state, 1);
	assert_int_equal(irqs(dev), 1);
	/* One that has passed since comes at once. */
	assert_int_equal(plugin_load(dev, &saved), 0);
	assert_int_equal(irqs(dev), 2);
	assert_int_equal(rtc_in(dev, MC_C) & (MC_C_IRQF | MC_C_AF), MC_C_IRQF | MC_C_AF);
	fakehost_bytes_free(&saved);
}

static void hostile_states(void **state)
{
	static const uint8_t regs[MC_REGISTERS + 1] = { [MC_C] = 0xff };
	struct fakehost_dev *dev = rtc_make(*state);
	struct fakehost_bytes saved = plugin_save(dev);

	plugin_refuses(dev, &saved, 1, 0x80, -ERANGE);
	plugin_refuses(dev, &saved, 2, 0, -EINVAL);
	plugin_refuses(dev, &saved, 3, UINT64_C(1) << 41, -ERANGE);
	plugin_refuses(dev, &saved, 3, INT64_MAX, -ERANGE);
	plugin_refuses(dev, &saved, 3, UINT64_C(1) << 63, -ERANGE);
	plugin_refuses(dev, &saved, 4, SECOND, -ERANGE);
	plugin_refuses(dev, &saved, 5, UINT64_C(1) << 63, -ERANGE);
	plugin_refuses(dev, &saved, 6, SECOND, -ERANGE);
	assert_int_equal(fakehost_bytes_set(&saved, 2, regs, sizeof(regs)), 0);
	assert_int_equal(plugin_load(dev, &saved), -EMSGSIZE);
	assert_int_equal(fakehost_bytes_set(&saved, 2, regs, sizeof(regs) - 2), 0);
	assert_int_equal(plugin_load(dev, &saved), -EINVAL);
	assert_int_equal(rtc_in(dev, MC_A), 0x26); /* reset */
	/* What follows from other fields is made anew. */
	assert_int_equal(fakehost_bytes_set(&saved, 2, regs, sizeof(regs) - 1), 0);
	assert_int_equal(plugin_load(dev, &saved), 0);
	assert_int_equal(rtc_in(dev, MC_C), MC_C_FLAGS);
	assert_int_equal(rtc_in(dev, MC_D), MC_D_VALID);
	assert_int_equal(irqs(dev), 0);
	fakehost_bytes_free(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(alarm_interrupts_once),    PLUGIN_TEST(alarm_wildcards),
		PLUGIN_TEST(alarms_that_never_come),   PLUGIN_TEST(alarm_in_12_hours),
		PLUGIN_TEST(flags_without_interrupts), PLUGIN_TEST(linux_sets_an_alarm),
		PLUGIN_TEST(update_interrupt),         PLUGIN_TEST(periodic_interrupt),
		PLUGIN_TEST(host_clock_is_set),        PLUGIN_TEST(memory_keeps_its_bytes),
		PLUGIN_TEST(reset_is_power_on),        PLUGIN_TEST(two_instances),
		PLUGIN_TEST(hostile_accesses),         PLUGIN_TEST(state_goes_round),
		PLUGIN_TEST(hostile_states),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
