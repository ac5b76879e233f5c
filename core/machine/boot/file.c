/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that a guest is loaded from. Opening never blocks, whatever the path names (a FIFO, a
 * terminal), and every read is checked against the size that the file had when it was opened and
 * again against what is really there. Main thread.
 */
#include "core/machine/boot/image.h"

#include "core/base/checked.h"
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "something else";
	}
}

int boot_file_open(int dir_fd, const char *path, struct boot_file *ret, struct err *err)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_sys(err, -errno, "cannot open \"%s\"", path);
	return boot_file_take(fd, path, ret, err);
}

int boot_file_take(int open_fd, const char *path, struct boot_file *ret, struct err *err)
{
	FREE_AUTO char *name = strdup(path);
	FD_AUTO int fd = open_fd;
	struct stat st;

	if (!name)
		return err_set(err, -ENOMEM, "out of memory");
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot examine \"%s\"", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "\"%s\" is %s, not a regular file", path, type_name(st.st_mode));
	if (st.st_size <= 0)
		return err_set(err, -EINVAL, "\"%s\" is empty", path);

	ret->bytes = (uint64_t)st.st_size;
	ret->fd = fd_take(&fd);
	ret->name = take(&name);
	return 0;
}

void boot_file_close(struct boot_file *file)
{
	fd_close(file->fd);
	file->fd = -1;
	free(file->name);
	file->name = NULL;
}

int boot_file_check(const struct boot_file *file, uint64_t offset, uint64_t bytes, const char *what, struct err *err)
{
	uint64_t end;

	if (range_within(offset, bytes, file->bytes))
		return 0;
	if (__builtin_add_overflow(offset, bytes, &end))
		end = UINT64_MAX;
	return err_set(err, -ENOEXEC, "\"%s\" is truncated: %s at byte %" PRIu64 ", the file at byte %" PRIu64,
		       file->name, what, end, file->bytes);
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t bytes, struct err *err)
{
	uint8_t *at = buf;
	uint64_t end;

	if (__builtin_add_overflow(offset, bytes, &end) || end > INT64_MAX)
		return err_set(err, -ENOEXEC, "\"%s\" has no byte %" PRIu64, file->name, offset);
	while (offset < end) {
		/* One call copies as much as the system allows, close to 2 GiB. */
		ssize_t done = pread(file->fd, at, end - offset, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_sys(err, -errno, "cannot read \"%s\"", file->name);
		if (!done)
			return err_set(err, -ENOEXEC,
				       "\"%s\" is truncated: it ended at byte %" PRIu64
				       " while it was read, it had %" PRIu64 " bytes before",
				       file->name, offset, file->bytes);
		at += done;
		offset += (uint64_t)done;
	}
	return 0;
}

int boot_file_place(const struct boot_file *file, uint64_t offset, const struct gmem *mem, uint64_t gpa, uint64_t bytes,
		    struct err *err)
{
	void *dst;

	if (!bytes)
		return 0;
	dst = gmem_slice(mem, gpa, bytes);
	if (!dst)
		return err_set(err, -EFAULT, "\"%s\" does not fit: no RAM at 0x%" PRIx64 " for %" PRIu64 " bytes",
			       file->name, gpa, bytes);
	gmem_expect(mem, gpa, bytes);
	return boot_file_read(file, offset, dst, bytes, err);
}
