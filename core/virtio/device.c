/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device without its transport; see device.h. */
#include "core/virtio/device.h"

#include "core/base/checked.h"
#include "core/base/fd.h"
#include "core/base/log.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 64

/* What the seam lets through of a backend's features. The other bits below 50 change the transport or the layout of the
 * rings (packed, notification data, reset of a queue), or belong to transports before version 1. */
#define FEATURES_KNOWN                                                                                              \
	(VIRTIO_FEATURES_OWN | VIRTIO_FEATURE_INDIRECT_DESC | VIRTIO_FEATURE_EVENT_IDX | VIRTIO_FEATURE_VERSION_1 | \
	 VIRTIO_FEATURE_IN_ORDER | VIRTIO_FEATURE_ORDER_PLATFORM)

struct virtio_device {
	char name[NAME_MAX_BYTES];
	struct virtio_backend backend;
	struct virtio_isr *isr; /* borrowed */
	int call_fd, notice_fd; /* borrowed */

	/* The driver's bits are set under the transport's mutex, NEEDS_RESET by any thread. */
	_Atomic(uint32_t) status;
	_Atomic(uint32_t) generation;

	/* Under the transport's mutex. */
	uint64_t driver_features;
	bool beyond; /* the driver asked for a feature that has no bit in driver_features */
	bool active; /* between activate and reset of the backend */
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/* ---- making and ending ---- */

static int backend_check(const char *name, const struct virtio_backend *backend, struct err *err)
{
	if (!backend->device_id)
		return err_set(err, -EINVAL, "%s: there is no virtio device 0", name);
	if (backend->config_bytes > VIRTIO_CONFIG_BYTES_MAX || (backend->config_bytes && !backend->ops->config_read))
		return err_set(err, -EINVAL, "%s: a config space of %" PRIu32 " bytes cannot be had", name,
			       backend->config_bytes);
	if (!backend->queue_count || backend->queue_count > VIRTIO_QUEUES_MAX)
		return err_set(err, -EINVAL, "%s: %" PRIu32 " virtqueues instead of 1 to %d", name,
			       backend->queue_count, VIRTIO_QUEUES_MAX);
	for (uint32_t i = 0; i < backend->queue_count; i++) {
		uint32_t size = backend->queue_sizes[i];

		if (!size || size > VIRTIO_QUEUE_SIZE_MAX || (size & (size - 1)))
			return err_set(err, -EINVAL,
				       "%s: virtqueue %" PRIu32 " has the size %" PRIu32
				       ", which is not a power of two up to %d",
				       name, i, size, VIRTIO_QUEUE_SIZE_MAX);
	}
	return 0;
}

static void reset(struct virtio_device *device)
{
	if (device->active)
		device->backend.ops->reset(device->backend.ctx);
	device->active = false;
	/* The backend is silent by now, so nothing that is cleared here comes back. */
	atomic_store(&device->status, 0);
	virtio_isr_clear(device->isr);
	device->driver_features = 0;
	device->beyond = false;
	for (uint32_t i = 0; i < device->backend.queue_count; i++)
		virtio_queue_reset(&device->queues[i]);
}

int virtio_device_new(const struct virtio_device_spec *spec, struct virtio_device **ret, struct err *err)
{
	struct virtio_device *device;
	uint32_t made = 0;
	int r = backend_check(spec->name, &spec->backend, err);

	if (r < 0)
		return r;
	device = calloc(1, sizeof(*device));
	if (!device)
		return err_sys(err, -ENOMEM, "%s", spec->name);
	snprintf(device->name, sizeof(device->name), "%s", spec->name);
	device->backend = spec->backend;
	device->backend.features = (spec->backend.features & FEATURES_KNOWN) | VIRTIO_FEATURE_VERSION_1;
	device->isr = spec->isr;
	device->call_fd = spec->call_fd;
	device->notice_fd = spec->notice_fd;
	for (; made < device->backend.queue_count; made++) {
		struct virtio_queue *queue = &device->queues[made];

		queue->max = device->backend.queue_sizes[made];
		queue->kick_fd = fd_event();
		if (queue->kick_fd < 0) {
			r = err_sys(err, queue->kick_fd, "%s: eventfd", spec->name);
			goto fail;
		}
	}
	reset(device);
	*ret = device;
	return 0;
fail:
	while (made)
		fd_close(device->queues[--made].kick_fd);
	free(device);
	return r;
}

void virtio_device_free(struct virtio_device *device)
{
	if (!device)
		return;
	reset(device);
	for (uint32_t i = 0; i < device->backend.queue_count; i++)
		fd_close(device->queues[i].kick_fd);
	free(device);
}

/* ---- notices of the backend ---- */

void virtio_device_needs_reset(struct virtio_device *device)
{
	uint32_t old = atomic_fetch_or(&device->status, VIRTIO_STATUS_NEEDS_RESET);

	/* 2.1.2; whoever sets the second of the two bits tells the driver, see driver_ok(). */
	if ((old & VIRTIO_STATUS_DRIVER_OK) && !(old & VIRTIO_STATUS_NEEDS_RESET))
		virtio_isr_raise(device->isr, VIRTIO_ISR_CONFIG, device->notice_fd);
}

void virtio_device_config_changed(struct virtio_device *device)
{
	atomic_fetch_add(&device->generation, 1);
	if (atomic_load(&device->status) & VIRTIO_STATUS_DRIVER_OK)
		virtio_isr_raise(device->isr, VIRTIO_ISR_CONFIG, device->notice_fd);
}

/* ---- what the device is ---- */

uint32_t virtio_device_id(const struct virtio_device *device)
{
	return device->backend.device_id;
}

uint32_t virtio_device_vendor(const struct virtio_device *device)
{
	return device->backend.vendor_id;
}

uint32_t virtio_device_queue_count(const struct virtio_device *device)
{
	return device->backend.queue_count;
}

uint32_t virtio_device_config_bytes(const struct virtio_device *device)
{
	return device->backend.config_bytes;
}

int virtio_device_kick_fd(const struct virtio_device *device, uint32_t queue)
{
	return queue < device->backend.queue_count ? device->queues[queue].kick_fd : -1;
}

/* ---- status and features ---- */

uint32_t virtio_device_status(const struct virtio_device *device)
{
	return atomic_load(&device->status);
}

static bool features_acceptable(const struct virtio_device *device)
{
	return !device->beyond && !(device->driver_features & ~device->backend.features) &&
	       (device->driver_features & VIRTIO_FEATURE_VERSION_1);
}

static int activate(struct virtio_device *device, struct err *err)
{
	struct virtio_queue_setup queues[VIRTIO_QUEUES_MAX];
	const struct virtio_activation activation = {
		.features = device->driver_features,
		.isr = device->isr,
		.queue_count = device->backend.queue_count,
		.queues = queues,
	};

	for (uint32_t i = 0; i < device->backend.queue_count; i++) {
		if (device->queues[i].refused)
			return err_set(err, -EINVAL, "the driver set up virtqueue %" PRIu32 " wrongly", i);
		virtio_queue_describe(&device->queues[i], device->call_fd, &queues[i]);
	}
	return device->backend.ops->activate(device->backend.ctx, &activation, err);
}

static void driver_ok(struct virtio_device *device)
{
	struct err err = ERR_NONE;
	/* Before activate: a backend that finds something wrong at once needs somebody to tell. */
	uint32_t old = atomic_fetch_or(&device->status, VIRTIO_STATUS_DRIVER_OK);
	int r;

	if (old & VIRTIO_STATUS_NEEDS_RESET) {
		virtio_isr_raise(device->isr, VIRTIO_ISR_CONFIG, device->notice_fd);
		return;
	}
	r = activate(device, &err);
	if (r < 0) {
		log_limited(LOG_LEVEL_WARN, "%s: the device needs a reset: %s", device->name, err.text);
		virtio_device_needs_reset(device);
		return;
	}
	device->active = true;
}

void virtio_device_set_status(struct virtio_device *device, uint32_t value)
{
	const uint32_t at_once = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FAILED;
	const uint32_t begun = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;
	uint32_t status;

	if (!value) {
		reset(device);
		return;
	}
	status = atomic_fetch_or(&device->status, value & at_once) | (value & at_once);
	if (status & VIRTIO_STATUS_FAILED)
		return;
	if ((value & VIRTIO_STATUS_FEATURES_OK) && !(status & VIRTIO_STATUS_FEATURES_OK) && (status & begun) == begun &&
	    features_acceptable(device)) {
		atomic_fetch_or(&device->status, VIRTIO_STATUS_FEATURES_OK);
		status |= VIRTIO_STATUS_FEATURES_OK;
	}
	if ((value & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_DRIVER_OK) &&
	    (status & VIRTIO_STATUS_FEATURES_OK))
		driver_ok(device);
}

uint32_t virtio_device_features(const struct virtio_device *device, uint32_t word)
{
	return word < 2 ? (uint32_t)(device->backend.features >> (32 * word)) : 0;
}

void virtio_device_set_driver_features(struct virtio_device *device, uint32_t word, uint32_t value)
{
	if (atomic_load(&device->status) & VIRTIO_STATUS_FEATURES_OK)
		return;
	if (word < 2)
		device->driver_features =
		    (device->driver_features & ~(UINT64_C(0xffffffff) << (32 * word))) | (uint64_t)value << (32 * word);
	else if (value)
		device->beyond = true;
}

/* ---- queues ---- */

/* The queue, if its set-up may still be changed. */
static struct virtio_queue *open_queue(struct virtio_device *device, uint32_t queue)
{
	if (queue >= device->backend.queue_count || (atomic_load(&device->status) & VIRTIO_STATUS_DRIVER_OK))
		return NULL;
	return &device->queues[queue];
}

uint32_t virtio_device_queue_max(const struct virtio_device *device, uint32_t queue)
{
	return queue < device->backend.queue_count ? device->queues[queue].max : 0;
}

void virtio_device_set_queue_size(struct virtio_device *device, uint32_t queue, uint32_t size)
{
	struct virtio_queue *open = open_queue(device, queue);

	if (open)
		virtio_queue_set_size(open, size);
}

void virtio_device_set_queue_address(struct virtio_device *device, uint32_t queue, enum virtio_queue_address which,
				     bool high, uint32_t value)
{
	struct virtio_queue *open = open_queue(device, queue);

	if (open)
		virtio_queue_set_address(open, which, high, value);
}

void virtio_device_set_queue_ready(struct virtio_device *device, uint32_t queue, uint32_t value)
{
	struct virtio_queue *open = open_queue(device, queue);

	if (open)
		virtio_queue_set_ready(open, value);
}

bool virtio_device_queue_ready(const struct virtio_device *device, uint32_t queue)
{
	return queue < device->backend.queue_count && device->queues[queue].ready;
}

void virtio_device_notify(struct virtio_device *device, uint32_t queue)
{
	if (device->active && virtio_device_queue_ready(device, queue))
		fd_event_signal(device->queues[queue].kick_fd);
}

/* ---- interrupts and config space ---- */

uint32_t virtio_device_interrupt_status(const struct virtio_device *device)
{
	uint32_t bits = virtio_isr_read(device->isr);

	return device->backend.outside && device->active ? bits | VIRTIO_ISR_USED : bits;
}

void virtio_device_interrupt_ack(struct virtio_device *device, uint32_t bits)
{
	virtio_isr_ack(device->isr, bits);
}

uint32_t virtio_device_config_generation(const struct virtio_device *device)
{
	return atomic_load(&device->generation);
}

/* Whether an access of the driver lies in the config space, of a width and alignment that a field can have. */
static bool config_access(const struct virtio_device *device, uint64_t offset, uint32_t bytes)
{
	return (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8) && !(offset & (bytes - 1)) &&
	       range_within(offset, bytes, device->backend.config_bytes);
}

int virtio_device_config_read(struct virtio_device *device, uint64_t offset, uint32_t bytes, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!config_access(device, offset, bytes))
		return -ENXIO;
	device->backend.ops->config_read(device->backend.ctx, (uint32_t)offset, &value, bytes);
	*ret_value = le64toh(value);
	return 0;
}

int virtio_device_config_write(struct virtio_device *device, uint64_t offset, uint32_t bytes, uint64_t value)
{
	const uint64_t raw = htole64(value);

	if (!config_access(device, offset, bytes))
		return -ENXIO;
	if (device->backend.ops->config_write)
		device->backend.ops->config_write(device->backend.ctx, (uint32_t)offset, &raw, bytes);
	return 0;
}
