/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core's end of the spawner (spawn/spawn.h): starts it, and has plugin processes made. To be made while this process is
 * single-threaded and has neither KVM nor guest memory. Main thread.
 */
#ifndef PLACEMENT_SPAWNER_H
#define PLACEMENT_SPAWNER_H

#include "core/base/err.h"
#include "core/placement/spawn/spawn.h"

#include <stdbool.h>

struct spawner;

/* How a process has ended. */
struct spawn_ended {
	uint64_t token;
	int code, status; /* of waitid(): CLD_EXITED ... */
};

/* Execs the spawner and shakes hands. -errno with one line. */
int spawner_new(struct spawner **ret, struct err *err);
/* Ends it and with it all processes; returns when they are gone. NULL is fine. */
void spawner_free(struct spawner *spawner);

/* One device-host with these descriptors (SPAWN_FDS of them, borrowed). `token` is not 0, and of no process whose end
 * has not been taken from spawner_next(). *ret_pidfd is the caller's. Waits a bounded time. -errno with one line;
 * -ECONNRESET as of spawner_next(). */
int spawner_start(struct spawner *spawner, uint64_t token, const int fds[static SPAWN_FDS], int *ret_pid,
		  int *ret_pidfd, struct err *err);

/* Readable when spawner_next() has something to tell; lives as long as the spawner. */
int spawner_fd(const struct spawner *spawner);
/* The next process that has ended. 1; 0 if there is none now; -ECONNRESET if the spawner has gone, talks nonsense or
 * has not answered in time, from then on. */
int spawner_next(struct spawner *spawner, struct spawn_ended *ret);

/* Where a program of ours is that users do not call: beside a program that was not installed
 * ("core/placement/spawn/spawner"), or in pkglibexecdir, of the same root (DESTDIR) if it is there. */
void spawner_find_program(const char *build_path, const char *name, char path[static 4096]);

#endif
