/* SPDX-License-Identifier: BSD-3-Clause */
/* The host table's entries for a chain's cursors. [dev]. A chain that is over, or of an earlier life, is empty. */
#include "core/device/chain.h"
#include "core/device/internal.h"

#include <errno.h>

/* Whether the function may be called for this chain, here and now. */
static bool usable(struct chain *chain, const char *function)
{
	struct device *device = device_of(chain->head.dev);

	return device_on_tag(device, false, true, function) && vdev_chain_live(device, chain);
}

uint64_t host_chain_left(struct bp_chain *handle, uint32_t side)
{
	struct chain *chain = chain_of(handle);

	return usable(chain, "bp_chain_left") ? chain_side(chain, side)->left : 0;
}

size_t host_chain_read(struct bp_chain *handle, void *buf, size_t bytes)
{
	struct chain *chain = chain_of(handle);

	return usable(chain, "bp_chain_read") ? chain_read(chain, buf, bytes) : 0;
}

size_t host_chain_write(struct bp_chain *handle, const void *buf, size_t bytes)
{
	struct chain *chain = chain_of(handle);

	return usable(chain, "bp_chain_write") ? chain_write(chain, buf, bytes) : 0;
}

int host_chain_take(struct bp_chain *handle, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max)
{
	struct chain *chain = chain_of(handle);

	if (!device_on_tag(device_of(handle->dev), false, true, "bp_chain_take"))
		return -EDEADLK;
	if (side != BP_CHAIN_READ && side != BP_CHAIN_WRITE)
		return -EINVAL;
	return vdev_chain_live(device_of(handle->dev), chain) ? chain_take(chain, side, bytes, iov, iov_max) : -ENODATA;
}

int host_chain_peek(struct bp_chain *handle, uint32_t side, uint64_t bytes, struct iovec *iov, uint32_t iov_max)
{
	struct chain *chain = chain_of(handle);

	if (!device_on_tag(device_of(handle->dev), false, true, "bp_chain_peek"))
		return -EDEADLK;
	if (side != BP_CHAIN_READ && side != BP_CHAIN_WRITE)
		return -EINVAL;
	return vdev_chain_live(device_of(handle->dev), chain) ? chain_peek(chain, side, bytes, iov, iov_max) : -ENODATA;
}

int host_chain_wrote(struct bp_chain *handle, uint64_t bytes)
{
	struct chain *chain = chain_of(handle);

	if (!device_on_tag(device_of(handle->dev), false, true, "bp_chain_wrote"))
		return -EDEADLK;
	return vdev_chain_live(device_of(handle->dev), chain) ? chain_wrote(chain, bytes) : -ENODATA;
}

int host_chain_skip(struct bp_chain *handle, uint32_t side, uint64_t bytes)
{
	struct chain *chain = chain_of(handle);

	if (!device_on_tag(device_of(handle->dev), false, true, "bp_chain_skip"))
		return -EDEADLK;
	if (side != BP_CHAIN_READ && side != BP_CHAIN_WRITE)
		return -EINVAL;
	return vdev_chain_live(device_of(handle->dev), chain) ? chain_skip(chain, side, bytes) : -ENODATA;
}
