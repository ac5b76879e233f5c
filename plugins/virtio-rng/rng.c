/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An entropy device (VIRTIO 1.2, 5.4): each buffer of the guest is filled from the host's random number generator.
 *
 * A request is answered in the callback that brings it, and gives at most REQUEST_MAX bytes, so that a guest with large buffers holds
 * nobody up: a driver takes what it gets, and asks again (5.4.6). There is no state but the handle.
 */
#include <backplane/plugin.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define VIRTIO_ID_RNG 4u
#define QUEUE_SIZE    64u
#define REQUEST_MAX   4096u
/* As many bytes as getrandom() gives in one piece, whatever signals arrive. */
#define PIECE_BYTES   256u

struct rng {
	struct bp_dev *dev;
	uint64_t *bytes; /* metric */
};

/* Waits until the host's generator has been seeded, which only matters while a host starts; later it never blocks. */
static int rng_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct rng *rng;
	uint8_t probe;

	(void)cfg;
	if (getrandom(&probe, sizeof(probe), 0) != (ssize_t)sizeof(probe))
		return bp_fail(dev, -errno, "the host gives no random numbers");
	rng = calloc(1, sizeof(*rng));
	if (!rng)
		return bp_fail(dev, -ENOMEM, "no memory");
	rng->dev = dev;
	bp_metric(dev, BP_METRIC_COUNTER, "entropy_bytes", "random bytes that the guest was given", &rng->bytes);
	*ret = rng;
	return 0;
}

/* What a driver lets the device read (which it must not do) is not looked at. */
static void rng_request(void *self, struct bp_chain *chain)
{
	struct rng *rng = self;
	uint64_t left = bp_chain_left(chain, BP_CHAIN_WRITE);

	if (left > REQUEST_MAX)
		left = REQUEST_MAX;
	while (left) {
		uint8_t piece[PIECE_BYTES];
		size_t bytes = left < sizeof(piece) ? (size_t)left : sizeof(piece);
		ssize_t got = getrandom(piece, bytes, GRND_NONBLOCK);

		if (got <= 0)
			break;
		left -= bp_chain_write(chain, piece, (size_t)got);
		bp_metric_add(rng->bytes, (uint64_t)got);
	}
	bp_chain_complete(chain);
}

static void rng_reset(void *self)
{
	(void)self;
}

static const struct bp_virtio_class rng_virtio = {
	BP_VIRTIO_CLASS_INIT, .id = VIRTIO_ID_RNG, .queue_count = 1, .queue_size = QUEUE_SIZE, .request = rng_request,
};

static const struct bp_device_class rng_class = {
	BP_DEVICE_CLASS_INIT,  .name = "virtio-rng", .summary = "random numbers of the host",
	.create = rng_create,  .reset = rng_reset,   .destroy = free,
	.virtio = &rng_virtio,
};

BP_PLUGIN("org.backplane.virtio-rng", "0.1", &rng_class)
