/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request means in system calls, and what their results mean for it: short transfers, interruptions, the end of a file,
 * and operations that a file system lacks. All mechanisms go through here, which is why their results are the same.
 */
#include "core/base/checked.h"
#include "core/device/io/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int check_segments(const struct io_request *request)
{
	uint64_t sum = 0;

	if (request->iov_count > IO_SEGMENTS_MAX || (request->iov_count && !request->iov))
		return -EINVAL;
	for (uint32_t i = 0; i < request->iov_count; i++)
		if (__builtin_add_overflow(sum, (uint64_t)request->iov[i].iov_len, &sum))
			return -EOVERFLOW;
	return range_within(request->offset, sum, INT64_MAX) ? 0 : -EOVERFLOW;
}

int io_request_check(const struct io_engine *engine, const struct io_request *request)
{
	uint32_t allowed = request->op == IO_WRITE_ZEROES ? IO_MAY_UNMAP : 0;

	if (request->op >= IO_OP_COUNT || request->file >= engine->file_count || request->flags & ~allowed)
		return -EINVAL;
	switch ((enum io_op)request->op) {
	case IO_READV:
	case IO_WRITEV:
		return check_segments(request);
	case IO_DISCARD:
	case IO_WRITE_ZEROES:
		return range_within(request->offset, request->bytes, INT64_MAX) ? 0 : -EOVERFLOW;
	case IO_FLUSH:
	case IO_OP_COUNT:
		break;
	}
	return 0;
}

static bool finish(struct io_request *request, int64_t result)
{
	request->result = result;
	return true;
}

/* The next segments of a transfer: the rest of one that was transferred in part, or as many whole ones as the kernel takes. */
static bool next_segments(struct io_request *request, struct io_step *step)
{
	const struct iovec *segment = request->iov + request->segment;
	uint32_t left;

	while (request->segment < request->iov_count && request->segment_done == segment->iov_len) {
		request->segment++;
		request->segment_done = 0;
		segment++;
	}
	left = request->iov_count - request->segment;
	if (!left)
		return false;
	step->iov = segment;
	step->iov_count = left < IO_STEP_SEGMENTS ? left : IO_STEP_SEGMENTS;
	if (request->segment_done) {
		request->partial.iov_base = (uint8_t *)segment->iov_base + request->segment_done;
		request->partial.iov_len = segment->iov_len - request->segment_done;
		step->iov = &request->partial;
		step->iov_count = 1;
	}
	step->offset = request->offset + request->done_bytes;
	return true;
}

static void next_zeroes(struct io_engine *engine, struct io_request *request, struct io_step *step)
{
	struct io_file *file = &engine->files[request->file];
	uint64_t left = request->bytes - request->done_bytes;

	if (request->method == IO_ZERO_UNMAP && atomic_load_explicit(&file->lacks_unmap, memory_order_relaxed))
		request->method = IO_ZERO_RANGE;
	if (request->method == IO_ZERO_RANGE && atomic_load_explicit(&file->lacks_range, memory_order_relaxed))
		request->method = IO_ZERO_PLAIN;
	step->kind = IO_STEP_FALLOCATE;
	step->bytes = request->bytes;
	if (request->method == IO_ZERO_UNMAP) {
		step->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	} else if (request->method == IO_ZERO_RANGE) {
		step->mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	} else {
		step->kind = IO_STEP_WRITEV;
		step->offset = request->offset + request->done_bytes;
		step->iov = engine->zero_iov;
		step->iov_count = IO_ZERO_SEGMENTS;
		if (left < (uint64_t)IO_ZERO_SEGMENTS * IO_ZERO_BYTES)
			step->iov_count = (unsigned int)(left / IO_ZERO_BYTES);
		if (left < IO_ZERO_BYTES) {
			request->partial = (struct iovec){ .iov_base = engine->zeroes, .iov_len = (size_t)left };
			step->iov = &request->partial;
			step->iov_count = 1;
		}
	}
}

bool io_step_next(struct io_engine *engine, struct io_request *request, struct io_step *ret)
{
	const struct io_file *file = &engine->files[request->file];

	if (atomic_load_explicit(&engine->canceling, memory_order_relaxed))
		return !finish(request, -ECANCELED);
	*ret = (struct io_step){ .fd = file->fd, .offset = request->offset, .bytes = request->bytes };
	switch ((enum io_op)request->op) {
	case IO_READV:
	case IO_WRITEV:
		ret->kind = request->op == IO_READV ? IO_STEP_READV : IO_STEP_WRITEV;
		return next_segments(request, ret) || !finish(request, (int64_t)request->done_bytes);
	case IO_FLUSH:
		ret->kind = IO_STEP_FDATASYNC;
		return true;
	case IO_DISCARD:
		ret->kind = file->block ? IO_STEP_BLKDISCARD : IO_STEP_FALLOCATE;
		ret->mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
		return request->bytes || !finish(request, 0);
	case IO_WRITE_ZEROES:
		next_zeroes(engine, request, ret);
		return request->bytes || !finish(request, 0);
	case IO_OP_COUNT:
		break;
	}
	return !finish(request, -EINVAL);
}

/* Whether zeroes are tried in another way now. */
static bool zeroes_otherwise(struct io_file *file, struct io_request *request, int64_t error)
{
	/* Linux says EOPNOTSUPP; some file systems that run in user space say ENOSYS. */
	if (request->op != IO_WRITE_ZEROES || request->method == IO_ZERO_PLAIN ||
	    (error != -EOPNOTSUPP && error != -ENOSYS))
		return false;
	atomic_store_explicit(request->method == IO_ZERO_UNMAP ? &file->lacks_unmap : &file->lacks_range, true,
			      memory_order_relaxed);
	request->method++;
	return true;
}

static bool failed(struct io_engine *engine, struct io_request *request, int64_t error)
{
	/* ECANCELED: the thread that submitted it has ended. */
	if (error == -EINTR || error == -EAGAIN || error == -ECANCELED)
		return request->retries++ >= IO_RETRIES_MAX && finish(request, -EIO);
	if (zeroes_otherwise(&engine->files[request->file], request, error))
		return false;
	/* With O_DIRECT a read ends in the middle of a sector only where the file does, and cannot go on from there. */
	if (request->op == IO_READV && error == -EINVAL && request->done_bytes)
		return finish(request, (int64_t)request->done_bytes);
	return finish(request, error);
}

bool io_step_done(struct io_engine *engine, struct io_request *request, int64_t result)
{
	uint64_t bytes = (uint64_t)result;

	if (result < 0)
		return failed(engine, request, result);
	if (request->op == IO_WRITE_ZEROES && request->method == IO_ZERO_PLAIN) {
		request->done_bytes += bytes;
		if (!bytes)
			return finish(request, -EIO);
		return request->done_bytes >= request->bytes && finish(request, 0);
	}
	if (request->op != IO_READV && request->op != IO_WRITEV)
		return finish(request, 0);
	if (!bytes)
		return finish(request, request->op == IO_READV ? (int64_t)request->done_bytes : -EIO);
	request->done_bytes += bytes;
	while (bytes && request->segment < request->iov_count) {
		uint64_t left = request->iov[request->segment].iov_len - request->segment_done;

		if (bytes < left) {
			request->segment_done += bytes;
			return false;
		}
		bytes -= left;
		request->segment++;
		request->segment_done = 0;
	}
	/* Segments that are left may be empty: io_step_next() knows. */
	return request->segment == request->iov_count && finish(request, (int64_t)request->done_bytes);
}

int64_t io_step_run(const struct io_step *step)
{
	uint64_t range[2] = { step->offset, step->bytes };
	ssize_t r = -1;

	switch (step->kind) {
	case IO_STEP_READV:
		r = preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		break;
	case IO_STEP_WRITEV:
		r = pwritev(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		break;
	case IO_STEP_FDATASYNC:
		r = fdatasync(step->fd);
		break;
	case IO_STEP_FALLOCATE:
		r = fallocate(step->fd, step->mode, (off_t)step->offset, (off_t)step->bytes);
		break;
	case IO_STEP_BLKDISCARD:
		r = ioctl(step->fd, BLKDISCARD, range);
		break;
	}
	return r < 0 ? -errno : r;
}

void io_request_run(struct io_engine *engine, struct io_request *request)
{
	struct io_step step;

	while (io_step_next(engine, request, &step) && !io_step_done(engine, request, io_step_run(&step)))
		;
}
