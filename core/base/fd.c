/* SPDX-License-Identifier: BSD-3-Clause */
/* File descriptors; see fd.h. */
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

static int make_memfd(const char *name, uint64_t bytes, unsigned int flags)
{
	FD_AUTO int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return -errno;
	if (bytes > INT64_MAX)
		return -EFBIG;
	if (ftruncate(fd, (off_t)bytes) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return fd_take(&fd);
}

int fd_memfd(const char *name, uint64_t bytes)
{
	return make_memfd(name, bytes, 0);
}

int fd_memfd_huge(const char *name, uint64_t bytes)
{
	return make_memfd(name, bytes, MFD_HUGETLB | MFD_HUGE_2MB);
}

void fd_raise_limit(uint64_t count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (count > limit.rlim_max)
		count = limit.rlim_max;
	if (limit.rlim_cur >= count)
		return;
	limit.rlim_cur = count;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int fd_event(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void fd_event_signal(int fd)
{
	uint64_t one = 1;

	/* It can fail only when the counter is full, and then the reader has been woken already. */
	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

uint64_t fd_event_clear(int fd)
{
	uint64_t count;
	struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };
	/* Another process that has it may have taken O_NONBLOCK away. Where timers, which are read here, too, do not know this nobody has. */
	ssize_t got = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (got < 0 && errno == EOPNOTSUPP)
		got = read(fd, &count, sizeof(count));
	return got == (ssize_t)sizeof(count) ? count : 0;
}
