/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio device instances: configuration space from both sides, and what a device offers. */
#include "tests/unit/vdev_fixture.h"

#include <backplane/virtio.h>

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

/* Between two lives nobody is told, and no reset of the driver's gets through. */
static void break_config(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	(void)offset, (void)bytes;
	bp_broken(subject->dev, "nonsense");
}

static void one_that_is_broken_before_its_life_lives(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	uint8_t byte = 1;

	one->config = break_config;
	vsubject_run(one);
	v_fill(one);
	log_catch(LOG_LEVEL_WARN);
	vdev_config_write(one->device, 0, &byte, 1);
	log_release();
	v_activate_device(one, ALL_FEATURES);
	assert_true(event_wait(&one->resets, 1));
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_int_equal(atomic_load(&one->needs_reset), 0);
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
		TEST(config_is_told_once_a_callback),
		TEST(the_guest_writes_config),
		TEST(one_that_is_broken_before_its_life_lives),
		TEST(less_than_declared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
