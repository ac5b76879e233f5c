/* SPDX-License-Identifier: BSD-3-Clause */
/* The entropy plugin on the runtime itself, with the test as the guest. */
#include <backplane/plugin.h>

extern const struct bp_plugin backplane_plugin;

#define VSUBJECT_CLASS (backplane_plugin.classes[0])
#include "tests/unit/vdev_fixture.h"

/* One request after the other: how many bytes it gave. */
static uint32_t ask(struct vsubject *one)
{
	uint32_t id = 0, len = 0;

	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, one->driver.avail_idx));
	assert_true(ring_used(&one->driver, &id, &len));
	assert_int_equal(id, 0);
	return len;
}

static void run(struct vsubject *one)
{
	vsubject_run(one);
	assert_int_equal(vdev_offer(one->device).id, 4);
	v_activate_device(one, ALL_FEATURES);
}

static void every_buffer_is_filled(void **state)
{
	static const uint32_t lengths[] = { 1, 16, 64, 255, 256, 257, 4095, 4096 };
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		uint8_t *bytes = ring_at(&one->driver, RING_DATA);

		memset(bytes, 0, 8192);
		ring_set(&one->driver, RING_DESC, 0, RING_DATA, lengths[i], RING_F_WRITE, 0);
		assert_int_equal(ask(one), lengths[i]);
		/* Behind it nothing; and up to its end something, but for one case in 2^64. */
		assert_int_equal(bytes[lengths[i]], 0);
		if (lengths[i] >= 8)
			assert_memory_not_equal(bytes + lengths[i] - 8, "\0\0\0\0\0\0\0\0", 8);
	}
}

static void no_two_are_the_same(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint8_t before[32];

	run(one);
	ring_set(&one->driver, RING_DESC, 0, RING_DATA, 32, RING_F_WRITE, 0);
	assert_int_equal(ask(one), 32);
	memcpy(before, ring_at(&one->driver, RING_DATA), 32);
	assert_int_equal(ask(one), 32);
	assert_memory_not_equal(before, ring_at(&one->driver, RING_DATA), 32);
}

/* However much is asked for; and the bytes in several pieces count together. */
static void a_request_is_bounded(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one);
	ring_set(&one->driver, RING_DESC, 0, RING_DATA, 3000, RING_F_WRITE | RING_F_NEXT, 1);
	ring_set(&one->driver, RING_DESC, 1, RING_DATA + 0x1000, 0x10000, RING_F_WRITE, 0);
	assert_int_equal(ask(one), 4096);
}

static void nothing_to_write_gives_nothing(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	run(one);
	ring_set(&one->driver, RING_DESC, 0, RING_DATA, 64, 0, 0);
	assert_int_equal(ask(one), 0);
	ring_set(&one->driver, RING_DESC, 0, RING_DATA, 64, RING_F_NEXT, 1);
	ring_set(&one->driver, RING_DESC, 1, RING_DATA + 0x100, 64, RING_F_WRITE, 0);
	assert_int_equal(ask(one), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_buffer_is_filled),
		TEST(no_two_are_the_same),
		TEST(a_request_is_bounded),
		TEST(nothing_to_write_gives_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
