/* SPDX-License-Identifier: BSD-3-Clause */
/* Chains, their cursors and where they are kept; see chain.h. */
#include "core/device/chain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SCRATCH_ALIGN 16u

/* ---- blocks ---- */

static size_t area_bytes(const struct chain_block *block)
{
	return (size_t)block->capacity * block->iov_max * sizeof(struct iovec);
}

struct chain_block *chain_block_new(uint32_t capacity, uint32_t scratch_bytes)
{
	struct chain_block *block = calloc(1, sizeof(*block));
	void *area;

	if (!block)
		return NULL;
	block->capacity = capacity;
	block->scratch_bytes = scratch_bytes;
	/* Descriptors are at most as many as the queue has entries; one that spans regions of RAM has a piece in each. */
	block->iov_max = 2 * capacity < BP_CHAIN_IOV_MAX ? 2 * capacity : BP_CHAIN_IOV_MAX;
	block->stride = sizeof(struct chain) + scratch_bytes;
	block->stride = (block->stride + SCRATCH_ALIGN - 1) & ~(size_t)(SCRATCH_ALIGN - 1);
	block->slots = calloc(capacity, block->stride);
	area =
	    mmap(NULL, area_bytes(block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area != MAP_FAILED)
		block->area = area;
	if (!block->slots || !block->area) {
		chain_block_free(block);
		return NULL;
	}
	return block;
}

void chain_block_free(struct chain_block *block)
{
	if (!block)
		return;
	if (block->area)
		munmap(block->area, area_bytes(block));
	free(block->slots);
	free(block);
}

/* ---- the blocks of a queue ---- */

static int new_block(struct chain_store *store)
{
	store->block = chain_block_new(store->capacity, store->scratch_bytes);
	if (!store->block)
		return -ENOMEM;
	store->block->queue = store->queue;
	return 0;
}

int chain_store_init(struct chain_store *store, uint32_t queue, uint32_t capacity, uint32_t scratch_bytes)
{
	*store = (struct chain_store){ .queue = queue, .capacity = capacity, .scratch_bytes = scratch_bytes };
	return new_block(store);
}

void chain_store_free(struct chain_store *store)
{
	chain_block_free(store->block);
	store->block = NULL;
	while (store->retired) {
		struct chain_block *next = store->retired->next;

		chain_block_free(store->retired);
		store->retired = next;
	}
}

/* All slots are free again, whatever they were. */
static void clear_block(struct chain_block *block)
{
	for (uint32_t i = 0; i < block->fresh; i++) {
		struct chain *chain = (struct chain *)(void *)(block->slots + block->stride * i);

		atomic_store_explicit(&chain->state, CHAIN_FREE, memory_order_relaxed);
	}
	block->fresh = 0;
	block->in_use = 0;
	block->free = NULL;
}

/* Takes one of the retired blocks off the list: one whose chains have all come back, or else the oldest. */
static void take_retired(struct chain_store *store)
{
	struct chain_block **at = &store->retired;

	while ((*at)->in_use && (*at)->next)
		at = &(*at)->next;
	store->block = *at;
	*at = store->block->next;
	store->retired_count--;
	clear_block(store->block);
}

int chain_store_begin(struct chain_store *store)
{
	if (store->block)
		return 0;
	if (store->retired_count < CHAIN_LIVES)
		return new_block(store);
	take_retired(store);
	return 0;
}

void chain_store_end(struct chain_store *store)
{
	if (!store->block->in_use)
		return;
	/* Nobody looks at the pieces of a chain whose life has ended, and a guest that resets again and again must not pile them up. */
	(void)madvise(store->block->area, area_bytes(store->block), MADV_DONTNEED);
	store->block->next = store->retired;
	store->retired = store->block;
	store->retired_count++;
	store->block = NULL;
}

/* ---- chains ---- */

static_assert(sizeof(struct chain) % SCRATCH_ALIGN == 0, "scratch lies behind the chain, aligned for any type");

struct chain *chain_get(struct chain_block *block)
{
	struct chain *chain = block->free;

	if (chain)
		block->free = chain->link;
	else
		chain = (struct chain *)(void *)(block->slots + block->stride * block->fresh++);
	block->in_use++;
	chain->block = block;
	chain->head.next = NULL;
	chain->head.scratch = NULL;
	if (block->scratch_bytes) {
		chain->head.scratch = chain + 1;
		memset(chain->head.scratch, 0, block->scratch_bytes);
	}
	chain->iov = chain->small;
	chain->iov_count = 0;
	chain->read = (struct chain_side){ 0 };
	chain->write = (struct chain_side){ 0 };
	chain->write_bytes = 0;
	chain->written_limit = UINT64_MAX;
	atomic_store_explicit(&chain->state, CHAIN_BUSY, memory_order_relaxed);
	return chain;
}

void chain_put(struct chain *chain)
{
	struct chain_block *block = chain->block;

	atomic_store_explicit(&chain->state, CHAIN_FREE, memory_order_relaxed);
	chain->link = block->free;
	block->free = chain;
	block->in_use--;
}

bool chain_add(struct chain *chain, void *base, size_t bytes, bool write)
{
	const struct chain_block *block = chain->block;
	struct chain_side *side = write ? &chain->write : &chain->read;

	if (chain->iov_count == block->iov_max)
		return false;
	if (chain->iov_count == CHAIN_IOV_SMALL) {
		size_t slot = (size_t)((uint8_t *)chain - block->slots) / block->stride;

		chain->iov = block->area + slot * block->iov_max;
		memcpy(chain->iov, chain->small, sizeof(chain->small));
	}
	if (!side->end)
		side->at = chain->iov_count;
	chain->iov[chain->iov_count++] = (struct iovec){ .iov_base = base, .iov_len = bytes };
	side->end = chain->iov_count;
	side->left += bytes;
	if (write)
		chain->write_bytes += bytes;
	return true;
}

/* ---- cursors ---- */

/* The next run of contiguous bytes, at most `bytes` (which are left), and moves the cursor behind it. */
static struct iovec next_run(struct chain *chain, struct chain_side *side, uint64_t bytes)
{
	const struct iovec *piece = &chain->iov[side->at];
	struct iovec run = {
		.iov_base = (uint8_t *)piece->iov_base + side->offset,
		.iov_len = piece->iov_len - side->offset,
	};

	if (run.iov_len > bytes) {
		run.iov_len = (size_t)bytes;
		side->offset += run.iov_len;
	} else {
		side->at++;
		side->offset = 0;
	}
	side->left -= run.iov_len;
	return run;
}

size_t chain_read(struct chain *chain, void *buf, size_t bytes)
{
	size_t done = 0;

	if (bytes > chain->read.left)
		bytes = (size_t)chain->read.left;
	while (done < bytes) {
		struct iovec run = next_run(chain, &chain->read, bytes - done);

		memcpy((uint8_t *)buf + done, run.iov_base, run.iov_len);
		done += run.iov_len;
	}
	return done;
}

size_t chain_write(struct chain *chain, const void *buf, size_t bytes)
{
	size_t done = 0;

	if (bytes > chain->write.left)
		bytes = (size_t)chain->write.left;
	while (done < bytes) {
		struct iovec run = next_run(chain, &chain->write, bytes - done);

		memcpy(run.iov_base, (const uint8_t *)buf + done, run.iov_len);
		done += run.iov_len;
	}
	return done;
}

int chain_take(struct chain *chain, uint32_t side_bit, uint64_t bytes, struct iovec *iov, uint32_t iov_max)
{
	struct chain_side *side = chain_side(chain, side_bit), before = *side;
	uint32_t count = 0;

	if (bytes > side->left)
		return -ENODATA;
	while (bytes) {
		if (count == iov_max) {
			*side = before;
			return -EMSGSIZE;
		}
		iov[count] = next_run(chain, side, bytes);
		bytes -= iov[count++].iov_len;
	}
	return (int)count;
}

int chain_peek(struct chain *chain, uint32_t side_bit, uint64_t bytes, struct iovec *iov, uint32_t iov_max)
{
	struct chain_side *side = chain_side(chain, side_bit), before = *side;
	int count = chain_take(chain, side_bit, bytes, iov, iov_max);

	*side = before;
	return count;
}

int chain_wrote(struct chain *chain, uint64_t bytes)
{
	if (bytes > chain->write.left)
		return -ENODATA;
	while (bytes)
		bytes -= next_run(chain, &chain->write, bytes).iov_len;
	return 0;
}

int chain_skip(struct chain *chain, uint32_t side_bit, uint64_t bytes)
{
	struct chain_side *side = chain_side(chain, side_bit);

	if (bytes > side->left)
		return -ENODATA;
	if (bytes && side == &chain->write)
		chain_wrote_only(chain, chain_written(chain), 0);
	while (bytes)
		bytes -= next_run(chain, side, bytes).iov_len;
	return 0;
}

void chain_wrote_only(struct chain *chain, uint64_t start, uint64_t bytes)
{
	if (start + bytes < chain->written_limit)
		chain->written_limit = start + bytes;
}

uint32_t chain_used_bytes(const struct chain *chain)
{
	uint64_t bytes = chain_written(chain);

	if (bytes > chain->written_limit)
		bytes = chain->written_limit;
	return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}
