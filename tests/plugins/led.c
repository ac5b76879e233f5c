/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A light: one 32-bit register, which reads back what was written. The smallest device that a guest
 * can find and use.
 *
 *	cc -fPIC -shared -Wl,-z,defs $(pkg-config --cflags backplane-sdk) -o led.so led.c
 */
#include <backplane/plugin.h>

#include <stdlib.h>

struct led {
	uint32_t value;
};

static const struct bp_param led_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .help = "guest physical address; chosen by the host if absent",
	},
};

static const struct bp_range led_ranges[] = {
	{ .space = BP_MMIO, .length = 4, .widths = BP_W32, .base_param = "base" },
};

static int led_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct led *led = calloc(1, sizeof(*led));

	(void)cfg;
	if (!led)
		return bp_fail(dev, -ENOMEM, "no memory for a light");
	*ret = led;
	return 0;
}

static int led_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct led *led = self;

	if (access->write)
		led->value = (uint32_t)*val;
	else
		*val = led->value;
	return 0;
}

static void led_reset(void *self) /* [dev] */
{
	struct led *led = self;

	led->value = 0;
}

/* clang-format off */
static const struct bp_device_class led_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "led",
	.summary = "light with one register",
	.compatible = "acme,led",
	BP_PARAMS(led_params),
	BP_RANGES(led_ranges),
	.create = led_create,
	.access = led_access,
	.reset = led_reset,
	.destroy = free,
};
/* clang-format on */

BP_PLUGIN("com.acme.led", "1.0", &led_class)
