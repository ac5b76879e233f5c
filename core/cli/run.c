/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane run`: a VM from its configuration, from beginning to end. */
#include "core/cli/cli.h"

#include "core/base/stacks.h"
#include "core/placement/vm.h"

#include <signal.h>

static const char help[] =
    "usage: backplane run [OPTION]... FILE\n"
    "Runs the virtual machine that FILE describes, until the guest powers off. A guest that resets itself is\n"
    "restarted, unless machine.on_reboot says otherwise.\n"
    "\n"
    "  --set PATH=VALUE   set a value of the file, for example machine.vcpus=4 or\n"
    "                     devices.console.stream=null; may be given several times\n"
    "  --metrics FILE     write what devices have counted to FILE, at the end and whenever SIGUSR1 comes\n"
    "  --log-level LEVEL  error, warning (the default), info or debug\n"
    "  --help             this text\n"
    "\n"
    "On a console that uses this terminal, Ctrl-] ends the virtual machine. SIGTERM asks the guest to power off.\n"
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
	sigaddset(&signals, SIGWINCH);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* If our parent ignored it, we would not be told how a child ended. */
	signal(SIGCHLD, SIG_DFL);
}

int cmd_run(int argc, char **argv)
{
	struct cli_file file;
	struct err err = ERR_NONE;
	struct vm *vm = NULL;
	int status, ended;

	block_signals();
	stacks_limit();
	status = cli_run_open(&file, argc, argv, help);
	if (status != CLI_OK)
		goto out;
	if (vm_new(file.plan, &vm, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_USAGE;
		goto out;
	}
	vm_metrics(vm, file.metrics);
	if (vm_run(vm, &ended, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_FAILED;
	} else {
		status = ended;
	}
	vm_free(vm);
out:
	cli_file_close(&file);
	return status < 0 ? CLI_OK : status;
}
