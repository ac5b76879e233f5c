/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio side of a device instance: its queues, its configuration space, and what it tells its transport. The transport, which
 * does registers, status and feature negotiation, is somebody else's (in the VMM, core/virtio through core/placement); this
 * works the same in a process of its own.
 *
 *   state      entered by                                     then
 *   inactive   device_new, vdev_reset, a failed vdev_activate nothing of the guest's is touched
 *   active     vdev_activate == 0                             the loop waits for kicks and hands chains to the plugin
 *   broken     a rule of virtqueue.h, bp_broken()             as inactive, but for what the plugin still does; ends with vdev_reset
 * A plugin that calls bp_broken() while it is inactive has it reset by the next vdev_activate, before anything else.
 *
 * A kick wakes the device's loop, which drains the queue: it pops until the queue is empty and armed, or for as many chains as the
 * queue has entries, and then lets others have their turn. A plugin that looks by itself (bp_virtio_look()) has the queue drained there and
 * then, and not armed. At the end of each callback everything that was completed in it is
 * published, one used.idx a queue, and with at most one interrupt a batch. Completions of other threads are put into a
 * list that the loop takes from, without a lock.
 *
 * A reset waits for the io that is under way (device_io.c), calls the plugin's reset, and ends all chains. A chain that is completed
 * later is recognised as of an earlier life and dropped, by the block that it lies in (chain.h).
 */
#ifndef DEVICE_VDEV_H
#define DEVICE_VDEV_H

#include "core/base/virtio_isr.h"
#include "core/device/device.h"

/* What a device is to its transport; constant from device_new() on. */
struct vdev_offer {
	uint32_t id; /* 0: it is no virtio device */
	uint32_t queue_count;
	uint16_t queue_size; /* the largest, the same for each */
	uint32_t config_bytes;
	uint64_t features; /* without VERSION_1, which is the transport's */
	bool config_writable;
};

/* [main] */
struct vdev_offer vdev_offer(const struct device *device);

/* Where notices go. Called under the device's lock, so they take no lock that is held around the functions below. */
struct vdev_transport {
	void (*needs_reset)(void *ctx);
	/* After the change, and before vdev_config_read() can show it. */
	void (*config_changed)(void *ctx);
	void *ctx;
};

/* [main] Before the device starts, or while the guest stands still and the device is inactive. NULL: nobody is told any more. */
void vdev_attach(struct device *device, const struct vdev_transport *transport);

/* A queue as the driver has set it up. */
struct vdev_queue_setup {
	bool ready; /* false: not used by the driver, and the rest does not matter */
	uint16_t size;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	int kick_fd; /* eventfd, borrowed until the reset */
	int call_fd; /* the same */
};

struct vdev_setup {
	uint64_t features;      /* negotiated */
	struct virtio_isr *isr; /* borrowed until the reset */
	uint32_t queue_count;
	const struct vdev_queue_setup *queues; /* borrowed until return */
};

/* [any] The driver is ready. -EINVAL or -EFAULT for queues that cannot be, -ENODEV unless the device runs, -ENOMEM, with one line;
 * it is inactive then. Not while it is active. */
int vdev_activate(struct device *device, const struct vdev_setup *setup, struct err *err);

/* [any] Back to inactive, with the plugin's reset, from every state. On return nothing touches guest memory, and no notice and
 * no interrupt follows. Waits for io under way, however long a disk takes. */
void vdev_reset(struct device *device);

/* [any] How many chains a queue has taken from its driver, modulo 2^16, so where in the available ring it goes on; behind a reset, of
 * the life before. Of a queue that was ready then. */
uint16_t vdev_queue_taken(struct device *device, uint32_t index);

/* [any] The configuration space; offset + bytes within config_bytes. A write is nothing unless the device is config_writable. */
void vdev_config_read(struct device *device, uint32_t offset, void *buf, uint32_t bytes);
void vdev_config_write(struct device *device, uint32_t offset, const void *buf, uint32_t bytes);

#endif
