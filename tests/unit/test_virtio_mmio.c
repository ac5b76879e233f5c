/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-mmio transport: registers at every offset and width, notifications, its place on the bus. */
#include "tests/unit/support.h"
#include "tests/unit/virtio_drive.h"

static int setup(void **state)
{
	static struct drive drive;

	log_set_level(LOG_LEVEL_ERROR);
	fake_init(&drive.fake);
	drive_begin(&drive);
	*state = &drive;
	return 0;
}

static int teardown(void **state)
{
	struct drive *drive = *state;

	drive_end(drive);
	fake_end(&drive->fake);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* States that registers differ in. */
#define STATES     5
static void enter_state(struct drive *drive, unsigned int number)
{
	drive->fake.refuse = number == 4;
	drive_start(drive);
	switch (number) {
	case 0:
		drive_write(drive, 0x070, 4, 0);
		return;
	case 1: /* everything but DRIVER_OK, a queue that does not exist is selected */
		drive_write(drive, 0x070, 4, 0);
		drive_write(drive, 0x070, 4, 0x03);
		drive_write(drive, 0x024, 4, 1);
		drive_write(drive, 0x020, 4, 1);
		drive_write(drive, 0x070, 4, 0x0b);
		drive_queue(drive, 1, 1, 0x10000);
		drive_write(drive, 0x030, 4, 3);
		return;
	case 2: /* running, the last queue is selected */
		return;
	case 3: /* running, with interrupts */
		drive_notice(drive, 1, 5);
		drive_notice(drive, 2, 1);
		drive_write(drive, 0x030, 4, 0);
		drive_write(drive, 0x014, 4, 1);
		return;
	default: /* needs a reset */
		return;
	}
}

/* ---- registers ---- */

static void the_constants(void **state)
{
	struct drive *drive = *state;
	static const struct {
		uint32_t offset;
		uint32_t value;
	} constants[] = {
		{ 0x000, 0x74726976 },     { 0x004, 2 },          { 0x008, FAKE_DEVICE_ID },
		{ 0x00c, FAKE_VENDOR_ID }, { 0x034, 256 },        { 0x0b0, UINT32_MAX },
		{ 0x0b4, UINT32_MAX },     { 0x0b8, UINT32_MAX }, { 0x0bc, UINT32_MAX },
	};

	for (size_t i = 0; i < COUNT_OF(constants); i++) {
		uint64_t value = 0;

		bus_access(&drive->reader, BP_MMIO, DRIVE_BASE + constants[i].offset, 4, false, &value);
		assert_int_equal(value, constants[i].value);
	}
}

static void every_read(void **state)
{
	struct drive *drive = *state;

	for (unsigned int number = 0; number < STATES; number++) {
		enter_state(drive, number);
		for (uint64_t offset = 0; offset <= VIRTIO_MMIO_BYTES; offset++)
			for (uint32_t width = 0; width <= 16; width++)
				drive_read(drive, offset, width);
		/* Reading changes nothing. */
		drive_look(drive);
	}
}

static void every_write(void **state)
{
	static const uint64_t values[] = { 0, 1, UINT64_MAX, UINT64_C(0xa5a5a5a5a5a5a5a5), 0x0f };
	struct drive *drive = *state;

	for (unsigned int number = 0; number < STATES; number++) {
		bool changed = true;

		for (uint64_t offset = 0; offset <= VIRTIO_MMIO_BYTES; offset++)
			for (uint32_t width = 0; width <= 16; width++)
				for (size_t i = 0; i < COUNT_OF(values); i++) {
					bool takes = model_takes(&drive->model, offset, width, true);

					if (changed)
						enter_state(drive, number);
					drive_write(drive, offset, width, values[i]);
					/* What is refused is looked at now and then: it leaves nothing to
					 * overlook, since the model does not move. */
					if (takes || offset % 64 == 0)
						drive_look(drive);
					changed = takes;
				}
		drive_look(drive);
	}
}

static void random_drivers_agree_with_the_model(void **state)
{
	static uint8_t bytes[2000];
	uint32_t x = 1;

	(void)state;
	for (unsigned int run = 0; run < 400; run++) {
		for (size_t i = 0; i < sizeof(bytes); i++) {
			x ^= x << 13, x ^= x >> 17, x ^= x << 5;
			bytes[i] = (uint8_t)(x >> 11);
		}
		drive_run(bytes, sizeof(bytes));
	}
}

static uint32_t peek(struct drive *drive, uint32_t offset)
{
	uint64_t value = 0;

	bus_access(&drive->reader, BP_MMIO, DRIVE_BASE + offset, 4, false, &value);
	return (uint32_t)value;
}

static void poke(struct drive *drive, uint32_t offset, uint32_t value)
{
	uint64_t wide = value;

	bus_access(&drive->reader, BP_MMIO, DRIVE_BASE + offset, 4, true, &wide);
}

/* The accesses of Linux's virtio_mmio.c, in their order, with literal values. */
static void what_linux_does(void **state)
{
	struct drive *drive = *state;
	const struct virtio_queue_setup *queue = &drive->fake.queues[0];

	assert_int_equal(peek(drive, 0x000), 0x74726976);
	assert_int_equal(peek(drive, 0x004), 2);
	assert_int_equal(peek(drive, 0x008), FAKE_DEVICE_ID);
	poke(drive, 0x070, 0);
	poke(drive, 0x070, peek(drive, 0x070) | 1);
	poke(drive, 0x070, peek(drive, 0x070) | 2);
	poke(drive, 0x014, 1);
	assert_int_equal(peek(drive, 0x010), 0x80040001);
	poke(drive, 0x014, 0);
	assert_int_equal(peek(drive, 0x010), 0x30000a05);
	poke(drive, 0x024, 1);
	poke(drive, 0x020, 1);
	poke(drive, 0x024, 0);
	poke(drive, 0x020, 0x30000201);
	poke(drive, 0x070, peek(drive, 0x070) | 8);
	assert_int_equal(peek(drive, 0x070), 0x0b);
	poke(drive, 0x030, 0);
	assert_int_equal(peek(drive, 0x044), 0);
	assert_int_equal(peek(drive, 0x034), 256);
	poke(drive, 0x038, 128);
	poke(drive, 0x080, 0x04560000);
	poke(drive, 0x084, 1);
	poke(drive, 0x090, 0x04560800);
	poke(drive, 0x094, 1);
	poke(drive, 0x0a0, 0x04561000);
	poke(drive, 0x0a4, 1);
	poke(drive, 0x044, 1);
	assert_false(drive->fake.active);
	poke(drive, 0x070, peek(drive, 0x070) | 4);
	assert_int_equal(peek(drive, 0x070), 0x0f);
	assert_true(drive->fake.active);
	assert_int_equal(drive->fake.activation.features, UINT64_C(0x130000201));
	assert_true(queue->ready);
	assert_int_equal(queue->size, 128);
	assert_int_equal(queue->desc_gpa, UINT64_C(0x104560000));
	assert_int_equal(queue->driver_gpa, UINT64_C(0x104560800));
	assert_int_equal(queue->device_gpa, UINT64_C(0x104561000));
	poke(drive, 0x050, 0);
	assert_int_equal(fd_event_clear(queue->kick_fd), 1);
	virtio_isr_raise(&drive->fake.isr, VIRTIO_ISR_USED, queue->call_fd);
	assert_int_equal(fd_event_clear(drive->fake.call_fd), 1);
	assert_int_equal(peek(drive, 0x060), 1);
	poke(drive, 0x064, 1);
	assert_int_equal(peek(drive, 0x060), 0);
	/* Unbinding: reset, then the queue must not be ready. */
	poke(drive, 0x070, 0);
	assert_int_equal(peek(drive, 0x070), 0);
	poke(drive, 0x030, 0);
	poke(drive, 0x044, 0);
	assert_int_equal(peek(drive, 0x044), 0);
	assert_int_equal(drive->fake.resets, 1);
}

static void the_machine_can_reset_it(void **state)
{
	struct drive *drive = *state;

	drive_start(drive);
	assert_true(drive->fake.active);
	drive_notice(drive, 4, 0);
	assert_false(drive->fake.active);
	drive_look(drive);
	drive_start(drive);
	assert_true(drive->fake.active);
}

/* ---- notifications ---- */

struct registered {
	struct machine_ioeventfd events[2 * VIRTIO_QUEUES_MAX];
	unsigned int count; /* now */
	unsigned int calls;
	unsigned int fail_at; /* the call that fails, from 1 */
};

/* KVM keeps one of each kind, and takes back what it has only. */
static int fake_ioeventfd(void *ctx, const struct machine_ioeventfd *event, bool add, struct err *err)
{
	struct registered *registered = ctx;

	if (++registered->calls == registered->fail_at)
		return err_set(err, -ENOSPC, "KVM is full");
	if (add) {
		registered->events[registered->count++] = *event;
		return 0;
	}
	for (unsigned int i = 0; i < registered->count; i++) {
		const struct machine_ioeventfd *have = &registered->events[i];

		if (have->gpa == event->gpa && have->bytes == event->bytes && have->match == event->match &&
		    have->value == event->value && have->fd == event->fd) {
			registered->events[i] = registered->events[--registered->count];
			return 0;
		}
	}
	FAKE_MUST(false);
	return -ENOENT;
}

static struct virtio_mmio_spec second_device(struct drive *drive, struct registered *registered, uint32_t queues)
{
	struct virtio_mmio_spec spec = {
		.device = fake_spec(&drive->fake),
		.bus = drive->bus,
		.base = 0xd0001000,
		.ioeventfd = fake_ioeventfd,
		.ioeventfd_ctx = registered,
	};

	spec.device.backend.queue_count = queues;
	for (uint32_t i = 0; i < queues; i++)
		spec.device.backend.queue_sizes[i] = 16;
	return spec;
}

static void a_single_queue_takes_any_write(void **state)
{
	struct drive *drive = *state;
	struct registered registered = { .count = 0 };
	struct virtio_mmio_spec spec = second_device(drive, &registered, 1);
	struct virtio_mmio *mmio;
	struct err err;

	assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), 0);
	assert_int_equal(registered.count, 1);
	assert_int_equal(registered.events[0].gpa, 0xd0001050);
	assert_int_equal(registered.events[0].bytes, 0);
	assert_false(registered.events[0].match);
	assert_int_equal(registered.events[0].fd, virtio_device_kick_fd(virtio_mmio_device(mmio), 0));
	virtio_mmio_free(mmio);
	assert_int_equal(registered.count, 0);
}

static void several_queues_are_told_apart_by_the_value(void **state)
{
	struct drive *drive = *state;

	for (uint32_t queues = 2; queues <= VIRTIO_QUEUES_MAX; queues++) {
		struct registered registered = { .count = 0 };
		struct virtio_mmio_spec spec = second_device(drive, &registered, queues);
		struct virtio_mmio *mmio;
		struct err err;

		assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), 0);
		assert_int_equal(registered.count, queues);
		for (uint32_t i = 0; i < queues; i++) {
			assert_int_equal(registered.events[i].gpa, 0xd0001050);
			assert_int_equal(registered.events[i].bytes, 4);
			assert_true(registered.events[i].match);
			assert_int_equal(registered.events[i].value, i);
			assert_int_equal(registered.events[i].fd, virtio_device_kick_fd(virtio_mmio_device(mmio), i));
		}
		/* Registered once: neither a driver's life nor a reset makes more calls. */
		virtio_device_set_status(virtio_mmio_device(mmio), 0x0f);
		virtio_mmio_reset(mmio);
		assert_int_equal(registered.calls, queues);
		virtio_mmio_free(mmio);
		assert_int_equal(registered.count, 0);
	}
}

static void count_claims(const struct bus_claim *claim, void *arg)
{
	size_t *count = arg;

	(void)claim;
	++*count;
}

static void a_failure_leaves_nothing_behind(void **state)
{
	struct drive *drive = *state;
	size_t fds = count_fds();

	for (unsigned int fail_at = 1; fail_at <= 5; fail_at++) {
		struct registered registered = { .fail_at = fail_at };
		struct virtio_mmio_spec spec = second_device(drive, &registered, 5);
		struct virtio_mmio *mmio = NULL;
		struct err err = ERR_NONE;
		size_t claims = 0;

		assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), -ENOSPC);
		assert_string_equal(err.text, "KVM is full");
		assert_null(mmio);
		assert_int_equal(registered.count, 0);
		assert_int_equal(registered.calls, 2 * fail_at - 1);
		bus_each(drive->bus, count_claims, &claims);
		assert_int_equal(claims, 1);
		assert_int_equal(count_fds(), fds);
	}
}

/* ---- on the bus ---- */

static void it_claims_its_registers(void **state)
{
	struct drive *drive = *state;
	struct registered registered = { .count = 0 };
	struct virtio_mmio_spec spec = second_device(drive, &registered, 1);
	struct virtio_mmio *mmio = NULL;
	struct err err = ERR_NONE;
	size_t fds = count_fds();

	spec.device.name = "other";
	spec.base = DRIVE_BASE + VIRTIO_MMIO_BYTES - 1;
	assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), -EEXIST);
	assert_string_equal(err.text,
			    "memory range 0xd00001ff-0xd00003fe of other overlaps 0xd0000000-0xd00001ff of fake");
	assert_int_equal(registered.calls, 0);
	spec.base++;
	assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), 0);
	virtio_mmio_free(mmio);
	spec.device.backend.queue_count = 0;
	mmio = NULL;
	assert_int_equal(virtio_mmio_new(&spec, &mmio, &err), -EINVAL);
	assert_null(mmio);
	assert_int_equal(count_fds(), fds);
	virtio_mmio_free(NULL);
}

static void a_running_device_can_be_taken_away(void **state)
{
	struct drive *drive = *state;

	drive_start(drive);
	assert_true(drive->fake.active);
	virtio_mmio_free(drive->mmio);
	assert_false(drive->fake.active);
	assert_int_equal(drive->fake.resets, 1);
	assert_int_equal(peek(drive, 0x000), UINT32_MAX);
	/* For the teardown. */
	fake_end(&drive->fake);
	bus_reader_remove(&drive->reader);
	bus_free(drive->bus);
	fake_init(&drive->fake);
	drive_begin(drive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_constants),
		TEST(every_read),
		TEST(every_write),
		TEST(random_drivers_agree_with_the_model),
		TEST(what_linux_does),
		TEST(the_machine_can_reset_it),
		TEST(a_single_queue_takes_any_write),
		TEST(several_queues_are_told_apart_by_the_value),
		TEST(a_failure_leaves_nothing_behind),
		TEST(it_claims_its_registers),
		TEST(a_running_device_can_be_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
