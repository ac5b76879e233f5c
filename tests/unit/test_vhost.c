/* SPDX-License-Identifier: BSD-3-Clause */
/* A virtio device over vhost-user, with both ends as they should be. */
#include "tests/unit/vhost_fixture.h"

#ifndef F_DUPFD_QUERY
#define F_DUPFD_QUERY 1027
#endif

/* ---- what there is ---- */

static void the_device_is_offered_as_its_class_says(void **state)
{
	struct link *link = *state;
	struct virtio_backend backend;

	vhost_frontend_backend(link->frontend, &backend);
	assert_int_equal(backend.features, ALL_FEATURES);
	assert_int_equal(backend.queue_count, QUEUES);
	assert_int_equal(backend.queue_sizes[0], QUEUE_SIZE);
	assert_int_equal(backend.config_bytes, CONFIG_BYTES);
	assert_int_equal(backend.device_id, 42);
	assert_int_equal(backend.vendor_id, VENDOR);
	assert_non_null(backend.ops->config_write);
}

static int offer_one_queue(struct vsubject *subject)
{
	return bp_virtio_offer(subject->dev, 0x1, 1);
}

static void what_the_plugin_offers_less_of_comes_through(void **state)
{
	struct link *link = *state;
	struct virtio_backend backend;

	link->subject.create = offer_one_queue;
	link_backend(link);
	link_serve_begin(link);
	assert_int_equal(link_frontend(link), 0);
	vhost_frontend_backend(link->frontend, &backend);
	assert_int_equal(backend.queue_count, 1);
	assert_int_equal(backend.features & FEATURES, 0x1);
}

static void memory_is_the_guests_own(void **state)
{
	struct link *link = *state;
	uint32_t word = 0x12345678;

	assert_int_equal(link->peer.count, link->memory.count);
	assert_int_equal(gmem_write(&link->subject.driver.mem, RING_RAM_FAR + 8, &word, sizeof(word)), 0);
	word = 0;
	assert_int_equal(gmem_read(&link->peer, RING_RAM_FAR + 8, &word, sizeof(word)), 0);
	assert_int_equal(word, 0x12345678);
}

/* ---- requests ---- */

static void requests_flow_once_activated(void **state)
{
	struct link *link = *state;
	uint32_t id = 0, len = 0;

	assert_int_equal(link_start(link, false), STATUS_ON);
	assert_int_equal(link->subject.activated_features, FEATURES);
	assert_int_equal(link->subject.activated_queues, 1);
	link_round_trip(link);
	assert_true(ring_used(&link->subject.driver, &id, &len));
	assert_int_equal(len, 4);
	assert_memory_equal(ring_at(&link->subject.driver, RING_DATA), "pong", 4);
}

static void an_interrupt_comes_with_its_status(void **state)
{
	struct link *link = *state;

	link_start(link, false);
	assert_int_equal(virtio_device_interrupt_status(link->device), 0);
	link_round_trip(link);
	assert_int_equal(virtio_device_interrupt_status(link->device), VIRTIO_ISR_USED);
}

static void what_was_made_available_before_is_found(void **state)
{
	struct link *link = *state;

	v_fill(&link->subject);
	v_offer(&link->subject, 0, 3);
	link_start(link, false);
	assert_true(wait_used(&link->subject, 3));
}

/* Completes nothing before there is a request in each queue; then both. */
static void complete_in_pairs(struct vsubject *subject, struct bp_chain *chain)
{
	keep(subject, chain);
	if (subject->kept_count < 2)
		return;
	while (subject->kept_count)
		bp_chain_complete(subject->kept[--subject->kept_count]);
	event_post(&subject->done);
}

/* Control: a kernel that cannot say whether two descriptors are of one file, which is then skipped. */
static void queues_that_share_an_interrupt_signal_it_once(void **state)
{
	struct link *link = *state;
	struct vsubject *subject = &link->subject;

	if (fcntl(subject->call_fd, F_DUPFD_QUERY, subject->call_fd) != 1) {
		print_message("the kernel does not compare descriptors: one signal a queue\n");
		skip();
	}
	subject->request = complete_in_pairs;
	v_fill(subject);
	ring_set(&subject->driver, RING2_DESC, 0, RING_DATA, 0x100, RING_F_WRITE, 0);
	ring_put16(&subject->driver, RING2_AVAIL + 4, 0);
	v_offer(subject, 0, 1);
	ring_put16(&subject->driver, RING2_AVAIL + 2, 1);
	assert_int_equal(link_start(link, true), STATUS_ON);
	assert_true(event_wait(&subject->done, 1));
	pass(subject);
	assert_int_equal(ring_used_idx(&subject->driver), 1);
	assert_int_equal(ring_get16(&subject->driver, RING2_USED + 2), 1);
	assert_int_equal(fd_event_clear(subject->call_fd), 1);
}

/* ---- resets ---- */

static void it_can_be_reset_and_activated_again(void **state)
{
	struct link *link = *state;
	size_t fds;

	link_start(link, true);
	link_reset(link);
	fds = count_fds();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(link_start(link, i % 2), STATUS_ON);
		link_round_trip(link);
		link_reset(link);
		assert_int_equal(virtio_device_status(link->device), 0);
	}
	assert_int_equal(event_count(&link->subject.activations), 101);
	assert_int_equal(count_fds(), fds);
	assert_int_equal(link->failures, 0);
}

static void a_reset_drops_what_is_under_way(void **state)
{
	struct link *link = *state;

	link->subject.request = keep;
	link_start(link, false);
	v_fill(&link->subject);
	v_offer(&link->subject, 0, 3);
	link_kick(link, 0);
	assert_true(event_wait(&link->subject.requests, 3));
	link_reset(link);
	assert_int_equal(link->subject.kept_count, 0);
	link->subject.request = NULL;
	link_start(link, false);
	link_round_trip(link);
}

/* ---- devices that need a reset ---- */

static void a_broken_device_needs_a_reset(void **state)
{
	struct link *link = *state;

	log_catch(LOG_LEVEL_ERROR);
	link_start(link, false);
	break_ring(link);
	assert_true(link_mind(link));
	assert_int_equal(virtio_device_status(link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(virtio_device_interrupt_status(link->device), VIRTIO_ISR_CONFIG);
	assert_true(link_quiet(link));
	assert_int_equal(link->failures, 0);
	link_reset(link);
	fd_event_clear(link->subject.call_fd);
	assert_int_equal(link_start(link, false), STATUS_ON);
	link_round_trip(link);
}

static void no_notice_of_an_earlier_life_comes(void **state)
{
	struct link *link = *state;
	struct pollfd polled;

	log_catch(LOG_LEVEL_ERROR);
	link_start(link, false);
	break_ring(link);
	polled = (struct pollfd){ .fd = vhost_frontend_fd(link->frontend), .events = POLLIN };
	assert_int_equal(poll(&polled, 1, PATIENCE_S * 1000), 1);
	link_reset(link);
	assert_true(link_quiet(link));
	vhost_frontend_mind(link->frontend);
	assert_int_equal(virtio_device_status(link->device), 0);
	assert_int_equal(link_start(link, false), STATUS_ON);
	vhost_frontend_mind(link->frontend);
	assert_int_equal(virtio_device_status(link->device), STATUS_ON);
}

static void rings_outside_of_memory_are_not_activated(void **state)
{
	static const uint64_t gpas[][3] = {
		{ RING_HOLE, RING_AVAIL, RING_USED },
		{ RING_DESC, RING_HOLE - 2, RING_USED },
		{ RING_DESC, RING_AVAIL, RING_RAM_NEXT - 4 },
		{ RING_DESC, RING_AVAIL, UINT64_C(0xfffffffffffff000) },
	};
	struct link *link = *state;

	log_catch(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < COUNT_OF(gpas); i++) {
		link_negotiate(link);
		link_set_queue(link, 0, gpas[i]);
		virtio_device_set_status(link->device, STATUS_ON);
		assert_int_equal(virtio_device_status(link->device), STATUS_ON | VIRTIO_STATUS_NEEDS_RESET);
		link_reset(link);
	}
	assert_int_equal(event_count(&link->subject.activations), 0);
	assert_int_equal(link_start(link, false), STATUS_ON);
	assert_int_equal(link->failures, 0);
}

/* As no virtio_device would let through: the descriptor table is not aligned. */
static void a_refused_activation_says_why(void **state)
{
	struct link *link = *state;
	struct virtio_queue_setup queues[QUEUES] = { {
	    .ready = true,
	    .size = QUEUE_SIZE,
	    .desc_gpa = RING_DESC + 8,
	    .driver_gpa = RING_AVAIL,
	    .device_gpa = RING_USED,
	    .kick_fd = link->subject.kick_fds[0],
	    .call_fd = link->subject.call_fd,
	} };
	struct virtio_activation activation = {
		.features = ALL_FEATURES,
		.isr = &link->subject.isr,
		.queue_count = QUEUES,
		.queues = queues,
	};
	struct virtio_backend backend;
	size_t fds;

	log_catch(LOG_LEVEL_ERROR);
	fds = count_fds();
	vhost_frontend_backend(link->frontend, &backend);
	assert_int_equal(backend.ops->activate(backend.ctx, &activation, &link->err), -EINVAL);
	assert_non_null(strstr(link->err.text, "refuses"));
	assert_int_equal(count_fds(), fds);
	queues[0].desc_gpa = RING_DESC;
	assert_int_equal(backend.ops->activate(backend.ctx, &activation, &link->err), 0);
	backend.ops->reset(backend.ctx);
	assert_int_equal(count_fds(), fds);
}

/* ---- config space ---- */

static int write_config(struct vsubject *subject)
{
	return bp_virtio_config_write(subject->dev, 0, "\1\2\3\4\5\6\7", 8);
}

static void the_config_space_is_read_without_the_backend(void **state)
{
	struct link *link = *state;

	link->subject.create = write_config;
	link_backend(link);
	link_serve_begin(link);
	assert_int_equal(link_frontend(link), 0);
	link_serve_end(link);
	assert_int_equal(get_config(link, 0, 8), UINT64_C(0x0007060504030201));
	assert_int_equal(get_config(link, 2, 1), 3);
	assert_int_equal(get_config(link, 8, 4), 0);
}

static void change_config(struct vsubject *subject, struct bp_chain *chain)
{
	static uint32_t value;

	value++;
	MUST(bp_virtio_config_write(subject->dev, 4, &value, sizeof(value)) == 0);
	bp_chain_complete(chain);
	event_post(&subject->done);
}

static void a_change_of_the_config_space_has_a_new_generation(void **state)
{
	struct link *link = *state;
	uint32_t generation;
	uint64_t before;

	link->subject.request = change_config;
	link_start(link, false);
	for (int i = 0; i < 3; i++) {
		generation = virtio_device_config_generation(link->device);
		before = get_config(link, 4, 4);
		link_round_trip(link);
		assert_int_equal(get_config(link, 4, 4), before);
		virtio_device_interrupt_ack(link->device, VIRTIO_ISR_USED);
		while (get_config(link, 4, 4) == before)
			assert_true(link_mind(link));
		assert_int_not_equal(virtio_device_config_generation(link->device), generation);
		assert_int_equal(virtio_device_interrupt_status(link->device), VIRTIO_ISR_CONFIG);
		virtio_device_interrupt_ack(link->device, VIRTIO_ISR_CONFIG);
		fd_event_clear(link->subject.call_fd);
	}
}

static void note_write(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	subject->result = (int64_t)offset << 8 | bytes;
}

static void a_write_of_the_driver_arrives(void **state)
{
	struct link *link = *state;
	uint32_t generation = virtio_device_config_generation(link->device);
	uint8_t seen[4];

	link->subject.config = note_write;
	assert_int_equal(virtio_device_config_write(link->device, 8, 4, 0x11223344), 0);
	assert_int_equal(link->subject.result, 8 << 8 | 4);
	vdev_config_read(link->subject.device, 8, seen, 4);
	assert_memory_equal(seen, "\x44\x33\x22\x11", 4);
	assert_int_equal(get_config(link, 8, 4), 0x11223344);
	assert_int_equal(virtio_device_config_generation(link->device), generation);
}

static void answer_write(struct vsubject *subject, uint32_t offset, uint32_t bytes)
{
	(void)bytes;
	MUST(bp_virtio_config_write(subject->dev, offset + 4, "xyz", 4) == 0);
}

static void what_a_write_changes_beyond_itself_is_told(void **state)
{
	struct link *link = *state;
	uint32_t generation;

	link->subject.config = answer_write;
	link_start(link, false);
	generation = virtio_device_config_generation(link->device);
	assert_int_equal(virtio_device_config_write(link->device, 0, 4, 7), 0);
	assert_int_equal(get_config(link, 0, 4), 7);
	assert_int_equal(get_config(link, 4, 4), 0x7a7978);
	assert_int_equal(virtio_device_config_generation(link->device), generation + 1);
	/* The device tells of it, too, which is no news. */
	assert_true(link_mind(link));
	assert_int_equal(virtio_device_config_generation(link->device), generation + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LINK_TEST(the_device_is_offered_as_its_class_says),
		BARE_TEST(what_the_plugin_offers_less_of_comes_through),
		LINK_TEST(memory_is_the_guests_own),
		LINK_TEST(requests_flow_once_activated),
		LINK_TEST(an_interrupt_comes_with_its_status),
		LINK_TEST(what_was_made_available_before_is_found),
		LINK_TEST(queues_that_share_an_interrupt_signal_it_once),
		LINK_TEST(it_can_be_reset_and_activated_again),
		LINK_TEST(a_reset_drops_what_is_under_way),
		LINK_TEST(a_broken_device_needs_a_reset),
		LINK_TEST(no_notice_of_an_earlier_life_comes),
		LINK_TEST(rings_outside_of_memory_are_not_activated),
		LINK_TEST(a_refused_activation_says_why),
		BARE_TEST(the_config_space_is_read_without_the_backend),
		LINK_TEST(a_change_of_the_config_space_has_a_new_generation),
		LINK_TEST(a_write_of_the_driver_arrives),
		LINK_TEST(what_a_write_changes_beyond_itself_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
