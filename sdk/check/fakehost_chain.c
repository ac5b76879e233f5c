/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plugin does with the chains and the configuration space of a virtio device on the fake host; see fakehost.h. */
#include "fakehost_impl.h"

#include <string.h>

static struct fakehost_chain *chain_of(struct bp_chain *chain)
{
	return (struct fakehost_chain *)chain;
}

/* ---- cursors ---- */

/* The next run of contiguous bytes, at most `bytes`, which are left, and moves the cursor behind it. */
static struct iovec next_run(const struct fakehost_chain *chain, struct fake_side *side, uint64_t bytes)
{
	const struct iovec *piece = &chain->iov[side->at];
	struct iovec run = { (uint8_t *)piece->iov_base + side->offset, piece->iov_len - side->offset };

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

/* Whether the chain is still the device's; a breach if it is not, or for a side that there is not. */
static bool usable(struct fakehost_chain *chain, uint32_t side, const char *function)
{
	if (side != BP_CHAIN_READ && side != BP_CHAIN_WRITE)
		fake_breach(chain->dev, "%s for side %u", function, side);
	else if (chain->state == FAKE_CHAIN_DONE)
		fake_breach(chain->dev, "%s for a chain that has been completed", function);
	else if (chain->state == FAKE_CHAIN_VOID)
		fake_breach(chain->dev, "%s for a chain of before a reset", function);
	else
		return true;
	return false;
}

static struct fake_side *side_of(struct fakehost_chain *chain, uint32_t side)
{
	return side == BP_CHAIN_READ ? &chain->read : &chain->write;
}

int fake_chain_take(struct fakehost_chain *chain, uint32_t side_bit, uint64_t bytes, struct iovec *iov,
		    uint32_t iov_max, uint64_t *ret_start)
{
	struct fake_side *side, before;
	uint32_t count = 0;

	if (!usable(chain, side_bit, "taking memory"))
		return -ENODATA;
	side = side_of(chain, side_bit);
	before = *side;
	if (bytes > side->left)
		return -ENODATA;
	*ret_start = chain->write_bytes - chain->write.left;
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

void fake_chain_wrote_only(struct fakehost_chain *chain, uint64_t start, uint64_t bytes)
{
	if (start + bytes < chain->write_limit)
		chain->write_limit = start + bytes;
}

/* ---- the functions of struct bp_host ---- */

static int host_virtio_offer(struct bp_dev *dev, uint64_t features, uint32_t queues)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_CREATE, "bp_virtio_offer");

	if (r)
		return r;
	if ((features & ~own->virtio.class_table.features) || !queues || queues > own->virtio.class_table.queue_count)
		return -EINVAL;
	own->virtio.features = features;
	own->virtio.queues = queues;
	return 0;
}

static int host_config_write(struct bp_dev *dev, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_ANY_MAIN | FAKE_DEV, "bp_virtio_config_write");

	if (r)
		return r;
	if (!fake_config_ok(own, offset, bytes))
		return -EINVAL;
	own->virtio.changed |= memcmp(own->virtio.config + offset, buf, bytes) != 0;
	memcpy(own->virtio.config + offset, buf, bytes);
	return 0;
}

static int host_config_read(struct bp_dev *dev, uint32_t offset, void *buf, uint32_t bytes)
{
	int r = fake_tag(fake_dev(dev), FAKE_ANY_MAIN | FAKE_DEV, "bp_virtio_config_read");

	return r ? r : fakehost_config_read(fake_dev(dev), offset, buf, bytes);
}

static uint64_t host_chain_left(struct bp_chain *handle, uint32_t side)
{
	struct fakehost_chain *chain = chain_of(handle);

	if (fake_tag(chain->dev, FAKE_DEV, "bp_chain_left") || !usable(chain, side, "bp_chain_left"))
		return 0;
	return side_of(chain, side)->left;
}

static size_t host_chain_read(struct bp_chain *handle, void *buf, size_t bytes)
{
	struct fakehost_chain *chain = chain_of(handle);
	size_t done = 0;

	if (fake_tag(chain->dev, FAKE_DEV, "bp_chain_read") || !usable(chain, BP_CHAIN_READ, "bp_chain_read"))
		return 0;
	if (bytes > chain->read.left)
		bytes = (size_t)chain->read.left;
	while (done < bytes) {
		struct iovec run = next_run(chain, &chain->read, bytes - done);

		memcpy((uint8_t *)buf + done, run.iov_base, run.iov_len);
		done += run.iov_len;
	}
	return done;
}

static size_t host_chain_write(struct bp_chain *handle, const void *buf, size_t bytes)
{
	struct fakehost_chain *chain = chain_of(handle);
	size_t done = 0;

	if (fake_tag(chain->dev, FAKE_DEV, "bp_chain_write") || !usable(chain, BP_CHAIN_WRITE, "bp_chain_write"))
		return 0;
	if (bytes > chain->write.left)
		bytes = (size_t)chain->write.left;
	while (done < bytes) {
		struct iovec run = next_run(chain, &chain->write, bytes - done);

		memcpy(run.iov_base, (const uint8_t *)buf + done, run.iov_len);
		done += run.iov_len;
	}
	return done;
}

static int host_chain_take(struct bp_chain *handle, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max)
{
	uint64_t start;
	int r = fake_tag(chain_of(handle)->dev, FAKE_DEV, "bp_chain_take");

	return r ? r : fake_chain_take(chain_of(handle), side, bytes, iov, iov_max, &start);
}

static int host_chain_peek(struct bp_chain *handle, uint32_t side_bit, uint64_t bytes, struct iovec *iov,
			   uint32_t iov_max)
{
	struct fakehost_chain *chain = chain_of(handle);
	int r = fake_tag(chain->dev, FAKE_DEV, "bp_chain_peek");
	struct fake_side *side, before;
	uint64_t start;

	if (r)
		return r;
	if (!usable(chain, side_bit, "bp_chain_peek"))
		return -ENODATA;
	side = side_of(chain, side_bit);
	before = *side;
	r = fake_chain_take(chain, side_bit, bytes, iov, iov_max, &start);
	*side = before;
	return r;
}

static int host_chain_wrote(struct bp_chain *handle, uint64_t bytes)
{
	struct fakehost_chain *chain = chain_of(handle);
	int r = fake_tag(chain->dev, FAKE_DEV, "bp_chain_wrote");

	if (r)
		return r;
	if (!usable(chain, BP_CHAIN_WRITE, "bp_chain_wrote") || bytes > chain->write.left)
		return -ENODATA;
	while (bytes)
		bytes -= next_run(chain, &chain->write, bytes).iov_len;
	return 0;
}

static int host_chain_skip(struct bp_chain *handle, uint32_t side_bit, uint64_t bytes)
{
	struct fakehost_chain *chain = chain_of(handle);
	int r = fake_tag(chain->dev, FAKE_DEV, "bp_chain_skip");
	struct fake_side *side;

	if (r)
		return r;
	if (!usable(chain, side_bit, "bp_chain_skip"))
		return -ENODATA;
	side = side_of(chain, side_bit);
	if (bytes > side->left)
		return -ENODATA;
	if (bytes && side == &chain->write)
		fake_chain_wrote_only(chain, chain->write_bytes - chain->write.left, 0);
	while (bytes)
		bytes -= next_run(chain, side, bytes).iov_len;
	return 0;
}

static void host_chain_complete(struct bp_chain *handle)
{
	struct fakehost_chain *chain = chain_of(handle);
	struct fakehost_dev *dev = chain->dev;
	enum fake_chain_state before;

	pthread_mutex_lock(&dev->host->lock);
	before = chain->state;
	chain->state = FAKE_CHAIN_DONE;
	if (before == FAKE_CHAIN_BUSY) {
		dev->virtio.left[handle->queue]--;
		/* The guest of a device that is broken or being reset gets nothing back. */
		if (dev->virtio.active && !dev->broken)
			chain->order = ++dev->virtio.done;
	}
	pthread_mutex_unlock(&dev->host->lock);
	if (before == FAKE_CHAIN_DONE)
		fake_breach(dev, "bp_chain_complete was called twice for a chain");
}

void fake_virtio_fill(struct bp_host *table)
{
	table->virtio_offer = host_virtio_offer;
	table->virtio_config_write = host_config_write;
	table->virtio_config_read = host_config_read;
	table->chain_left = host_chain_left;
	table->chain_read = host_chain_read;
	table->chain_write = host_chain_write;
	table->chain_take = host_chain_take;
	table->chain_skip = host_chain_skip;
	table->chain_peek = host_chain_peek;
	table->chain_wrote = host_chain_wrote;
	table->chain_complete = host_chain_complete;
}
