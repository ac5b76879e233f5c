/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A plugin whose note is in order and whose class table is wrong in one place, chosen by CASE. Cases 0
 * and 1 are right, so that a test has a control. Each of the others must be refused, when it is loaded
 * or at the latest when a configuration is checked against it, with a message that says what is wrong,
 * and without a crash.
 *
 *	cc -fPIC -shared -Wl,-z,defs -DCASE=1 $(pkg-config --cflags backplane-sdk) -o bad_class_1.so bad_class.c
 */
#include <backplane/plugin.h>

#ifndef CASE
#define CASE 0
#endif

#define CASE_RIGHT             0
#define CASE_LATER             1 /* right, too: a table of a later version, of which we know the beginning */
#define CASE_NAME_NULL         2
#define CASE_NAME_CHARACTERS   3
#define CASE_NAME_LONG         4
#define CASE_SIZE_0            5
#define CASE_KIND              6 /* a kind of class that is not known */
#define CASE_PARAM_COUNT       7 /* 2^32 - 1 */
#define CASE_PARAM_STRIDE      8 /* smaller than a name and a type */
#define CASE_PARAM_TABLE_NULL  9 /* a count, and no table */
#define CASE_PARAM_TWICE       10
#define CASE_PARAM_NAME_NULL   11
#define CASE_PARAM_TYPE        12 /* a type that is not known */
#define CASE_PARAM_DEFAULT     13 /* one that is not a value of its type */
#define CASE_PARAM_BOUNDS      14 /* min above max */
#define CASE_CHOICES_NULL      15
#define CASE_GROUP_ITSELF      16 /* a group in which it is again, for ever */
#define CASE_RANGE_COUNT       17 /* more than 16 */
#define CASE_RANGE_LENGTH_0    18
#define CASE_RANGE_WIDTHS_0    19
#define CASE_RANGE_SPACE       20
#define CASE_RANGE_PIO_NO_BASE 21 /* ports without an address */
#define CASE_RANGE_PARAM       22 /* base_param is not a parameter */
#define CASE_RANGE_PARAM_TYPE  23 /* base_param is not an ADDRESS */
#define CASE_RANGE_NO_ACCESS   24 /* ranges, and no access callback */
#define CASE_IRQ_COUNT         25 /* more than 16 */
#define CASE_IRQ_PARAM_TYPE    26 /* line_param is not a UINT */
#define CASE_NO_CREATE         27
#define CASE_NO_RESET          28
#define CASE_NO_DESTROY        29
#define CASE_HID               30 /* neither an EISA nor an ACPI identifier */
#define CASE_CLASS_NULL        31 /* a class pointer that is NULL */
#define CASE_CLASS_TWICE       32 /* two classes of one name */
#define CASE_CLASS_COUNT       33 /* 2^32 - 1 */
#define CASE_ID                34 /* the descriptor's id is not the note's */
#define CASE_PLUGIN_SIZE_0     35
#define CASE_COUNT             36

#define IS(name)               (CASE == (name))
#define IF(name, then, other)  (IS(name) ? (then) : (other))

_Static_assert(CASE >= 0 && CASE < CASE_COUNT, "no such case");

static const char *const bad_choices[] = { "slow", "fast", NULL };

static const struct bp_param bad_group[] = {
	{
	    .name = "inner",
	    .type = IF(CASE_GROUP_ITSELF, BP_P_GROUP, BP_P_UINT),
	    .group = IF(CASE_GROUP_ITSELF, bad_group, NULL),
	    .group_stride = IF(CASE_GROUP_ITSELF, sizeof(struct bp_param), 0),
	    .group_count = IF(CASE_GROUP_ITSELF, 1, 0),
	    .help = "inner value",
	},
};

static const struct bp_param bad_params[] = {
	{
	    .name = "base",
	    .type = IF(CASE_RANGE_PARAM_TYPE, BP_P_STRING, BP_P_ADDRESS),
	    .def = IF(CASE_RANGE_PARAM_TYPE, "text", IF(CASE_PARAM_DEFAULT, "not an address", NULL)),
	    .help = "where",
	},
	{
	    .name = "irq",
	    .type = IF(CASE_IRQ_PARAM_TYPE, BP_P_BOOL, BP_P_UINT),
	    .min = IF(CASE_PARAM_BOUNDS, 24, 0),
	    .max = IF(CASE_IRQ_PARAM_TYPE, 0, 23),
	    .help = "line",
	},
	{
	    .name = IF(CASE_PARAM_NAME_NULL, NULL, IF(CASE_PARAM_TWICE, "irq", "speed")),
	    .type = IF(CASE_PARAM_TYPE, 4711, BP_P_CHOICE),
	    .def = IF(CASE_PARAM_TYPE, NULL, "slow"),
	    .choices = IF(CASE_CHOICES_NULL, NULL, bad_choices),
	    .help = "how fast",
	},
	{
	    .name = "limits",
	    .type = BP_P_GROUP,
	    BP_GROUP(bad_group),
	    .help = "bounds",
	},
};

static const struct bp_range bad_ranges[] = {
	{
	    .space = IF(CASE_RANGE_SPACE, 7, IF(CASE_RANGE_PIO_NO_BASE, BP_PIO, BP_MMIO)),
	    .length = IF(CASE_RANGE_LENGTH_0, 0, 16),
	    .widths = IF(CASE_RANGE_WIDTHS_0, 0, BP_W32),
	    .base_param = IF(CASE_RANGE_PIO_NO_BASE, NULL, IF(CASE_RANGE_PARAM, "nowhere", "base")),
	},
};

static const struct bp_irq bad_irqs[] = {
	{ .line_param = "irq" },
};

static int bad_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	(void)cfg;
	*ret = dev;
	return 0;
}

static int bad_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	(void)self;
	(void)access;
	*val = 0;
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

static const struct bp_device_class bad_class = {
	.size = IF(CASE_SIZE_0, 0, IF(CASE_LATER, 4096, sizeof(struct bp_device_class))),
	.kind = IF(CASE_KIND, 4711, BP_CLASS_DEVICE),
	.name = IF(CASE_NAME_NULL, NULL,
		   IF(CASE_NAME_CHARACTERS, "Bad Class!",
		      IF(CASE_NAME_LONG, "a-name-of-more-than-thirty-one-bytes", "bad"))),
	.summary = "device with a flaw",
	.hid = IF(CASE_HID, "BAD_HID", "ACME0003"),
	.param_stride = IF(CASE_PARAM_STRIDE, 8, sizeof(struct bp_param)),
	.param_count = IF(CASE_PARAM_COUNT, UINT32_MAX, BP_TABLE_COUNT(bad_params)),
	.params = IF(CASE_PARAM_TABLE_NULL, NULL, bad_params),
	.range_stride = sizeof(struct bp_range),
	.range_count = IF(CASE_RANGE_COUNT, 17, BP_TABLE_COUNT(bad_ranges)),
	.ranges = bad_ranges,
	.irq_stride = sizeof(struct bp_irq),
	.irq_count = IF(CASE_IRQ_COUNT, 17, BP_TABLE_COUNT(bad_irqs)),
	.irqs = bad_irqs,
	.create = IF(CASE_NO_CREATE, NULL, bad_create),
	.access = IF(CASE_RANGE_NO_ACCESS, NULL, bad_access),
	.reset = IF(CASE_NO_RESET, NULL, bad_reset),
	.destroy = IF(CASE_NO_DESTROY, NULL, bad_destroy),
};

#if IS(CASE_CLASS_COUNT) || IS(CASE_ID) || IS(CASE_PLUGIN_SIZE_0)
/* What BP_PLUGIN makes, with a descriptor that differs. */
#define backplane_plugin bad_unused
BP_PLUGIN("org.backplane.test.class", "1.0", &bad_class)
#undef backplane_plugin

extern const struct bp_plugin backplane_plugin __attribute__((visibility("default")));
const struct bp_plugin backplane_plugin = {
	.size = IF(CASE_PLUGIN_SIZE_0, 0, sizeof(struct bp_plugin)),
	.abi_major = BP_ABI_MAJOR,
	.abi_minor = BP_ABI_MINOR,
	.class_count = IF(CASE_CLASS_COUNT, UINT32_MAX, 1),
	.id = IF(CASE_ID, "org.backplane.test.other", "org.backplane.test.class"),
	.version = "1.0",
	.classes = bp_plugin_classes,
};
#elif IS(CASE_CLASS_NULL)
BP_PLUGIN("org.backplane.test.class", "1.0", &bad_class, NULL)
#elif IS(CASE_CLASS_TWICE)
BP_PLUGIN("org.backplane.test.class", "1.0", &bad_class, &bad_class)
#else
BP_PLUGIN("org.backplane.test.class", "1.0", &bad_class)
#endif
