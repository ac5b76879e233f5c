/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host table's entries for io: what a plugin submits becomes a request of an engine (io/engine.h), one engine for each descriptor
 * that it opened. All under the device's lock.
 *
 * What callbacks submit is handed to the kernel when the callback ends, in one go, by the device's loop thread; a callback on another
 * thread (a vCPU's) wakes the loop for it. Nothing is allocated for a request: slots are made with the engine, and pieces that do not
 * fit into one lie in an area of which only as much takes memory as has been used, at most 16 bytes * BP_CHAIN_IOV_MAX a slot.
 *
 * A reset waits for what is under way with the kernel, and drops everything: the plugin is not told.
 */
#include "core/device/chain.h"
#include "core/device/internal.h"
#include "core/device/io/engine.h"

#include "core/base/fd.h"

#include <backplane/io.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define DEPTH_MAX     1024u
#define IOV_SMALL     8u
/* How often a callback's end goes on with what the completions of its own requests have submitted; then others have their turn. */
#define SETTLE_ROUNDS 8

/* The part of the request that ABI 0.2 has. */
#define REQUEST_BYTES (offsetof(struct bp_io_request, arg) + sizeof(void *))

struct io_slot {
	struct io_request request; /* first: what the engine hands back */
	bp_io_fn *done;
	void *arg;
	struct chain *chain;  /* whose write side is being filled, or NULL */
	uint64_t chain_start; /* from here on */
	uint64_t bytes;
	struct io_slot *next; /* free ones */
	struct iovec small[IOV_SMALL];
};

struct bp_io {
	struct device *device;
	struct io_engine *engine;
	uint32_t depth;
	uint32_t fresh; /* slots from here on have never been used */
	struct io_slot *slots;
	struct io_slot *free;
	struct iovec *area;
	bool queued; /* something is to be submitted */
	bool ending; /* a reset: nobody is told */
};

/* ---- slots ---- */

static size_t area_bytes(const struct bp_io *io)
{
	return (size_t)io->depth * BP_CHAIN_IOV_MAX * sizeof(struct iovec);
}

static struct io_slot *slot_get(struct bp_io *io)
{
	struct io_slot *slot = io->free;

	if (slot)
		io->free = slot->next;
	else if (io->fresh < io->depth)
		slot = &io->slots[io->fresh++];
	return slot;
}

static void slot_put(struct bp_io *io, struct io_slot *slot)
{
	slot->next = io->free;
	io->free = slot;
}

/* ---- completions ---- */

static void io_done(void *ctx, struct io_request *request)
{
	struct bp_io *io = ctx;
	struct io_slot *slot = (struct io_slot *)request;
	int64_t result = request->result;
	bp_io_fn *done = slot->done;
	void *arg = slot->arg;

	/* What a read did not bring is not counted as written to the guest. */
	if (slot->chain && result < (int64_t)slot->bytes && vdev_chain_live(io->device, slot->chain))
		chain_wrote_only(slot->chain, slot->chain_start, result > 0 ? (uint64_t)result : 0);
	slot_put(io, slot);
	if (io->ending)
		return;
	device_context.callback = "io callback";
	done(arg, result);
	device_lap(io->device);
}

static void on_engine(void *arg, int fd, uint32_t events)
{
	struct bp_io *io = arg;

	(void)fd;
	(void)events;
	device_lap(io->device);
	io_engine_reap(io->engine);
}

bool device_io_ready(const struct device *device)
{
	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++)
		if (io_engine_ready(device->ios[i]->engine))
			return true;
	return false;
}

void device_io_reap(struct device *device)
{
	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++)
		on_engine(device->ios[i], -1, BP_FD_IN);
}

/* ---- at the end of a callback ---- */

/* Submits what is queued, and takes what is done at once. Whether completions have queued more. */
static bool submit_all(struct device *device)
{
	bool more = false;

	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++) {
		struct bp_io *io = device->ios[i];

		if (!io->queued)
			continue;
		io->queued = false;
		if (io_engine_submit(io->engine))
			io_engine_reap(io->engine);
		more |= io->queued;
	}
	return more;
}

void device_io_settle(struct device *device)
{
	bool more = true;

	if (loop_is_current(device))
		for (int i = 0; more && i < SETTLE_ROUNDS; i++)
			more = submit_all(device);
	if (more)
		fd_event_signal(device->loop.wake_fd);
}

void device_io_woken(struct device *device)
{
	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++)
		device->settle |= device->ios[i]->queued;
}

/* ---- the end ---- */

void device_io_finish(struct device *device)
{
	bool more;

	do {
		more = false;
		for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++) {
			struct bp_io *io = device->ios[i];

			more |= io_engine_in_flight(io->engine) > 0;
			io_engine_drain(io->engine);
			io->queued = false;
		}
		/* The completions of one may have submitted to another. */
	} while (more);
}

void device_io_end(struct device *device)
{
	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++) {
		struct bp_io *io = device->ios[i];

		io->ending = true;
		io_engine_cancel(io->engine);
		io->ending = false;
		io->queued = false;
	}
}

static void io_free(struct bp_io *io)
{
	io->ending = true;
	io_engine_free(io->engine);
	if (io->area)
		munmap(io->area, area_bytes(io));
	free(io->slots);
	free(io);
}

void device_io_free(struct device *device)
{
	for (size_t i = 0; i < DEVICE_IOS_MAX && device->ios[i]; i++) {
		io_free(device->ios[i]);
		device->ios[i] = NULL;
	}
}

/* ---- entries of the host table ---- */

/* Makes the engine that was asked for, or for BP_IO_AUTO the best that the host allows. */
static int open_engine(struct bp_io *io, int fd, uint32_t engine, struct err *err)
{
	static const enum io_kind kinds[] = {
		[BP_IO_AUTO] = IO_URING,
		[BP_IO_URING] = IO_URING,
		[BP_IO_AIO] = IO_AIO,
		[BP_IO_THREADS] = IO_THREAD_POOL,
	};
	struct io_engine_spec spec = {
		.kind = kinds[engine],
		.fds = &fd,
		.fd_count = 1,
		.depth = io->depth,
		.done = io_done,
		.ctx = io,
	};
	int r = io_engine_new(&spec, &io->engine, err);

	if (engine == BP_IO_AUTO && (r == -ENOSYS || r == -EPERM || r == -EAGAIN || r == -ENOMEM)) {
		device_log(io->device, LOG_LEVEL_INFO, "%s: using threads", err->text);
		spec.kind = IO_THREAD_POOL;
		r = io_engine_new(&spec, &io->engine, err);
	}
	return r;
}

int host_io_open(struct bp_dev *dev, int fd, uint32_t engine, uint32_t depth, struct bp_io **ret)
{
	struct device *device = device_of(dev);
	struct err err = ERR_NONE;
	struct bp_io *io;
	size_t index = 0;
	void *area;
	int r;

	if (!device_on_tag(device, true, false, "bp_io_open"))
		return -EDEADLK;
	if (fd < 0 || engine > BP_IO_THREADS || !depth || depth > DEPTH_MAX)
		return err_set(&device->error, -EINVAL,
			       "bp_io_open was called with a wrong descriptor, engine or depth");
	while (index < DEVICE_IOS_MAX && device->ios[index])
		index++;
	if (index == DEVICE_IOS_MAX)
		return err_set(&device->error, -ENOSPC, "a device has at most %d io engines", DEVICE_IOS_MAX);
	io = calloc(1, sizeof(*io));
	if (!io)
		return err_sys(&device->error, -ENOMEM, "io engine");
	io->device = device;
	io->depth = depth;
	io->slots = calloc(depth, sizeof(io->slots[0]));
	area = mmap(NULL, area_bytes(io), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area != MAP_FAILED)
		io->area = area;
	if (!io->slots || !io->area) {
		r = err_sys(&device->error, -ENOMEM, "io engine");
		goto fail;
	}
	r = open_engine(io, fd, engine, &err);
	if (r < 0) {
		err_set(&device->error, r, "%s", err.text);
		goto fail;
	}
	r = loop_own_add(device, io_engine_fd(io->engine), false, on_engine, io, "io callback");
	if (r < 0) {
		err_sys(&device->error, r, "io engine");
		goto fail;
	}
	device->ios[index] = io;
	*ret = io;
	return 0;
fail:
	io_free(io);
	return r;
}

/* The pieces of a request that brings its own. */
static int copy_iov(const struct bp_io_request *request, struct iovec *iov)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < request->iov_count; i++) {
		iov[i] = request->iov[i];
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return -EINVAL;
	}
	return sum == request->bytes ? (int)request->iov_count : -EINVAL;
}

/* Where the memory of a READ or WRITE is. How many pieces, or -errno; of the chain they are taken then. */
static int take_memory(struct bp_io *io, struct io_slot *slot, const struct bp_io_request *request)
{
	struct iovec *area = io->area + (size_t)(slot - io->slots) * BP_CHAIN_IOV_MAX;
	uint32_t side = request->op == BP_IO_READ ? BP_CHAIN_WRITE : BP_CHAIN_READ;
	struct chain *chain = request->chain ? chain_of(request->chain) : NULL;
	uint64_t start;
	int count;

	if (!chain) {
		if (request->iov_count > BP_CHAIN_IOV_MAX || (request->iov_count && !request->iov))
			return -EINVAL;
		slot->request.iov = request->iov_count <= IOV_SMALL ? slot->small : area;
		return copy_iov(request, request->iov_count <= IOV_SMALL ? slot->small : area);
	}
	if (request->chain->dev != &io->device->head)
		return -EINVAL;
	if (!vdev_chain_live(io->device, chain))
		return -ENODATA;
	start = chain_written(chain);
	slot->request.iov = slot->small;
	count = chain_take(chain, side, request->bytes, slot->small, IOV_SMALL);
	if (count == -EMSGSIZE) {
		slot->request.iov = area;
		count = chain_take(chain, side, request->bytes, area, BP_CHAIN_IOV_MAX);
	}
	if (count >= 0 && side == BP_CHAIN_WRITE) {
		slot->chain = chain;
		slot->chain_start = start;
	}
	return count;
}

static int submit(struct bp_io *io, struct io_slot *slot, const struct bp_io_request *request)
{
	static const uint8_t ops[] = {
		[BP_IO_READ] = IO_READV,
		[BP_IO_WRITE] = IO_WRITEV,
		[BP_IO_FLUSH] = IO_FLUSH,
		[BP_IO_DISCARD] = IO_DISCARD,
		[BP_IO_WRITE_ZEROES] = IO_WRITE_ZEROES,
	};
	bool transfer = request->op == BP_IO_READ || request->op == BP_IO_WRITE;
	int count = 0;

	slot->done = request->done;
	slot->arg = request->arg;
	slot->chain = NULL;
	slot->bytes = request->bytes;
	slot->request = (struct io_request){ .op = ops[request->op] };
	if (request->op != BP_IO_FLUSH)
		slot->request.offset = request->offset;
	if (transfer)
		count = take_memory(io, slot, request);
	else if (request->op != BP_IO_FLUSH)
		slot->request.bytes = request->bytes;
	if (count < 0)
		return count;
	slot->request.iov_count = (uint32_t)count;
	if (request->flags & BP_IO_F_UNMAP)
		slot->request.flags = IO_MAY_UNMAP;
	/* All that it could refuse has been checked here, before the chain's cursor moved. */
	return io_engine_queue(io->engine, &slot->request);
}

static bool request_ok(const struct bp_io_request *request)
{
	uint64_t end;

	if (request->op < BP_IO_READ || request->op > BP_IO_WRITE_ZEROES || !request->done)
		return false;
	if (request->flags & ~(request->op == BP_IO_WRITE_ZEROES ? BP_IO_F_UNMAP : 0))
		return false;
	return request->op == BP_IO_FLUSH ||
	       (!__builtin_add_overflow(request->offset, request->bytes, &end) && end <= INT64_MAX);
}

int host_io_submit(struct bp_io *io, const struct bp_io_request *request)
{
	struct bp_io_request copy = { 0 };
	struct io_slot *slot;
	int r;

	if (!device_on_tag(io->device, false, true, "bp_io_submit"))
		return -EDEADLK;
	if (request->size < REQUEST_BYTES)
		return -EINVAL;
	memcpy(&copy, request, request->size < sizeof(copy) ? request->size : sizeof(copy));
	if (!request_ok(&copy))
		return -EINVAL;
	slot = slot_get(io);
	if (!slot)
		return -EBUSY;
	r = submit(io, slot, &copy);
	if (r < 0) {
		slot_put(io, slot);
		return r;
	}
	io->queued = true;
	io->device->settle = true;
	return 0;
}
