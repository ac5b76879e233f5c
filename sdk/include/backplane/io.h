/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asynchronous io on a file that the device was granted. Since ABI 0.2.
 *
 * The host does it, by io_uring, Linux's aio or threads as the deployer chooses, straight between the file and the guest's memory; results are
 * the same with each. What is submitted in one callback is handed to the kernel at the end of it, in one go. Nothing is ordered but by
 * completion: a flush covers what was completed before it was submitted.
 */
#ifndef BACKPLANE_IO_H
#define BACKPLANE_IO_H

#include <backplane/host.h>

/* Engines. */
#define BP_IO_AUTO         0u /* io_uring, or threads where the host does not allow it */
#define BP_IO_URING        1u
#define BP_IO_AIO          2u
#define BP_IO_THREADS      3u

/* Operations. */
#define BP_IO_READ         1u
#define BP_IO_WRITE        2u
#define BP_IO_FLUSH        3u /* what was written, and is needed to read it again, is on stable storage then */
#define BP_IO_DISCARD      4u /* the range's contents may be forgotten; it reads as zeroes or as before */
#define BP_IO_WRITE_ZEROES 5u /* the range reads as zeroes then */

/* Flags. */
#define BP_IO_F_UNMAP      (1u << 0) /* WRITE_ZEROES: the range's space may be given back */

/* [dev] `result` is the number of bytes that were read or written, fewer than asked for only at the end of the file; 0 for other
 * operations; or -errno. Not called for what a reset of the device ended. */
typedef void bp_io_fn(void *arg, int64_t result);

/*
 * One operation; copied by bp_io_submit(). Memory for READ and WRITE comes from `chain`, of which the next `bytes` are taken as
 * bp_chain_take() does, or, where that is NULL, from `iov`, whose memory (of the plugin, or pinned) stays in place until `done`.
 */
struct bp_io_request {
	uint32_t size; /* of this struct */
	uint32_t op;   /* BP_IO_READ and so on */
	uint32_t flags;
	uint32_t iov_count;
	uint64_t offset; /* bytes; offset + bytes is at most INT64_MAX */
	uint64_t bytes;
	struct bp_chain *chain;
	const struct iovec *iov; /* copied; its lengths add up to `bytes` */
	bp_io_fn *done;
	void *arg;
};

/* [main] In create: makes an engine for a descriptor of bp_cfg_fd(), with room for `depth` operations at a time (1 to 1024). It ends with the
 * device. -EINVAL; -ENOSYS, -EPERM and the like, with what is wrong told by bp_fail(), where the host cannot have that engine; -ENOSPC beyond
 * 8 of a device. */
static inline int bp_io_open(struct bp_dev *dev, int fd, uint32_t engine, uint32_t depth, struct bp_io **ret)
{
	return BP_HOST_CALL(dev, io_open, -ENOSYS, dev, fd, engine, depth, ret);
}

/* [dev] Starts an operation. 0: `done` will be called, not from within this call. -EBUSY while `depth` of them are under way, -EINVAL
 * for a malformed one, -ENODATA if the chain has fewer bytes; `done` is not called then, and the chain's cursor has not moved. `dev` is
 * the instance that opened `io`. */
static inline int bp_io_submit(struct bp_dev *dev, struct bp_io *io, const struct bp_io_request *request)
{
	return BP_HOST_CALL(dev, io_submit, -ENOSYS, io, request);
}

#endif
