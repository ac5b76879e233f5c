/* SPDX-License-Identifier: BSD-3-Clause */
/* How connections of the vsock plugin end: one direction at a time or both, by either side, with data under way (5.10.6.5). */
#include "tests/plugins/vsock_fixture.h"

#define RECEIVE VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND    VIRTIO_VSOCK_SHUTDOWN_SEND
#define BOTH    (RECEIVE | SEND)

/* More than the socket and the buffer take, as far as they do; byte i is pattern(i). How many bytes. */
static size_t fill_host(struct vsock_test *test, struct peer *peer)
{
	uint8_t data[PACKET_BYTES / 4];
	size_t sent = 0, told = 0;
	struct virtio_vsock_hdr header = { 0 };

	give(test, 32, 64);
	while (sent + sizeof(data) - told <= BUF_ALLOC) {
		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = pattern(sent + i);
		sends_data(test, peer, data, sizeof(data));
		sent += sizeof(data);
		while (next_packet(test, &header))
			told = header.fwd_cnt;
	}
	return sent;
}

/* All of it arrives, and what follows is said by recv()'s last result. */
static ssize_t drain(struct vsock_test *test, int fd, size_t bytes)
{
	uint8_t buf[5000];
	size_t got = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0 && (n == 0 || errno != EAGAIN || !settle(test)))
			break;
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], pattern(got + (size_t)i));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(got, bytes);
	return n;
}

static void is_gone(struct vsock_test *test)
{
	assert_int_equal(metric(test, "connections_open"), 0);
	assert_int_equal(settle(test), 0);
}

/* ---- the host ends ---- */

static void a_host_that_closes_is_told_by_shutdown_of_both(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	close(fd);
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	gets_nothing(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	gets_nothing(test);
	is_gone(test);
}

static void what_a_host_said_comes_before_its_end(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	say(fd, "these are many more bytes than a buffer of the guest has");
	close(fd);
	settle(test);
	give(test, 16, 16);
	settle(test);
	gets_text(test, &peer, "these are many more bytes than a buffer of the guest has");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	gets_nothing(test);
}

/* The guest has no room for it yet, and may take its time. */
static void what_a_host_said_waits_for_room(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	peer.buf_alloc = 4;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	give(test, 32, 64);
	say(fd, "0123456789");
	close(fd);
	settle(test);
	gets_text(test, &peer, "0123");
	/* That nobody would read what the guest sends is known. */
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, RECEIVE);
	assert_int_equal(settle(test), 0);
	for (int i = 0; i < 5; i++)
		pass(test, 1000 * MS);
	for (int i = 0; i < 5; i++)
		gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	gets_text(test, &peer, "4567");
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	gets_text(test, &peer, "89");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
}

static void a_host_can_end_its_half(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	say(fd, "question");
	shutdown(fd, SHUT_WR);
	settle(test);
	gets_text(test, &peer, "question");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, SEND);
	pass(test, 10 * LIMIT);
	gets_nothing(test);
	/* The other half goes on. */
	sends_text(test, &peer, "answer");
	hears(fd, "answer");
	/* And ends. */
	sends_shutdown(test, &peer, SEND);
	hears_end(fd);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
	close(fd);
}

static void a_host_that_does_not_listen_is_told(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	shutdown(fd, SHUT_RD);
	sends_text(test, &peer, "do you hear me?");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, RECEIVE);
	/* What was under way vanishes, and counts as taken. */
	sends_text(test, &peer, "hello?");
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE).fwd_cnt, 21);
	/* It still speaks. */
	say(fd, "no");
	settle(test);
	gets_text(test, &peer, "no");
	close(fd);
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
}

static void data_for_a_host_that_has_closed_vanishes(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	close(fd);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
	for (int i = 0; i < 100; i++)
		sends_text(test, &peer, "under way");
	gets_nothing(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
}

static void a_shutdown_without_an_answer_ends_by_rst_after_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	close(fd);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
	pass(test, LIMIT - 1);
	gets_nothing(test);
	pass(test, 1);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
}

/* The two seconds begin when the guest could know. */
static void a_shutdown_waits_for_a_buffer(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	close(fd);
	settle(test);
	pass(test, 10 * LIMIT);
	give(test, 2, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
	pass(test, LIMIT - 1);
	gets_nothing(test);
	pass(test, 1);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
}

static void both_can_end_at_once(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	close(fd);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
	sends_shutdown(test, &peer, BOTH);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	gets_nothing(test);
}

/* ---- the guest ends ---- */

static void a_guest_that_closes_is_answered_by_rst(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 2, 64);
	sends_text(test, &peer, "bye");
	sends_shutdown(test, &peer, BOTH);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	gets_nothing(test);
	hears(fd, "bye");
	hears_end(fd);
	is_gone(test);
	close(fd);
}

static void a_guest_can_end_its_half(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 8, 64);
	sends_text(test, &peer, "question");
	sends_shutdown(test, &peer, SEND);
	hears(fd, "question");
	hears_end(fd);
	gets_nothing(test);
	pass(test, 10 * LIMIT);
	say(fd, "answer");
	settle(test);
	gets_text(test, &peer, "answer");
	close(fd);
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
}

static void the_guests_half_ends_behind_its_data(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	size_t sent;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	sends_shutdown(test, &peer, SEND);
	assert_int_equal(drain(test, fd, sent), 0);
	assert_int_equal(metric(test, "connections_open"), 1);
	say(fd, "thanks");
	settle(test);
	give(test, 2, 64);
	settle(test);
	while (test->seen < test->given && fakehost_chain_order(test->rx[test->seen])) {
		struct virtio_vsock_hdr header = { 0 };

		assert_true(next_packet(test, &header));
		if (header.op == VIRTIO_VSOCK_OP_RW)
			assert_memory_equal(test->data, "thanks", 6);
	}
	close(fd);
}

static void a_guest_that_does_not_receive_stops_the_host(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	sends_shutdown(test, &peer, RECEIVE);
	cannot_say(fd);
	give(test, 8, 64);
	settle(test);
	gets_nothing(test);
	/* It may still send, and what it said stays said. */
	sends_shutdown(test, &peer, 0);
	sends_text(test, &peer, "listen");
	hears(fd, "listen");
	cannot_say(fd);
	sends_shutdown(test, &peer, SEND);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	is_gone(test);
	close(fd);
}

/* Bytes that nobody wants any more lie in the socket, and it says so for ever. */
static void a_guest_that_does_not_receive_causes_no_work(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	say(fd, "unread");
	sends_shutdown(test, &peer, RECEIVE);
	give(test, 8, 64);
	settle(test);
	gets_nothing(test);
	assert_int_equal(settle(test), 0);
	close(fd);
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	assert_int_equal(settle(test), 0);
}

static void a_guest_that_closes_with_data_under_way_loses_none(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	size_t sent;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	assert_true(sent > BUF_ALLOC);
	sends_shutdown(test, &peer, BOTH);
	gets_nothing_more(test);
	/* The answer comes when the host has it all. */
	assert_int_equal(drain(test, fd, sent), 0);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
	close(fd);
}

/* It need not wait for a host that is slow; and whoever has those ports next has nothing to do with it. */
static void a_guest_that_closes_is_answered_after_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer, next;
	size_t sent;
	int fd, other;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	sends_shutdown(test, &peer, BOTH);
	give(test, 4, 64);
	pass(test, LIMIT - 1);
	gets_nothing(test);
	pass(test, 1);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	other = open_to_host(test, 1, 1, &next);
	sends_text(test, &next, "next");
	hears(other, "next");
	assert_int_equal(metric(test, "connections_open"), 2);
	assert_int_equal(drain(test, fd, sent), 0);
	assert_int_equal(metric(test, "connections_open"), 1);
	close(fd);
	close(other);
}

/* The same while the guest gives no buffer for the answer: neither waits for the other. */
static void an_answer_that_cannot_be_sent_holds_no_data_up(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	size_t sent;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	while (fakehost_chains_left(test->dev, RX)) {
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	sends_shutdown(test, &peer, BOTH);
	pass(test, LIMIT);
	/* It is as good as gone: nothing that the guest says matters. */
	sends_text(test, &peer, "too late");
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(drain(test, fd, sent), 0);
	assert_int_equal(metric(test, "connections_open"), 1);
	give(test, 2, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	gets_nothing(test);
	is_gone(test);
	close(fd);
}

/* It takes what is there, and no more of what was kept for it. */
static void a_host_that_stops_listening_with_data_under_way_is_told(void **state)
{
	struct vsock_test *test = *state;
	struct virtio_vsock_hdr header = { 0 };
	uint8_t buf[PACKET_BYTES];
	struct peer peer;
	size_t sent;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	shutdown(fd, SHUT_RD);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	settle(test);
	do
		assert_true(next_packet(test, &header));
	while (header.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(header.flags, RECEIVE);
	/* All of it has been dealt with. */
	assert_int_equal(header.fwd_cnt, sent);
	say(fd, "still here");
	settle(test);
	gets_text(test, &peer, "still here");
	close(fd);
}

/* One buffer at a time: response, then the end. */
static void a_host_that_is_gone_at_once_is_told_in_order(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer = { .guest_port = 1, .host_port = 1, .buf_alloc = BUF_ALLOC };

	vsock_run(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	close(let_in(test, 1));
	settle(test);
	give(test, 1, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	gets_nothing(test);
	give(test, 1, 64);
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	is_gone(test);
}

static void a_reset_with_data_under_way_loses_none(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	size_t sent;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sent = fill_host(test, &peer);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	cannot_say(fd);
	assert_int_equal(drain(test, fd, sent), 0);
	gets_nothing_more(test);
	is_gone(test);
	close(fd);
}

/* Nobody will take them, so nothing is kept for that. */
static void data_under_way_to_a_host_that_closes_is_dropped(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	for (int i = 0; i < 3; i++) {
		fd = open_to_host(test, 1, 1, &peer);
		fill_host(test, &peer);
		if (i == 1)
			sends_shutdown(test, &peer, BOTH);
		if (i == 2)
			sends(test, &peer, VIRTIO_VSOCK_OP_RST);
		close(fd);
		settle(test);
		give(test, 4, 64);
		settle(test);
		if (i == 0) {
			assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags, BOTH);
			sends(test, &peer, VIRTIO_VSOCK_OP_RST);
		}
		if (i == 1)
			gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		is_gone(test);
		vsock_reset(test);
		vsock_drive(test);
	}
}

static void a_guest_that_resets_ends_it(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	is_gone(test);
	gets_nothing_more(test);
	close(fd);
}

static void data_of_the_host_that_is_not_read_is_a_reset_for_it(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	say(fd, "unread");
	settle(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_reset(fd);
	close(fd);
}

static void data_behind_the_end_of_data_ends_the_connection(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 2, 64);
	sends_shutdown(test, &peer, SEND);
	sends_text(test, &peer, "one more thing");
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	is_gone(test);
	close(fd);
}

static void a_thousand_connections_one_after_the_other(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	for (uint32_t i = 0; i < 1000; i++) {
		struct peer peer;
		int fd = i % 2 ? open_to_guest(test, i, &peer) : open_to_host(test, i, i, &peer);

		sends_text(test, &peer, "ping");
		hears(fd, "ping");
		give(test, 2, 64);
		if (i % 3) {
			close(fd);
			settle(test);
			gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN);
			sends(test, &peer, VIRTIO_VSOCK_OP_RST);
		} else {
			sends_shutdown(test, &peer, BOTH);
			gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
			hears_end(fd);
			close(fd);
		}
		/* One buffer more is there than was needed. */
		if (fakehost_chains_left(test->dev, RX) > 100) {
			vsock_reset(test);
			vsock_drive(test);
		}
		assert_int_equal(metric(test, "connections_open"), 0);
	}
	assert_int_equal(metric(test, "connections_made"), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(a_host_that_closes_is_told_by_shutdown_of_both),
		VSOCK_TEST(what_a_host_said_comes_before_its_end),
		VSOCK_TEST(what_a_host_said_waits_for_room),
		VSOCK_TEST(a_host_can_end_its_half),
		VSOCK_TEST(a_host_that_does_not_listen_is_told),
		VSOCK_TEST(data_for_a_host_that_has_closed_vanishes),
		VSOCK_TEST(a_shutdown_without_an_answer_ends_by_rst_after_two_seconds),
		VSOCK_TEST(a_shutdown_waits_for_a_buffer),
		VSOCK_TEST(both_can_end_at_once),
		VSOCK_TEST(a_guest_that_closes_is_answered_by_rst),
		VSOCK_TEST(a_guest_can_end_its_half),
		VSOCK_TEST(the_guests_half_ends_behind_its_data),
		VSOCK_TEST(a_guest_that_does_not_receive_stops_the_host),
		VSOCK_TEST(a_guest_that_does_not_receive_causes_no_work),
		VSOCK_TEST(a_guest_that_closes_with_data_under_way_loses_none),
		VSOCK_TEST(a_guest_that_closes_is_answered_after_two_seconds),
		VSOCK_TEST(an_answer_that_cannot_be_sent_holds_no_data_up),
		VSOCK_TEST(a_host_that_stops_listening_with_data_under_way_is_told),
		VSOCK_TEST(a_host_that_is_gone_at_once_is_told_in_order),
		VSOCK_TEST(a_reset_with_data_under_way_loses_none),
		VSOCK_TEST(data_under_way_to_a_host_that_closes_is_dropped),
		VSOCK_TEST(a_guest_that_resets_ends_it),
		VSOCK_TEST(data_of_the_host_that_is_not_read_is_a_reset_for_it),
		VSOCK_TEST(data_behind_the_end_of_data_ends_the_connection),
		VSOCK_TEST(a_thousand_connections_one_after_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
