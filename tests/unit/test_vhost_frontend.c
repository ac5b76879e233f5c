/* SPDX-License-Identifier: BSD-3-Clause */
/* The frontend of vhost-user: what it says, also to backends that lack what ours has, and offers that cannot be. */
#include "tests/unit/vhost_puppet.h"

/* ---- less of a backend ---- */

static void assert_asked(struct stage *stage, const enum vhost_request *requests, size_t count)
{
	puppet_end(&stage->puppet);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(stage->puppet.asked[i], requests[i]);
	assert_int_equal(stage->puppet.count, count);
}

static void the_whole_protocol_in_its_order(void **state)
{
	static const enum vhost_request requests[] = {
		VHOST_SET_OWNER,
		VHOST_GET_FEATURES,
		VHOST_GET_PROTOCOL_FEATURES,
		VHOST_SET_PROTOCOL_FEATURES,
		VHOST_GET_QUEUE_NUM,
		VHOST_SET_BACKEND_REQ_FD,
		VHOST_SET_MEM_TABLE,
		VHOST_GET_CONFIG,
		/* activation */
		VHOST_SET_FEATURES,
		VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE,
		VHOST_SET_VRING_ADDR,
		VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
		VHOST_SET_VRING_KICK,
		VHOST_SET_VRING_ENABLE,
		VHOST_SET_STATUS,
		/* reset */
		VHOST_SET_STATUS,
	};
	struct stage *stage = *state;
	const struct vhost_message *last = stage->puppet.last;

	connect_well(stage);
	assert_int_equal(link_start(stage->link, false), STATUS_ON);
	link_reset(stage->link);
	assert_asked(stage, requests, COUNT_OF(requests));
	assert_int_equal(last[VHOST_SET_PROTOCOL_FEATURES].payload.u64, PUPPET_PROTOCOL);
	assert_int_equal(last[VHOST_SET_FEATURES].payload.u64, ALL_FEATURES | VHOST_F_PROTOCOL_FEATURES);
	assert_int_equal(last[VHOST_SET_MEM_TABLE].payload.memory.count, 3);
	assert_int_equal(last[VHOST_SET_MEM_TABLE].payload.memory.regions[2].gpa, RING_RAM_FAR);
	assert_int_equal(last[VHOST_SET_MEM_TABLE].payload.memory.regions[2].user_address, RING_RAM_FAR);
	assert_int_equal(last[VHOST_SET_VRING_NUM].payload.state.num, QUEUE_SIZE);
	assert_int_equal(last[VHOST_SET_VRING_ADDR].payload.addr.desc, RING_DESC);
	assert_int_equal(last[VHOST_SET_VRING_ADDR].payload.addr.avail, RING_AVAIL);
	assert_int_equal(last[VHOST_SET_VRING_ADDR].payload.addr.used, RING_USED);
	assert_int_equal(last[VHOST_SET_STATUS].payload.u64, 0);
	assert_int_equal(last[VHOST_SET_STATUS].head.flags, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
}

static void what_is_not_ours_is_not_agreed_on(void **state)
{
	struct stage *stage = *state;

	stage->puppet.protocol = UINT64_MAX;
	connect_well(stage);
	puppet_end(&stage->puppet);
	assert_int_equal(stage->puppet.last[VHOST_SET_PROTOCOL_FEATURES].payload.u64, PUPPET_PROTOCOL);
}

static void a_backend_without_status_is_started_by_its_queues(void **state)
{
	static const enum vhost_request requests[] = {
		VHOST_SET_FEATURES,
		VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE,
		VHOST_SET_VRING_ADDR,
		VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
		VHOST_SET_VRING_KICK,
		VHOST_SET_VRING_ENABLE,
		VHOST_GET_FEATURES,
		/* reset */
		VHOST_GET_VRING_BASE,
	};
	struct stage *stage = *state;

	stage->puppet.protocol &= ~VHOST_PROTOCOL(STATUS);
	connect_well(stage);
	stage->puppet.count = 0;
	assert_int_equal(link_start(stage->link, false), STATUS_ON);
	link_reset(stage->link);
	assert_asked(stage, requests, COUNT_OF(requests));
}

static void a_backend_without_protocol_features_works(void **state)
{
	static const enum vhost_request requests[] = {
		VHOST_SET_OWNER,
		VHOST_GET_FEATURES,
		VHOST_SET_MEM_TABLE,
		VHOST_GET_FEATURES,
		/* activation */
		VHOST_SET_FEATURES,
		VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE,
		VHOST_SET_VRING_ADDR,
		VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_ERR,
		VHOST_SET_VRING_KICK,
		VHOST_GET_FEATURES,
		/* reset */
		VHOST_GET_VRING_BASE,
	};
	struct stage *stage = *state;
	struct virtio_backend backend;

	stage->puppet.features = ALL_FEATURES;
	connect_well(stage);
	vhost_frontend_backend(stage->link->frontend, &backend);
	assert_int_equal(backend.config_bytes, 0);
	assert_int_equal(backend.queue_count, QUEUES);
	assert_null(backend.ops->config_write);
	assert_int_equal(link_start(stage->link, false), STATUS_ON);
	link_reset(stage->link);
	assert_asked(stage, requests, COUNT_OF(requests));
	assert_int_equal(stage->puppet.last[VHOST_SET_FEATURES].payload.u64, ALL_FEATURES);
}

static void a_backend_without_acknowledgements_is_asked_for_something_else(void **state)
{
	struct stage *stage = *state;

	stage->puppet.protocol &= ~VHOST_PROTOCOL(REPLY_ACK);
	connect_well(stage);
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_FEATURES), 2);
	assert_int_equal(link_start(stage->link, false), STATUS_ON);
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_FEATURES), 3);
	link_reset(stage->link);
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_FEATURES), 4);
	puppet_end(&stage->puppet);
	assert_int_equal(stage->puppet.last[VHOST_SET_STATUS].head.flags, VHOST_FLAG_VERSION);
}

static void only_queues_that_are_ready_are_set_up(void **state)
{
	static const uint64_t gpas[] = { RING2_DESC, RING2_AVAIL, RING2_USED };
	struct stage *stage = *state;

	connect_well(stage);
	link_negotiate(stage->link);
	link_set_queue(stage->link, 1, gpas);
	virtio_device_set_status(stage->link->device, STATUS_ON);
	puppet_end(&stage->puppet);
	assert_int_equal(puppet_asked(&stage->puppet, VHOST_SET_VRING_KICK), 1);
	assert_int_equal(stage->puppet.last[VHOST_SET_VRING_KICK].payload.u64, 1);
	assert_int_equal(stage->puppet.last[VHOST_SET_VRING_ENABLE].payload.state.index, 1);
}

/* ---- offers that cannot be ---- */

static void a_number_of_queues_that_cannot_be_is_refused(void **state)
{
	static const uint64_t counts[] = { 0, QUEUES + 1, (UINT64_C(1) << 32) + 1, UINT64_MAX };
	struct stage *stage = *state;

	for (size_t i = 0; i < COUNT_OF(counts); i++) {
		stage->puppet.queues = counts[i];
		assert_int_equal(connect_it(stage), -EPROTO);
		assert_non_null(strstr(stage->link->err.text, "test: "));
		again(stage);
	}
	stage->puppet.queues = 1;
	connect_well(stage);
}

static void a_backend_before_virtio_1_is_refused(void **state)
{
	struct stage *stage = *state;

	stage->puppet.features &= ~VHOST_F_VERSION_1;
	assert_int_equal(connect_it(stage), -EPROTO);
}

static void a_config_space_of_another_size_is_refused(void **state)
{
	static const uint32_t sizes[][2] = {
		{ 0, 0 }, { 0, CONFIG_BYTES - 1 }, { 0, CONFIG_BYTES + 1 }, { 0, 256 }, { 1, CONFIG_BYTES }
	};
	struct stage *stage = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		stage->puppet.other_config = true;
		stage->puppet.config_offset = sizes[i][0];
		stage->puppet.config_bytes = sizes[i][1];
		assert_int_equal(connect_it(stage), -EPROTO);
		again(stage);
	}
}

static void memory_that_is_refused_is_no_backend(void **state)
{
	struct stage *stage = *state;

	stage->puppet.refuse = VHOST_SET_MEM_TABLE;
	stage->puppet.refusal = 1;
	assert_int_equal(connect_it(stage), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(the_whole_protocol_in_its_order),
		STAGE_TEST(what_is_not_ours_is_not_agreed_on),
		STAGE_TEST(a_backend_without_status_is_started_by_its_queues),
		STAGE_TEST(a_backend_without_protocol_features_works),
		STAGE_TEST(a_backend_without_acknowledgements_is_asked_for_something_else),
		STAGE_TEST(only_queues_that_are_ready_are_set_up),
		STAGE_TEST(a_number_of_queues_that_cannot_be_is_refused),
		STAGE_TEST(a_backend_before_virtio_1_is_refused),
		STAGE_TEST(a_config_space_of_another_size_is_refused),
		STAGE_TEST(memory_that_is_refused_is_no_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
