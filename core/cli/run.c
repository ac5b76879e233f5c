/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane run`: a VM from its configuration, from beginning to end. */
#include "core/cli/cli.h"

#include "core/base/log.h"
#include "core/placement/vm.h"

#include <signal.h>

static const char help[] =
    "usage: backplane run [OPTION]... FILE\n"
    "Runs the virtual machine that FILE describes, until the guest powers off.\n"
    "\n"
    "  --set PATH=VALUE   set a value of the file, for example machine.vcpus=4 or\n"
    "                     devices.console.stream=null; may be given several times\n"
    "  --log-level LEVEL  error, warning (the default), info or debug\n"
    "  --help             this text\n"
    "\n"
    "On a console that uses this terminal, Ctrl-] ends the virtual machine.\n"
    "Exit status: 0 the guest powered off or was asked to end, 1 it failed, 2 bad usage or configuration.\n";

/* Signals that end a VM are taken by the main thread alone, when it waits for them. */
static void block_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCONT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* If our parent ignored it, we would not be told how a child ended. */
	signal(SIGCHLD, SIG_DFL);
}

static int status_of(enum machine_end end)
{
	switch (end) {
	case MACHINE_POWEROFF:
		log_info("the guest powered off");
		return CLI_OK;
	case MACHINE_RESET:
		log_info("guest reset");
		return CLI_OK;
	case MACHINE_REQUESTED:
		log_info("the VM was ended from outside");
		return CLI_OK;
	default:
		return CLI_FAILED;
	}
}

int cmd_run(int argc, char **argv)
{
	struct cli_file file;
	struct err err = ERR_NONE;
	struct vm *vm = NULL;
	enum machine_end end;
	int status;

	block_signals();
	status = cli_file_open(&file, argc, argv, help);
	if (status != CLI_OK)
		goto out;
	if (vm_new(file.plan, &vm, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_USAGE;
		goto out;
	}
	if (vm_run(vm, &end, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_FAILED;
	} else {
		status = status_of(end);
	}
	vm_free(vm);
out:
	cli_file_close(&file);
	return status < 0 ? CLI_OK : status;
}
