/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far something is that takes a while, in one line on standard error: only if that is a terminal, and if warnings are logged.
 * The line changes at most ten times a second and is gone at the end. Main thread, one at a time, no log lines meanwhile.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "taking 16384 MiB of memory"; borrowed */
	uint64_t total;   /* not 0 */
	uint64_t shown_ns;
	bool visible; /* there is somebody to see it */
	bool drawn;   /* there is something to erase */
};

void progress_begin(struct progress *progress, const char *what, uint64_t total);
/* `done` of the total, so far. */
void progress_update(struct progress *progress, uint64_t done);
void progress_end(struct progress *progress);

#endif
