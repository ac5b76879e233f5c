/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam between what a guest sees of a virtio device (core/virtio) and what works on its queues: a plugin in this process or
 * in another one, a vhost-user socket, a vhost fd of the kernel. A backend says what the device is, and is told when the driver
 * has set it up, with everything that vhost's messages carry: features, rings, a kick and a call eventfd for each queue.
 *
 *   state      entered by                           what may be called then
 *   inactive   being made; reset                    activate, config_read, config_write
 *   active     activate == 0                        reset, config_read, config_write; kicks arrive
 * An activate that fails leaves the backend inactive. reset is called in the state active only.
 *
 * Threads: [transport] the transport's mutex is held: a vCPU thread inside an access, or the main thread; never two at once.
 * A callback may block as long as its caller can bear (a vCPU stands still meanwhile), must not change the bus, and may call the
 * functions that are [any], which take no lock. Data never comes this way: notifications and interrupts are eventfds.
 */
#ifndef VIRTIO_BACKEND_H
#define VIRTIO_BACKEND_H

#include "core/base/err.h"
#include "core/base/virtio_isr.h"

#include <stdbool.h>
#include <stdint.h>

#define VIRTIO_QUEUES_MAX       64    /* of one device */
#define VIRTIO_QUEUE_SIZE_MAX   32768 /* VIRTIO 1.2, 2.7 */
#define VIRTIO_CONFIG_BYTES_MAX 256

/* A queue as the driver has set it up; checked as far as numbers go: `size` is a power of two and not above the maximum, the
 * rings are aligned and do not wrap. Whether they lie in RAM is for the backend to find out. */
struct virtio_queue_setup {
	bool ready;          /* false: the driver does not use this queue, and the fields up to device_gpa are 0 */
	uint16_t size;       /* descriptors */
	uint64_t desc_gpa;   /* descriptor table: 16 bytes * size */
	uint64_t driver_gpa; /* driver area, alias available ring: 6 bytes + 2 * size */
	uint64_t device_gpa; /* device area, alias used ring: 6 bytes + 8 * size */
	int kick_fd; /* eventfd, readable when the driver has notified. May be so from the start, from an earlier life of the
		      * queue even: after activate, look at the ring whatever it says */
	int call_fd; /* eventfd, to be signalled through virtio_isr_raise() when the driver wants to know of used buffers */
};

/* What is frozen at DRIVER_OK: it holds until reset returns, whatever the guest writes. */
struct virtio_activation {
	uint64_t features;      /* negotiated; VIRTIO_F_VERSION_1 is among them */
	struct virtio_isr *isr; /* borrowed; lives as long as the device */
	uint32_t queue_count;   /* struct virtio_backend's */
	const struct virtio_queue_setup
	    *queues; /* borrowed until activate returns; the fds live as long as the device */
};

struct virtio_backend_ops {
	/* [transport] The driver is ready (DRIVER_OK): buffers may be used from here on. 0, or -errno with one line, for
	 * example -EFAULT for a ring outside of RAM: the device then needs a reset. */
	int (*activate)(void *ctx, const struct virtio_activation *activation, struct err *err);

	/* [transport] Back to inactive. When it returns, no guest memory is touched any more, no interrupt is raised, and no
	 * notice (virtio_device_needs_reset) of the life that has ended will come. It cannot fail: a backend that does not
	 * answer is cut off from the guest's memory. */
	void (*reset)(void *ctx);

	/* [transport] Reads of the config space; offset + bytes is within config_bytes. It sees either all or nothing of a
	 * change that the backend makes; see virtio_device_config_changed(). May be NULL if config_bytes is 0. */
	void (*config_read)(void *ctx, uint32_t offset, void *buf, uint32_t bytes);

	/* [transport] The driver's writes. NULL: no field is writable, and writes vanish. */
	void (*config_write)(void *ctx, uint32_t offset, const void *buf, uint32_t bytes);
};

/* What a device is. All of it is constant for the life of the device. */
struct virtio_backend {
	const struct virtio_backend_ops *ops; /* borrowed */
	void *ctx;
	uint32_t device_id; /* VIRTIO 1.2, 5; not 0, which would mean that there is no device */
	uint32_t vendor_id;
	uint64_t
	    features; /* that the device offers; VIRTIO_F_VERSION_1 is added, and what core/virtio does not know of the
			    * bits that change the transport or the rings' layout is taken away (see device.h) */
	uint32_t config_bytes;                   /* 0 to VIRTIO_CONFIG_BYTES_MAX */
	uint32_t queue_count;                    /* 1 to VIRTIO_QUEUES_MAX */
	uint16_t queue_sizes[VIRTIO_QUEUES_MAX]; /* largest size of each: a power of two up to VIRTIO_QUEUE_SIZE_MAX */
	bool
	    outside; /* it signals call fds but cannot set the interrupt status, as a kernel vhost: the status always shows
		       * VIRTIO_ISR_USED while it is active */
};

#endif
