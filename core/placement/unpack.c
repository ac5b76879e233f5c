/* SPDX-License-Identifier: BSD-3-Clause */
/* An ELF kernel from a bzImage; see unpack.h. */
#include "core/placement/unpack.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/placement/cache.h"
#include "core/placement/program.h"
#include "core/placement/spawner.h"
#include "core/unpack/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CACHE_FOLDER "unpacked"
/* Behind the hash in a file's name. It changes when the unpacker makes something else of the same bzImage. */
#define CACHE_FORMAT "-1"
#define HASH_CHARS   64
#define LINE_BYTES   (ERR_TEXT_MAX + 16)

struct unpacker {
	pid_t pid;
	int report; /* our end */
	char hash[HASH_CHARS + 1];
};

/* ---- the headers ---- */

static int read_fd(void *ctx, uint64_t offset, void *buf, size_t bytes, struct err *err)
{
	ssize_t done = pread(*(const int *)ctx, buf, bytes, (off_t)offset);

	if (done < 0)
		return err_sys(err, -errno, "cannot read it");
	return done == (ssize_t)bytes ? 0 : err_set(err, -ENOEXEC, "it became shorter while it was read");
}

static int find_payload(int fd, struct payload *ret, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot examine it");
	return payload_find(read_fd, &fd, (uint64_t)st.st_size, ret, err);
}

int unpack_check(int fd, struct err *err)
{
	struct payload payload = { 0 };

	return find_payload(fd, &payload, err);
}

/* ---- the process ---- */

/* Starts it. Its descriptors are put out of the way of 0 to 2, where it wants them. */
static int start(struct unpacker *unpacker, int kernel_fd, int output_fd, struct err *err)
{
	FD_AUTO int kernel = fcntl(kernel_fd, F_DUPFD_CLOEXEC, 3);
	FD_AUTO int output = fcntl(output_fd, F_DUPFD_CLOEXEC, 3);
	FD_AUTO int ours = -1, theirs = -1;
	struct program program = { .name = "backplane-unpack", .count = 3 };
	char path[PATH_MAX];
	int pair[2];
	int r;

	if (kernel < 0 || output < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, -errno, "cannot start the unpacker");
	ours = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, 3);
	close(pair[1]);
	if (theirs < 0)
		return err_sys(err, -errno, "cannot start the unpacker");
	spawner_find_program("core/unpack/unpack", "unpack", path);
	program.path = path;
	program.fds[0] = kernel;
	program.fds[1] = output;
	program.fds[2] = theirs;
	r = program_start(&program, &unpacker->pid);
	if (r < 0)
		return err_sys(err, r, "cannot start \"%s\"", path);
	unpacker->report = fd_take(&ours);
	return 0;
}

/* A line of its report, without the newline. False at its end, or if the line is too long. */
static bool read_line(const struct unpacker *unpacker, char line[static LINE_BYTES])
{
	for (size_t used = 0; used < LINE_BYTES; used++) {
		ssize_t got;

		do
			got = read(unpacker->report, line + used, 1);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return false;
		if (line[used] == '\n') {
			line[used] = 0;
			return true;
		}
	}
	return false;
}

/* Hangs up, which ends it if it has not ended yet, and waits. Its wait status, or -1. */
static int finish(struct unpacker *unpacker)
{
	int status;
	pid_t done;

	fd_close(unpacker->report);
	unpacker->report = -1;
	do
		done = waitpid(unpacker->pid, &status, 0);
	while (done < 0 && errno == EINTR);
	return done == unpacker->pid ? status : -1;
}

/* Why it did not do what it should, once its report has ended or said "error". */
static int explain(struct unpacker *unpacker, const char *line, struct err *err)
{
	int status = finish(unpacker);

	if (line && !strncmp(line, "error ", 6))
		return err_set(err, -ENOEXEC, "%s", line + 6);
	if (line)
		return err_set(err, -EPROTO, "the unpacker said something unexpected");
	if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		return err_set(err, -ETIME, "the unpacker took too long");
	if (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return err_set(err, -EPERM, "the unpacker was killed: it tried what it may not do");
	if (status >= 0 && WIFSIGNALED(status))
		return err_set(err, -EIO, "the unpacker was ended by signal %d (%s)", WTERMSIG(status),
			       strsignal(WTERMSIG(status)));
	return err_set(err, -EIO, "the unpacker ended without a result");
}

/* Takes the hash out of its first line. It becomes a file's name, so nothing else may be in it. */
static int read_hash(struct unpacker *unpacker, struct err *err)
{
	char line[LINE_BYTES];
	bool read = read_line(unpacker, line);

	if (!read || strncmp(line, "sha256 ", 7) != 0 || strlen(line + 7) != HASH_CHARS ||
	    strspn(line + 7, "0123456789abcdef") != HASH_CHARS)
		return explain(unpacker, read ? line : NULL, err);
	memcpy(unpacker->hash, line + 7, HASH_CHARS + 1);
	return 0;
}

static int read_result(struct unpacker *unpacker, struct err *err)
{
	char line[LINE_BYTES];
	bool read;
	int status;

	if (send(unpacker->report, "g", 1, MSG_NOSIGNAL) < 0)
		return explain(unpacker, NULL, err);
	read = read_line(unpacker, line);
	if (!read || strcmp(line, "done") != 0)
		return explain(unpacker, read ? line : NULL, err);
	status = finish(unpacker);
	if (status != 0)
		return err_set(err, -EIO, "the unpacker failed after its work");
	return 0;
}

/* ---- the cache ---- */

/* The kernel as it is in the cache, or in `fd`, which is taken over, if it cannot be put there. */
static int keep(int dir_fd, const char *name, int fd, uint64_t bytes)
{
	struct err err = ERR_NONE;
	int cached = -1;
	int r;

	if (dir_fd < 0)
		return fd;
	r = cache_put(dir_fd, name, fd, bytes, &err);
	if (r < 0 && r != -EAGAIN)
		log_info("the unpacked kernel is not kept: %s", err.text);
	if (r == 0)
		cached = cache_get(dir_fd, name, bytes, &err);
	if (cached < 0)
		return fd;
	close(fd);
	return cached;
}

int unpack_kernel(int fd, struct err *err)
{
	struct unpacker unpacker = { .report = -1 };
	FD_AUTO int dir_fd = -1;
	FD_AUTO int output = -1;
	char name[sizeof(unpacker.hash) + sizeof(CACHE_FORMAT)];
	uint64_t start_ns = clock_now_ns();
	struct payload payload = { 0 };
	struct err reason = ERR_NONE;
	int r;

	r = find_payload(fd, &payload, err);
	if (r < 0)
		return r;
	/* Of exactly that size, for good: there is no room for a payload that is larger than it says. */
	output = fd_memfd("backplane-kernel", payload.unpacked_bytes);
	if (output < 0)
		return err_sys(err, output, "cannot make room for %" PRIu64 " MiB", payload.unpacked_bytes >> 20);
	r = start(&unpacker, fd, output, err);
	if (r < 0)
		return r;
	r = read_hash(&unpacker, err);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s" CACHE_FORMAT, unpacker.hash);

	dir_fd = cache_open(CACHE_FOLDER, &reason);
	if (dir_fd < 0) {
		log_info("unpacked kernels are not kept: %s", reason.text);
	} else {
		int cached = cache_get(dir_fd, name, payload.unpacked_bytes, &reason);

		if (cached >= 0) {
			finish(&unpacker);
			log_info("the kernel was unpacked before: found in %" PRIu64 " ms",
				 (clock_now_ns() - start_ns) / NS_PER_MS);
			return cached;
		}
		if (cached != -ENOENT)
			log_info("an unpacked kernel in the cache is not used: %s", reason.text);
	}
	r = read_result(&unpacker, err);
	if (r < 0)
		return r;
	log_info("unpacked the kernel (%s, %" PRIu64 " MiB) in %" PRIu64 " ms", payload_format_name(payload.format),
		 payload.unpacked_bytes >> 20, (clock_now_ns() - start_ns) / NS_PER_MS);
	return keep(dir_fd, name, fd_take(&output), payload.unpacked_bytes);
}
