/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine as its files share it. A request is done in steps, each of which is one system call's worth: step.c says which
 * step comes next and what its result means, the same for all mechanisms; those only carry steps out. A request is at any time
 * in one place: in a list here, with the kernel, or with the pool.
 */
#ifndef DEVICE_IO_INTERNAL_H
#define DEVICE_IO_INTERNAL_H

#include "core/device/io/engine.h"

#include <stdatomic.h>

/* What the kernel takes at once (UIO_MAXIOV). */
#define IO_STEP_SEGMENTS 1024u
/* After this many interruptions of one request something else is wrong. */
#define IO_RETRIES_MAX   1000u
/* Zeroes that are written plainly: by segments, so many of this size at once. */
#define IO_ZERO_BYTES    65536u
#define IO_ZERO_SEGMENTS 64u

/* How zeroes are written; the next one is tried where file system or device lack one. */
enum io_method { IO_ZERO_UNMAP, IO_ZERO_RANGE, IO_ZERO_PLAIN };

struct io_file {
	int fd; /* borrowed */
	bool block;
	_Atomic(bool) lacks_unmap; /* found out by trying */
	_Atomic(bool) lacks_range;
};

struct io_list {
	struct io_request *first;
	struct io_request *last;
};

struct io_mechanism {
	const char *name;
	int (*init)(struct io_engine *engine, struct err *err); /* leaves nothing behind when it fails */
	void (*destroy)(struct io_engine *engine);              /* nothing is in flight */
	int (*fd)(const struct io_engine *engine);
	bool (*ready)(const struct io_engine *engine); /* [any] */
	/* Carries out all that is queued, without waiting for its end. */
	void (*start)(struct io_engine *engine);
	/* Moves what has ended to `finished`, or to `queued` for another step; with `wait`, not before there is something. */
	void (*collect)(struct io_engine *engine, bool wait);
};

struct io_engine {
	const struct io_mechanism *mechanism;
	void *state; /* the mechanism's */
	io_done_fn *done;
	void *ctx;
	unsigned int depth;
	unsigned int in_flight;
	struct io_list queued;
	struct io_list finished;
	_Atomic(bool) any_finished;
	_Atomic(bool) canceling; /* no step is begun */
	size_t file_count;
	struct io_file files[IO_FILES_MAX];
	void *zeroes;                            /* IO_ZERO_BYTES of them, read-only */
	struct iovec zero_iov[IO_ZERO_SEGMENTS]; /* each all of `zeroes` */
};

/* ---- step.c: [dev] and the pool's threads, which have the request to themselves ---- */

enum io_step_kind { IO_STEP_READV, IO_STEP_WRITEV, IO_STEP_FDATASYNC, IO_STEP_FALLOCATE, IO_STEP_BLKDISCARD };

struct io_step {
	enum io_step_kind kind;
	int fd;
	int mode; /* FALLOCATE */
	const struct iovec *iov;
	unsigned int iov_count;
	uint64_t offset;
	uint64_t bytes; /* FALLOCATE, BLKDISCARD */
};

/* -EINVAL or -EOVERFLOW, see io_engine_queue(). */
int io_request_check(const struct io_engine *engine, const struct io_request *request);
/* False if nothing is left to do, or nothing is to be begun: the request has its result. Changes nothing otherwise, so it can be asked again. */
bool io_step_next(struct io_engine *engine, struct io_request *request, struct io_step *ret);
/* Takes a step's result, as of a system call but with -errno. False if another step has to follow. */
bool io_step_done(struct io_engine *engine, struct io_request *request, int64_t result);
/* Does a step in this thread: its result. */
int64_t io_step_run(const struct io_step *step);
/* Does all that is left in this thread. */
void io_request_run(struct io_engine *engine, struct io_request *request);

/* ---- engine.c: [dev] ---- */

void io_list_add(struct io_list *list, struct io_request *request);
struct io_request *io_list_take(struct io_list *list); /* the first, or NULL */
/* It has its result: `done` will be called. */
void io_finish(struct io_engine *engine, struct io_request *request);
/* A step of it ended: to `finished` or to `queued`. */
void io_stepped(struct io_engine *engine, struct io_request *request, int64_t result);

/* ---- threads.c: a pool that does whole requests, also for what the other mechanisms lack ---- */

struct io_pool;

/* `event_fd` is borrowed, and signalled when there is something to take. */
int io_pool_new(struct io_engine *engine, unsigned int threads, int event_fd, struct io_pool **ret, struct err *err);
void io_pool_free(struct io_pool *pool);                      /* idle; NULL is fine */
void io_pool_add(struct io_pool *pool, struct io_list *list); /* [dev] Empties the list. */
void io_pool_collect(struct io_pool *pool);                   /* [dev] Finishes what it has done. */
unsigned int io_pool_in_flight(const struct io_pool *pool);   /* [dev] Added and not collected. */
bool io_pool_ready(struct io_pool *pool);                     /* [any] */

extern const struct io_mechanism io_mechanism_uring;
extern const struct io_mechanism io_mechanism_aio;
extern const struct io_mechanism io_mechanism_threads;

#endif
