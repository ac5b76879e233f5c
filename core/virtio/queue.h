/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set-up of one virtqueue as its driver writes it (VIRTIO 1.2, 2.7): numbers, raw until the queue is made ready, checked
 * from then on. No guest memory is touched here. Owned by a struct virtio_device; [transport].
 */
#ifndef VIRTIO_QUEUE_H
#define VIRTIO_QUEUE_H

#include "core/virtio/backend.h"

enum virtio_queue_address { VIRTIO_QUEUE_DESC, VIRTIO_QUEUE_DRIVER, VIRTIO_QUEUE_DEVICE };

struct virtio_queue {
	uint32_t max;    /* constant */
	int kick_fd;     /* owned by the device */
	uint32_t size;   /* raw */
	uint64_t gpa[3]; /* raw; by enum virtio_queue_address */
	bool ready;      /* size and gpa have been checked, and do not change */
	bool refused;    /* the driver tried to make it ready, and it was wrong */
};

/* As after a reset: the largest size, no addresses, not ready. */
void virtio_queue_reset(struct virtio_queue *queue);

/* Ignored while the queue is ready. */
void virtio_queue_set_size(struct virtio_queue *queue, uint32_t size);
void virtio_queue_set_address(struct virtio_queue *queue, enum virtio_queue_address which, bool high, uint32_t value);

/* Bit 0 of `value`: ready, if the set-up is right, or else refused; or neither. */
void virtio_queue_set_ready(struct virtio_queue *queue, uint32_t value);

/* What a backend is told. */
void virtio_queue_describe(const struct virtio_queue *queue, int call_fd, struct virtio_queue_setup *ret);

#endif
