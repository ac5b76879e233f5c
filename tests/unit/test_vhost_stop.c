/* SPDX-License-Identifier: BSD-3-Clause */
/* The backend of vhost-user when the frontend stops its queues: nothing more is taken, and each queue tells where it would go on. */
#include "tests/unit/vhost_give.h"

/* The second queue has rings of its own. */
static void set_second_queue(struct link *link)
{
	struct vhost_message message = {
		.head.request = VHOST_SET_VRING_ADDR,
		.payload.addr = { .index = 1, .desc = RING2_DESC, .avail = RING2_AVAIL, .used = RING2_USED },
	};

	set_queue(link, 1);
	MUST(give(link, message) == 0);
}

/* Both queues run; `count` chains of the first are done. */
static void run_queues(struct link *link, uint64_t protocol, uint16_t count)
{
	struct vsubject *subject = &link->subject;

	begin(link, FRESH);
	/* Before anybody looks at them: the device does so once it is active. */
	v_clear_rings(subject);
	v_fill(subject);
	advance(link, QUEUED, protocol);
	set_second_queue(link);
	MUST(give_state(link, VHOST_SET_VRING_ENABLE, 1, 1) == 0);
	MUST(!(protocol & VHOST_PROTOCOL(STATUS)) || give_u64(link, VHOST_SET_STATUS, VHOST_STATUS_READY) == 0);
	v_offer(subject, 0, count);
	kick(subject);
	assert_true(wait_used(subject, count));
}

static uint32_t base_of(struct link *link, uint32_t queue)
{
	struct vhost_vring_state state;

	assert_int_equal(give_state(link, VHOST_GET_VRING_BASE, queue, 0), 0);
	state = reply_of(link, VHOST_GET_VRING_BASE).payload.state;
	assert_int_equal(state.index, queue);
	return state.num;
}

static void each_queue_tells_where_it_would_go_on(void **state)
{
	static const uint64_t protocols[] = { ALL_PROTOCOL, WITHOUT_STATUS };
	struct link *link = *state;

	for (size_t i = 0; i < COUNT_OF(protocols); i++) {
		for (int second_first = 0; second_first < 2; second_first++) {
			run_queues(link, protocols[i], 5);
			if (second_first)
				assert_int_equal(base_of(link, 1), 0);
			assert_int_equal(base_of(link, 0), 5);
			assert_int_equal(base_of(link, 1), 0);
			/* It is still true. */
			assert_int_equal(base_of(link, 0), 5);
		}
	}
}

static void a_queue_that_is_disabled_tells_it_too(void **state)
{
	struct link *link = *state;

	run_queues(link, ALL_PROTOCOL, 3);
	MUST(give_state(link, VHOST_SET_VRING_ENABLE, 0, 0) == 0);
	assert_int_equal(base_of(link, 0), 3);
}

static void keep_it(struct vsubject *subject, struct bp_chain *chain)
{
	if (event_count(&subject->requests) < 2)
		bp_chain_complete(chain);
	else
		keep(subject, chain);
}

/* Those who have it are told by the reset, and nobody takes it a second time. */
static void what_was_taken_counts_if_it_was_not_given_back(void **state)
{
	struct link *link = *state;
	struct vsubject *subject = &link->subject;

	subject->request = keep_it;
	run_queues(link, ALL_PROTOCOL, 2);
	v_offer(subject, 2, 2);
	kick(subject);
	assert_true(event_wait(&subject->requests, 4));
	assert_int_equal(base_of(link, 0), 4);
	assert_int_equal(ring_used_idx(&subject->driver), 2);
}

static void nothing_is_taken_behind_the_answer(void **state)
{
	struct link *link = *state;
	struct vsubject *subject = &link->subject;

	run_queues(link, ALL_PROTOCOL, 1);
	assert_int_equal(base_of(link, 0), 1);
	v_offer(subject, 1, 4);
	kick(subject);
	for (int i = 0; i < 100; i++)
		pass(subject);
	assert_int_equal(base_of(link, 0), 1);
	assert_int_equal(event_count(&subject->requests), 1);
	assert_int_equal(ring_used_idx(&subject->driver), 1);
}

static void a_new_driver_begins_at_0(void **state)
{
	struct link *link = *state;

	run_queues(link, ALL_PROTOCOL, 5);
	assert_int_equal(base_of(link, 0), 5);
	MUST(give_u64(link, VHOST_SET_STATUS, 0) == 0);
	assert_int_equal(base_of(link, 0), 0);
	run_queues(link, ALL_PROTOCOL, 5);
	assert_int_equal(base_of(link, 0), 5);
	MUST(give_state(link, VHOST_SET_VRING_BASE, 0, 0) == 0);
	assert_int_equal(base_of(link, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTILE(each_queue_tells_where_it_would_go_on),
		HOSTILE(a_queue_that_is_disabled_tells_it_too),
		HOSTILE(what_was_taken_counts_if_it_was_not_given_back),
		HOSTILE(nothing_is_taken_behind_the_answer),
		HOSTILE(a_new_driver_begins_at_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
