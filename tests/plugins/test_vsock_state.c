/* SPDX-License-Identifier: BSD-3-Clause */
/* The vsock plugin's life: resets, rest, saving and loading, and what the guest is told of these (5.10.6.7). */
#include "tests/plugins/vsock_fixture.h"

static struct fakehost_chain *give_event(struct vsock_test *test, size_t bytes)
{
	const struct fakehost_piece pieces[] = { { NULL, bytes }, { NULL, 0 } };
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(test->dev, EVENT, pieces, &chain), 0);
	return chain;
}

static bool is_transport_reset(const struct fakehost_chain *chain)
{
	struct virtio_vsock_event event;

	if (!fakehost_chain_order(chain))
		return false;
	assert_int_equal(fakehost_chain_used(chain), sizeof(event));
	assert_int_equal(fakehost_chain_get(chain, 0, &event, sizeof(event)), sizeof(event));
	assert_int_equal(le32toh(event.id), VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	return true;
}

static void a_reset_closes_all_connections(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fds[4];

	vsock_run(test);
	fds[0] = open_to_guest(test, 1, &peer);
	fds[1] = open_to_host(test, 1, 1, &peer);
	fds[2] = ask_guest(test, 1, &peer);
	fds[3] = dial(test);
	settle(test);
	assert_int_equal(metric(test, "connections_open"), 4);
	vsock_reset(test);
	assert_int_equal(metric(test, "connections_open"), 0);
	for (size_t i = 0; i < 4; i++) {
		hears_end(fds[i]);
		close(fds[i]);
	}
	assert_int_equal(settle(test), 0);
	/* And the socket leads to the guest again. */
	vsock_drive(test);
	fds[0] = open_to_guest(test, 1, &peer);
	sends_text(test, &peer, "again");
	hears(fds[0], "again");
	close(fds[0]);
}

static void a_reset_in_the_middle_of_everything(void **state)
{
	struct vsock_test *test = *state;
	static uint8_t data[PACKET_BYTES];

	vsock_run(test);
	for (int round = 0; round < 4; round++) {
		struct peer in, out;
		int a = open_to_guest(test, 1, &in), b = open_to_host(test, 1, 1, &out);
		const struct peer nobody = { .guest_port = 9, .host_port = 9 };
		struct virtio_vsock_hdr header = make_header(&nobody, VIRTIO_VSOCK_OP_RW, 0, 0);

		/* Data that waits for buffers, data that waits for the host, answers that wait, packets that wait for these. */
		assert_int_equal(send(a, data, sizeof(data), MSG_NOSIGNAL), sizeof(data));
		for (int i = 0; i < 4 + round; i++)
			sends_data(test, &out, data, sizeof(data));
		for (int i = 0; i < 300; i++)
			send_raw(test, &header, NULL, 0);
		settle(test);
		vsock_reset(test);
		assert_int_equal(settle(test), 0);
		assert_int_equal(metric(test, "connections_open"), 0);
		vsock_drive(test);
		gets_nothing_more(test);
		vsock_reset(test);
		vsock_drive(test);
		close(a);
		close(b);
	}
}

static void ports_are_free_after_a_reset(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd, more;

	vsock_run(test);
	fd = open_to_host(test, 5, 6, &peer);
	vsock_reset(test);
	vsock_drive(test);
	more = open_to_host(test, 5, 6, &peer);
	sends_text(test, &peer, "new");
	hears(more, "new");
	hears_end(fd);
	close(fd);
	close(more);
}

static void a_guest_whose_connections_were_reset_is_told_once(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_chain *first, *second;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	vsock_reset(test);
	vsock_drive(test);
	first = give_event(test, 4);
	second = give_event(test, 4);
	assert_true(is_transport_reset(first));
	assert_false(is_transport_reset(second));
	close(fd);
}

/* Nothing was interrupted. */
static void a_guest_without_connections_is_told_nothing(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;

	vsock_run(test);
	assert_false(is_transport_reset(give_event(test, 4)));
	close(open_to_guest(test, 1, &peer));
	settle(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	vsock_reset(test);
	vsock_drive(test);
	assert_false(is_transport_reset(give_event(test, 4)));
}

static void an_event_waits_for_a_buffer_that_has_room(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_chain *small, *empty, *good;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	vsock_reset(test);
	vsock_drive(test);
	small = give_event(test, 3);
	assert_int_equal(fakehost_chain(test->dev, EVENT, (struct fakehost_piece[]){ { "abcd", 4 }, { NULL, 0 } },
					&empty),
			 0);
	good = give_event(test, 8);
	assert_int_not_equal(fakehost_chain_order(small), 0);
	assert_int_equal(fakehost_chain_used(small), 0);
	assert_int_not_equal(fakehost_chain_order(empty), 0);
	assert_true(is_transport_reset(good));
	close(fd);
}

/* ---- rest ---- */

static void connections_go_on_after_a_rest(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 4, 64);
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	say(fd, "meanwhile");
	assert_int_equal(settle(test), 0);
	gets_nothing(test);
	assert_int_equal(fakehost_resume(test->dev), 0);
	settle(test);
	gets_text(test, &peer, "meanwhile");
	sends_text(test, &peer, "back");
	hears(fd, "back");
	close(fd);
}

static void a_limit_that_passes_in_a_rest_is_noticed_after_it(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = ask_guest(test, 1, &peer);
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	fakehost_advance(test->host, 2 * LIMIT);
	hears_nothing(fd);
	assert_int_equal(fakehost_resume(test->dev), 0);
	settle(test);
	hears_end(fd);
	close(fd);
}

/* ---- state ---- */

static void a_state_is_sound(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	assert_int_equal(fakehost_check_state(test->dev), 0);
	sends_text(test, &peer, "still here");
	hears(fd, "still here");
	close(fd);
}

/* Its connections are not there any more: the guest has to know. */
static void a_guest_that_was_loaded_is_told(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_bytes bytes;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	assert_int_equal(fakehost_save(test->dev, &bytes), 0);
	fakehost_destroy(test->dev);
	hears_end(fd);
	close(fd);
	vsock_power(test, "1023");
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	assert_int_equal(fakehost_restore(test->dev, &bytes), 0);
	assert_int_equal(fakehost_resume(test->dev), 0);
	test->seen = test->given;
	vsock_drive(test);
	assert_true(is_transport_reset(give_event(test, 4)));
	assert_false(is_transport_reset(give_event(test, 4)));
	fakehost_bytes_free(&bytes);
}

static void a_state_of_another_address_is_refused(void **state)
{
	struct vsock_test *test = *state;
	const struct fakehost_pair values[] = { { "cid", "43" }, { "uds_path", test->path }, { NULL, NULL } };
	struct fakehost_bytes bytes;

	vsock_run(test);
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	assert_int_equal(fakehost_save(test->dev, &bytes), 0);
	fakehost_destroy(test->dev);
	assert_int_equal(fakehost_create(test->host, fakehost_class(&backplane_plugin, NULL), "v", values, &test->dev),
			 0);
	assert_int_equal(fakehost_start(test->dev), 0);
	assert_int_equal(fakehost_quiesce(test->dev), 0);
	assert_int_equal(fakehost_restore(test->dev, &bytes), -EINVAL);
	assert_int_equal(fakehost_log_count(test->host, "saved with cid 42, and this is 43"), 1);
	fakehost_bytes_free(&bytes);
}

/* ---- instances ---- */

static void two_devices_do_not_know_of_each_other(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_dev *first;
	char path[sizeof(test->path)];
	struct fakehost_pair values[] = { { "cid", "43" }, { "uds_path", path }, { NULL, NULL } };
	struct peer peer;
	int fd, n;

	vsock_run(test);
	first = test->dev;
	n = snprintf(path, sizeof(path), "%s/w.sock", test->dir);
	assert_in_range(n, 1, sizeof(path) - 1);
	assert_int_equal(fakehost_create(test->host, fakehost_class(&backplane_plugin, NULL), "w", values, &test->dev),
			 0);
	assert_int_equal(fakehost_start(test->dev), 0);
	vsock_drive(test);
	test->dev = first;
	fd = open_to_guest(test, 1, &peer);
	sends_text(test, &peer, "hello");
	hears(fd, "hello");
	close(fd);
}

static void the_end_of_the_machine_closes_everything(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd, more;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	more = dial(test);
	settle(test);
	fakehost_destroy(test->dev);
	hears_end(fd);
	hears_end(more);
	close(fd);
	close(more);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(a_reset_closes_all_connections),
		VSOCK_TEST(a_reset_in_the_middle_of_everything),
		VSOCK_TEST(ports_are_free_after_a_reset),
		VSOCK_TEST(a_guest_whose_connections_were_reset_is_told_once),
		VSOCK_TEST(a_guest_without_connections_is_told_nothing),
		VSOCK_TEST(an_event_waits_for_a_buffer_that_has_room),
		VSOCK_TEST(connections_go_on_after_a_rest),
		VSOCK_TEST(a_limit_that_passes_in_a_rest_is_noticed_after_it),
		VSOCK_TEST(a_state_is_sound),
		VSOCK_TEST(a_guest_that_was_loaded_is_told),
		VSOCK_TEST(a_state_of_another_address_is_refused),
		VSOCK_TEST(two_devices_do_not_know_of_each_other),
		VSOCK_TEST(the_end_of_the_machine_closes_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
