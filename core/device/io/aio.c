/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of the kernel's older asynchronous calls, io_submit() and its kin. They know reads, writes and, since Linux 4.18,
 * fdatasync(); the rest is a thread's. One eventfd tells of both.
 */
#include "core/base/fd.h"
#include "core/device/io/internal.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define EVENTS_AT_ONCE 64

struct aio {
	aio_context_t context;
	int event_fd;
	unsigned int in_flight; /* the kernel's; the pool counts its own */
	struct io_pool *pool;
	struct iocb *iocbs;   /* `depth` of them, each with a slot number */
	struct iocb **batch;  /* for io_submit */
	uint16_t *free_slots; /* a stack */
	unsigned int free_count;
};

static void aio_release(struct aio *aio)
{
	io_pool_free(aio->pool);
	if (aio->context)
		syscall(SYS_io_destroy, aio->context);
	fd_close(aio->event_fd);
	free(aio->iocbs);
	free(aio->batch);
	free(aio->free_slots);
	free(aio);
}

static int context_error(int r, struct err *err)
{
	switch (r) {
	case -ENOSYS:
		return err_set(err, r, "aio: this kernel has none, or a filter of system calls hides it");
	case -EPERM:
		return err_set(err, r, "aio: not permitted, by a filter of system calls");
	case -EAGAIN:
		return err_set(err, r, "aio: the sysctl fs.aio-max-nr allows no more");
	default:
		return err_sys(err, r, "aio: io_setup");
	}
}

static int aio_init(struct io_engine *engine, struct err *err)
{
	struct aio *aio = calloc(1, sizeof(*aio));
	int r = 0;

	if (!aio)
		return err_set(err, -ENOMEM, "aio: no memory");
	aio->event_fd = -1;
	aio->iocbs = calloc(engine->depth, sizeof(*aio->iocbs));
	aio->batch = calloc(engine->depth, sizeof(struct iocb *));
	aio->free_slots = calloc(engine->depth, sizeof(*aio->free_slots));
	if (!aio->iocbs || !aio->batch || !aio->free_slots) {
		r = err_set(err, -ENOMEM, "aio: no memory");
		goto fail;
	}
	while (aio->free_count < engine->depth) {
		aio->free_slots[aio->free_count] = (uint16_t)aio->free_count;
		aio->free_count++;
	}
	if (syscall(SYS_io_setup, engine->depth, &aio->context) < 0) {
		r = context_error(-errno, err);
		goto fail;
	}
	aio->event_fd = fd_event();
	if (aio->event_fd < 0) {
		r = err_sys(err, aio->event_fd, "aio: cannot make an eventfd");
		goto fail;
	}
	r = io_pool_new(engine, 1, aio->event_fd, &aio->pool, err);
	if (r)
		goto fail;
	engine->state = aio;
	return 0;
fail:
	aio_release(aio);
	return r;
}

static void aio_destroy(struct io_engine *engine)
{
	aio_release(engine->state);
}

static int aio_fd(const struct io_engine *engine)
{
	const struct aio *aio = engine->state;

	return aio->event_fd;
}

static bool aio_ready(const struct io_engine *engine)
{
	const struct aio *aio = engine->state;

	return io_pool_ready(aio->pool);
}

static struct iocb *fill_iocb(struct aio *aio, const struct io_step *step, struct io_request *request)
{
	uint16_t slot = aio->free_slots[--aio->free_count];
	struct iocb *iocb = &aio->iocbs[slot];

	request->slot = slot;
	*iocb = (struct iocb){
		.aio_data = (uintptr_t)request,
		.aio_fildes = (uint32_t)step->fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)aio->event_fd,
		.aio_lio_opcode = IOCB_CMD_FDSYNC,
	};
	if (step->kind != IO_STEP_FDATASYNC) {
		iocb->aio_lio_opcode = step->kind == IO_STEP_READV ? IOCB_CMD_PREADV : IOCB_CMD_PWRITEV;
		iocb->aio_buf = (uintptr_t)step->iov;
		iocb->aio_nbytes = step->iov_count;
		iocb->aio_offset = (int64_t)step->offset;
	}
	return iocb;
}

static struct io_request *take_slot(struct aio *aio, uint64_t data)
{
	struct io_request *request = (struct io_request *)(uintptr_t)data;

	aio->free_slots[aio->free_count++] = request->slot;
	return request;
}

/* io_submit() has refused one that stands first. */
static void refused(struct io_engine *engine, struct aio *aio, const struct iocb *iocb, int error,
		    struct io_list *for_pool)
{
	struct io_request *request = take_slot(aio, iocb->aio_data);

	if (error == -EINVAL && iocb->aio_lio_opcode == IOCB_CMD_FDSYNC) {
		/* Before Linux 4.18, or not this file system. */
		io_list_add(for_pool, request);
	} else if (error == -EAGAIN || error == -ENOMEM) {
		/* Nobody would be told when there is memory again: here and now. */
		io_request_run(engine, request);
		io_finish(engine, request);
	} else {
		io_stepped(engine, request, error);
	}
}

static void submit_batch(struct io_engine *engine, struct aio *aio, unsigned int count, struct io_list *for_pool)
{
	unsigned int at = 0;

	while (at < count) {
		long taken = syscall(SYS_io_submit, aio->context, (long)(count - at), aio->batch + at);

		if (taken > 0) {
			at += (unsigned int)taken;
			aio->in_flight += (unsigned int)taken;
		} else if (taken == 0 || errno != EINTR) {
			refused(engine, aio, aio->batch[at], taken ? -errno : -EAGAIN, for_pool);
			at++;
		}
	}
}

static void aio_start(struct io_engine *engine)
{
	struct aio *aio = engine->state;
	struct io_list for_pool = { .first = NULL };
	struct io_request *request;

	/* Again for steps that follow at once. */
	while (engine->queued.first) {
		unsigned int count = 0;

		while ((request = io_list_take(&engine->queued))) {
			struct io_step step;

			if (!io_step_next(engine, request, &step))
				io_finish(engine, request);
			else if (step.kind == IO_STEP_FALLOCATE || step.kind == IO_STEP_BLKDISCARD)
				io_list_add(&for_pool, request);
			else
				aio->batch[count++] = fill_iocb(aio, &step, request);
		}
		submit_batch(engine, aio, count, &for_pool);
	}
	io_pool_add(aio->pool, &for_pool);
}

static void aio_collect(struct io_engine *engine, bool wait)
{
	struct aio *aio = engine->state;
	struct pollfd poll_fd = { .fd = aio->event_fd, .events = POLLIN };
	struct timespec now = { .tv_sec = 0 };
	long count = EVENTS_AT_ONCE;

	if (wait)
		poll(&poll_fd, 1, -1);
	/* Before the events are taken: what comes later signals again. */
	fd_event_clear(aio->event_fd);
	io_pool_collect(aio->pool);
	while (aio->in_flight && count == EVENTS_AT_ONCE) {
		struct io_event events[EVENTS_AT_ONCE];

		count = syscall(SYS_io_getevents, aio->context, 0L, (long)EVENTS_AT_ONCE, events, &now);
		for (long i = 0; i < count; i++) {
			aio->in_flight--;
			io_stepped(engine, take_slot(aio, events[i].data), events[i].res);
		}
	}
}

const struct io_mechanism io_mechanism_aio = {
	.name = "aio",
	.init = aio_init,
	.destroy = aio_destroy,
	.fd = aio_fd,
	.ready = aio_ready,
	.start = aio_start,
	.collect = aio_collect,
};
