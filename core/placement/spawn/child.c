/* SPDX-License-Identifier: BSD-3-Clause */
/* A new plugin process on its way to device-host; see child.h. A step more is a function here and its line in the table. */
#include "core/placement/spawn/child.h"

#include "core/base/fd.h"
#include "core/placement/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* First all above the numbers that they go to, where none is in another's way; then each to its own, and everything
 * else is closed: the spawner's socket, its pidfds of the others, the pipe's other end. */
static int place_fds(struct child *child)
{
	int status = fcntl(child->status_fd, F_DUPFD_CLOEXEC, CHILD_STATUS_FD + 1);
	int moved[SPAWN_FDS];

	if (status < 0)
		return -errno;
	child->status_fd = status;
	for (int i = 0; i < SPAWN_FDS; i++) {
		moved[i] = fcntl(child->fds[i], F_DUPFD_CLOEXEC, CHILD_STATUS_FD + 1);
		if (moved[i] < 0)
			return -errno;
	}
	for (int i = 0; i < SPAWN_FDS; i++)
		if (dup2(moved[i], STDERR_FILENO + i) < 0)
			return -errno;
	if (dup3(status, CHILD_STATUS_FD, O_CLOEXEC) < 0)
		return -errno;
	child->status_fd = CHILD_STATUS_FD;
	return close_range(CHILD_STATUS_FD + 1, UINT_MAX, 0) < 0 ? -errno : 0;
}

/* The spawner may have ended before it was asked for the signal of its end. Then our parent is another one, and nobody
 * reads the pipe. */
static int follow_parent(struct child *child)
{
	struct pollfd pipe = { .fd = child->status_fd };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	if (getppid() != child->parent)
		return -ESRCH;
	if (poll(&pipe, 1, 0) < 0)
		return -errno;
	return pipe.revents & POLLERR ? -ESRCH : 0;
}

static int new_session(struct child *child)
{
	(void)child;
	return setsid() < 0 ? -errno : 0;
}

/* As many as a plugin may wait for, and as many again as it may have besides. */
#define CHILD_FDS 8192

static int set_limits(struct child *child)
{
	const struct rlimit none = { 0 };

	(void)child;
	umask(077);
	fd_raise_limit(CHILD_FDS);
	/* A core dump would have guest memory in it. */
	return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

static int execute(struct child *child)
{
	char name[] = "backplane-device-host";
	char *arguments[] = { name, NULL };
	char *environment[PROGRAM_ENVIRONMENT];

	program_environment(environment);
	execve(child->path, arguments, environment);
	return -errno;
}

typedef int step_fn(struct child *child);

static step_fn *const steps[] = {
	[SPAWN_STEP_FDS] = place_fds,     [SPAWN_STEP_PARENT] = follow_parent, [SPAWN_STEP_SESSION] = new_session,
	[SPAWN_STEP_LIMITS] = set_limits, [SPAWN_STEP_EXEC] = execute,
};
static_assert(sizeof(steps) / sizeof(steps[0]) == SPAWN_STEPS, "each step has a function");

void child_run(const struct child *child)
{
	struct child own = *child;

	for (uint32_t step = SPAWN_STEP_CLONE + 1; step < SPAWN_STEPS; step++) {
		struct child_failure failure = { .error = steps[step](&own), .step = step };

		/* If it cannot be told, then the spawner is no more. */
		if (failure.error < 0)
			_exit(write(own.status_fd, &failure, sizeof(failure)) == (ssize_t)sizeof(failure) ? 1 : 2);
	}
	_exit(2);
}
