/* SPDX-License-Identifier: BSD-3-Clause */
/* The core's own sections of a configuration; see sections.h. */
#include "core/config/sections.h"

#define MIB             (INT64_C(1) << 20)
#define TIB             (INT64_C(1) << 40)
#define SHUTDOWN_MAX_NS (INT64_C(24) * 3600 * 1000000000)

static const char *const ending_words[] = { "exit", "restart", NULL };

static const struct bp_param machine_params[] = {
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

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

int sections_machine(struct schema **ret, struct err *err)
{
	return schema_copy(machine_params, sizeof(machine_params[0]), COUNT(machine_params), ret, err);
}

int sections_boot(struct schema **ret, struct err *err)
{
	return schema_copy(boot_params, sizeof(boot_params[0]), COUNT(boot_params), ret, err);
}

const struct section *sections_all(size_t *ret_count)
{
	static const struct section sections[] = {
		{ .name = "machine", .summary = "processors and memory", .schema = sections_machine },
		{ .name = "boot", .summary = "what the guest starts with", .schema = sections_boot },
	};

	*ret_count = COUNT(sections);
	return sections;
}
