/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flow control of the vsock plugin (5.10.6.3): what each side may send, with counters anywhere in their 2^32, and guests that do not
 * keep to it.
 */
#include "plugins/virtio-vsock/vsock.h"
#include "tests/plugins/vsock_fixture.h"

static struct conn *conn_of(const struct vsock_test *test, const struct peer *peer)
{
	struct conn *conn = conn_find(fakehost_state(test->dev), peer->host_port, peer->guest_port);

	assert_non_null(conn);
	return conn;
}

/* As if so many bytes had gone both ways already. */
static void move_counters(const struct vsock_test *test, struct peer *peer, uint32_t bytes)
{
	struct credit *credit = &conn_of(test, peer)->credit;

	credit->guest_forwarded = credit->sent = bytes;
	credit->received = credit->forwarded = credit->told = bytes;
	peer->fwd_cnt = bytes;
}

/* The connection has ended by RST, and the device goes on with others. */
static void is_lost(struct vsock_test *test, const struct peer *peer, int fd)
{
	struct peer other;
	char buf[4096];
	ssize_t n;
	int more;

	gets_of(test, peer, VIRTIO_VSOCK_OP_RST);
	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
	assert_false(fakehost_is_broken(test->dev));
	more = open_to_host(test, 7777, 7, &other);
	sends_text(test, &other, "still here");
	hears(more, "still here");
	sends(test, &other, VIRTIO_VSOCK_OP_RST);
	close(more);
	close(fd);
}

/* ---- arithmetic ---- */

static void credit_is_exact_everywhere(void **state)
{
	static const uint32_t begins[] = { 0, 1, UINT32_MAX, UINT32_MAX - 100, UINT32_C(1) << 31 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		uint32_t b = begins[i];
		struct credit credit = { .guest_forwarded = b, .sent = b };

		assert_true(credit_update(&credit, 1000, b));
		assert_int_equal(credit_free(&credit), 1000);
		credit.sent += 600;
		assert_int_equal(credit_free(&credit), 400);
		/* More than it was sent, less than it has said: nothing changes. */
		assert_false(credit_update(&credit, 5, b + 601));
		assert_false(credit_update(&credit, 5, b - 1));
		assert_int_equal(credit_free(&credit), 400);
		assert_true(credit_update(&credit, 1000, b + 600));
		assert_false(credit_update(&credit, 1000, b + 599));
		assert_int_equal(credit_free(&credit), 1000);
		/* It may have less room than what is under way. */
		credit.sent += 600;
		assert_true(credit_update(&credit, 10, b + 600));
		assert_int_equal(credit_free(&credit), 0);
		assert_true(credit_update(&credit, UINT32_MAX, b + 600));
		assert_int_equal(credit_free(&credit), UINT32_MAX - 600);
	}
}

static void a_guest_with_the_largest_buffer_is_counted_right(void **state)
{
	struct credit credit = { .sent = 5, .guest_forwarded = 5 };

	(void)state;
	assert_true(credit_update(&credit, UINT32_MAX, 5));
	credit.sent += UINT32_MAX;
	assert_int_equal(credit_free(&credit), 0);
	assert_true(credit_update(&credit, UINT32_MAX, 4));
	assert_int_equal(credit_free(&credit), UINT32_MAX);
}

static void what_a_guest_may_send_is_exact_everywhere(void **state)
{
	static const uint32_t begins[] = { 0, UINT32_MAX, UINT32_MAX - BUFFER_BYTES / 2, UINT32_C(1) << 31 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		struct credit credit = { .received = begins[i], .forwarded = begins[i], .told = begins[i] };

		assert_false(credit_receive(&credit, BUFFER_BYTES + 1));
		assert_false(credit_receive(&credit, UINT32_MAX));
		assert_true(credit_receive(&credit, BUFFER_BYTES));
		assert_false(credit_receive(&credit, 1));
		assert_false(credit_owed(&credit));
		credit.forwarded += BUFFER_BYTES / 2 - 1;
		assert_false(credit_owed(&credit));
		credit.forwarded++;
		assert_true(credit_owed(&credit));
		assert_true(credit_receive(&credit, BUFFER_BYTES / 2));
		assert_false(credit_receive(&credit, 1));
	}
}

/* ---- to the guest ---- */

static void no_more_is_sent_than_the_guest_has_room_for(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	peer.buf_alloc = 10;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	give(test, 16, 64);
	say(fd, "0123456789abcdef");
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_RW).len, 10);
	gets_nothing(test);
	peer.fwd_cnt = 4;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_RW).len, 4);
	gets_nothing(test);
	/* Any packet tells of room. */
	peer.fwd_cnt = 14;
	sends_text(test, &peer, "x");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_RW).len, 2);
	close(fd);
}

static void a_guest_without_a_buffer_gets_nothing(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	peer.buf_alloc = 0;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	give(test, 4, 64);
	say(fd, "hello");
	assert_int_equal(settle(test), 1);
	gets_nothing(test);
	assert_int_equal(settle(test), 0);
	/* It still can send. */
	sends_text(test, &peer, "hi");
	hears(fd, "hi");
	peer.buf_alloc = 5;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	gets_text(test, &peer, "hello");
	close(fd);
}

/* A guest need not say so by itself. */
static void a_guest_without_room_is_asked_once_a_second(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 8, 64);
	peer.buf_alloc = 5;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	say(fd, "hello, world");
	settle(test);
	gets_text(test, &peer, "hello");
	for (int i = 0; i < 3; i++) {
		pass(test, 999 * MS);
		gets_nothing(test);
		pass(test, MS);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
		gets_nothing(test);
	}
	peer.buf_alloc = 64;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	gets_text(test, &peer, ", world");
	pass(test, 5000 * MS);
	gets_nothing(test);
	close(fd);
}

/* One that is asked, without a buffer for the question, is asked once. */
static void questions_do_not_pile_up(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	peer.buf_alloc = 0;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	say(fd, "hello");
	for (int i = 0; i < 10; i++)
		pass(test, 1000 * MS);
	give(test, 4, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	gets_nothing(test);
	close(fd);
}

static void counters_to_the_guest_wrap(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char text[] = "0123456789";
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	move_counters(test, &peer, UINT32_MAX - 25);
	peer.buf_alloc = 15;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	give(test, 64, 64);
	for (int i = 0; i < 10; i++) {
		say(fd, text);
		settle(test);
		/* In one packet, or in two, with 5 bytes of room in between. */
		gets_text(test, &peer, text);
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	assert_int_equal(peer.fwd_cnt, 100 - 26);
	close(fd);
}

/* ---- from the guest ---- */

static void the_guest_is_told_of_room_in_time(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char data[BUF_ALLOC / 8] = { 0 }, sink[BUF_ALLOC / 8];
	uint32_t sent = 0;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 64, 64);
	/* One that counts itself never finds less than half of the buffer. */
	for (int i = 0; i < 64; i++) {
		struct virtio_vsock_hdr header = { 0 };

		sends_data(test, &peer, data, sizeof(data));
		assert_int_equal(recv(fd, sink, sizeof(sink), 0), sizeof(sink));
		sent += sizeof(data);
		assert_int_equal(next_packet(test, &header), i % 4 == 3);
		if (i % 4 == 3) {
			assert_int_equal(header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			assert_int_equal(header.fwd_cnt, sent);
		}
	}
	close(fd);
}

/* A packet that is sent anyway says the same. */
static void data_tells_of_room_too(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char data[BUF_ALLOC / 4] = { 0 }, sink[BUF_ALLOC / 2];
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sends_data(test, &peer, data, sizeof(data));
	assert_int_equal(recv(fd, sink, sizeof(sink), 0), sizeof(data));
	give(test, 1, 64);
	say(fd, "x");
	settle(test);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_RW).fwd_cnt, sizeof(data));
	sends_data(test, &peer, data, sizeof(data));
	assert_int_equal(recv(fd, sink, sizeof(sink), 0), sizeof(data));
	gets_nothing_more(test);
	close(fd);
}

static void a_question_for_room_is_answered(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	sends_text(test, &peer, "hello");
	give(test, 2, 64);
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE).fwd_cnt, 5);
	gets_nothing(test);
	close(fd);
}

/* However often it asks, while it gives no buffer for the answer. */
static void answers_do_not_pile_up(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	for (int i = 0; i < 1000; i++)
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	give(test, 3, 64);
	settle(test);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	gets_nothing(test);
	close(fd);
}

static void counters_from_the_guest_wrap(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char data[BUF_ALLOC / 8], sink[BUF_ALLOC / 8];
	uint32_t sent = UINT32_MAX - BUF_ALLOC - 5;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	move_counters(test, &peer, sent);
	memset(data, 7, sizeof(data));
	give(test, 32, 64);
	for (int i = 0; i < 32; i++) {
		struct virtio_vsock_hdr header = { 0 };

		sends_data(test, &peer, data, sizeof(data));
		assert_int_equal(recv(fd, sink, sizeof(sink), 0), sizeof(sink));
		assert_memory_equal(sink, data, sizeof(data));
		sent += sizeof(data);
		if (next_packet(test, &header))
			assert_int_equal(header.fwd_cnt, sent);
	}
	assert_true(sent < 8 * BUF_ALLOC);
	close(fd);
}

/* ---- guests that do not keep to it ---- */

static void credit_that_goes_backwards_ends_the_connection(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 4, 64);
	say(fd, "0123456789");
	settle(test);
	gets_text(test, &peer, "0123456789");
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	peer.fwd_cnt--;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	is_lost(test, &peer, fd);
	assert_int_equal(fakehost_log_count(test->host, "count of bytes that it has taken is wrong"), 1);
}

static void credit_for_what_was_not_sent_ends_the_connection(void **state)
{
	static const uint32_t lies[] = { 11, 12, UINT32_C(1) << 31, UINT32_MAX };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(lies); i++) {
		struct peer peer;
		int fd = open_to_guest(test, 1, &peer);

		give(test, 4, 64);
		say(fd, "0123456789");
		settle(test);
		gets_text(test, &peer, "0123456789");
		peer.fwd_cnt = lies[i];
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		is_lost(test, &peer, fd);
	}
}

static void a_response_with_credit_for_nothing_is_a_refusal(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = ask_guest(test, 1, &peer);
	give(test, 1, 64);
	peer.fwd_cnt = 1;
	sends(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	hears_end(fd);
	is_lost(test, &peer, fd);
}

static void a_request_with_credit_for_nothing_is_refused(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer = { .guest_port = 1, .host_port = 1, .buf_alloc = 1, .fwd_cnt = UINT32_MAX };

	vsock_run(test);
	give(test, 1, 64);
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(fakehost_connects(test->dev), 0);
	assert_int_equal(metric(test, "connections_open"), 0);
}

/* The host takes nothing, and the guest sends all it may and a byte more. */
static void more_than_the_buffer_ends_the_connection(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char data[BUF_ALLOC / 4];
	struct credit *credit;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	credit = &conn_of(test, &peer)->credit;
	memset(data, 1, sizeof(data));
	/* Until the socket and the buffer are full. */
	while (BUFFER_BYTES - (credit->received - credit->forwarded) >= sizeof(data))
		sends_data(test, &peer, data, sizeof(data));
	sends_data(test, &peer, data, BUFFER_BYTES - (credit->received - credit->forwarded));
	assert_int_equal(credit->received - credit->forwarded, BUFFER_BYTES);
	give(test, 8, 64);
	settle(test);
	while (test->seen < test->given && fakehost_chain_order(test->rx[test->seen]))
		gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	sends_data(test, &peer, data, 1);
	is_lost(test, &peer, fd);
	assert_int_equal(fakehost_log_count(test->host, "more than it might"), 1);
}

static void one_packet_of_more_than_the_buffer_ends_the_connection(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char *data = calloc(1, BUF_ALLOC + 1);
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 1, 64);
	sends_data(test, &peer, data, BUF_ALLOC + 1);
	is_lost(test, &peer, fd);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credit_is_exact_everywhere),
		cmocka_unit_test(a_guest_with_the_largest_buffer_is_counted_right),
		cmocka_unit_test(what_a_guest_may_send_is_exact_everywhere),
		VSOCK_TEST(no_more_is_sent_than_the_guest_has_room_for),
		VSOCK_TEST(a_guest_without_a_buffer_gets_nothing),
		VSOCK_TEST(a_guest_without_room_is_asked_once_a_second),
		VSOCK_TEST(questions_do_not_pile_up),
		VSOCK_TEST(counters_to_the_guest_wrap),
		VSOCK_TEST(the_guest_is_told_of_room_in_time),
		VSOCK_TEST(data_tells_of_room_too),
		VSOCK_TEST(a_question_for_room_is_answered),
		VSOCK_TEST(answers_do_not_pile_up),
		VSOCK_TEST(counters_from_the_guest_wrap),
		VSOCK_TEST(credit_that_goes_backwards_ends_the_connection),
		VSOCK_TEST(credit_for_what_was_not_sent_ends_the_connection),
		VSOCK_TEST(a_response_with_credit_for_nothing_is_a_refusal),
		VSOCK_TEST(a_request_with_credit_for_nothing_is_refused),
		VSOCK_TEST(more_than_the_buffer_ends_the_connection),
		VSOCK_TEST(one_packet_of_more_than_the_buffer_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
