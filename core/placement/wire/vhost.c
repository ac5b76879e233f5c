/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user messages: the table of what is allowed, receiving and sending; see vhost.h. Any thread, no state. */
#include "core/placement/wire/vhost.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "messages are little endian");
static_assert(MSG_FDS_MAX >= VHOST_REGIONS_MAX, "one descriptor a region");

#define FLAG_VERSION_MASK 0x3u
#define MEMORY_HEAD       8u /* bytes of struct vhost_memory before its regions */

enum payload { NOTHING, U64, STATE, ADDR, VRING_FD, MEMORY, CONFIG };
enum descriptors { NONE, ONE, PER_VRING, PER_REGION };

struct shape {
	bool known;
	uint8_t request, reply; /* enum payload */
	uint8_t fds;            /* enum descriptors; of the request, a reply has none */
};

#define REQUEST(...)                       \
	{                                  \
		.known = true, __VA_ARGS__ \
	}

/* A request that has no reply of its own may get an acknowledgement. */
static const struct shape shapes[] = {
	[VHOST_GET_FEATURES] = REQUEST(.request = NOTHING, .reply = U64),
	[VHOST_SET_FEATURES] = REQUEST(.request = U64, .reply = U64),
	[VHOST_SET_OWNER] = REQUEST(.request = NOTHING, .reply = U64),
	[VHOST_SET_MEM_TABLE] = REQUEST(.request = MEMORY, .reply = U64, .fds = PER_REGION),
	[VHOST_SET_VRING_NUM] = REQUEST(.request = STATE, .reply = U64),
	[VHOST_SET_VRING_ADDR] = REQUEST(.request = ADDR, .reply = U64),
	[VHOST_SET_VRING_BASE] = REQUEST(.request = STATE, .reply = U64),
	[VHOST_GET_VRING_BASE] = REQUEST(.request = STATE, .reply = STATE),
	[VHOST_SET_VRING_KICK] = REQUEST(.request = VRING_FD, .reply = U64, .fds = PER_VRING),
	[VHOST_SET_VRING_CALL] = REQUEST(.request = VRING_FD, .reply = U64, .fds = PER_VRING),
	[VHOST_SET_VRING_ERR] = REQUEST(.request = VRING_FD, .reply = U64, .fds = PER_VRING),
	[VHOST_GET_PROTOCOL_FEATURES] = REQUEST(.request = NOTHING, .reply = U64),
	[VHOST_SET_PROTOCOL_FEATURES] = REQUEST(.request = U64, .reply = U64),
	[VHOST_GET_QUEUE_NUM] = REQUEST(.request = NOTHING, .reply = U64),
	[VHOST_SET_VRING_ENABLE] = REQUEST(.request = STATE, .reply = U64),
	[VHOST_SET_BACKEND_REQ_FD] = REQUEST(.request = NOTHING, .reply = U64, .fds = ONE),
	[VHOST_GET_CONFIG] = REQUEST(.request = CONFIG, .reply = CONFIG),
	[VHOST_SET_CONFIG] = REQUEST(.request = CONFIG, .reply = U64),
	[VHOST_SET_STATUS] = REQUEST(.request = U64, .reply = U64),
	[VHOST_GET_STATUS] = REQUEST(.request = NOTHING, .reply = U64),
};

/* NULL for a request that is not known. */
static const struct shape *shape_of(uint32_t request)
{
	return request < sizeof(shapes) / sizeof(shapes[0]) && shapes[request].known ? &shapes[request] : NULL;
}

/* Whether a payload may have that many bytes, as far as can be said without it. */
static bool bytes_possible(enum payload payload, bool reply, uint32_t bytes)
{
	switch (payload) {
	case NOTHING:
		return bytes == 0;
	case U64:
	case VRING_FD:
		return bytes == sizeof(uint64_t);
	case STATE:
		return bytes == sizeof(struct vhost_vring_state);
	case ADDR:
		return bytes == sizeof(struct vhost_vring_addr);
	case MEMORY:
		return bytes > MEMORY_HEAD && bytes <= sizeof(struct vhost_memory) &&
		       (bytes - MEMORY_HEAD) % sizeof(struct vhost_region) == 0;
	case CONFIG:
		return (reply && !bytes) || (bytes > VHOST_CONFIG_HEAD && bytes <= sizeof(struct vhost_config));
	}
	return false;
}

/* Bytes that the message has, going by its counts; what bytes_possible() says of them is all that is known. */
static uint64_t bytes_counted(enum payload payload, const struct vhost_message *message)
{
	switch (payload) {
	case NOTHING:
		return 0;
	case U64:
	case VRING_FD:
		return sizeof(uint64_t);
	case STATE:
		return sizeof(struct vhost_vring_state);
	case ADDR:
		return sizeof(struct vhost_vring_addr);
	case MEMORY:
		return MEMORY_HEAD + sizeof(struct vhost_region) * (uint64_t)message->payload.memory.count;
	case CONFIG:
		return message->payload.config.bytes ? VHOST_CONFIG_HEAD + (uint64_t)message->payload.config.bytes : 0;
	}
	return 0;
}

/* How many descriptors belong to the message. */
static size_t fds_counted(const struct shape *shape, const struct vhost_message *message)
{
	switch ((enum descriptors)shape->fds) {
	case NONE:
		return 0;
	case ONE:
		return 1;
	case PER_VRING:
		return message->payload.u64 & VHOST_VRING_NO_FD ? 0 : 1;
	case PER_REGION:
		return message->payload.memory.count;
	}
	return 0;
}

static bool head_ok(const struct vhost_head *head, bool reply)
{
	const struct shape *shape = shape_of(head->request);
	uint32_t flags = head->flags & ~FLAG_VERSION_MASK;

	if (!shape || (head->flags & FLAG_VERSION_MASK) != VHOST_FLAG_VERSION)
		return false;
	if (reply ? flags != VHOST_FLAG_REPLY : (flags & ~VHOST_FLAG_NEED_REPLY) != 0)
		return false;
	return bytes_possible(reply ? shape->reply : shape->request, reply, head->bytes);
}

/* The rest, once the payload is there. */
static bool payload_ok(const struct vhost_message *message, bool reply)
{
	const struct shape *shape = shape_of(message->head.request);
	enum payload payload = reply ? shape->reply : shape->request;

	if (bytes_counted(payload, message) != message->head.bytes)
		return false;
	if (payload == VRING_FD && (message->payload.u64 & ~(uint64_t)(VHOST_VRING_INDEX_MASK | VHOST_VRING_NO_FD)))
		return false;
	return message->fds.count == (reply ? 0 : fds_counted(shape, message));
}

int vhost_receive(int fd, bool reply, struct vhost_message *ret, uint64_t deadline_ns)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	/* Descriptors come with the first byte, or not at all. */
	r = msg_recv_all(fd, &ret->head, sizeof(ret->head), &ret->fds, deadline_ns);
	if (r < 0) {
		ret->fds.count = 0;
		return r;
	}
	r = head_ok(&ret->head, reply) ? 0 : -EPROTO;
	if (r == 0 && ret->head.bytes)
		r = msg_recv_all(fd, &ret->payload, ret->head.bytes, NULL, deadline_ns);
	if (r == 0 && !payload_ok(ret, reply))
		r = -EPROTO;
	if (r < 0)
		msg_fds_close(&ret->fds);
	return r;
}

int vhost_send(int fd, struct vhost_message *message, uint64_t deadline_ns)
{
	const struct shape *shape = shape_of(message->head.request);
	bool reply = message->head.flags & VHOST_FLAG_REPLY;
	uint8_t bytes[sizeof(message->head) + sizeof(message->payload)];
	uint64_t count;

	assert(shape);
	count = bytes_counted(reply ? shape->reply : shape->request, message);
	assert(count <= sizeof(message->payload));
	message->head.flags = (message->head.flags & ~FLAG_VERSION_MASK) | VHOST_FLAG_VERSION;
	message->head.bytes = (uint32_t)count;
	/* In one piece, so that no reader finds a head without its payload. */
	memcpy(bytes, &message->head, sizeof(message->head));
	memcpy(bytes + sizeof(message->head), &message->payload, count);
	return msg_send(fd, bytes, sizeof(message->head) + count, message->fds.count ? &message->fds : NULL,
			deadline_ns);
}

bool vhost_backend_request_ok(const struct vhost_head *head)
{
	return head->request == VHOST_BACKEND_CONFIG_CHANGE && !head->bytes &&
	       (head->flags & ~VHOST_FLAG_NEED_REPLY) == VHOST_FLAG_VERSION;
}
