/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to the backend of vhost-user that are none: each ends the connection, and leaves nothing behind. */
#include "tests/unit/vhost_give.h"

/* ---- what a message looks like ---- */

struct shape {
	uint32_t request, bytes;
	size_t fds;
};

static const struct shape shapes[] = {
	{ VHOST_GET_FEATURES, 0, 0 },
	{ VHOST_SET_FEATURES, 8, 0 },
	{ VHOST_SET_OWNER, 0, 0 },
	{ VHOST_SET_MEM_TABLE, 8 + 32, 1 },
	{ VHOST_SET_VRING_NUM, 8, 0 },
	{ VHOST_SET_VRING_ADDR, 40, 0 },
	{ VHOST_SET_VRING_BASE, 8, 0 },
	{ VHOST_GET_VRING_BASE, 8, 0 },
	{ VHOST_SET_VRING_KICK, 8, 1 },
	{ VHOST_SET_VRING_CALL, 8, 1 },
	{ VHOST_SET_VRING_ERR, 8, 1 },
	{ VHOST_GET_PROTOCOL_FEATURES, 0, 0 },
	{ VHOST_SET_PROTOCOL_FEATURES, 8, 0 },
	{ VHOST_GET_QUEUE_NUM, 0, 0 },
	{ VHOST_SET_VRING_ENABLE, 8, 0 },
	{ VHOST_SET_BACKEND_REQ_FD, 0, 1 },
	{ VHOST_GET_CONFIG, 12 + 1, 0 },
	{ VHOST_SET_CONFIG, 12 + 1, 0 },
	{ VHOST_SET_STATUS, 8, 0 },
	{ VHOST_GET_STATUS, 0, 0 },
};

struct wire_bytes {
	struct vhost_head head;
	uint8_t payload[512];
};

/* Counts within the payload that are right for the shape. */
static struct wire_bytes bytes_of(const struct shape *shape)
{
	struct wire_bytes bytes = { .head = { shape->request, VHOST_FLAG_VERSION, shape->bytes } };

	if (shape->request == VHOST_SET_MEM_TABLE)
		bytes.payload[0] = 1;
	if (shape->request == VHOST_GET_CONFIG || shape->request == VHOST_SET_CONFIG)
		bytes.payload[4] = 1;
	return bytes;
}

static int give_bytes(struct link *link, const struct wire_bytes *bytes, size_t fd_count)
{
	struct msg_fds fds = { .count = fd_count };

	for (size_t i = 0; i < fd_count; i++)
		fds.fds[i] = link->memory.regions[0].fd;
	return give_raw(link, bytes, sizeof(bytes->head) + bytes->head.bytes, &fds);
}

static void every_request_of_another_length_is_refused(void **state)
{
	static const uint32_t more[] = { 1, 8, 32, 64, 400 };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct wire_bytes bytes = bytes_of(&shapes[i]);

		for (size_t j = 0; j < COUNT_OF(more); j++) {
			bytes.head.bytes = shapes[i].bytes + more[j];
			begin(link, READY);
			assert_refused(link, give_bytes(link, &bytes, shapes[i].fds));
		}
		for (uint32_t less = 1; less <= shapes[i].bytes; less += 7) {
			bytes.head.bytes = shapes[i].bytes - less;
			begin(link, READY);
			assert_refused(link, give_bytes(link, &bytes, shapes[i].fds));
		}
	}
}

static void a_length_that_no_message_has_is_refused_unread(void **state)
{
	static const uint32_t lengths[] = { 0x10000, 0x7fffffff, 0x80000000, 0xffffffff };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct vhost_head head = { VHOST_SET_MEM_TABLE, VHOST_FLAG_VERSION, lengths[i] };

		begin(link, NEGOTIATED);
		assert_refused(link, give_raw(link, &head, sizeof(head), NULL));
	}
}

static void requests_that_are_not_known_are_refused(void **state)
{
	struct link *link = *state;

	for (uint32_t request = 0; request < 64; request++) {
		struct vhost_head head = { request == 63 ? UINT32_MAX : request, VHOST_FLAG_VERSION, 0 };
		bool known = false;

		for (size_t i = 0; i < COUNT_OF(shapes); i++)
			known |= shapes[i].request == request;
		if (known)
			continue;
		begin(link, NEGOTIATED);
		assert_refused(link, give_raw(link, &head, sizeof(head), NULL));
	}
}

static void flags_that_are_wrong_are_refused(void **state)
{
	static const uint32_t flags[] = { 0, 2, 3, 0x5, 0xd, 0x11, 0x80000001, 0xffffffff };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		struct vhost_head head = { VHOST_GET_FEATURES, flags[i], 0 };

		begin(link, NEGOTIATED);
		assert_refused(link, give_raw(link, &head, sizeof(head), NULL));
	}
}

static void an_acknowledgement_has_to_be_negotiated(void **state)
{
	struct link *link = *state;
	struct vhost_message message = { .head = { .request = VHOST_SET_OWNER, .flags = VHOST_FLAG_NEED_REPLY } };

	begin(link, FRESH);
	assert_refused(link, give(link, message));
	begin(link, NEGOTIATED);
	assert_int_equal(give(link, message), 0);
	assert_int_equal(reply_of(link, VHOST_SET_OWNER).payload.u64, 0);
}

static void wrong_numbers_of_descriptors_are_refused(void **state)
{
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct wire_bytes bytes = bytes_of(&shapes[i]);

		for (size_t fds = 0; fds <= MSG_FDS_MAX; fds++) {
			if (fds == shapes[i].fds)
				continue;
			begin(link, READY);
			assert_refused(link, give_bytes(link, &bytes, fds));
		}
	}
}

/* More descriptors than any message may have, in one piece of it. */
static void give_bomb(const struct link *link, const void *bytes, size_t count, size_t fd_count)
{
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(sizeof(int) * 253)];
	} control = { .bytes = { 0 } };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = count };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE(sizeof(int) * fd_count) };

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
	for (size_t i = 0; i < fd_count; i++)
		memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &link->stop_fd, sizeof(int));
	MUST(sendmsg(link->sockets[0], &header, MSG_NOSIGNAL) == (ssize_t)count);
}

static void descriptor_bombs_are_refused(void **state)
{
	static const size_t counts[] = { 9, 10, 64, 253 };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(shapes); i++) {
		struct wire_bytes bytes = bytes_of(&shapes[i]);

		for (size_t j = 0; j < COUNT_OF(counts); j++) {
			begin(link, READY);
			give_bomb(link, &bytes, sizeof(bytes.head) + bytes.head.bytes, counts[j]);
			assert_refused(link, vhost_backend_mind(link->backend, &link->backend_err));
		}
	}
}

static void descriptors_behind_the_head_are_refused(void **state)
{
	struct link *link = *state;
	struct wire_bytes bytes = bytes_of(&shapes[3]);
	const struct msg_fds fds = { .count = 1, .fds = { link->memory.regions[0].fd } };

	begin(link, NEGOTIATED);
	MUST(msg_send(link->sockets[0], &bytes.head, sizeof(bytes.head), NULL, 0) == 0);
	assert_refused(link, give_raw(link, bytes.payload, bytes.head.bytes, &fds));
}

static void a_message_in_pieces_is_one_message(void **state)
{
	struct link *link = *state;
	struct vhost_message message = { .head = { VHOST_SET_FEATURES, VHOST_FLAG_VERSION, 8 },
					 .payload.u64 = ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES };

	begin(link, FRESH);
	MUST(msg_send(link->sockets[0], &message, 5, NULL, 0) == 0);
	MUST(msg_send(link->sockets[0], (uint8_t *)&message + 5, 7, NULL, 0) == 0);
	assert_int_equal(give_raw(link, &message.payload, 8, NULL), 0);
}

static void the_end_of_the_connection_is_told(void **state)
{
	struct link *link = *state;
	struct vhost_head head = { VHOST_SET_FEATURES, VHOST_FLAG_VERSION, 8 };

	begin(link, READY);
	shutdown(link->sockets[0], SHUT_WR);
	assert_int_equal(vhost_backend_mind(link->backend, &link->backend_err), -ECONNRESET);
	begin(link, READY);
	MUST(msg_send(link->sockets[0], &head, sizeof(head), NULL, 0) == 0);
	shutdown(link->sockets[0], SHUT_WR);
	assert_int_equal(vhost_backend_mind(link->backend, &link->backend_err), -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTILE(every_request_of_another_length_is_refused),
		HOSTILE(a_length_that_no_message_has_is_refused_unread),
		HOSTILE(requests_that_are_not_known_are_refused),
		HOSTILE(flags_that_are_wrong_are_refused),
		HOSTILE(an_acknowledgement_has_to_be_negotiated),
		HOSTILE(wrong_numbers_of_descriptors_are_refused),
		HOSTILE(descriptor_bombs_are_refused),
		HOSTILE(descriptors_behind_the_head_are_refused),
		HOSTILE(a_message_in_pieces_is_one_message),
		HOSTILE(the_end_of_the_connection_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
