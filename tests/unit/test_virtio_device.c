/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device without its transport: status, features, notices, interrupts, config space. */
#include "tests/unit/virtio_fixture.h"

/* ---- making ---- */

static void a_new_device_is_reset(void **state)
{
	struct fixture *fixture = *state;

	assert_as_new(fixture);
	assert_int_equal(fixture->fake.isr.word, 0);
	assert_int_equal(fixture->fake.activations + fixture->fake.resets, 0);
	assert_int_equal(virtio_device_id(fixture->device), FAKE_DEVICE_ID);
	assert_int_equal(virtio_device_vendor(fixture->device), FAKE_VENDOR_ID);
	assert_int_equal(virtio_device_queue_count(fixture->device), 3);
	assert_int_equal(virtio_device_config_bytes(fixture->device), 29);
	assert_int_equal(virtio_device_queue_max(fixture->device, 0), 256);
	assert_int_equal(virtio_device_queue_max(fixture->device, 1), 1);
	assert_int_equal(virtio_device_queue_max(fixture->device, 2), 32768);
	assert_int_equal(virtio_device_queue_max(fixture->device, 3), 0);
	assert_int_equal(virtio_device_queue_max(fixture->device, UINT32_MAX), 0);
	assert_int_equal(virtio_device_kick_fd(fixture->device, 3), -1);
	assert_int_equal(virtio_device_kick_fd(fixture->device, UINT32_MAX), -1);
}

static void a_backend_beyond_the_limits_is_refused(void **state)
{
	static const struct virtio_backend_ops no_config = { .activate = fake_activate, .reset = fake_reset };
	struct fixture *fixture = *state;
	const struct virtio_backend good = fixture->fake.backend;
	struct {
		struct virtio_backend backend;
		const char *text;
	} cases[] = {
		{ good, "fake: there is no virtio device 0" },
		{ good, "fake: a config space of 257 bytes cannot be had" },
		{ good, "fake: a config space of 29 bytes cannot be had" },
		{ good, "fake: 0 virtqueues instead of 1 to 64" },
		{ good, "fake: 65 virtqueues instead of 1 to 64" },
		{ good, "fake: virtqueue 1 has the size 0, which is not a power of two up to 32768" },
		{ good, "fake: virtqueue 1 has the size 24, which is not a power of two up to 32768" },
		{ good, "fake: virtqueue 2 has the size 65535, which is not a power of two up to 32768" },
	};
	size_t fds = count_fds();

	cases[0].backend.device_id = 0;
	cases[1].backend.config_bytes = 257;
	cases[2].backend.ops = &no_config;
	cases[3].backend.queue_count = 0;
	cases[4].backend.queue_count = 65;
	cases[5].backend.queue_sizes[1] = 0;
	cases[6].backend.queue_sizes[1] = 24;
	cases[7].backend.queue_sizes[2] = 65535;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct virtio_device_spec spec = fake_spec(&fixture->fake);
		struct virtio_device *device = NULL;

		spec.backend = cases[i].backend;
		assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), -EINVAL);
		assert_string_equal(fixture->err.text, cases[i].text);
		assert_null(device);
	}
	assert_int_equal(count_fds(), fds);
}

static void a_device_without_config_space_or_with_all_there_is(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_backend_ops no_config = { .activate = fake_activate, .reset = fake_reset };
	struct virtio_device *device;
	uint64_t value = 5;
	size_t fds = count_fds();

	spec.backend.ops = &no_config;
	spec.backend.config_bytes = 0;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	for (uint32_t bytes = 1; bytes <= 8; bytes *= 2) {
		assert_int_equal(virtio_device_config_read(device, 0, bytes, &value), -ENXIO);
		assert_int_equal(virtio_device_config_write(device, 0, bytes, 0), -ENXIO);
	}
	assert_int_equal(value, 5);
	virtio_device_free(device);

	fixture->fake.backend.config_bytes = 256;
	spec = fake_spec(&fixture->fake);
	spec.backend.queue_count = VIRTIO_QUEUES_MAX;
	for (size_t i = 0; i < VIRTIO_QUEUES_MAX; i++)
		spec.backend.queue_sizes[i] = 32768;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	assert_int_equal(virtio_device_config_read(device, 255, 1, &value), 0);
	assert_int_equal(value, (0xc0 + 255) & 0xff);
	assert_int_equal(virtio_device_queue_max(device, VIRTIO_QUEUES_MAX - 1), 32768);
	virtio_device_free(device);
	assert_int_equal(count_fds(), fds);
}

/* ---- status ---- */

/* The table of device.h: what each bit needs, what forbids it. In the order in which one write sets them. */
static const struct {
	uint32_t bit;
	uint32_t needs;
} rules[] = {
	{ ACK, 0 }, { DRIVER, 0 }, { FAILED, 0 }, { FEATURES_OK, ACK | DRIVER }, { DRIVER_OK, FEATURES_OK },
};

/* What the status has to be after a write. */
static uint32_t expect_status(uint32_t status, uint32_t value, bool good_features, bool good_backend)
{
	if (!value)
		return 0;
	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		uint32_t bit = rules[i].bit;

		if (!(value & bit) || (status & bit) || (status & rules[i].needs) != rules[i].needs)
			continue;
		if (bit == FEATURES_OK && !good_features)
			continue;
		if ((bit == FEATURES_OK || bit == DRIVER_OK) && (status & FAILED))
			continue;
		status |= bit;
		if (bit == DRIVER_OK && !good_backend)
			status |= NEEDS_RESET;
	}
	return status;
}

/* Each pair of writes of eight bits, and each such write after one that sets all: with features that are right or wrong, with
 * a backend that takes part or not. */
static void every_sequence_of_status_writes(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	for (unsigned int variant = 0; variant < 4; variant++) {
		bool good_features = variant & 1, good_backend = variant & 2;

		fixture->fake.refuse = !good_backend;
		for (uint32_t first = 0; first < 256; first++)
			for (uint32_t second = 0; second < 256; second++) {
				uint32_t expected;

				virtio_device_set_status(device, 0);
				set_features(device, good_features ? VIRTIO_FEATURE_VERSION_1 : 1);
				virtio_device_set_status(device, first);
				expected = expect_status(0, first, good_features, good_backend);
				assert_int_equal(virtio_device_status(device), expected);
				/* A reset has taken them, too. */
				if (!first)
					set_features(device, good_features ? VIRTIO_FEATURE_VERSION_1 : 1);
				virtio_device_set_status(device, second);
				expected = expect_status(expected, second, good_features, good_backend);
				assert_int_equal(virtio_device_status(device), expected);
				assert_int_equal(fixture->fake.active,
						 (expected & DRIVER_OK) && !(expected & NEEDS_RESET));
			}
	}
	assert_true(fixture->fake.resets > 0);
}

static void only_a_zero_resets(void **state)
{
	struct fixture *fixture = *state;

	start(fixture->device);
	for (unsigned int bit = 8; bit < 32; bit++) {
		virtio_device_set_status(fixture->device, 1u << bit);
		assert_int_equal(virtio_device_status(fixture->device), ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	}
	assert_int_equal(fixture->fake.resets, 0);
	virtio_device_set_status(fixture->device, 0);
	assert_as_new(fixture);
	assert_int_equal(fixture->fake.resets, 1);
	/* One that is inactive is not told of resets. */
	virtio_device_set_status(fixture->device, 0);
	assert_int_equal(fixture->fake.resets, 1);
}

static void a_driver_that_gives_up_has_to_reset(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture->device);
	virtio_device_set_status(fixture->device, FAILED | DRIVER_OK);
	assert_int_equal(virtio_device_status(fixture->device), ACK | DRIVER | FEATURES_OK | FAILED);
	assert_int_equal(fixture->fake.activations, 0);
	virtio_device_set_status(fixture->device, 0);
	start(fixture->device);
	assert_true(fixture->fake.active);
	virtio_device_set_status(fixture->device, FAILED);
	assert_true(fixture->fake.active);
	assert_int_equal(virtio_device_status(fixture->device), ACK | DRIVER | FEATURES_OK | DRIVER_OK | FAILED);
}

/* ---- features ---- */

static void only_known_features_pass_the_seam(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_device *device;

	/* 0 to 23, 50 to 63, INDIRECT_DESC, EVENT_IDX, IN_ORDER, ORDER_PLATFORM; and VERSION_1 always. */
	spec.backend.features = UINT64_MAX;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	assert_int_equal(virtio_device_features(device, 0), 0x30ffffff);
	assert_int_equal(virtio_device_features(device, 1), 0xfffc0019);
	for (uint32_t word = 2; word; word *= 2)
		assert_int_equal(virtio_device_features(device, word), 0);
	virtio_device_free(device);
	spec.backend.features = 0;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	assert_int_equal(virtio_device_features(device, 0), 0);
	assert_int_equal(virtio_device_features(device, 1), 1);
	virtio_device_free(device);
}

static void features_are_a_subset_with_version_1(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;
	uint64_t offered = virtio_device_features(device, 0) | (uint64_t)virtio_device_features(device, 1) << 32;

	assert_int_equal(offered, fixture->fake.backend.features | VIRTIO_FEATURE_VERSION_1);
	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t one = UINT64_C(1) << bit;

		virtio_device_set_status(device, 0);
		set_features(device, VIRTIO_FEATURE_VERSION_1 | one);
		assert_int_equal(negotiates(device), (offered & one) != 0);
		virtio_device_set_status(device, 0);
		set_features(device, one);
		assert_int_equal(negotiates(device), one == VIRTIO_FEATURE_VERSION_1);
	}
	virtio_device_set_status(device, 0);
	assert_false(negotiates(device));
	/* A driver that asked for too much may ask for less. */
	set_features(device, UINT64_MAX);
	assert_false(negotiates(device));
	set_features(device, offered);
	assert_true(negotiates(device));
	virtio_device_set_status(device, DRIVER_OK);
	assert_int_equal(fixture->fake.activation.features, offered);
}

static void features_beyond_the_last_word_cannot_be_had(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	for (uint32_t word = 2; word; word *= 2) {
		virtio_device_set_status(device, 0);
		set_features(device, VIRTIO_FEATURE_VERSION_1);
		virtio_device_set_driver_features(device, word, 0);
		assert_true(negotiates(device));
		virtio_device_set_status(device, 0);
		set_features(device, VIRTIO_FEATURE_VERSION_1);
		virtio_device_set_driver_features(device, word, 1u << 31);
		virtio_device_set_driver_features(device, word, 0);
		assert_false(negotiates(device));
	}
}

static void features_freeze(void **state)
{
	struct fixture *fixture = *state;

	negotiate(fixture->device);
	set_features(fixture->device, UINT64_MAX);
	virtio_device_set_driver_features(fixture->device, 2, UINT32_MAX);
	virtio_device_set_status(fixture->device, DRIVER_OK);
	assert_true(fixture->fake.active);
	assert_int_equal(fixture->fake.activation.features, VIRTIO_FEATURE_VERSION_1);
}

/* ---- notices ---- */

static void needs_reset_is_told_once(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	start(device);
	for (int i = 0; i < 3; i++)
		virtio_device_needs_reset(device);
	assert_int_equal(virtio_device_status(device), ACK | DRIVER | FEATURES_OK | DRIVER_OK | NEEDS_RESET);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_CONFIG);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 1);
	/* The driver cannot take it away, only reset. */
	virtio_device_set_status(device, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_true(virtio_device_status(device) & NEEDS_RESET);
	virtio_device_set_status(device, 0);
	assert_as_new(fixture);
	start(device);
	assert_true(fixture->fake.active);
}

static void needs_reset_before_driver_ok_waits_for_it(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;

	virtio_device_needs_reset(device);
	assert_int_equal(virtio_device_status(device), NEEDS_RESET);
	assert_int_equal(virtio_device_interrupt_status(device), 0);
	negotiate(device);
	virtio_device_needs_reset(device);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 0);
	virtio_device_set_status(device, DRIVER_OK);
	assert_int_equal(fixture->fake.activations, 0);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_CONFIG);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 1);
}

static void a_backend_can_complain_while_it_is_activated(void **state)
{
	struct fixture *fixture = *state;

	fixture->fake.complain = true;
	start(fixture->device);
	assert_true(fixture->fake.active);
	assert_true(virtio_device_status(fixture->device) & NEEDS_RESET);
	assert_int_equal(virtio_device_interrupt_status(fixture->device), VIRTIO_ISR_CONFIG);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 1);
	virtio_device_set_status(fixture->device, 0);
	assert_int_equal(fixture->fake.resets, 1);
	/* Complaining and refusing are one event for the driver. */
	fixture->fake.refuse = true;
	start(fixture->device);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 1);
}

static void config_changes_are_told_from_driver_ok_on(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device *device = fixture->device;
	uint32_t generation = virtio_device_config_generation(device);

	virtio_device_config_changed(device);
	assert_int_equal(virtio_device_config_generation(device), generation + 1);
	negotiate(device);
	virtio_device_config_changed(device);
	assert_int_equal(virtio_device_interrupt_status(device), 0);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 0);
	virtio_device_set_status(device, DRIVER_OK);
	virtio_device_config_changed(device);
	virtio_device_config_changed(device);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_CONFIG);
	assert_int_equal(fd_event_clear(fixture->fake.call_fd), 2);
	/* It goes on over a reset, so that no driver compares with an old one. */
	virtio_device_set_status(device, 0);
	assert_int_equal(virtio_device_config_generation(device), generation + 4);
}

/* ---- interrupts ---- */

static void an_acknowledgement_clears_its_bits_only(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_isr *isr = &fixture->fake.isr;

	start(fixture->device);
	for (uint32_t set = 0; set < 4; set++)
		for (uint32_t ack = 0; ack < 8; ack++)
			for (uint32_t high = 0; high < 2; high++) {
				virtio_isr_clear(isr);
				virtio_isr_raise(isr, set, -1);
				assert_int_equal(virtio_device_interrupt_status(fixture->device), set);
				virtio_device_interrupt_ack(fixture->device, ack | high * 0xfffffff8u);
				assert_int_equal(virtio_device_interrupt_status(fixture->device), set & ~ack);
			}
}

/* The word lies in memory that another process can write. */
static void unknown_bits_of_the_word_are_not_shown(void **state)
{
	struct fixture *fixture = *state;

	start(fixture->device);
	fixture->fake.isr.word = UINT32_MAX;
	assert_int_equal(virtio_device_interrupt_status(fixture->device), VIRTIO_ISR_ALL);
	virtio_device_interrupt_ack(fixture->device, VIRTIO_ISR_ALL);
	assert_int_equal(virtio_device_interrupt_status(fixture->device), 0);
}

static void a_backend_outside_reads_as_used_buffers(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_device *device;

	spec.backend.outside = true;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	assert_int_equal(virtio_device_interrupt_status(device), 0);
	start(device);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_USED);
	virtio_device_interrupt_ack(device, VIRTIO_ISR_USED);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_USED);
	virtio_device_config_changed(device);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_ALL);
	virtio_device_interrupt_ack(device, VIRTIO_ISR_CONFIG);
	assert_int_equal(virtio_device_interrupt_status(device), VIRTIO_ISR_USED);
	virtio_device_set_status(device, 0);
	assert_int_equal(virtio_device_interrupt_status(device), 0);
	virtio_device_free(device);
}

/* Who has the backend's eventfd can make writing to it block: nothing of the device's own goes there. */
static void a_devices_own_interrupts_go_past_the_backends_eventfd(void **state)
{
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_device *device;

	spec.notice_fd = fd_event();
	assert_true(spec.notice_fd >= 0);
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	start(device);
	virtio_device_config_changed(device);
	virtio_device_needs_reset(device);
	assert_int_equal(fd_event_clear(spec.call_fd), 0);
	assert_int_equal(fd_event_clear(spec.notice_fd), 2);
	virtio_device_free(device);
	close(spec.notice_fd);
}

/* ---- config space ---- */

static void every_access_to_the_config_space(void **state)
{
	struct fixture *fixture = *state;
	struct fake *fake = &fixture->fake;

	for (uint32_t bytes = 0; bytes <= 9; bytes++)
		for (uint64_t offset = 0; offset <= 300; offset++) {
			bool width = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
			bool takes = width && offset % bytes == 0 && offset + bytes <= 29;
			unsigned int calls = fake->config_reads + fake->config_writes;
			uint64_t value = UINT64_C(0x5a5a5a5a5a5a5a5a), expected = 0;
			uint8_t before[sizeof(fake->config)];

			memcpy(before, fake->config, sizeof(before));
			assert_int_equal(virtio_device_config_read(fixture->device, offset, bytes, &value),
					 takes ? 0 : -ENXIO);
			for (uint32_t i = 0; takes && i < bytes; i++)
				expected |= (uint64_t)before[offset + i] << (8 * i);
			assert_int_equal(value, takes ? expected : UINT64_C(0x5a5a5a5a5a5a5a5a));
			assert_int_equal(virtio_device_config_write(fixture->device, offset, bytes,
								    UINT64_C(0x8877665544332211)),
					 takes ? 0 : -ENXIO);
			for (uint32_t i = 0; takes && i < bytes; i++)
				before[offset + i] = (uint8_t)(0x11 * (i + 1));
			assert_memory_equal(before, fake->config, sizeof(before));
			assert_int_equal(fake->config_reads + fake->config_writes, calls + (takes ? 2 : 0));
		}
	for (uint64_t offset = UINT64_MAX; offset > 256; offset /= 2) {
		uint64_t value;

		for (uint32_t bytes = 1; bytes <= 8; bytes *= 2) {
			assert_int_equal(virtio_device_config_read(fixture->device, offset, bytes, &value), -ENXIO);
			assert_int_equal(virtio_device_config_read(fixture->device, offset & ~UINT64_C(7), bytes,
								   &value),
					 -ENXIO);
		}
	}
}

static void writes_vanish_where_no_field_is_writable(void **state)
{
	static const struct virtio_backend_ops constant = {
		.activate = fake_activate,
		.reset = fake_reset,
		.config_read = fake_config_read,
	};
	struct fixture *fixture = *state;
	struct virtio_device_spec spec = fake_spec(&fixture->fake);
	struct virtio_device *device;
	uint64_t value;

	spec.backend.ops = &constant;
	assert_int_equal(virtio_device_new(&spec, &device, &fixture->err), 0);
	assert_int_equal(virtio_device_config_write(device, 0, 4, 0), 0);
	assert_int_equal(virtio_device_config_read(device, 0, 4, &value), 0);
	assert_int_equal(value, 0xc3c2c1c0);
	virtio_device_free(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_device_is_reset),
		TEST(a_backend_beyond_the_limits_is_refused),
		TEST(a_device_without_config_space_or_with_all_there_is),
		TEST(every_sequence_of_status_writes),
		TEST(only_a_zero_resets),
		TEST(a_driver_that_gives_up_has_to_reset),
		TEST(only_known_features_pass_the_seam),
		TEST(features_are_a_subset_with_version_1),
		TEST(features_beyond_the_last_word_cannot_be_had),
		TEST(features_freeze),
		TEST(needs_reset_is_told_once),
		TEST(needs_reset_before_driver_ok_waits_for_it),
		TEST(a_backend_can_complain_while_it_is_activated),
		TEST(config_changes_are_told_from_driver_ok_on),
		TEST(an_acknowledgement_clears_its_bits_only),
		TEST(unknown_bits_of_the_word_are_not_shown),
		TEST(a_backend_outside_reads_as_used_buffers),
		TEST(a_devices_own_interrupts_go_past_the_backends_eventfd),
		TEST(every_access_to_the_config_space),
		TEST(writes_vanish_where_no_field_is_writable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
