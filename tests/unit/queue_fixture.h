/* SPDX-License-Identifier: BSD-3-Clause */
/* One virtqueue on hand-made rings, without a device; for the tests of core/device/virtqueue.h. */
#ifndef TESTS_UNIT_QUEUE_FIXTURE_H
#define TESTS_UNIT_QUEUE_FIXTURE_H

#include "core/device/virtqueue.h"

#include "tests/unit/ring_driver.h"

#include <errno.h>
#include <fcntl.h>

struct queue_fixture {
	struct ring_driver driver;
	struct chain_block *block;
	struct virtqueue queue;
};

static inline struct virtqueue_spec queue_spec(struct queue_fixture *fixture, uint64_t features)
{
	return (struct virtqueue_spec){
		.mem = &fixture->driver.mem,
		.block = fixture->block,
		.features = features,
		.size = fixture->driver.size,
		.desc_gpa = RING_DESC,
		.avail_gpa = RING_AVAIL,
		.used_gpa = RING_USED,
	};
}

static inline void queue_init(struct queue_fixture *fixture, uint16_t size, uint64_t features)
{
	struct virtqueue_spec spec;

	ring_init(&fixture->driver, size);
	fixture->block = chain_block_new(size, 0);
	MUST(fixture->block);
	spec = queue_spec(fixture, features);
	MUST(virtqueue_open(&fixture->queue, &spec) == 0);
}

static inline void queue_end(struct queue_fixture *fixture)
{
	chain_block_free(fixture->block);
	ring_end(&fixture->driver);
}

/* Completes all that there is; how many chains. */
static inline size_t queue_drain(struct queue_fixture *fixture)
{
	struct chain *chain;
	size_t count = 0;

	while ((chain = virtqueue_pop(&fixture->queue))) {
		virtqueue_push(&fixture->queue, chain);
		count++;
	}
	return count;
}

#endif
