/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pvpanic: one byte by which a guest says that it has crashed (QEMU's docs/specs/pvpanic). Reading gives the events that the device
 * takes, writing reports some.
 *
 * Two classes share everything but the kind of address: "pvpanic" at an I/O port, "pvpanic-mmio" in memory, for machines without ports.
 * Both are QEMU0001, for which Linux's pvpanic-mmio takes either.
 *
 * The device has no state: what a guest writes is an event, and then over.
 */
#include <backplane/plugin.h>

#include <stdlib.h>

#define EVENT_PANICKED     0x01u
#define EVENT_CRASH_LOADED 0x02u /* it has crashed, and a kernel that saves its memory goes on */
#define EVENTS             (EVENT_PANICKED | EVENT_CRASH_LOADED)

struct pvpanic {
	struct bp_dev *dev;
	uint64_t *panics;
	uint64_t *crashes;
};

static const struct bp_param pvpanic_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0x505",
	    .help = "I/O port",
	},
};

static const struct bp_param pvpanic_mmio_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .help = "guest physical address; chosen by the host if absent",
	},
};

static const struct bp_range pvpanic_ranges[] = {
	{ .space = BP_PIO, .length = 1, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_range pvpanic_mmio_ranges[] = {
	{ .space = BP_MMIO, .length = 1, .widths = BP_W8, .base_param = "base" },
};

static int pvpanic_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct pvpanic *pvpanic = calloc(1, sizeof(*pvpanic));

	(void)cfg;
	if (!pvpanic)
		return bp_fail(dev, -ENOMEM, "no memory for a pvpanic device");
	pvpanic->dev = dev;
	bp_metric(dev, BP_METRIC_COUNTER, "panics", "panics that the guest has reported", &pvpanic->panics);
	bp_metric(dev, BP_METRIC_COUNTER, "crash_kernels", "crashes after which a kernel saves the guest's memory",
		  &pvpanic->crashes);
	*ret = pvpanic;
	return 0;
}

/* Bits that nobody has offered are passed over, as QEMU does. */
static int pvpanic_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct pvpanic *pvpanic = self;

	if (!access->write) {
		*val = EVENTS;
	} else if (*val & EVENT_PANICKED) {
		bp_metric_add(pvpanic->panics, 1);
		bp_event(pvpanic->dev, BP_EVENT_PANIC, 0);
	} else if (*val & EVENT_CRASH_LOADED) {
		bp_metric_add(pvpanic->crashes, 1);
		bp_event(pvpanic->dev, BP_EVENT_CRASH_LOADED, 0);
	}
	return 0;
}

static void pvpanic_reset(void *self) /* [dev] there is nothing to forget */
{
	(void)self;
}

static int pvpanic_save(void *self, struct bp_writer *writer) /* [dev] a state without fields */
{
	(void)self;
	(void)writer;
	return 0;
}

static int pvpanic_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	(void)self;
	(void)reader;
	(void)version;
	return 0;
}

/* clang-format off */
static const struct bp_device_class pvpanic_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "pvpanic",
	.summary = "tells of a guest's crash, at an I/O port",
	.hid = "QEMU0001",
	BP_PARAMS(pvpanic_params),
	BP_RANGES(pvpanic_ranges),
	.create = pvpanic_create,
	.access = pvpanic_access,
	.reset = pvpanic_reset,
	.destroy = free,
	.state_version = 1,
	.save = pvpanic_save,
	.load = pvpanic_load,
};

static const struct bp_device_class pvpanic_mmio_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "pvpanic-mmio",
	.summary = "tells of a guest's crash, in memory",
	.hid = "QEMU0001",
	BP_PARAMS(pvpanic_mmio_params),
	BP_RANGES(pvpanic_mmio_ranges),
	.create = pvpanic_create,
	.access = pvpanic_access,
	.reset = pvpanic_reset,
	.destroy = free,
	.state_version = 1,
	.save = pvpanic_save,
	.load = pvpanic_load,
};
/* clang-format on */

BP_PLUGIN("org.backplane.pvpanic", "0.1", &pvpanic_class, &pvpanic_mmio_class)
