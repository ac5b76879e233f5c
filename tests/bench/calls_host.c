/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linked into a device-host of the bench, together with calls.c: has calls counted in the file that lies beside the
 * program and is called "calls", which native-x1 has made and reads. A plugin's process gets no environment and no
 * descriptor that could say where.
 */
#include "tests/bench/calls.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void)
{
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("calls"));
	char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
	struct stat info;
	void *page;
	int fd;

	if (!slash)
		return;
	memcpy(slash + 1, "calls", sizeof("calls"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &info) == 0 && info.st_size >= (off_t)sizeof(struct calls)) {
		page = mmap(NULL, sizeof(struct calls), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (page != MAP_FAILED)
			calls_count_in(page);
	}
	close(fd);
}
