/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device over vhost-user: how it ends, and threads that cross. */
#include "tests/unit/vhost_fixture.h"

/* ---- the end ---- */

static void a_backend_that_has_gone_is_noticed(void **state)
{
	struct link *link = *state;

	link_start(link, false);
	link_serve_end(link);
	shutdown(link->sockets[1], SHUT_RDWR);
	assert_true(link_mind(link));
	assert_int_equal(link->failures, 1);
	assert_int_equal(link->failure, -ECONNRESET);
	assert_int_equal(virtio_device_status(link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
	assert_true(link_quiet(link));
}

static void a_failed_frontend_stays_so(void **state)
{
	struct link *link = *state;
	uint64_t before;

	log_catch(LOG_LEVEL_ERROR);
	before = get_config(link, 0, 8);
	vhost_frontend_fail(link->frontend);
	vhost_frontend_fail(link->frontend);
	assert_int_equal(get_config(link, 0, 8), before);
	assert_int_equal(virtio_device_status(link->device), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(link_start(link, false), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
		link_reset(link);
	}
	assert_int_equal(virtio_device_config_write(link->device, 0, 1, 9), 0);
	assert_int_equal(get_config(link, 0, 8), before);
	assert_int_equal(event_count(&link->subject.activations), 0);
	/* Who fails it knows why. */
	assert_int_equal(link->failures, 0);
	assert_true(link_quiet(link));
}

static void *start_it(void *arg)
{
	link_start(arg, false);
	return NULL;
}

/* One whose activation nobody answers. The time that an exchange has is longer than anybody's patience. */
static pthread_t vcpu_that_waits(struct link *link)
{
	struct pollfd polled = { .fd = link->sockets[1], .events = POLLIN };
	pthread_t vcpu;

	log_catch(LOG_LEVEL_ERROR);
	link->spec.deadline_ns = UINT64_C(1000) * PATIENCE_NS;
	link_backend(link);
	link_serve_begin(link);
	assert_int_equal(link_frontend(link), 0);
	link_serve_end(link);
	MUST(pthread_create(&vcpu, NULL, start_it, link) == 0);
	/* It has sent something, and will wait. */
	assert_int_equal(poll(&polled, 1, PATIENCE_S * 1000), 1);
	return vcpu;
}

static void failing_releases_who_waits(void **state)
{
	struct link *link = *state;
	pthread_t vcpu = vcpu_that_waits(link);

	vhost_frontend_fail(link->frontend);
	assert_true(thread_join(vcpu));
	assert_int_equal(virtio_device_status(link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
}

static void a_process_that_has_ended_releases_who_waits(void **state)
{
	struct link *link = *state;
	int gone_fd = fd_event();
	pthread_t vcpu;

	link->spec.gone_fd = gone_fd;
	vcpu = vcpu_that_waits(link);
	fd_event_signal(gone_fd);
	assert_true(thread_join(vcpu));
	assert_int_equal(link->failures, 1);
	assert_int_equal(link->failure, -ECONNRESET);
	fd_close(gone_fd);
}

/* ---- threads ---- */

struct reading {
	struct link *link;
	atomic_bool stop;
	unsigned int torn, changes;
};

/* A driver on a vCPU, as VIRTIO 1.2, 2.5.1 has it. The device's two words are always the same. */
static void *read_config(void *arg)
{
	struct reading *reading = arg;
	struct virtio_device *device = reading->link->device;
	uint32_t last = virtio_device_config_generation(device);

	while (!atomic_load(&reading->stop)) {
		uint64_t one = 0, two = 0;
		uint32_t before = virtio_device_config_generation(device);

		virtio_device_config_read(device, 0, 4, &one);
		virtio_device_config_read(device, 4, 4, &two);
		if (virtio_device_config_generation(device) != before)
			continue;
		reading->torn += one != two;
		reading->changes += before != last;
		last = before;
	}
	return NULL;
}

static void change_both(struct vsubject *subject, struct bp_chain *chain)
{
	static uint32_t value;
	uint32_t both[2];

	value++;
	both[0] = both[1] = value;
	MUST(bp_virtio_config_write(subject->dev, 0, both, sizeof(both)) == 0);
	bp_chain_complete(chain);
}

static void a_driver_never_sees_half_a_change(void **state)
{
	struct link *link = *state;
	struct reading reading = { .link = link };
	pthread_t vcpu;

	link->subject.request = change_both;
	link_start(link, false);
	v_fill(&link->subject);
	MUST(pthread_create(&vcpu, NULL, read_config, &reading) == 0);
	for (uint16_t i = 0; i < 300; i++) {
		v_offer(&link->subject, i % QUEUE_SIZE, 1);
		link_kick(link, 0);
		if (!wait_used(&link->subject, (uint16_t)(i + 1)))
			break;
		vhost_frontend_mind(link->frontend);
	}
	assert_int_equal(ring_used_idx(&link->subject.driver), 300);
	atomic_store(&reading.stop, true);
	assert_true(thread_join(vcpu));
	assert_int_equal(reading.torn, 0);
	assert_true(virtio_device_config_generation(link->device) > 0);
}

static void *mind_until(void *arg)
{
	struct reading *reading = arg;

	while (!atomic_load(&reading->stop)) {
		vhost_frontend_mind(reading->link->frontend);
		poll(NULL, 0, 1);
	}
	return NULL;
}

/* The test's thread is a vCPU, the other one main. */
static void resets_and_notices_cross(void **state)
{
	struct link *link = *state;
	struct reading reading = { .link = link };
	pthread_t main_thread;

	log_catch(LOG_LEVEL_ERROR);
	link->subject.request = change_both;
	MUST(pthread_create(&main_thread, NULL, mind_until, &reading) == 0);
	for (int i = 0; i < 100; i++) {
		uint32_t status = link_start(link, true);

		assert_int_equal(status & ~VIRTIO_STATUS_NEEDS_RESET, STATUS_ON);
		v_fill(&link->subject);
		v_offer(&link->subject, 0, 4);
		if (i % 3 == 0)
			break_ring(link);
		else
			link_kick(link, 0);
		virtio_device_config_write(link->device, 8, 4, (uint32_t)i);
		link_reset(link);
		assert_int_equal(virtio_device_status(link->device), 0);
	}
	atomic_store(&reading.stop, true);
	assert_true(thread_join(main_thread));
	assert_int_equal(link->failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(a_backend_that_has_gone_is_noticed), LINK_TEST(a_failed_frontend_stays_so),
		BARE_TEST(failing_releases_who_waits),         BARE_TEST(a_process_that_has_ended_releases_who_waits),
		LINK_TEST(a_driver_never_sees_half_a_change),  LINK_TEST(resets_and_notices_cross),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
