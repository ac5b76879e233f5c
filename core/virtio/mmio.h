/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2.2): 0x100 bytes of registers and up to 0x100 bytes of config space, as
 * one claim on the bus.
 *
 * Registers take aligned accesses of 32 bits; the config space takes aligned ones of 8, 16, 32 and 64. A register that is not
 * there, that can only be written, an access of another width, a config offset beyond the device's own: reads give all-ones,
 * writes are ignored. A selected queue that does not exist reads as 0. There are no shared memory regions (their lengths
 * and bases read as all-ones, 4.2.2.1) and there is no reset of single queues.
 *
 * Notifications: a guest's write to QueueNotify signals the queue's kick eventfd within KVM. With one queue the write is not
 * even decoded: an ioeventfd of no length matches any write, which is cheapest where KVM has it (no instruction is fetched on
 * Intel). It cannot tell values apart, so several queues have an ioeventfd each, which matches 4 bytes of the queue's
 * number. They are registered once, for as long as the device exists: to do it at each DRIVER_OK would make the guest wait
 * for all vCPUs. What KVM does not take (a number that is no queue; everything, where there is no KVM) arrives as an access.
 * A kick before DRIVER_OK thus reaches the eventfd; nobody listens to it then, and backends look at their rings first.
 *
 * Accesses come from vCPU threads; a mutex makes them one at a time per device.
 */
#ifndef VIRTIO_MMIO_H
#define VIRTIO_MMIO_H

#include "core/machine/bus.h"
#include "core/machine/machine.h"
#include "core/virtio/device.h"

#define VIRTIO_MMIO_BYTES 0x200

struct virtio_mmio;

/* Registers an ioeventfd, or takes it back: machine_ioeventfd(). */
typedef int virtio_ioeventfd_fn(void *ctx, const struct machine_ioeventfd *event, bool add, struct err *err);

struct virtio_mmio_spec {
	struct virtio_device_spec device;
	struct bus *bus; /* borrowed */
	uint64_t base;
	virtio_ioeventfd_fn *ioeventfd; /* NULL: all notifications arrive as accesses */
	void *ioeventfd_ctx;            /* a struct machine */
};

/* [main] Makes the device and joins it to the bus, outside of an access. -errno with one line; nothing is left behind then. */
int virtio_mmio_new(const struct virtio_mmio_spec *spec, struct virtio_mmio **ret, struct err *err);

/* [main] Takes it off the bus, resets it and frees it. NULL is fine. */
void virtio_mmio_free(struct virtio_mmio *mmio);

/* [any] The device, for a backend's notices; as long as the transport. */
struct virtio_device *virtio_mmio_device(struct virtio_mmio *mmio);

/* [any] As if the driver had written 0 to the status: the backend is inactive when it returns. Not from the backend's callbacks. */
void virtio_mmio_reset(struct virtio_mmio *mmio);

/* What the bus calls; a bus_access_fn with the transport as ctx, for whoever has no bus. -ENXIO where there is nothing. */
int virtio_mmio_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value);

#endif
