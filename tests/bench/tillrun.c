/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts the system calls that a program makes, with all its threads and children, before its first KVM_RUN; then ends it.
 * Used by tests/bench and tests/guest/counts.test.
 *
 *     tillrun [--limit SECONDS] PROGRAM [ARG]...
 *
 * Prints "syscalls=N" and ends with 0; with 1 and a line on standard error if the program ended before it ran a guest, could not
 * be traced or took longer than the limit. Counted are calls that begin after the execve() of the program itself, KVM_RUN not
 * among them. The program has no input, and what it prints goes to standard error.
 *
 * One process and one thread: the tracer stops at each call of each traced thread. If it dies its tracees do, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS                                                                                                        \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | \
	 PTRACE_O_EXITKILL)
#define SYSCALL_STOP (SIGTRAP | 0x80)

struct tracer {
	pid_t program;
	bool executed; /* the program's own execve() has returned */
	uint64_t syscalls;
};

static volatile sig_atomic_t too_late;

static void on_alarm(int number)
{
	(void)number;
	too_late = 1;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list list;

	fputs("tillrun: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(1);
}

/* The child: waits until it is traced, and becomes the program. */
__attribute__((noreturn)) static void become(char **argv)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(127);
	raise(SIGSTOP);
	execvp(argv[0], argv);
	fprintf(stderr, "tillrun: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static pid_t start(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid == 0)
		become(argv);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		fail("the child did not start");
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(uintptr_t)OPTIONS) < 0)
		fail("cannot trace: %s", strerror(errno));
	kill(pid, SIGCONT);
	return pid;
}

/* A stop at a system call: true if it is the first KVM_RUN. */
static bool at_syscall(struct tracer *tracer, pid_t pid)
{
	struct __ptrace_syscall_info info;

	memset(&info, 0, sizeof(info));
	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY ||
	    !tracer->executed)
		return false;
	if (info.entry.nr == SYS_ioctl && info.entry.args[1] == KVM_RUN)
		return true;
	tracer->syscalls++;
	return false;
}

/* One event of the program's threads: true at the first KVM_RUN, false if there is more to come. */
static bool step(struct tracer *tracer)
{
	int status, signal, deliver = 0;
	pid_t pid = waitpid(-1, &status, __WALL);

	if (too_late)
		fail("no guest ran within the limit");
	if (pid < 0 && errno == EINTR)
		return false;
	if (pid < 0)
		fail("waitpid: %s", strerror(errno));
	if (!WIFSTOPPED(status)) {
		if (pid == tracer->program)
			fail("the program ended before it ran a guest (wait status 0x%x)", (unsigned int)status);
		return false;
	}
	signal = WSTOPSIG(status);
	switch (status >> 16) {
	case 0:
		if (signal != SYSCALL_STOP)
			deliver = signal;
		else if (at_syscall(tracer, pid))
			return true;
		break;
	case PTRACE_EVENT_EXEC:
		if (pid == tracer->program)
			tracer->executed = true;
		break;
	default:
		/* A new thread or child, or a stop of the whole group, which only the beginning has: see become(). */
		break;
	}
	/* ESRCH: it has been killed in the meantime, which waitpid() tells. */
	if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)deliver) < 0 && errno != ESRCH)
		fail("ptrace: %s", strerror(errno));
	return false;
}

/* Returns when the program and all that it has started are gone, so that the next program does not meet them. */
static void end_all(const struct tracer *tracer)
{
	int status;
	pid_t pid;

	kill(tracer->program, SIGKILL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || (errno == EINTR && !too_late))
		if (pid > 0 && WIFSTOPPED(status))
			kill(pid, SIGKILL);
	if (too_late)
		fail("the program did not end within the limit");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct tracer tracer = { 0 };
	unsigned long limit = 60;
	int at = 1;

	if (argc > 2 && !strcmp(argv[1], "--limit")) {
		char *end;

		limit = strtoul(argv[2], &end, 10);
		at = *end || !limit || limit > 86400 ? argc : 3;
	}
	if (at >= argc || argv[at][0] == '-') {
		fputs("usage: tillrun [--limit SECONDS] PROGRAM [ARG]...\n", stderr);
		return 2;
	}
	sigaction(SIGALRM, &action, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	tracer.program = start(argv + at);
	alarm((unsigned int)limit);
	while (!step(&tracer))
		;
	end_all(&tracer);
	printf("syscalls=%" PRIu64 "\n", tracer.syscalls);
	return 0;
}
