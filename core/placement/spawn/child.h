/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a new plugin process does between clone and exec, step by step (enum spawn_step). It is a copy of the spawner,
 * which has no other threads, but does system calls only.
 */
#ifndef PLACEMENT_SPAWN_CHILD_H
#define PLACEMENT_SPAWN_CHILD_H

#include "core/placement/spawn/spawn.h"

#include <sys/types.h>

/* Where the descriptor that tells of a failure is, once the step of descriptors is done: above all that the program gets. */
#define CHILD_STATUS_FD (2 + SPAWN_FDS)

struct child {
	const char *path; /* of device-host */
	pid_t parent;     /* what getppid() has to say */
	int status_fd; /* a pipe's end, close-on-exec; takes a struct child_failure. Its other end is the spawner's alone */
	int fds[SPAWN_FDS];
};

/* Nothing comes if the program has been executed: the pipe ends. */
struct child_failure {
	int32_t error; /* -errno */
	uint32_t step;
};

/* 0 and 1 are /dev/null already, as the spawner's. */
void child_run(const struct child *child) __attribute__((noreturn));

#endif
