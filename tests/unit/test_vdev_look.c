/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices that look into a queue by themselves (bp_virtio_look()), and what they are told of meanwhile. */
#include "tests/unit/support.h"
#include "tests/unit/vdev_fixture.h"

#define PLAIN_FEATURES (ALL_FEATURES & ~(UINT64_C(1) << 29)) /* without EVENT_IDX */

static void keep_it(struct vsubject *subject, struct bp_chain *chain)
{
	keep(subject, chain);
}

static void run(struct vsubject *subject, uint64_t features)
{
	subject->request = keep_it;
	vsubject_run(subject);
	v_fill(subject);
	v_activate_device(subject, features);
}

static int look(struct vsubject *subject, uint32_t queue, uint32_t tell)
{
	uint64_t since = device_enter(subject->device, "test");
	int r = bp_virtio_look(subject->dev, queue, tell);

	device_leave(subject->device, since);
	return r;
}

static void on_round(void *arg, int fd, uint32_t events)
{
	(void)events;
	fd_event_clear(fd);
	event_post(arg);
}

/* A kick is handled: the device's thread has been round, whether it found something or not. */
static void round_trip(struct vsubject *subject)
{
	kick(subject);
	/* The kick of before may still be under way; this one comes after it. */
	for (uint32_t i = 0; i < 2; i++) {
		struct event done = EVENT_INIT;
		FD_AUTO int fd = fd_event();
		uint64_t since = device_enter(subject->device, "test");

		assert_int_equal(loop_own_add(subject->device, fd, false, on_round, &done, "test"), 0);
		device_leave(subject->device, since);
		fd_event_signal(fd);
		assert_true(event_wait(&done, 1));
		since = device_enter(subject->device, "test");
		assert_int_equal(loop_fd_del(subject->device, fd), 0);
		device_leave(subject->device, since);
	}
}

static void chains_are_handed_over_when_it_looks(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	round_trip(one);
	assert_int_equal(look(one, 0, 0), 0);
	v_offer(one, 0, 5);
	assert_int_equal(one->kept_count, 0);
	assert_int_equal(look(one, 0, 0), 5);
	assert_int_equal(one->kept_count, 5);
	assert_int_equal(look(one, 0, 0), 0);
}

/* 2.7.10: the device has no place in the ring at which it wants to be told. */
static void a_driver_is_not_asked_to_tell(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	round_trip(one);
	assert_int_equal(ring_avail_event(&one->driver), 0);
	assert_int_equal(look(one, 0, 0), 0);
	v_offer(one, 0, 5);
	assert_int_equal(look(one, 0, 0), 5);
	assert_int_equal(ring_avail_event(&one->driver), 0);
	v_offer(one, 5, 3);
	assert_int_equal(look(one, 0, 1), 3);
	assert_int_equal(ring_avail_event(&one->driver), 8);
}

static void a_driver_without_events_sees_it_in_the_flags(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, PLAIN_FEATURES);
	round_trip(one);
	assert_int_equal(ring_used_flags(&one->driver), 0);
	assert_int_equal(look(one, 0, 0), 0);
	assert_int_equal(ring_used_flags(&one->driver), 1);
	v_offer(one, 0, 2);
	assert_int_equal(look(one, 0, 0), 2);
	assert_int_equal(ring_used_flags(&one->driver), 1);
	assert_int_equal(look(one, 0, 1), 0);
	assert_int_equal(ring_used_flags(&one->driver), 0);
}

/* It may, and does so about once each 65,536 chains. */
static void a_driver_that_tells_all_the_same_is_heard(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	assert_int_equal(look(one, 0, 0), 0);
	v_offer(one, 0, 3);
	kick(one);
	assert_true(event_wait(&one->requests, 3));
	round_trip(one);
	/* And the device is not told more often for that. */
	assert_int_equal(ring_avail_event(&one->driver), 0);
}

static void it_is_told_again_when_it_wants(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	assert_int_equal(look(one, 0, 0), 0);
	assert_int_equal(look(one, 0, 1), 0);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(event_wait(&one->requests, 1));
}

static void a_new_life_begins_with_being_told(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	assert_int_equal(look(one, 0, 0), 0);
	vdev_reset(one->device);
	v_clear_rings(one);
	v_activate_device(one, PLAIN_FEATURES);
	round_trip(one);
	assert_int_equal(ring_used_flags(&one->driver), 0);
}

/* What is completed while it looks reaches the guest with the rest of the callback. */
static void complete_it(struct vsubject *subject, struct bp_chain *chain)
{
	(void)subject;
	bp_chain_complete(chain);
}

static void what_it_completes_is_published(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	one->request = complete_it;
	v_offer(one, 0, 4);
	assert_int_equal(look(one, 0, 0), 4);
	assert_int_equal(ring_used_idx(&one->driver), 4);
}

static int looked_inside;

static void look_inside(struct vsubject *subject, struct bp_chain *chain)
{
	looked_inside = bp_virtio_look(subject->dev, 0, 0);
	keep(subject, chain);
}

static void looking_within_a_request_of_the_queue_is_refused(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one, ALL_FEATURES);
	one->request = look_inside;
	v_offer(one, 0, 2);
	assert_int_equal(look(one, 0, 1), 2);
	assert_int_equal(looked_inside, -EBUSY);
	assert_int_equal(one->kept_count, 2);
}

static void queues_that_are_not_there_are_refused(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	one->request = keep_it;
	vsubject_run(one);
	assert_int_equal(look(one, 0, 0), -EINVAL);
	v_activate_device(one, ALL_FEATURES);
	assert_int_equal(look(one, 0, 0), 0);
	/* Not set up, and none. */
	assert_int_equal(look(one, 1, 0), -EINVAL);
	assert_int_equal(look(one, QUEUES, 0), -EINVAL);
	assert_int_equal(look(one, UINT32_MAX, 0), -EINVAL);
	assert_int_equal(device_quiesce(one->device), 0);
	assert_int_equal(look(one, 0, 0), -EINVAL);
	assert_int_equal(device_resume(one->device, &one->err), 0);
	vdev_reset(one->device);
	assert_int_equal(look(one, 0, 0), -EINVAL);
}

static void a_broken_queue_breaks_the_device(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	log_catch(LOG_LEVEL_WARN);
	run(one, ALL_FEATURES);
	ring_offer(&one->driver, QUEUE_SIZE);
	assert_int_equal(look(one, 0, 0), 0);
	assert_int_equal(atomic_load(&one->needs_reset), 1);
}

static void it_belongs_to_callbacks(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	log_catch(LOG_LEVEL_WARN);
	run(one, ALL_FEATURES);
	assert_int_equal(bp_virtio_look(one->dev, 0, 0), -EDEADLK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chains_are_handed_over_when_it_looks),
		TEST(a_driver_is_not_asked_to_tell),
		TEST(a_driver_without_events_sees_it_in_the_flags),
		TEST(a_driver_that_tells_all_the_same_is_heard),
		TEST(it_is_told_again_when_it_wants),
		TEST(a_new_life_begins_with_being_told),
		TEST(what_it_completes_is_published),
		TEST(looking_within_a_request_of_the_queue_is_refused),
		TEST(queues_that_are_not_there_are_refused),
		TEST(a_broken_queue_breaks_the_device),
		TEST(it_belongs_to_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
