/* SPDX-License-Identifier: BSD-3-Clause */
/* File descriptors: scope-bound closing, and the few kinds that the core makes itself. Any thread. */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

static inline void fd_cleanup(const int *fd)
{
	fd_close(*fd);
}

static inline void free_cleanup(void *pointer)
{
	free(*(void **)pointer);
}

/* Locals that release what they hold when the scope ends; fd_take() and take() hand it on. */
#define FD_AUTO   __attribute__((cleanup(fd_cleanup)))
#define FREE_AUTO __attribute__((cleanup(free_cleanup)))

static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take(pointer)                                       \
	({                                                  \
		__typeof__(*(pointer)) taken_ = *(pointer); \
		*(pointer) = NULL;                          \
		taken_;                                     \
	})

/* An anonymous file of `bytes`, sealed against growing, shrinking and more seals. The fd, or -errno. */
int fd_memfd(const char *name, uint64_t bytes);

/* The same of huge pages of 2 MiB, of which `bytes` is a multiple. They are set aside when it is mapped, not before. */
int fd_memfd_huge(const char *name, uint64_t bytes);

/* Lets this process have so many descriptors, or as many as it may: the limit that one begins with is for programs that use select(), and a
 * device has a dozen or more. If that fails, whoever has too few will say so. */
void fd_raise_limit(uint64_t count);

/* An eventfd, non-blocking and close-on-exec. The fd, or -errno. */
int fd_event(void);
/* Adds 1; wakes whoever waits. Never blocks, unless another process has the same eventfd and means it to. */
void fd_event_signal(int fd);
/* Takes what has been added; 0 if nothing. Never blocks, whatever a process that has the same eventfd does to it. */
uint64_t fd_event_clear(int fd);

#endif
