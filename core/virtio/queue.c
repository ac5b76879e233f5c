/* SPDX-License-Identifier: BSD-3-Clause */
/* The set-up of one virtqueue; see queue.h. */
#include "core/virtio/queue.h"

#include "core/base/checked.h"

#include <string.h>

/* What the rings need (VIRTIO 1.2, 2.7): bytes = fixed + each * size. */
static const struct {
	uint64_t align;
	uint64_t fixed;
	uint64_t each;
} rings[] = {
	[VIRTIO_QUEUE_DESC] = { 16, 0, 16 },
	[VIRTIO_QUEUE_DRIVER] = { 2, 6, 2 },
	[VIRTIO_QUEUE_DEVICE] = { 4, 6, 8 },
};

void virtio_queue_reset(struct virtio_queue *queue)
{
	queue->size = queue->max;
	memset(queue->gpa, 0, sizeof(queue->gpa));
	queue->ready = false;
	queue->refused = false;
}

void virtio_queue_set_size(struct virtio_queue *queue, uint32_t size)
{
	if (!queue->ready)
		queue->size = size;
}

void virtio_queue_set_address(struct virtio_queue *queue, enum virtio_queue_address which, bool high, uint32_t value)
{
	unsigned int shift = high ? 32 : 0;

	if (!queue->ready)
		queue->gpa[which] = (queue->gpa[which] & ~(UINT64_C(0xffffffff) << shift)) | (uint64_t)value << shift;
}

static bool usable(const struct virtio_queue *queue)
{
	if (!queue->size || queue->size > queue->max || (queue->size & (queue->size - 1)))
		return false;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		/* At most 32768 * 16 bytes; only the end can wrap. */
		uint64_t bytes = rings[i].fixed + rings[i].each * queue->size;

		if (queue->gpa[i] & (rings[i].align - 1) || !range_within(queue->gpa[i], bytes, UINT64_MAX))
			return false;
	}
	return true;
}

void virtio_queue_set_ready(struct virtio_queue *queue, uint32_t value)
{
	queue->ready = (value & 1) && usable(queue);
	queue->refused = (value & 1) && !queue->ready;
}

void virtio_queue_describe(const struct virtio_queue *queue, int call_fd, struct virtio_queue_setup *ret)
{
	*ret = (struct virtio_queue_setup){ .kick_fd = queue->kick_fd, .call_fd = call_fd };
	if (!queue->ready)
		return;
	ret->ready = true;
	ret->size = (uint16_t)queue->size;
	ret->desc_gpa = queue->gpa[VIRTIO_QUEUE_DESC];
	ret->driver_gpa = queue->gpa[VIRTIO_QUEUE_DRIVER];
	ret->device_gpa = queue->gpa[VIRTIO_QUEUE_DEVICE];
}
