/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that can be made again; see cache.h. */
#include "core/placement/cache.h"

#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define NAME_BYTES  128
#define COPY_BYTES  (UINT64_C(64) << 20) /* in one call */
#define OTHERS_MAY  (S_IWGRP | S_IWOTH)
#define FILE_MODE   S_IRUSR
#define FOLDER_MODE S_IRWXU

/* ---- the folder ---- */

/* Makes a folder and those that it is in. `path` is cut for a moment, and whole again afterwards. */
static int make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = 0;
		r = mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;
		*slash = '/';
		if (r < 0)
			return r;
	}
	return mkdir(path, FOLDER_MODE) < 0 && errno != EEXIST ? -errno : 0;
}

/* A folder of ours, at BASE/BETWEEN/NAME. */
static int open_folder(const char *base, const char *between, const char *name, struct err *err)
{
	FD_AUTO int fd = -1;
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (snprintf(path, sizeof(path), "%s%s/%s", base, between, name) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "the path of the cache is too long");
	r = make_folders(path);
	if (r < 0)
		return err_sys(err, r, "cannot make \"%s\"", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open \"%s\"", path);
	if (st.st_uid != geteuid() || (st.st_mode & OTHERS_MAY))
		return err_set(err, -EPERM, "\"%s\" is not trusted: others can write to it", path);
	return fd_take(&fd);
}

int cache_open(const char *name, struct err *err)
{
	/* A program with raised privileges does not let its caller choose. */
	const char *own = secure_getenv("BACKPLANE_CACHE");
	const char *xdg = secure_getenv("XDG_CACHE_HOME");
	const char *home = secure_getenv("HOME");
	bool has_home = home && *home == '/';

	if (own && *own)
		return open_folder(own, "", name, err);
	if (xdg && *xdg == '/')
		return open_folder(xdg, "/backplane", name, err);
	if (geteuid() == 0) {
		int fd = open_folder("/var/cache", "/backplane", name, err);

		if (fd >= 0 || !has_home)
			return fd;
	}
	if (!has_home)
		return err_set(err, -ENOENT, "there is no home folder");
	return open_folder(home, "/.cache/backplane", name, err);
}

/* ---- files ---- */

int cache_get(int dir_fd, const char *name, uint64_t bytes, struct err *err)
{
	/* O_NONBLOCK: it might be a FIFO. */
	FD_AUTO int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open \"%s\"", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EPERM, "\"%s\" is not a regular file", name);
	if (st.st_uid != geteuid() || (st.st_mode & OTHERS_MAY))
		return err_set(err, -EPERM, "\"%s\" is not trusted: others can write to it", name);
	if ((uint64_t)st.st_size != bytes)
		return err_set(err, -EPERM, "\"%s\" does not have the right size", name);
	return fd_take(&fd);
}

/* All of it on the disk, or -errno. */
static int copy(int to, int from, uint64_t bytes)
{
	off_t offset = 0;

	while ((uint64_t)offset < bytes) {
		uint64_t rest = bytes - (uint64_t)offset;
		ssize_t done = sendfile(to, from, &offset, rest < COPY_BYTES ? rest : COPY_BYTES);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (!done)
			return -EIO;
	}
	return fchmod(to, FILE_MODE) < 0 || fsync(to) < 0 ? -errno : 0;
}

/* Without a name until it is complete: whatever happens before, the file vanishes. -EOPNOTSUPP where the file system cannot. */
static int put_unnamed(int dir_fd, const char *name, int from, uint64_t bytes)
{
	FD_AUTO int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, FILE_MODE);
	char path[32];
	int r;

	if (fd < 0)
		return errno == EISDIR || errno == ENOENT ? -EOPNOTSUPP : -errno;
	r = copy(fd, from, bytes);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST ? -errno : 0;
}

/* Whether the file behind `fd` is still called `name`. */
static bool has_name(int fd, int dir_fd, const char *name)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

/*
 * With a name that says that it is not complete, and a lock. What a killed process leaves is taken over by the next one.
 * Two processes, A and B: both open the file, A gets the lock, B goes away. Or B opens it, A renames it and unlocks, B gets the
 * lock: then the file has its final name, which B must not touch, and B sees that the name that it opened is gone.
 */
static int put_named(int dir_fd, const char *name, int from, uint64_t bytes)
{
	FD_AUTO int fd = -1;
	char part[NAME_BYTES];
	int r;

	snprintf(part, sizeof(part), ".%s.part", name);
	/* It may be there, read-only, from one that was killed just before the end. */
	fd = openat(dir_fd, part, O_CREAT | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (!has_name(fd, dir_fd, part))
		return -EAGAIN;
	r = fchmod(fd, S_IRUSR | S_IWUSR) < 0 ? -errno : 0;
	if (r == 0) {
		FD_AUTO int out = openat(dir_fd, part, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		r = out < 0 ? -errno : copy(out, from, bytes);
	}
	if (r == 0 && renameat(dir_fd, part, dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir_fd, part, 0);
	return r;
}

int cache_put(int dir_fd, const char *name, int fd, uint64_t bytes, struct err *err)
{
	struct err reason;
	int r = cache_get(dir_fd, name, bytes, &reason);

	if (r >= 0) {
		close(r);
		return 0;
	}
	/* One that cannot be trusted goes; if another process has put a good one there just now, it is made once more. */
	if (r != -ENOENT && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, -errno, "cannot remove \"%s\"", name);
	r = put_unnamed(dir_fd, name, fd, bytes);
	if (r == -EOPNOTSUPP)
		r = put_named(dir_fd, name, fd, bytes);
	return r < 0 && r != -EAGAIN ? err_sys(err, r, "cannot write \"%s\"", name) : r;
}
