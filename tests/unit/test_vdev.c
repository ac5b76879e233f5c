/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio device instances: from a kick to the interrupt, breaches, resets, completions that come late. */
#include "core/device/chain.h"

#include "tests/unit/vdev_fixture.h"

#include <backplane/io.h>
#include <backplane/virtio.h>

#include <sys/uio.h>

static void a_kick_becomes_an_interrupt(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint32_t id = 0, len = 0;

	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	assert_int_equal(one->activated_features, FEATURES);
	assert_int_equal(one->activated_queues, 1);
	v_offer(one, 5, 1);
	kick(one);
	assert_int_equal(wait_call(one), 1);
	/* The status was set before the signal. */
	assert_int_equal(virtio_isr_read(&one->isr), VIRTIO_ISR_USED);
	assert_true(ring_used(&one->driver, &id, &len));
	assert_int_equal(id, 5);
	assert_int_equal(len, 4);
	assert_memory_equal(ring_at(&one->driver, RING_DATA + 0x500), "pong", 4);
}

static void what_was_there_before_is_found(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	v_offer(one, 0, 3);
	v_activate_device(one, ALL_FEATURES); /* without a kick */
	assert_true(wait_used(one, 3));
}

/* Holds the device's lock, so that the loop comes only when everything is there. */
static void a_batch_is_one_interrupt(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint64_t since;

	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	pass(one);
	since = device_enter(one->device, "test");
	v_offer(one, 0, 40);
	kick(one);
	device_leave(one->device, since);
	assert_true(wait_used(one, 40));
	assert_int_equal(wait_call(one), 1);
	pass(one);
	assert_int_equal(fd_event_clear(one->call_fd), 0);
	assert_int_equal(event_count(&one->requests), 40);
}

static void no_interrupt_that_nobody_wants(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, FEATURES | UINT64_C(1) << 32);
	ring_set_avail_flags(&one->driver, 1);
	v_offer(one, 0, 4);
	kick(one);
	assert_true(wait_used(one, 4));
	pass(one);
	assert_int_equal(fd_event_clear(one->call_fd), 0);
	assert_int_equal(virtio_isr_read(&one->isr), 0);
}

/* More than a queue's worth in one life, with the driver always at work. */
static void a_busy_driver_is_served(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint32_t id = 0, len = 0;

	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	for (uint16_t i = 0; i < 5000; i++) {
		v_offer(one, i % QUEUE_SIZE, 1);
		kick(one);
		if (i >= 32) {
			while (!ring_used(&one->driver, &id, &len))
				sched_yield();
		}
	}
	assert_true(wait_used(one, 5000));
	assert_int_equal(event_count(&one->requests), 5000);
	assert_int_equal(atomic_load(&one->needs_reset), 0);
}

/* ---- breaches ---- */

static void a_broken_ring_is_this_devices_alone(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one, *two = &fixture->two;

	vsubject_run(one);
	vsubject_run(two);
	v_fill(one);
	v_fill(two);
	v_activate_device(one, ALL_FEATURES);
	v_activate_device(two, ALL_FEATURES);
	log_catch(LOG_LEVEL_WARN);
	v_offer(one, 0, 1);
	ring_offer(&one->driver, 500);
	kick(one);
	while (!atomic_load(&one->needs_reset))
		sched_yield();
	v_offer(two, 0, 2);
	kick(two);
	assert_true(wait_used(two, 2));
	/* Nothing more of the first one, and no second notice. */
	kick(one);
	pass(one);
	assert_int_equal(atomic_load(&one->needs_reset), 1);
	assert_int_equal(atomic_load(&two->needs_reset), 0);
	assert_string_equal(log_caught(),
			    "backplane: warning: one: the guest's driver broke the device: queue 0: a head is beyond "
			    "the descriptor table; it is off until it is reset\n");
	log_release();
	/* A reset heals it. */
	vdev_reset(one->device);
	v_clear_rings(one);
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
}

static void break_it(struct vsubject *subject, struct bp_chain *chain)
{
	bp_broken(subject->dev, "nonsense");
	bp_chain_complete(chain);
}

static void a_plugin_may_break_it(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	one->request = break_it;
	v_activate_device(one, ALL_FEATURES);
	log_catch(LOG_LEVEL_WARN);
	v_offer(one, 0, 2);
	kick(one);
	while (!atomic_load(&one->needs_reset))
		sched_yield();
	pass(one);
	assert_int_equal(event_count(&one->requests), 1);
	assert_int_equal(ring_used_idx(&one->driver), 0);
	assert_int_equal(fd_event_clear(one->call_fd), 0);
}

static void rings_outside_of_memory(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	struct vdev_queue_setup queues[QUEUES];
	struct vdev_setup setup;

	vsubject_run(one);
	setup = v_setup(one, queues, ALL_FEATURES);
	queues[0].used_gpa = RING_HOLE;
	assert_int_equal(vdev_activate(one->device, &setup, &one->err), -EFAULT);
	assert_string_equal(one->err.text, "queue 0: its rings are outside of memory");
	queues[0].used_gpa = RING_USED;
	queues[0].size = QUEUE_SIZE * 2;
	assert_int_equal(vdev_activate(one->device, &setup, &one->err), -EINVAL);
	/* The second queue's failure takes the first one back. */
	queues[0].size = QUEUE_SIZE;
	queues[1].ready = true;
	queues[1].desc_gpa = 0;
	assert_int_equal(vdev_activate(one->device, &setup, &one->err), -EFAULT);
	assert_string_equal(one->err.text, "queue 1: its rings are outside of memory");
	assert_int_equal(event_count(&one->activations), 0);
	v_activate_device(one, ALL_FEATURES);
	assert_int_equal(vdev_activate(one->device, &setup, &one->err), -ENODEV);
}

/* ---- late completions ---- */

static void later(struct vsubject *subject, struct bp_chain *chain)
{
	keep(subject, chain);
}

static void *complete_kept(void *arg)
{
	struct vsubject *subject = arg;

	for (size_t i = 0; i < subject->kept_count; i++) {
		/* Reading is for [dev] only. */
		MUST(bp_chain_left(subject->kept[i], BP_CHAIN_WRITE) == 0);
		bp_chain_complete(subject->kept[i]);
	}
	return NULL;
}

static void other_threads_complete(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	pthread_t thread;

	vsubject_run(one);
	v_fill(one);
	one->request = later;
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 30);
	kick(one);
	assert_true(event_wait(&one->requests, 30));
	pass(one);
	assert_int_equal(ring_used_idx(&one->driver), 0);
	log_catch(LOG_LEVEL_WARN);
	MUST(pthread_create(&thread, NULL, complete_kept, one) == 0);
	assert_true(thread_join(thread));
	assert_true(wait_used(one, 30));
	assert_true(wait_call(one) > 0);
	log_release();
}

static void later_lives_are_not_disturbed(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	struct bp_chain *old[8] = { NULL };

	vsubject_run(one);
	v_fill(one);
	one->request = later;
	for (int life = 1; life <= 3 * CHAIN_LIVES; life++) {
		v_activate_device(one, ALL_FEATURES);
		v_offer(one, 0, 8);
		kick(one);
		assert_true(event_wait(&one->requests, (uint64_t)life * 8));
		pass(one);
		for (size_t i = 0; i < 8; i++)
			old[i] = one->kept[i];
		vdev_reset(one->device);
		assert_int_equal(event_count(&one->resets), life);
		v_clear_rings(one);
	}
	/* The next life, whose chains are in flight when those of the last one come back. */
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 8);
	kick(one);
	assert_true(event_wait(&one->requests, (3 * CHAIN_LIVES + 1) * 8));
	for (int i = 0; i < 8; i++)
		bp_chain_complete(old[i]);
	pass(one);
	kick(one);
	for (size_t i = 0; i < 8; i++)
		bp_chain_complete(one->kept[i]);
	assert_true(wait_used(one, 8));
	pass(one);
	assert_int_equal(ring_used_idx(&one->driver), 8);
	for (uint16_t i = 0; i < 8; i++) {
		uint32_t id = 0, len = 0;

		assert_true(ring_used(&one->driver, &id, &len));
		assert_true(id < 8);
	}
	assert_int_equal(atomic_load(&one->needs_reset), 0);
}

/* Functions of a chain that are [dev], from a thread of the plugin's own. */
static void *call_from_outside(void *arg)
{
	struct vsubject *subject = arg;
	struct bp_chain *chain = subject->kept[0];
	struct bp_io_request request = { .size = sizeof(request), .op = BP_IO_FLUSH };
	uint8_t byte;
	struct iovec iov;

	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0);
	MUST(bp_chain_read(chain, &byte, 1) == 0);
	MUST(bp_chain_write(chain, &byte, 1) == 0);
	MUST(bp_chain_take(chain, BP_CHAIN_WRITE, 1, &iov, 1) == -EDEADLK);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 1, &iov, 1) == -EDEADLK);
	MUST(bp_chain_wrote(chain, 1) == -EDEADLK);
	MUST(bp_chain_skip(chain, BP_CHAIN_WRITE, 1) == -EDEADLK);
	MUST(bp_io_submit(subject->dev, subject->io, &request) == -EDEADLK);
	return NULL;
}

static void chains_belong_to_callbacks(void **state)
{
	static const char *const names[] = { "bp_chain_left", "bp_chain_read",  "bp_chain_write", "bp_chain_take",
					     "bp_chain_peek", "bp_chain_wrote", "bp_chain_skip",  "bp_io_submit" };
	struct vsubject *one = &((struct vfixture *)*state)->one;
	pthread_t thread;

	one->file_fd = memfd_create("file", MFD_CLOEXEC);
	one->engine = BP_IO_THREADS;
	one->request = later;
	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(event_wait(&one->requests, 1));
	pass(one);
	log_catch(LOG_LEVEL_ERROR);
	MUST(pthread_create(&thread, NULL, call_from_outside, one) == 0);
	assert_true(thread_join(thread));
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char line[160];

		snprintf(line, sizeof(line), "backplane: error: one: plugin error: %s was called from a thread of",
			 names[i]);
		assert_int_equal(count_of_text(log_caught(), line), 1);
	}
	assert_int_equal(count_of_text(log_caught(), "\n"), COUNT_OF(names));
}

static void use_when_over(struct vsubject *subject, struct bp_chain *chain)
{
	struct iovec iov;

	bp_chain_complete(chain);
	subject->result = (int64_t)bp_chain_left(chain, BP_CHAIN_WRITE) + (int64_t)bp_chain_write(chain, "x", 1) +
			  (int64_t)bp_chain_read(chain, &iov, 1);
	MUST(bp_chain_take(chain, BP_CHAIN_WRITE, 0, &iov, 1) == -ENODATA);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 0, &iov, 1) == -ENODATA);
	MUST(bp_chain_wrote(chain, 0) == -ENODATA);
	MUST(bp_chain_skip(chain, BP_CHAIN_WRITE, 0) == -ENODATA);
	bp_chain_complete(chain);
}

static void a_chain_that_is_over_is_empty(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	one->request = use_when_over;
	one->result = -1;
	v_activate_device(one, ALL_FEATURES);
	log_catch(LOG_LEVEL_ERROR);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_int_equal(one->result, 0);
	assert_string_equal(log_caught(),
			    "backplane: error: one: plugin error: bp_chain_complete was called twice for a chain\n");
}

static void skip_some(struct vsubject *subject, struct bp_chain *chain)
{
	(void)subject;
	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0x100);
	bp_chain_write(chain, "abc", 3);
	MUST(bp_chain_skip(chain, BP_CHAIN_WRITE, 0x100) == -ENODATA);
	MUST(bp_chain_skip(chain, BP_CHAIN_WRITE, 5) == 0);
	bp_chain_write(chain, "d", 1);
	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0x100 - 9);
	bp_chain_complete(chain);
}

static void what_is_skipped_is_not_written(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint32_t id = 0, len = 0;

	vsubject_run(one);
	v_fill(one);
	one->request = skip_some;
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_true(ring_used(&one->driver, &id, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(ring_at(&one->driver, RING_DATA + 8), "d", 1);
}

static void fill_and_say(struct vsubject *subject, struct bp_chain *chain)
{
	struct iovec iov = { 0 }, again = { 0 };

	(void)subject;
	bp_chain_write(chain, "ab", 2);
	MUST(bp_chain_peek(chain, 3, 1, &iov, 1) == -EINVAL);
	MUST(bp_chain_peek(chain, BP_CHAIN_READ, 1, &iov, 1) == -ENODATA);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 0xff, &iov, 1) == -ENODATA);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 0xfe, &iov, 0) == -EMSGSIZE);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 0xfe, &iov, 1) == 1 && iov.iov_len == 0xfe);
	memcpy(iov.iov_base, "cdefg", 5);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 4, &again, 1) == 1);
	MUST(again.iov_base == iov.iov_base && again.iov_len == 4);
	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0xfe);
	MUST(bp_chain_wrote(chain, 0xff) == -ENODATA && bp_chain_wrote(chain, UINT64_MAX) == -ENODATA);
	MUST(bp_chain_wrote(chain, 0) == 0 && bp_chain_wrote(chain, 3) == 0 && bp_chain_wrote(chain, 1) == 0);
	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0xfa);
	MUST(bp_chain_peek(chain, BP_CHAIN_WRITE, 1, &again, 1) == 1);
	MUST(again.iov_base == (uint8_t *)iov.iov_base + 4);
	bp_chain_complete(chain);
}

static void what_was_filled_is_told_afterwards(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint32_t id = 0, len = 0;

	vsubject_run(one);
	v_fill(one);
	one->request = fill_and_say;
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_true(ring_used(&one->driver, &id, &len));
	assert_int_equal(len, 6);
	assert_memory_equal(ring_at(&one->driver, RING_DATA), "abcdefg", 7);
}

/* ---- at rest ---- */

static void kicks_during_rest_are_not_lost(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	assert_int_equal(device_quiesce(one->device), 0);
	v_offer(one, 0, 3);
	kick(one);
	assert_int_equal(ring_used_idx(&one->driver), 0);
	assert_int_equal(device_resume(one->device, &one->err), 0);
	assert_true(wait_used(one, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kick_becomes_an_interrupt),    TEST(what_was_there_before_is_found),
		TEST(a_batch_is_one_interrupt),       TEST(no_interrupt_that_nobody_wants),
		TEST(a_busy_driver_is_served),        TEST(a_broken_ring_is_this_devices_alone),
		TEST(a_plugin_may_break_it),          TEST(rings_outside_of_memory),
		TEST(other_threads_complete),         TEST(chains_belong_to_callbacks),
		TEST(later_lives_are_not_disturbed),  TEST(a_chain_that_is_over_is_empty),
		TEST(what_is_skipped_is_not_written), TEST(what_was_filled_is_told_afterwards),
		TEST(kicks_during_rest_are_not_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
