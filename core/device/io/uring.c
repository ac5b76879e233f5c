/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of io_uring, by its three system calls. The ring's own descriptor is what the device's loop waits for: it is
 * readable while there are completions, so that no eventfd has to be written by the kernel and read by us, and what is reaped
 * right after a submission wakes nobody.
 *
 * COOP_TASKRUN: completions wait for the thread's next entry to the kernel instead of interrupting it. Not DEFER_TASKRUN,
 * which would batch them further: it binds the ring to one thread for good, and a vCPU thread that resets the device has to
 * drain it while the loop thread may be waiting for the device's lock.
 */
#include "core/base/fd.h"
#include "core/device/io/internal.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* As user_data: the poll for the pool's eventfd. Requests have their address. */
#define POOL_TAG 0u
/* Of a batch of at least twice as many the first ones go before the others. The kernel shows a batch to the disk when it has gone
 * through all of it, at some microseconds a request; a disk that had nothing to do would wait for that. */
#define EARLY    8u

struct uring {
	int fd;
	uint32_t entries;
	uint32_t mask;
	uint32_t cq_mask;
	uint32_t *sq_head; /* the kernel's */
	uint32_t *sq_tail; /* ours */
	uint32_t *sq_flags;
	uint32_t *cq_head; /* ours */
	uint32_t *cq_tail; /* the kernel's */
	struct io_uring_sqe *sqes;
	const struct io_uring_cqe *cqes;
	void *rings;
	size_t rings_bytes;
	size_t sqes_bytes;
	uint32_t tail;        /* of the submissions; published by start */
	struct io_pool *pool; /* for BLKDISCARD; NULL without a block device */
	int pool_fd;
	bool pool_polled; /* a poll for it is in flight */
};

static int ring_setup(uint32_t entries, struct io_uring_params *params)
{
	/* COOP_TASKRUN came with Linux 5.19. */
	static const uint32_t flags[] = { IORING_SETUP_COOP_TASKRUN, 0 };
	int fd = -1;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		memset(params, 0, sizeof(*params));
		params->flags = flags[i];
		fd = (int)syscall(SYS_io_uring_setup, entries, params);
		if (fd >= 0 || errno != EINVAL)
			break;
	}
	return fd < 0 ? -errno : fd;
}

static int setup_error(int r, struct err *err)
{
	switch (r) {
	case -ENOSYS:
		return err_set(err, r, "io_uring: this kernel has none, or a filter of system calls hides it");
	case -EPERM:
		return err_set(
		    err, r,
		    "io_uring: not permitted, by the sysctl kernel.io_uring_disabled or a filter of system calls");
	case -ENOMEM:
		return err_set(err, r, "io_uring: no memory for a ring, or RLIMIT_MEMLOCK is too low");
	default:
		return err_sys(err, r, "io_uring: cannot make a ring");
	}
}

static int ring_map(struct uring *ring, const struct io_uring_params *params, struct err *err)
{
	size_t sq_bytes = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
	size_t cq_bytes = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	uint8_t *at;
	uint32_t *array;

	if (!(params->features & IORING_FEAT_SINGLE_MMAP) || !(params->features & IORING_FEAT_SUBMIT_STABLE))
		return err_set(err, -ENOSYS, "io_uring: this kernel's is too old");
	ring->entries = params->sq_entries;
	ring->rings_bytes = sq_bytes > cq_bytes ? sq_bytes : cq_bytes;
	ring->sqes_bytes = params->sq_entries * sizeof(struct io_uring_sqe);
	ring->rings = mmap(NULL, ring->rings_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			   IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED) {
		ring->rings = NULL;
		return err_sys(err, -errno, "io_uring: cannot map the ring");
	}
	ring->sqes =
	    mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED) {
		ring->sqes = NULL;
		return err_sys(err, -errno, "io_uring: cannot map the ring");
	}
	at = ring->rings;
	ring->sq_head = (uint32_t *)(void *)(at + params->sq_off.head);
	ring->sq_tail = (uint32_t *)(void *)(at + params->sq_off.tail);
	ring->sq_flags = (uint32_t *)(void *)(at + params->sq_off.flags);
	ring->mask = *(const uint32_t *)(const void *)(at + params->sq_off.ring_mask);
	ring->cq_head = (uint32_t *)(void *)(at + params->cq_off.head);
	ring->cq_tail = (uint32_t *)(void *)(at + params->cq_off.tail);
	ring->cq_mask = *(const uint32_t *)(const void *)(at + params->cq_off.ring_mask);
	ring->cqes = (const struct io_uring_cqe *)(const void *)(at + params->cq_off.cqes);
	array = (uint32_t *)(void *)(at + params->sq_off.array);
	for (uint32_t i = 0; i < params->sq_entries; i++)
		array[i] = i;
	return 0;
}

/* The operations that are used, all of them in Linux 5.6. */
static int ring_probe(const struct uring *ring, struct err *err)
{
	static const uint8_t needed[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
					  IORING_OP_POLL_ADD };
	enum { OPS = 64 };
	FREE_AUTO struct io_uring_probe *probe = calloc(1, sizeof(*probe) + OPS * sizeof(probe->ops[0]));

	if (!probe)
		return err_set(err, -ENOMEM, "io_uring: no memory");
	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PROBE, probe, OPS) < 0)
		return err_set(err, -ENOSYS, "io_uring: this kernel's is too old");
	for (size_t i = 0; i < sizeof(needed); i++)
		if (needed[i] > probe->last_op || !(probe->ops[needed[i]].flags & IO_URING_OP_SUPPORTED))
			return err_set(err, -ENOSYS, "io_uring: this kernel's lacks operation %u", needed[i]);
	return 0;
}

static int register_files(const struct io_engine *engine, const struct uring *ring, struct err *err)
{
	int fds[IO_FILES_MAX];

	for (size_t i = 0; i < engine->file_count; i++)
		fds[i] = engine->files[i].fd;
	if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_FILES, fds, (unsigned int)engine->file_count) < 0)
		return err_sys(err, -errno, "io_uring: cannot register the files");
	return 0;
}

static int make_pool(struct io_engine *engine, struct uring *ring, struct err *err)
{
	bool block = false;

	for (size_t i = 0; i < engine->file_count; i++)
		block |= engine->files[i].block;
	if (!block)
		return 0;
	ring->pool_fd = fd_event();
	if (ring->pool_fd < 0)
		return err_sys(err, ring->pool_fd, "io_uring: cannot make an eventfd");
	return io_pool_new(engine, 1, ring->pool_fd, &ring->pool, err);
}

static void ring_free(struct uring *ring)
{
	io_pool_free(ring->pool);
	fd_close(ring->pool_fd);
	if (ring->sqes)
		munmap(ring->sqes, ring->sqes_bytes);
	if (ring->rings)
		munmap(ring->rings, ring->rings_bytes);
	/* A closed ring lets go of its files some time later only; locks on them must not outlive us. */
	if (ring->fd >= 0) {
		syscall(SYS_io_uring_register, ring->fd, IORING_UNREGISTER_FILES, NULL, 0);
		close(ring->fd);
	}
	free(ring);
}

static int uring_init(struct io_engine *engine, struct err *err)
{
	struct uring *ring = calloc(1, sizeof(*ring));
	struct io_uring_params params;
	int r;

	if (!ring)
		return err_set(err, -ENOMEM, "io_uring: no memory");
	ring->pool_fd = -1;
	/* One more for the poll. There are twice as many completions, so those cannot overflow. */
	ring->fd = ring_setup(engine->depth + 1, &params);
	r = ring->fd < 0 ? setup_error(ring->fd, err) : ring_map(ring, &params, err);
	if (!r)
		r = ring_probe(ring, err);
	if (!r)
		r = register_files(engine, ring, err);
	if (!r)
		r = make_pool(engine, ring, err);
	if (r) {
		ring_free(ring);
		return r;
	}
	engine->state = ring;
	return 0;
}

static void uring_destroy(struct io_engine *engine)
{
	ring_free(engine->state);
}

static int uring_fd(const struct io_engine *engine)
{
	const struct uring *ring = engine->state;

	return ring->fd;
}

static bool uring_ready(const struct io_engine *engine)
{
	const struct uring *ring = engine->state;

	return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) != __atomic_load_n(ring->cq_head, __ATOMIC_RELAXED);
}

static struct io_uring_sqe *next_sqe(struct uring *ring)
{
	struct io_uring_sqe *sqe = &ring->sqes[ring->tail & ring->mask];

	memset(sqe, 0, sizeof(*sqe));
	ring->tail++;
	return sqe;
}

static void fill_sqe(struct uring *ring, const struct io_step *step, struct io_request *request)
{
	struct io_uring_sqe *sqe = next_sqe(ring);

	sqe->user_data = (uintptr_t)request;
	sqe->fd = request->file;
	sqe->flags = IOSQE_FIXED_FILE;
	/* What would not go at once goes to a thread of the kernel's. */
	if (request->retries)
		sqe->flags |= IOSQE_ASYNC;
	sqe->off = step->offset;
	switch (step->kind) {
	case IO_STEP_READV:
	case IO_STEP_WRITEV:
		sqe->opcode = step->kind == IO_STEP_READV ? IORING_OP_READV : IORING_OP_WRITEV;
		sqe->addr = (uintptr_t)step->iov;
		sqe->len = step->iov_count;
		break;
	case IO_STEP_FDATASYNC:
		sqe->opcode = IORING_OP_FSYNC;
		sqe->off = 0;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
		break;
	case IO_STEP_FALLOCATE:
		sqe->opcode = IORING_OP_FALLOCATE;
		sqe->addr = step->bytes;
		sqe->len = (uint32_t)step->mode;
		break;
	case IO_STEP_BLKDISCARD:
		break; /* the pool's */
	}
}

static void collect_pool(struct uring *ring)
{
	ring->pool_polled = false;
	/* Before the list is taken: what is added later signals again. */
	fd_event_clear(ring->pool_fd);
	io_pool_collect(ring->pool);
}

static void wait_for_pool(struct uring *ring)
{
	struct pollfd poll_fd = { .fd = ring->pool_fd, .events = POLLIN };

	while (io_pool_in_flight(ring->pool)) {
		poll(&poll_fd, 1, -1);
		collect_pool(ring);
	}
}

/* The kernel takes no more, for lack of memory: what it has not taken is done here and now, since nobody would be told when
 * there is memory again. */
static void take_back(struct io_engine *engine, struct uring *ring)
{
	uint32_t head = __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);

	for (uint32_t at = head; at != ring->tail; at++) {
		uint64_t tag = ring->sqes[at & ring->mask].user_data;
		struct io_request *request = (struct io_request *)(uintptr_t)tag;

		if (tag == POOL_TAG) {
			wait_for_pool(ring);
			continue;
		}
		io_request_run(engine, request);
		io_finish(engine, request);
	}
	ring->tail = head;
	__atomic_store_n(ring->sq_tail, head, __ATOMIC_RELEASE);
}

static void uring_start(struct io_engine *engine)
{
	struct uring *ring = engine->state;
	struct io_list for_pool = { .first = NULL };
	struct io_request *request;
	uint32_t count, early;

	while ((request = io_list_take(&engine->queued))) {
		struct io_step step;

		if (!io_step_next(engine, request, &step))
			io_finish(engine, request);
		else if (step.kind == IO_STEP_BLKDISCARD)
			io_list_add(&for_pool, request);
		else
			fill_sqe(ring, &step, request);
	}
	if (ring->pool) {
		io_pool_add(ring->pool, &for_pool);
		if (io_pool_in_flight(ring->pool) && !ring->pool_polled) {
			struct io_uring_sqe *sqe = next_sqe(ring);

			sqe->opcode = IORING_OP_POLL_ADD;
			sqe->fd = ring->pool_fd;
			sqe->poll_events = POLLIN;
			sqe->user_data = POOL_TAG;
			ring->pool_polled = true;
		}
	}
	count = ring->tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	early = count >= 2 * EARLY ? EARLY : count;
	__atomic_store_n(ring->sq_tail, ring->tail, __ATOMIC_RELEASE);
	while (count) {
		long taken = syscall(SYS_io_uring_enter, ring->fd, early, 0, 0, NULL, 0);

		if (taken > 0) {
			count -= (uint32_t)taken;
			early = count;
		} else if (taken == 0 || errno != EINTR) {
			take_back(engine, ring);
			break;
		}
	}
}

static void take_completions(struct io_engine *engine, struct uring *ring)
{
	uint32_t head = *ring->cq_head;
	uint32_t tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];

		if (cqe->user_data == POOL_TAG)
			collect_pool(ring);
		else
			io_stepped(engine, (struct io_request *)(uintptr_t)cqe->user_data, cqe->res);
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
}

static void uring_collect(struct io_engine *engine, bool wait)
{
	struct uring *ring = engine->state;
	uint32_t flags = __atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED);

	if (!uring_ready(engine) && (wait || flags & IORING_SQ_CQ_OVERFLOW))
		syscall(SYS_io_uring_enter, ring->fd, 0, wait ? 1 : 0, IORING_ENTER_GETEVENTS, NULL, 0);
	take_completions(engine, ring);
}

const struct io_mechanism io_mechanism_uring = {
	.name = "io_uring",
	.init = uring_init,
	.destroy = uring_destroy,
	.fd = uring_fd,
	.ready = uring_ready,
	.start = uring_start,
	.collect = uring_collect,
};
