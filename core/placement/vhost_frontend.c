/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user's frontend: negotiation, minding, its end; see vhost_frontend.h and, for locks, vhost_frontend_impl.h. [main] */
#include "core/placement/vhost_frontend_impl.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define PROTOCOL_FEATURES                                                                                        \
	(VHOST_PROTOCOL(MQ) | VHOST_PROTOCOL(REPLY_ACK) | VHOST_PROTOCOL(BACKEND_REQ) | VHOST_PROTOCOL(CONFIG) | \
	 VHOST_PROTOCOL(STATUS))

/* Requests of the backend that are taken in one go; all of them together cost one exchange. */
#define ASKS_PER_MIND 32

static_assert(VHOST_REGIONS_MAX == GMEM_REGIONS_MAX, "memory fits into a message");
static_assert(VHOST_CONFIG_MAX == VIRTIO_CONFIG_BYTES_MAX, "a config space fits into a message");

/* ---- negotiation: steps of vhost_frontend_new(), within one exchange; -ENODEV if the backend has failed meanwhile ---- */

static int agree_on_features(struct vhost_frontend *frontend)
{
	uint64_t offered = 0;
	int r = exchange_ask_u64(frontend, VHOST_GET_FEATURES, &frontend->features);

	if (r < 0)
		return r;
	if (!(frontend->features & VHOST_F_VERSION_1))
		return frontend_fail(frontend, -EPROTO, "the backend knows no virtio 1");
	if (!(frontend->features & VHOST_F_PROTOCOL_FEATURES))
		return 0;
	r = exchange_ask_u64(frontend, VHOST_GET_PROTOCOL_FEATURES, &offered);
	if (r < 0)
		return r;
	/* Whether the message that agrees on acknowledgements is itself acknowledged, nobody says: it is not asked to be. */
	r = exchange_send_u64(frontend, VHOST_SET_PROTOCOL_FEATURES, offered & PROTOCOL_FEATURES);
	frontend->protocol = offered & PROTOCOL_FEATURES;
	return r;
}

static int count_queues(struct vhost_frontend *frontend)
{
	uint64_t count = frontend->spec.queue_max;
	int r = frontend->protocol & VHOST_PROTOCOL(MQ) ? exchange_ask_u64(frontend, VHOST_GET_QUEUE_NUM, &count) : 0;

	if (r < 0)
		return r;
	if (!count || count > frontend->spec.queue_max || count > VIRTIO_QUEUES_MAX)
		return frontend_fail(frontend, -EPROTO, "the backend has not as many queues as the device may have");
	frontend->queue_count = (uint32_t)count;
	return 0;
}

static int give_ask_socket(struct vhost_frontend *frontend)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = SOURCE_ASK };
	struct vhost_message message = { .head.request = VHOST_SET_BACKEND_REQ_FD };
	int pair[2], r;

	if (!(frontend->protocol & VHOST_PROTOCOL(BACKEND_REQ)))
		return 0;
	r = msg_pair(SOCK_STREAM, pair);
	if (r < 0)
		return frontend_fail(frontend, r, strerror(-r));
	frontend->ask_fd = pair[0];
	if (epoll_ctl(frontend->epoll_fd, EPOLL_CTL_ADD, frontend->ask_fd, &event) < 0) {
		r = -errno;
		fd_close(pair[1]);
		return frontend_fail(frontend, r, strerror(-r));
	}
	message.fds = (struct msg_fds){ .count = 1, .fds = { pair[1] } };
	r = exchange_send(frontend, &message);
	fd_close(pair[1]);
	return r;
}

static int send_memory(struct vhost_frontend *frontend, const struct process_memory *memory)
{
	struct vhost_message message = { .head.request = VHOST_SET_MEM_TABLE };
	uint64_t refusal;
	int r;

	assert(memory->count && memory->count <= VHOST_REGIONS_MAX);
	message.payload.memory.count = (uint32_t)memory->count;
	for (size_t i = 0; i < memory->count; i++) {
		/* What the guest calls an address is what messages call it. */
		message.payload.memory.regions[i] = (struct vhost_region){
			.gpa = memory->regions[i].gpa,
			.bytes = memory->regions[i].bytes,
			.user_address = memory->regions[i].gpa,
			.mmap_offset = memory->regions[i].offset,
		};
		message.fds.fds[message.fds.count++] = memory->regions[i].fd;
	}
	r = exchange_settle(frontend, &message, &refusal);
	if (r == 0 && refusal)
		r = frontend_fail(frontend, -EPROTO, "the backend refuses the guest's memory");
	return r;
}

static int negotiate(struct vhost_frontend *frontend, const struct process_memory *memory)
{
	int r = exchange_begin(frontend);

	if (r < 0)
		return r;
	r = exchange_send(frontend, &(struct vhost_message){ .head.request = VHOST_SET_OWNER });
	if (r == 0)
		r = agree_on_features(frontend);
	if (r == 0)
		r = count_queues(frontend);
	if (r == 0)
		r = give_ask_socket(frontend);
	if (r == 0)
		r = send_memory(frontend, memory);
	if (r == 0 && (frontend->protocol & VHOST_PROTOCOL(CONFIG)))
		frontend->config_bytes = frontend->spec.config_bytes;
	if (r == 0 && frontend->config_bytes)
		r = exchange_refresh(frontend, NULL);
	exchange_end(frontend);
	return r;
}

/* ---- its life ---- */

/* Everything but the socket. */
static void dismantle(struct vhost_frontend *frontend)
{
	fd_close(frontend->ask_fd);
	fd_close(frontend->error_fd);
	fd_close(frontend->epoll_fd);
	pthread_mutex_destroy(&frontend->exchange_lock);
	pthread_mutex_destroy(&frontend->config_lock);
	pthread_mutex_destroy(&frontend->notice_lock);
	free((char *)(uintptr_t)frontend->spec.id);
	free(frontend);
}

int vhost_frontend_new(const struct vhost_frontend_spec *spec, struct vhost_frontend **ret, struct err *err)
{
	/* Nothing is read from it but during an exchange; that it has been closed is seen at any time. */
	struct epoll_event event = { .events = EPOLLRDHUP, .data.u64 = SOURCE_SOCKET };
	struct vhost_frontend *frontend = calloc(1, sizeof(*frontend));
	int r = 0;

	if (!frontend)
		return err_sys(err, -ENOMEM, "vhost-user");
	frontend->spec = *spec;
	frontend->spec.id = strdup(spec->id);
	frontend->spec.memory = NULL;
	frontend->memory = *spec->memory;
	frontend->ask_fd = -1;
	frontend->error_fd = -1;
	pthread_mutex_init(&frontend->exchange_lock, NULL);
	pthread_mutex_init(&frontend->config_lock, NULL);
	pthread_mutex_init(&frontend->notice_lock, NULL);
	frontend->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!frontend->spec.id)
		r = -ENOMEM;
	else if (frontend->epoll_fd < 0 || epoll_ctl(frontend->epoll_fd, EPOLL_CTL_ADD, spec->fd, &event) < 0)
		r = -errno;
	if (r < 0) {
		err_sys(err, r, "vhost-user");
	} else {
		r = negotiate(frontend, spec->memory);
		if (r < 0)
			r = err_set(err, frontend->birth_error, "%s", frontend->birth.text);
	}
	if (r < 0) {
		dismantle(frontend);
		return r;
	}
	frontend->born = true;
	*ret = frontend;
	return 0;
}

void vhost_frontend_free(struct vhost_frontend *frontend)
{
	if (!frontend)
		return;
	fd_close(frontend->spec.fd);
	dismantle(frontend);
}

void vhost_frontend_backend(struct vhost_frontend *frontend, struct virtio_backend *ret)
{
	*ret = (struct virtio_backend){
		.ops =
		    frontend->spec.config_writable && frontend->config_bytes ? &frontend_ops : &frontend_ops_read_only,
		.ctx = frontend,
		.device_id = frontend->spec.device_id,
		.vendor_id = frontend->spec.vendor_id,
		.features = frontend->features & ~VHOST_F_PROTOCOL_FEATURES,
		.config_bytes = frontend->config_bytes,
		.queue_count = frontend->queue_count,
		.outside = frontend->spec.outside,
	};
	for (uint32_t i = 0; i < frontend->queue_count; i++)
		ret->queue_sizes[i] = frontend->spec.queue_size;
}

void vhost_frontend_attach(struct vhost_frontend *frontend, const struct placed_notices *notices)
{
	pthread_mutex_lock(&frontend->notice_lock);
	frontend->notices = notices ? *notices : (struct placed_notices){ NULL, NULL, NULL };
	pthread_mutex_unlock(&frontend->notice_lock);
}

/* ---- minding ---- */

int vhost_frontend_fd(const struct vhost_frontend *frontend)
{
	return frontend->epoll_fd;
}

/* The error descriptor of life `life` was signalled. */
static void mind_error(struct vhost_frontend *frontend, uint64_t life)
{
	pthread_mutex_lock(&frontend->notice_lock);
	if (frontend->alive && frontend->life == life && frontend->notices.needs_reset)
		frontend->notices.needs_reset(frontend->notices.ctx);
	pthread_mutex_unlock(&frontend->notice_lock);
}

/* Takes one request of the backend, without ever waiting for the rest of one. 1; 0: there is none; -ENODEV. */
static int take_request(struct vhost_frontend *frontend, struct vhost_head *ret)
{
	struct iovec iov = {
		.iov_base = frontend->ask_bytes + frontend->ask_count,
		.iov_len = sizeof(frontend->ask_bytes) - frontend->ask_count,
	};
	/* No room for descriptors: the kernel closes what comes. */
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(frontend->ask_fd, &header, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return frontend_fail(frontend, -ECONNRESET, "vhost-user: the socket of its requests was closed");
	if (header.msg_flags & MSG_CTRUNC)
		return frontend_fail(frontend, -EPROTO, "vhost-user: descriptors came with a request of the backend");
	frontend->ask_count += (size_t)n;
	if (frontend->ask_count < sizeof(frontend->ask_bytes))
		return 0;
	frontend->ask_count = 0;
	memcpy(ret, frontend->ask_bytes, sizeof(*ret));
	if (!vhost_backend_request_ok(ret) ||
	    ((ret->flags & VHOST_FLAG_NEED_REPLY) && !(frontend->protocol & VHOST_PROTOCOL(REPLY_ACK))))
		return frontend_fail(frontend, -EPROTO, "vhost-user: a request of the backend is against the protocol");
	return 1;
}

static int acknowledge(struct vhost_frontend *frontend)
{
	struct {
		struct vhost_head head;
		uint8_t value[sizeof(uint64_t)];
	} reply = {
		.head = {
			.request = VHOST_BACKEND_CONFIG_CHANGE,
			.flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
			.bytes = sizeof(uint64_t),
		},
	};

	static_assert(sizeof(reply) == sizeof(struct vhost_head) + sizeof(uint64_t), "as it is sent");
	if (msg_send(frontend->ask_fd, &reply, sizeof(reply), NULL, 0) == 0)
		return 0;
	return frontend_fail(frontend, -EPROTO, "vhost-user: the backend does not take what it asked for");
}

/* Asks for the config space, which the backend says has changed. It answers when it likes, within the deadline, while the main thread waits:
 * so all that it may take of that is one deadline, and then an eighth of the time. */
static int mind_change(struct vhost_frontend *frontend)
{
	uint64_t begin_ns, earned_ns;
	int r = exchange_begin(frontend);

	if (r < 0)
		return r;
	begin_ns = clock_now_ns();
	earned_ns = (begin_ns - frontend->changed_ns) / 8;
	r = exchange_refresh(frontend, NULL);
	exchange_end(frontend);
	frontend->spent_ns -= earned_ns < frontend->spent_ns ? earned_ns : frontend->spent_ns;
	frontend->spent_ns += clock_now_ns() - begin_ns;
	frontend->changed_ns = begin_ns;
	if (r == 0 && frontend->spent_ns > frontend->spec.deadline_ns)
		r = frontend_fail(frontend, -EPROTO, "vhost-user: its config space changes all the time");
	return r;
}

static void mind_requests(struct vhost_frontend *frontend)
{
	unsigned int requests = 0, replies = 0;
	struct vhost_head head = { 0 };
	int r = 0;

	while (requests < ASKS_PER_MIND && (r = take_request(frontend, &head)) > 0) {
		requests++;
		replies += head.flags & VHOST_FLAG_NEED_REPLY ? 1 : 0;
	}
	if (r < 0 || !requests)
		return;
	if (frontend->config_bytes)
		r = mind_change(frontend);
	while (r >= 0 && replies--)
		r = acknowledge(frontend);
}

void vhost_frontend_mind(struct vhost_frontend *frontend)
{
	struct epoll_event events[3];
	int count = epoll_wait(frontend->epoll_fd, events, sizeof(events) / sizeof(events[0]), 0);

	for (int i = 0; i < count && !atomic_load(&frontend->failed); i++) {
		uint64_t source = events[i].data.u64 & ((1u << SOURCE_BITS) - 1);

		if (source == SOURCE_ERROR)
			mind_error(frontend, events[i].data.u64 >> SOURCE_BITS);
		else if (source == SOURCE_ASK)
			mind_requests(frontend);
		else
			frontend_fail(frontend, -ECONNRESET, "vhost-user: the connection was closed");
	}
}

void vhost_frontend_fail(struct vhost_frontend *frontend)
{
	frontend_fail(frontend, -ENODEV, NULL);
}
