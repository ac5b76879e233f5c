/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starts a program with nothing but the descriptors that it needs: no environment, default signals, none of them
 * blocked. Main thread.
 */
#ifndef PLACEMENT_PROGRAM_H
#define PLACEMENT_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAM_FDS_MAX     4
/* Entries of an environment, with the NULL at its end. */
#define PROGRAM_ENVIRONMENT 5

struct program {
	const char *path;
	const char *name; /* its argv[0] */
	/* All that it is given, the name too, with a NULL at the end; borrowed. NULL: the name alone. */
	char *const *arguments;
	size_t count;
	/* Borrowed; they go to the numbers 0 to `count` - 1. Each has that number already, or is none of these. */
	int fds[PROGRAM_FDS_MAX];
	bool session; /* in one of its own, so that what a terminal sends to our process group does not reach it */
};

/* 0 or -errno, also if it cannot be executed. The process is the caller's to wait for. */
int program_start(const struct program *program, pid_t *ret);

/* The environment of every program of ours: empty; but one with sanitizers gets what they are told. The strings are ours. */
void program_environment(char *ret[static PROGRAM_ENVIRONMENT]);

#endif
