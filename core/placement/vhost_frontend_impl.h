/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user's frontend as its files share it: vhost_frontend.c makes and minds it, vhost_frontend_ops.c is the struct
 * virtio_backend, vhost_frontend_exchange.c speaks to the backend and knows what failing means.
 *
 * Locks, in the order in which they are taken:
 *   exchange_lock   the socket, while a question waits for its answer: up to a deadline. Whoever learns of a new config
 *                   space from an answer puts it into the cache before it lets go, so that an older one cannot come
 *                   later.
 *   config_lock     the cache; short
 *   notice_lock     who is told what, and whether a life is on; short. notices.* are called under it, so none is when a
 *                   reset has returned.
 * vhost_frontend_fail() takes the last only: it never waits for whom it is to release.
 */
#ifndef PLACEMENT_VHOST_FRONTEND_IMPL_H
#define PLACEMENT_VHOST_FRONTEND_IMPL_H

#include "core/placement/vhost_frontend.h"
#include "core/placement/wire/vhost.h"

#include <pthread.h>
#include <stdatomic.h>

/* What the epoll set knows its members by; that of a life has the life's number above it. */
enum frontend_source { SOURCE_SOCKET, SOURCE_ASK, SOURCE_ERROR };
#define SOURCE_BITS 8

struct vhost_frontend {
	struct vhost_frontend_spec spec; /* id is a copy, memory NULL */
	struct process_memory memory;    /* without the descriptors */
	uint64_t features;               /* of the backend */
	uint64_t protocol;               /* negotiated */
	uint32_t queue_count, config_bytes;
	int epoll_fd;
	_Atomic(bool) failed;

	pthread_mutex_t exchange_lock;
	uint64_t deadline_ns; /* of the exchange that is on */
	uint64_t queues;      /* that were set up for the life that is on, as a mask */
	bool born;            /* vhost_frontend_new() is over */
	int birth_error;      /* before that: why it is not to be, */
	struct err birth;     /* and in words */

	pthread_mutex_t config_lock;
	uint8_t config[VHOST_CONFIG_MAX];

	pthread_mutex_t notice_lock;
	struct placed_notices notices;
	bool alive; /* between activate and reset */
	uint64_t life;
	int error_fd; /* of the life; -1: none */

	/* [main] */
	int ask_fd; /* of the backend's own requests; -1: none */
	uint8_t ask_bytes[sizeof(struct vhost_head)];
	size_t ask_count;              /* bytes of the next of them that are there */
	uint64_t spent_ns, changed_ns; /* waiting for it because it asked, less what it has earned until then */
};

/* ---- vhost_frontend_exchange.c ---- */

/* Takes the exchange_lock, and begins the time that an exchange has. -ENODEV in the state failed, without the lock. */
int exchange_begin(struct vhost_frontend *frontend);
void exchange_end(struct vhost_frontend *frontend);

/* Within an exchange. -ENODEV, and the state is failed, if it went wrong. Message and reply may be the same. */
int exchange_send(struct vhost_frontend *frontend, struct vhost_message *message);
int exchange_ask(struct vhost_frontend *frontend, struct vhost_message *message, struct vhost_message *ret_reply);
int exchange_ask_u64(struct vhost_frontend *frontend, enum vhost_request request, uint64_t *ret);
int exchange_send_u64(struct vhost_frontend *frontend, enum vhost_request request, uint64_t value);
/* Sends, and waits until it has been done. *ret_refusal is 0, or what the backend says why not. */
int exchange_settle(struct vhost_frontend *frontend, struct vhost_message *message, uint64_t *ret_refusal);
/* Asks for the config space, which goes into the cache; with a notice if it is neither what was there nor what was
 * `expected` (NULL: nothing else). */
int exchange_refresh(struct vhost_frontend *frontend, const uint8_t *expected);

/* [any] Enters the state failed, with `why` told unless it is NULL. Always -ENODEV. */
int frontend_fail(struct vhost_frontend *frontend, int error, const char *why);

/* ---- vhost_frontend_ops.c ---- */

extern const struct virtio_backend_ops frontend_ops, frontend_ops_read_only;

#endif
