/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user's frontend as a struct virtio_backend: what a driver's steps become on the wire; see
 * vhost_frontend_impl.h. [transport] */
#include "core/placement/vhost_frontend_impl.h"

#include "core/base/checked.h"
#include "core/base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#define ERRNO_MAX 4095u /* as the kernel has it */

static_assert(VIRTIO_QUEUES_MAX <= 64 && VIRTIO_QUEUES_MAX <= VHOST_VRING_INDEX_MASK, "queues fit into a mask");

/* ---- lives ---- */

static void drop_error_fd(struct vhost_frontend *frontend)
{
	if (frontend->error_fd < 0)
		return;
	/* The backend has the eventfd, too: closing it does not take it out of the set. */
	(void)epoll_ctl(frontend->epoll_fd, EPOLL_CTL_DEL, frontend->error_fd, NULL);
	fd_close(fd_take(&frontend->error_fd));
}

/* From here on the device can need a reset. The error descriptor is never read, since the backend could make that
 * block: it is heard once, which is all that there is to say in a life. */
static int begin_life(struct vhost_frontend *frontend, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT };
	int r = 0;

	pthread_mutex_lock(&frontend->notice_lock);
	frontend->life++;
	event.data.u64 = SOURCE_ERROR | frontend->life << SOURCE_BITS;
	frontend->error_fd = fd_event();
	if (frontend->error_fd < 0)
		r = frontend->error_fd;
	else if (epoll_ctl(frontend->epoll_fd, EPOLL_CTL_ADD, frontend->error_fd, &event) < 0)
		r = -errno;
	frontend->alive = r == 0;
	if (r < 0)
		drop_error_fd(frontend);
	pthread_mutex_unlock(&frontend->notice_lock);
	return r < 0 ? err_sys(err, r, "vhost-user") : 0;
}

static void end_life(struct vhost_frontend *frontend)
{
	pthread_mutex_lock(&frontend->notice_lock);
	frontend->alive = false;
	drop_error_fd(frontend);
	pthread_mutex_unlock(&frontend->notice_lock);
}

/* ---- activation ---- */

static bool within_memory(const struct process_memory *memory, uint64_t gpa, uint64_t bytes)
{
	for (size_t i = 0; i < memory->count; i++)
		if (range_within(gpa - memory->regions[i].gpa, bytes, memory->regions[i].bytes))
			return true;
	return false;
}

/* A backend may end the connection over rings that it does not find, for which the guest is to blame. */
static int check_rings(const struct vhost_frontend *frontend, const struct virtio_activation *activation,
		       struct err *err)
{
	for (uint32_t i = 0; i < activation->queue_count; i++) {
		const struct virtio_queue_setup *queue = &activation->queues[i];
		uint64_t size = queue->size;

		if (queue->ready && !(within_memory(&frontend->memory, queue->desc_gpa, 16 * size) &&
				      within_memory(&frontend->memory, queue->driver_gpa, 6 + 2 * size) &&
				      within_memory(&frontend->memory, queue->device_gpa, 6 + 8 * size)))
			return err_set(err, -EFAULT, "queue %" PRIu32 ": its rings are outside of memory", i);
	}
	return 0;
}

static int send_state(struct vhost_frontend *frontend, enum vhost_request request, uint32_t index, uint32_t num)
{
	struct vhost_message message = { .head.request = request, .payload.state = { index, num } };

	return exchange_send(frontend, &message);
}

static int send_vring_fd(struct vhost_frontend *frontend, enum vhost_request request, uint32_t index, int fd)
{
	struct vhost_message message = {
		.head.request = request,
		.payload.u64 = index,
		.fds = { .count = 1, .fds = { fd } },
	};

	return exchange_send(frontend, &message);
}

static int send_queue(struct vhost_frontend *frontend, uint32_t index, const struct virtio_queue_setup *queue)
{
	struct vhost_message addr = {
		.head.request = VHOST_SET_VRING_ADDR,
		.payload.addr = {
			.index = index,
			.desc = queue->desc_gpa,
			.avail = queue->driver_gpa,
			.used = queue->device_gpa,
		},
	};
	int r = send_state(frontend, VHOST_SET_VRING_NUM, index, queue->size);

	if (r == 0)
		r = send_state(frontend, VHOST_SET_VRING_BASE, index, 0);
	if (r == 0)
		r = exchange_send(frontend, &addr);
	if (r == 0)
		r = send_vring_fd(frontend, VHOST_SET_VRING_CALL, index, queue->call_fd);
	if (r == 0)
		r = send_vring_fd(frontend, VHOST_SET_VRING_ERR, index, frontend->error_fd);
	if (r == 0)
		r = send_vring_fd(frontend, VHOST_SET_VRING_KICK, index, queue->kick_fd);
	if (r == 0)
		frontend->queues |= UINT64_C(1) << index;
	return r;
}

/* Queues of a backend that does not know SET_VRING_ENABLE are enabled from the start. */
static int enable_queues(struct vhost_frontend *frontend, uint64_t *ret_refusal)
{
	bool status = frontend->protocol & VHOST_PROTOCOL(STATUS);

	if (!(frontend->features & VHOST_F_PROTOCOL_FEATURES))
		return 0;
	for (uint32_t i = 0; i < frontend->queue_count && !*ret_refusal; i++) {
		struct vhost_message message = { .head.request = VHOST_SET_VRING_ENABLE, .payload.state = { i, 1 } };
		int r;

		if (!(frontend->queues & (UINT64_C(1) << i)))
			continue;
		/* With a status nothing has begun before that is set. */
		r = status ? exchange_send(frontend, &message) : exchange_settle(frontend, &message, ret_refusal);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start(struct vhost_frontend *frontend, const struct virtio_activation *activation, uint64_t *ret_refusal)
{
	struct vhost_message message = { .head.request = VHOST_SET_STATUS, .payload.u64 = VHOST_STATUS_READY };
	uint64_t ignored;
	int r = exchange_send_u64(frontend, VHOST_SET_FEATURES,
				  activation->features | (frontend->features & VHOST_F_PROTOCOL_FEATURES));

	*ret_refusal = 0;
	frontend->queues = 0;
	for (uint32_t i = 0; r == 0 && i < activation->queue_count; i++)
		if (activation->queues[i].ready)
			r = send_queue(frontend, i, &activation->queues[i]);
	if (r == 0)
		r = enable_queues(frontend, ret_refusal);
	if (r < 0 || *ret_refusal)
		return r;
	if (frontend->protocol & VHOST_PROTOCOL(STATUS))
		return exchange_settle(frontend, &message, ret_refusal);
	return exchange_ask_u64(frontend, VHOST_GET_FEATURES, &ignored);
}

/* Whatever the backend has of this life it forgets. One that does not has failed. */
static int stop(struct vhost_frontend *frontend)
{
	struct vhost_message message = { .head.request = VHOST_SET_STATUS };
	uint64_t refusal = 0;
	int r = 0;

	if (frontend->protocol & VHOST_PROTOCOL(STATUS))
		r = exchange_settle(frontend, &message, &refusal);
	for (uint32_t i = 0; !(frontend->protocol & VHOST_PROTOCOL(STATUS)) && i < frontend->queue_count; i++) {
		if (r < 0 || !(frontend->queues & (UINT64_C(1) << i)))
			continue;
		message =
		    (struct vhost_message){ .head.request = VHOST_GET_VRING_BASE, .payload.state = { .index = i } };
		r = exchange_ask(frontend, &message, &message);
		if (r == 0 && message.payload.state.index != i)
			r = frontend_fail(frontend, -EPROTO, "vhost-user: the wrong queue was stopped");
	}
	if (r == 0 && refusal)
		r = frontend_fail(frontend, -EPROTO, "vhost-user: a reset was refused");
	frontend->queues = 0;
	return r;
}

static int activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	struct vhost_frontend *frontend = ctx;
	uint64_t refusal = 0;
	int r = check_rings(frontend, activation, err);

	if (r < 0)
		return r;
	r = exchange_begin(frontend);
	if (r < 0)
		return err_set(err, r, "its backend has failed");
	r = begin_life(frontend, err);
	if (r == 0) {
		r = start(frontend, activation, &refusal);
		if (r < 0)
			err_set(err, r, "its backend has failed");
		if (refusal) {
			/* Before it is known whether it has forgotten all of it, nobody else speaks to it. */
			r = refusal <= ERRNO_MAX ? -(int)refusal : -EIO;
			err_sys(err, r, "its backend refuses");
			(void)stop(frontend);
		}
		if (r < 0)
			end_life(frontend);
	}
	exchange_end(frontend);
	return r;
}

static void reset(void *ctx)
{
	struct vhost_frontend *frontend = ctx;

	if (exchange_begin(frontend) == 0) {
		(void)stop(frontend);
		exchange_end(frontend);
	}
	end_life(frontend);
}

/* ---- config space ---- */

static void config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	struct vhost_frontend *frontend = ctx;

	pthread_mutex_lock(&frontend->config_lock);
	memcpy(buf, frontend->config + offset, bytes);
	pthread_mutex_unlock(&frontend->config_lock);
}

/* What the device makes of the write is what the driver reads from then on. That its own bytes are there is no news to it. */
static void config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct vhost_frontend *frontend = ctx;
	struct vhost_message message = {
		.head.request = VHOST_SET_CONFIG,
		.payload.config = { .offset = offset, .bytes = bytes },
	};
	uint8_t expected[VHOST_CONFIG_MAX];

	memcpy(message.payload.config.data, buf, bytes);
	if (exchange_begin(frontend) < 0)
		return;
	config_read(frontend, 0, expected, frontend->config_bytes);
	memcpy(expected + offset, buf, bytes);
	if (exchange_send(frontend, &message) == 0)
		(void)exchange_refresh(frontend, expected);
	exchange_end(frontend);
}

const struct virtio_backend_ops frontend_ops = {
	.activate = activate,
	.reset = reset,
	.config_read = config_read,
	.config_write = config_write,
};

const struct virtio_backend_ops frontend_ops_read_only = {
	.activate = activate,
	.reset = reset,
	.config_read = config_read,
};
