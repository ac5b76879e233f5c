/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtio on the fake host: the test is the guest's driver, and hands over chains one by one; there are no rings. See fakehost.h.
 *
 * Each piece of a chain is an allocation of its own, so that a sanitizer sees the first byte too far. A chain stays until its device
 * is destroyed: whatever a plugin does with it after its end is noticed.
 */
#include "fakehost_impl.h"

#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE  256u /* where the class does not say */
#define ID_MAX      63u
#define SCRATCH_MAX 4096u
#define HEAD_BYTES  64u  /* that classify sees */
#define UNWRITTEN   0xa5 /* what writable bytes are at first */
#define PIECE_ALIGN 512u /* of large pieces, as O_DIRECT wants it */

/* Bits 0 to 23 and 50 to 63. */
#define FEATURES    ((UINT64_C(1) << 24) - 1 + (UINT64_MAX << 50))

/* ---- a device's life ---- */

static bool class_ok(const struct fakehost_dev *dev, const struct bp_virtio_class *table)
{
	return table->id && table->id <= ID_MAX && table->queue_count && table->queue_count <= BP_VIRTIO_QUEUES_MAX &&
	       table->queue_size <= BP_VIRTIO_SIZE_MAX && !(table->queue_size & (table->queue_size - 1)) &&
	       table->config_bytes <= BP_VIRTIO_CONFIG_MAX && table->scratch_bytes <= SCRATCH_MAX &&
	       !(table->features & ~FEATURES) && table->request && !dev->class_table.range_count &&
	       !dev->class_table.irq_count && !dev->class_table.hid && !dev->class_table.compatible &&
	       !dev->class_table.access;
}

int fake_virtio_new(struct fakehost_dev *dev)
{
	const struct bp_virtio_class *table = dev->class_table.virtio;
	struct fake_virtio *virtio = &dev->virtio;

	virtio->chains_end = &virtio->chains;
	if (!table)
		return 0;
	memcpy(&virtio->class_table, table,
	       table->size < sizeof(virtio->class_table) ? table->size : sizeof(virtio->class_table));
	if (!class_ok(dev, &virtio->class_table)) {
		fake_breach(dev, "the virtio class table is wrong");
		return -EINVAL;
	}
	if (!virtio->class_table.queue_size)
		virtio->class_table.queue_size = QUEUE_SIZE;
	virtio->features = virtio->class_table.features;
	virtio->queues = virtio->class_table.queue_count;
	return 0;
}

static void chain_free(struct fakehost_chain *chain)
{
	for (uint32_t i = 0; chain->iov && i < chain->iov_count; i++)
		free(chain->iov[i].iov_base);
	free(chain->iov);
	free(chain->chain.scratch);
	free(chain);
}

void fake_virtio_free(struct fakehost_dev *dev)
{
	while (dev->virtio.chains) {
		struct fakehost_chain *next = dev->virtio.chains->next;

		chain_free(dev->virtio.chains);
		dev->virtio.chains = next;
	}
}

void fake_virtio_settle(struct fakehost_dev *dev)
{
	dev->virtio.notices += dev->virtio.changed && dev->virtio.active;
	dev->virtio.changed = false;
}

void fake_virtio_deactivate(struct fakehost_dev *dev)
{
	dev->virtio.active = false;
}

void fake_virtio_void(struct fakehost_dev *dev)
{
	pthread_mutex_lock(&dev->host->lock);
	for (struct fakehost_chain *chain = dev->virtio.chains; chain; chain = chain->next)
		if (chain->state == FAKE_CHAIN_BUSY)
			chain->state = FAKE_CHAIN_VOID;
	memset(dev->virtio.left, 0, sizeof(dev->virtio.left));
	memset(dev->virtio.silent, 0, sizeof(dev->virtio.silent));
	pthread_mutex_unlock(&dev->host->lock);
}

/* ---- the guest's driver ---- */

uint64_t fakehost_virtio_offer(const struct fakehost_dev *dev, uint32_t *ret_queues)
{
	if (ret_queues)
		*ret_queues = dev->virtio.queues;
	return dev->virtio.features;
}

int fakehost_activate(struct fakehost_dev *dev, uint64_t features, uint32_t queues)
{
	struct fake_virtio *virtio = &dev->virtio;

	if (!virtio->class_table.id || dev->state != FAKE_RUNNING || dev->broken || virtio->active ||
	    (features & ~virtio->features) || !queues || queues > virtio->queues)
		return -EINVAL;
	virtio->active = true;
	virtio->queues_used = queues;
	if (virtio->class_table.activate) {
		struct fake_here before = fake_enter(dev, FAKE_DEV);

		virtio->class_table.activate(dev->self, features, queues);
		fake_leave(before);
	}
	return 0;
}

/* How many pieces there are, or -EINVAL if the device could read one behind one that it may write. */
static int count_pieces(const struct fakehost_piece *pieces)
{
	bool writable = false;
	int count = 0;

	for (; pieces[count].count; count++) {
		if (writable && pieces[count].bytes)
			return -EINVAL;
		writable = !pieces[count].bytes;
	}
	return count;
}

static bool piece_add(struct fakehost_chain *chain, const struct fakehost_piece *piece)
{
	struct iovec *iov = &chain->iov[chain->iov_count];

	if (posix_memalign(&iov->iov_base, piece->count < PIECE_ALIGN ? sizeof(void *) : PIECE_ALIGN, piece->count))
		return false;
	iov->iov_len = piece->count;
	chain->iov_count++;
	if (piece->bytes) {
		memcpy(iov->iov_base, piece->bytes, piece->count);
		chain->writable = chain->iov_count;
		chain->read.left += piece->count;
	} else {
		memset(iov->iov_base, UNWRITTEN, piece->count);
		chain->write_bytes += piece->count;
	}
	return true;
}

static struct fakehost_chain *chain_new(struct fakehost_dev *dev, uint32_t queue, const struct fakehost_piece *pieces,
					size_t count)
{
	uint32_t scratch = dev->virtio.class_table.scratch_bytes;
	struct fakehost_chain *chain = calloc(1, sizeof(*chain));

	if (!chain)
		return NULL;
	chain->dev = dev;
	chain->chain = (struct bp_chain){ .host = dev->dev.host, .dev = &dev->dev, .queue = queue };
	chain->op = (struct bp_op){ .size = sizeof(chain->op), .kind = BP_OP_OTHER };
	chain->iov = calloc(count ? count : 1, sizeof(*chain->iov));
	chain->chain.scratch = scratch ? calloc(1, scratch) : NULL;
	if (!chain->iov || (scratch && !chain->chain.scratch))
		goto fail;
	for (size_t i = 0; i < count; i++)
		if (!piece_add(chain, &pieces[i]))
			goto fail;
	chain->read.end = chain->writable;
	chain->write = (struct fake_side){ .at = chain->writable, .end = chain->iov_count, .left = chain->write_bytes };
	chain->write_limit = UINT64_MAX;
	return chain;
fail:
	chain_free(chain);
	return NULL;
}

/* Shows the device the chain's head, as it is for filters. */
static void classify(struct fakehost_chain *chain)
{
	struct fakehost_dev *dev = chain->dev;
	uint8_t head[HEAD_BYTES];
	uint32_t bytes = 0;
	struct fake_here before;

	for (uint32_t i = 0; i < chain->writable; i++) {
		size_t more = chain->iov[i].iov_len < HEAD_BYTES - bytes ? chain->iov[i].iov_len : HEAD_BYTES - bytes;

		if (!more)
			break;
		memcpy(head + bytes, chain->iov[i].iov_base, more);
		bytes += (uint32_t)more;
	}
	before = fake_enter(dev, FAKE_DEV);
	dev->virtio.class_table.classify(dev->self, chain->chain.queue, head, bytes, &chain->op);
	fake_leave(before);
}

void fake_chain_hand(struct fakehost_chain *chain)
{
	struct fakehost_dev *dev = chain->dev;
	struct fake_here before;

	chain->handed = true;
	if (dev->virtio.class_table.classify)
		classify(chain);
	dev->virtio.handing[chain->chain.queue] = true;
	before = fake_enter(dev, FAKE_DEV);
	dev->virtio.class_table.request(dev->self, &chain->chain);
	fake_leave(before);
	dev->virtio.handing[chain->chain.queue] = false;
}

int fakehost_chain(struct fakehost_dev *dev, uint32_t queue, const struct fakehost_piece *pieces,
		   struct fakehost_chain **ret)
{
	struct fake_virtio *virtio = &dev->virtio;
	int count = count_pieces(pieces);
	struct fakehost_chain *chain;

	if (!virtio->active || dev->state != FAKE_RUNNING || dev->broken)
		return -EACCES;
	if (queue >= virtio->queues_used || count < 0 || (uint32_t)count > virtio->class_table.queue_size)
		return -EINVAL;
	if (virtio->left[queue] == virtio->class_table.queue_size)
		return -ENOSPC;
	chain = chain_new(dev, queue, pieces, (size_t)count);
	if (!chain)
		return -ENOMEM;
	*virtio->chains_end = chain;
	virtio->chains_end = &chain->next;
	virtio->left[queue]++;
	if (ret)
		*ret = chain;
	if (!virtio->silent[queue])
		fake_chain_hand(chain);
	return 0;
}

bool fakehost_queue_tells(const struct fakehost_dev *dev, uint32_t queue)
{
	return queue < BP_VIRTIO_QUEUES_MAX && !dev->virtio.silent[queue];
}

uint32_t fakehost_chain_order(const struct fakehost_chain *chain)
{
	return chain->order;
}

uint64_t fakehost_chain_used(const struct fakehost_chain *chain)
{
	uint64_t written = chain->write_bytes - chain->write.left;

	return written < chain->write_limit ? written : chain->write_limit;
}

uint32_t fakehost_chain_kind(const struct fakehost_chain *chain)
{
	return chain->op.kind;
}

size_t fakehost_chain_get(const struct fakehost_chain *chain, uint64_t offset, void *buf, size_t bytes)
{
	uint8_t *to = buf;
	size_t done = 0;

	for (uint32_t i = chain->writable; i < chain->iov_count && done < bytes; i++) {
		const struct iovec *iov = &chain->iov[i];
		size_t more;

		if (offset >= iov->iov_len) {
			offset -= iov->iov_len;
			continue;
		}
		more = iov->iov_len - (size_t)offset < bytes - done ? iov->iov_len - (size_t)offset : bytes - done;
		memcpy(to + done, (const uint8_t *)iov->iov_base + offset, more);
		done += more;
		offset = 0;
	}
	return done;
}

uint32_t fakehost_chains_left(const struct fakehost_dev *dev, uint32_t queue)
{
	return queue < BP_VIRTIO_QUEUES_MAX ? dev->virtio.left[queue] : 0;
}

uint32_t fakehost_chains_done(const struct fakehost_dev *dev)
{
	return dev->virtio.done;
}

/* ---- configuration space ---- */

bool fake_config_ok(const struct fakehost_dev *dev, uint32_t offset, uint32_t bytes)
{
	uint32_t size = dev->virtio.class_table.config_bytes;

	return offset <= size && bytes <= size - offset;
}

int fakehost_config_read(const struct fakehost_dev *dev, uint32_t offset, void *buf, uint32_t bytes)
{
	if (!fake_config_ok(dev, offset, bytes))
		return -EINVAL;
	memcpy(buf, dev->virtio.config + offset, bytes);
	return 0;
}

int fakehost_config_write(struct fakehost_dev *dev, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct fake_here before;

	if (!fake_config_ok(dev, offset, bytes))
		return -EINVAL;
	if (!dev->virtio.class_table.config_changed || dev->state != FAKE_RUNNING || dev->broken)
		return -EACCES;
	memcpy(dev->virtio.config + offset, buf, bytes);
	before = fake_enter(dev, FAKE_DEV);
	dev->virtio.class_table.config_changed(dev->self, offset, bytes);
	fake_leave(before);
	return 0;
}

uint32_t fakehost_config_notices(const struct fakehost_dev *dev)
{
	return dev->virtio.notices;
}
