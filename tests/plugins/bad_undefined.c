/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin that needs a function which nobody has: its note is in order, and dlopen refuses it.
 *
 *	cc -fPIC -shared $(pkg-config --cflags backplane-sdk) -o bad_undefined.so bad_undefined.c
 *
 * Without -Wl,-z,defs: with it, as the SDK asks for, the linker would refuse it.
 */
#include <backplane/plugin.h>

int bp_test_nobody_has_this(void **ret);

static int bad_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	(void)dev;
	(void)cfg;
	return bp_test_nobody_has_this(ret);
}

static void bad_reset(void *self) /* [dev] */
{
	(void)self;
}

static void bad_destroy(void *self) /* [main] */
{
	(void)self;
}

/* clang-format off */
static const struct bp_device_class bad_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "bad-undefined",
	.summary = "device that cannot be loaded",
	.create = bad_create,
	.reset = bad_reset,
	.destroy = bad_destroy,
};
/* clang-format on */

BP_PLUGIN("org.backplane.test.undefined", "1.0", &bad_class)
