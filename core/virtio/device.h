/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device without its transport: status, feature negotiation, set-up of the queues, config space, notices
 * (VIRTIO 1.2, 2.1 to 2.5 and 3.1). A transport (mmio.h) turns register accesses into these calls. All values come raw from the
 * guest; none of them can do more than make its own device need a reset.
 *
 * The device status: bits can only be set, 0 resets. A write that sets several is taken in the order of this table.
 *   bit           set by     only when                                     does
 *   ACKNOWLEDGE   driver
 *   DRIVER        driver
 *   FAILED        driver                                                   an active backend goes on until the reset
 *   FEATURES_OK   driver     ACKNOWLEDGE and DRIVER are set, FAILED is     freezes the driver's features
 *                            not; the driver's features have been offered
 *                            and hold VERSION_1
 *   DRIVER_OK     driver     FEATURES_OK is set, FAILED is not             freezes the queues; activates the backend, or sets
 *                                                                          NEEDS_RESET if a queue is wrong or it refuses
 *   NEEDS_RESET   device                                                   a config change interrupt, once DRIVER_OK is set
 * A bit that may not be set stays clear, which the driver sees when it reads. Other bits are ignored.
 *
 * Threads: [transport] under the transport's mutex, one at a time; [any] any thread, no lock is taken; [main] nobody else
 * uses the device.
 */
#ifndef VIRTIO_DEVICE_H
#define VIRTIO_DEVICE_H

#include "core/virtio/backend.h"
#include "core/virtio/queue.h"

struct virtio_device;

#define VIRTIO_STATUS_ACKNOWLEDGE     0x01u
#define VIRTIO_STATUS_DRIVER          0x02u
#define VIRTIO_STATUS_DRIVER_OK       0x04u
#define VIRTIO_STATUS_FEATURES_OK     0x08u
#define VIRTIO_STATUS_NEEDS_RESET     0x40u
#define VIRTIO_STATUS_FAILED          0x80u

/* Feature bits that are not the device's own (VIRTIO 1.2, 6), those that core/virtio lets a backend offer. */
#define VIRTIO_FEATURE_INDIRECT_DESC  (UINT64_C(1) << 28)
#define VIRTIO_FEATURE_EVENT_IDX      (UINT64_C(1) << 29)
#define VIRTIO_FEATURE_VERSION_1      (UINT64_C(1) << 32) /* always offered, and demanded */
#define VIRTIO_FEATURE_IN_ORDER       (UINT64_C(1) << 35)
#define VIRTIO_FEATURE_ORDER_PLATFORM (UINT64_C(1) << 36)
/* The device's own: bits 0 to 23 and 50 to 63. */
#define VIRTIO_FEATURES_OWN           (UINT64_C(0xffffff) | UINT64_C(0x3fff) << 50)

struct virtio_device_spec {
	const char *name;              /* for the log; copied */
	struct virtio_backend backend; /* copied, but for ops and ctx */
	struct virtio_isr *isr;        /* borrowed; cleared here */
	int call_fd; /* borrowed eventfd that raises the device's line, for the backend, which may share it with others */
	/* The same for the device's own interrupts. Where the backend is hostile it is another eventfd, which stays
	 * here: who has an eventfd can make writing to it block. */
	int notice_fd;
};

/* [main] Makes a device in the reset state, with a kick eventfd for each queue. -EINVAL with one line for a backend that breaks
 * the limits of backend.h; -ENOMEM, -EMFILE. */
int virtio_device_new(const struct virtio_device_spec *spec, struct virtio_device **ret, struct err *err);

/* [main] Resets the device and frees it. The backend may be freed afterwards. NULL is fine. */
void virtio_device_free(struct virtio_device *device);

/* ---- notices of the backend ---- */

/* [any] The guest broke the rules, or the backend is gone: sets NEEDS_RESET, and tells the driver if DRIVER_OK is set. The
 * backend leaves the queues alone from then on; the device works again after a reset. */
void virtio_device_needs_reset(struct virtio_device *device);

/*
 * [any] The config space has changed: a new generation, and the driver is told if DRIVER_OK is set.
 *
 * To be called after the change and before config_read can show it, so while the backend holds the lock under which
 * config_read reads. Then no torn value passes: V, a vCPU, reads the generation, a field in two halves, the generation;
 * B changes the field between the halves. V's second half waits for B's lock, B counts the generation before it lets go, and
 * V's second look at the generation sees that.
 *
 * It may come at any time, from a thread that knows nothing of resets. One that comes during a reset can leave the bit of a
 * change in the interrupt status: a driver then looks at the config space once too often.
 */
void virtio_device_config_changed(struct virtio_device *device);

/* ---- for transports: what the device is ---- */

/* [any] Constants. */
uint32_t virtio_device_id(const struct virtio_device *device);
uint32_t virtio_device_vendor(const struct virtio_device *device);
uint32_t virtio_device_queue_count(const struct virtio_device *device);
uint32_t virtio_device_config_bytes(const struct virtio_device *device);

/* [any] The eventfd that tells the backend of a notification; -1 for a queue that does not exist. Lives as long as the device. */
int virtio_device_kick_fd(const struct virtio_device *device, uint32_t queue);

/* ---- for transports: status and features ---- */

/* [transport] */
uint32_t virtio_device_status(const struct virtio_device *device);

/* [transport] The driver writes the status: see the table above. 0 resets: when it returns, the backend is inactive and the
 * device is as new, but for the config generation, which goes on. Blocks as long as the backend's activate and reset do. */
void virtio_device_set_status(struct virtio_device *device, uint32_t value);

/* [transport] 32 bits of the offered features, 0 beyond the last word. */
uint32_t virtio_device_features(const struct virtio_device *device, uint32_t word);

/* [transport] 32 bits of the driver's features; ignored once FEATURES_OK is set. Bits beyond the last word are never offered,
 * so one of them makes FEATURES_OK fail until a reset. */
void virtio_device_set_driver_features(struct virtio_device *device, uint32_t word, uint32_t value);

/* ---- for transports: queues ---- */

/* [transport] 0 if there is no such queue. */
uint32_t virtio_device_queue_max(const struct virtio_device *device, uint32_t queue);

/* [transport] Set-up; addresses come in halves. Ignored for a queue that does not exist, while the queue is ready, and once
 * DRIVER_OK is set. */
void virtio_device_set_queue_size(struct virtio_device *device, uint32_t queue, uint32_t size);
void virtio_device_set_queue_address(struct virtio_device *device, uint32_t queue, enum virtio_queue_address which,
				     bool high, uint32_t value);

/* [transport] Bit 0 of `value` makes the queue ready, or takes that back; ignored as above. Here the set-up is checked: size
 * not 0, a power of two and not above the maximum; rings aligned (16, 2, 4) and not wrapping. A queue that is wrong does not
 * become ready, and if nobody puts it right DRIVER_OK ends in NEEDS_RESET. */
void virtio_device_set_queue_ready(struct virtio_device *device, uint32_t queue, uint32_t value);
bool virtio_device_queue_ready(const struct virtio_device *device, uint32_t queue);

/* [transport] A notification that came as an access: signals the queue's kick eventfd. Ignored unless the backend is active
 * and the queue ready. */
void virtio_device_notify(struct virtio_device *device, uint32_t queue);

/* ---- for transports: interrupts and config space ---- */

/* [transport] InterruptStatus and InterruptACK; bits that are not set or not known are ignored. */
uint32_t virtio_device_interrupt_status(const struct virtio_device *device);
void virtio_device_interrupt_ack(struct virtio_device *device, uint32_t bits);

/* [transport] Changes whenever the config space has; wraps. */
uint32_t virtio_device_config_generation(const struct virtio_device *device);

/* [transport] An access of 1, 2, 4 or 8 bytes, aligned, little-endian in *value. -ENXIO if it does not lie in the config space;
 * *ret_value is unchanged then. */
int virtio_device_config_read(struct virtio_device *device, uint64_t offset, uint32_t bytes, uint64_t *ret_value);
int virtio_device_config_write(struct virtio_device *device, uint64_t offset, uint32_t bytes, uint64_t value);

#endif
