/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtio devices (VIRTIO 1.2). Since ABI 0.2.
 *
 * The host does the transport, the status machine, feature negotiation and the rings, once for every device: a class says what it
 * is, and gets each buffer chain of the guest as one request, checked. It reads the chain through a cursor (every byte is copied out
 * of the guest's memory once, so what has been checked stays so), writes through another, and completes it. The host computes
 * used.len from what was written, publishes completions in batches, and signals the guest when it asks for it.
 *
 * A chain lives from `request` to bp_chain_complete(), which is called exactly once, from `request` itself or later. A reset of the
 * device, by the guest or by the machine, ends all chains: the plugin's `reset` is called, and forgets those that it keeps; a
 * completion that comes later, such as that of an io under way, is dropped by the host. `reset` comes when nothing that the host does
 * for the device (bp_io_*) touches the guest's memory any more.
 *
 * Requests come in the queue's order, and all buffers that the guest has offered come at once. A device that waits for something to
 * put into them (a console's input, a network's packets) keeps the chains in a list of its own: `next` of struct bp_chain is for that.
 */
#ifndef BACKPLANE_VIRTIO_H
#define BACKPLANE_VIRTIO_H

#include <backplane/host.h>

/* The two sides of a chain, for the device: what it may read comes first, then what it may write (2.7.4.2). */
#define BP_CHAIN_READ        1u
#define BP_CHAIN_WRITE       2u

#define BP_VIRTIO_QUEUES_MAX 64u
#define BP_VIRTIO_SIZE_MAX   1024u /* of a queue, entries */
#define BP_VIRTIO_CONFIG_MAX 256u  /* bytes of configuration space */
#define BP_CHAIN_IOV_MAX     1024u /* pieces of one side of a chain */

/* Kinds of requests that `classify` tells, for filters. */
#define BP_OP_OTHER          0u
#define BP_OP_READ           1u /* from the device to the guest */
#define BP_OP_WRITE          2u
#define BP_OP_FLUSH          3u
#define BP_OP_DISCARD        4u

/* One request of the guest. The host makes it, and owns all but `next` and `scratch`. */
struct bp_chain {
	const struct bp_host *host;
	struct bp_dev *dev;
	uint32_t queue;
	uint32_t reserved;
	struct bp_chain *next; /* the plugin's, NULL at first */
	void *scratch;         /* the plugin's: as many bytes as the class asked for, zeroed; NULL for none */
};

/* What a request is, before it is carried out. */
struct bp_op {
	uint32_t size; /* of this struct */
	uint32_t kind; /* BP_OP_*, BP_OP_OTHER at first */
	uint64_t bytes;
};

/*
 * What a virtio class declares. Everything up to the callbacks is copied when the plugin is loaded; it must be constant.
 * VIRTIO_F_VERSION_1, INDIRECT_DESC and EVENT_IDX are the host's to offer: `features` has only bits of the device type (0 to 23 and
 * 50 to 63).
 */
struct bp_virtio_class {
	uint32_t size;          /* BP_VIRTIO_CLASS_INIT */
	uint32_t id;            /* device type (section 5), 1 to 63 */
	uint32_t queue_count;   /* the most that there can be, 1 to BP_VIRTIO_QUEUES_MAX */
	uint32_t queue_size;    /* a power of two up to BP_VIRTIO_SIZE_MAX, 0 for 256; the guest may choose less */
	uint32_t config_bytes;  /* of configuration space, at most BP_VIRTIO_CONFIG_MAX */
	uint32_t scratch_bytes; /* of struct bp_chain, at most 4096 */
	uint64_t features;      /* the most that there can be */

	/* [dev] The guest's driver is there (DRIVER_OK), with these features and `queues` queues that it has set up. Requests follow.
	 * Optional. */
	void (*activate)(void *self, uint64_t features, uint32_t queues);

	/* [dev] Says what a request is, from the bytes at its head: `head` is a copy, of at most 64 bytes, and the cursor has not moved.
	 * Called once per chain, before request, where a filter wants to know. Optional: everything is BP_OP_OTHER then. */
	void (*classify)(void *self, uint32_t queue, const void *head, uint32_t head_bytes, struct bp_op *op);

	/* [dev] One request. The plugin has the chain until it completes it. */
	void (*request)(void *self, struct bp_chain *chain);

	/* [dev] The guest has written to configuration space; bp_virtio_config_read() gives the new contents. Optional: without it
	 * the guest cannot write there. */
	void (*config_changed)(void *self, uint32_t offset, uint32_t bytes);
};

#define BP_VIRTIO_CLASS_INIT .size = sizeof(struct bp_virtio_class)

/* ---- the device ---- */

/* [main] In create: offers fewer features or queues than the class declares, as the configuration wants it. -EINVAL for a feature that the
 * class does not have, no queue, or more than it has. */
static inline int bp_virtio_offer(struct bp_dev *dev, uint64_t features, uint32_t queues)
{
	return BP_HOST_CALL(dev, virtio_offer, -ENOSYS, dev, features, queues);
}

/* [main] [dev] Writes to configuration space (zero at first), in little endian as 2.5 wants it. A guest that is running is told of a
 * change in one interrupt per callback, and sees either all of it or nothing (2.5.3). -EINVAL outside of config_bytes. */
static inline int bp_virtio_config_write(struct bp_dev *dev, uint32_t offset, const void *buf, uint32_t bytes)
{
	return BP_HOST_CALL(dev, virtio_config_write, -ENOSYS, dev, offset, buf, bytes);
}

/* [main] [dev] What is in configuration space. -EINVAL outside of config_bytes. */
static inline int bp_virtio_config_read(struct bp_dev *dev, uint32_t offset, void *buf, uint32_t bytes)
{
	return BP_HOST_CALL(dev, virtio_config_read, -ENOSYS, dev, offset, buf, bytes);
}

/* ---- chains ---- */

/* [dev] Bytes that are left on a side (BP_CHAIN_READ or BP_CHAIN_WRITE) behind the cursor. */
static inline uint64_t bp_chain_left(struct bp_chain *chain, uint32_t side)
{
	return BP_HOST_CALL(chain, chain_left, 0, chain, side);
}

/* [dev] Copies the next bytes that the guest sent. How many: fewer than asked for only at the end of the side. */
static inline size_t bp_chain_read(struct bp_chain *chain, void *buf, size_t bytes)
{
	return BP_HOST_CALL(chain, chain_read, 0, chain, buf, bytes);
}

/* [dev] Writes the next bytes for the guest. How many: fewer than given only at the end of the side. */
static inline size_t bp_chain_write(struct bp_chain *chain, const void *buf, size_t bytes)
{
	return BP_HOST_CALL(chain, chain_write, 0, chain, buf, bytes);
}

/* [dev] Takes the next `bytes` of a side as pieces of memory, for readv and the like, and moves the cursor behind them. The guest may write
 * there at any time. The pieces are valid until the chain is completed or the device is reset; what is taken of the WRITE side counts
 * as written. How many pieces, -EMSGSIZE if there are more than iov_max (nothing is taken then), -ENODATA if fewer bytes are left. */
static inline int bp_chain_take(struct bp_chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov,
				uint32_t iov_max)
{
	return BP_HOST_CALL(chain, chain_take, -ENOSYS, chain, side, bytes, iov, iov_max);
}

/* [dev] Moves the cursor of a side on without reading or writing. What the guest is told of how much was written (used.len) ends
 * at the first byte of the WRITE side that was skipped. -ENODATA if fewer bytes are left; nothing moves then. */
static inline int bp_chain_skip(struct bp_chain *chain, uint32_t side, uint64_t bytes)
{
	return BP_HOST_CALL(chain, chain_skip, -ENOSYS, chain, side, bytes);
}

/* [dev] Since 0.3. As bp_chain_take(), but the cursor stays where it is, and nothing counts as written: for a device that learns only
 * afterwards how much of its buffers it has filled. */
static inline int bp_chain_peek(struct bp_chain *chain, uint32_t side, uint64_t bytes, struct iovec *iov,
				uint32_t iov_max)
{
	return BP_HOST_CALL(chain, chain_peek, -ENOSYS, chain, side, bytes, iov, iov_max);
}

/* [dev] Since 0.3. Moves the cursor of the WRITE side over `bytes` that were written through pieces of bp_chain_peek(). -ENODATA if fewer are
 * left; nothing moves then. */
static inline int bp_chain_wrote(struct bp_chain *chain, uint64_t bytes)
{
	return BP_HOST_CALL(chain, chain_wrote, -ENOSYS, chain, bytes);
}

/* [any] Gives the chain back to the guest, with what was written to it. It is gone then. What is completed on the device ([dev]) reaches the
 * guest when the callback ends: the chains of a queue together, in the order in which they were completed. The requests that come with one
 * notification of the guest are one callback in this. What is completed anywhere else reaches it in that order, too, but soon, and maybe
 * one by one: chains that have to arrive together, as the buffers of one frame (5.1.6.4), are completed on the device. */
static inline void bp_chain_complete(struct bp_chain *chain)
{
	if (BP_HOST_HAS(chain->host, chain_complete))
		(chain->host->chain_complete)(chain);
}

#endif
