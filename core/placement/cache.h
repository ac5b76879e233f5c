/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that can be made again, kept from one run to the next. Main thread; any number of processes use the same folder at once.
 *
 * Where: $BACKPLANE_CACHE; else $XDG_CACHE_HOME/backplane; else, for root, /var/cache/backplane; else ~/.cache/backplane. It may
 * be removed at any time.
 *
 * What is trusted: a file's name says what it was made from, and its content is believed as it is, without being hashed again.
 * So it must be as safe as the program's own files are: folder and file belong to us and nobody else can write to them, the file
 * is a regular one of the expected size. Whoever can write there with our rights could change the configuration as well.
 * A file gets its name only when all of it is on the disk, by one atomic step, so no reader ever sees a part.
 */
#ifndef PLACEMENT_CACHE_H
#define PLACEMENT_CACHE_H

#include "core/base/err.h"

#include <stdint.h>

/* The folder `name` in the cache, made if it is missing. A descriptor that the caller closes; -errno with a message: it cannot be
 * had, or cannot be trusted. */
int cache_open(const char *name, struct err *err);

/* A file of that folder, open for reading, which the caller closes. -ENOENT without a message; or another -errno with a message,
 * if it cannot be read or trusted. */
int cache_get(int dir_fd, const char *name, uint64_t bytes, struct err *err);

/* Puts a copy of the `bytes` of `fd`, a regular or anonymous file, there, in place of one that cannot be trusted. 0, also if
 * another process was faster; -EAGAIN without a message if one is about to; or -errno with a message, and nothing is left. */
int cache_put(int dir_fd, const char *name, int fd, uint64_t bytes, struct err *err);

#endif
