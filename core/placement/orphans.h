/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that put themselves into the background: the process that was started ends, and its child goes on, without a parent.
 * While such a program starts, this process is the one that orphans among its descendants go to, so that it has them as its children:
 * it can wait for them, and none stays behind as a zombie. Main thread.
 */
#ifndef PLACEMENT_ORPHANS_H
#define PLACEMENT_ORPHANS_H

#include <stddef.h>
#include <sys/types.h>

#define ORPHANS_MAX 64 /* children of this process that are looked at */

struct orphans {
	int was_reaper; /* whether orphans came to this process before */
	size_t count;
	pid_t before[ORPHANS_MAX]; /* children that there were */
};

/* From here on orphans come to this process. */
void orphans_begin(struct orphans *orphans);

/* Until here: which children, zombies too, this process has now and had not before, and are called `name` or `name` with something behind
 * it; at most `max`. How many. None where there is no /proc. */
size_t orphans_end(const struct orphans *orphans, const char *name, pid_t *ret, size_t max);

#endif
