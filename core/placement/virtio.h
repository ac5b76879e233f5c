/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Virtio devices: joins a device of a virtio class (placed.h), wherever it is, to a virtio-mmio transport
 * (core/virtio/mmio.h), which joins the machine. Main thread.
 */
#ifndef PLACEMENT_VIRTIO_H
#define PLACEMENT_VIRTIO_H

#include "core/machine/machine.h"
#include "core/placement/placed.h"

/* What the transport occupies and how a guest finds it, in the terms of a class: the same for every virtio device. */
#define VIRTIO_HID "LNRO0005" /* with a _UID of its own each */
extern const struct class_range virtio_range;
extern const struct class_irq virtio_irq;

/* Shown as the transport's VendorID; the same number as other machines have, since nobody registers them. */
#define VIRTIO_VENDOR_ID 0x554d4551u

struct virtio_seat;

struct virtio_seat_spec {
	struct placed *device;   /* borrowed; of a virtio class, not started */
	struct machine *machine; /* borrowed */
	struct bus *bus;         /* borrowed */
	uint64_t base;
	uint32_t line;
};

/*
 * Gives a device its seat in the machine: an interrupt eventfd on its line, a transport on the bus, ioeventfds for the queues. The
 * seat ends before the device and the machine do. -errno with one line; nothing is left behind then.
 */
int virtio_seat_new(const struct virtio_seat_spec *spec, struct virtio_seat **ret, struct err *err);

/* Detaches and frees it. NULL is fine. */
void virtio_seat_free(struct virtio_seat *seat);

/*
 * For a machine whose VM is made anew, while no vCPU runs: detach before (resets the device, takes the transport off the bus and its
 * ioeventfds out of KVM; nothing if it is detached), attach after (a transport as new). The interrupt's eventfd stays. An attach that
 * fails, with -errno and one line, leaves the seat detached.
 */
void virtio_seat_detach(struct virtio_seat *seat);
int virtio_seat_attach(struct virtio_seat *seat, struct err *err);

#endif
