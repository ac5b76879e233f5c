/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One split virtqueue (VIRTIO 1.2, 2.7), with INDIRECT_DESC and EVENT_IDX, from the device's side. The only code that reads what a
 * guest writes into rings and descriptors, for every device: each rule about them is checked here, and a queue whose driver breaks
 * one gives nothing more until the device is reset.
 *
 * How a guest that rewrites everything at any time is held off: the rings' addresses are turned into pointers once, when the queue
 * is opened; each index and each descriptor is copied once, and only the copy is looked at; a chain's buffers become pieces of RAM
 * before anybody sees it. What the guest changes afterwards changes bytes in its buffers, and nothing else.
 *
 * What is not said by the specification is decided here:
 *  - a descriptor of no length is no piece; its address is not looked at, but it counts in the chain's length and order;
 *  - a ring lies in one region of RAM as a whole; a buffer may span regions that touch, with a piece in each;
 *  - an indirect table has at most as many entries as the queue (2.7.5.3.1 limits the chain), and the descriptor that refers to it does
 *    not count;
 *  - avail.flags is looked at only without EVENT_IDX, and unknown flags of descriptors are ignored.
 *
 * All under the device's lock.
 *
 *   state    entered by        allowed then
 *   open     virtqueue_open    everything
 *   broken   virtqueue_pop     virtqueue_open
 */
#ifndef DEVICE_VIRTQUEUE_H
#define DEVICE_VIRTQUEUE_H

#include "core/base/gmem.h"
#include "core/device/chain.h"

/* Numbers of features that change the rings (VIRTIO 1.2, 6). */
#define VIRTQUEUE_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTQUEUE_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTQUEUE_FEATURES        (VIRTQUEUE_F_INDIRECT_DESC | VIRTQUEUE_F_EVENT_IDX)

/* The rules, one for each check. */
enum virtqueue_rule {
	VIRTQUEUE_AVAIL_JUMP,     /* avail.idx is at most the queue's size ahead (2.7.6.1) */
	VIRTQUEUE_HEAD_RANGE,     /* the ring names a descriptor of the table */
	VIRTQUEUE_HEAD_IN_FLIGHT, /* the device does not have it already */
	VIRTQUEUE_NEXT_RANGE,     /* `next` names a descriptor of the same table */
	VIRTQUEUE_CHAIN_LENGTH,   /* at most as many descriptors as the queue has, so no loops (2.7.5.2, 2.7.5.3.1) */
	VIRTQUEUE_CHAIN_BYTES,    /* at most 2^32 bytes (2.7.5.2) */
	VIRTQUEUE_CHAIN_PIECES,   /* at most block->iov_max pieces; ours, not the specification's */
	VIRTQUEUE_ORDER,          /* what the device reads comes before what it writes (2.7.4.2) */
	VIRTQUEUE_BUFFER_RAM,     /* buffers lie in RAM */
	VIRTQUEUE_INDIRECT_OFF,   /* no indirect table unless the feature was negotiated (2.7.5.3.1) */
	VIRTQUEUE_INDIRECT_AGAIN, /* no indirect table within one (2.7.5.3.1) */
	VIRTQUEUE_INDIRECT_NEXT,  /* not with NEXT (2.7.5.3.1) */
	VIRTQUEUE_INDIRECT_BYTES, /* a table is one descriptor or more, whole ones */
	VIRTQUEUE_INDIRECT_SIZE,  /* and at most as many as the queue has */
	VIRTQUEUE_INDIRECT_RAM,   /* and lies in RAM */
	VIRTQUEUE_RULES
};

struct virtqueue_spec {
	const struct gmem *mem;    /* borrowed; outlives the queue */
	struct chain_block *block; /* borrowed; where chains come from, of at least `size` slots, none in use */
	uint64_t features;         /* negotiated; only VIRTQUEUE_FEATURES are looked at */
	uint16_t size;             /* entries: a power of two */
	uint64_t desc_gpa, avail_gpa, used_gpa;
};

struct virtqueue {
	const struct gmem *mem;
	struct chain_block *block;
	const uint8_t *desc; /* frozen, as are the two rings */
	uint8_t *avail;
	uint8_t *used;
	uint16_t size;
	bool indirect, event_idx;
	uint16_t avail_seen;                         /* avail.idx as it was last read */
	uint16_t avail_next;                         /* how many heads were taken, modulo 2^16 */
	uint16_t used_next;                          /* how many were given back */
	uint16_t used_published;                     /* used.idx as the guest sees it */
	bool quiet;                                  /* used.flags has NO_NOTIFY; without EVENT_IDX only */
	const char *broken;                          /* what the driver did, or NULL */
	uint64_t in_flight[BP_VIRTIO_SIZE_MAX / 64]; /* heads that the device has */
};

/* Makes an empty queue of what the driver has set up: nothing taken, nothing given back. -EINVAL for a size that cannot be
 * or rings that are not aligned (2.7), -EFAULT for a ring outside of RAM; the queue is as before then. */
int virtqueue_open(struct virtqueue *queue, const struct virtqueue_spec *spec);

/* The next chain that the driver has made available; NULL if there is none, and if it broke a rule: queue->broken says which then,
 * as the rest of a sentence that begins with the queue's name. */
struct chain *virtqueue_pop(struct virtqueue *queue);

/* Puts a chain into the used ring, where the driver does not see it before virtqueue_publish(). The slot is free then. */
void virtqueue_push(struct virtqueue *queue, struct chain *chain);

/* Shows the driver all that was pushed. Whether it wants an interrupt for that. */
bool virtqueue_publish(struct virtqueue *queue);

/* Asks the driver for a notification when it makes more available, and looks once more: true if it has done so meanwhile and the
 * notification may not come, so the caller has to pop. The only place that decides on this, after each batch as after a
 * pause. */
bool virtqueue_arm(struct virtqueue *queue);

/* Asks for no notifications; a hint, and nothing to do with EVENT_IDX, where they stay away until the next virtqueue_arm(). */
void virtqueue_disarm(struct virtqueue *queue);

/* "descriptor chain's `next` ..." for a rule; for messages and tests. */
const char *virtqueue_rule_text(enum virtqueue_rule rule);

#ifdef VIRTQUEUE_UNCHECKED
/* In test programs only, which are built of their own copy of this code: rules that are not checked, as a mask. Their tests show that
 * each check is missed by at least one case. */
extern uint32_t virtqueue_unchecked;
#endif

#endif
