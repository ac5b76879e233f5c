/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin without an ELF note: the descriptor is written out instead of made by BP_PLUGIN. It must
 * be refused unloaded; the constructor says so if it is not.
 *
 *	cc -fPIC -shared -Wl,-z,defs $(pkg-config --cflags backplane-sdk) -o bad_nonote.so bad_nonote.c
 */
#include <backplane/plugin.h>

#include <stdio.h>

extern const struct bp_plugin backplane_plugin __attribute__((visibility("default")));

__attribute__((constructor)) static void loaded(void)
{
	fputs("bad_nonote has been loaded\n", stderr);
}

static int bad_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	(void)cfg;
	*ret = dev;
	return 0;
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
	.name = "bad-nonote",
	.summary = "device that says nothing about itself",
	.create = bad_create,
	.reset = bad_reset,
	.destroy = bad_destroy,
};
/* clang-format on */

static const void *const classes[] = { &bad_class };

const struct bp_plugin backplane_plugin = {
	.size = sizeof(struct bp_plugin),
	.abi_major = BP_ABI_MAJOR,
	.abi_minor = BP_ABI_MINOR,
	.class_count = 1,
	.id = "org.backplane.test.nonote",
	.version = "1.0",
	.classes = classes,
};
