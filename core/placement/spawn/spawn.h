/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core and the spawner say to each other, on a SOCK_SEQPACKET that is the spawner's descriptor 3. Fixed
 * messages, each side's of one length. The spawner (main.c) is single-threaded, has an empty environment, and is the
 * parent of every plugin process.
 *
 *   core                                                         spawner
 *   -                                                            READY, once, before anything else
 *   START, with the WIRE_FD_COUNT - 2 descriptors                STARTED with pid and a pidfd; or STARTED with error < 0, pid 0
 *     that go to numbers 2 to WIRE_FD_COUNT - 1
 *   -                                                            ENDED for each process that has ended, with waitid()'s code and status
 *   closes its end, or dies                                      kills all of them, waits for them, exits with 0
 *   anything else                                                the same, but exits with 1
 *
 * Fail-stop: the spawner has PDEATHSIG SIGKILL to the core's main thread, and each plugin process to the spawner; each
 * looks after setting it whether the parent is still the one it was started by, by its socket (a plugin process: by a
 * pipe) and by getppid().
 */
#ifndef PLACEMENT_SPAWN_H
#define PLACEMENT_SPAWN_H

#include <assert.h>
#include <stdint.h>

#define SPAWN_VERSION       1u
#define SPAWN_FD            3
#define SPAWN_FDS           4 /* stderr, control, access, vhost */
#define SPAWN_PROCESSES_MAX 256

enum spawn_op { SPAWN_START = 1, SPAWN_STARTED, SPAWN_ENDED, SPAWN_READY };

/* On the way to a process that runs; in order. */
enum spawn_step {
	SPAWN_STEP_CLONE, /* the spawner's; all others are the new process's (child.c) */
	SPAWN_STEP_FDS,
	SPAWN_STEP_PARENT,
	SPAWN_STEP_SESSION,
	SPAWN_STEP_LIMITS,
	SPAWN_STEP_EXEC,
	SPAWN_STEPS
};

struct spawn_request {
	uint32_t version;
	uint32_t op;    /* SPAWN_START */
	uint64_t token; /* the core's name for the process; not 0, and of no other process that has not ended */
};

struct spawn_answer {
	uint32_t version;
	uint32_t op;    /* SPAWN_READY, SPAWN_STARTED, SPAWN_ENDED */
	uint64_t token; /* READY: 0 */
	int32_t error;  /* STARTED: 0 or -errno; -EAGAIN if there are SPAWN_PROCESSES_MAX */
	int32_t pid;    /* STARTED */
	/* ENDED: CLD_EXITED, CLD_KILLED, CLD_DUMPED and what goes with it. STARTED with an error: the step that failed, 0. */
	int32_t code, status;
};
static_assert(sizeof(struct spawn_request) == 16 && sizeof(struct spawn_answer) == 32, "wire");

#endif
