/* SPDX-License-Identifier: BSD-3-Clause */
/* A clock (plugins/rtc) on the fake host, and its registers. */
#ifndef UNIT_RTC_FIXTURE_H
#define UNIT_RTC_FIXTURE_H

#include "plugins/rtc/mc146818.h"
#include "tests/unit/plugin_fixture.h"

#define US     UINT64_C(1000)
#define MS     (1000 * US)
#define SECOND (1000 * MS)

static inline struct fakehost_dev *rtc_make(struct fakehost *host)
{
	return plugin_make(host, NULL, "clock", NULL);
}

static inline uint8_t rtc_in(struct fakehost_dev *dev, uint8_t reg)
{
	plugin_out(dev, 0, 0, reg);
	return plugin_in(dev, 0, 1);
}

static inline void rtc_out(struct fakehost_dev *dev, uint8_t reg, uint8_t value)
{
	plugin_out(dev, 0, 0, reg);
	plugin_out(dev, 0, 1, value);
}

/* The host's clock, in seconds. */
static inline void rtc_real(struct fakehost *host, uint64_t s)
{
	assert_int_equal(fakehost_clock_set(host, BP_CLOCK_REAL, s * SECOND), 0);
}

/* Century, year, month, day, hour, minute, second as they stand in the registers. */
static inline void rtc_expect(struct fakehost_dev *dev, const uint8_t expected[7])
{
	static const uint8_t regs[7] = { MC_CENTURY, MC_YEAR, MC_MONTH, MC_DAY, MC_HOURS, MC_MINUTES, MC_SECONDS };

	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(rtc_in(dev, regs[i]), expected[i]);
}

/* What Linux's mc146818_set_time() does, with values as they go into the registers. */
static inline void rtc_set(struct fakehost_dev *dev, const uint8_t values[7])
{
	static const uint8_t regs[7] = { MC_CENTURY, MC_YEAR, MC_MONTH, MC_DAY, MC_HOURS, MC_MINUTES, MC_SECONDS };
	uint8_t control = rtc_in(dev, MC_B), select = rtc_in(dev, MC_A);

	rtc_out(dev, MC_B, control | MC_B_SET);
	rtc_out(dev, MC_A, select | 0x70);
	for (unsigned int i = 0; i < 7; i++)
		rtc_out(dev, regs[i], values[i]);
	rtc_out(dev, MC_B, control);
	rtc_out(dev, MC_A, select & (uint8_t)~MC_A_UIP);
}

#endif
