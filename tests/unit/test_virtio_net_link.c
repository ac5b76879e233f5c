/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: connections that come and go, and the link that the guest sees. */
#include "tests/unit/net_stream.h"

#define SECOND UINT64_C(1000000000)

static void assert_logged(struct card *card, const char *text, uint32_t times)
{
	assert_int_equal(fakehost_log_count(card->host, text), times);
}

/* Frames go through in both directions. */
static void assert_works(struct card *card, int far)
{
	struct fakehost_chain *buffer = give(card, RX(0), 500, 0);

	stream_put(card, far, 1, 100);
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
	assert_done(send_frame(card, TX(0), 2, 200));
	assert_stream_got(card, far, 2, 200);
}

static void assert_drops(struct card *card)
{
	uint64_t before = metric(card, "tx_drop_link");

	assert_done(send_frame(card, TX(0), 1, 100));
	assert_int_equal(metric(card, "tx_drop_link"), before + 1);
}

/* ---- passt ---- */

static void passt_is_there_from_the_beginning(void **state)
{
	struct card *card = *state;

	card_run(card, "passt", NULL, 0);
	assert_true(link_is_up(card));
	assert_works(card, far_end(card, 0));
	assert_int_equal(metric(card, "connections"), 1);
	assert_int_equal(fakehost_config_notices(card->dev), 0);
}

static void the_end_of_passt_is_for_good(void **state)
{
	struct card *card = *state;

	card_run(card, "passt", NULL, 0);
	assert_int_equal(shutdown(far_end(card, 0), SHUT_RDWR), 0);
	settle(card);
	assert_false(link_is_up(card));
	assert_int_equal(fakehost_config_notices(card->dev), 1);
	assert_logged(card, "the network's other end is gone", 1);
	assert_logged(card, "there will be no other", 1);
	assert_drops(card);
	fakehost_advance(card->host, 10 * SECOND);
	settle(card);
	assert_int_equal(fakehost_connects(card->dev), 0);
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	assert_false(link_is_up(card));
	assert_drops(card);
	assert_logged(card, "the network's other end is gone", 1);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "passt", NULL, 0);
	buffer = give(card, RX(0), 500, 0);
	stream_put(card, far_end(card, 0), 1, 100);
	assert_int_equal(shutdown(far_end(card, 0), SHUT_RDWR), 0);
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
	assert_false(link_is_up(card));
}

/* The end is told again and again, and nothing would be read. */
static void an_end_is_seen_while_a_frame_waits(void **state)
{
	struct card *card = *state;

	card_run(card, "passt", NULL, 0);
	stream_put(card, far_end(card, 0), 1, 100);
	settle(card);
	assert_int_equal(shutdown(far_end(card, 0), SHUT_RDWR), 0);
	assert_in_range(settle(card), 1, 2);
	assert_false(link_is_up(card));
	/* The frame went with it. */
	give(card, RX(0), 500, 0);
	fakehost_advance(card->host, 2 * SECOND);
	assert_int_equal(metric(card, "rx_frames"), 0);
}

static void frames_that_wait_are_lost_with_the_connection(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *chains[5];

	card_run(card, "passt", NULL, 0);
	calls.send_error = EAGAIN;
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		chains[i] = send_frame(card, TX(0), i, 100);
		assert_pending(chains[i]);
	}
	calls.send_error = EPIPE;
	settle(card);
	for (uint32_t i = 0; i < COUNT_OF(chains); i++)
		assert_done(chains[i]);
	assert_int_equal(metric(card, "tx_drop_host") + metric(card, "tx_drop_link"), COUNT_OF(chains));
	assert_false(link_is_up(card));
}

static void an_end_in_the_middle_of_a_frame_that_goes(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *waits;

	card_run(card, "passt", NULL, 0);
	calls.send_most = 10;
	assert_done(send_frame(card, TX(0), 1, 100));
	waits = send_frame(card, TX(0), 2, 100);
	calls.send_error = ECONNRESET;
	settle(card);
	assert_done(waits);
	assert_false(link_is_up(card));
	assert_logged(card, "Connection reset by peer", 1);
}

/* ---- a socket that is connected to ---- */

/* Answers what the card asks for. The test's end. */
static int let_connect(struct card *card)
{
	int fds[2];

	assert_int_equal(fakehost_connects(card->dev), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(fakehost_connect_answer(card->dev, fds[0]), 0);
	return fds[1];
}

static void a_connection_is_asked_for_at_the_start(void **state)
{
	struct card *card = *state;
	const char *name;
	uint32_t index, number;
	int far;

	card_run(card, "connect:peer.sock", NULL, 0);
	assert_false(link_is_up(card));
	assert_drops(card);
	assert_int_equal(fakehost_connect_look(card->dev, &name, &index, &number), 0);
	assert_string_equal(name, "network");
	assert_int_equal(index + number, 0);
	far = let_connect(card);
	assert_true(link_is_up(card));
	assert_int_equal(fakehost_config_notices(card->dev), 1);
	assert_works(card, far);
	assert_int_equal(fakehost_connects(card->dev), 0);
	close(far);
}

static void it_is_asked_for_each_second_and_told_once(void **state)
{
	struct card *card = *state;
	int far;

	card_run(card, "connect:peer.sock", NULL, 0);
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(fakehost_connects(card->dev), 1);
		assert_int_equal(fakehost_connect_answer(card->dev, i % 2 ? -ENOENT : -ECONNREFUSED), 0);
		fakehost_advance(card->host, SECOND - 1);
		assert_int_equal(fakehost_connects(card->dev), 0);
		fakehost_advance(card->host, 1);
	}
	assert_logged(card, "there is no network yet: Connection refused", 1);
	assert_logged(card, "there is no network yet", 1);
	far = let_connect(card);
	assert_works(card, far);
	close(far);
}

static void it_comes_again_after_its_end(void **state)
{
	struct card *card = *state;

	card_run(card, "connect:peer.sock", NULL, 0);
	for (uint32_t i = 0; i < 3; i++) {
		int far = let_connect(card);

		assert_works(card, far);
		close(far);
		settle(card);
		assert_false(link_is_up(card));
		assert_drops(card);
		assert_logged(card, "the network's other end is gone", i + 1);
		fakehost_advance(card->host, SECOND);
	}
	assert_int_equal(metric(card, "connections"), 3);
	assert_int_equal(fakehost_config_notices(card->dev), 6);
	assert_logged(card, "there will be no other", 0);
}

/* Half of a frame is no frame, and not the beginning of the next connection's. */
static void each_connection_begins_afresh(void **state)
{
	struct card *card = *state;
	int far;

	card_run(card, "connect:peer.sock", NULL, 0);
	far = let_connect(card);
	put_length(far, 1000);
	put_bytes(far, frame_make(card, 1, 1000), 500);
	calls.send_most = 10;
	assert_done(send_frame(card, TX(0), 1, 100));
	settle(card);
	close(far);
	settle(card);
	calls.send_most = 0;
	fakehost_advance(card->host, SECOND);
	far = let_connect(card);
	assert_works(card, far);
	close(far);
}

static void a_reset_does_not_ask_twice(void **state)
{
	struct card *card = *state;
	int far;

	card_run(card, "connect:peer.sock", NULL, 0);
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	far = let_connect(card);
	assert_true(link_is_up(card));
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	assert_true(link_is_up(card));
	assert_works(card, far);
	close(far);
}

/* ---- a socket that listens ---- */

struct listening {
	char directory[32], path[64], network[80];
};

static void listen_at(struct card *card, struct listening *at)
{
	strcpy(at->directory, "/tmp/test_net.XXXXXX");
	assert_non_null(mkdtemp(at->directory));
	snprintf(at->path, sizeof(at->path), "%s/socket", at->directory);
	snprintf(at->network, sizeof(at->network), "listen:%s", at->path);
	card_run(card, at->network, NULL, 0);
}

static void listen_end(struct card *card, const struct listening *at)
{
	card_close(card);
	assert_int_equal(rmdir(at->directory), 0);
}

static int call_in(const struct listening *at)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, at->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void there_is_a_link_while_somebody_is_connected(void **state)
{
	struct card *card = *state;
	struct listening at;
	int far;

	listen_at(card, &at);
	assert_false(link_is_up(card));
	assert_drops(card);
	far = call_in(&at);
	settle(card);
	assert_true(link_is_up(card));
	assert_works(card, far);
	close(far);
	settle(card);
	assert_false(link_is_up(card));
	assert_int_equal(fakehost_config_notices(card->dev), 2);
	listen_end(card, &at);
}

static void one_after_the_other(void **state)
{
	struct card *card = *state;
	struct listening at;
	int first, second;

	listen_at(card, &at);
	first = call_in(&at);
	settle(card);
	second = call_in(&at);
	stream_put(card, second, 7, 100);
	settle(card);
	assert_works(card, first);
	assert_int_equal(metric(card, "connections"), 1);
	close(first);
	settle(card);
	/* Whoever comes and goes as fast as it can gets one turn a second. */
	assert_int_equal(metric(card, "connections"), 1);
	give(card, RX(0), 500, 0);
	fakehost_advance(card->host, SECOND);
	settle(card);
	assert_int_equal(metric(card, "connections"), 2);
	assert_int_equal(metric(card, "rx_frames"), 2);
	assert_works(card, second);
	close(second);
	listen_end(card, &at);
}

static void a_connection_that_cannot_be_accepted_is_no_busy_loop(void **state)
{
	struct card *card = *state;
	struct listening at;
	int far;

	listen_at(card, &at);
	calls.accept_error = EMFILE;
	far = call_in(&at);
	assert_int_equal(settle(card), 1);
	assert_logged(card, "a connection cannot be accepted: Too many open files", 1);
	calls.accept_error = 0;
	fakehost_advance(card->host, SECOND);
	settle(card);
	assert_works(card, far);
	close(far);
	listen_end(card, &at);
}

static void a_client_that_has_given_up_is_nothing(void **state)
{
	struct card *card = *state;
	struct listening at;
	int far;

	listen_at(card, &at);
	far = call_in(&at);
	calls.accept_error = ECONNABORTED;
	assert_int_equal(fakehost_poll(card->host), 1);
	calls.accept_error = 0;
	settle(card);
	assert_works(card, far);
	close(far);
	listen_end(card, &at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(passt_is_there_from_the_beginning),
		NET_TEST(the_end_of_passt_is_for_good),
		NET_TEST(what_was_sent_before_the_end_arrives),
		NET_TEST(an_end_is_seen_while_a_frame_waits),
		NET_TEST(frames_that_wait_are_lost_with_the_connection),
		NET_TEST(an_end_in_the_middle_of_a_frame_that_goes),
		NET_TEST(a_connection_is_asked_for_at_the_start),
		NET_TEST(it_is_asked_for_each_second_and_told_once),
		NET_TEST(it_comes_again_after_its_end),
		NET_TEST(each_connection_begins_afresh),
		NET_TEST(a_reset_does_not_ask_twice),
		NET_TEST(there_is_a_link_while_somebody_is_connected),
		NET_TEST(one_after_the_other),
		NET_TEST(a_connection_that_cannot_be_accepted_is_no_busy_loop),
		NET_TEST(a_client_that_has_given_up_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
