/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole way of a virtio device, from a guest's accesses on the bus to its plugin and back, as core/placement joins it. Of the
 * machine only two functions are needed, which are the test's own here: there is no KVM.
 */
#include "core/machine/machine.h"
#include "core/placement/virtio.h"
#include "core/virtio/device.h"

#include "tests/unit/vdev_fixture.h"

#include <backplane/virtio.h>

#define BASE(index)          (UINT64_C(0xd0000000) + 0x1000u * (index))

/* Registers (4.2.2). */
#define REG_MAGIC            0x000u
#define REG_DEVICE_ID        0x008u
#define REG_FEATURES         0x010u
#define REG_FEATURES_SEL     0x014u
#define REG_DRIVER           0x020u
#define REG_DRIVER_SEL       0x024u
#define REG_QUEUE_SEL        0x030u
#define REG_QUEUE_MAX        0x034u
#define REG_QUEUE_SIZE       0x038u
#define REG_QUEUE_READY      0x044u
#define REG_NOTIFY           0x050u
#define REG_ISR              0x060u
#define REG_ACK              0x064u
#define REG_STATUS           0x070u
#define REG_DESC             0x080u
#define REG_AVAIL            0x090u
#define REG_USED             0x0a0u
#define REG_GENERATION       0x0fcu
#define REG_CONFIG           0x100u

#define STATUS_UP_TO_DRIVER  (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define STATUS_UP_TO_FEATURE (STATUS_UP_TO_DRIVER | VIRTIO_STATUS_FEATURES_OK)
#define STATUS_RUNNING       (STATUS_UP_TO_FEATURE | VIRTIO_STATUS_DRIVER_OK)

/* ---- what there is of a machine ---- */

struct machine {
	size_t ioeventfds; /* registered */
	int error;         /* what the next one fails with */
};

static struct machine own;
static struct vsubject *line_of[2]; /* whose call_fd an interrupt line signals */

int machine_irq_fd(struct machine *machine, uint32_t gsi, struct err *err)
{
	(void)machine, (void)err;
	return dup(line_of[gsi]->call_fd);
}

int machine_ioeventfd(void *machine_ptr, const struct machine_ioeventfd *event, bool add, struct err *err)
{
	struct machine *registry = machine_ptr;

	(void)event;
	if (add && registry->error)
		return err_set(err, registry->error, "the machine refuses");
	registry->ioeventfds += add ? 1 : -(size_t)1;
	return 0;
}

/* ---- the guest ---- */

struct seats {
	struct bus_reader reader;
	struct bus *bus;
	struct placed placed[2];
	struct virtio_isr *isr[2]; /* that a device brings along, or NULL */
	struct virtio_seat *seat[2];
};

static struct seats seats;

static uint32_t get(unsigned int index, uint64_t offset)
{
	uint64_t value = 0;

	bus_access(&seats.reader, BP_MMIO, BASE(index) + offset, 4, false, &value);
	return (uint32_t)value;
}

static void put(unsigned int index, uint64_t offset, uint32_t value)
{
	uint64_t wide = value;

	bus_access(&seats.reader, BP_MMIO, BASE(index) + offset, 4, true, &wide);
}

static void put_address(unsigned int index, uint64_t offset, uint64_t gpa)
{
	put(index, offset, (uint32_t)gpa);
	put(index, offset + 4, (uint32_t)(gpa >> 32));
}

/* Reset, negotiation, the first queue with its used ring at `used`, DRIVER_OK. What the status is then. */
static uint32_t drive(unsigned int index, uint64_t used)
{
	put(index, REG_STATUS, 0);
	put(index, REG_STATUS, VIRTIO_STATUS_ACKNOWLEDGE);
	put(index, REG_STATUS, STATUS_UP_TO_DRIVER);
	for (uint32_t word = 0; word < 2; word++) {
		put(index, REG_FEATURES_SEL, word);
		put(index, REG_DRIVER_SEL, word);
		put(index, REG_DRIVER, get(index, REG_FEATURES));
	}
	put(index, REG_STATUS, STATUS_UP_TO_FEATURE);
	put(index, REG_QUEUE_SEL, 0);
	put(index, REG_QUEUE_SIZE, QUEUE_SIZE);
	put_address(index, REG_DESC, RING_DESC);
	put_address(index, REG_AVAIL, RING_AVAIL);
	put_address(index, REG_USED, used);
	put(index, REG_QUEUE_READY, 1);
	put(index, REG_STATUS, STATUS_RUNNING);
	return get(index, REG_STATUS);
}

static bool wait_status(unsigned int index, uint32_t status)
{
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (get(index, REG_STATUS) == status)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* ---- two seats for each test ---- */

static void start_device(struct vsubject *subject, unsigned int index)
{
	static const struct placed_home home = { .claim = NULL };

	vsubject_now = subject;
	if (placed_thread_new(&subject->spec, &home, &seats.placed[index], &subject->err) < 0)
		fail_msg("%s", subject->err.text);
	vsubject_now = NULL;
	subject->spec.values = NULL;
	/* What the plugin holds is where the instance begins. */
	subject->device = (struct device *)(void *)subject->dev;
	seats.placed[index].isr = seats.isr[index];
}

static void end_device(struct vsubject *subject, unsigned int index)
{
	const struct placed *placed = &seats.placed[index];

	if (placed->ops)
		placed->ops->free(placed->ctx);
	subject->device = NULL;
}

static struct virtio_seat_spec seat_spec(unsigned int index)
{
	return (struct virtio_seat_spec){
		.device = &seats.placed[index],
		.machine = &own,
		.bus = seats.bus,
		.base = BASE(index),
		.line = index,
	};
}

static void take_seats(struct vfixture *fixture)
{
	struct vsubject *subjects[] = { &fixture->one, &fixture->two };

	for (unsigned int i = 0; i < 2; i++) {
		struct virtio_seat_spec spec;

		line_of[i] = subjects[i];
		start_device(subjects[i], i);
		spec = seat_spec(i);
		if (virtio_seat_new(&spec, &seats.seat[i], &subjects[i]->err) < 0)
			fail_msg("%s", subjects[i]->err.text);
		assert_int_equal(seats.placed[i].ops->start(seats.placed[i].ctx, &subjects[i]->err), 0);
		v_fill(subjects[i]);
	}
}

static int seats_setup(void **state)
{
	own = (struct machine){ .error = 0 };
	memset(&seats, 0, sizeof(seats));
	MUST(bus_new(&seats.bus) == 0 && bus_reader_add(seats.bus, &seats.reader) == 0);
	return vsetup(state);
}

static int seats_teardown(void **state)
{
	struct vfixture *fixture = *state;

	for (unsigned int i = 0; i < 2; i++)
		virtio_seat_free(seats.seat[i]);
	end_device(&fixture->one, 0);
	end_device(&fixture->two, 1);
	MUST(own.ioeventfds == 0);
	vteardown(state);
	bus_reader_remove(&seats.reader);
	bus_free(seats.bus);
	return 0;
}

/* ---- tests ---- */

static void the_guest_finds_the_device(void **state)
{
	take_seats(*state);
	assert_int_equal(get(0, REG_MAGIC), 0x74726976);
	assert_int_equal(get(0, REG_DEVICE_ID), 42);
	put(0, REG_FEATURES_SEL, 0);
	assert_int_equal(get(0, REG_FEATURES), FEATURES | 3u << 28);
	put(0, REG_FEATURES_SEL, 1);
	assert_int_equal(get(0, REG_FEATURES), 1);
	for (uint32_t i = 0; i < QUEUES; i++) {
		put(0, REG_QUEUE_SEL, i);
		assert_int_equal(get(0, REG_QUEUE_MAX), QUEUE_SIZE);
	}
	put(0, REG_QUEUE_SEL, QUEUES);
	assert_int_equal(get(0, REG_QUEUE_MAX), 0);
}

static void a_request_goes_all_the_way(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one;
	uint32_t id = 0, len = 0;

	take_seats(fixture);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
	assert_int_equal(one->activated_features, FEATURES);
	v_offer(one, 3, 1);
	put(0, REG_NOTIFY, 0);
	assert_int_equal(wait_call(one), 1);
	assert_int_equal(get(0, REG_ISR), VIRTIO_ISR_USED);
	put(0, REG_ACK, VIRTIO_ISR_USED);
	assert_int_equal(get(0, REG_ISR), 0);
	assert_true(ring_used(&one->driver, &id, &len));
	assert_int_equal(id, 3);
	assert_int_equal(get(1, REG_ISR), 0);
}

static void a_device_brings_its_interrupt_status_along(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one;
	struct virtio_isr page = { 0 };

	seats.isr[0] = &page;
	take_seats(fixture);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
	v_offer(one, 3, 1);
	put(0, REG_NOTIFY, 0);
	assert_int_equal(wait_call(one), 1);
	assert_int_equal(virtio_isr_read(&page), VIRTIO_ISR_USED);
	assert_int_equal(get(0, REG_ISR), VIRTIO_ISR_USED);
	put(0, REG_ACK, VIRTIO_ISR_USED);
	assert_int_equal(virtio_isr_read(&page), 0);
	virtio_seat_detach(seats.seat[0]);
}

static void a_broken_ring_needs_a_reset(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one, *two = &fixture->two;

	take_seats(fixture);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
	assert_int_equal(drive(1, RING_USED), STATUS_RUNNING);
	log_catch(LOG_LEVEL_WARN);
	ring_offer(&one->driver, QUEUE_SIZE);
	put(0, REG_NOTIFY, 0);
	assert_true(wait_status(0, STATUS_RUNNING | VIRTIO_STATUS_NEEDS_RESET));
	assert_int_equal(wait_call(one), 1);
	assert_int_equal(get(0, REG_ISR), VIRTIO_ISR_CONFIG);
	/* The other one does not know of it. */
	v_offer(two, 0, 1);
	put(1, REG_NOTIFY, 0);
	assert_true(wait_used(two, 1));
	assert_int_equal(get(1, REG_STATUS), STATUS_RUNNING);
	log_release();
	/* And after a reset it is as new. */
	v_clear_rings(one);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
	assert_int_equal(get(0, REG_ISR), 0);
	v_offer(one, 0, 1);
	put(0, REG_NOTIFY, 0);
	assert_true(wait_used(one, 1));
}

static void rings_outside_of_memory_need_a_reset(void **state)
{
	struct vfixture *fixture = *state;

	take_seats(fixture);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(drive(0, RING_HOLE), STATUS_RUNNING | VIRTIO_STATUS_NEEDS_RESET);
	log_release();
	assert_int_equal(event_count(&fixture->one.activations), 0);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
}

static void change_config(struct vsubject *subject, struct bp_chain *chain)
{
	uint32_t value = 0x01020304;

	MUST(bp_virtio_config_write(subject->dev, 8, &value, sizeof(value)) == 0);
	bp_chain_complete(chain);
}

static void see_config(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	subject->result = (int64_t)offset << 8 | bytes;
}

static void config_space_is_shared(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one;
	uint32_t generation;

	one->request = change_config;
	one->config = see_config;
	take_seats(fixture);
	assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
	generation = get(0, REG_GENERATION);
	assert_int_equal(get(0, REG_CONFIG + 8), 0);
	v_offer(one, 0, 1);
	put(0, REG_NOTIFY, 0);
	assert_true(wait_used(one, 1));
	pass(one);
	assert_int_equal(get(0, REG_CONFIG + 8), 0x01020304);
	assert_true(get(0, REG_GENERATION) != generation);
	assert_true(get(0, REG_ISR) & VIRTIO_ISR_CONFIG);
	put(0, REG_CONFIG + 4, 99);
	assert_int_equal(one->result, 4 << 8 | 4);
	assert_int_equal(get(0, REG_CONFIG + 4), 99);
}

static void a_seat_is_left_and_taken_again(void **state)
{
	struct vfixture *fixture = *state;
	struct vsubject *one = &fixture->one;
	size_t before;

	take_seats(fixture);
	before = own.ioeventfds;
	assert_true(before >= 2 * QUEUES);
	for (int life = 1; life <= 3; life++) {
		v_clear_rings(one);
		assert_int_equal(drive(0, RING_USED), STATUS_RUNNING);
		v_offer(one, 0, 1);
		put(0, REG_NOTIFY, 0);
		assert_true(wait_used(one, 1));
		virtio_seat_detach(seats.seat[0]);
		assert_int_equal(event_count(&one->resets), life);
		assert_int_equal(own.ioeventfds, before - QUEUES);
		assert_int_equal(get(0, REG_MAGIC), UINT32_MAX);
		/* The first try fails, and changes nothing. */
		own.error = -ENOSPC;
		assert_int_equal(virtio_seat_attach(seats.seat[0], &one->err), -ENOSPC);
		own.error = 0;
		assert_int_equal(get(0, REG_MAGIC), UINT32_MAX);
		assert_int_equal(virtio_seat_attach(seats.seat[0], &one->err), 0);
		assert_int_equal(own.ioeventfds, before);
		assert_int_equal(get(0, REG_STATUS), 0);
	}
	virtio_seat_detach(seats.seat[0]);
	virtio_seat_detach(seats.seat[0]);
}

static void what_fails_leaves_nothing_behind(void **state)
{
	struct vfixture *fixture = *state;
	struct virtio_seat_spec spec;
	struct virtio_seat *seat = NULL;
	size_t fds;

	line_of[0] = &fixture->one;
	start_device(&fixture->one, 0);
	spec = seat_spec(0);
	fds = count_fds();
	own.error = -ENOSPC;
	assert_int_equal(virtio_seat_new(&spec, &seat, &fixture->one.err), -ENOSPC);
	assert_null(seat);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(get(0, REG_MAGIC), UINT32_MAX);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, seats_setup, seats_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_guest_finds_the_device),
		TEST(a_request_goes_all_the_way),
		TEST(a_device_brings_its_interrupt_status_along),
		TEST(a_broken_ring_needs_a_reset),
		TEST(rings_outside_of_memory_need_a_reset),
		TEST(config_space_is_shared),
		TEST(a_seat_is_left_and_taken_again),
		TEST(what_fails_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
