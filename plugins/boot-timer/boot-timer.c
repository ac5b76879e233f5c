/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A place where a guest marks moments of its start, to see how long it takes. A number that is written at offset 0, of any width, is
 * reported as a mark; the host notes the time. Reading gives the time in microseconds since the program that runs the machine was started,
 * 64 bits: a read at offset 0 takes the time and holds it, so that the parts that a narrower read leaves can be read after it.
 *
 *   offset   read                          write
 *   0        the time; holds it            a mark
 *   1 to 7   more of what is held          nothing
 *
 * A guest could write for ever, and each mark is a line in somebody's log: beyond `marks` they are counted, but no longer reported,
 * until a reset.
 *
 * Two classes share everything but the kind of address. Both say where they are as "backplane,boot-timer"; no guest has a driver for that,
 * and none is needed.
 */
#include <backplane/plugin.h>

#include <stdlib.h>

#define BYTES         8u
#define MARKS_MAX     INT64_C(1000000)
#define MARKS_DEFAULT "64"
#define MARKS_HELP    "how many marks are reported until a reset; others are only counted"
#define COMPATIBLE    "backplane,boot-timer"
#define WIDTHS        (BP_W8 | BP_W16 | BP_W32)
#define US_NS         UINT64_C(1000)

/* Fields of a state. */
#define TAG_REPORTED  1u
#define TAG_HELD_US   2u

struct boot_timer {
	struct bp_dev *dev;
	uint64_t marks_max;
	uint64_t reported; /* marks, since the last reset */
	uint64_t held_us;  /* the time that was read last */
	uint64_t *marks;
};

static const struct bp_param boot_timer_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0x560",
	    .help = "first of eight I/O ports",
	},
	{
	    .name = "marks",
	    .type = BP_P_UINT,
	    .def = MARKS_DEFAULT,
	    .max = MARKS_MAX,
	    .help = MARKS_HELP,
	},
};

static const struct bp_param boot_timer_mmio_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .help = "guest physical address; chosen by the host if absent",
	},
	{
	    .name = "marks",
	    .type = BP_P_UINT,
	    .def = MARKS_DEFAULT,
	    .max = MARKS_MAX,
	    .help = MARKS_HELP,
	},
};

static const struct bp_range boot_timer_ranges[] = {
	{ .space = BP_PIO, .length = BYTES, .widths = WIDTHS, .base_param = "base" },
};

static const struct bp_range boot_timer_mmio_ranges[] = {
	{ .space = BP_MMIO, .length = BYTES, .widths = WIDTHS | BP_W64, .base_param = "base" },
};

static int boot_timer_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct boot_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return bp_fail(dev, -ENOMEM, "no memory for a boot timer");
	timer->dev = dev;
	timer->marks_max = bp_cfg_uint(cfg, "marks");
	bp_metric(dev, BP_METRIC_COUNTER, "marks", "moments that the guest has marked", &timer->marks);
	*ret = timer;
	return 0;
}

static void mark(struct boot_timer *timer, uint64_t value)
{
	bp_metric_add(timer->marks, 1);
	if (timer->reported >= timer->marks_max)
		return;
	timer->reported++;
	bp_event(timer->dev, BP_EVENT_MARK, value);
}

static int boot_timer_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct boot_timer *timer = self;

	if (access->write) {
		if (!access->offset)
			mark(timer, *val);
		return 0;
	}
	if (!access->offset)
		timer->held_us = bp_clock(timer->dev, BP_CLOCK_START) / US_NS;
	*val = timer->held_us >> 8 * access->offset;
	return 0;
}

static void boot_timer_reset(void *self) /* [dev] */
{
	struct boot_timer *timer = self;

	timer->reported = 0;
	timer->held_us = 0;
}

static int boot_timer_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct boot_timer *timer = self;

	bp_put_uint(writer, TAG_REPORTED, timer->reported);
	bp_put_uint(writer, TAG_HELD_US, timer->held_us);
	return 0;
}

static int boot_timer_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct boot_timer *timer = self;
	uint64_t reported = 0, held_us = 0;
	int r = bp_get_uint_max(reader, TAG_REPORTED, (uint64_t)MARKS_MAX, &reported);

	(void)version;
	if (!r)
		r = bp_get_uint(reader, TAG_HELD_US, &held_us);
	if (r < 0)
		return bp_fail(timer->dev, r, "the state is not that of a boot timer");
	timer->reported = reported;
	timer->held_us = held_us;
	return 0;
}

/* clang-format off */
static const struct bp_device_class boot_timer_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "boot-timer",
	.summary = "marks of a guest's start, at I/O ports",
	.compatible = COMPATIBLE,
	BP_PARAMS(boot_timer_params),
	BP_RANGES(boot_timer_ranges),
	.create = boot_timer_create,
	.access = boot_timer_access,
	.reset = boot_timer_reset,
	.destroy = free,
	.state_version = 1,
	.save = boot_timer_save,
	.load = boot_timer_load,
};

static const struct bp_device_class boot_timer_mmio_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "boot-timer-mmio",
	.summary = "marks of a guest's start, in memory",
	.compatible = COMPATIBLE,
	BP_PARAMS(boot_timer_mmio_params),
	BP_RANGES(boot_timer_mmio_ranges),
	.create = boot_timer_create,
	.access = boot_timer_access,
	.reset = boot_timer_reset,
	.destroy = free,
	.state_version = 1,
	.save = boot_timer_save,
	.load = boot_timer_load,
};
/* clang-format on */

BP_PLUGIN("org.backplane.boot-timer", "0.1", &boot_timer_class, &boot_timer_mmio_class)
