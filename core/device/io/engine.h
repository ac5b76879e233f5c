/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous I/O on files and block devices, straight between them and guest memory: one engine a device, which the
 * runtime owns; a plugin sees it as bp_io_*. Three mechanisms do the same work with the same results:
 *   io_uring  one io_uring_enter() a batch, or two for a large one, files registered; needs Linux 5.6 and that the host permits it
 *   aio       io_submit(), for files opened with O_DIRECT: without it the kernel does the work inside of io_submit(), so
 *             that a slow disk holds its caller up. Discards and zeroes are done by a thread
 *   threads   a pool of IO_THREADS threads and plain system calls; works everywhere
 *
 * All calls but io_engine_ready() are made by one thread at a time, under the device's lock ([dev], or [main] before the
 * device runs and after its stop). Where it can choose, the device's loop thread is the one to submit: the kernel finishes
 * io_uring's requests in the context of the thread that submitted them, and a vCPU is seldom there. Drain, cancel and free work from
 * any thread; a thread that has submitted may end only when nothing is in flight or someone still reaps.
 *
 * A turn is: io_engine_queue() for each request there is, io_engine_submit() once, io_engine_reap() if that said so, or
 * when io_engine_fd() is readable. Nothing is allocated after io_engine_new().
 */
#ifndef DEVICE_IO_ENGINE_H
#define DEVICE_IO_ENGINE_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define IO_DEPTH_MAX    4096
#define IO_FILES_MAX    8
#define IO_SEGMENTS_MAX 65536
#define IO_THREADS      4

struct io_engine;

enum io_kind { IO_URING, IO_AIO, IO_THREAD_POOL, IO_KIND_COUNT };

enum io_op {
	IO_READV,
	IO_WRITEV,
	IO_FLUSH, /* fdatasync(): what has completed before this was queued is on stable storage */
	IO_DISCARD, /* the range's content is not needed: a hole in a file, where zeroes are read then; BLKDISCARD on a device */
	IO_WRITE_ZEROES, /* zeroes are read then; written plainly where file system or device know no better way */
	IO_OP_COUNT
};

/* IO_WRITE_ZEROES may leave a hole, which takes no space, instead of blocks that are zero. */
#define IO_MAY_UNMAP 1u

/*
 * A request. The caller provides the memory, embeds it in what it keeps for the request, and fills the first part in;
 * struct, iovecs and what they point to are the engine's until `done` is called. Requests that are in flight together may
 * be done in any order.
 */
struct io_request {
	uint8_t op;         /* enum io_op */
	uint8_t file;       /* index in the engine's files */
	uint16_t flags;     /* IO_MAY_UNMAP, only for WRITE_ZEROES */
	uint32_t iov_count; /* READV and WRITEV: up to IO_SEGMENTS_MAX. More than 1024 are done in parts, in order */
	const struct iovec *iov; /* READV and WRITEV */
	uint64_t offset;         /* bytes, from the start of the file; not for FLUSH */
	uint64_t bytes;          /* DISCARD and WRITE_ZEROES */

	/*
	 * When it is done: READV and WRITEV the bytes that were transferred, the others 0, or -errno. Reads go on until all is
	 * read or the file ends, so fewer bytes mean just that. Writes are whole or an error, after which any part of them
	 * may have been written. A file grows by a write, but not by WRITE_ZEROES, unless zeroes have to be written plainly.
	 */
	int64_t result;

	/* The engine's own. */
	struct io_request *next;
	struct iovec partial; /* the rest of a segment that was transferred in part */
	uint64_t done_bytes;
	uint64_t segment_done; /* of the segment at iov[segment] */
	uint32_t segment;
	uint16_t retries;
	uint16_t slot;
	uint8_t method; /* how this operation is being tried */
};

/* Called by reap, drain and free, once for each request, in their thread. It may queue requests, this one too, but not submit,
 * reap, drain or free. */
typedef void io_done_fn(void *ctx, struct io_request *request);

/* `fds` are regular files and block devices, open for what will be asked of them; they outlive the engine. */
struct io_engine_spec {
	enum io_kind kind;
	const int *fds;     /* borrowed, read once */
	size_t fd_count;    /* 1 to IO_FILES_MAX */
	unsigned int depth; /* 1 to IO_DEPTH_MAX: how many requests may be in flight, from queue to done */
	io_done_fn *done;
	void *ctx;
};

/* "io_uring", "aio" or "threads". */
const char *io_kind_name(enum io_kind kind);

/*
 * [main] Makes all of it: memory, descriptors, threads, with all signals blocked in those. -errno with a line that names the
 * engine and the reason; the choice of another one is the caller's. Of the reasons, -ENOSYS (the kernel lacks it), -EPERM (the
 * host or a filter forbids it) and -EAGAIN or -ENOMEM (no more of it now) are those where another kind may work.
 */
int io_engine_new(const struct io_engine_spec *spec, struct io_engine **ret, struct err *err);

/* Drains, then frees. NULL is fine. */
void io_engine_free(struct io_engine *engine);

/* Readable (EPOLLIN, level-triggered) when io_engine_reap() has something to do. Owned by the engine; only to be waited for. */
int io_engine_fd(const struct io_engine *engine);

/* [any] Whether io_engine_reap() would find something, without a system call and without the lock; may be wrong for a moment.
 * epoll_wait() ends with EINTR when the kernel finishes io_uring's requests: to look here then saves the next one. */
bool io_engine_ready(const struct io_engine *engine);

/*
 * Takes a request in. 0, and `done` will be called once, or, with nothing taken and `done` not called:
 * -EINVAL op, file or flags that do not exist, too many segments, or segments without an address; -EOVERFLOW offset and bytes,
 * or bytes alone, add up to more than INT64_MAX; -EBUSY `depth` are in flight.
 */
int io_engine_queue(struct io_engine *engine, struct io_request *request);

/* Starts all that is queued. Whether some of it is done already: then reap now, for io_engine_fd() need not tell. */
bool io_engine_submit(struct io_engine *engine);

/* Calls `done` for what is done, and goes on with what was done in part. The number of calls; never waits. Requests that
 * `done` queued are for the next submit. */
size_t io_engine_reap(struct io_engine *engine);

/* Submits and waits until nothing is in flight, however long a disk takes; `done` is called for all, and for what it queues. */
void io_engine_drain(struct io_engine *engine);

/* The same where nobody waits for results: what has not begun, and what is left of a request that is done in parts, ends with
 * -ECANCELED. So it waits for one system call's worth of each, and not for gigabytes of zeroes that are written plainly. */
void io_engine_cancel(struct io_engine *engine);

/* From queue to done. */
unsigned int io_engine_in_flight(const struct io_engine *engine);

#endif
