/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices in processes of their own, with real plugins: from the activation to the interrupt, and when the process fails. */
#include "tests/unit/process_fixture.h"

#include "tests/unit/ring_driver.h"

#include <backplane/virtio.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>

#define SIZE       8
#define BLK_HEADER RING_DATA
#define BLK_DATA   (RING_DATA + 0x1000)
#define BLK_STATUS (RING_DATA + 0x2000)
#define SECTOR     512u
#define SECTORS    64u

struct seat {
	struct rig rig;
	struct ring_driver driver;
	struct virtio_backend backend;
	int kick_fd, call_fd;
	atomic_uint needs_reset;
	char disk[32];
};

static void needs_reset(void *ctx)
{
	atomic_fetch_add(&((struct seat *)ctx)->needs_reset, 1);
}

static void config_changed(void *ctx)
{
	(void)ctx;
}

static int setup(void **state)
{
	static struct seat seat;

	memset(&seat, 0, sizeof(seat));
	rig_begin(&seat.rig);
	seat.rig.memory.regions[0].gpa = RING_RAM;
	seat.driver = (struct ring_driver){
		.mem = { .count = 1, .regions = { { .gpa = RING_RAM, .bytes = RAM_BYTES, .host = seat.rig.ram } } },
		.size = SIZE,
	};
	seat.kick_fd = fd_event();
	seat.call_fd = fd_event();
	*state = &seat;
	return 0;
}

static int teardown(void **state)
{
	struct seat *seat = *state;

	rig_end(&seat->rig);
	log_release();
	close(seat->kick_fd);
	close(seat->call_fd);
	if (seat->disk[0])
		unlink(seat->disk);
	return 0;
}

#define SEAT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void run(struct seat *seat, const char *plugin, const char *class_name, const char *keys)
{
	const struct placed_notices notices = {
		.needs_reset = needs_reset,
		.config_changed = config_changed,
		.ctx = seat,
	};

	rig_run(&seat->rig, plugin, class_name, keys);
	seat->rig.placed.ops->backend(seat->rig.placed.ctx, &seat->backend);
	seat->rig.placed.ops->attach(seat->rig.placed.ctx, &notices);
}

static int activate(struct seat *seat)
{
	struct virtio_queue_setup queues[VIRTIO_QUEUES_MAX] = {
		{ .ready = true,
		  .size = SIZE,
		  .desc_gpa = RING_DESC,
		  .driver_gpa = RING_AVAIL,
		  .device_gpa = RING_USED,
		  .kick_fd = seat->kick_fd,
		  .call_fd = seat->call_fd },
	};
	const struct virtio_activation activation = {
		.features = UINT64_C(1) << VIRTIO_F_VERSION_1,
		.isr = seat->rig.placed.isr,
		.queue_count = seat->backend.queue_count,
		.queues = queues,
	};

	memset(seat->rig.ram, 0, 0x10000);
	seat->driver.avail_idx = 0;
	seat->driver.used_seen = 0;
	return seat->backend.ops->activate(seat->backend.ctx, &activation, &seat->rig.err);
}

/* Until a request is over; its length. */
static uint32_t await(struct seat *seat)
{
	struct pollfd fd = { .fd = seat->call_fd, .events = POLLIN };
	uint32_t id, length = 0;

	fd_event_signal(seat->kick_fd);
	assert_int_equal(poll(&fd, 1, PATIENCE_S * 1000), 1);
	fd_event_clear(seat->call_fd);
	assert_true(ring_used(&seat->driver, &id, &length));
	return length;
}

static uint32_t draw(struct seat *seat)
{
	ring_set(&seat->driver, RING_DESC, 0, RING_DATA, 64, RING_F_WRITE, 0);
	ring_offer(&seat->driver, 0);
	return await(seat);
}

static void a_backend_is_what_the_class_declares(void **state)
{
	struct seat *seat = *state;
	const struct class_virtio *class;

	run(seat, "virtio-rng", NULL, "");
	class = &process_plugin(seat->rig.process)->classes[0].decl.virtio;
	assert_int_equal(seat->backend.device_id, class->id);
	assert_int_equal(seat->backend.queue_count, class->queue_count);
	assert_int_equal(seat->backend.queue_sizes[0], class->queue_size);
	assert_int_equal(seat->backend.config_bytes, class->config_bytes);
	assert_false(seat->backend.outside);
}

static void a_request_is_served_and_interrupts(void **state)
{
	struct seat *seat = *state;

	run(seat, "virtio-rng", NULL, "");
	must(activate(seat), &seat->rig.err);
	assert_int_equal(draw(seat), 64);
	assert_int_equal(virtio_isr_read(seat->rig.placed.isr), VIRTIO_ISR_USED);
}

static void it_works_again_after_a_reset(void **state)
{
	struct seat *seat = *state;

	run(seat, "virtio-rng", NULL, "");
	for (int i = 0; i < 3; i++) {
		must(activate(seat), &seat->rig.err);
		assert_int_equal(draw(seat), 64);
		seat->backend.ops->reset(seat->backend.ctx);
	}
	assert_false(process_failed(seat->rig.process));
}

static void a_queue_outside_of_memory_is_refused(void **state)
{
	struct seat *seat = *state;

	run(seat, "virtio-rng", NULL, "");
	seat->driver.size = SIZE;
	{
		struct virtio_queue_setup queue = {
			.ready = true,
			.size = SIZE,
			.desc_gpa = RING_RAM + RAM_BYTES,
			.driver_gpa = RING_AVAIL,
			.device_gpa = RING_USED,
			.kick_fd = seat->kick_fd,
			.call_fd = seat->call_fd,
		};
		const struct virtio_activation activation = {
			.features = UINT64_C(1) << VIRTIO_F_VERSION_1,
			.isr = seat->rig.placed.isr,
			.queue_count = 1,
			.queues = &queue,
		};

		assert_true(seat->backend.ops->activate(seat->backend.ctx, &activation, &seat->rig.err) < 0);
	}
	assert_false(process_failed(seat->rig.process));
	must(activate(seat), &seat->rig.err);
	assert_int_equal(draw(seat), 64);
}

/* ---- a disk ---- */

static void run_disk(struct seat *seat)
{
	char keys[96];
	int fd;

	snprintf(seat->disk, sizeof(seat->disk), "/tmp/bp-disk-XXXXXX");
	fd = mkstemp(seat->disk);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SECTORS * SECTOR), 0);
	close(fd);
	snprintf(keys, sizeof(keys), "path = \"%s\";", seat->disk);
	run(seat, "virtio-blk", NULL, keys);
}

static uint8_t transfer(struct seat *seat, uint32_t type, uint64_t sector)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	uint8_t *status = ring_at(&seat->driver, BLK_STATUS);

	memcpy(ring_at(&seat->driver, BLK_HEADER), &header, sizeof(header));
	*status = 0xff;
	ring_set(&seat->driver, RING_DESC, 0, BLK_HEADER, sizeof(header), RING_F_NEXT, 1);
	ring_set(&seat->driver, RING_DESC, 1, BLK_DATA, SECTOR,
		 RING_F_NEXT | (type == VIRTIO_BLK_T_IN ? RING_F_WRITE : 0), 2);
	ring_set(&seat->driver, RING_DESC, 2, BLK_STATUS, 1, RING_F_WRITE, 0);
	ring_offer(&seat->driver, 0);
	await(seat);
	return *status;
}

static void a_disk_keeps_what_is_written(void **state)
{
	struct seat *seat = *state;
	uint8_t *data = ring_at(&seat->driver, BLK_DATA);
	uint64_t capacity = 0;

	run_disk(seat);
	seat->backend.ops->config_read(seat->backend.ctx, 0, &capacity, sizeof(capacity));
	assert_int_equal(capacity, SECTORS);
	must(activate(seat), &seat->rig.err);
	memset(data, 0x5a, SECTOR);
	assert_int_equal(transfer(seat, VIRTIO_BLK_T_OUT, 7), VIRTIO_BLK_S_OK);
	memset(data, 0, SECTOR);
	assert_int_equal(transfer(seat, VIRTIO_BLK_T_IN, 7), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < SECTOR; i++)
		assert_int_equal(data[i], 0x5a);
}

static void it_rests_and_goes_on(void **state)
{
	struct seat *seat = *state;
	const struct placed *placed = &seat->rig.placed;

	run_disk(seat);
	must(activate(seat), &seat->rig.err);
	must(placed->ops->quiesce(placed->ctx, &seat->rig.err), &seat->rig.err);
	must(placed->ops->resume(placed->ctx, &seat->rig.err), &seat->rig.err);
	assert_int_equal(transfer(seat, VIRTIO_BLK_T_IN, 0), VIRTIO_BLK_S_OK);
}

/* ---- failures ---- */

static void a_process_that_is_killed_needs_a_reset(void **state)
{
	struct seat *seat = *state;
	uint64_t capacity = 0;

	run_disk(seat);
	must(activate(seat), &seat->rig.err);
	log_catch(LOG_LEVEL_WARN);
	pidfd_send_signal(seat->rig.process->pidfd, SIGKILL, NULL, 0);
	MIND_UNTIL(&seat->rig, seat->rig.home.failures);
	assert_string_equal(log_caught(), "devices.device: failed: plugin=virtio-blk cause=signal signal=SIGKILL "
					  "while=running action=needs_reset\n");
	assert_int_equal(atomic_load(&seat->needs_reset), 1);
	/* A reset returns, the config space is still there, and no activation is any use. */
	seat->backend.ops->reset(seat->backend.ctx);
	seat->backend.ops->config_read(seat->backend.ctx, 0, &capacity, sizeof(capacity));
	assert_int_equal(capacity, SECTORS);
	assert_int_equal(activate(seat), -ENODEV);
}

static void a_crash_in_activate_names_it(void **state)
{
	struct seat *seat = *state;

	run(seat, "faulty", "faulty-virtio", "where = \"activate\"; how = \"abort\";");
	log_catch(LOG_LEVEL_WARN);
	assert_true(activate(seat) < 0);
	MIND_UNTIL(&seat->rig, seat->rig.home.failures);
	assert_string_equal(log_caught(), "devices.device: failed: plugin=faulty cause=signal signal=SIGABRT "
					  "while=activate action=needs_reset\n");
}

static void a_hang_in_activate_ends_with_its_deadline(void **state)
{
	struct seat *seat = *state;

	/* Of all exchanges with the frontend, those before among them. */
	seat->rig.spec.request_ns = 3 * NS_PER_S;
	run(seat, "faulty", "faulty-virtio", "where = \"activate\"; how = \"hang\";");
	log_catch(LOG_LEVEL_WARN);
	assert_true(activate(seat) < 0);
	MIND_UNTIL(&seat->rig, seat->rig.home.failures);
	assert_string_equal(log_caught(),
			    "devices.device: failed: plugin=faulty cause=hang while=activate action=needs_reset\n");
}

static void a_hang_in_a_request_is_found(void **state)
{
	struct seat *seat = *state;

	run(seat, "faulty", "faulty-virtio", "where = \"request\"; how = \"hang\";");
	must(activate(seat), &seat->rig.err);
	rig_hurry(&seat->rig, IMPATIENT_NS);
	log_catch(LOG_LEVEL_WARN);
	ring_set(&seat->driver, RING_DESC, 0, RING_DATA, 64, RING_F_WRITE, 0);
	ring_offer(&seat->driver, 0);
	fd_event_signal(seat->kick_fd);
	MIND_UNTIL(&seat->rig, seat->rig.home.failures);
	assert_string_equal(log_caught(),
			    "devices.device: failed: plugin=faulty cause=hang while=running action=needs_reset\n");
	assert_int_equal(atomic_load(&seat->needs_reset), 1);
}

static void nothing_is_left_of_many(void **state)
{
	struct seat *seat = *state;
	size_t fds = 0;

	log_catch(LOG_LEVEL_WARN);
	for (int i = 0; i < 50; i++) {
		int pidfd;

		run(seat, "virtio-rng", NULL, "");
		pidfd = dup(seat->rig.process->pidfd);
		must(activate(seat), &seat->rig.err);
		draw(seat);
		if (i % 2)
			seat->backend.ops->reset(seat->backend.ctx);
		seat->rig.placed.ops->stop(seat->rig.placed.ctx);
		rig_free_process(&seat->rig);
		assert_int_equal(pidfd_send_signal(pidfd, 0, NULL, 0), -1);
		close(pidfd);
		if (!fds)
			fds = count_fds();
		assert_int_equal(count_fds(), fds);
	}
	assert_string_equal(log_caught(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEAT_TEST(a_backend_is_what_the_class_declares),
		SEAT_TEST(a_request_is_served_and_interrupts),
		SEAT_TEST(it_works_again_after_a_reset),
		SEAT_TEST(a_queue_outside_of_memory_is_refused),
		SEAT_TEST(a_disk_keeps_what_is_written),
		SEAT_TEST(it_rests_and_goes_on),
		SEAT_TEST(a_process_that_is_killed_needs_a_reset),
		SEAT_TEST(a_crash_in_activate_names_it),
		SEAT_TEST(a_hang_in_activate_ends_with_its_deadline),
		SEAT_TEST(a_hang_in_a_request_is_found),
		SEAT_TEST(nothing_is_left_of_many),
	};

	return cmocka_run_group_tests_name("process_virtio", tests, NULL, NULL);
}
