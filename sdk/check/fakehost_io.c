/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous io on the fake host: operations queue up, and are carried out one by one on the real file when the test says so, with the
 * results that the engines of the real host give. See fakehost.h.
 */
#include "fakehost_impl.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX     1024u
#define RUNS_MAX      1000000u /* of operations until none is left: more is a loop */
#define ZERO_BYTES    65536u
/* The part of a request that ABI 0.2 has. */
#define REQUEST_BYTES (offsetof(struct bp_io_request, arg) + sizeof(void *))

/* ---- carrying out ---- */

static int64_t transfer(const struct fake_op *op, uint64_t limit)
{
	bool write = op->request.op == BP_IO_WRITE;
	uint64_t done = 0;

	for (uint32_t i = 0; i < op->iov_count; i++) {
		uint8_t *at = op->iov[i].iov_base;
		size_t left = op->iov[i].iov_len;

		if (left > limit - done)
			left = (size_t)(limit - done);
		while (left) {
			off_t offset = (off_t)(op->request.offset + done);
			ssize_t r = write ? pwrite(op->io->fd, at, left, offset) : pread(op->io->fd, at, left, offset);

			if (r < 0 && errno == EINTR)
				continue;
			if (r < 0)
				return -errno;
			/* A read ends with the file; a write is whole or an error. */
			if (!r)
				return write ? -EIO : (int64_t)done;
			at += r;
			left -= (size_t)r;
			done += (uint64_t)r;
		}
	}
	return (int64_t)done;
}

static int64_t write_plainly(const struct fake_op *op)
{
	static const uint8_t zeroes[ZERO_BYTES];
	uint64_t done = 0;

	while (done < op->request.bytes) {
		uint64_t left = op->request.bytes - done;
		ssize_t r = pwrite(op->io->fd, zeroes, left < ZERO_BYTES ? (size_t)left : ZERO_BYTES,
				   (off_t)(op->request.offset + done));

		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (uint64_t)r;
	}
	return 0;
}

static int64_t allocate(const struct fake_op *op, int mode)
{
	int r = fallocate(op->io->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)op->request.offset, (off_t)op->request.bytes);

	return r < 0 ? -errno : 0;
}

static int64_t write_zeroes(const struct fake_op *op)
{
	int64_t r = -EOPNOTSUPP;

	if (op->request.flags & BP_IO_F_UNMAP)
		r = allocate(op, FALLOC_FL_PUNCH_HOLE);
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = allocate(op, FALLOC_FL_ZERO_RANGE);
	if (r == -EOPNOTSUPP || r == -ENOSYS)
		r = write_plainly(op);
	return r;
}

static int64_t discard(const struct fake_op *op)
{
	uint64_t range[2] = { op->request.offset, op->request.bytes };

	if (!op->io->is_block)
		return allocate(op, FALLOC_FL_PUNCH_HOLE);
	return ioctl(op->io->fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int64_t carry_out(struct fake_ios *ios, const struct fake_op *op)
{
	bool moves = op->request.op == BP_IO_READ || op->request.op == BP_IO_WRITE;
	int64_t fail = ios->fail;
	uint64_t cut;

	ios->fail = 0;
	if (fail)
		return fail;
	if (moves) {
		cut = ios->cut < op->request.bytes ? ios->cut : op->request.bytes;
		ios->cut = UINT64_MAX;
		return transfer(op, cut);
	}
	if (op->request.op == BP_IO_FLUSH)
		return fdatasync(op->io->fd) < 0 ? -errno : 0;
	if (!op->request.bytes)
		return 0;
	return op->request.op == BP_IO_DISCARD ? discard(op) : write_zeroes(op);
}

static void op_free(struct fake_op *op)
{
	free(op->iov);
	free(op);
}

/* Carries operation `index` out, and tells of it. */
static void run_one(struct fakehost_dev *dev, uint32_t index, bool tell)
{
	struct fake_op **at = &dev->io.ops, *op;
	bp_io_fn *done;
	void *arg;
	int64_t result;

	while (index--)
		at = &(*at)->next;
	op = *at;
	*at = op->next;
	op->io->count--;
	result = carry_out(&dev->io, op);
	/* What a read did not bring is not counted as written to the guest. */
	if (op->chain && op->chain->state == FAKE_CHAIN_BUSY && result < (int64_t)op->request.bytes)
		fake_chain_wrote_only(op->chain, op->chain_start, result > 0 ? (uint64_t)result : 0);
	done = op->request.done;
	arg = op->request.arg;
	op_free(op);
	if (tell) {
		struct fake_here before = fake_enter(dev, FAKE_DEV);

		done(arg, result);
		fake_leave(before);
	}
}

void fake_io_finish(struct fakehost_dev *dev)
{
	uint32_t count = 0;

	while (dev->io.ops) {
		if (++count > RUNS_MAX) {
			fake_breach(dev, "operations follow one another for ever");
			fake_io_end(dev);
			return;
		}
		run_one(dev, 0, true);
	}
}

void fake_io_end(struct fakehost_dev *dev)
{
	while (dev->io.ops)
		run_one(dev, 0, false);
}

void fake_io_free(struct fakehost_dev *dev)
{
	while (dev->io.ops) {
		struct fake_op *next = dev->io.ops->next;

		op_free(dev->io.ops);
		dev->io.ops = next;
	}
	for (size_t i = 0; i < dev->io.count; i++)
		free(dev->io.ios[i]);
}

/* ---- the test ---- */

uint32_t fakehost_io_count(const struct fakehost_dev *dev)
{
	uint32_t count = 0;

	for (const struct fake_op *op = dev->io.ops; op; op = op->next)
		count++;
	return count;
}

int fakehost_io_look(const struct fakehost_dev *dev, uint32_t index, struct fakehost_op *ret)
{
	const struct fake_op *op = dev->io.ops;

	while (op && index--)
		op = op->next;
	if (!op)
		return -ENOENT;
	*ret = (struct fakehost_op){
		.op = op->request.op,
		.flags = op->request.flags,
		.offset = op->request.offset,
		.bytes = op->request.bytes,
	};
	return 0;
}

uint32_t fakehost_io_run(struct fakehost_dev *dev, uint32_t count)
{
	uint32_t done = 0;

	while (done < count && done < RUNS_MAX && dev->io.ops && dev->state == FAKE_RUNNING) {
		run_one(dev, 0, true);
		done++;
	}
	if (done == RUNS_MAX)
		fake_breach(dev, "operations follow one another for ever");
	return done;
}

int fakehost_io_run_at(struct fakehost_dev *dev, uint32_t index)
{
	if (index >= fakehost_io_count(dev) || dev->state != FAKE_RUNNING)
		return -EINVAL;
	run_one(dev, index, true);
	return 0;
}

void fakehost_io_fail(struct fakehost_dev *dev, int error)
{
	dev->io.fail = error;
}

void fakehost_io_cut(struct fakehost_dev *dev, uint64_t bytes)
{
	dev->io.cut = bytes;
}

/* ---- the functions of struct bp_host ---- */

static int host_io_open(struct bp_dev *dev, int fd, uint32_t engine, uint32_t depth, struct bp_io **ret)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_CREATE, "bp_io_open");
	struct bp_io *io;
	struct stat st;

	if (r)
		return r;
	if (fd < 0 || engine > BP_IO_THREADS || !depth || depth > DEPTH_MAX)
		return -EINVAL;
	if (own->io.count == FAKE_IOS_MAX)
		return -ENOSPC;
	if (fstat(fd, &st) < 0)
		return -errno;
	io = calloc(1, sizeof(*io));
	if (!io)
		return -ENOMEM;
	*io = (struct bp_io){ .dev = own, .fd = fd, .depth = depth, .is_block = S_ISBLK(st.st_mode) };
	own->io.cut = UINT64_MAX;
	own->io.ios[own->io.count++] = io;
	*ret = io;
	return 0;
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

/* The pieces of memory of a READ or WRITE. How many, or -errno. */
static int take_memory(struct fake_op *op, const struct iovec *iov, uint32_t iov_count)
{
	struct fakehost_chain *chain = (struct fakehost_chain *)op->request.chain;
	bool read = op->request.op == BP_IO_READ;
	uint64_t sum = 0;
	int count;

	op->iov = calloc(BP_CHAIN_IOV_MAX, sizeof(*op->iov));
	if (!op->iov)
		return -ENOMEM;
	if (chain) {
		if (chain->dev != op->io->dev)
			return -EINVAL;
		count = fake_chain_take(chain, read ? BP_CHAIN_WRITE : BP_CHAIN_READ, op->request.bytes, op->iov,
					BP_CHAIN_IOV_MAX, &op->chain_start);
		op->chain = read ? chain : NULL;
		return count;
	}
	if (iov_count > BP_CHAIN_IOV_MAX || (iov_count && !iov))
		return -EINVAL;
	for (uint32_t i = 0; i < iov_count; i++) {
		op->iov[i] = iov[i];
		if (__builtin_add_overflow(sum, (uint64_t)iov[i].iov_len, &sum))
			return -EINVAL;
	}
	return sum == op->request.bytes ? (int)iov_count : -EINVAL;
}

static int host_io_submit(struct bp_io *io, const struct bp_io_request *request)
{
	struct fake_op **at = &io->dev->io.ops;
	struct fake_op *op;
	int r = fake_tag(io->dev, FAKE_DEV, "bp_io_submit");

	if (r)
		return r;
	if (request->size < REQUEST_BYTES)
		return -EINVAL;
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	memcpy(&op->request, request, request->size < sizeof(op->request) ? request->size : sizeof(op->request));
	op->io = io;
	if (!request_ok(&op->request))
		r = -EINVAL;
	else if (io->count == io->depth)
		r = -EBUSY;
	else if (op->request.op == BP_IO_READ || op->request.op == BP_IO_WRITE)
		r = take_memory(op, op->request.iov, op->request.iov_count);
	if (r < 0) {
		op_free(op);
		return r;
	}
	op->iov_count = (uint32_t)r;
	op->request.iov = NULL;
	while (*at)
		at = &(*at)->next;
	*at = op;
	io->count++;
	return 0;
}

void fake_io_fill(struct bp_host *table)
{
	table->io_open = host_io_open;
	table->io_submit = host_io_submit;
}
