/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device whose backend is behind a vhost-user socket: the frontend, as a struct virtio_backend. It holds a
 * copy of the config space, from which reads are served, and forwards activation and reset. Requests, notifications and
 * interrupts do not come this way. The backend is hostile: it can make its own device need a reset.
 *
 *   state      entered by                          then
 *   good       vhost_frontend_new == 0
 *   failed     a rule broken, a deadline missed,   nothing is sent any more: activate fails with -ENODEV, reset
 *              the connection closed,              returns, config reads give the copy; needs_reset is told if the
 *              vhost_frontend_fail()               device is active, and spec.failed
 *
 * The mapping to messages: with VHOST_PROTOCOL_STATUS, DRIVER_OK is SET_STATUS behind the queues' set-up and a reset is
 * SET_STATUS 0, both with REPLY_ACK; a backend without it is started by SET_VRING_ENABLE and stopped by GET_VRING_BASE.
 * Where there is no REPLY_ACK, a GET_FEATURES shows that what was sent before it has been done. Without MQ there are
 * `queue_max` queues, without CONFIG no config space. A refused activation is what the acknowledgement says: an errno,
 * if it is one.
 *
 * Each life, from activate to reset, has an error descriptor of its own, so that none of an earlier one can be heard.
 */
#ifndef PLACEMENT_VHOST_FRONTEND_H
#define PLACEMENT_VHOST_FRONTEND_H

#include "core/placement/placed.h"
#include "core/placement/process.h"

struct vhost_frontend;

struct vhost_frontend_spec {
	const char *id; /* borrowed until return, for messages */
	int fd;         /* the socket; owned by the frontend on success */
	int gone_fd;    /* becomes readable when the other side has gone (a pidfd); borrowed; -1: none */
	uint64_t
	    deadline_ns; /* of each exchange, as a duration; an activation, a reset, an access to the config space is one */
	/* What vhost-user does not say. */
	uint32_t device_id, vendor_id;
	uint32_t queue_max; /* VHOST_GET_QUEUE_NUM may give fewer; more is refused */
	uint16_t queue_size;
	uint32_t config_bytes;
	bool config_writable;
	bool outside; /* as struct virtio_backend's: the backend does not set the interrupt status */
	const struct process_memory *memory; /* borrowed until return */
	/* [any] Told once, with the reason (borrowed until return), which is one line; not for vhost_frontend_fail(),
	 * nor by vhost_frontend_new(), which returns it. -ECONNRESET: the connection was closed, so the other side may
	 * have ended; -ETIMEDOUT: a deadline was missed; else -EPROTO. May be called with locks held: it only notes
	 * it. */
	void (*failed)(void *ctx, int error, const char *why);
	void *ctx;
};

/* [main] Negotiates, sends the memory, reads the config space. -errno with one line; the fd is the caller's then, and
 * of no use but to be closed. */
int vhost_frontend_new(const struct vhost_frontend_spec *spec, struct vhost_frontend **ret, struct err *err);
/* [main] The virtio device is no more. NULL is fine. */
void vhost_frontend_free(struct vhost_frontend *frontend);

/* [main] For virtio_device_new(). */
void vhost_frontend_backend(struct vhost_frontend *frontend, struct virtio_backend *ret);
/* [main] Where notices go; NULL: nowhere. On return nobody is in one of the earlier. They are called with locks held,
 * and take none. */
void vhost_frontend_attach(struct vhost_frontend *frontend, const struct placed_notices *notices);

/* [main] Readable when vhost_frontend_mind() has something to do: the error descriptor was signalled, the backend asks,
 * or it has gone. Never in the state failed. */
int vhost_frontend_fd(const struct vhost_frontend *frontend);
/* [main] At most one exchange, for as many changes of the config space as have been told. */
void vhost_frontend_mind(struct vhost_frontend *frontend);

/* [any] The other side has gone, as others have found out. Who waits for it is released. */
void vhost_frontend_fail(struct vhost_frontend *frontend);

#endif
