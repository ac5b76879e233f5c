/* SPDX-License-Identifier: BSD-3-Clause */
/* The backend of vhost-user: what is allowed when, and what becomes of queues, memory and config space that cannot be. */
#include "tests/unit/vhost_give.h"

/* ---- what is allowed when ---- */

static void queues_come_behind_features_and_memory(void **state)
{
	static const enum vhost_request requests[] = { VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE, VHOST_GET_VRING_BASE,
						       VHOST_SET_VRING_ENABLE };
	struct link *link = *state;

	for (enum stage stage = FRESH; stage <= NEGOTIATED; stage++) {
		for (size_t i = 0; i < COUNT_OF(requests); i++) {
			begin(link, stage);
			assert_refused(link, give_state(link, requests[i], 0, 0));
		}
		begin(link, stage);
		assert_refused(link, give_addr(link, 0, RING_DESC, 0));
		begin(link, stage);
		assert_refused(link, give_fd(link, VHOST_SET_VRING_KICK, 0, link->subject.kick_fds[0]));
	}
	begin(link, FRESH);
	MUST(give(link, memory_message(link)) == 0);
	assert_refused(link, give_state(link, VHOST_SET_VRING_NUM, 0, QUEUE_SIZE));
}

static void what_was_not_negotiated_is_refused(void **state)
{
	struct link *link = *state;
	int pair[2];

	begin(link, FRESH);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, 0));
	begin(link, FRESH);
	assert_refused(link, give_u64(link, VHOST_GET_STATUS, 0));
	begin(link, FRESH);
	assert_refused(link, give_u64(link, VHOST_GET_QUEUE_NUM, 0));
	begin(link, FRESH);
	assert_refused(link, give(link, (struct vhost_message){ .head.request = VHOST_GET_CONFIG,
								.payload.config.bytes = 4 }));
	begin(link, FRESH);
	assert_refused(link, give(link, (struct vhost_message){ .head.request = VHOST_SET_CONFIG,
								.payload.config.bytes = 4 }));
	begin(link, FRESH);
	MUST(msg_pair(SOCK_STREAM, pair) == 0);
	assert_refused(link, give_fd(link, VHOST_SET_BACKEND_REQ_FD, 0, pair[0]));
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void features_that_cannot_be_had_are_refused(void **state)
{
	static const uint64_t features[] = {
		0, VHOST_F_PROTOCOL_FEATURES, ALL_FEATURES, ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES | 0x8, UINT64_MAX,
	};
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(features); i++) {
		begin(link, FRESH);
		assert_refused(link, give_u64(link, VHOST_SET_FEATURES, features[i]));
	}
	begin(link, FRESH);
	assert_refused(link, give_u64(link, VHOST_SET_PROTOCOL_FEATURES, 1u << 1));
}

static void what_comes_once_is_refused_again(void **state)
{
	struct link *link = *state;
	int pair[2];

	begin(link, READY);
	assert_refused(link, give_u64(link, VHOST_SET_PROTOCOL_FEATURES, ALL_PROTOCOL));
	begin(link, READY);
	assert_refused(link, give(link, memory_message(link)));
	begin(link, READY);
	MUST(give(link, (struct vhost_message){ .head.request = VHOST_SET_OWNER }) == 0);
	assert_refused(link, give(link, (struct vhost_message){ .head.request = VHOST_SET_OWNER }));
	begin(link, READY);
	MUST(msg_pair(SOCK_STREAM, pair) == 0);
	MUST(give_fd(link, VHOST_SET_BACKEND_REQ_FD, 0, pair[0]) == 0);
	assert_refused(link, give_fd(link, VHOST_SET_BACKEND_REQ_FD, 0, pair[0]));
	fd_close(pair[0]);
	fd_close(pair[1]);
}

static void nothing_of_a_set_up_changes_while_it_is_active(void **state)
{
	static const enum vhost_request requests[] = { VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		begin(link, ACTIVE);
		assert_refused(link, give_state(link, requests[i], 0, 0));
	}
	begin(link, ACTIVE);
	assert_refused(link, give_addr(link, 1, RING_DESC, 0));
	begin(link, ACTIVE);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_ERR, 0, link->stop_fd));
	begin(link, ACTIVE);
	assert_refused(link, give_u64(link, VHOST_SET_FEATURES, ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES));
	begin(link, ACTIVE);
	assert_refused(link, give_state(link, VHOST_SET_VRING_ENABLE, 1, 1));
	begin(link, ACTIVE);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, 1));
	begin(link, ACTIVE);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, 0x10f));
	begin(link, ACTIVE);
	assert_int_equal(give_state(link, VHOST_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY), 0);
	assert_int_equal(event_count(&link->subject.resets), 0);
}

static void a_set_up_that_is_not_complete_is_refused(void **state)
{
	struct link *link = *state;

	begin(link, FRESH);
	MUST(give_u64(link, VHOST_SET_PROTOCOL_FEATURES, ALL_PROTOCOL) == 0);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY));
	begin(link, READY);
	MUST(give_state(link, VHOST_SET_VRING_NUM, 1, QUEUE_SIZE) == 0);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY));
	begin(link, QUEUED);
	MUST(give_state(link, VHOST_SET_VRING_ENABLE, 0, 0) == 0);
	assert_refused(link, give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY));
	begin(link, READY);
	assert_refused(link, give_state(link, VHOST_SET_VRING_ENABLE, 0, 1));
	begin(link, READY);
	assert_int_equal(give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY), 0);
	assert_int_equal(event_count(&link->subject.activations), 1);
}

/* ---- queues ---- */

static void queues_that_cannot_be_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 3, QUEUE_SIZE + 1, QUEUE_SIZE * 2, 0x10000, 0x80000000 };
	static const uint32_t indexes[] = { QUEUES, 0xff, 0x100, 0xffffffff };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		begin(link, READY);
		assert_refused(link, give_state(link, VHOST_SET_VRING_NUM, 0, sizes[i]));
	}
	for (size_t i = 0; i < COUNT_OF(indexes); i++) {
		begin(link, READY);
		assert_refused(link, give_state(link, VHOST_SET_VRING_NUM, indexes[i], QUEUE_SIZE));
		begin(link, READY);
		assert_refused(link, give_addr(link, indexes[i], RING_DESC, 0));
	}
	begin(link, READY);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_CALL, QUEUES, link->subject.call_fd));
	begin(link, READY);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_CALL, 0x200, link->subject.call_fd));
	begin(link, READY);
	assert_refused(link, give_state(link, VHOST_SET_VRING_BASE, 0, 1));
	begin(link, READY);
	assert_refused(link, give_addr(link, 0, RING_DESC, 1));
	begin(link, QUEUED);
	assert_refused(link, give_state(link, VHOST_SET_VRING_ENABLE, 0, 2));
}

/* A control first: an eventfd. */
static void what_is_no_eventfd_is_not_signalled(void **state)
{
	struct link *link = *state;
	int blocking = dup(link->stop_fd);
	int flags, ends[2], pair[2];

	MUST(pipe(ends) == 0 && msg_pair(SOCK_STREAM, pair) == 0 && blocking >= 0);
	begin(link, READY);
	assert_int_equal(give_fd(link, VHOST_SET_VRING_CALL, 0, link->stop_fd), 0);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_CALL, 0, ends[1]));
	begin(link, READY);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_ERR, 0, pair[0]));
	begin(link, READY);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_KICK, 0, link->memory.regions[0].fd));
	begin(link, READY);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_KICK, VHOST_VRING_NO_FD, -1));
	begin(link, READY);
	flags = fcntl(blocking, F_GETFL);
	MUST(fcntl(blocking, F_SETFL, flags & ~O_NONBLOCK) == 0);
	assert_refused(link, give_fd(link, VHOST_SET_VRING_CALL, 0, blocking));
	MUST(fcntl(blocking, F_SETFL, flags) == 0);
	fd_close(blocking);
	for (int i = 0; i < 2; i++) {
		fd_close(ends[i]);
		fd_close(pair[i]);
	}
}

static void a_queue_may_be_without_an_interrupt(void **state)
{
	struct link *link = *state;

	begin(link, QUEUED);
	MUST(give_fd(link, VHOST_SET_VRING_CALL, VHOST_VRING_NO_FD, -1) == 0);
	MUST(give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY) == 0);
	v_fill(&link->subject);
	v_offer(&link->subject, 0, 1);
	kick(&link->subject);
	assert_true(wait_used(&link->subject, 1));
	pass(&link->subject);
	assert_int_equal(fd_event_clear(link->subject.call_fd), 0);
}

/* ---- activation ---- */

static void a_refusal_of_the_device_is_the_acknowledgement(void **state)
{
	struct link *link = *state;
	struct vhost_message ready = { .head = { .request = VHOST_SET_STATUS, .flags = VHOST_FLAG_NEED_REPLY },
				       .payload.u64 = VHOST_STATUS_READY };

	log_catch(LOG_LEVEL_ERROR);
	begin(link, QUEUED);
	MUST(give_addr(link, 0, RING_HOLE, 0) == 0);
	assert_int_equal(give(link, ready), 0);
	assert_int_equal(reply_of(link, VHOST_SET_STATUS).payload.u64, EFAULT);
	MUST(give_addr(link, 0, RING_DESC + 8, 0) == 0);
	assert_int_equal(give(link, ready), 0);
	assert_int_equal(reply_of(link, VHOST_SET_STATUS).payload.u64, EINVAL);
	assert_int_equal(fd_event_clear(link->stop_fd), 0);
	/* Not asked for: */
	ready.head.flags = 0;
	assert_int_equal(give(link, ready), 0);
	assert_true(no_reply(link));
	assert_int_equal(fd_event_clear(link->stop_fd), 1);
	MUST(give_addr(link, 0, RING_DESC, 0) == 0);
	assert_int_equal(give(link, ready), 0);
	assert_int_equal(event_count(&link->subject.activations), 1);
}

static void a_status_of_0_forgets_the_queues(void **state)
{
	struct link *link = *state;

	begin(link, ACTIVE);
	assert_int_equal(give_u64(link, VHOST_SET_STATUS, 0), 0);
	assert_int_equal(event_count(&link->subject.resets), 1);
	assert_refused(link, give_state(link, VHOST_SET_VRING_ENABLE, 0, 1));
}

static void the_status_can_be_read_back(void **state)
{
	struct link *link = *state;

	log_catch(LOG_LEVEL_ERROR);
	begin(link, ACTIVE);
	give_u64(link, VHOST_GET_STATUS, 0);
	assert_int_equal(reply_of(link, VHOST_GET_STATUS).payload.u64, VHOST_STATUS_READY);
	ring_offer(&link->subject.driver, QUEUE_SIZE);
	kick(&link->subject);
	assert_int_equal(poll(&(struct pollfd){ .fd = link->stop_fd, .events = POLLIN }, 1, PATIENCE_S * 1000), 1);
	give_u64(link, VHOST_GET_STATUS, 0);
	assert_int_equal(reply_of(link, VHOST_GET_STATUS).payload.u64, VHOST_STATUS_READY | VHOST_STATUS_NEEDS_RESET);
	give_u64(link, VHOST_SET_STATUS, 0);
	give_u64(link, VHOST_GET_STATUS, 0);
	assert_int_equal(reply_of(link, VHOST_GET_STATUS).payload.u64, 0);
}

static void without_a_status_enabling_activates(void **state)
{
	struct link *link = *state;

	begin(link, FRESH);
	advance(link, QUEUED, WITHOUT_STATUS);
	set_queue(link, 1);
	assert_int_equal(event_count(&link->subject.activations), 0);
	assert_int_equal(give_state(link, VHOST_SET_VRING_ENABLE, 0, 1), 0);
	assert_int_equal(event_count(&link->subject.activations), 1);
	assert_int_equal(link->subject.activated_queues, 2);
	assert_int_equal(give_state(link, VHOST_SET_VRING_ENABLE, 1, 1), 0);
	assert_int_equal(event_count(&link->subject.activations), 1);
}

static void without_a_status_stopping_a_queue_resets(void **state)
{
	struct link *link = *state;

	begin(link, FRESH);
	advance(link, QUEUED, WITHOUT_STATUS);
	MUST(give_state(link, VHOST_SET_VRING_ENABLE, 0, 1) == 0);
	assert_int_equal(give_state(link, VHOST_GET_VRING_BASE, 0, 0), 0);
	assert_int_equal(reply_of(link, VHOST_GET_VRING_BASE).payload.state.num, 0);
	assert_int_equal(event_count(&link->subject.resets), 1);
	set_queue(link, 0);
	MUST(give_state(link, VHOST_SET_VRING_ENABLE, 0, 1) == 0);
	assert_int_equal(event_count(&link->subject.activations), 2);
	assert_int_equal(give_state(link, VHOST_SET_VRING_ENABLE, 0, 0), 0);
	assert_int_equal(event_count(&link->subject.resets), 2);
}

/* ---- memory ---- */

static void assert_memory_refused(struct link *link, struct vhost_message message)
{
	begin(link, NEGOTIATED);
	assert_refused(link, give(link, message));
	assert_int_equal(link->peer.count, 0);
}

static void memory_that_cannot_be_is_refused(void **state)
{
	struct link *link = *state;
	const struct vhost_message good = memory_message(link);
	struct vhost_message message = good;

	message.payload.memory.regions[2].gpa = message.payload.memory.regions[2].user_address = RING_RAM + 0x1000;
	assert_memory_refused(link, message);
	message = good;
	message.payload.memory.regions[1].mmap_offset = 0x1000;
	assert_memory_refused(link, message);
	message.payload.memory.regions[1].mmap_offset = UINT64_MAX - 0xfff;
	assert_memory_refused(link, message);
	message = good;
	message.payload.memory.regions[1].bytes += 0x1000;
	assert_memory_refused(link, message);
	message.payload.memory.regions[1].bytes = RING_REGION - 1;
	assert_memory_refused(link, message);
	message.payload.memory.regions[1].bytes = 0;
	assert_memory_refused(link, message);
	message = good;
	message.payload.memory.regions[2].gpa = message.payload.memory.regions[2].user_address = UINT64_MAX - 0xfff;
	assert_memory_refused(link, message);
	message = good;
	message.payload.memory.regions[0].user_address += 0x1000;
	assert_memory_refused(link, message);
}

/* The mapping of a file that becomes shorter would fault. */
static void memory_that_may_shrink_is_refused(void **state)
{
	struct link *link = *state;
	struct vhost_message message = memory_message(link);
	int memfd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING), plain = memfd_create("ram", MFD_CLOEXEC);
	int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	const int fds[] = { memfd, plain, file, link->stop_fd };

	MUST(ftruncate(memfd, RING_REGION) == 0 && ftruncate(plain, RING_REGION) == 0);
	MUST(file < 0 || ftruncate(file, RING_REGION) == 0);
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		if (fds[i] < 0)
			continue;
		message.fds.fds[1] = fds[i];
		assert_memory_refused(link, message);
	}
	fd_close(memfd);
	fd_close(plain);
	fd_close(file);
}

static void no_descriptor_of_memory_stays(void **state)
{
	struct link *link = *state;
	size_t fds;

	begin(link, NEGOTIATED);
	fds = count_fds();
	MUST(give(link, memory_message(link)) == 0);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(link->peer.count, 3);
}

/* ---- config space ---- */

static int config_message(struct link *link, enum vhost_request request, uint32_t offset, uint32_t bytes,
			  uint32_t flags)
{
	return give(link, (struct vhost_message){
			      .head.request = request,
			      .payload.config = { .offset = offset, .bytes = bytes, .flags = flags, .data = { 0xaa } },
			  });
}

static void reading_beyond_the_config_space_is_answered_with_nothing(void **state)
{
	struct link *link = *state;

	begin(link, NEGOTIATED);
	assert_int_equal(config_message(link, VHOST_GET_CONFIG, 0, CONFIG_BYTES, 0), 0);
	assert_int_equal(reply_of(link, VHOST_GET_CONFIG).payload.config.bytes, CONFIG_BYTES);
	assert_int_equal(config_message(link, VHOST_GET_CONFIG, 0, CONFIG_BYTES + 1, 0), 0);
	assert_int_equal(reply_of(link, VHOST_GET_CONFIG).head.bytes, 0);
	assert_int_equal(config_message(link, VHOST_GET_CONFIG, UINT32_MAX, 1, 0), 0);
	assert_int_equal(reply_of(link, VHOST_GET_CONFIG).head.bytes, 0);
}

static void writing_beyond_the_config_space_is_refused(void **state)
{
	struct link *link = *state;

	begin(link, NEGOTIATED);
	assert_refused(link, config_message(link, VHOST_SET_CONFIG, CONFIG_BYTES - 1, 2, 0));
	begin(link, NEGOTIATED);
	assert_refused(link, config_message(link, VHOST_SET_CONFIG, UINT32_MAX, 1, 0));
	begin(link, NEGOTIATED);
	assert_refused(link, config_message(link, VHOST_SET_CONFIG, 0, 1, 1));
	begin(link, NEGOTIATED);
	assert_int_equal(config_message(link, VHOST_SET_CONFIG, CONFIG_BYTES - 1, 1, 0), 0);
}

static void flip_config(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	static uint32_t value;

	(void)offset;
	(void)bytes;
	value++;
	MUST(bp_virtio_config_write(subject->dev, 8, &value, sizeof(value)) == 0);
}

/* Nobody reads what it tells; then all of it is read. */
static void changes_that_nobody_hears_of_do_not_stop_it(void **state)
{
	struct link *link = *state;
	struct vhost_head head;
	size_t heads = 0;
	int pair[2];

	begin(link, NEGOTIATED);
	MUST(msg_pair(SOCK_STREAM, pair) == 0);
	MUST(give_fd(link, VHOST_SET_BACKEND_REQ_FD, 0, pair[1]) == 0);
	fd_close(pair[1]);
	link->subject.config = flip_config;
	for (int i = 0; i < 20000; i++)
		assert_int_equal(config_message(link, VHOST_SET_CONFIG, 0, 1, 0), 0);
	while (recv(pair[0], &head, sizeof(head), MSG_DONTWAIT) == sizeof(head)) {
		assert_true(vhost_backend_request_ok(&head));
		heads++;
	}
	assert_true(heads > 0 && heads < 20000);
	/* There is room again. */
	assert_int_equal(config_message(link, VHOST_SET_CONFIG, 0, 1, 0), 0);
	assert_int_equal(recv(pair[0], &head, sizeof(head), MSG_DONTWAIT), sizeof(head));
	fd_close(pair[0]);
	assert_int_equal(config_message(link, VHOST_SET_CONFIG, 0, 1, 0), 0);
}

static void requests_of_its_own_go_to_a_socket_only(void **state)
{
	struct link *link = *state;

	begin(link, NEGOTIATED);
	assert_refused(link, give_fd(link, VHOST_SET_BACKEND_REQ_FD, 0, link->stop_fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTILE(queues_come_behind_features_and_memory),
		HOSTILE(what_was_not_negotiated_is_refused),
		HOSTILE(features_that_cannot_be_had_are_refused),
		HOSTILE(what_comes_once_is_refused_again),
		HOSTILE(nothing_of_a_set_up_changes_while_it_is_active),
		HOSTILE(a_set_up_that_is_not_complete_is_refused),
		HOSTILE(queues_that_cannot_be_are_refused),
		HOSTILE(what_is_no_eventfd_is_not_signalled),
		HOSTILE(a_queue_may_be_without_an_interrupt),
		HOSTILE(a_refusal_of_the_device_is_the_acknowledgement),
		HOSTILE(a_status_of_0_forgets_the_queues),
		HOSTILE(the_status_can_be_read_back),
		HOSTILE(without_a_status_enabling_activates),
		HOSTILE(without_a_status_stopping_a_queue_resets),
		HOSTILE(memory_that_cannot_be_is_refused),
		HOSTILE(memory_that_may_shrink_is_refused),
		HOSTILE(no_descriptor_of_memory_stays),
		HOSTILE(reading_beyond_the_config_space_is_answered_with_nothing),
		HOSTILE(writing_beyond_the_config_space_is_refused),
		HOSTILE(changes_that_nobody_hears_of_do_not_stop_it),
		HOSTILE(requests_of_its_own_go_to_a_socket_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
