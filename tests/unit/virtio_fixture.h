/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device on the fake backend, and the steps of a driver; for the tests of core/virtio/device.h. */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

#include "tests/unit/support.h"
#include "tests/unit/virtio_fake.h"

#define ACK         VIRTIO_STATUS_ACKNOWLEDGE
#define DRIVER      VIRTIO_STATUS_DRIVER
#define DRIVER_OK   VIRTIO_STATUS_DRIVER_OK
#define FEATURES_OK VIRTIO_STATUS_FEATURES_OK
#define NEEDS_RESET VIRTIO_STATUS_NEEDS_RESET
#define FAILED      VIRTIO_STATUS_FAILED

struct fixture {
	struct fake fake;
	struct virtio_device *device;
	struct err err;
};

static inline int setup(void **state)
{
	static struct fixture fixture;
	struct virtio_device_spec spec;

	log_set_level(LOG_LEVEL_ERROR);
	memset(&fixture, 0, sizeof(fixture));
	fake_init(&fixture.fake);
	fixture.fake.isr.word = 3;
	spec = fake_spec(&fixture.fake);
	if (virtio_device_new(&spec, &fixture.device, &fixture.err) < 0)
		return -1;
	fixture.fake.device = fixture.device;
	*state = &fixture;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *fixture = *state;

	virtio_device_free(fixture->device);
	fake_end(&fixture->fake);
	log_release();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline void set_features(struct virtio_device *device, uint64_t features)
{
	virtio_device_set_driver_features(device, 0, (uint32_t)features);
	virtio_device_set_driver_features(device, 1, (uint32_t)(features >> 32));
}

static inline void set_address(struct virtio_device *device, uint32_t queue, enum virtio_queue_address which,
			       uint64_t gpa)
{
	virtio_device_set_queue_address(device, queue, which, false, (uint32_t)gpa);
	virtio_device_set_queue_address(device, queue, which, true, (uint32_t)(gpa >> 32));
}

static inline void set_queue(struct virtio_device *device, uint32_t queue, uint32_t size, uint64_t desc,
			     uint64_t driver, uint64_t used)
{
	virtio_device_set_queue_size(device, queue, size);
	set_address(device, queue, VIRTIO_QUEUE_DESC, desc);
	set_address(device, queue, VIRTIO_QUEUE_DRIVER, driver);
	set_address(device, queue, VIRTIO_QUEUE_DEVICE, used);
}

/* Up to FEATURES_OK, with as few features as can be. */
static inline void negotiate(struct virtio_device *device)
{
	virtio_device_set_status(device, ACK);
	virtio_device_set_status(device, ACK | DRIVER);
	set_features(device, VIRTIO_FEATURE_VERSION_1);
	virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK);
}

/* All the way, queue 0 ready. */
static inline void start(struct virtio_device *device)
{
	negotiate(device);
	set_queue(device, 0, 256, 0x10000, 0x20002, 0x30004);
	virtio_device_set_queue_ready(device, 0, 1);
	virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
}

static inline void assert_as_new(struct fixture *fixture)
{
	struct virtio_device *device = fixture->device;

	assert_int_equal(virtio_device_status(device), 0);
	assert_int_equal(virtio_device_interrupt_status(device), 0);
	for (uint32_t i = 0; i < fixture->fake.backend.queue_count; i++)
		assert_false(virtio_device_queue_ready(device, i));
	assert_false(fixture->fake.active);
}

/* Whether the features are accepted. */
static inline bool negotiates(struct virtio_device *device)
{
	virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK);
	return virtio_device_status(device) & FEATURES_OK;
}

#endif
