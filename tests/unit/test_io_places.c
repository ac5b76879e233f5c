/* SPDX-License-Identifier: BSD-3-Clause */
/* The io engines where not every user can bring them: on a file system that is full, and on a block device. */
#include "tests/unit/io_fixture.h"

#include <linux/loop.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define SKIPPED 77

static uint8_t wrote[MIB];
static uint8_t got[MIB];

/* ---- no space ---- */

/* A file on a file system of 256 KiB that only this process sees; -1 where that is not permitted. */
static int file_on_small_fs(void)
{
	if (geteuid() && unshare(CLONE_NEWUSER) < 0)
		return -1;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "size=256k") < 0)
		return -1;
	return open("/tmp/file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int fill_up(struct io_user *user)
{
	int fd = file_on_small_fs();

	if (fd < 0)
		return SKIPPED;
	MUST(io_user_open(user, fd) == 0);
	memset(wrote, 0x77, sizeof(wrote));
	MUST(io_rw(user, IO_WRITEV, wrote, 128 * KIB, 0) == 128 * KIB);
	MUST(io_rw(user, IO_WRITEV, wrote, MIB, 0) == -ENOSPC);
	MUST(io_rw(user, IO_WRITEV, wrote, 4 * KIB, MIB) == -ENOSPC);
	MUST(io_range(user, IO_WRITE_ZEROES, 0, MIB, 64 * KIB) == -ENOSPC);
	/* What is there can still be used, and space that is given back. */
	MUST(io_rw(user, IO_WRITEV, wrote, 64 * KIB, 64 * KIB) == 64 * KIB);
	MUST(io_rw(user, IO_READV, got, 128 * KIB, 0) == 128 * KIB);
	MUST(memcmp(got, wrote, 128 * KIB) == 0);
	MUST(io_range(user, IO_DISCARD, 0, 0, 64 * KIB) == 0);
	MUST(io_rw(user, IO_WRITEV, wrote, 32 * KIB, MIB) == 32 * KIB);
	MUST(io_range(user, IO_FLUSH, 0, 0, 0) == 0);
	io_engine_free(user->engine);
	return 0;
}

static void no_space(void **state)
{
	struct io_user *user = *state;
	pid_t child;
	int status;

	io_engine_free(user->engine);
	user->engine = NULL;
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(fill_up(user));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- a block device ---- */

/* One that has the user's file behind it and ends with its descriptor; -1 where that is not permitted. */
static int loop_device(const struct io_user *user)
{
	FD_AUTO int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	/* Somebody else may be faster. */
	for (int i = 0; control >= 0 && i < 20; i++) {
		struct loop_config config = { .fd = (uint32_t)user->fd,
					      .block_size = 512,
					      .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		char path[32];
		FD_AUTO int fd = -1;

		snprintf(path, sizeof(path), "/dev/loop%d", number);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return fd_take(&fd);
	}
	return -1;
}

static void check_range(struct io_user *user, int value, size_t offset, size_t bytes)
{
	memset(wrote + offset, value, bytes);
	assert_int_equal(io_rw(user, IO_READV, got, MIB, 0), MIB);
	assert_memory_equal(got, wrote, MIB);
}

static void block_device(void **state)
{
	struct io_user *user = *state;
	struct io_request flush = { .op = IO_FLUSH };
	int device;

	assert_int_equal(ftruncate(user->fd, MIB), 0);
	device = loop_device(user);
	if (device < 0)
		skip();
	io_engine_free(user->engine);
	user->engine = NULL;
	close(user->fd);
	user->fd = device;
	assert_int_equal(io_user_open(user, device), 0);
	memset(wrote, 0x77, sizeof(wrote));
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, MIB, 0), MIB);
	check_range(user, 0x77, 0, 0);
	assert_int_equal(io_user_run(user, &flush), 0);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 64 * KIB, 128 * KIB), 0);
	check_range(user, 0, 64 * KIB, 128 * KIB);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 256 * KIB, 100 * KIB), 0);
	check_range(user, 0, 256 * KIB, 100 * KIB);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, IO_MAY_UNMAP, 512 * KIB, 100 * KIB), 0);
	check_range(user, 0, 512 * KIB, 100 * KIB);
	/* The device's end. */
	assert_int_equal(io_rw(user, IO_READV, got, 64 * KIB, MIB - 4 * KIB), 4 * KIB);
	assert_int_equal(io_rw(user, IO_READV, got, 4 * KIB, MIB), 0);
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, 8 * KIB, MIB - 4 * KIB), -ENOSPC);
	assert_int_equal(io_range(user, IO_DISCARD, 0, MIB - 4 * KIB, 8 * KIB), -EINVAL);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 3, 512), -EINVAL);
	/* Discards among other requests, all at once. */
	for (size_t i = 0; i < DEPTH; i++) {
		user->iov[i] = (struct iovec){ .iov_base = wrote + i * 4096, .iov_len = 4096 };
		user->requests[i] =
		    (struct io_request){ .op = IO_WRITEV, .offset = i * 4096, .iov = &user->iov[i], .iov_count = 1 };
		memset(wrote + i * 4096, (int)i | 1, 4096);
		if (i % 3 == 0) {
			user->requests[i] = (struct io_request){ .op = IO_DISCARD, .offset = i * 4096, .bytes = 4096 };
			memset(wrote + i * 4096, 0, 4096);
		}
		assert_int_equal(io_engine_queue(user->engine, &user->requests[i]), 0);
	}
	io_engine_submit(user->engine);
	while (io_engine_in_flight(user->engine))
		io_user_wait(user);
	for (size_t i = 0; i < DEPTH; i++) {
		assert_int_equal(user->calls[i], 1);
		assert_int_equal(user->requests[i].result, i % 3 ? 4096 : 0);
	}
	check_range(user, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_KIND(no_space),
		EACH_KIND(block_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
