/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * passt(1): a network without privileges, by a process of its own. It is told its connection by a descriptor and ends when that is
 * closed on our side: its end is that of whoever has our descriptor, a device or its plugin's process, however that ends.
 * It puts itself into the background and into a sandbox; it is a child of this process all the same. Main thread.
 */
#ifndef PLACEMENT_PASST_H
#define PLACEMENT_PASST_H

#include "core/base/err.h"

#include <stdbool.h>

/* Those that this process has started. All zero at first; ended by passts_end(). */
struct passt;
struct passts {
	bool open;
	int epoll_fd; /* of all pidfds, if it is open */
	struct passt *first;
};

/* Where it is on PATH. 0, or -ENOENT. */
int passt_find(char ret_path[static 4096]);

/* Starts one with these options, which core/config has let through (NULL: none), and returns once it serves. Its words on the
 * way are in the log as those of `path`. Our end in *ret_fd, non-blocking. -errno with what it said last. */
int passt_start(struct passts *passts, const char *options, const char *path, int *ret_fd, struct err *err);

/* Readable when passts_mind() has something to do; -1 as long as none has been started. Valid until passts_end(). */
int passts_fd(const struct passts *passts);

/* Sees to those that have ended, and tells of it. */
void passts_mind(struct passts *passts);

/* Nobody has our descriptors any more: waits, a bounded time, until all have ended. */
void passts_end(struct passts *passts);

#endif
