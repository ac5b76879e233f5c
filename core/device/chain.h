/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Chains: the requests of a virtqueue as the plugin sees them (struct bp_chain), their two cursors, and the blocks that they are
 * stored in. Made by virtqueue.c, which has checked every piece; nothing here reads a descriptor.
 *
 * A block holds the chains of one queue for one life of the device, from activation to reset; it is made before the device runs, and a
 * request takes a slot of it. What a slot needs is bounded: CHAIN_IOV_SMALL pieces lie in the slot, and a chain with more uses its own
 * part of an area that is reserved as address space only, and takes memory as far as guests use it: at most 16 bytes * iov_max
 * (at most BP_CHAIN_IOV_MAX) a slot. The last slot that was given back is used first, so that a queue of little depth touches little.
 *
 * A plugin may complete a chain of a life that has ended, late. So a block whose chains were not all given back at the reset is set
 * aside, and a new life gets another one: pointers into the old one stay good, and are recognised (vdev.c); of the memory for pieces
 * it keeps nothing. The last CHAIN_LIVES blocks are kept so; a plugin that completes a chain after more resets than that is not protected from itself.
 *
 * All under the device's lock, but for chain_claim().
 */
#ifndef DEVICE_CHAIN_H
#define DEVICE_CHAIN_H

#include <backplane/virtio.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>

#define CHAIN_IOV_SMALL 8
#define CHAIN_LIVES     8 /* that have ended with chains in use, and are remembered */

/* free --chain_get--> busy --chain_claim--> done --chain_put--> free; chain_put also takes a busy one. */
enum chain_state { CHAIN_FREE, CHAIN_BUSY, CHAIN_DONE };

/* One side: the pieces [at, end) of the chain's, the first of them from `offset` on. */
struct chain_side {
	uint32_t at, end;
	size_t offset;
	uint64_t left;
};

struct chain {
	struct bp_chain head; /* first: what the plugin holds */
	struct chain_block *block;
	_Atomic(int) state; /* enum chain_state */
	uint16_t index;     /* in the descriptor table: what the used ring will say */
	uint32_t iov_count; /* pieces of both sides, those to be read first */
	struct iovec *iov;  /* `small`, or the slot's part of the area */
	struct chain_side read, write;
	uint64_t write_bytes;   /* of the whole side */
	uint64_t written_limit; /* no more than this much of its beginning was really written */
	struct chain *link;     /* list of free ones, or of done ones */
	struct iovec small[CHAIN_IOV_SMALL];
};

struct chain_block {
	struct chain_block *next; /* in a store */
	uint32_t queue;           /* for its owner: whose chains they are */
	uint32_t capacity;        /* slots */
	uint32_t iov_max;         /* pieces of a chain */
	uint32_t scratch_bytes;
	uint32_t fresh;  /* slots from here on have never been used */
	uint32_t in_use; /* slots that are busy or done */
	struct chain *free;
	size_t stride; /* bytes of a slot with its scratch */
	uint8_t *slots;
	struct iovec *area;
};

/* Room for `capacity` chains of a queue of at most that size. NULL without memory. */
struct chain_block *chain_block_new(uint32_t capacity, uint32_t scratch_bytes);
void chain_block_free(struct chain_block *block); /* NULL is fine */

/* The blocks of one queue. */
struct chain_store {
	uint32_t queue, capacity, scratch_bytes;
	struct chain_block *block;   /* of this life; between two lives, a spare one or NULL */
	struct chain_block *retired; /* of earlier lives, the latest first */
	uint32_t retired_count;      /* at most CHAIN_LIVES */
};

/* Makes the first block. -ENOMEM; chain_store_free() all the same. */
int chain_store_init(struct chain_store *store, uint32_t queue, uint32_t capacity, uint32_t scratch_bytes);
void chain_store_free(struct chain_store *store); /* a zeroed one is fine */

/* A life begins: `block` has no slot in use then. -ENOMEM. */
int chain_store_begin(struct chain_store *store);
/* It has ended: if slots are in use, `block` is set aside, and is NULL. */
void chain_store_end(struct chain_store *store);

/* A slot, busy, without pieces, its scratch zeroed; the head's host, dev and queue are the caller's to set. There is one as long as
 * fewer than `capacity` are in use. */
struct chain *chain_get(struct chain_block *block);
void chain_put(struct chain *chain);

/* Adds a piece behind all others; to the write side from the first time on that `write` is true. False if there are iov_max. */
bool chain_add(struct chain *chain, void *base, size_t bytes, bool write);

/* [any] The first call for a busy chain says true, and it is done then; every other one false. */
static inline bool chain_claim(struct chain *chain)
{
	int busy = CHAIN_BUSY;

	return atomic_compare_exchange_strong(&chain->state, &busy, CHAIN_DONE);
}

static inline struct chain *chain_of(struct bp_chain *chain)
{
	return (struct chain *)chain;
}

static inline struct chain_side *chain_side(struct chain *chain, uint32_t side)
{
	return side == BP_CHAIN_WRITE ? &chain->write : &chain->read;
}

/* What the functions of <backplane/virtio.h> do. `side` is BP_CHAIN_READ or BP_CHAIN_WRITE. */
size_t chain_read(struct chain *chain, void *buf, size_t bytes);
size_t chain_write(struct chain *chain, const void *buf, size_t bytes);
int chain_take(struct chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
int chain_peek(struct chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max);
int chain_wrote(struct chain *chain, uint64_t bytes);
int chain_skip(struct chain *chain, uint32_t side, uint64_t bytes);

/* How much of the write side is behind the cursor. */
static inline uint64_t chain_written(const struct chain *chain)
{
	return chain->write_bytes - chain->write.left;
}

/* Of what was taken of the write side, from `start` on only `bytes` were written: used.len counts no further (2.7.8.2). */
void chain_wrote_only(struct chain *chain, uint64_t start, uint64_t bytes);

/* What the used ring is told: the bytes at the beginning of the write side that were written. */
uint32_t chain_used_bytes(const struct chain *chain);

#endif
