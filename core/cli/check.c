/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane check` and `backplane plan`: everything short of running; nothing is created. */
#include "core/cli/cli.h"

#include <stdio.h>

static const char check_help[] =
    "usage: backplane check [OPTION]... FILE\n"
    "Checks FILE, its plugins, kernel and initrd, and whether it all fits together. Creates nothing and is\n"
    "silent if all is well.\n"
    "\n"
    "  --set PATH=VALUE   set a value of the file; may be given several times\n"
    "  --log-level LEVEL  error, warning (the default), info or debug\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it can run, 2 it cannot.\n";

static const char plan_help[] =
    "usage: backplane plan [OPTION]... FILE\n"
    "Prints what the machine of FILE would look like: address map, interrupts, firmware nodes, devices.\n"
    "A plugin may claim more when it is created. Creates nothing.\n"
    "\n"
    "  --set PATH=VALUE   set a value of the file; may be given several times\n"
    "  --log-level LEVEL  error, warning (the default), info or debug\n"
    "  --help             this text\n";

static int with_plan(int argc, char **argv, const char *help, bool print)
{
	struct cli_file file;
	int status = cli_file_open(&file, argc, argv, help);

	if (status == CLI_OK && print)
		plan_print(file.plan, stdout);
	cli_file_close(&file);
	return status < 0 ? CLI_OK : status;
}

int cmd_check(int argc, char **argv)
{
	return with_plan(argc, argv, check_help, false);
}

int cmd_plan(int argc, char **argv)
{
	return with_plan(argc, argv, plan_help, true);
}
