/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Writes of a guest that KVM turns into signals on eventfds: by themselves, and as notifications of a virtio-mmio device. What
 * matches never arrives at the bus, what does not match does. The guest is the payload, on this machine's KVM.
 */
#include "tests/payload/fixture.h"

#include "tests/unit/virtio_fake.h"

#include <backplane/device.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DEVICE UINT64_C(0xd0000000)
#define NOTIFY (DEVICE + 0x50)

static void op_write(struct fixture *fixture, uint64_t address, uint32_t width, uint64_t value)
{
	fixture_op(fixture,
		   (struct payload_op){ .kind = PAYLOAD_OP_WRITE, .width = width, .address = address, .value = value });
}

static void signals(struct fixture *fixture, const struct machine_ioeventfd *event, bool add)
{
	struct err err = ERR_NONE;

	if (machine_ioeventfd(fixture->harness.machine, event, add, &err) < 0)
		fail_msg("%s", err.text);
}

/* ---- ioeventfds by themselves ---- */

static void open_with_device(struct fixture *fixture)
{
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_MMIO, DEVICE, 0x1000, ALL_WIDTHS);
}

static void a_value_is_matched_with_its_width(void **state)
{
	struct fixture *fixture = *state;
	const int fd = fd_event();
	const struct machine_ioeventfd event = { .gpa = NOTIFY, .bytes = 4, .match = true, .value = 7, .fd = fd };
	const struct access expected[] = {
		{ .width = 4, .write = true, .offset = 0x50, .value = 8 },
		{ .width = 2, .write = true, .offset = 0x50, .value = 7 },
		{ .width = 4, .write = true, .offset = 0x54, .value = 7 },
	};

	open_with_device(fixture);
	signals(fixture, &event, true);
	op_write(fixture, NOTIFY, 4, 7);
	op_write(fixture, NOTIFY, 4, 8);
	op_write(fixture, NOTIFY, 2, 7);
	op_write(fixture, NOTIFY, 4, 7);
	op_write(fixture, NOTIFY + 4, 4, 7);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fd_event_clear(fd), 2);
	device_expect(&fixture->device, expected, 3);
	close(fd);
}

static void any_write_is_matched_without_a_length(void **state)
{
	struct fixture *fixture = *state;
	const int fd = fd_event();
	const struct machine_ioeventfd event = { .gpa = NOTIFY, .fd = fd };

	open_with_device(fixture);
	signals(fixture, &event, true);
	for (uint32_t width = 1; width <= 8; width *= 2)
		op_write(fixture, NOTIFY, width, width * 0x11);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fd_event_clear(fd), 4);
	device_expect(&fixture->device, NULL, 0);
	close(fd);
}

static void what_was_taken_back_arrives_again(void **state)
{
	struct fixture *fixture = *state;
	const int fd = fd_event();
	const struct machine_ioeventfd any = { .gpa = NOTIFY, .fd = fd };
	const struct machine_ioeventfd one = { .gpa = NOTIFY + 8, .bytes = 4, .match = true, .value = 1, .fd = fd };
	const struct access expected[] = {
		{ .width = 4, .write = true, .offset = 0x50, .value = 3 },
		{ .width = 4, .write = true, .offset = 0x58, .value = 1 },
	};

	open_with_device(fixture);
	signals(fixture, &any, true);
	signals(fixture, &one, true);
	signals(fixture, &any, false);
	signals(fixture, &one, false);
	op_write(fixture, NOTIFY, 4, 3);
	op_write(fixture, NOTIFY + 8, 4, 1);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fd_event_clear(fd), 0);
	device_expect(&fixture->device, expected, 2);
	close(fd);
}

static void what_kvm_refuses_has_a_sentence(void **state)
{
	struct fixture *fixture = *state;
	const int fd = fd_event();
	const struct machine_ioeventfd event = { .gpa = NOTIFY, .fd = fd };
	const struct machine_ioeventfd absent = { .gpa = NOTIFY + 4, .fd = fd };
	struct err err = ERR_NONE;

	open_with_device(fixture);
	signals(fixture, &event, true);
	assert_int_equal(machine_ioeventfd(fixture->harness.machine, &event, true, &err), -EEXIST);
	assert_string_equal(err.text, "KVM_IOEVENTFD at 0xd0000050: File exists");
	assert_int_equal(machine_ioeventfd(fixture->harness.machine, &absent, false, &err), -ENOENT);
	close(fd);
}

/* ---- as notifications ---- */

/* Nothing activates the backend: what would arrive as an access is ignored, so a signal can have come from KVM only. */
static struct virtio_mmio *open_virtio(struct fixture *fixture, struct fake *fake, uint32_t queues)
{
	struct virtio_mmio_spec spec = { .base = DEVICE, .ioeventfd = machine_ioeventfd };
	struct err err = ERR_NONE;
	struct virtio_mmio *mmio;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fake_init(fake);
	fake->backend.queue_count = queues;
	spec.device = fake_spec(fake);
	spec.bus = fixture->harness.bus;
	spec.ioeventfd_ctx = fixture->harness.machine;
	if (virtio_mmio_new(&spec, &mmio, &err) < 0)
		fail_msg("%s", err.text);
	return mmio;
}

static uint64_t kicks(struct virtio_mmio *mmio, uint32_t queue)
{
	return fd_event_clear(virtio_device_kick_fd(virtio_mmio_device(mmio), queue));
}

static void several_queues_are_kicked_one_by_one(void **state)
{
	struct fixture *fixture = *state;
	struct fake fake;
	struct virtio_mmio *mmio = open_virtio(fixture, &fake, 3);

	for (uint32_t value = 0; value < 5; value++)
		for (uint32_t i = 0; i <= value; i++)
			op_write(fixture, NOTIFY, 4, value);
	op_write(fixture, NOTIFY, 2, 0);
	op_write(fixture, NOTIFY, 8, 1);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(kicks(mmio, 0), 1);
	assert_int_equal(kicks(mmio, 1), 2);
	assert_int_equal(kicks(mmio, 2), 3);
	virtio_mmio_free(mmio);
	fake_end(&fake);
}

static void a_single_queue_is_kicked_by_any_write(void **state)
{
	struct fixture *fixture = *state;
	struct fake fake;
	struct virtio_mmio *mmio = open_virtio(fixture, &fake, 1);

	op_write(fixture, NOTIFY, 4, 0);
	op_write(fixture, NOTIFY, 4, 9);
	op_write(fixture, NOTIFY, 1, 0);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(kicks(mmio, 0), 3);
	virtio_mmio_free(mmio);
	fake_end(&fake);
}

/* The other registers are not in KVM's way: a driver's set-up, by a guest. */
static void a_guest_sets_a_device_up(void **state)
{
	static const uint32_t writes[][2] = {
		{ 0x070, 0x0 },     { 0x070, 0x1 },   { 0x070, 0x3 },     { 0x024, 1 }, { 0x020, 1 },
		{ 0x024, 0 },       { 0x020, 0x201 }, { 0x070, 0xb },     { 0x030, 0 }, { 0x038, 64 },
		{ 0x080, 0x10000 }, { 0x084, 0 },     { 0x090, 0x20000 }, { 0x094, 0 }, { 0x0a0, 0x30000 },
		{ 0x0a4, 0 },       { 0x044, 1 },     { 0x070, 0xf },
	};
	struct fixture *fixture = *state;
	struct fake fake;
	struct virtio_mmio *mmio = open_virtio(fixture, &fake, 1);
	size_t magic, status, config;

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++)
		op_write(fixture, DEVICE + writes[i][0], 4, writes[i][1]);
	magic = fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = 4, .address = DEVICE });
	status =
	    fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = 4, .address = DEVICE + 0x70 });
	config =
	    fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = 8, .address = DEVICE + 0x108 });
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture_value(fixture, magic), 0x74726976);
	assert_int_equal(fixture_value(fixture, status), 0x0f);
	assert_int_equal(fixture_value(fixture, config), UINT64_C(0xcfcecdcccbcac9c8));
	assert_true(fake.active);
	assert_int_equal(fake.activation.features, UINT64_C(0x100000201));
	assert_int_equal(fake.queues[0].size, 64);
	assert_int_equal(fake.queues[0].desc_gpa, 0x10000);
	virtio_mmio_free(mmio);
	assert_int_equal(fake.resets, 1);
	fake_end(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_value_is_matched_with_its_width),
		CASE(any_write_is_matched_without_a_length),
		CASE(what_was_taken_back_arrives_again),
		CASE(what_kvm_refuses_has_a_sentence),
		CASE(several_queues_are_kicked_one_by_one),
		CASE(a_single_queue_is_kicked_by_any_write),
		CASE(a_guest_sets_a_device_up),
	};

	return cmocka_run_group_tests_name("payload notifications", tests, NULL, NULL);
}
