/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device: the set-up of its queues, by drivers good and bad, and resets at any moment. */
#include "tests/unit/virtio_fixture.h"

/* First of all: lines have a budget, and the others use it up. */
static void the_log_says_why_a_device_needs_a_reset(void **state)
{
	struct fixture *fixture = *state;

	log_catch(LOG_LEVEL_WARN);
	fixture->fake.refuse = true;
	start(fixture->device);
	assert_string_equal(log_caught(), "backplane: warning: fake: the device needs a reset: a ring is not in RAM\n");
	log_release();
	virtio_device_set_status(fixture->device, 0);
	log_catch(LOG_LEVEL_WARN);
	negotiate(fixture->device);
	virtio_device_set_queue_size(fixture->device, 2, 3);
	virtio_device_set_queue_ready(fixture->device, 2, 1);
	virtio_device_set_status(fixture->device, DRIVER_OK);
	assert_string_equal(log_caught(), "backplane: warning: fake: the device needs a reset: the driver set up "
					  "virtqueue 2 wrongly\n");
}

/* ---- queues ---- */

static void what_the_backend_is_told(void **state)
{
	struct fixture *fixture = *state;
	const struct virtio_queue_setup *queues = fixture->fake.queues;

	negotiate(fixture->device);
	set_queue(fixture->device, 0, 64, UINT64_C(0x123456780), UINT64_C(0xfedcba9872), UINT64_C(0x2abcdef04));
	virtio_device_set_queue_ready(fixture->device, 0, 1);
	/* The second is set up but not ready; the third keeps the size that it has after a reset. */
	set_queue(fixture->device, 1, 1, 0x1000, 0x2000, 0x3000);
	set_queue(fixture->device, 2, 32768, 0x100000, 0x200000, 0x300000);
	virtio_device_set_queue_ready(fixture->device, 2, 1);
	virtio_device_set_status(fixture->device, DRIVER_OK);
	assert_true(fixture->fake.active);
	assert_int_equal(fixture->fake.activation.queue_count, 3);
	assert_true(queues[0].ready);
	assert_int_equal(queues[0].size, 64);
	assert_int_equal(queues[0].desc_gpa, UINT64_C(0x123456780));
	assert_int_equal(queues[0].driver_gpa, UINT64_C(0xfedcba9872));
	assert_int_equal(queues[0].device_gpa, UINT64_C(0x2abcdef04));
	assert_false(queues[1].ready);
	assert_int_equal(queues[1].size, 0);
	assert_int_equal(queues[1].desc_gpa | queues[1].driver_gpa | queues[1].device_gpa, 0);
	assert_true(queues[2].ready);
	assert_int_equal(queues[2].size, 32768);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(queues[i].kick_fd, virtio_device_kick_fd(fixture->device, i));
		assert_int_equal(queues[i].call_fd, fixture->fake.call_fd);
	}
}

static void only_powers_of_two_up_to_the_maximum(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	negotiate(device);
	for (uint32_t queue = 0; queue < 3; queue++)
		for (uint64_t size = 0; size <= 0x20001; size++) {
			bool power = size && !(size & (size - 1));

			set_queue(device, queue, (uint32_t)size, 0x100000, 0x200000, 0x300000);
			virtio_device_set_queue_ready(device, queue, 1);
			assert_int_equal(virtio_device_queue_ready(device, queue),
					 power && size <= fixture->fake.backend.queue_sizes[queue]);
			virtio_device_set_queue_ready(device, queue, 0);
		}
	/* What would be right in fewer bits. */
	for (unsigned int bit = 17; bit < 32; bit++)
		for (uint32_t low = 0; low <= 256; low += 256) {
			virtio_device_set_queue_size(device, 0, 1u << bit | low);
			virtio_device_set_queue_ready(device, 0, 1);
			assert_false(virtio_device_queue_ready(device, 0));
		}
}

struct hostile {
	uint32_t size;
	uint64_t desc, driver, used;
};

/* With 256 descriptors the rings have 4096, 518 and 2054 bytes. */
#define TOP(bytes) (UINT64_MAX - (bytes) + 1)
static const struct hostile hostile[] = {
	{ 0, 0x10000, 0x20000, 0x30000 },          { 3, 0x10000, 0x20000, 0x30000 },
	{ 512, 0x10000, 0x20000, 0x30000 },        { 0x10100, 0x10000, 0x20000, 0x30000 },
	{ UINT32_MAX, 0x10000, 0x20000, 0x30000 }, { 256, 0x10001, 0x20000, 0x30000 },
	{ 256, 0x10002, 0x20000, 0x30000 },        { 256, 0x10004, 0x20000, 0x30000 },
	{ 256, 0x10008, 0x20000, 0x30000 },        { 256, 0x10000, 0x20001, 0x30000 },
	{ 256, 0x10000, 0x20000, 0x30001 },        { 256, 0x10000, 0x20000, 0x30002 },
	{ 256, TOP(16), 0x20000, 0x30000 },        { 256, TOP(4096), 0x20000, 0x30000 },
	{ 256, 0x10000, TOP(2), 0x30000 },         { 256, 0x10000, TOP(518), 0x30000 },
	{ 256, 0x10000, 0x20000, TOP(4) },         { 256, 0x10000, 0x20000, TOP(2052) },
	{ 1, TOP(16), 0x20000, 0x30000 },          { 1, 0x10000, TOP(8), 0x30000 },
	{ 1, 0x10000, 0x20000, TOP(12) },
};

static void a_wrong_queue_needs_a_reset(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	for (size_t i = 0; i < COUNT_OF(hostile); i++) {
		const struct hostile *bad = &hostile[i];

		virtio_device_set_status(device, 0);
		negotiate(device);
		set_queue(device, 0, bad->size, bad->desc, bad->driver, bad->used);
		virtio_device_set_queue_ready(device, 0, 1);
		assert_false(virtio_device_queue_ready(device, 0));
		set_queue(device, 1, 1, 0x1000, 0x2000, 0x3000);
		virtio_device_set_queue_ready(device, 1, 1);
		assert_int_equal(fd_event_clear(fixture->fake.call_fd), 0);
		virtio_device_set_status(device, DRIVER_OK);
		assert_int_equal(virtio_device_status(device), ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
		assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_CONFIG);
		assert_int_equal(fd_event_clear(fixture->fake.call_fd), 1);
	}
	assert_int_equal(fixture->fake.activations, 0);
	virtio_device_set_status(device, 0);
	start(device);
	assert_true(fixture->fake.active);
}

/* The same values, each followed by an attempt that is right. */
static void a_wrong_queue_can_be_put_right(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	for (size_t i = 0; i < COUNT_OF(hostile); i++) {
		const struct hostile *bad = &hostile[i];

		virtio_device_set_status(device, 0);
		negotiate(device);
		set_queue(device, 0, bad->size, bad->desc, bad->driver, bad->used);
		virtio_device_set_queue_ready(device, 0, 1);
		if (i % 2) {
			set_queue(device, 0, 256, 0x10000, 0x20000, 0x30000);
			virtio_device_set_queue_ready(device, 0, 1);
		} else {
			virtio_device_set_queue_ready(device, 0, 0);
		}
		virtio_device_set_status(device, DRIVER_OK);
		assert_true(fixture->fake.active);
		assert_int_equal(fixture->fake.queues[0].ready, i % 2);
	}
}

/* The last places that do not wrap. */
static void rings_may_lie_at_the_end(void **state)
{
	static const struct hostile good[] = {
		{ 256, 0, 0, 0 },
		{ 256, TOP(4112), TOP(520), TOP(2056) },
		{ 1, TOP(32), TOP(10), TOP(16) },
	};
	struct fixture *fixture = *state;

	negotiate(fixture->device);
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		virtio_device_set_queue_ready(fixture->device, 0, 0);
		set_queue(fixture->device, 0, good[i].size, good[i].desc, good[i].driver, good[i].used);
		virtio_device_set_queue_ready(fixture->device, 0, 1);
		assert_true(virtio_device_queue_ready(fixture->device, 0));
	}
}

static void scribble(struct virtio_device *device)
{
	for (uint32_t queue = 0; queue < 5; queue++)
		set_queue(device, queue, 2, 0x777770, 0x888880, 0x999990);
}

static void a_ready_queue_does_not_change(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	negotiate(device);
	set_queue(device, 0, 128, 0x10000, 0x20000, 0x30000);
	virtio_device_set_queue_ready(device, 0, 1);
	scribble(device);
	/* Again, which changes nothing. */
	virtio_device_set_queue_ready(device, 0, 1);
	virtio_device_set_status(device, DRIVER_OK);
	assert_int_equal(fixture->fake.queues[0].size, 128);
	assert_int_equal(fixture->fake.queues[0].desc_gpa, 0x10000);
	assert_int_equal(fixture->fake.queues[0].driver_gpa, 0x20000);
	assert_int_equal(fixture->fake.queues[0].device_gpa, 0x30000);
}

static void a_queue_that_is_taken_back_can_be_set_up_anew(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	negotiate(device);
	set_queue(device, 0, 128, 0x10000, 0x20000, 0x30000);
	virtio_device_set_queue_ready(device, 0, UINT32_MAX);
	assert_true(virtio_device_queue_ready(device, 0));
	virtio_device_set_queue_ready(device, 0, UINT32_MAX - 1);
	assert_false(virtio_device_queue_ready(device, 0));
	set_queue(device, 0, 2, 0x40000, 0x50000, 0x60000);
	virtio_device_set_queue_ready(device, 0, 1);
	virtio_device_set_status(device, DRIVER_OK);
	assert_int_equal(fixture->fake.queues[0].size, 2);
	assert_int_equal(fixture->fake.queues[0].desc_gpa, 0x40000);
}

static void queues_freeze_at_driver_ok(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	start(device);
	scribble(device);
	for (uint32_t queue = 0; queue < 5; queue++) {
		virtio_device_set_queue_ready(device, queue, queue == 0 ? 0 : 1);
		assert_int_equal(virtio_device_queue_ready(device, queue), queue == 0);
	}
	assert_int_equal(fixture->fake.activations, 1);
	/* Nothing has been kept for later, either. */
	virtio_device_set_status(device, 0);
	negotiate(device);
	virtio_device_set_queue_ready(device, 1, 1);
	virtio_device_set_status(device, DRIVER_OK);
	assert_int_equal(fixture->fake.queues[1].size, 1);
	assert_int_equal(fixture->fake.queues[1].desc_gpa, 0);
}

/* ... even if the device did not come to life. */
static void queues_freeze_with_a_refused_driver_ok(void **state)
{
	struct fixture *fixture = *state;

	fixture->fake.refuse = true;
	start(fixture->device);
	assert_int_equal(virtio_device_status(fixture->device), ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	fixture->fake.refuse = false;
	virtio_device_set_queue_ready(fixture->device, 0, 0);
	virtio_device_set_queue_ready(fixture->device, 1, 1);
	virtio_device_set_status(fixture->device, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_true(virtio_device_queue_ready(fixture->device, 0));
	assert_false(virtio_device_queue_ready(fixture->device, 1));
	assert_int_equal(fixture->fake.activations, 1);
	assert_false(fixture->fake.active);
	/* It was never active, so there is nothing to reset behind the seam. */
	virtio_device_set_status(fixture->device, 0);
	assert_int_equal(fixture->fake.resets, 0);
}

static void notifications_reach_ready_queues_of_active_devices(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	for (uint32_t queue = 0; queue < 3; queue++)
		virtio_device_notify(device, queue);
	negotiate(device);
	set_queue(device, 0, 1, 0, 0, 0);
	virtio_device_set_queue_ready(device, 0, 1);
	virtio_device_notify(device, 0);
	virtio_device_set_status(device, DRIVER_OK);
	for (uint32_t queue = 0; queue < 3; queue++)
		assert_int_equal(fd_event_clear(virtio_device_kick_fd(device, queue)), 0);
	for (uint64_t queue = 1; queue <= UINT32_MAX; queue = queue * 2 + 1)
		virtio_device_notify(device, (uint32_t)queue);
	for (uint32_t queue = 0; queue < 3; queue++)
		assert_int_equal(fd_event_clear(virtio_device_kick_fd(device, queue)), 0);
	virtio_device_notify(device, 0);
	virtio_device_notify(device, 0);
	assert_int_equal(fd_event_clear(virtio_device_kick_fd(device, 0)), 2);
	virtio_device_set_status(device, 0);
	virtio_device_notify(device, 0);
	assert_int_equal(fd_event_clear(virtio_device_kick_fd(device, 0)), 0);
}

/* ---- reset ---- */

/* What a driver does from the beginning to the end, in steps. */
static bool step(struct fixture *fixture, unsigned int number)
{
	struct virtio_device *device = fixture->device;

	switch (number) {
	case 0:
		virtio_device_set_status(device, ACK);
		return true;
	case 1:
		virtio_device_set_status(device, ACK | DRIVER);
		return true;
	case 2:
		virtio_device_set_driver_features(device, 0, 1);
		return true;
	case 3:
		virtio_device_set_driver_features(device, 1, 1);
		return true;
	case 4:
		virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK);
		return true;
	case 5:
		set_queue(device, 0, 8, 0x10000, 0x20000, 0x30000);
		return true;
	case 6:
		virtio_device_set_queue_ready(device, 0, 1);
		return true;
	case 7: /* wrong */
		virtio_device_set_queue_size(device, 1, 77);
		virtio_device_set_queue_ready(device, 1, 1);
		return true;
	case 8: /* put right */
		virtio_device_set_queue_size(device, 1, 1);
		virtio_device_set_queue_ready(device, 1, 1);
		return true;
	case 9:
		virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
		return true;
	case 10:
		virtio_isr_raise(&fixture->fake.isr, VIRTIO_ISR_ALL, fixture->fake.call_fd);
		return true;
	case 11:
		virtio_device_needs_reset(device);
		return true;
	case 12:
		virtio_device_set_status(device, FAILED);
		return true;
	default:
		return false;
	}
}

static void a_reset_at_any_moment(void **state)
{
	struct fixture *fixture = *state;
	unsigned int resets = 0;
	unsigned int count = 0;

	while (step(fixture, count))
		count++;
	assert_int_equal(virtio_device_status(fixture->device),
			 ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET | FAILED);
	virtio_device_set_status(fixture->device, 0);
	for (unsigned int steps = 0; steps <= count; steps++) {
		for (unsigned int i = 0; i < steps; i++)
			step(fixture, i);
		resets = fixture->fake.resets + (steps > 9);
		virtio_device_set_status(fixture->device, 0);
		assert_int_equal(fixture->fake.resets, resets);
		assert_as_new(fixture);
		/* Nothing of it is left: neither features, nor sizes, nor a refused queue. */
		assert_false(negotiates(fixture->device));
		set_features(fixture->device, VIRTIO_FEATURE_VERSION_1);
		assert_true(negotiates(fixture->device));
		virtio_device_set_queue_ready(fixture->device, 0, 1);
		virtio_device_set_status(fixture->device, DRIVER_OK);
		assert_true(fixture->fake.active);
		assert_int_equal(fixture->fake.queues[0].size, 256);
		assert_int_equal(fixture->fake.queues[0].desc_gpa, 0);
		virtio_device_set_status(fixture->device, 0);
	}
}

static void an_active_device_is_reset_before_it_is_freed(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_device *device;
	size_t fds = count_fds();

	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	start(device);
	assert_true(fixture->fake.active);
	virtio_device_free(device);
	assert_false(fixture->fake.active);
	assert_int_equal(fixture->fake.resets, 1);
	assert_int_equal(count_fds(), fds);
	virtio_device_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_log_says_why_a_device_needs_a_reset),
		TEST(what_the_backend_is_told),
		TEST(only_powers_of_two_up_to_the_maximum),
		TEST(a_wrong_queue_needs_a_reset),
		TEST(a_wrong_queue_can_be_put_right),
		TEST(rings_may_lie_at_the_end),
		TEST(a_ready_queue_does_not_change),
		TEST(a_queue_that_is_taken_back_can_be_set_up_anew),
		TEST(queues_freeze_at_driver_ok),
		TEST(queues_freeze_with_a_refused_driver_ok),
		TEST(notifications_reach_ready_queues_of_active_devices),
		TEST(a_reset_at_any_moment),
		TEST(an_active_device_is_reset_before_it_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
