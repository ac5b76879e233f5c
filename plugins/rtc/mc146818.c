/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers of a MC146818; see mc146818.h. */
#include "mc146818.h"

#include <string.h>

#define DAY_S       INT64_C(86400)
/* An update takes 1984 us, and is announced 244 us before; ours takes no time. */
#define UIP_NS      244000u
/* When the divider is let go, the first update comes half a second later. */
#define HALF_NS     500000000u
#define A_RESET     (MC_A_32KHZ | 6u) /* what a PC's firmware leaves behind: 1024 Hz */
#define ALARM_NEVER (-2)
#define ALARM_ANY   (-1)

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return a - floor_div(a, b) * b;
}

/* ---- the clock ---- */

static struct mc_time clock_at(const struct mc146818 *mc, uint64_t real_ns)
{
	uint64_t ns = real_ns % MC_SECOND_NS + mc->ahead.ns;

	return (struct mc_time){
		.s = (int64_t)(real_ns / MC_SECOND_NS) + mc->ahead.s + (int64_t)(ns / MC_SECOND_NS),
		.ns = (uint32_t)(ns % MC_SECOND_NS),
	};
}

/* Makes the clock show `time` now. What has happened before is known, what lies between is not an alarm. */
static void clock_set(struct mc146818 *mc, uint64_t real_ns, struct mc_time time)
{
	uint32_t real = (uint32_t)(real_ns % MC_SECOND_NS);
	bool borrow = time.ns < real;

	mc->ahead.ns = time.ns + (borrow ? (uint32_t)MC_SECOND_NS : 0) - real;
	mc->ahead.s = time.s - (int64_t)(real_ns / MC_SECOND_NS) - borrow;
	mc->seen = time;
}

static bool divider_runs(uint8_t a)
{
	return (a & MC_A_DIVIDER) == MC_A_32KHZ;
}

static bool runs(uint8_t a, uint8_t b)
{
	return divider_runs(a) && !(b & MC_B_SET);
}

static bool running(const struct mc146818 *mc)
{
	return runs(mc->regs[MC_A], mc->regs[MC_B]);
}

/* ---- time in registers ---- */

static uint8_t encode(const struct mc146818 *mc, int64_t value)
{
	return (uint8_t)(mc->regs[MC_B] & MC_B_BINARY ? value : value / 10 << 4 | value % 10);
}

static uint8_t encode_hour(const struct mc146818 *mc, int64_t hour)
{
	if (mc->regs[MC_B] & MC_B_24H)
		return encode(mc, hour);
	return encode(mc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? 0x80 : 0);
}

/* Of any byte, so digits may be more than nine. */
static int64_t decode(const struct mc146818 *mc, uint8_t value)
{
	return mc->regs[MC_B] & MC_B_BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

static int64_t decode_hour(const struct mc146818 *mc, uint8_t value)
{
	if (mc->regs[MC_B] & MC_B_24H)
		return decode(mc, value);
	return decode(mc, value & 0x7f) % 12 + (value & 0x80 ? 12 : 0);
}

/* Days since 1970 of a day of the Gregorian calendar, which is taken to be older than it is. Years begin with March here, so that
 * the leap day is the last one. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t m = (month + 9) % 12; /* since March */

	return 365 * y + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* The inverse. */
static void date_of(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
	int64_t year = floor_div((days + 719468) * 400, 146097), month;

	/* The guess is at most a year off. */
	while (days_of(year + 1, 3, 1) <= days)
		year++;
	while (days_of(year, 3, 1) > days)
		year--;
	days -= days_of(year, 3, 1);
	month = (5 * days + 2) / 153;
	*ret_day = days - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = month < 10 ? year : year + 1;
}

/* The registers of the time; a register that is none of them is left alone. */
static void time_to_regs(const struct mc146818 *mc, int64_t s, uint8_t *regs)
{
	int64_t days = floor_div(s, DAY_S), second = floor_mod(s, DAY_S), year, month, day;

	date_of(days, &year, &month, &day);
	regs[MC_SECONDS] = encode(mc, second % 60);
	regs[MC_MINUTES] = encode(mc, second / 60 % 60);
	regs[MC_HOURS] = encode_hour(mc, second / 3600);
	regs[MC_WEEKDAY] = encode(mc, floor_mod(days + 4, 7) + 1); /* 1970 began with a Thursday */
	regs[MC_DAY] = encode(mc, day);
	regs[MC_MONTH] = encode(mc, month);
	regs[MC_YEAR] = encode(mc, floor_mod(year, 100));
	regs[MC_CENTURY] = encode(mc, floor_mod(floor_div(year, 100), 100));
}

/* What cannot be a time gives one that is near: the 31st of February is the 3rd of March, 70 seconds are a minute and ten. */
static int64_t time_of_regs(const struct mc146818 *mc)
{
	const uint8_t *regs = mc->regs;
	int64_t year = decode(mc, regs[MC_CENTURY]) * 100 + decode(mc, regs[MC_YEAR]);
	int64_t month = decode(mc, regs[MC_MONTH]);

	month = month < 1 ? 1 : month > 12 ? 12 : month;
	return days_of(year, month, decode(mc, regs[MC_DAY])) * DAY_S + decode_hour(mc, regs[MC_HOURS]) * 3600 +
	       decode(mc, regs[MC_MINUTES]) * 60 + decode(mc, regs[MC_SECONDS]);
}

static bool is_time(uint32_t reg)
{
	return reg == MC_CENTURY ||
	       (reg <= MC_YEAR && reg != MC_SECONDS_ALARM && reg != MC_MINUTES_ALARM && reg != MC_HOURS_ALARM);
}

/* ---- alarms and periods ---- */

/* The value that an alarm register waits for, ALARM_ANY or ALARM_NEVER; values are below `count`. */
static int64_t alarm_of(const struct mc146818 *mc, uint32_t reg, int64_t count)
{
	if (mc->regs[reg] >= MC_ANY)
		return ALARM_ANY;
	for (int64_t value = 0; value < count; value++)
		if (mc->regs[reg] == (reg == MC_HOURS_ALARM ? encode_hour(mc, value) : encode(mc, value)))
			return value;
	return ALARM_NEVER;
}

/* The first alarm after second `after_s`. There are fewer than 150 steps: a hour, a minute and a second to be found. */
static bool alarm_next(const struct mc146818 *mc, int64_t after_s, int64_t *ret)
{
	int64_t hour = alarm_of(mc, MC_HOURS_ALARM, 24);
	int64_t minute = alarm_of(mc, MC_MINUTES_ALARM, 60);
	int64_t second = alarm_of(mc, MC_SECONDS_ALARM, 60);
	int64_t at = after_s + 1;

	if (hour == ALARM_NEVER || minute == ALARM_NEVER || second == ALARM_NEVER)
		return false;
	for (int64_t end = at + DAY_S; at < end;) {
		int64_t now = floor_mod(at, DAY_S);

		if (hour != ALARM_ANY && now / 3600 != hour) {
			at += 3600 - now % 3600;
		} else if (minute != ALARM_ANY && now / 60 % 60 != minute) {
			at += 60 - now % 60;
		} else if (second != ALARM_ANY && now % 60 != second) {
			at++;
		} else {
			*ret = at;
			return true;
		}
	}
	return false;
}

/* Periods a second, or 0. The two fastest rates are those of two slow ones. */
static uint64_t frequency(const struct mc146818 *mc)
{
	uint32_t rate = mc->regs[MC_A] & MC_A_RATE;

	if (!rate || !divider_runs(mc->regs[MC_A]))
		return 0;
	return UINT64_C(32768) >> ((rate < 3 ? rate + 7 : rate) - 1);
}

static uint64_t period_of(uint64_t frequency_hz, uint32_t ns)
{
	return ns * frequency_hz / MC_SECOND_NS;
}

static void update_irqf(struct mc146818 *mc)
{
	uint8_t *c = &mc->regs[MC_C];

	*c &= MC_C_FLAGS;
	if (*c & mc->regs[MC_B])
		*c |= MC_C_IRQF;
}

void mc_sync(struct mc146818 *mc, uint64_t real_ns)
{
	struct mc_time now = clock_at(mc, real_ns);
	uint64_t hz = frequency(mc);
	int64_t alarm;

	/* The host's clock may have been set back: that is no update. */
	if (running(mc) && now.s > mc->seen.s) {
		mc->regs[MC_C] |= MC_C_UF;
		if (alarm_next(mc, mc->seen.s, &alarm) && alarm <= now.s)
			mc->regs[MC_C] |= MC_C_AF;
	}
	if (hz && (now.s != mc->seen.s || period_of(hz, now.ns) != period_of(hz, mc->seen.ns)))
		mc->regs[MC_C] |= MC_C_PF;
	mc->seen = now;
	update_irqf(mc);
}

bool mc_irq(const struct mc146818 *mc)
{
	return mc->regs[MC_C] & MC_C_IRQF;
}

static void sooner(uint64_t ns, uint64_t *ns_min)
{
	if (ns < *ns_min)
		*ns_min = ns;
}

bool mc_next(const struct mc146818 *mc, uint64_t real_ns, uint64_t *ret_ns)
{
	struct mc_time now = clock_at(mc, real_ns);
	uint32_t wanted = mc->regs[MC_B] & (uint32_t)~mc->regs[MC_C];
	uint64_t hz = frequency(mc);
	uint64_t found_ns = UINT64_MAX;
	int64_t alarm;

	if ((wanted & MC_B_UIE) && running(mc))
		sooner(MC_SECOND_NS - now.ns, &found_ns);
	if ((wanted & MC_B_AIE) && running(mc) && alarm_next(mc, now.s, &alarm))
		sooner((uint64_t)(alarm - now.s) * MC_SECOND_NS - now.ns, &found_ns);
	if ((wanted & MC_B_PIE) && hz) {
		uint64_t period = period_of(hz, now.ns) + 1;

		sooner((period * MC_SECOND_NS + hz - 1) / hz - now.ns, &found_ns);
	}
	if (found_ns == UINT64_MAX)
		return false;
	*ret_ns = found_ns;
	return true;
}

/* ---- accesses ---- */

/* A and B change together, as far as they stop the clock or let it go. */
static void control_write(struct mc146818 *mc, uint64_t real_ns, uint8_t a, uint8_t b)
{
	bool was = running(mc), will = runs(a, b), released = divider_runs(a) && !divider_runs(mc->regs[MC_A]);
	struct mc_time now = clock_at(mc, real_ns);

	if (was && !will)
		time_to_regs(mc, now.s, mc->regs);
	mc->regs[MC_A] = a;
	mc->regs[MC_B] = b;
	if (released)
		now.ns = HALF_NS;
	if (!was && will)
		now.s = time_of_regs(mc);
	if (released || (!was && will))
		clock_set(mc, real_ns, now);
}

static void time_write(struct mc146818 *mc, uint64_t real_ns, uint32_t reg, uint8_t value)
{
	struct mc_time now = clock_at(mc, real_ns);

	if (!running(mc)) {
		mc->regs[reg] = value;
		return;
	}
	time_to_regs(mc, now.s, mc->regs);
	mc->regs[reg] = value;
	now.s = time_of_regs(mc);
	clock_set(mc, real_ns, now);
}

uint8_t mc_read(struct mc146818 *mc, uint64_t real_ns, uint32_t reg)
{
	struct mc_time now = clock_at(mc, real_ns);
	uint8_t value;

	if (is_time(reg) && running(mc)) {
		time_to_regs(mc, now.s, mc->regs);
	} else if (reg == MC_A) {
		bool near = running(mc) && now.ns >= MC_SECOND_NS - UIP_NS;

		return mc->regs[MC_A] | (near ? MC_A_UIP : 0);
	}
	value = mc->regs[reg];
	if (reg == MC_C)
		mc->regs[MC_C] = 0;
	return value;
}

void mc_write(struct mc146818 *mc, uint64_t real_ns, uint32_t reg, uint8_t value)
{
	if (is_time(reg)) {
		time_write(mc, real_ns, reg, value);
	} else if (reg == MC_A) {
		value &= (uint8_t)~MC_A_UIP;
		control_write(mc, real_ns, value, mc->regs[MC_B]);
	} else if (reg == MC_B) {
		if (value & MC_B_SET)
			value &= (uint8_t)~MC_B_UIE;
		control_write(mc, real_ns, mc->regs[MC_A], value);
	} else if (reg != MC_C && reg != MC_D) {
		mc->regs[reg] = value;
	}
	update_irqf(mc);
}

void mc_reset(struct mc146818 *mc, uint64_t real_ns)
{
	memset(mc, 0, sizeof(*mc));
	mc->regs[MC_A] = A_RESET;
	mc->regs[MC_B] = MC_B_24H;
	mc->regs[MC_D] = MC_D_VALID;
	mc->seen = clock_at(mc, real_ns);
}

static bool time_ok(const struct mc_time *time, int64_t s_max)
{
	return time->s >= -s_max && time->s <= s_max && time->ns < MC_SECOND_NS;
}

bool mc_check(struct mc146818 *mc)
{
	if (!time_ok(&mc->ahead, MC_AHEAD_S_MAX) || !time_ok(&mc->seen, 2 * MC_AHEAD_S_MAX))
		return false;
	mc->regs[MC_A] &= (uint8_t)~MC_A_UIP;
	if (mc->regs[MC_B] & MC_B_SET)
		mc->regs[MC_B] &= (uint8_t)~MC_B_UIE;
	mc->regs[MC_D] = MC_D_VALID;
	update_irqf(mc);
	return true;
}
