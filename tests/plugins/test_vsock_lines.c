/* SPDX-License-Identifier: BSD-3-Clause */
/* The vsock plugin and programs of the host that come to its socket: the CONNECT line, and what follows for them. */
#include "tests/plugins/vsock_fixture.h"

/* The line leads to a request for this port. */
static void accepts_line(struct vsock_test *test, const char *line, uint32_t port)
{
	int fd = dial(test);
	struct peer peer = { .buf_alloc = BUF_ALLOC };
	struct virtio_vsock_hdr header = { 0 };

	say(fd, line);
	give(test, 1, 64);
	settle(test);
	header = gets(test, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(header.dst_port, port);
	assert_int_equal(header.fwd_cnt, 0);
	hears_nothing(fd);
	peer.guest_port = port;
	peer.host_port = header.src_port;
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	close(fd);
}

/* It is closed, without text, and the guest hears nothing of it. */
static void refuses_line(struct vsock_test *test, const char *bytes, size_t count)
{
	int fd = dial(test);
	char c;

	assert_int_equal(send(fd, bytes, count, MSG_NOSIGNAL), count);
	settle(test);
	/* The end, or that not everything was read. */
	assert_true(recv(fd, &c, 1, 0) == 0 || errno == ECONNRESET);
	close(fd);
	gets_nothing_more(test);
	assert_int_equal(metric(test, "connections_open"), 0);
}

static void ok_comes_only_once_the_guest_has_accepted(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	char line[32];
	int fd;

	vsock_run(test);
	fd = ask_guest(test, 1234, &peer);
	hears_nothing(fd);
	sends(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(line, sizeof(line), "OK %" PRIu32 "\n", peer.host_port);
	hears(fd, line);
	assert_int_equal(metric(test, "connections_made"), 1);
	close(fd);
}

static void the_word_may_be_in_any_case(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	accepts_line(test, "CONNECT 52\n", 52);
	accepts_line(test, "connect 52\n", 52);
	accepts_line(test, "CoNnEcT 52\n", 52);
}

static void the_port_is_a_decimal_number_of_32_bits(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	accepts_line(test, "CONNECT 0\n", 0);
	accepts_line(test, "CONNECT 4294967295\n", UINT32_MAX);
	accepts_line(test, "CONNECT 0000000000052\n", 52);
	refuses_line(test, "CONNECT 4294967296\n", 19);
	refuses_line(test, "CONNECT 18446744073709551617\n", 29);
	refuses_line(test, "CONNECT 0x34\n", 13);
	refuses_line(test, "CONNECT -1\n", 11);
	refuses_line(test, "CONNECT +1\n", 11);
	refuses_line(test, "CONNECT 5.2\n", 12);
}

static void blanks_are_allowed_around_both(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	accepts_line(test, "CONNECT 52\r\n", 52);
	accepts_line(test, "CONNECT\t52 \n", 52);
	accepts_line(test, "  CONNECT   52\n", 52);
}

static void malformed_lines_are_closed_without_text(void **state)
{
	static const char *const lines[] = {
		"\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT52\n",
		"CONNECTS 52\n",
		"CONNEC 52\n",
		"HELLO 52\n",
		"CONNECT 52 53\n",
		"CONNECT 52x\n",
		"CONNECT x52\n",
		"52\n",
		"GET / HTTP/1.1\r\n",
		"\xff\xfe\n",
		"cONNECt@ 52\n",
		"\x03ONNECT 52\n",
		"CONNECT\n52\n",
	};
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		refuses_line(test, lines[i], strlen(lines[i]));
	refuses_line(test, "CONNECT\00052\n", 11);
	refuses_line(test, "CONNECT 52\0\n", 12);
	assert_int_equal(metric(test, "connections_refused"), COUNT_OF(lines) + 2);
	assert_int_equal(metric(test, "connections_made"), 0);
}

static void a_line_of_32_bytes_is_not_too_long(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	accepts_line(test, "CONNECT 00000000000000000000052\n", 52);
	refuses_line(test, "CONNECT 000000000000000000000052\n", 33);
	refuses_line(test, "CONNECT                        52\n", 34);
}

/* Nobody waits for the end of a line that is too long already. */
static void a_line_that_is_too_long_needs_no_end(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	refuses_line(test, "CONNECT 000000000000000000000000", 32);
}

static void a_line_may_come_byte_by_byte(void **state)
{
	struct vsock_test *test = *state;
	const char line[] = "CONNECT 1234\n";
	int fd;

	vsock_run(test);
	give(test, 1, 64);
	fd = dial(test);
	for (size_t i = 0; i + 1 < sizeof(line); i++) {
		gets_nothing(test);
		assert_int_equal(send(fd, &line[i], 1, 0), 1);
		settle(test);
	}
	assert_int_equal(gets(test, VIRTIO_VSOCK_OP_REQUEST).dst_port, 1234);
	close(fd);
}

static void bytes_behind_the_line_are_not_lost(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer = { .guest_port = 7, .buf_alloc = BUF_ALLOC };
	char line[32];
	int fd;

	vsock_run(test);
	fd = dial(test);
	say(fd, "CONNECT 7\nhello\nCONNECT 8\n");
	give(test, 4, 64);
	settle(test);
	peer.host_port = gets(test, VIRTIO_VSOCK_OP_REQUEST).src_port;
	gets_nothing(test);
	sends(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	gets_text(test, &peer, "hello\nCONNECT 8\n");
	snprintf(line, sizeof(line), "OK %" PRIu32 "\n", peer.host_port);
	hears(fd, line);
	close(fd);
}

/* A program that does not wait for the answer. */
static void bytes_of_one_that_has_gone_are_not_lost(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer = { .guest_port = 7, .buf_alloc = BUF_ALLOC };
	int fd;

	vsock_run(test);
	fd = dial(test);
	say(fd, "CONNECT 7\nlast words");
	close(fd);
	give(test, 8, 64);
	settle(test);
	peer.host_port = gets(test, VIRTIO_VSOCK_OP_REQUEST).src_port;
	sends(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	/* That nobody hears it any more is known before what was said is read. */
	gets_text(test, &peer, "last words");
	assert_int_equal(gets_of(test, &peer, VIRTIO_VSOCK_OP_SHUTDOWN).flags,
			 VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(metric(test, "connections_open"), 0);
}

static void without_a_line_it_is_closed_after_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	int silent, slow;

	vsock_run(test);
	silent = dial(test);
	slow = dial(test);
	settle(test);
	pass(test, 1000 * MS);
	say(slow, "CONNECT 1");
	pass(test, 999 * MS);
	hears_nothing(silent);
	hears_nothing(slow);
	pass(test, MS);
	hears_end(silent);
	hears_end(slow);
	assert_int_equal(metric(test, "connections_open"), 0);
	close(silent);
	close(slow);
}

static void an_end_before_the_line_is_an_end(void **state)
{
	struct vsock_test *test = *state;
	int fd;

	vsock_run(test);
	fd = dial(test);
	say(fd, "CONNECT 52");
	close(fd);
	settle(test);
	assert_int_equal(metric(test, "connections_open"), 0);
	gets_nothing_more(test);
}

static void refusal_closes_without_text(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = ask_guest(test, 1234, &peer);
	sends(test, &peer, VIRTIO_VSOCK_OP_RST);
	hears_end(fd);
	assert_int_equal(metric(test, "connections_refused"), 1);
	assert_int_equal(metric(test, "connections_open"), 0);
	/* A RST is never answered. */
	gets_nothing_more(test);
	close(fd);
}

static void an_answer_has_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = ask_guest(test, 1234, &peer);
	give(test, 2, 64);
	pass(test, LIMIT - 1);
	hears_nothing(fd);
	gets_nothing(test);
	pass(test, 1);
	hears_end(fd);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	/* It comes too late. */
	sends(test, &peer, VIRTIO_VSOCK_OP_RESPONSE);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(metric(test, "connections_open"), 0);
	close(fd);
}

/* A guest without a driver, or one that does not care. */
static void a_request_that_cannot_be_sent_has_two_seconds(void **state)
{
	struct vsock_test *test = *state;
	int fd;

	vsock_power(test, "1023");
	fd = dial(test);
	say(fd, "CONNECT 1\n");
	settle(test);
	pass(test, LIMIT - 1);
	hears_nothing(fd);
	pass(test, 1);
	hears_end(fd);
	close(fd);
	vsock_drive(test);
	gets_nothing_more(test);
}

static void a_request_waits_for_a_driver(void **state)
{
	struct vsock_test *test = *state;
	int fd;

	vsock_power(test, "1023");
	fd = dial(test);
	say(fd, "CONNECT 1\n");
	settle(test);
	pass(test, LIMIT / 2);
	vsock_drive(test);
	give(test, 1, 64);
	settle(test);
	assert_int_equal(gets(test, VIRTIO_VSOCK_OP_REQUEST).dst_port, 1);
	close(fd);
}

static void another_answer_than_a_response_is_a_refusal(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_REQUEST,
					VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_SHUTDOWN,
					VIRTIO_VSOCK_OP_CREDIT_UPDATE,
					99,
					VIRTIO_VSOCK_OP_INVALID };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		struct peer peer;
		int fd = ask_guest(test, 1234, &peer);

		give(test, 1, 64);
		sends(test, &peer, ops[i]);
		hears_end(fd);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		close(fd);
	}
}

static void local_ports_begin_at_two_to_the_30th(void **state)
{
	struct vsock_test *test = *state;

	vsock_run(test);
	for (uint32_t i = 0; i < 5; i++) {
		struct peer peer;
		int fd = ask_guest(test, 1234, &peer);

		assert_int_equal(peer.host_port, FIRST_PORT + i);
		close(fd);
	}
}

/* The guest has reached a program at the port that would be next, from the port that is asked for. */
static void a_local_port_is_of_one_connection(void **state)
{
	struct vsock_test *test = *state;
	struct peer theirs, ours;
	int fd, other;

	vsock_run(test);
	fd = open_to_host(test, 1234, FIRST_PORT, &theirs);
	other = open_to_guest(test, 1234, &ours);
	assert_int_equal(ours.host_port, FIRST_PORT + 1);
	give(test, 1, 64);
	say(other, "mine");
	settle(test);
	gets_text(test, &ours, "mine");
	close(fd);
	close(other);
}

static void there_can_be_1023_connections_and_no_more(void **state)
{
	struct vsock_test *test = *state;
	int *fds = calloc(1023, sizeof(int));
	struct peer first, peer;
	int more;

	vsock_run(test);
	fds[0] = open_to_guest(test, 1, &first);
	for (uint32_t i = 1; i < 1023; i++)
		fds[i] = open_to_guest(test, 1 + i % 3, &peer);
	assert_int_equal(metric(test, "connections_open"), 1023);
	more = dial(test);
	settle(test);
	hears_end(more);
	close(more);
	/* And the guest's are refused. */
	peer = (struct peer){ .guest_port = 5, .host_port = 5 };
	give(test, 2, 64);
	sends(test, &peer, VIRTIO_VSOCK_OP_REQUEST);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(fakehost_connects(test->dev), 0);
	/* All of them work. */
	sends_text(test, &first, "one");
	hears(fds[0], "one");
	/* One ends, and another can come. */
	sends(test, &first, VIRTIO_VSOCK_OP_RST);
	more = open_to_guest(test, 9, &peer);
	sends_text(test, &peer, "other");
	hears(more, "other");
	for (uint32_t i = 0; i < 1023; i++)
		close(fds[i]);
	close(more);
	free(fds);
}

/* The host has no descriptors left for a while. */
static void who_cannot_be_let_in_waits(void **state)
{
	struct vsock_test *test = *state;
	struct rlimit limit, none;
	int fd, more;

	vsock_run(test);
	fd = dial(test);
	/* From the next that would be taken on. */
	more = dup(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)more;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	close(more);
	say(fd, "CONNECT 1\n");
	/* That there is somebody is told once in a while, not all the time. */
	settle(test);
	assert_int_equal(settle(test), 0);
	pass(test, 99 * MS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(settle(test), 0);
	give(test, 1, 64);
	pass(test, MS);
	assert_int_equal(gets(test, VIRTIO_VSOCK_OP_REQUEST).dst_port, 1);
	close(fd);
}

static void their_number_is_a_parameter(void **state)
{
	struct vsock_test *test = *state;
	int a, b;

	vsock_power(test, "1");
	a = dial(test);
	b = dial(test);
	settle(test);
	hears_nothing(a);
	hears_end(b);
	close(a);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(ok_comes_only_once_the_guest_has_accepted),
		VSOCK_TEST(the_word_may_be_in_any_case),
		VSOCK_TEST(the_port_is_a_decimal_number_of_32_bits),
		VSOCK_TEST(blanks_are_allowed_around_both),
		VSOCK_TEST(malformed_lines_are_closed_without_text),
		VSOCK_TEST(a_line_of_32_bytes_is_not_too_long),
		VSOCK_TEST(a_line_that_is_too_long_needs_no_end),
		VSOCK_TEST(a_line_may_come_byte_by_byte),
		VSOCK_TEST(bytes_behind_the_line_are_not_lost),
		VSOCK_TEST(bytes_of_one_that_has_gone_are_not_lost),
		VSOCK_TEST(without_a_line_it_is_closed_after_two_seconds),
		VSOCK_TEST(an_end_before_the_line_is_an_end),
		VSOCK_TEST(refusal_closes_without_text),
		VSOCK_TEST(an_answer_has_two_seconds),
		VSOCK_TEST(a_request_that_cannot_be_sent_has_two_seconds),
		VSOCK_TEST(a_request_waits_for_a_driver),
		VSOCK_TEST(another_answer_than_a_response_is_a_refusal),
		VSOCK_TEST(local_ports_begin_at_two_to_the_30th),
		VSOCK_TEST(a_local_port_is_of_one_connection),
		VSOCK_TEST(there_can_be_1023_connections_and_no_more),
		VSOCK_TEST(who_cannot_be_let_in_waits),
		VSOCK_TEST(their_number_is_a_parameter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
