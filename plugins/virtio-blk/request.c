/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests: read and checked, carried out in steps by the host's io engine, finished with a status. Under the instance's mutex.
 *
 * An engine has room for so many operations; a request that finds none waits in a list, which each completion goes through in order.
 */
#include "blk.h"

#include <inttypes.h>
#include <string.h>

#define TOLD_PERIOD_NS UINT64_C(60000000000)
#define TOLD_MAX       10u /* in a period */

static void request_done(void *arg, int64_t result);

static void finish(struct bp_chain *chain, uint32_t status)
{
	struct request *request = chain->scratch;
	struct blk *blk = request->blk;
	uint64_t left = bp_chain_left(chain, BP_CHAIN_WRITE);
	uint8_t byte = (uint8_t)status;

	if (status != S_OK)
		bp_metric_add(blk->metrics.errors, 1);
	/* Whatever of the data was not reached lies before the status byte. There is one: blk_request() has looked. */
	bp_chain_skip(chain, BP_CHAIN_WRITE, left - 1);
	bp_chain_write(chain, &byte, 1);
	bp_chain_complete(chain);
}

/* The operation that is next for a request: 0 with it in *op, 1 if there is none, or a status (negative). */
static int next_operation(struct bp_chain *chain, struct bp_io_request *op)
{
	struct request *request = chain->scratch;

	*op = (struct bp_io_request){ .size = sizeof(*op), .done = request_done, .arg = chain };
	if (request->step == STEP_FINISHED)
		return 1;
	if (request->step == STEP_FLUSH) {
		op->op = BP_IO_FLUSH;
		return 0;
	}
	op->offset = request->offset;
	op->bytes = request->bytes;
	switch (request->type) {
	case T_IN:
	case T_OUT:
		op->op = request->type == T_IN ? BP_IO_READ : BP_IO_WRITE;
		op->chain = chain;
		return 0;
	case T_FLUSH:
		op->op = BP_IO_FLUSH;
		op->offset = 0;
		return 0;
	default:
		op->op = request->type == T_DISCARD ? BP_IO_DISCARD : BP_IO_WRITE_ZEROES;
		op->flags = request->list[request->segment].flags & WZ_UNMAP ? BP_IO_F_UNMAP : 0;
		if (request->type == T_DISCARD)
			op->flags = 0;
		op->offset = request->list[request->segment].sector * IMAGE_SECTOR;
		op->bytes = request->list[request->segment].sectors * IMAGE_SECTOR;
		return 0;
	}
}

/* Goes on with a request as far as it can: to an operation under way, or to its end. False where the engine has no room. */
static int advance(struct bp_chain *chain)
{
	struct request *request = chain->scratch;
	struct bp_io_request op;
	int r;

	if (next_operation(chain, &op) != 0) {
		finish(chain, request->status);
		return 1;
	}
	r = bp_io_submit(request->blk->dev, request->blk->io, &op);
	if (r == -EBUSY)
		return 0;
	if (r < 0)
		finish(chain, S_IOERR);
	return 1;
}

/* Those that wait go first, so that nobody is overtaken for ever. */
static void wait_for_room(struct blk *blk, struct bp_chain *chain)
{
	chain->next = NULL;
	*blk->waiting_end = chain;
	blk->waiting_end = &chain->next;
}

static void run(struct blk *blk, struct bp_chain *chain)
{
	if (blk->waiting || !advance(chain))
		wait_for_room(blk, chain);
}

static void run_waiting(struct blk *blk)
{
	while (blk->waiting) {
		struct bp_chain *chain = blk->waiting, *next = chain->next;

		/* It may be gone on return. */
		if (!advance(chain))
			return;
		blk->waiting = next;
		if (!next)
			blk->waiting_end = &blk->waiting;
	}
}

/* What the end of an operation leads to. */
static void step(struct request *request)
{
	struct blk *blk = request->blk;

	switch (request->type) {
	case T_OUT:
		request->step = blk_writethrough(blk) && request->step == STEP_START ? STEP_FLUSH : STEP_FINISHED;
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		if (request->step == STEP_START && ++request->segment < request->segments)
			break;
		/* Zeroes are data, and as durable as a write. */
		request->step = request->type == T_WRITE_ZEROES && blk_writethrough(blk) && request->step == STEP_START
				    ? STEP_FLUSH
				    : STEP_FINISHED;
		break;
	default:
		request->step = STEP_FINISHED;
		break;
	}
}

/* Logs a request that failed. A guest can meet a bad sector as often as it likes, and must not fill the host's log with that; the metrics count all. */
static void tell(struct blk *blk, const struct request *request, const char *why)
{
	uint64_t now = bp_clock_ns(blk->dev);

	if (now - blk->told.since_ns >= TOLD_PERIOD_NS) {
		if (blk->told.left_out)
			bp_log(blk->dev, BP_LOG_WARN, "%" PRIu32 " more requests have failed", blk->told.left_out);
		blk->told.since_ns = now;
		blk->told.count = 0;
		blk->told.left_out = 0;
	}
	if (blk->told.count == TOLD_MAX) {
		blk->told.left_out++;
		return;
	}
	blk->told.count++;
	bp_log(blk->dev, BP_LOG_WARN, "request of type %" PRIu32 " at byte %" PRIu64 " failed: %s", request->type,
	       request->offset, why);
}

static void request_done(void *arg, int64_t result)
{
	struct bp_chain *chain = arg;
	struct request *request = chain->scratch;
	struct blk *blk = request->blk;
	int moves = request->step == STEP_START && (request->type == T_IN || request->type == T_OUT);

	/* A discard is a hint, which a host need not be able to take (its file system has no holes). */
	if (request->type == T_DISCARD && result == -EOPNOTSUPP)
		result = 0;
	/* A file that was cut short underneath gives less than it should. */
	if (result < 0 || (moves && (uint64_t)result != request->bytes)) {
		tell(blk, request, result < 0 ? strerror((int)-result) : "the image is shorter than it was");
		request->status = S_IOERR;
		request->step = STEP_FINISHED;
	} else {
		step(request);
	}
	/* What is over needs no room, and waits for none. */
	if (request->step == STEP_FINISHED)
		finish(chain, request->status);
	else
		run(blk, chain);
	run_waiting(blk);
}

/* Whether [sector, sector + bytes) lies on the disk, in whole blocks. */
static int range_fits(const struct blk *blk, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = blk->image.bytes / IMAGE_SECTOR;

	return bytes % blk->image.block_bytes == 0 && sector % (blk->image.block_bytes / IMAGE_SECTOR) == 0 &&
	       sector <= sectors && bytes / IMAGE_SECTOR <= sectors - sector;
}

static uint32_t prepare_data(struct blk *blk, struct bp_chain *chain, struct request *request, uint64_t sector)
{
	int in = request->type == T_IN;

	request->bytes = in ? bp_chain_left(chain, BP_CHAIN_WRITE) - 1 : bp_chain_left(chain, BP_CHAIN_READ);
	if ((!in && blk->readonly) || !range_fits(blk, sector, request->bytes))
		return S_IOERR;
	request->offset = sector * IMAGE_SECTOR;
	bp_metric_add(in ? blk->metrics.reads : blk->metrics.writes, 1);
	bp_metric_add(in ? blk->metrics.read_bytes : blk->metrics.write_bytes, request->bytes);
	if (!request->bytes)
		request->step = STEP_FINISHED;
	return S_OK;
}

/* 5.2.6.2: the segments of DISCARD and WRITE_ZEROES. */
static uint32_t prepare_segments(struct blk *blk, struct bp_chain *chain, struct request *request)
{
	uint64_t bytes = bp_chain_left(chain, BP_CHAIN_READ);
	uint32_t known = request->type == T_WRITE_ZEROES ? WZ_UNMAP : 0;

	if (!(blk->features & (request->type == T_DISCARD ? F_DISCARD : F_WRITE_ZEROES)))
		return S_UNSUPP;
	if (blk->readonly || !bytes || bytes % sizeof(struct blk_segment) ||
	    bytes / sizeof(struct blk_segment) > SEGMENTS_MAX)
		return S_IOERR;
	request->segments = (uint32_t)(bytes / sizeof(struct blk_segment));
	bp_chain_read(chain, request->list, bytes);
	for (uint32_t i = 0; i < request->segments; i++) {
		struct blk_segment *segment = &request->list[i];

		segment->sector = le64toh(segment->sector);
		segment->sectors = le32toh(segment->sectors);
		segment->flags = le32toh(segment->flags);
		if (segment->flags & ~known)
			return S_UNSUPP;
		if (!segment->sectors || segment->sectors > RANGE_SECTORS_MAX ||
		    !range_fits(blk, segment->sector, segment->sectors * IMAGE_SECTOR))
			return S_IOERR;
	}
	request->offset = request->list[0].sector * IMAGE_SECTOR;
	bp_metric_add(blk->metrics.discards, 1);
	return S_OK;
}

static uint32_t prepare_id(struct blk *blk, struct bp_chain *chain, struct request *request)
{
	if (bp_chain_left(chain, BP_CHAIN_WRITE) < ID_BYTES + 1)
		return S_IOERR;
	bp_chain_write(chain, blk->serial, ID_BYTES);
	request->step = STEP_FINISHED;
	return S_OK;
}

/* Reads and checks a request: its status, S_OK if it can be carried out. */
static uint32_t prepare(struct blk *blk, struct bp_chain *chain, struct request *request)
{
	struct blk_header header;
	uint64_t sector;

	if (bp_chain_read(chain, &header, sizeof(header)) != sizeof(header))
		return S_IOERR;
	request->type = le32toh(header.type);
	sector = le64toh(header.sector);
	switch (request->type) {
	case T_IN:
	case T_OUT:
		return prepare_data(blk, chain, request, sector);
	case T_FLUSH:
		bp_metric_add(blk->metrics.flushes, 1);
		if (blk->cache == CACHE_UNSAFE || blk->readonly)
			request->step = STEP_FINISHED;
		return S_OK;
	case T_GET_ID:
		return prepare_id(blk, chain, request);
	case T_DISCARD:
	case T_WRITE_ZEROES:
		return prepare_segments(blk, chain, request);
	default:
		return S_UNSUPP;
	}
}

void blk_request(void *self, struct bp_chain *chain)
{
	struct blk *blk = self;
	struct request *request = chain->scratch;

	if (!bp_chain_left(chain, BP_CHAIN_WRITE)) {
		bp_broken(blk->dev, "a request has no status byte");
		bp_chain_complete(chain);
		return;
	}
	*request = (struct request){ .blk = blk, .step = STEP_START };
	request->status = prepare(blk, chain, request);
	if (request->status != S_OK)
		finish(chain, request->status);
	else
		run(blk, chain);
}

void blk_classify(void *self, uint32_t queue, const void *head, uint32_t head_bytes, struct bp_op *op)
{
	struct blk_header header;

	(void)self;
	(void)queue;
	if (head_bytes < sizeof(header))
		return;
	memcpy(&header, head, sizeof(header));
	switch (le32toh(header.type)) {
	case T_IN:
		op->kind = BP_OP_READ;
		break;
	case T_OUT:
		op->kind = BP_OP_WRITE;
		break;
	case T_FLUSH:
		op->kind = BP_OP_FLUSH;
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		op->kind = BP_OP_DISCARD;
		break;
	default:
		break;
	}
}
