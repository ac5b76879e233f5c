/* SPDX-License-Identifier: BSD-3-Clause */
/* The core's own sections of a configuration; see sections.h. */
#include "core/config/sections.h"

#define MIB             (INT64_C(1) << 20)
#define TIB             (INT64_C(1) << 40)
#define SHUTDOWN_MAX_NS (INT64_C(24) * 3600 * 1000000000)
#define DEADLINE_MIN_NS (INT64_C(10) * 1000000)
#define DEADLINE_MAX_NS (INT64_C(60) * 1000000000)

static const char *const ending_words[] = { "exit", "restart", NULL };
static const char *const placement_words[] = { "process", "thread", NULL };
static const char *const failure_words[] = { "needs_reset", "stop", NULL };

static const struct bp_param machine_params[] = {
	{
	    .name = "name",
	    .type = BP_P_STRING,
	    .help = "the machine's own name; if absent, its file stands for it",
	},
	{
	    .name = "vcpus",
	    .type = BP_P_UINT,
	    .def = "1",
	    .min = 1,
	    .max = 32,
	    .help = "number of virtual CPUs",
	},
	{
	    .name = "memory",
	    .type = BP_P_SIZE,
	    .flags = BP_P_REQUIRED,
	    .min = 16 * MIB,
	    .max = TIB,
	    .help = "size of the guest's memory",
	},
	{
	    .name = "hugepages",
	    .type = BP_P_BOOL,
	    .def = "false",
	    .help = "back the guest's memory with the host's 2 MiB huge pages",
	},
	{
	    .name = "prefault",
	    .type = BP_P_BOOL,
	    .def = "false",
	    .help = "take all of the guest's memory from the host before the guest starts",
	},
	{
	    .name = "on_reboot",
	    .type = BP_P_CHOICE,
	    .choices = ending_words,
	    .def = "restart",
	    .help = "what follows when the guest resets itself",
	},
	{
	    .name = "on_panic",
	    .type = BP_P_CHOICE,
	    .choices = ending_words,
	    .def = "exit",
	    .help = "what follows when the guest tells a device that it has crashed",
	},
	{
	    .name = "on_crash",
	    .type = BP_P_CHOICE,
	    .choices = ending_words,
	    .def = "exit",
	    .help = "what follows a triple fault",
	},
	{
	    .name = "shutdown_timeout",
	    .type = BP_P_DURATION,
	    .def = "10s",
	    .max = SHUTDOWN_MAX_NS,
	    .help = "how long the guest may take to power off after SIGTERM",
	},
};

static const struct bp_param boot_params[] = {
	{
	    .name = "kernel",
	    .type = BP_P_FILE,
	    .flags = BP_P_REQUIRED,
	    .help = "kernel image that the guest starts with",
	},
	{
	    .name = "unpack",
	    .type = BP_P_BOOL,
	    .def = "false",
	    .help = "unpack a bzImage on the host, once, instead of in each guest",
	},
	{
	    .name = "initrd",
	    .type = BP_P_FILE,
	    .help = "initial RAM disk for the kernel",
	},
	{
	    .name = "cmdline",
	    .type = BP_P_STRING,
	    .def = "",
	    .help = "command line of the kernel",
	},
};

/* What the file says for all of its devices, and each device for itself, where nothing stands for: as the file. */
#define PLACEMENT_KEYS(placement_default, on_failure_default, deadline_default)                                     \
	{                                                                                                           \
		.name = "placement",                                                                                \
		.type = BP_P_CHOICE,                                                                                \
		.choices = placement_words,                                                                         \
		.def = (placement_default),                                                                         \
		.help = "where the plugin runs: in a process of its own, or in a thread of the program",            \
	},                                                                                                          \
	    {                                                                                                       \
		    .name = "on_failure",                                                                           \
		    .type = BP_P_CHOICE,                                                                            \
		    .choices = failure_words,                                                                       \
		    .def = (on_failure_default),                                                                    \
		    .help = "what follows when the device's process has failed",                                    \
	    },                                                                                                      \
	{                                                                                                           \
		.name = "deadline", .type = BP_P_DURATION, .def = (deadline_default), .min = DEADLINE_MIN_NS,       \
		.max = DEADLINE_MAX_NS, .help = "how long the device's process may take to answer a register read", \
	}

static const struct bp_param defaults_params[] = {
	PLACEMENT_KEYS("process", "needs_reset", "3s"),
};

static const struct bp_param device_params[] = {
	{
	    .name = "plugin",
	    .type = BP_P_STRING,
	    .flags = BP_P_REQUIRED,
	    .help = "name of the plugin, or with a slash in it the path of its file",
	},
	{
	    .name = "id",
	    .type = BP_P_STRING,
	    .help = "the device's own name; if absent, that of its plugin",
	},
	{
	    .name = "class",
	    .type = BP_P_STRING,
	    .help = "which of the plugin's classes; if absent, the first",
	},
	PLACEMENT_KEYS(NULL, NULL, NULL),
};

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

int sections_machine(struct schema **ret, struct err *err)
{
	return schema_copy(machine_params, sizeof(machine_params[0]), COUNT(machine_params), ret, err);
}

int sections_boot(struct schema **ret, struct err *err)
{
	return schema_copy(boot_params, sizeof(boot_params[0]), COUNT(boot_params), ret, err);
}

int sections_defaults(struct schema **ret, struct err *err)
{
	return schema_copy(defaults_params, sizeof(defaults_params[0]), COUNT(defaults_params), ret, err);
}

int sections_device(struct schema **ret, struct err *err)
{
	return schema_copy(device_params, sizeof(device_params[0]), COUNT(device_params), ret, err);
}

const struct section *sections_all(size_t *ret_count)
{
	static const struct section sections[] = {
		{ .name = "machine", .summary = "processors and memory", .schema = sections_machine },
		{ .name = "boot", .summary = "what the guest starts with", .schema = sections_boot },
		{ .name = "defaults",
		  .summary = "what devices do that do not say it themselves",
		  .schema = sections_defaults },
		{ .name = "devices",
		  .summary = "what each device has besides its plugin's keys",
		  .schema = sections_device },
	};

	*ret_count = COUNT(sections);
	return sections;
}
