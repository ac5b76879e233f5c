/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts the instructions that a function executes in user space, exactly: a child is forked, makes one call, and is traced
 * step by step from the function's entry to its return. Its clock stands still meanwhile (what rdtsc gives is replaced by a
 * constant), so that the time which the tracing takes does not send it on other ways than an undisturbed run takes. A
 * prefix such as rep counts once for each repetition. x86-64.
 */
#ifndef TESTS_UNIT_STEPS_H
#define TESTS_UNIT_STEPS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MAX 1000000L

/* Whether the child still stands at a trap. */
static inline bool steps_next(pid_t child)
{
	int status;

	return ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 && waitpid(child, &status, 0) == child &&
	       WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

/* One step. */
static inline bool steps_step(pid_t child, struct user_regs_struct *regs)
{
	bool clock = ((uint64_t)ptrace(PTRACE_PEEKTEXT, child, (void *)regs->rip, NULL) & 0xffff) == 0x310f; /* rdtsc */

	if (!steps_next(child) || ptrace(PTRACE_GETREGS, child, NULL, regs) < 0)
		return false;
	if (clock) {
		regs->rax = 0x1000;
		regs->rdx = 0;
		return ptrace(PTRACE_SETREGS, child, NULL, regs) == 0;
	}
	return true;
}

static inline long steps_trace(pid_t child, uint64_t entry)
{
	struct user_regs_struct regs;
	uint64_t stack, back;
	long steps = 0;
	int status;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_GETREGS, child, NULL, &regs) < 0)
		return -ECHILD;
	while (regs.rip != entry)
		if (++steps > STEPS_MAX || !steps_step(child, &regs))
			return -ENOENT;
	stack = regs.rsp;
	back = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)stack, NULL);
	for (steps = 0; regs.rip != back || regs.rsp != stack + 8; steps++)
		if (steps > STEPS_MAX || !steps_step(child, &regs))
			return -EOVERFLOW;
	return steps;
}

/* Instructions from the entry of `function` to its return, both included, where `call(arg)` calls it. -errno if the child
 * cannot be traced or does not come there. */
static inline long steps_count(uint64_t function, void (*call)(void *arg), void *arg)
{
	pid_t child = fork();
	long steps;

	if (child < 0)
		return -errno;
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(1);
		raise(SIGSTOP);
		call(arg);
		_exit(0);
	}
	steps = steps_trace(child, function);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return steps;
}

#endif
