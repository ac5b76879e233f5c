/* SPDX-License-Identifier: BSD-3-Clause */
/* The program `backplane`: finds the command and hands over. */
#include "config.h"

#include "core/cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char help[] = "usage: backplane COMMAND [ARGUMENT]...\n"
			   "A virtual machine monitor for KVM whose every device is a plugin.\n"
			   "\n"
			   "  run FILE      run the virtual machine that FILE describes\n"
			   "  check FILE    check FILE and everything it names; create nothing\n"
			   "  plan FILE     show its address map, interrupts and firmware nodes\n"
			   "  plugins       list the plugins that FILE can name\n"
			   "  plugin NAME   show a plugin's keys, types and defaults\n"
			   "  keys          show the keys that are not a plugin's\n"
			   "  connect       connect standard input and output to a port of a guest\n"
			   "  doctor        find out whether this host can run guests, and if not, why\n"
			   "  version       show the versions of the program and of the plugin ABI\n"
			   "\n"
			   "`backplane COMMAND --help` says more about each.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", cmd_run },         { "check", cmd_check },   { "plan", cmd_plan },
	{ "plugins", cmd_plugins }, { "plugin", cmd_plugin }, { "keys", cmd_keys },
	{ "connect", cmd_connect }, { "doctor", cmd_doctor }, { "version", cmd_version },
};

int cmd_version(int argc, char **argv)
{
	int status = cli_plain_args(argc, argv, 0, "usage: backplane version\n");

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	printf("backplane %s\nplugin ABI %d.%d\n", PACKAGE_VERSION, BP_ABI_MAJOR, BP_ABI_MINOR);
	return CLI_OK;
}

static int run_command(int argc, char **argv)
{
	if (argc < 2) {
		cli_error("backplane: a command is missing; see `backplane --help`");
		return CLI_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		fputs(help, stdout);
		return CLI_OK;
	}
	if (!strcmp(argv[1], "--version"))
		return cmd_version(1, argv);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	cli_error("backplane: unknown command \"%s\"; see `backplane --help`", argv[1]);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	int status = run_command(argc, argv);

	/* A table that somebody relies on must not be cut in silence. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cli_error("cannot write to standard output");
		return status == CLI_OK ? CLI_FAILED : status;
	}
	return status;
}
