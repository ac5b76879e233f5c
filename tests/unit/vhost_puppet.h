/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vhost-user backend on a thread that has no device: it answers as a table says, remembers what it was asked, and
 * plays one trick. For the tests of the frontend.
 */
#ifndef TESTS_UNIT_VHOST_PUPPET_H
#define TESTS_UNIT_VHOST_PUPPET_H

#include "tests/unit/vhost_fixture.h"

#define PUPPET_ASKED_MAX 256
#define PUPPET_PROTOCOL                                                                                          \
	(VHOST_PROTOCOL(MQ) | VHOST_PROTOCOL(REPLY_ACK) | VHOST_PROTOCOL(BACKEND_REQ) | VHOST_PROTOCOL(CONFIG) | \
	 VHOST_PROTOCOL(STATUS))

/* What it does instead of replying. */
enum trick {
	NO_TRICK,
	SILENT,
	CLOSES,
	HALF_A_HEAD,
	HALF_A_PAYLOAD,
	GARBAGE,
	OTHER_REQUEST,
	NO_REPLY_FLAG,
	OTHER_VERSION,
	OTHER_FLAG,
	SHORT,
	LONG,
	HUGE,
	WITH_FD,
	FD_BOMB,
	TRICKS
};

struct puppet {
	int fd; /* borrowed */
	int stop_fd;
	pthread_t thread;
	bool running;
	/* What it says. */
	uint64_t features, protocol, queues, refusal;
	uint32_t config_offset, config_bytes; /* of replies, if not as asked */
	bool other_config;
	uint8_t config[VHOST_CONFIG_MAX];
	enum vhost_request refuse;
	enum vhost_request trick_at;
	enum trick trick;
	/* What it was told. */
	pthread_mutex_t lock;
	uint32_t asked[PUPPET_ASKED_MAX]; /* requests in order */
	size_t count;
	struct vhost_message last[64]; /* by request, without descriptors */
	int ask_fd, error_fd, kick_fd, call_fd;
};

static inline bool puppet_replies(const struct vhost_message *message)
{
	switch (message->head.request) {
	case VHOST_GET_FEATURES:
	case VHOST_GET_PROTOCOL_FEATURES:
	case VHOST_GET_QUEUE_NUM:
	case VHOST_GET_VRING_BASE:
	case VHOST_GET_CONFIG:
	case VHOST_GET_STATUS:
		return true;
	default:
		return message->head.flags & VHOST_FLAG_NEED_REPLY;
	}
}

static inline void puppet_keep(int *fd, struct vhost_message *message)
{
	fd_close(*fd);
	*fd = message->fds.fds[0];
	message->fds.count = 0;
}

static inline void puppet_note(struct puppet *puppet, struct vhost_message *message)
{
	uint32_t request = message->head.request;

	pthread_mutex_lock(&puppet->lock);
	MUST(puppet->count < PUPPET_ASKED_MAX);
	puppet->asked[puppet->count++] = request;
	puppet->last[request] = *message;
	if (request == VHOST_SET_BACKEND_REQ_FD)
		puppet_keep(&puppet->ask_fd, message);
	else if (request == VHOST_SET_VRING_ERR)
		puppet_keep(&puppet->error_fd, message);
	else if (request == VHOST_SET_VRING_KICK)
		puppet_keep(&puppet->kick_fd, message);
	else if (request == VHOST_SET_VRING_CALL)
		puppet_keep(&puppet->call_fd, message);
	pthread_mutex_unlock(&puppet->lock);
	msg_fds_close(&message->fds);
}

static inline struct vhost_message puppet_reply(struct puppet *puppet, const struct vhost_message *message)
{
	struct vhost_message reply = {
		.head = { .request = message->head.request,
			  .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
			  .bytes = 8 },
	};

	switch (message->head.request) {
	case VHOST_GET_FEATURES:
		reply.payload.u64 = puppet->features;
		break;
	case VHOST_GET_PROTOCOL_FEATURES:
		reply.payload.u64 = puppet->protocol;
		break;
	case VHOST_GET_QUEUE_NUM:
		reply.payload.u64 = puppet->queues;
		break;
	case VHOST_GET_VRING_BASE:
		reply.payload.state.index = message->payload.state.index;
		break;
	case VHOST_GET_CONFIG:
		reply.payload.config.bytes =
		    puppet->other_config ? puppet->config_bytes : message->payload.config.bytes;
		reply.payload.config.offset = puppet->other_config ? puppet->config_offset : 0;
		pthread_mutex_lock(&puppet->lock);
		memcpy(reply.payload.config.data, puppet->config, sizeof(puppet->config));
		pthread_mutex_unlock(&puppet->lock);
		reply.head.bytes = reply.payload.config.bytes ? VHOST_CONFIG_HEAD + reply.payload.config.bytes : 0;
		break;
	default:
		if (message->head.request == puppet->refuse)
			reply.payload.u64 = puppet->refusal;
		break;
	}
	return reply;
}

/* False: it is silent from here on. */
static inline bool puppet_trick(struct puppet *puppet, struct vhost_message *reply)
{
	struct {
		struct vhost_head head;
		uint8_t payload[512];
	} bytes = { .head = reply->head };
	struct msg_fds fds = { .count = 0 };
	size_t count = sizeof(bytes.head) + reply->head.bytes;

	memcpy(bytes.payload, &reply->payload, sizeof(reply->payload));
	switch (puppet->trick) {
	case SILENT:
		return false;
	case CLOSES:
		shutdown(puppet->fd, SHUT_RDWR);
		return false;
	case HALF_A_HEAD:
		(void)msg_send(puppet->fd, &bytes, 5, NULL, 0);
		return false;
	case HALF_A_PAYLOAD:
		(void)msg_send(puppet->fd, &bytes, count - 3, NULL, 0);
		return false;
	case GARBAGE:
		memset(&bytes, 0x5a, sizeof(bytes));
		count = sizeof(bytes);
		break;
	case OTHER_REQUEST:
		bytes.head.request =
		    bytes.head.request == VHOST_GET_FEATURES ? VHOST_GET_QUEUE_NUM : VHOST_GET_FEATURES;
		bytes.head.bytes = 8;
		count = 20;
		break;
	case NO_REPLY_FLAG:
		bytes.head.flags = VHOST_FLAG_VERSION;
		break;
	case OTHER_VERSION:
		bytes.head.flags = 2 | VHOST_FLAG_REPLY;
		break;
	case OTHER_FLAG:
		bytes.head.flags |= 0x100;
		break;
	case SHORT:
		bytes.head.bytes--;
		count--;
		break;
	case LONG:
		bytes.head.bytes++;
		count++;
		break;
	case HUGE:
		bytes.head.bytes = UINT32_MAX;
		break;
	case WITH_FD:
		fds = (struct msg_fds){ .count = 1, .fds = { puppet->stop_fd } };
		break;
	case FD_BOMB:
		fds.count = MSG_FDS_MAX;
		for (size_t i = 0; i < MSG_FDS_MAX; i++)
			fds.fds[i] = puppet->stop_fd;
		break;
	default:
		break;
	}
	(void)msg_send(puppet->fd, &bytes, count, &fds, 0);
	return true;
}

static inline void *puppet_run(void *arg)
{
	struct puppet *puppet = arg;
	struct pollfd polled[2] = { { .fd = puppet->fd, .events = POLLIN },
				    { .fd = puppet->stop_fd, .events = POLLIN } };

	for (;;) {
		struct vhost_message message, reply;

		MUST(poll(polled, 2, -1) > 0);
		if (polled[1].revents || vhost_receive(puppet->fd, false, &message, clock_now_ns() + PATIENCE_NS) < 0)
			return NULL;
		puppet_note(puppet, &message);
		if (!puppet_replies(&message))
			continue;
		reply = puppet_reply(puppet, &message);
		if (puppet->trick && message.head.request == puppet->trick_at) {
			if (!puppet_trick(puppet, &reply))
				polled[0].fd = -1;
		} else {
			/* What the test wants of it may be against the rules of vhost_send(). */
			struct vhost_head head = reply.head;
			uint8_t bytes[sizeof(head) + sizeof(reply.payload)];

			memcpy(bytes, &head, sizeof(head));
			memcpy(bytes + sizeof(head), &reply.payload, sizeof(reply.payload));
			(void)msg_send(puppet->fd, bytes, sizeof(head) + head.bytes, NULL, 0);
		}
	}
}

static inline void puppet_init(struct puppet *puppet, int fd)
{
	*puppet = (struct puppet){
		.fd = fd,
		.stop_fd = fd_event(),
		.features = ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES,
		.protocol = PUPPET_PROTOCOL,
		.queues = QUEUES,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.ask_fd = -1,
		.error_fd = -1,
		.kick_fd = -1,
		.call_fd = -1,
	};
}

static inline void puppet_begin(struct puppet *puppet)
{
	MUST(pthread_create(&puppet->thread, NULL, puppet_run, puppet) == 0);
	puppet->running = true;
}

/* It says nothing any more. What it was told can be read without its lock. */
static inline void puppet_end(struct puppet *puppet)
{
	if (!puppet->running)
		return;
	fd_event_signal(puppet->stop_fd);
	MUST(thread_join(puppet->thread));
	fd_event_clear(puppet->stop_fd);
	puppet->running = false;
}

static inline void puppet_free(struct puppet *puppet)
{
	puppet_end(puppet);
	fd_close(puppet->stop_fd);
	fd_close(puppet->ask_fd);
	fd_close(puppet->error_fd);
	fd_close(puppet->kick_fd);
	fd_close(puppet->call_fd);
}

/* How often it was asked. */
static inline size_t puppet_asked(struct puppet *puppet, enum vhost_request request)
{
	size_t count = 0;

	pthread_mutex_lock(&puppet->lock);
	for (size_t i = 0; i < puppet->count; i++)
		count += puppet->asked[i] == request;
	pthread_mutex_unlock(&puppet->lock);
	return count;
}

/* What it was asked so far is not looked at, of which there is only so much room for. */
static inline void puppet_forget(struct puppet *puppet)
{
	pthread_mutex_lock(&puppet->lock);
	puppet->count = 0;
	pthread_mutex_unlock(&puppet->lock);
}

static inline void puppet_set_config(struct puppet *puppet, uint8_t value)
{
	pthread_mutex_lock(&puppet->lock);
	memset(puppet->config, value, sizeof(puppet->config));
	pthread_mutex_unlock(&puppet->lock);
}

/* ---- a frontend on it, for each test ---- */

#define BRIEF_NS (50 * NS_PER_MS)

struct stage {
	struct link *link;
	struct puppet puppet;
	size_t fds;
};

static inline int stage_setup(void **state)
{
	static struct stage stage;
	size_t fds = count_fds();
	void *link;

	link_setup_bare(&link);
	stage.link = link;
	stage.fds = fds;
	puppet_init(&stage.puppet, stage.link->sockets[1]);
	*state = &stage;
	return 0;
}

static inline int stage_teardown(void **state)
{
	struct stage *stage = *state;
	void *link = stage->link;

	/* A device that is active is reset, for which nobody is to wait. */
	if (stage->link->frontend)
		vhost_frontend_fail(stage->link->frontend);
	puppet_end(&stage->puppet);
	link_teardown(&link);
	puppet_free(&stage->puppet);
	if (count_fds() == stage->fds)
		return 0;
	print_error("%zu descriptors became %zu\n", stage->fds, count_fds());
	return -1;
}

/* Frontend, device and puppet go; a new connection comes. */
static inline void again(struct stage *stage)
{
	struct link *link = stage->link;

	puppet_end(&stage->puppet);
	if (link->frontend) {
		vhost_frontend_attach(link->frontend, NULL);
		vhost_frontend_fail(link->frontend);
	}
	virtio_device_free(link->device);
	vhost_frontend_free(link->frontend);
	link->device = NULL;
	link->frontend = NULL;
	fd_close(link->sockets[0]);
	fd_close(link->sockets[1]);
	puppet_free(&stage->puppet);
	MUST(msg_pair(SOCK_STREAM, link->sockets) == 0);
	link->spec.fd = link->sockets[0];
	link->spec.deadline_ns = PATIENCE_NS;
	link->failures = 0;
	link->failure = 0;
	link->err.text[0] = 0;
	puppet_init(&stage->puppet, link->sockets[1]);
}

static inline int connect_it(struct stage *stage)
{
	puppet_begin(&stage->puppet);
	return link_frontend(stage->link);
}

static inline void connect_well(struct stage *stage)
{
	if (connect_it(stage) < 0)
		fail_msg("%s", stage->link->err.text);
}

/* It stands still, and plays the trick once it goes on. An exchange with one that is silent is over soon. */
static inline void arm(struct stage *stage, enum vhost_request request, enum trick trick)
{
	puppet_end(&stage->puppet);
	stage->puppet.trick_at = request;
	stage->puppet.trick = trick;
	if (trick == SILENT || trick == HALF_A_HEAD || trick == HALF_A_PAYLOAD)
		stage->link->spec.deadline_ns = BRIEF_NS;
}

static inline int error_of(enum trick trick)
{
	switch (trick) {
	case SILENT:
	case HALF_A_HEAD:
	case HALF_A_PAYLOAD:
		return -ETIMEDOUT;
	case CLOSES:
		return -ECONNRESET;
	default:
		return -EPROTO;
	}
}

static inline void assert_failed(struct stage *stage, enum trick trick)
{
	assert_int_equal(stage->link->failures, 1);
	assert_int_equal(stage->link->failure, error_of(trick));
	assert_true(stage->link->why[0]);
	assert_null(strchr(stage->link->why, '\n'));
	assert_true(link_quiet(stage->link));
}

#define STAGE_TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

#endif
