/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-mmio transport with several vCPUs, and a backend whose own threads raise, complain and change the config space. */
#include "tests/unit/support.h"
#include "tests/unit/virtio_drive.h"

#define ROUNDS 20000

static uint32_t peek(struct bus_reader *reader, uint32_t offset)
{
	uint64_t value = 0;

	bus_access(reader, BP_MMIO, DRIVE_BASE + offset, 4, false, &value);
	return (uint32_t)value;
}

static void poke(struct bus_reader *reader, uint32_t offset, uint32_t value)
{
	uint64_t wide = value;

	bus_access(reader, BP_MMIO, DRIVE_BASE + offset, 4, true, &wide);
}

struct thread {
	struct drive *drive;
	pthread_t thread;
	uint64_t good;
	uint64_t bad;
};

/* ---- a value in two halves ---- */

/* The backend's thread: both halves of the field are always the same number, and the notice is given under the lock. */
static void *change_config(void *arg)
{
	struct fake *fake = &((struct thread *)arg)->drive->fake;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		const uint32_t halves[2] = { i, i };

		pthread_mutex_lock(&fake->lock);
		memcpy(fake->config, halves, sizeof(halves));
		virtio_device_config_changed(fake->device);
		pthread_mutex_unlock(&fake->lock);
	}
	return NULL;
}

/* A driver that reads as VIRTIO 1.2, 2.5.2 says, until it has read the last value. */
static void *read_config(void *arg)
{
	struct thread *thread = arg;
	struct bus_reader reader = { .bus = NULL };
	uint32_t low = 0;

	MUST(bus_reader_add(thread->drive->bus, &reader) == 0);
	while (low != ROUNDS) {
		uint32_t before = peek(&reader, 0x0fc);
		uint32_t high;

		low = peek(&reader, 0x100);
		high = peek(&reader, 0x104);
		if (peek(&reader, 0x0fc) != before)
			low = 0;
		else if (low == high)
			thread->good++;
		else
			thread->bad++;
	}
	bus_reader_remove(&reader);
	return NULL;
}

static void no_torn_value_passes_the_generation(void **state)
{
	static struct drive drive;
	struct thread changer = { .drive = &drive };
	struct thread driver = { .drive = &drive };

	(void)state;
	fake_init(&drive.fake);
	memset(drive.fake.config, 0, 8);
	drive_begin(&drive);
	drive_start(&drive);
	assert_int_equal(pthread_create(&driver.thread, NULL, read_config, &driver), 0);
	assert_int_equal(pthread_create(&changer.thread, NULL, change_config, &changer), 0);
	assert_true(thread_join(changer.thread));
	assert_true(thread_join(driver.thread));
	assert_int_equal(driver.bad, 0);
	assert_true(driver.good > 0);
	assert_int_equal(peek(&drive.reader, 0x0fc), ROUNDS);
	drive_end(&drive);
	fake_end(&drive.fake);
}

/* ---- a reset that waits for somebody who complains ---- */

struct busy {
	struct fake fake;
	struct event begun;
	struct event stop;
	pthread_t worker;
};

/* Works until it is told to stop, and finds fault with the guest then. */
static void *work(void *arg)
{
	struct busy *busy = arg;

	event_post(&busy->begun);
	MUST(event_wait(&busy->stop, 1));
	virtio_device_needs_reset(busy->fake.device);
	virtio_device_config_changed(busy->fake.device);
	virtio_isr_raise(&busy->fake.isr, VIRTIO_ISR_USED, busy->fake.call_fd);
	return NULL;
}

static int busy_activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	struct busy *busy = ctx;

	(void)activation, (void)err;
	MUST(pthread_create(&busy->worker, NULL, work, busy) == 0);
	MUST(event_wait(&busy->begun, 1));
	return 0;
}

static void busy_reset(void *ctx)
{
	struct busy *busy = ctx;

	event_post(&busy->stop);
	MUST(thread_join(busy->worker));
}

static void a_reset_waits_for_a_backend_that_complains(void **state)
{
	static const struct virtio_backend_ops ops = {
		.activate = busy_activate,
		.reset = busy_reset,
		.config_read = fake_config_read,
	};
	static struct busy busy = { .begun = EVENT_INIT, .stop = EVENT_INIT };
	static struct drive drive;
	struct virtio_mmio_spec spec = { .base = DRIVE_BASE };
	struct err err;

	(void)state;
	fake_init(&busy.fake);
	busy.fake.backend.ops = &ops;
	busy.fake.backend.ctx = &busy;
	assert_int_equal(bus_new(&drive.bus), 0);
	assert_int_equal(bus_reader_add(drive.bus, &drive.reader), 0);
	spec.bus = drive.bus;
	spec.device = fake_spec(&busy.fake);
	assert_int_equal(virtio_mmio_new(&spec, &drive.mmio, &err), 0);
	busy.fake.device = virtio_mmio_device(drive.mmio);
	poke(&drive.reader, 0x070, 3);
	poke(&drive.reader, 0x024, 1);
	poke(&drive.reader, 0x020, 1);
	poke(&drive.reader, 0x070, 0x0f);
	assert_int_equal(event_count(&busy.begun), 1);
	poke(&drive.reader, 0x070, 0);
	/* What it said in its last moments belongs to the life that is over. */
	assert_int_equal(peek(&drive.reader, 0x070), 0);
	assert_int_equal(peek(&drive.reader, 0x060), 0);
	virtio_mmio_free(drive.mmio);
	bus_reader_remove(&drive.reader);
	bus_free(drive.bus);
	fake_end(&busy.fake);
}

/* ---- all at once ---- */

#define VCPUS 3

/* Sets the device up, acknowledges, resets it, scribbles; whatever the others do to the selectors meanwhile. The fake ends
 * the program if two callbacks ever run at once, or come in a wrong state. */
static void *storm_vcpu(void *arg)
{
	struct thread *thread = arg;
	struct bus_reader reader = { .bus = NULL };
	unsigned int seed = (unsigned int)thread->good;

	MUST(bus_reader_add(thread->drive->bus, &reader) == 0);
	thread->good = 0;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		const uint32_t choice = (uint32_t)rand_r(&seed);

		switch (choice % 8) {
		case 0:
			poke(&reader, 0x070, choice % 64 == 0 ? 0 : 0x0f);
			break;
		case 1:
			poke(&reader, 0x024, choice / 8 % 2);
			poke(&reader, 0x020, choice / 8 % 2);
			break;
		case 2:
			poke(&reader, 0x030, choice / 8 % 4);
			poke(&reader, 0x038, 1);
			poke(&reader, 0x044, choice / 64);
			break;
		case 3:
			poke(&reader, 0x064, peek(&reader, 0x060));
			break;
		case 4:
			poke(&reader, 0x050, choice / 8 % 4);
			break;
		case 5:
			poke(&reader, 0x100, choice);
			break;
		case 6:
			thread->good += peek(&reader, 0x070) == 0x0f;
			break;
		default:
			peek(&reader, 0x100 + choice / 8 % 7 * 4);
		}
	}
	bus_reader_remove(&reader);
	return NULL;
}

/* What a backend's threads do that know nothing of resets. */
static void *storm_backend(void *arg)
{
	struct thread *thread = arg;
	struct fake *fake = &thread->drive->fake;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		virtio_isr_raise(&fake->isr, i % 4, fake->call_fd);
		fd_event_clear(fake->call_fd);
		if (i % 8 == 0)
			virtio_device_config_changed(fake->device);
		if (i % 512 == 0)
			virtio_device_needs_reset(fake->device);
	}
	return NULL;
}

static void vcpus_and_backend_at_once(void **state)
{
	static struct drive drive;
	struct thread vcpus[VCPUS];
	struct thread backend = { .drive = &drive };

	(void)state;
	fake_init(&drive.fake);
	drive_begin(&drive);
	for (unsigned int i = 0; i < VCPUS; i++) {
		vcpus[i] = (struct thread){ .drive = &drive, .good = i };
		assert_int_equal(pthread_create(&vcpus[i].thread, NULL, storm_vcpu, &vcpus[i]), 0);
	}
	assert_int_equal(pthread_create(&backend.thread, NULL, storm_backend, &backend), 0);
	for (unsigned int i = 0; i < ROUNDS / 100; i++)
		virtio_mmio_reset(drive.mmio);
	assert_true(thread_join(backend.thread));
	for (unsigned int i = 0; i < VCPUS; i++)
		assert_true(thread_join(vcpus[i].thread));
	/* It has lived and died many times, and lives on. */
	assert_true(drive.fake.activations > 1);
	assert_true(drive.fake.resets > 1);
	virtio_mmio_reset(drive.mmio);
	assert_false(drive.fake.active);
	poke(&drive.reader, 0x070, 3);
	poke(&drive.reader, 0x024, 1);
	poke(&drive.reader, 0x020, 1);
	poke(&drive.reader, 0x070, 0x0f);
	assert_true(drive.fake.active);
	drive_end(&drive);
	fake_end(&drive.fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_torn_value_passes_the_generation),
		cmocka_unit_test(a_reset_waits_for_a_backend_that_complains),
		cmocka_unit_test(vcpus_and_backend_at_once),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
