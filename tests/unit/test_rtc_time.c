/* SPDX-License-Identifier: BSD-3-Clause */
/* The time of the clock (plugins/rtc) on the fake host: calendar, formats, setting it, and the host's clock behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/rtc_fixture.h"

static void power_on_shows_the_hosts_time(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x56 });
	assert_int_equal(rtc_in(dev, MC_WEEKDAY), 5); /* Thursday */
	assert_int_equal(rtc_in(dev, MC_A), 0x26);
	assert_int_equal(rtc_in(dev, MC_B), MC_B_24H);
	assert_int_equal(rtc_in(dev, MC_C), 0);
	assert_int_equal(rtc_in(dev, MC_D), MC_D_VALID);
	fakehost_advance(*state, 4 * SECOND);
	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 0x12, 0x35, 0x00 });
}

/* Days all over what the host's clock can say, against the C library. */
static void calendar(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);
	uint32_t seed = 1;

	rtc_out(dev, MC_B, MC_B_24H | MC_B_BINARY);
	for (unsigned int i = 0; i < 20000; i++) {
		/* 1970 to 2553; each tenth one around the turn of a year or a leap day. */
		uint64_t s = ((uint64_t)plugin_soup(&seed) << 24 | plugin_soup(&seed)) % UINT64_C(18400000000);
		time_t now;
		struct tm tm;

		if (i % 10 == 0)
			s = s / 31556952 * 31556952 + (i % 20 ? 0 : 59 * 86400u);
		now = (time_t)s;
		assert_non_null(gmtime_r(&now, &tm));
		rtc_real(*state, s);
		rtc_expect(dev, (const uint8_t[]){ (uint8_t)((tm.tm_year + 1900) / 100), (uint8_t)(tm.tm_year % 100),
						   (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday, (uint8_t)tm.tm_hour,
						   (uint8_t)tm.tm_min, (uint8_t)tm.tm_sec });
		assert_int_equal(rtc_in(dev, MC_WEEKDAY), tm.tm_wday + 1);
	}
}

static void formats(void **state)
{
	static const struct {
		uint8_t hour;
		uint8_t bcd;
		uint8_t bcd_12;
		uint8_t binary_12;
	} cases[] = {
		{ 0, 0x00, 0x12, 12 },    { 1, 0x01, 0x01, 1 },     { 11, 0x11, 0x11, 11 },
		{ 12, 0x12, 0x92, 0x8c }, { 13, 0x13, 0x81, 0x81 }, { 23, 0x23, 0x91, 0x8b },
	};
	struct fakehost_dev *dev = rtc_make(*state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rtc_real(*state, UINT64_C(86400) * 20000 + cases[i].hour * 3600u);
		rtc_out(dev, MC_B, MC_B_24H);
		assert_int_equal(rtc_in(dev, MC_HOURS), cases[i].bcd);
		rtc_out(dev, MC_B, MC_B_24H | MC_B_BINARY);
		assert_int_equal(rtc_in(dev, MC_HOURS), cases[i].hour);
		rtc_out(dev, MC_B, 0);
		assert_int_equal(rtc_in(dev, MC_HOURS), cases[i].bcd_12);
		rtc_out(dev, MC_B, MC_B_BINARY);
		assert_int_equal(rtc_in(dev, MC_HOURS), cases[i].binary_12);
		/* What is read can be written. */
		for (uint8_t mode = 0; mode < 8; mode += 2) {
			uint8_t hour;

			rtc_out(dev, MC_B, mode);
			hour = rtc_in(dev, MC_HOURS);
			rtc_out(dev, MC_HOURS, hour);
			assert_int_equal(rtc_in(dev, MC_HOURS), hour);
		}
	}
}

static void guest_sets_the_time(void **state)
{
	static const uint8_t time[] = { 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58 };
	struct fakehost_dev *dev = rtc_make(*state);

	fakehost_advance(*state, 700 * MS);
	rtc_set(dev, time);
	rtc_expect(dev, time);
	/* Half a second later the first update comes, as the divider was held. */
	fakehost_advance(*state, 499 * MS);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x58);
	fakehost_advance(*state, MS);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x59);
	fakehost_advance(*state, SECOND);
	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00 });
	assert_int_equal(rtc_in(dev, MC_WEEKDAY), 7); /* Saturday */
	/* The host's clock is set: the guest's follows by as much. */
	assert_int_equal(fakehost_clock_set(*state, BP_CLOCK_REAL,
					    fakehost_clock(*state, BP_CLOCK_REAL) + 3600 * SECOND),
			 0);
	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00 });
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(rtc_in(dev, MC_YEAR), 0x24);
}

static void far_years(void **state)
{
	static const uint8_t first[] = { 0, 0, 1, 1, 0, 0, 0 }, last[] = { 99, 99, 12, 31, 23, 59, 59 };
	struct fakehost_dev *dev = rtc_make(*state);

	rtc_out(dev, MC_B, MC_B_24H | MC_B_BINARY);
	rtc_set(dev, first);
	rtc_expect(dev, first);
	assert_int_equal(rtc_in(dev, MC_WEEKDAY), 7);
	rtc_set(dev, last);
	rtc_expect(dev, last);
	assert_int_equal(rtc_in(dev, MC_WEEKDAY), 6);
	fakehost_advance(*state, 500 * MS);
	rtc_expect(dev, first); /* year 10000 */
	/* Before year 0, as the host's clock goes back. */
	rtc_set(dev, first);
	rtc_real(*state, 0);
	assert_int_equal(rtc_in(dev, MC_CENTURY), 99);
}

static void set_holds_the_time(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	fakehost_advance(*state, 300 * MS);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_SET);
	fakehost_advance(*state, 3600 * SECOND);
	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x56 });
	rtc_out(dev, MC_SECONDS, 0x7f); /* any byte, while nobody counts with it */
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x7f);
	rtc_out(dev, MC_SECONDS, 0x10);
	rtc_out(dev, MC_B, MC_B_24H);
	rtc_expect(dev, (const uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 0x12, 0x34, 0x10 });
	/* The divider has not been touched: seconds turn where they did. */
	fakehost_advance(*state, 699 * MS);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x10);
	fakehost_advance(*state, MS);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x11);
}

static void divider_stops_the_clock(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	for (uint8_t divider = 0; divider < 8; divider++) {
		uint8_t before = rtc_in(dev, MC_SECONDS);

		rtc_out(dev, MC_A, (uint8_t)(divider << 4 | 6));
		fakehost_advance(*state, 10 * SECOND);
		if (divider == 2)
			assert_int_not_equal(rtc_in(dev, MC_SECONDS), before);
		else
			assert_int_equal(rtc_in(dev, MC_SECONDS), before);
		rtc_out(dev, MC_A, 0x26);
	}
}

/* Each register alone, while the clock runs. */
static void single_writes(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	rtc_out(dev, MC_HOURS, 0x05);
	rtc_out(dev, MC_CENTURY, 0x19);
	rtc_out(dev, MC_WEEKDAY, 0x01); /* follows from the date */
	rtc_expect(dev, (const uint8_t[]){ 0x19, 0x24, 0x02, 0x29, 0x05, 0x34, 0x56 });
	rtc_out(dev, MC_MONTH, 0x04);
	rtc_out(dev, MC_DAY, 0x31); /* there is none: the day after the 30th */
	rtc_expect(dev, (const uint8_t[]){ 0x19, 0x24, 0x05, 0x01, 0x05, 0x34, 0x56 });
	rtc_out(dev, MC_MONTH, 0x00);
	assert_int_equal(rtc_in(dev, MC_MONTH), 0x01);
	rtc_out(dev, MC_MONTH, 0xff);
	assert_int_equal(rtc_in(dev, MC_MONTH), 0x12);
	fakehost_advance(*state, 4 * SECOND);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x00);
}

static void uip_announces_an_update(void **state)
{
	struct fakehost_dev *dev = rtc_make(*state);

	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, 0);
	fakehost_advance(*state, SECOND - 245 * US);
	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, 0);
	fakehost_advance(*state, US);
	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, MC_A_UIP);
	fakehost_advance(*state, 244 * US - 1);
	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, MC_A_UIP);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x56);
	fakehost_advance(*state, 1);
	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, 0);
	assert_int_equal(rtc_in(dev, MC_SECONDS), 0x57);
	rtc_out(dev, MC_B, MC_B_24H | MC_B_SET);
	fakehost_advance(*state, SECOND - 100 * US);
	assert_int_equal(rtc_in(dev, MC_A) & MC_A_UIP, 0);
	rtc_out(dev, MC_A, 0xa6); /* nobody can set it */
	assert_int_equal(rtc_in(dev, MC_A), 0x26);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(power_on_shows_the_hosts_time),
		PLUGIN_TEST(calendar),
		PLUGIN_TEST(formats),
		PLUGIN_TEST(guest_sets_the_time),
		PLUGIN_TEST(far_years),
		PLUGIN_TEST(set_holds_the_time),
		PLUGIN_TEST(divider_stops_the_clock),
		PLUGIN_TEST(single_writes),
		PLUGIN_TEST(uip_announces_an_update),
	};

	return cmocka_run_group_tests_name("rtc_time", tests, NULL, NULL);
}
