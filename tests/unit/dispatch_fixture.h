/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way of an access as it is in a VM, from the bus through the runtime into a plugin and back: a bus with devices of a
 * class that has one register and does nothing else. For what measures that way; whoever fails here aborts.
 */
#ifndef TESTS_UNIT_DISPATCH_FIXTURE_H
#define TESTS_UNIT_DISPATCH_FIXTURE_H

#include "core/base/values.h"
#include "core/device/device.h"
#include "core/machine/bus.h"

#include <backplane/plugin.h>

#include <stdio.h>
#include <stdlib.h>

#define DISPATCH_BASE   UINT64_C(0xd0000000) /* of the first device, */
#define DISPATCH_STRIDE UINT64_C(0x1000)     /* from one to the next */

#define DISPATCH_MUST(condition)                                                                \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* ---- the plugin ---- */

struct light {
	uint64_t value;
};

static int light_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	(void)dev, (void)cfg;
	*ret = calloc(1, sizeof(struct light));
	return *ret ? 0 : -12 /* -ENOMEM */;
}

static int light_access(void *self, const struct bp_access *access, uint64_t *val)
{
	struct light *light = self;

	if (access->write)
		light->value = *val;
	else
		*val = light->value;
	return 0;
}

static void light_reset(void *self)
{
	struct light *light = self;

	light->value = 0;
}

static const struct bp_param light_params[] = {
	{ .name = "base", .type = BP_P_ADDRESS },
};

static const struct bp_range light_ranges[] = {
	{ .space = BP_MMIO, .length = 0x100, .widths = BP_W32, .base_param = "base" },
};

/* clang-format off */
static const struct bp_device_class light_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "light",
	.summary = "one register",
	BP_PARAMS(light_params),
	BP_RANGES(light_ranges),
	.create = light_create,
	.access = light_access,
	.reset = light_reset,
	.destroy = free,
};
/* clang-format on */

/* ---- bus and devices ---- */

#define DISPATCH_DEVICES_MAX 16

struct dispatch {
	struct plugin_class class;
	struct bus *bus;
	size_t count;
	struct device *devices[DISPATCH_DEVICES_MAX];
};

/* As placement does it. */
static int dispatch_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range,
			  uint64_t base, uint64_t *ret_base, struct err *err)
{
	struct dispatch *dispatch = ctx;
	struct bus_claim claim = {
		.space = range->space,
		.widths = range->widths,
		.base = base,
		.length = range->length,
		.access = device_access,
		.ctx = device,
		.cookie = cookie,
		.owner = "light",
	};

	*ret_base = base;
	return bus_insert(dispatch->bus, &claim, err);
}

static int dispatch_release(void *ctx, uint32_t space, uint64_t base)
{
	struct dispatch *dispatch = ctx;

	return bus_remove(dispatch->bus, space, base);
}

static void dispatch_quit(void *ctx)
{
	(void)ctx;
}

static inline uint64_t dispatch_address(size_t device)
{
	return DISPATCH_BASE + device * DISPATCH_STRIDE;
}

/* `count` devices that run, on a bus that is borrowed until dispatch_detach(). */
static inline void dispatch_attach(struct dispatch *dispatch, struct bus *bus, size_t count)
{
	struct place nowhere = { .file = "test", .line = 1 };
	struct err err;

	*dispatch = (struct dispatch){ .bus = bus, .count = count };
	DISPATCH_MUST(count <= DISPATCH_DEVICES_MAX);
	DISPATCH_MUST(class_copy(&light_class, &dispatch->class, &err) == 0);
	for (size_t i = 0; i < count; i++) {
		struct device_spec spec = {
			.id = "light",
			.class = &dispatch->class,
			.place = { .claim = dispatch_claim,
				   .release = dispatch_release,
				   .quit = dispatch_quit,
				   .ctx = dispatch },
			.bases = { dispatch_address(i) },
		};

		DISPATCH_MUST(values_new(dispatch->class.decl.schema, "devices.light", nowhere, &spec.values) == 0);
		DISPATCH_MUST(device_new(&spec, &dispatch->devices[i], &err) == 0);
		DISPATCH_MUST(device_start(dispatch->devices[i], &err) == 0);
	}
}

static inline void dispatch_detach(struct dispatch *dispatch)
{
	for (size_t i = 0; i < dispatch->count; i++)
		device_free(dispatch->devices[i]);
	class_free(&dispatch->class);
}

/* The same with a bus of their own. */
static inline void dispatch_open(struct dispatch *dispatch, size_t count)
{
	struct bus *bus;

	DISPATCH_MUST(bus_new(&bus) == 0);
	dispatch_attach(dispatch, bus, count);
}

static inline void dispatch_close(struct dispatch *dispatch)
{
	dispatch_detach(dispatch);
	bus_free(dispatch->bus);
}

#endif
