/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The backend's side of vhost-user for one device instance of a virtio class (core/device/vdev.h). The frontend is
 * hostile: a message that is not allowed, now or at all, ends the connection. Main thread of the process; the device's
 * own threads do the requests.
 *
 * Order: GET/SET_FEATURES, protocol features, SET_MEM_TABLE, then for each queue NUM, BASE (which has to be 0), ADDR,
 * CALL, ERR, KICK, ENABLE; then SET_STATUS with DRIVER_OK is vdev_activate(), whose failure is the reply (the errno,
 * positive) or, if none was asked for, a signal of the error descriptors. SET_STATUS 0 is vdev_reset(); what was set
 * for queues is forgotten then. Without VHOST_PROTOCOL_STATUS the first ENABLE behind a complete set-up activates, with
 * every queue whose set-up is complete. While it is active only GET_*, SET_CONFIG, SET_STATUS, GET_VRING_BASE and
 * ENABLE are allowed, and ENABLE 1 of queues that it is active with only.
 *
 * A queue is not stopped by itself: GET_VRING_BASE and ENABLE 0 while it is active end this life as SET_STATUS 0 does. But
 * each queue that ran remembers where in the available ring it would have gone on, until it is set up anew or the status
 * is 0: that is the base which GET_VRING_BASE tells. What the device had taken by then and not given back is lost, as in a reset.
 *
 *   message                          allowed when
 *   GET_FEATURES, GET_PROTOCOL_*     always
 *   GET_QUEUE_NUM, GET/SET_CONFIG    MQ, CONFIG were negotiated
 *   GET_STATUS, SET_STATUS           STATUS was negotiated
 *   SET_FEATURES                     inactive; a subset of the offer, VERSION_1 and PROTOCOL_FEATURES among them
 *   SET_OWNER, SET_PROTOCOL_FEATURES, SET_MEM_TABLE, SET_BACKEND_REQ_FD     once, and inactive; the last if BACKEND_REQ was negotiated
 *   of queues                        behind SET_FEATURES and SET_MEM_TABLE; inactive but for what is said above
 */
#ifndef PLACEMENT_VHOST_BACKEND_H
#define PLACEMENT_VHOST_BACKEND_H

#include "core/base/gmem.h"
#include "core/base/virtio_isr.h"
#include "core/device/device.h"

struct vhost_backend;

struct vhost_backend_spec {
	struct device *device;  /* borrowed; of a virtio class; outlives the backend */
	int fd;                 /* borrowed */
	struct virtio_isr *isr; /* borrowed */
	/* Borrowed; empty, and the one that the device was made with: SET_MEM_TABLE, once and while the device is
	 * inactive, maps what it names and fills it. Unmapped by vhost_backend_free(). */
	struct gmem *mem;
};

/* Before the device starts. -errno with one line. */
int vhost_backend_new(const struct vhost_backend_spec *spec, struct vhost_backend **ret, struct err *err);
/* The device has been stopped. NULL is fine. */
void vhost_backend_free(struct vhost_backend *backend);

/* The fd is readable: one message. 0; -errno with one line if the connection is over, which it then stays: -ECONNRESET, -EPROTO. */
int vhost_backend_mind(struct vhost_backend *backend, struct err *err);

#endif
