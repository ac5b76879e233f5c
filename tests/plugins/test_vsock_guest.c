/* SPDX-License-Identifier: BSD-3-Clause */
/* The vsock plugin and programs of the guest that want to reach one of the host. */
#include "tests/plugins/vsock_fixture.h"

#define ASKS_MAX 64u

static struct peer ask_host(struct vsock_test *test, uint32_t guest_port, uint32_t host_port)
{
	struct peer peer = { .guest_port = guest_port, .host_port = host_port, .buf_alloc = BUF_ALLOC };

	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	return peer;
}

/* What the device wants to reach is not to be had, for this reason. */
static void is_turned_away(struct vsock_test *test, int error)
{
	assert_int_equal(fakehost_connect_answer(test->dev, error), 0);
	settle(test);
}

static void a_port_of_the_host_is_reached(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 999, 80, &peer);
	assert_int_equal(metric(test, "connections_made"), 1);
	sends_text(test, &peer, "GET");
	hears(fd, "GET");
	give(test, 1, 64);
	say(fd, "200");
	settle(test);
	gets_text(test, &peer, "200");
	close(fd);
}

/* Any number is one: the path ends with it. */
static void every_port_can_be_asked_for(void **state)
{
	static const uint32_t ports[] = { 0, 1, FIRST_PORT, 2147483648u, UINT32_MAX };
	struct vsock_test *test = *state;
	int fds[COUNT_OF(ports)];

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(ports); i++) {
		struct peer peer;

		fds[i] = open_to_host(test, 7, ports[i], &peer);
	}
	for (size_t i = 0; i < COUNT_OF(ports); i++)
		close(fds[i]);
}

static void response_comes_only_once_the_host_is_reached(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	give(test, 2, 64);
	peer = ask_host(test, 999, 80);
	gets_nothing(test);
	fd = let_in(test, 80);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	gets_nothing(test);
	close(fd);
}

static void nobody_there_is_a_refusal(void **state)
{
	static const int errors[] = { -ENOENT, -ECONNREFUSED, -EACCES, -ENAMETOOLONG, -EMFILE };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		struct peer peer = ask_host(test, 999, 80);

		give(test, 1, 64);
		is_turned_away(test, errors[i]);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		assert_int_equal(metric(test, "connections_open"), 0);
	}
	assert_int_equal(metric(test, "connections_refused"), COUNT_OF(errors));
}

static void a_host_that_is_busy_is_asked_again(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	peer = ask_host(test, 999, 80);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(fakehost_connects(test->dev), 1);
		is_turned_away(test, -EAGAIN);
		assert_int_equal(fakehost_connects(test->dev), 0);
		pass(test, 20 * MS);
	}
	fd = let_in(test, 80);
	give(test, 1, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	close(fd);
}

static void a_host_that_stays_busy_is_a_refusal_after_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	uint64_t begin;

	vsock_run(test);
	give(test, 1, 64);
	begin = fakehost_now(test->host);
	peer = ask_host(test, 999, 80);
	while (fakehost_now(test->host) - begin < LIMIT) {
		gets_nothing(test);
		if (fakehost_connects(test->dev))
			is_turned_away(test, -EAGAIN);
		pass(test, MS);
	}
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(metric(test, "connections_open"), 0);
	pass(test, LIMIT);
	assert_int_equal(fakehost_connects(test->dev), 0);
}

static void no_answer_is_a_refusal_after_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	give(test, 2, 64);
	peer = ask_host(test, 999, 80);
	pass(test, LIMIT - 1);
	gets_nothing(test);
	pass(test, 1);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	/* What comes later is not wanted any more. */
	fd = let_in(test, 80);
	hears_end(fd);
	gets_nothing(test);
	close(fd);
}

/* The host does so many at a time; nothing is lost beyond that, and each has its own answer. */
static void many_wait_for_their_turn(void **state)
{
	struct vsock_test *test = *state;
	const uint32_t count = 3 * ASKS_MAX;

	vsock_run(test);
	give(test, count, 64);
	for (uint32_t i = 0; i < count; i++)
		ask_host(test, 1000 + i, i);
	assert_int_equal(fakehost_connects(test->dev), ASKS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		struct peer peer = { .guest_port = 1000 + i, .host_port = i };
		bool there = i % 3 > 0;

		if (there)
			close(let_in(test, i));
		else
			is_turned_away(test, -ENOENT);
		gets_of(test, &peer, there ? VIRTIO_VSOCK_OP_RESPONSE : VIRTIO_VSOCK_OP_RST);
		settle(test);
		if (there) {
			gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
			sends(test, &peer, VIRTIO_VSOCK_OP_RST);
		}
		give(test, 1, 64);
	}
	assert_int_equal(fakehost_connects(test->dev), 0);
	assert_int_equal(metric(test, "connections_open"), 0);
}

/* Also one that still waits for its turn. */
static void a_guest_can_give_up(void **state)
{
	struct vsock_test *test = *state;
	struct peer first, last;
	int fd;

	vsock_run(test);
	give(test, 4, 64);
	first = ask_host(test, 1000, 80);
	for (uint32_t i = 1; i < ASKS_MAX; i++)
		ask_host(test, 1000 + i, 80);
	last = ask_host(test, 2000, 81);
	sends(test, &last, VIRTIO_VSOCK_OP_RST);
	sends(test, &first, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(metric(test, "connections_open"), ASKS_MAX - 1);
	fd = let_in(test, 80);
	hears_end(fd);
	close(fd);
	gets_nothing(test);
	/* The same ports can be used again. */
	first = ask_host(test, 1000, 80);
	for (uint32_t i = 1; i < ASKS_MAX; i++)
		is_turned_away(test, -ENOENT);
	fd = let_in(test, 80);
	give(test, ASKS_MAX, 64);
	settle(test);
	for (uint32_t i = 1; i < ASKS_MAX; i++)
		gets(test, VIRTIO_VSOCK_OP_RST);
	gets_of(test, &first, VIRTIO_VSOCK_OP_RESPONSE);
	close(fd);
}

static void other_packets_than_rst_end_a_request_by_rst(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_REQUEST,  VIRTIO_VSOCK_OP_RESPONSE,      VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 77 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		struct peer peer = ask_host(test, 999, 80);
		int fd;

		give(test, 1, 64);
		sends(test, &peer, ops[i]);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		fd = let_in(test, 80);
		hears_end(fd);
		close(fd);
	}
	assert_int_equal(metric(test, "connections_open"), 0);
}

/* What was asked for before a reset comes after it. */
static void a_reset_forgets_requests(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	ask_host(test, 999, 80);
	vsock_reset(test);
	fd = let_in(test, 80);
	hears_end(fd);
	close(fd);
	assert_int_equal(metric(test, "connections_open"), 0);
	vsock_drive(test);
	give(test, 1, 64);
	gets_nothing(test);
	fd = open_to_host(test, 999, 80, &peer);
	sends_text(test, &peer, "again");
	hears(fd, "again");
	close(fd);
}

static void a_request_of_a_connection_that_exists_ends_it(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 999, 80, &peer);
	give(test, 1, 64);
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	assert_int_equal(fakehost_connects(test->dev), 0);
	close(fd);
}

static void data_and_response_keep_their_order(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer = { .guest_port = 9, .host_port = 80, .buf_alloc = BUF_ALLOC };
	int fd;

	vsock_run(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	fd = let_in(test, 80);
	/* The server speaks first, and ends at once; the guest has no buffer yet. */
	say(fd, "220 ready");
	close(fd);
	settle(test);
	give(test, 4, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	gets_text(test, &peer, "220 ready");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(a_port_of_the_host_is_reached),
		VSOCK_TEST(every_port_can_be_asked_for),
		VSOCK_TEST(response_comes_only_once_the_host_is_reached),
		VSOCK_TEST(nobody_there_is_a_refusal),
		VSOCK_TEST(a_host_that_is_busy_is_asked_again),
		VSOCK_TEST(a_host_that_stays_busy_is_a_refusal_after_two_seconds),
		VSOCK_TEST(no_answer_is_a_refusal_after_two_seconds),
		VSOCK_TEST(many_wait_for_their_turn),
		VSOCK_TEST(a_guest_can_give_up),
		VSOCK_TEST(other_packets_than_rst_end_a_request_by_rst),
		VSOCK_TEST(a_reset_forgets_requests),
		VSOCK_TEST(a_request_of_a_connection_that_exists_ends_it),
		VSOCK_TEST(data_and_response_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
