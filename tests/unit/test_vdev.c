/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio device instances: from a kick to the interrupt, resets, completions that come late, configuration space. */
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
	MUST(bp_chain_skip(chain, BP_CHAIN_WRITE, 1) == -EDEADLK);
	MUST(bp_io_submit(subject->dev, subject->io, &request) == -EDEADLK);
	return NULL;
}

static void chains_belong_to_callbacks(void **state)
{
	static const char *const names[] = { "bp_chain_left", "bp_chain_read", "bp_chain_write",
					     "bp_chain_take", "bp_chain_skip", "bp_io_submit" };
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

/* ---- configuration space ---- */

static int create_config(struct vsubject *subject)
{
	uint8_t bytes[CONFIG_BYTES] = { 1, 2, 3, 4 }, seen[CONFIG_BYTES];

	MUST(bp_virtio_config_write(subject->dev, 0, bytes, CONFIG_BYTES) == 0);
	MUST(bp_virtio_config_read(subject->dev, 1, seen, 3) == 0 && !memcmp(seen, bytes + 1, 3));
	MUST(bp_virtio_config_write(subject->dev, 1, bytes, CONFIG_BYTES) == -EINVAL);
	MUST(bp_virtio_config_write(subject->dev, UINT32_MAX, bytes, 2) == -EINVAL);
	MUST(bp_virtio_config_read(subject->dev, CONFIG_BYTES, bytes, 1) == -EINVAL);
	return 0;
}

static void change_config(struct vsubject *subject, struct bp_chain *chain)
{
	uint32_t value = 7;

	for (uint32_t i = 0; i < CONFIG_BYTES; i += 4)
		MUST(bp_virtio_config_write(subject->dev, i, &value, 4) == 0);
	bp_chain_complete(chain);
}

static void config_is_told_once_a_callback(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint8_t bytes[4];
	uint32_t value;

	one->create = create_config;
	one->request = change_config;
	vsubject_run(one);
	vdev_config_read(one->device, 0, bytes, 4);
	assert_memory_equal(bytes, "\1\2\3\4", 4);
	assert_int_equal(atomic_load(&one->config_notices), 0);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
	pass(one);
	assert_int_equal(atomic_load(&one->config_notices), 1);
	vdev_config_read(one->device, 12, &value, 4);
	assert_int_equal(value, 7);
	/* The same once more is no change. */
	v_offer(one, 1, 1);
	kick(one);
	assert_true(wait_used(one, 2));
	pass(one);
	assert_int_equal(atomic_load(&one->config_notices), 1);
}

static void see_config(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	uint16_t value;

	MUST(offset == 6 && bytes == 2);
	MUST(bp_virtio_config_read(subject->dev, 6, &value, 2) == 0);
	subject->result = value;
}

static void the_guest_writes_config(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint16_t value = 0x1234;

	one->config = see_config;
	vsubject_run(one);
	assert_true(vdev_offer(one->device).config_writable);
	vdev_config_write(one->device, 6, &value, 2);
	assert_int_equal(one->result, 0x1234);
	/* What the guest does it need not be told. */
	assert_int_equal(atomic_load(&one->config_notices), 0);
}

static int create_offer(struct vsubject *subject)
{
	MUST(bp_virtio_offer(subject->dev, 8, 1) == -EINVAL);
	MUST(bp_virtio_offer(subject->dev, 0, 0) == -EINVAL);
	MUST(bp_virtio_offer(subject->dev, 0, QUEUES + 1) == -EINVAL);
	return bp_virtio_offer(subject->dev, 2, 1);
}

static void less_than_declared(void **state)
{
	struct vfixture *fixture = *state;
	struct vdev_offer offer;

	fixture->one.create = create_offer;
	vsubject_run(&fixture->one);
	vsubject_run(&fixture->two);
	offer = vdev_offer(fixture->one.device);
	assert_int_equal(offer.id, 42);
	assert_int_equal(offer.queue_count, 1);
	assert_int_equal(offer.queue_size, QUEUE_SIZE);
	assert_int_equal(offer.config_bytes, CONFIG_BYTES);
	assert_int_equal(offer.features, 2 | UINT64_C(3) << 28);
	offer = vdev_offer(fixture->two.device);
	assert_int_equal(offer.queue_count, QUEUES);
	assert_int_equal(offer.features, FEATURES | UINT64_C(3) << 28);
	/* A driver that sets up more than there is. */
	v_activate_device(&fixture->one, ALL_FEATURES);
	assert_int_equal(fixture->one.activated_features, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_kick_becomes_an_interrupt),
		TEST(what_was_there_before_is_found),
		TEST(a_batch_is_one_interrupt),
		TEST(no_interrupt_that_nobody_wants),
		TEST(a_busy_driver_is_served),
		TEST(a_broken_ring_is_this_devices_alone),
		TEST(a_plugin_may_break_it),
		TEST(rings_outside_of_memory),
		TEST(other_threads_complete),
		TEST(chains_belong_to_callbacks),
		TEST(later_lives_are_not_disturbed),
		TEST(a_chain_that_is_over_is_empty),
		TEST(what_is_skipped_is_not_written),
		TEST(kicks_during_rest_are_not_lost),
		TEST(config_is_told_once_a_callback),
		TEST(the_guest_writes_config),
		TEST(less_than_declared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
