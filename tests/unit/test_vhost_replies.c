/* SPDX-License-Identifier: BSD-3-Clause */
/* The frontend of vhost-user with backends that are silent, close, or answer what is no answer. */
#include "tests/unit/vhost_puppet.h"

/* ---- answers that are none ---- */

static void each_wrong_answer_ends_the_negotiation(void **state)
{
	static const enum vhost_request requests[] = { VHOST_GET_FEATURES, VHOST_GET_PROTOCOL_FEATURES,
						       VHOST_GET_QUEUE_NUM, VHOST_SET_MEM_TABLE, VHOST_GET_CONFIG };
	struct stage *stage = *state;

	for (size_t i = 0; i < COUNT_OF(requests); i++)
		for (enum trick trick = NO_TRICK + 1; trick < TRICKS; trick++) {
			arm(stage, requests[i], trick);
			assert_int_equal(connect_it(stage), error_of(trick));
			assert_null(stage->link->frontend);
			assert_true(stage->link->err.text[0]);
			assert_int_equal(stage->link->failures, 0);
			again(stage);
		}
}

static void each_wrong_answer_ends_an_activation(void **state)
{
	struct stage *stage = *state;

	log_catch(LOG_LEVEL_ERROR);
	for (enum trick trick = NO_TRICK + 1; trick < TRICKS; trick++) {
		arm(stage, VHOST_SET_STATUS, trick);
		connect_well(stage);
		assert_int_equal(link_start(stage->link, false), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
		assert_failed(stage, trick);
		link_reset(stage->link);
		assert_int_equal(virtio_device_status(stage->link->device), 0);
		again(stage);
	}
	log_release();
}

static void each_wrong_answer_lets_a_reset_return(void **state)
{
	struct stage *stage = *state;

	stage->puppet.protocol &= ~VHOST_PROTOCOL(STATUS);
	for (enum trick trick = NO_TRICK + 1; trick < TRICKS; trick++) {
		arm(stage, VHOST_GET_VRING_BASE, trick);
		stage->puppet.protocol &= ~VHOST_PROTOCOL(STATUS);
		connect_well(stage);
		assert_int_equal(link_start(stage->link, false), STATUS_ON);
		link_reset(stage->link);
		assert_int_equal(virtio_device_status(stage->link->device), 0);
		assert_failed(stage, trick);
		again(stage);
	}
}

static void each_wrong_answer_lets_a_config_write_return(void **state)
{
	struct stage *stage = *state;

	for (enum trick trick = NO_TRICK + 1; trick < TRICKS; trick++) {
		uint64_t value = 0;

		if (error_of(trick) == -ETIMEDOUT)
			stage->link->spec.deadline_ns = BRIEF_NS;
		connect_well(stage);
		assert_int_equal(link_start(stage->link, false), STATUS_ON);
		arm(stage, VHOST_GET_CONFIG, trick);
		puppet_begin(&stage->puppet);
		virtio_device_config_write(stage->link->device, 0, 4, 0x1234);
		assert_failed(stage, trick);
		assert_int_equal(virtio_device_status(stage->link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
		virtio_device_config_read(stage->link->device, 0, 4, &value);
		assert_int_equal(value, 0);
		again(stage);
	}
}

static void a_reset_that_is_refused_is_a_failure(void **state)
{
	struct stage *stage = *state;

	connect_well(stage);
	link_start(stage->link, false);
	puppet_end(&stage->puppet);
	stage->puppet.refuse = VHOST_SET_STATUS;
	stage->puppet.refusal = 5;
	puppet_begin(&stage->puppet);
	link_reset(stage->link);
	assert_failed(stage, GARBAGE);
}

static void a_refusal_is_an_error_of_ours_whatever_it_says(void **state)
{
	static const uint64_t refusals[] = { 1, EFAULT, 4096, UINT64_C(1) << 32, UINT64_MAX };
	struct stage *stage = *state;

	log_catch(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < COUNT_OF(refusals); i++) {
		stage->puppet.protocol &= ~VHOST_PROTOCOL(STATUS);
		stage->puppet.refuse = VHOST_SET_VRING_ENABLE;
		stage->puppet.refusal = refusals[i];
		connect_well(stage);
		assert_int_equal(link_start(stage->link, false), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
		assert_int_equal(stage->link->failures, 0);
		assert_int_equal(puppet_asked(&stage->puppet, VHOST_GET_VRING_BASE), 1);
		again(stage);
	}
	log_release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGE_TEST(each_wrong_answer_ends_the_negotiation),
		STAGE_TEST(each_wrong_answer_ends_an_activation),
		STAGE_TEST(each_wrong_answer_lets_a_reset_return),
		STAGE_TEST(each_wrong_answer_lets_a_config_write_return),
		STAGE_TEST(a_reset_that_is_refused_is_a_failure),
		STAGE_TEST(a_refusal_is_an_error_of_ours_whatever_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
