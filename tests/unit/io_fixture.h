/* SPDX-License-Identifier: BSD-3-Clause */
/* An io engine on a file of its own, for the tests of the engines; each test runs with each kind. */
#ifndef TESTS_UNIT_IO_FIXTURE_H
#define TESTS_UNIT_IO_FIXTURE_H

#include "core/base/fd.h"
#include "core/device/io/engine.h"

#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>

#define DEPTH   256
#define KIB     1024u
#define MIB     (1024u * KIB)
#define PATTERN UINT64_C(0x9e3779b97f4a7c15)

/* The engine's user. `calls` counts by request, which is an index into `requests`, or none of those. */
struct io_user {
	enum io_kind kind;
	struct io_engine *engine;
	int fd;
	struct io_request requests[DEPTH];
	struct iovec iov[DEPTH];
	unsigned int calls[DEPTH];
	unsigned int all_calls;
	struct io_request *last;
	unsigned int again; /* how often `done` queues the request once more */
};

static inline void io_user_done(void *ctx, struct io_request *request)
{
	struct io_user *user = ctx;
	size_t index = (size_t)(request - user->requests);

	user->all_calls++;
	user->last = request;
	if (request >= user->requests && index < DEPTH)
		user->calls[index]++;
	if (user->again) {
		user->again--;
		MUST(io_engine_queue(user->engine, request) == 0);
	}
}

/* A file without a name, in $TMPDIR or /tmp. */
static inline int io_temp_file(int flags)
{
	const char *dir = getenv("TMPDIR");

	return open(dir ? dir : "/tmp", O_TMPFILE | O_CLOEXEC | flags, 0600);
}

/* How else the file of an engine is opened; `fd` stays the caller's. */
static inline int io_user_open(struct io_user *user, int fd)
{
	const struct io_engine_spec spec = {
		.kind = user->kind, .fds = &fd, .fd_count = 1, .depth = DEPTH, .done = io_user_done, .ctx = user
	};
	struct err err = ERR_NONE;
	int r = io_engine_new(&spec, &user->engine, &err);

	if (r)
		fprintf(stderr, "%s\n", err.text);
	return r;
}

static inline int io_setup_user(void **state)
{
	enum io_kind kind = *(const enum io_kind *)*state;
	struct io_user *user = calloc(1, sizeof(*user));

	MUST(user);
	user->kind = kind;
	user->fd = io_temp_file(O_RDWR);
	MUST(user->fd >= 0);
	MUST(io_user_open(user, user->fd) == 0);
	*state = user;
	return 0;
}

static inline int io_teardown_user(void **state)
{
	struct io_user *user = *state;

	io_engine_free(user->engine);
	fd_close(user->fd);
	free(user);
	return 0;
}

/* Waits until the engine says that it can be reaped, as a loop does, and reaps. */
static inline void io_user_wait(struct io_user *user)
{
	struct pollfd poll_fd = { .fd = io_engine_fd(user->engine), .events = POLLIN };

	if (!io_engine_ready(user->engine)) {
		int r = poll(&poll_fd, 1, PATIENCE_S * 1000);

		MUST(r > 0 || (r < 0 && errno == EINTR));
	}
	io_engine_reap(user->engine);
}

/* Does one request. Its result. */
static inline int64_t io_user_run(struct io_user *user, struct io_request *request)
{
	MUST(io_engine_queue(user->engine, request) == 0);
	io_engine_submit(user->engine);
	while (io_engine_in_flight(user->engine))
		io_user_wait(user);
	MUST(user->last == request);
	return request->result;
}

static inline int64_t io_rw(struct io_user *user, enum io_op op, void *buf, size_t bytes, uint64_t offset)
{
	struct iovec iov = { .iov_base = buf, .iov_len = bytes };
	struct io_request request = { .op = (uint8_t)op, .offset = offset, .iov = &iov, .iov_count = 1 };

	return io_user_run(user, &request);
}

static inline int64_t io_range(struct io_user *user, enum io_op op, uint16_t flags, uint64_t offset, uint64_t bytes)
{
	struct io_request request = { .op = (uint8_t)op, .flags = flags, .offset = offset, .bytes = bytes };

	return io_user_run(user, &request);
}

/* A stream of numbers that is the same in each run. */
static inline uint64_t next_random(uint64_t *seed)
{
	uint64_t x = *seed += PATTERN;

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static inline void fill_random(void *buf, size_t bytes, uint64_t *seed)
{
	uint8_t *at = buf;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)next_random(seed);
}

/* A test for each kind. */
static enum io_kind io_kinds[] = { IO_URING, IO_AIO, IO_THREAD_POOL };
#define EACH_KIND(test)                                                                 \
	{ #test "_io_uring", (test), io_setup_user, io_teardown_user, &io_kinds[0] },   \
	    { #test "_aio", (test), io_setup_user, io_teardown_user, &io_kinds[1] },    \
	{                                                                               \
#test "_threads", (test), io_setup_user, io_teardown_user, &io_kinds[2] \
	}

#endif
