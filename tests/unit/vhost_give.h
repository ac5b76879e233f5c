/* SPDX-License-Identifier: BSD-3-Clause */
/* The subject of vhost_fixture.h with its backend, and for a frontend the test, which says what it likes, in its own thread. */
#ifndef TESTS_UNIT_VHOST_GIVE_H
#define TESTS_UNIT_VHOST_GIVE_H

#include "tests/unit/vhost_fixture.h"

#define ALL_PROTOCOL                                                                                             \
	(VHOST_PROTOCOL(MQ) | VHOST_PROTOCOL(REPLY_ACK) | VHOST_PROTOCOL(BACKEND_REQ) | VHOST_PROTOCOL(CONFIG) | \
	 VHOST_PROTOCOL(STATUS))
#define WITHOUT_STATUS (ALL_PROTOCOL & ~VHOST_PROTOCOL(STATUS))

/* How far the frontend has come. */
enum stage { FRESH, NEGOTIATED, READY, QUEUED, ACTIVE };

/* ---- the frontend ---- */

/* Sends bytes as they are, and has the backend take them. What that says. */
static inline int give_raw(struct link *link, const void *bytes, size_t count, const struct msg_fds *fds)
{
	MUST(msg_send(link->sockets[0], bytes, count, fds, 0) == 0);
	return vhost_backend_mind(link->backend, &link->backend_err);
}

static inline int give(struct link *link, struct vhost_message message)
{
	MUST(vhost_send(link->sockets[0], &message, 0) == 0);
	return vhost_backend_mind(link->backend, &link->backend_err);
}

static inline int give_u64(struct link *link, enum vhost_request request, uint64_t value)
{
	return give(link, (struct vhost_message){ .head.request = request, .payload.u64 = value });
}

static inline int give_state(struct link *link, enum vhost_request request, uint32_t index, uint32_t num)
{
	return give(link, (struct vhost_message){ .head.request = request, .payload.state = { index, num } });
}

static inline int give_fd(struct link *link, enum vhost_request request, uint64_t value, int fd)
{
	return give(link, (struct vhost_message){
			      .head.request = request,
			      .payload.u64 = value,
			      .fds = { .count = fd >= 0 ? 1 : 0, .fds = { fd } },
			  });
}

static inline int give_addr(struct link *link, uint32_t index, uint64_t desc, uint32_t flags)
{
	return give(link, (struct vhost_message){
			      .head.request = VHOST_SET_VRING_ADDR,
			      .payload.addr = { .index = index,
						.flags = flags,
						.desc = desc,
						.avail = RING_AVAIL,
						.used = RING_USED },
			  });
}

/* The reply that is there; its value. */
static inline struct vhost_message reply_of(struct link *link, enum vhost_request request)
{
	struct vhost_message reply;

	assert_int_equal(vhost_receive(link->sockets[0], true, &reply, clock_now_ns() + PATIENCE_NS), 0);
	assert_int_equal(reply.head.request, request);
	return reply;
}

static inline bool no_reply(const struct link *link)
{
	uint8_t byte;

	return recv(link->sockets[0], &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static inline struct vhost_message memory_message(const struct link *link)
{
	struct vhost_message message = { .head.request = VHOST_SET_MEM_TABLE };

	message.payload.memory.count = (uint32_t)link->memory.count;
	message.fds.count = link->memory.count;
	for (size_t i = 0; i < link->memory.count; i++) {
		message.payload.memory.regions[i] = (struct vhost_region){
			.gpa = link->memory.regions[i].gpa,
			.bytes = link->memory.regions[i].bytes,
			.user_address = link->memory.regions[i].gpa,
		};
		message.fds.fds[i] = link->memory.regions[i].fd;
	}
	return message;
}

static inline void set_queue(struct link *link, uint32_t index)
{
	MUST(give_state(link, VHOST_SET_VRING_NUM, index, QUEUE_SIZE) == 0);
	MUST(give_state(link, VHOST_SET_VRING_BASE, index, 0) == 0);
	MUST(give_addr(link, index, RING_DESC, 0) == 0);
	MUST(give_fd(link, VHOST_SET_VRING_CALL, index, link->subject.call_fd) == 0);
	MUST(give_fd(link, VHOST_SET_VRING_ERR, index, link->stop_fd) == 0);
	MUST(give_fd(link, VHOST_SET_VRING_KICK, index, link->subject.kick_fds[index]) == 0);
}

static inline void advance(struct link *link, enum stage stage, uint64_t protocol)
{
	if (stage >= NEGOTIATED) {
		MUST(give_u64(link, VHOST_SET_PROTOCOL_FEATURES, protocol) == 0);
		MUST(give_u64(link, VHOST_SET_FEATURES, ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES) == 0);
	}
	if (stage >= READY)
		MUST(give(link, memory_message(link)) == 0);
	if (stage >= QUEUED)
		set_queue(link, 0);
	if (stage >= QUEUED && (protocol & VHOST_PROTOCOL(STATUS)))
		MUST(give_state(link, VHOST_SET_VRING_ENABLE, 0, 1) == 0);
	if (stage >= ACTIVE)
		MUST(give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY) == 0);
}

static inline void end_backend(struct link *link)
{
	if (!link->backend)
		return;
	device_stop(link->subject.device);
	vhost_backend_free(link->backend);
	device_free(link->subject.device);
	link->backend = NULL;
	link->subject.device = NULL;
	fd_close(link->sockets[0]);
	fd_close(link->sockets[1]);
	link->sockets[0] = link->sockets[1] = -1;
}

/* A new device and connection, that far. */
static inline void begin(struct link *link, enum stage stage)
{
	end_backend(link);
	if (link->sockets[0] < 0) {
		struct place nowhere = { .file = "test", .line = 1 };

		MUST(msg_pair(SOCK_STREAM, link->sockets) == 0);
		MUST(values_new(link->subject.class.decl.schema, "devices.test", nowhere, &link->subject.spec.values) ==
		     0);
	}
	link->backend_err.text[0] = 0;
	link_backend(link);
	advance(link, stage, ALL_PROTOCOL);
}

/* The connection is over for it, with a line that says why, and stays so. */
static inline void assert_refused(struct link *link, int result)
{
	if (result != -EPROTO)
		fail_msg("%d instead of a refusal: %s", result, link->backend_err.text);
	assert_true(link->backend_err.text[0]);
	assert_null(strchr(link->backend_err.text, '\n'));
	assert_int_equal(vhost_backend_mind(link->backend, &link->backend_err), -EPROTO);
}

/* ---- nothing stays behind ---- */

static size_t fds_at_first;

static inline int hostile_setup(void **state)
{
	fds_at_first = count_fds();
	return link_setup_bare(state);
}

static inline int hostile_teardown(void **state)
{
	link_teardown(state);
	if (count_fds() == fds_at_first)
		return 0;
	print_error("%zu descriptors became %zu\n", fds_at_first, count_fds());
	return -1;
}

#define HOSTILE(name) cmocka_unit_test_setup_teardown(name, hostile_setup, hostile_teardown)

#endif
