/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A backend for the tests of core/virtio: it remembers what it was told, its config space is plain memory under a lock, and it
 * holds its callers to the contract of backend.h. No cmocka here: the fuzz target has it, too.
 */
#ifndef TESTS_UNIT_VIRTIO_FAKE_H
#define TESTS_UNIT_VIRTIO_FAKE_H

#include "core/base/fd.h"
#include "core/virtio/mmio.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_MUST(condition)                                                                    \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#define FAKE_DEVICE_ID 0x2au
#define FAKE_VENDOR_ID 0x554d4551u

struct fake {
	struct virtio_backend backend;
	struct virtio_isr isr;
	int call_fd;
	struct virtio_device *device; /* for notices from inside a callback; set by the test */

	bool refuse;   /* activate fails */
	bool complain; /* activate succeeds, but finds that the device needs a reset */
	bool active;
	unsigned int inside;      /* callbacks under way: never two */
	unsigned int activations; /* calls, failed ones too */
	unsigned int resets;
	struct virtio_activation activation; /* the last one; queues points to the copy below */
	struct virtio_queue_setup queues[VIRTIO_QUEUES_MAX];

	pthread_mutex_t lock; /* the config space */
	uint8_t config[VIRTIO_CONFIG_BYTES_MAX];
	unsigned int config_reads;
	unsigned int config_writes;
};

static inline void fake_enter(struct fake *fake)
{
	FAKE_MUST(fake->inside++ == 0);
}

static inline void fake_leave(struct fake *fake)
{
	FAKE_MUST(--fake->inside == 0);
}

static inline int fake_activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	struct fake *fake = ctx;
	int r = 0;

	fake_enter(fake);
	FAKE_MUST(!fake->active);
	FAKE_MUST(activation->queue_count == fake->backend.queue_count);
	FAKE_MUST(activation->isr == &fake->isr);
	fake->activations++;
	fake->activation = *activation;
	memcpy(fake->queues, activation->queues, activation->queue_count * sizeof(fake->queues[0]));
	fake->activation.queues = fake->queues;
	if (fake->refuse)
		r = err_set(err, -EFAULT, "a ring is not in RAM");
	else
		fake->active = true;
	if (fake->complain)
		virtio_device_needs_reset(fake->device);
	fake_leave(fake);
	return r;
}

static inline void fake_reset(void *ctx)
{
	struct fake *fake = ctx;

	fake_enter(fake);
	FAKE_MUST(fake->active);
	fake->active = false;
	fake->resets++;
	fake_leave(fake);
}

static inline void fake_config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	struct fake *fake = ctx;

	fake_enter(fake);
	FAKE_MUST(bytes && offset <= fake->backend.config_bytes && bytes <= fake->backend.config_bytes - offset);
	pthread_mutex_lock(&fake->lock);
	memcpy(buf, fake->config + offset, bytes);
	pthread_mutex_unlock(&fake->lock);
	fake->config_reads++;
	fake_leave(fake);
}

static inline void fake_config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct fake *fake = ctx;

	fake_enter(fake);
	FAKE_MUST(bytes && offset <= fake->backend.config_bytes && bytes <= fake->backend.config_bytes - offset);
	pthread_mutex_lock(&fake->lock);
	memcpy(fake->config + offset, buf, bytes);
	pthread_mutex_unlock(&fake->lock);
	fake->config_writes++;
	fake_leave(fake);
}

static const struct virtio_backend_ops fake_ops = {
	.activate = fake_activate,
	.reset = fake_reset,
	.config_read = fake_config_read,
	.config_write = fake_config_write,
};

/* Three queues of different sizes, a config space of 29 bytes that ends in the middle of a word. */
static inline void fake_init(struct fake *fake)
{
	*fake = (struct fake){
		.backend = {
			.ops = &fake_ops,
			.ctx = fake,
			.device_id = FAKE_DEVICE_ID,
			.vendor_id = FAKE_VENDOR_ID,
			.features = UINT64_C(0x8004000030000a05),
			.config_bytes = 29,
			.queue_count = 3,
			.queue_sizes = { 256, 1, 32768 },
		},
		.lock = PTHREAD_MUTEX_INITIALIZER,
	};
	fake->call_fd = fd_event();
	FAKE_MUST(fake->call_fd >= 0);
	for (size_t i = 0; i < sizeof(fake->config); i++)
		fake->config[i] = (uint8_t)(0xc0 + i);
}

static inline void fake_end(struct fake *fake)
{
	fd_close(fake->call_fd);
}

static inline struct virtio_device_spec fake_spec(struct fake *fake)
{
	return (struct virtio_device_spec){
		.name = "fake",
		.backend = fake->backend,
		.isr = &fake->isr,
		.call_fd = fake->call_fd,
		.notice_fd = fake->call_fd,
	};
}

#endif
