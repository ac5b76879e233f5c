/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A PC's CMOS clock: a MC146818 (mc146818.c) behind an index and a data port.
 *
 * Everything here runs under the instance's mutex, except create and destroy.
 *
 * Interrupts. The line is an edge, and the chip's output a level that reading register C takes back, so there is one edge for each
 * rise, as on a PC. That also bounds them: a guest that does not read C gets no other one.
 *
 * One timer, which is armed for the next flag that raises the line: without an enabled interrupt there is none. It only ever has to
 * be early enough, since whatever fires looks at the clocks again; so it is set anew only for a moment that is nearer. The host's
 * clock can be set, which no timer follows; so none is set for a later moment than in a minute.
 */
#include "mc146818.h"

#include <backplane/plugin.h>

#include <stdlib.h>

#define PORT_INDEX  0u
#define PORT_DATA   1u
#define PORTS       2u
#define INDEX_MASK  0x7fu /* the top bit masks NMIs, which this machine does not have */
#define IRQ_MAX     23
#define SLEEP_NS    (60 * MC_SECOND_NS)
/* Two clocks are read one after the other: moments that differ by less are the same. */
#define SLACK_NS    UINT64_C(10000)

/* Fields of a state. */
#define TAG_INDEX   1u
#define TAG_REGS    2u
#define TAG_AHEAD_S 3u /* two's complement */
#define TAG_AHEAD   4u
#define TAG_SEEN_S  5u /* two's complement */
#define TAG_SEEN    6u

struct rtc {
	struct mc146818 mc;
	struct bp_dev *dev;
	uint8_t index;
	bool told; /* the line is up */
	uint32_t timer;
	uint64_t armed_ns; /* 0: not armed */
	uint64_t *interrupts;
};

static const struct bp_param rtc_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0x70",
	    .help = "first of two I/O ports",
	},
	{
	    .name = "irq",
	    .type = BP_P_UINT,
	    .def = "8",
	    .max = IRQ_MAX,
	    .help = "interrupt line",
	},
};

static const struct bp_range rtc_ranges[] = {
	{ .space = BP_PIO, .length = PORTS, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_irq rtc_irqs[] = {
	{ .line_param = "irq" },
};

static uint64_t real_ns(const struct rtc *rtc)
{
	return bp_clock(rtc->dev, BP_CLOCK_REAL);
}

/* Raises the line if it has come up, and arms the timer for the next time. */
static void settle(struct rtc *rtc)
{
	bool up = mc_irq(&rtc->mc);
	uint64_t in_ns, deadline_ns;

	if (up && !rtc->told) {
		bp_irq_raise(rtc->dev, 0);
		bp_metric_add(rtc->interrupts, 1);
	}
	rtc->told = up;
	/* While the line is up no flag can raise it. */
	if (up || !mc_next(&rtc->mc, real_ns(rtc), &in_ns))
		return;
	deadline_ns = bp_clock_ns(rtc->dev) + (in_ns < SLEEP_NS ? in_ns : SLEEP_NS);
	if (rtc->armed_ns && deadline_ns + SLACK_NS >= rtc->armed_ns)
		return;
	rtc->armed_ns = deadline_ns;
	bp_timer_set(rtc->dev, rtc->timer, deadline_ns);
}

static void rtc_timer(void *arg, uint32_t timer) /* [dev] */
{
	struct rtc *rtc = arg;

	(void)timer;
	rtc->armed_ns = 0;
	mc_sync(&rtc->mc, real_ns(rtc));
	settle(rtc);
}

static int rtc_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct rtc *rtc = calloc(1, sizeof(*rtc));
	int r;

	(void)cfg;
	if (!rtc)
		return bp_fail(dev, -ENOMEM, "no memory for a clock");
	rtc->dev = dev;
	r = bp_timer_add(dev, rtc_timer, rtc, &rtc->timer);
	if (r < 0) {
		free(rtc);
		return bp_fail(dev, r, "cannot have a timer");
	}
	bp_metric(dev, BP_METRIC_COUNTER, "interrupts", "interrupts raised", &rtc->interrupts);
	mc_reset(&rtc->mc, real_ns(rtc));
	*ret = rtc;
	return 0;
}

static int rtc_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct rtc *rtc = self;
	uint64_t now_ns;

	if (access->offset == PORT_INDEX) {
		if (access->write)
			rtc->index = *val & INDEX_MASK;
		else
			*val = UINT8_MAX; /* write-only, as on a PC */
		return 0;
	}
	now_ns = real_ns(rtc);
	mc_sync(&rtc->mc, now_ns);
	if (access->write)
		mc_write(&rtc->mc, now_ns, rtc->index, (uint8_t)*val);
	else
		*val = mc_read(&rtc->mc, now_ns, rtc->index);
	settle(rtc);
	return 0;
}

static void disarm(struct rtc *rtc)
{
	if (!rtc->armed_ns)
		return;
	rtc->armed_ns = 0;
	bp_timer_set(rtc->dev, rtc->timer, 0);
}

static void rtc_reset(void *self) /* [dev] */
{
	struct rtc *rtc = self;

	disarm(rtc);
	mc_reset(&rtc->mc, real_ns(rtc));
	rtc->index = 0;
	rtc->told = false;
}

static void rtc_destroy(void *self) /* [main] */
{
	struct rtc *rtc = self;

	bp_timer_del(rtc->dev, rtc->timer);
	free(rtc);
}

static int rtc_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct rtc *rtc = self;

	bp_put_uint(writer, TAG_INDEX, rtc->index);
	bp_put_bytes(writer, TAG_REGS, rtc->mc.regs, sizeof(rtc->mc.regs));
	bp_put_uint(writer, TAG_AHEAD_S, (uint64_t)rtc->mc.ahead.s);
	bp_put_uint(writer, TAG_AHEAD, rtc->mc.ahead.ns);
	bp_put_uint(writer, TAG_SEEN_S, (uint64_t)rtc->mc.seen.s);
	bp_put_uint(writer, TAG_SEEN, rtc->mc.seen.ns);
	return 0;
}

static int load_time(struct bp_reader *reader, uint32_t tag_s, uint32_t tag_ns, struct mc_time *ret)
{
	uint64_t s = 0, ns = 0;
	int r = bp_get_uint(reader, tag_s, &s);

	if (!r)
		r = bp_get_uint_max(reader, tag_ns, MC_SECOND_NS - 1, &ns);
	if (r < 0)
		return r;
	*ret = (struct mc_time){ .s = (int64_t)s, .ns = (uint32_t)ns };
	return 0;
}

/* The guest's clock goes on from the host's, which has gone on meanwhile. */
static int rtc_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct rtc *rtc = self;
	struct mc146818 mc = { 0 };
	uint64_t index;
	int r = bp_get_bytes(reader, TAG_REGS, mc.regs, sizeof(mc.regs));

	(void)version;
	if (r >= 0 && r != sizeof(mc.regs))
		r = -EINVAL;
	if (r >= 0)
		r = load_time(reader, TAG_AHEAD_S, TAG_AHEAD, &mc.ahead);
	if (r >= 0)
		r = load_time(reader, TAG_SEEN_S, TAG_SEEN, &mc.seen);
	if (r >= 0)
		r = bp_get_uint_max(reader, TAG_INDEX, INDEX_MASK, &index);
	if (r >= 0 && !mc_check(&mc))
		r = -ERANGE;
	if (r < 0)
		return bp_fail(rtc->dev, r, "the state is not that of a clock");
	rtc->mc = mc;
	rtc->index = (uint8_t)index;
	return 0;
}

/* What has become due meanwhile is due now. A line that was up may not have been seen by whoever has been loaded: another edge does
 * no harm. */
static void rtc_resume(void *self) /* [dev] */
{
	struct rtc *rtc = self;

	rtc->told = false;
	disarm(rtc);
	mc_sync(&rtc->mc, real_ns(rtc));
	settle(rtc);
}

/* clang-format off */
static const struct bp_device_class rtc_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "rtc",
	.summary = "MC146818 real-time clock of a PC",
	.hid = "PNP0B00",
	.facts = BP_FACT_RTC,
	BP_PARAMS(rtc_params),
	BP_RANGES(rtc_ranges),
	BP_IRQS(rtc_irqs),
	.create = rtc_create,
	.access = rtc_access,
	.reset = rtc_reset,
	.destroy = rtc_destroy,
	.state_version = 1,
	.save = rtc_save,
	.load = rtc_load,
	.resume = rtc_resume,
};
/* clang-format on */

BP_PLUGIN("org.backplane.rtc", "0.1", &rtc_class)
