/* SPDX-License-Identifier: BSD-3-Clause */
/* The queues of vhost-user's backend, and its activation; see vhost_backend_impl.h. */
#include "core/placement/child/vhost_backend_impl.h"

#include "core/base/fd.h"
#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Linux 6.10; the C library may be older. */
#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

/* ---- what is set ---- */

void vhost_queue_init(struct vhost_queue *queue)
{
	*queue = (struct vhost_queue){ .kick_fd = -1, .call_fd = -1, .err_fd = -1 };
}

void vhost_queue_forget(struct vhost_queue *queue)
{
	uint16_t next;

	fd_close(queue->kick_fd);
	fd_close(queue->call_fd);
	fd_close(queue->err_fd);
	next = queue->next;
	vhost_queue_init(queue);
	queue->next = next;
}

static bool queue_complete(const struct vhost_queue *queue)
{
	return queue->size && queue->addressed && queue->kick_fd >= 0;
}

bool vhost_backend_queues_finished(const struct vhost_backend *backend)
{
	for (uint32_t i = 0; i < backend->offer.queue_count; i++) {
		const struct vhost_queue *queue = &backend->queues[i];

		if (queue->touched && !(queue_complete(queue) && queue->enabled))
			return false;
	}
	return true;
}

/* ---- activation and its end ---- */

void vhost_backend_signal_error(struct vhost_backend *backend)
{
	atomic_store(&backend->broken, true);
	for (uint32_t i = 0; i < backend->offer.queue_count; i++)
		if (backend->queues[i].err_fd >= 0)
			fd_event_signal(backend->queues[i].err_fd);
}

void vhost_backend_go_inactive(struct vhost_backend *backend)
{
	bool ran = backend->active;

	vdev_reset(backend->spec.device);
	backend->active = false;
	backend->status = 0;
	atomic_store(&backend->broken, false);
	for (uint32_t i = 0; i < backend->offer.queue_count; i++) {
		struct vhost_queue *queue = &backend->queues[i];

		if (ran)
			queue->next = queue_complete(queue) ? vdev_queue_taken(backend->spec.device, i) : 0;
		vhost_queue_forget(queue);
	}
}

/* Whether both are one eventfd, of which each message brings a descriptor of its own. A kernel that cannot say makes
 * queues that share an interrupt signal it one by one, which is harmless. */
static bool same_file(int a, int b)
{
	return fcntl(a, F_DUPFD_QUERY, b) == 1;
}

/* What queue `index` signals: the first descriptor of its eventfd, by which vdev recognises queues that share one. */
static int call_fd_of(const struct vhost_backend *backend, uint32_t index)
{
	int fd = backend->queues[index].call_fd;

	for (uint32_t i = 0; fd >= 0 && i < index; i++)
		if (backend->queues[i].call_fd >= 0 && same_file(backend->queues[i].call_fd, fd))
			return backend->queues[i].call_fd;
	return fd;
}

/* 0, or -errno of the device; what was set for the queues stays in both cases. */
static int activate(struct vhost_backend *backend)
{
	struct vdev_queue_setup queues[BP_VIRTIO_QUEUES_MAX];
	const struct vdev_setup setup = {
		.features = backend->features & ~VHOST_F_PROTOCOL_FEATURES,
		.isr = backend->spec.isr,
		.queue_count = backend->offer.queue_count,
		.queues = queues,
	};
	struct err err = ERR_NONE;
	int r;

	for (uint32_t i = 0; i < backend->offer.queue_count; i++) {
		const struct vhost_queue *queue = &backend->queues[i];

		queues[i] = (struct vdev_queue_setup){ .ready = queue_complete(queue) };
		if (!queues[i].ready)
			continue;
		queues[i].size = queue->size;
		queues[i].desc_gpa = queue->desc_gpa;
		queues[i].avail_gpa = queue->avail_gpa;
		queues[i].used_gpa = queue->used_gpa;
		queues[i].kick_fd = queue->kick_fd;
		queues[i].call_fd = call_fd_of(backend, i);
	}
	r = vdev_activate(backend->spec.device, &setup, &err);
	backend->active = r == 0;
	if (r < 0)
		log_limited(LOG_LEVEL_WARN, "%s: %s", device_id(backend->spec.device), err.text);
	return r;
}

/* Without an acknowledgement an activation that fails is told as an error of the queues. */
int vhost_backend_start(struct vhost_backend *backend, const struct vhost_message *message)
{
	int r = activate(backend);

	if (r < 0 && !(message->head.flags & VHOST_FLAG_NEED_REPLY))
		vhost_backend_signal_error(backend);
	return -r;
}

/* ---- messages ---- */

static int set_vring_num(struct vhost_backend *backend, const struct vhost_message *message, struct vhost_queue *queue,
			 struct err *err)
{
	uint32_t size = message->payload.state.num;

	if (!size || size > backend->offer.queue_size || (size & (size - 1)))
		return vhost_backend_refuse(err, message, "no queue has that size");
	queue->size = (uint16_t)size;
	return 0;
}

static int set_vring_base(const struct vhost_message *message, struct vhost_queue *queue, struct err *err)
{
	if (message->payload.state.num)
		return vhost_backend_refuse(err, message, "queues begin at 0");
	queue->next = 0;
	return 0;
}

/* Whether the rings lie in memory is seen when the device is activated: they are the guest's choice. */
static int set_vring_addr(const struct vhost_message *message, struct vhost_queue *queue, struct err *err)
{
	const struct vhost_vring_addr *addr = &message->payload.addr;

	if (addr->flags)
		return vhost_backend_refuse(err, message, "its flags are not known");
	queue->addressed = true;
	queue->desc_gpa = addr->desc;
	queue->avail_gpa = addr->avail;
	queue->used_gpa = addr->used;
	return 0;
}

/* Only what writes to an eventfd cannot do to its writer is let through: pipes and sockets raise signals and block. */
static bool fd_is_event(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	return fstat(fd, &st) == 0 && !(st.st_mode & S_IFMT) && flags >= 0 && (flags & O_NONBLOCK);
}

static int set_vring_fd(struct vhost_message *message, int *ret_fd, struct err *err)
{
	bool none = message->payload.u64 & VHOST_VRING_NO_FD;

	if (none && message->head.request == VHOST_SET_VRING_KICK)
		return vhost_backend_refuse(err, message, "queues are not polled");
	if (!none && !fd_is_event(message->fds.fds[0]))
		return vhost_backend_refuse(err, message, "its descriptor is no eventfd that does not block");
	fd_close(*ret_fd);
	*ret_fd = none ? -1 : message->fds.fds[0];
	message->fds.count = 0;
	return 0;
}

static int set_vring_enable(struct vhost_backend *backend, const struct vhost_message *message,
			    struct vhost_queue *queue, struct err *err)
{
	uint32_t enable = message->payload.state.num;

	if (enable > 1 || (enable && !queue_complete(queue)))
		return vhost_backend_refuse(err, message, "the queue is not complete");
	if (!enable && backend->active) {
		vhost_backend_go_inactive(backend);
		return 0;
	}
	queue->enabled = enable;
	if (enable && !backend->active && !(backend->protocol & VHOST_PROTOCOL(STATUS)))
		return vhost_backend_start(backend, message);
	return 0;
}

int vhost_backend_of_queue(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply,
			   struct err *err)
{
	/* It is the first of all payloads of queues, and all there is of some. */
	uint32_t request = message->head.request, index = message->payload.state.index;
	struct vhost_queue *queue;

	if (request == VHOST_SET_VRING_KICK || request == VHOST_SET_VRING_CALL || request == VHOST_SET_VRING_ERR)
		index &= VHOST_VRING_INDEX_MASK;
	if (index >= backend->offer.queue_count)
		return vhost_backend_refuse(err, message, "there is no such queue");
	if (!backend->features || !backend->spec.mem->count)
		return vhost_backend_refuse(err, message, "features and memory come first");
	if (backend->active && request != VHOST_GET_VRING_BASE && request != VHOST_SET_VRING_ENABLE)
		return vhost_backend_refuse(err, message, "the device is active");
	queue = &backend->queues[index];
	if (request != VHOST_GET_VRING_BASE)
		queue->touched = true;
	switch (request) {
	case VHOST_SET_VRING_NUM:
		return set_vring_num(backend, message, queue, err);
	case VHOST_SET_VRING_ADDR:
		return set_vring_addr(message, queue, err);
	case VHOST_SET_VRING_BASE:
		return set_vring_base(message, queue, err);
	case VHOST_SET_VRING_KICK:
		return set_vring_fd(message, &queue->kick_fd, err);
	case VHOST_SET_VRING_CALL:
		return set_vring_fd(message, &queue->call_fd, err);
	case VHOST_SET_VRING_ERR:
		return set_vring_fd(message, &queue->err_fd, err);
	case VHOST_SET_VRING_ENABLE:
		return set_vring_enable(backend, message, queue, err);
	default: /* GET_VRING_BASE */
		if (backend->active)
			vhost_backend_go_inactive(backend);
		else
			vhost_queue_forget(queue);
		reply->payload.state = (struct vhost_vring_state){ .index = index, .num = queue->next };
		return 0;
	}
}
