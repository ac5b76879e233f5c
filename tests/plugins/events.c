/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that tells the machine of any event, as the guest says, at ports or in memory. Registers, 32 bits wide:
 *   0  value: of the next event; reads back what was written, and 0 after a reset
 *   4  event: writing raises that BP_EVENT_*; reads how many have been raised since the last reset
 */
#include <backplane/plugin.h>

#include <stdlib.h>

#define REG_VALUE 0
#define REG_EVENT 4
#define REG_BYTES 8

struct events {
	struct bp_dev *dev;
	uint32_t value;
	uint32_t raised;
};

static const struct bp_param events_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0x510",
	    .help = "first of eight I/O ports",
	},
};

static const struct bp_param events_mmio_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0xd2000000",
	    .help = "guest physical address",
	},
};

static const struct bp_range events_ranges[] = {
	{ .space = BP_PIO, .length = REG_BYTES, .widths = BP_W32, .base_param = "base" },
};

static const struct bp_range events_mmio_ranges[] = {
	{ .space = BP_MMIO, .length = REG_BYTES, .widths = BP_W32, .base_param = "base" },
};

static int events_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct events *events = calloc(1, sizeof(*events));

	(void)cfg;
	if (!events)
		return bp_fail(dev, -ENOMEM, "no memory for events");
	events->dev = dev;
	*ret = events;
	return 0;
}

static int events_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct events *events = self;

	if (!access->write) {
		*val = access->offset == REG_VALUE ? events->value : events->raised;
		return 0;
	}
	if (access->offset == REG_VALUE) {
		events->value = (uint32_t)*val;
	} else if (access->offset == REG_EVENT) {
		events->raised++;
		return bp_event(events->dev, (uint32_t)*val, events->value);
	}
	return 0;
}

static void events_reset(void *self) /* [dev] */
{
	struct events *events = self;

	events->value = 0;
	events->raised = 0;
}

/* clang-format off */
static const struct bp_device_class events_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "events",
	.summary = "raises any event",
	BP_PARAMS(events_params),
	BP_RANGES(events_ranges),
	.create = events_create,
	.access = events_access,
	.reset = events_reset,
	.destroy = free,
};

static const struct bp_device_class events_mmio_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "events-mmio",
	.summary = "raises any event, in memory",
	BP_PARAMS(events_mmio_params),
	BP_RANGES(events_mmio_ranges),
	.create = events_create,
	.access = events_access,
	.reset = events_reset,
	.destroy = free,
};
/* clang-format on */

BP_PLUGIN("org.backplane.test.events", "1.0", &events_class, &events_mmio_class)
