/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio device instances; see vdev.h. All under the device's lock where nothing else is said. */
#include "core/device/vdev.h"

#include "core/base/checked.h"
#include "core/base/fd.h"
#include "core/device/internal.h"
#include "core/device/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct vdev_queue {
	struct device *device;
	uint32_t index;
	bool ready;
	int kick_fd, call_fd;
	struct virtqueue ring;
	struct chain_store chains;
};

struct vdev {
	struct device *device;
	struct vdev_transport transport; /* all NULL: none */
	uint64_t features;               /* offered */
	uint32_t queue_count;            /* offered */
	struct vdev_queue *queues;       /* as many; made when create has returned */
	bool active;
	bool told_broken; /* needs_reset was called in this life */
	bool config_changed;
	uint64_t unpublished; /* queues with something pushed, as a mask */
	struct virtio_isr *isr;
	_Atomic(struct chain *) done; /* completed by other threads, latest first */
	uint8_t config[BP_VIRTIO_CONFIG_MAX];
};

static_assert(BP_VIRTIO_QUEUES_MAX <= 64, "queues fit into a mask");

/* ---- making ---- */

int vdev_new(struct device *device)
{
	const struct class_virtio *class = &device->class->decl.virtio;

	device->vdev = calloc(1, sizeof(*device->vdev));
	if (!device->vdev)
		return -ENOMEM;
	device->vdev->device = device;
	device->vdev->features = class->features;
	device->vdev->queue_count = class->queue_count;
	return 0;
}

int vdev_make_queues(struct device *device)
{
	const struct class_virtio *class = &device->class->decl.virtio;
	struct vdev *vdev = device->vdev;

	vdev->queues = calloc(vdev->queue_count, sizeof(vdev->queues[0]));
	if (!vdev->queues)
		return -ENOMEM;
	for (uint32_t i = 0; i < vdev->queue_count; i++) {
		int r = chain_store_init(&vdev->queues[i].chains, i, class->queue_size, class->scratch_bytes);

		if (r < 0)
			return r;
		vdev->queues[i].device = device;
		vdev->queues[i].index = i;
	}
	return 0;
}

void vdev_free(struct device *device)
{
	struct vdev *vdev = device->vdev;

	if (!vdev)
		return;
	for (uint32_t i = 0; vdev->queues && i < vdev->queue_count; i++)
		chain_store_free(&vdev->queues[i].chains);
	free(vdev->queues);
	free(vdev);
	device->vdev = NULL;
}

struct vdev_offer vdev_offer(const struct device *device)
{
	const struct class_virtio *class = &device->class->decl.virtio;
	const struct vdev *vdev = device->vdev;

	if (!vdev)
		return (struct vdev_offer){ .id = 0 };
	return (struct vdev_offer){
		.id = class->id,
		.queue_count = vdev->queue_count,
		.queue_size = (uint16_t) class->queue_size,
		.config_bytes = class->config_bytes,
		.features = vdev->features | VIRTQUEUE_FEATURES,
		.config_writable = device->class->decl.has_config_changed,
	};
}

void vdev_attach(struct device *device, const struct vdev_transport *transport)
{
	lock_take(&device->lock);
	device->vdev->transport = transport ? *transport : (struct vdev_transport){ NULL, NULL, NULL };
	lock_give(&device->lock);
}

/* ---- requests ---- */

static void ring_broken(struct vdev_queue *queue)
{
	char text[160];

	snprintf(text, sizeof(text), "queue %" PRIu32 ": %s", queue->index, queue->ring.broken);
	device_broken(queue->device, text);
}

/* Hands chains to the plugin until the queue is empty and will tell of more, or others have to have their turn. */
static void drain(struct vdev_queue *queue)
{
	struct device *device = queue->device;

	virtqueue_disarm(&queue->ring);
	device_lap(device);
	for (uint32_t turn = queue->ring.size; turn && !device->broken; turn--) {
		struct chain *chain = virtqueue_pop(&queue->ring);

		if (chain) {
			chain->head.host = device->head.host;
			chain->head.dev = &device->head;
			chain->head.queue = queue->index;
			device->class->virtio.request(device->self, &chain->head);
			device_lap(device);
		} else if (queue->ring.broken) {
			ring_broken(queue);
		} else if (!virtqueue_arm(&queue->ring)) {
			return;
		}
	}
	if (!device->broken)
		fd_event_signal(queue->kick_fd);
}

/* The eventfd is not read: it is waited for by its edges, and each signal is one. */
static void on_kick(void *arg, int fd, uint32_t events)
{
	struct vdev_queue *queue = arg;

	(void)fd;
	(void)events;
	drain(queue);
}

/* ---- completions ---- */

/* What belongs to this life goes into the ring, the rest is dropped. */
static void give_back(struct vdev *vdev, struct chain *chain)
{
	struct vdev_queue *queue = &vdev->queues[chain->block->queue];

	if (!vdev->active || chain->block != queue->chains.block || vdev->device->broken) {
		chain_put(chain);
		return;
	}
	virtqueue_push(&queue->ring, chain);
	vdev->unpublished |= UINT64_C(1) << queue->index;
	vdev->device->settle = true;
}

void vdev_woken(struct device *device)
{
	struct chain *latest, *chain = NULL;

	if (!device->vdev)
		return;
	latest = atomic_exchange_explicit(&device->vdev->done, NULL, memory_order_acquire);
	/* They go into the ring in the order in which they were completed. */
	while (latest) {
		struct chain *before = latest->link;

		latest->link = chain;
		chain = latest;
		latest = before;
	}
	while (chain) {
		struct chain *next = chain->link;

		give_back(device->vdev, chain);
		chain = next;
	}
}

/* [any] */
static void give_back_later(struct device *device, struct chain *chain)
{
	struct chain *head = atomic_load_explicit(&device->vdev->done, memory_order_relaxed);

	do
		chain->link = head;
	while (!atomic_compare_exchange_weak_explicit(&device->vdev->done, &head, chain, memory_order_release,
						      memory_order_relaxed));
	/* Whoever found the list empty wakes the loop, which takes all of it. */
	if (!head)
		fd_event_signal(device->loop.wake_fd);
}

void host_chain_complete(struct bp_chain *handle)
{
	struct chain *chain = chain_of(handle);
	struct device *device = device_of(handle->dev);

	if (!chain_claim(chain)) {
		device_log(device, LOG_LEVEL_ERROR, "plugin error: bp_chain_complete was called twice for a chain");
		return;
	}
	if (device_context.device == device && device_context.tag == DEVICE_TAG_DEV)
		give_back(device->vdev, chain);
	else
		give_back_later(device, chain);
}

bool vdev_chain_live(const struct device *device, struct chain *chain)
{
	const struct vdev *vdev = device->vdev;

	return vdev->active && atomic_load_explicit(&chain->state, memory_order_relaxed) == CHAIN_BUSY &&
	       chain->block == vdev->queues[chain->block->queue].chains.block;
}

/* ---- at the end of a callback ---- */

static void publish(struct vdev *vdev)
{
	int signalled = -1;

	while (vdev->unpublished) {
		struct vdev_queue *queue = &vdev->queues[__builtin_ctzll(vdev->unpublished)];

		vdev->unpublished &= vdev->unpublished - 1;
		/* Queues that share an interrupt share its edge: all of them are looked at first. */
		if (virtqueue_publish(&queue->ring) && queue->call_fd != signalled) {
			if (signalled >= 0)
				virtio_isr_raise(vdev->isr, VIRTIO_ISR_USED, signalled);
			signalled = queue->call_fd;
		}
	}
	if (signalled >= 0)
		virtio_isr_raise(vdev->isr, VIRTIO_ISR_USED, signalled);
}

void vdev_settle(struct device *device)
{
	struct vdev *vdev = device->vdev;

	if (vdev->config_changed) {
		vdev->config_changed = false;
		if (vdev->transport.config_changed)
			vdev->transport.config_changed(vdev->transport.ctx);
	}
	if (!vdev->active)
		return;
	if (!device->broken) {
		publish(vdev);
	} else if (!vdev->told_broken) {
		vdev->told_broken = true;
		if (vdev->transport.needs_reset)
			vdev->transport.needs_reset(vdev->transport.ctx);
	}
}

/* ---- activation and reset ---- */

void vdev_close(struct device *device)
{
	struct vdev *vdev = device->vdev;

	vdev->active = false;
	vdev->told_broken = false;
	vdev->unpublished = 0;
	vdev_woken(device);
	for (uint32_t i = 0; i < vdev->queue_count; i++) {
		struct vdev_queue *queue = &vdev->queues[i];

		if (!queue->ready)
			continue;
		loop_fd_del(device, queue->kick_fd);
		queue->ready = false;
		chain_store_end(&queue->chains);
	}
}

void vdev_resume(struct device *device)
{
	struct vdev *vdev = device->vdev;

	/* Edges that came while nobody listened are gone. */
	for (uint32_t i = 0; i < vdev->queue_count; i++)
		if (vdev->queues[i].ready)
			fd_event_signal(vdev->queues[i].kick_fd);
}

static int open_queue(struct vdev_queue *queue, const struct vdev_queue_setup *setup, uint64_t features,
		      struct err *err)
{
	struct virtqueue_spec spec = {
		.mem = queue->device->mem,
		.features = features,
		.size = setup->size,
		.desc_gpa = setup->desc_gpa,
		.avail_gpa = setup->avail_gpa,
		.used_gpa = setup->used_gpa,
	};
	int r = chain_store_begin(&queue->chains);

	if (r < 0)
		return err_sys(err, r, "queue %" PRIu32, queue->index);
	spec.block = queue->chains.block;
	r = virtqueue_open(&queue->ring, &spec);
	if (r == -EFAULT)
		return err_set(err, r, "queue %" PRIu32 ": its rings are outside of memory", queue->index);
	if (r < 0)
		return err_set(err, r, "queue %" PRIu32 ": its size or the alignment of its rings is wrong",
			       queue->index);
	r = loop_own_add(queue->device, setup->kick_fd, true, on_kick, queue, "request");
	if (r < 0)
		return err_sys(err, r, "queue %" PRIu32 ": its notifications cannot be waited for", queue->index);
	queue->kick_fd = setup->kick_fd;
	queue->call_fd = setup->call_fd;
	queue->ready = true;
	return 0;
}

static int activate(struct device *device, const struct vdev_setup *setup, struct err *err)
{
	const struct bp_virtio_class *class = &device->class->virtio;
	struct vdev *vdev = device->vdev;
	uint32_t ready = 0;

	/* Broken between two lives, by its plugin: the driver's reset does not come through to a device that is inactive. */
	if (device->broken && !vdev->active)
		device_reset_entered(device);
	if (device->state != DEVICE_RUNNING || vdev->active)
		return err_set(err, -ENODEV, "the device does not run");
	for (uint32_t i = 0; i < setup->queue_count && i < vdev->queue_count; i++) {
		int r;

		if (!setup->queues[i].ready)
			continue;
		r = open_queue(&vdev->queues[i], &setup->queues[i], setup->features, err);
		if (r < 0) {
			vdev_close(device);
			return r;
		}
		ready++;
	}
	vdev->isr = setup->isr;
	vdev->active = true;
	if (class->activate)
		class->activate(device->self, setup->features & vdev->features, ready);
	/* What was made available before anybody listened. */
	vdev_resume(device);
	return 0;
}

int vdev_activate(struct device *device, const struct vdev_setup *setup, struct err *err)
{
	uint64_t since = device_enter(device, "activate");
	int r = activate(device, setup, err);

	device_leave(device, since);
	return r;
}

void vdev_reset(struct device *device)
{
	device_reset(device);
}

/* ---- configuration space ---- */

void vdev_config_read(struct device *device, uint32_t offset, void *buf, uint32_t bytes)
{
	lock_take(&device->lock);
	memcpy(buf, device->vdev->config + offset, bytes);
	lock_give(&device->lock);
}

void vdev_config_write(struct device *device, uint32_t offset, const void *buf, uint32_t bytes)
{
	const struct bp_virtio_class *class = &device->class->virtio;
	uint64_t since;

	if (!class->config_changed)
		return;
	since = device_enter(device, "config_changed");
	if (device->state == DEVICE_RUNNING && !device->broken) {
		memcpy(device->vdev->config + offset, buf, bytes);
		class->config_changed(device->self, offset, bytes);
	}
	device_leave(device, since);
}

static bool config_range_ok(const struct device *device, uint32_t offset, uint32_t bytes)
{
	return device->vdev && range_within(offset, bytes, device->class->decl.virtio.config_bytes);
}

int host_virtio_config_write(struct bp_dev *dev, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_virtio_config_write"))
		return -EDEADLK;
	if (!config_range_ok(device, offset, bytes))
		return -EINVAL;
	if (!memcmp(device->vdev->config + offset, buf, bytes))
		return 0;
	memcpy(device->vdev->config + offset, buf, bytes);
	/* On [main] the guest does not run. */
	if (device_context.tag == DEVICE_TAG_DEV) {
		device->vdev->config_changed = true;
		device->settle = true;
	}
	return 0;
}

int host_virtio_config_read(struct bp_dev *dev, uint32_t offset, void *buf, uint32_t bytes)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_virtio_config_read"))
		return -EDEADLK;
	if (!config_range_ok(device, offset, bytes))
		return -EINVAL;
	memcpy(buf, device->vdev->config + offset, bytes);
	return 0;
}

int host_virtio_offer(struct bp_dev *dev, uint64_t features, uint32_t queues)
{
	struct device *device = device_of(dev);
	const struct class_virtio *class = &device->class->decl.virtio;

	if (!device_on_tag(device, true, false, "bp_virtio_offer"))
		return -EDEADLK;
	/* In create, before the queues are made. */
	if (!device->vdev || device->vdev->queues || (features & ~class->features) || !queues ||
	    queues > class->queue_count)
		return -EINVAL;
	device->vdev->features = features;
	device->vdev->queue_count = queues;
	return 0;
}
