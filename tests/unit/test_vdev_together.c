/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the guest sees what a virtio device has completed: at the end of a callback, all of it at once. A network device that puts one
 * frame into several buffers depends on that (VIRTIO 1.2, 5.1.6.4). The plugin looks into the used ring itself, from within its
 * callbacks.
 */
#include "tests/unit/support.h"
#include "tests/unit/vdev_fixture.h"

#define CHAINS 8u

static void later(struct vsubject *subject, struct bp_chain *chain)
{
	keep(subject, chain);
}

/* A device that has been given chains and keeps them. */
static void run_with_chains(struct vsubject *subject)
{
	vsubject_run(subject);
	v_fill(subject);
	subject->request = later;
	v_activate_device(subject, ALL_FEATURES);
	v_offer(subject, 0, CHAINS);
	kick(subject);
	assert_true(event_wait(&subject->requests, CHAINS));
	pass(subject);
}

static void assert_order(struct vsubject *subject, uint32_t first)
{
	for (uint32_t i = 0; i < CHAINS; i++) {
		uint32_t id = 0, len = 0;

		assert_true(ring_used(&subject->driver, &id, &len));
		assert_int_equal(id, first + i);
	}
}

/* ---- one callback ---- */

static void complete_all(void *arg, int fd, uint32_t events)
{
	struct vsubject *subject = arg;

	(void)events;
	fd_event_clear(fd);
	for (size_t i = 0; i < CHAINS; i++) {
		bp_chain_complete(subject->kept[i]);
		MUST(ring_used_idx(&subject->driver) == 0);
	}
	event_post(&subject->done);
}

static void a_callbacks_chains_come_together(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	FD_AUTO int fd = fd_event();
	uint64_t since;

	run_with_chains(one);
	since = device_enter(one->device, "test");
	assert_int_equal(bp_fd_add(one->dev, fd, BP_FD_IN, complete_all, one), 0);
	device_leave(one->device, since);
	fd_event_signal(fd);
	assert_true(event_wait(&one->done, 1));
	pass(one);
	assert_int_equal(ring_used_idx(&one->driver), CHAINS);
	assert_order(one, 0);
	since = device_enter(one->device, "test");
	assert_int_equal(bp_fd_del(one->dev, fd), 0);
	device_leave(one->device, since);
}

/* ---- many requests ---- */

/* Each is completed at once, and the guest has seen none before the last: those after it in the same batch look. */
static void answer(struct vsubject *subject, struct bp_chain *chain)
{
	MUST(ring_used_idx(&subject->driver) == 0);
	bp_chain_write(chain, "x", 1);
	bp_chain_complete(chain);
	MUST(ring_used_idx(&subject->driver) == 0);
}

static void requests_that_come_together_are_answered_together(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	one->request = answer;
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, QUEUE_SIZE);
	kick(one);
	assert_true(event_wait(&one->requests, QUEUE_SIZE));
	pass(one);
	assert_int_equal(ring_used_idx(&one->driver), QUEUE_SIZE);
}

/* The second half is answered with the requests that bring it, the first, which waited, with the last of them. */
static void answer_with_the_last(struct vsubject *subject, struct bp_chain *chain)
{
	uint64_t count = event_count(&subject->requests) + 1;

	if (count <= CHAINS) {
		keep(subject, chain);
		return;
	}
	bp_chain_complete(chain);
	for (size_t i = 0; count == 2 * CHAINS && i < CHAINS; i++)
		bp_chain_complete(subject->kept[i]);
	MUST(ring_used_idx(&subject->driver) == 0);
}

static void what_waited_comes_with_what_is_new(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	one->request = answer_with_the_last;
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 2 * CHAINS);
	kick(one);
	assert_true(event_wait(&one->requests, 2 * CHAINS));
	pass(one);
	assert_int_equal(ring_used_idx(&one->driver), 2 * CHAINS);
	assert_order(one, CHAINS);
	assert_order(one, 0);
}

/* ---- other threads ---- */

static void *complete_kept(void *arg)
{
	struct vsubject *subject = arg;

	for (size_t i = 0; i < CHAINS; i++)
		bp_chain_complete(subject->kept[i]);
	return NULL;
}

/* None of them can be taken before all have been completed: the lock is held. */
static void other_threads_keep_their_order(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	pthread_t thread;
	uint64_t since;

	run_with_chains(one);
	since = device_enter(one->device, "test");
	MUST(pthread_create(&thread, NULL, complete_kept, one) == 0);
	MUST(thread_join(thread));
	assert_int_equal(ring_used_idx(&one->driver), 0);
	device_leave(one->device, since);
	assert_true(wait_used(one, CHAINS));
	assert_order(one, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_callbacks_chains_come_together),
		TEST(requests_that_come_together_are_answered_together),
		TEST(what_waited_comes_with_what_is_new),
		TEST(other_threads_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
