/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user's backend as its two files share it: vhost_backend.c has the connection and the device,
 * vhost_backend_queue.c the queues and the activation. All of it belongs to the main thread, but for what the device's
 * notices read: the error descriptors, which are set before vdev_activate() and closed behind vdev_reset(), and what is
 * atomic.
 */
#ifndef PLACEMENT_VHOST_BACKEND_IMPL_H
#define PLACEMENT_VHOST_BACKEND_IMPL_H

#include "core/device/vdev.h"
#include "core/placement/child/vhost_backend.h"
#include "core/placement/wire/vhost.h"

#include <backplane/virtio.h>

#include <stdatomic.h>

/* A queue as the frontend has set it up so far. */
struct vhost_queue {
	bool touched; /* something was set */
	bool enabled;
	uint16_t size; /* 0: not set */
	bool addressed;
	uint64_t desc_gpa, avail_gpa, used_gpa;
	int kick_fd, call_fd, err_fd; /* owned; -1: none */
	uint16_t next;                /* where in the available ring it has stopped; 0: it has not run */
};

struct vhost_backend {
	struct vhost_backend_spec spec;
	struct vdev_offer offer;
	uint64_t features_offered;
	uint64_t features; /* 0: not set */
	uint64_t protocol;
	bool protocol_set, owned, over;
	bool active;
	uint32_t status;
	_Atomic(bool) broken; /* in this life */
	_Atomic(int) ask_fd;  /* owned; -1 until it comes */
	struct vhost_queue queues[BP_VIRTIO_QUEUES_MAX];
};

/*
 * Requests, each of which is allowed by the protocol as such, give 0; above 0, an errno for the acknowledgement;
 * -EPROTO with one line: it is not allowed now, or in this way.
 */

/* -EPROTO with its line. */
int vhost_backend_refuse(struct err *err, const struct vhost_message *message, const char *why);

/* A message that has to do with one queue. */
int vhost_backend_of_queue(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply,
			   struct err *err);

/* Activates the device with what was set up. */
int vhost_backend_start(struct vhost_backend *backend, const struct vhost_message *message);
/* Ends a life, if there is one, and forgets what was set for it. Where its queues have stopped is noted. */
void vhost_backend_go_inactive(struct vhost_backend *backend);

/* Whether no queue is half set up. */
bool vhost_backend_queues_finished(const struct vhost_backend *backend);

/* Under the device's lock, or on [main]: the frontend is told that the device needs a reset. */
void vhost_backend_signal_error(struct vhost_backend *backend);

void vhost_queue_init(struct vhost_queue *queue);
/* All that was set; not where it has stopped. */
void vhost_queue_forget(struct vhost_queue *queue);

#endif
