/* SPDX-License-Identifier: BSD-3-Clause */
/* The frontend of vhost-user: what a backend says by itself, on the socket of its requests and by its error descriptors. */
#include "tests/unit/vhost_puppet.h"

/* ---- what the backend asks ---- */

static void ask(struct stage *stage, uint32_t request, uint32_t flags, uint32_t bytes)
{
	struct vhost_head head = { request, flags, bytes };

	MUST(msg_send(stage->puppet.ask_fd, &head, sizeof(head), NULL, 0) == 0);
}

static void a_flood_of_changes_costs_one_exchange_a_turn(void **state)
{
	struct stage *stage = *state;
	size_t turns = 0;

	connect_well(stage);
	for (int i = 0; i < 100; i++)
		ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0);
	while (!link_quiet(stage->link)) {
		size_t before = puppet_asked(&stage->puppet, VHOST_GET_CONFIG);

		vhost_frontend_mind(stage->link->frontend);
		assert_true(puppet_asked(&stage->puppet, VHOST_GET_CONFIG) <= before + 1);
		turns++;
	}
	assert_true(turns < 100);
}

/* Each answer comes in time, and the next question is there before: the main thread would do nothing else. */
static void changes_without_end_end_it(void **state)
{
	struct stage *stage = *state;

	stage->link->spec.deadline_ns = 20 * NS_PER_MS;
	connect_well(stage);
	for (size_t turns = 0; turns < 1000000 && !stage->link->failures; turns++) {
		ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0);
		vhost_frontend_mind(stage->link->frontend);
		puppet_forget(&stage->puppet);
	}
	assert_failed(stage, GARBAGE);
}

static void a_change_to_the_same_is_no_news(void **state)
{
	struct stage *stage = *state;
	uint32_t generation;

	connect_well(stage);
	generation = virtio_device_config_generation(stage->link->device);
	ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0);
	assert_true(link_mind(stage->link));
	assert_int_equal(virtio_device_config_generation(stage->link->device), generation);
	puppet_set_config(&stage->puppet, 7);
	ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0);
	assert_true(link_mind(stage->link));
	assert_int_equal(virtio_device_config_generation(stage->link->device), generation + 1);
}

static void what_it_asks_is_acknowledged_if_it_wants(void **state)
{
	struct stage *stage = *state;
	struct vhost_head head;
	uint64_t value = 1;

	connect_well(stage);
	ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, 0);
	assert_true(link_mind(stage->link));
	assert_int_equal(recv(stage->puppet.ask_fd, &head, sizeof(head), MSG_DONTWAIT), sizeof(head));
	assert_int_equal(head.request, VHOST_BACKEND_CONFIG_CHANGE);
	assert_int_equal(head.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	assert_int_equal(recv(stage->puppet.ask_fd, &value, sizeof(value), MSG_DONTWAIT), sizeof(value));
	assert_int_equal(value, 0);
}

static void requests_of_its_own_that_are_none_end_it(void **state)
{
	static const struct vhost_head heads[] = {
		{ 0, VHOST_FLAG_VERSION, 0 },
		{ 1, VHOST_FLAG_VERSION, 0 },
		{ 3, VHOST_FLAG_VERSION, 0 },
		{ UINT32_MAX, VHOST_FLAG_VERSION, 0 },
		{ VHOST_BACKEND_CONFIG_CHANGE, 0, 0 },
		{ VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, 0 },
		{ VHOST_BACKEND_CONFIG_CHANGE, UINT32_MAX, 0 },
		{ VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 1 },
		{ VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, UINT32_MAX },
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < COUNT_OF(heads); i++) {
		connect_well(stage);
		ask(stage, heads[i].request, heads[i].flags, heads[i].bytes);
		assert_true(link_mind(stage->link));
		assert_failed(stage, GARBAGE);
		again(stage);
	}
}

static void descriptors_with_its_requests_end_it(void **state)
{
	struct stage *stage = *state;
	struct vhost_head head = { VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0 };
	struct msg_fds fds = { .count = 8 };

	connect_well(stage);
	for (size_t i = 0; i < fds.count; i++)
		fds.fds[i] = stage->link->stop_fd;
	MUST(msg_send(stage->puppet.ask_fd, &head, sizeof(head), &fds, 0) == 0);
	assert_true(link_mind(stage->link));
	assert_failed(stage, GARBAGE);
}

/* Nothing waits for the rest of it. */
static void half_a_request_does_not_stop_main(void **state)
{
	struct stage *stage = *state;
	struct vhost_head head = { VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION, 0 };

	stage->link->spec.deadline_ns = UINT64_C(1000) * PATIENCE_NS;
	connect_well(stage);
	puppet_set_config(&stage->puppet, 9);
	MUST(msg_send(stage->puppet.ask_fd, &head, 7, NULL, 0) == 0);
	assert_true(link_mind(stage->link));
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_CONFIG), 1);
	assert_true(link_quiet(stage->link));
	MUST(msg_send(stage->puppet.ask_fd, (uint8_t *)&head + 7, 5, NULL, 0) == 0);
	assert_true(link_mind(stage->link));
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_CONFIG), 2);
	assert_int_equal(stage->link->failures, 0);
}

static void closing_the_socket_of_its_requests_ends_it(void **state)
{
	struct stage *stage = *state;

	connect_well(stage);
	shutdown(stage->puppet.ask_fd, SHUT_RDWR);
	assert_true(link_mind(stage->link));
	assert_failed(stage, CLOSES);
}

/* As one that acknowledges nothing could not be told from one that hangs. */
static void who_takes_no_acknowledgements_is_ended(void **state)
{
	struct stage *stage = *state;

	connect_well(stage);
	while (!stage->link->failures) {
		ask(stage, VHOST_BACKEND_CONFIG_CHANGE, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY, 0);
		vhost_frontend_mind(stage->link->frontend);
		puppet_forget(&stage->puppet);
	}
	assert_failed(stage, GARBAGE);
}

/* ---- the error descriptor ---- */

/* Whoever has the other descriptor can make reading it block: it is not read. */
static void an_error_descriptor_that_blocks_stops_nobody(void **state)
{
	struct stage *stage = *state;

	connect_well(stage);
	link_start(stage->link, false);
	MUST(fcntl(stage->puppet.error_fd, F_SETFL, 0) == 0);
	fd_event_signal(stage->puppet.error_fd);
	assert_true(link_mind(stage->link));
	assert_int_equal(virtio_device_status(stage->link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
	vhost_frontend_mind(stage->link->frontend);
	assert_true(link_quiet(stage->link));
}

static void an_old_error_descriptor_is_not_heard(void **state)
{
	struct stage *stage = *state;
	int old;

	connect_well(stage);
	link_start(stage->link, false);
	old = dup(stage->puppet.error_fd);
	link_reset(stage->link);
	fd_event_signal(old);
	assert_true(link_quiet(stage->link));
	link_start(stage->link, false);
	fd_event_signal(old);
	assert_true(link_quiet(stage->link));
	fd_event_signal(stage->puppet.error_fd);
	assert_true(link_mind(stage->link));
	assert_int_equal(virtio_device_status(stage->link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
	fd_close(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(a_flood_of_changes_costs_one_exchange_a_turn),
		STAGE_TEST(changes_without_end_end_it),
		STAGE_TEST(a_change_to_the_same_is_no_news),
		STAGE_TEST(what_it_asks_is_acknowledged_if_it_wants),
		STAGE_TEST(requests_of_its_own_that_are_none_end_it),
		STAGE_TEST(descriptors_with_its_requests_end_it),
		STAGE_TEST(half_a_request_does_not_stop_main),
		STAGE_TEST(closing_the_socket_of_its_requests_ends_it),
		STAGE_TEST(who_takes_no_acknowledgements_is_ended),
		STAGE_TEST(an_error_descriptor_that_blocks_stops_nobody),
		STAGE_TEST(an_old_error_descriptor_is_not_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
