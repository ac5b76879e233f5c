/* SPDX-License-Identifier: BSD-3-Clause */
/* What vhost-user's frontend says to the backend, and what becomes of it when the answer is wrong; see
 * vhost_frontend_impl.h. Any thread. */
#include "core/placement/vhost_frontend_impl.h"

#include "core/base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* ---- failing ---- */

int frontend_fail(struct vhost_frontend *frontend, int error, const char *why)
{
	if (atomic_exchange(&frontend->failed, true))
		return -ENODEV;
	/* Whoever waits on the socket wakes, and finds that it is over; the set of what is minded falls silent. */
	(void)shutdown(frontend->spec.fd, SHUT_RDWR);
	(void)epoll_ctl(frontend->epoll_fd, EPOLL_CTL_DEL, frontend->spec.fd, NULL);
	if (frontend->ask_fd >= 0)
		(void)epoll_ctl(frontend->epoll_fd, EPOLL_CTL_DEL, frontend->ask_fd, NULL);
	if (!frontend->born) {
		frontend->birth_error = err_set(&frontend->birth, error, "%s: %s", frontend->spec.id, why);
		return -ENODEV;
	}
	pthread_mutex_lock(&frontend->notice_lock);
	if (frontend->error_fd >= 0)
		(void)epoll_ctl(frontend->epoll_fd, EPOLL_CTL_DEL, frontend->error_fd, NULL);
	if (frontend->alive && frontend->notices.needs_reset)
		frontend->notices.needs_reset(frontend->notices.ctx);
	pthread_mutex_unlock(&frontend->notice_lock);
	if (why && frontend->spec.failed)
		frontend->spec.failed(frontend->spec.ctx, error, why);
	return -ENODEV;
}

/* Fails for what came of a request. */
static int broken(struct vhost_frontend *frontend, uint32_t request, int error)
{
	char why[120];

	switch (error) {
	case -ETIMEDOUT:
		snprintf(why, sizeof(why), "vhost-user request %" PRIu32 ": no answer in time", request);
		break;
	case -ECONNRESET:
	case -EPIPE:
		error = -ECONNRESET;
		snprintf(why, sizeof(why), "vhost-user request %" PRIu32 ": the connection was closed", request);
		break;
	case -EPROTO:
		snprintf(why, sizeof(why), "vhost-user request %" PRIu32 ": the answer is against the protocol",
			 request);
		break;
	default:
		snprintf(why, sizeof(why), "vhost-user request %" PRIu32 ": %s", request, strerror(-error));
		break;
	}
	return frontend_fail(frontend, error, why);
}

/* ---- exchanges ---- */

int exchange_begin(struct vhost_frontend *frontend)
{
	pthread_mutex_lock(&frontend->exchange_lock);
	if (atomic_load(&frontend->failed)) {
		pthread_mutex_unlock(&frontend->exchange_lock);
		return -ENODEV;
	}
	frontend->deadline_ns = clock_now_ns() + frontend->spec.deadline_ns;
	return 0;
}

void exchange_end(struct vhost_frontend *frontend)
{
	pthread_mutex_unlock(&frontend->exchange_lock);
}

int exchange_send(struct vhost_frontend *frontend, struct vhost_message *message)
{
	int r = vhost_send(frontend->spec.fd, message, frontend->deadline_ns);

	return r < 0 ? broken(frontend, message->head.request, r) : 0;
}

int exchange_send_u64(struct vhost_frontend *frontend, enum vhost_request request, uint64_t value)
{
	struct vhost_message message = { .head.request = request, .payload.u64 = value };

	return exchange_send(frontend, &message);
}

/* The reply to `request`. */
static int await(struct vhost_frontend *frontend, uint32_t request, struct vhost_message *ret_reply)
{
	int r = msg_wait(frontend->spec.fd, frontend->spec.gone_fd, frontend->deadline_ns);

	if (r == 0)
		r = vhost_receive(frontend->spec.fd, true, ret_reply, frontend->deadline_ns);
	if (r == 0 && ret_reply->head.request != request)
		r = -EPROTO;
	return r < 0 ? broken(frontend, request, r) : 0;
}

int exchange_ask(struct vhost_frontend *frontend, struct vhost_message *message, struct vhost_message *ret_reply)
{
	uint32_t request = message->head.request;
	int r = exchange_send(frontend, message);

	return r < 0 ? r : await(frontend, request, ret_reply);
}

int exchange_ask_u64(struct vhost_frontend *frontend, enum vhost_request request, uint64_t *ret)
{
	struct vhost_message message = { .head.request = request };
	int r = exchange_ask(frontend, &message, &message);

	if (r == 0)
		*ret = message.payload.u64;
	return r;
}

int exchange_settle(struct vhost_frontend *frontend, struct vhost_message *message, uint64_t *ret_refusal)
{
	uint64_t ignored;
	int r;

	*ret_refusal = 0;
	if (frontend->protocol & VHOST_PROTOCOL(REPLY_ACK)) {
		message->head.flags |= VHOST_FLAG_NEED_REPLY;
		r = exchange_ask(frontend, message, message);
		if (r == 0)
			*ret_refusal = message->payload.u64;
		return r;
	}
	r = exchange_send(frontend, message);
	return r < 0 ? r : exchange_ask_u64(frontend, VHOST_GET_FEATURES, &ignored);
}

/* ---- config space ---- */

/* B, who is here, and V, a vCPU that reads a field in two halves: virtio_device_config_changed() tells why the
 * generation has to change before V can see the new bytes. */
static void take_config(struct vhost_frontend *frontend, const uint8_t *bytes, const uint8_t *expected)
{
	uint32_t count = frontend->config_bytes;

	pthread_mutex_lock(&frontend->config_lock);
	if (memcmp(frontend->config, bytes, count) != 0) {
		memcpy(frontend->config, bytes, count);
		pthread_mutex_lock(&frontend->notice_lock);
		if (frontend->notices.config_changed && !(expected && memcmp(expected, bytes, count) == 0))
			frontend->notices.config_changed(frontend->notices.ctx);
		pthread_mutex_unlock(&frontend->notice_lock);
	}
	pthread_mutex_unlock(&frontend->config_lock);
}

int exchange_refresh(struct vhost_frontend *frontend, const uint8_t *expected)
{
	struct vhost_message message = {
		.head.request = VHOST_GET_CONFIG,
		.payload.config.bytes = frontend->config_bytes,
	};
	int r = exchange_ask(frontend, &message, &message);

	if (r < 0)
		return r;
	if (message.payload.config.offset || message.payload.config.bytes != frontend->config_bytes)
		return frontend_fail(frontend, -EPROTO, "vhost-user: the config space has another size");
	take_config(frontend, message.payload.config.data, expected);
	return 0;
}
