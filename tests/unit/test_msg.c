/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages with descriptors between processes: what is sent arrives, what is too much is refused, and no descriptor is left over. */
#include "core/base/msg.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "tests/unit/send_raw.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define LONG_BYTES 1000000

struct pair {
	int fds[2]; /* we, and the other side */
	size_t before;
};

static uint64_t soon(void)
{
	return clock_now_ns() + PATIENCE_S * NS_PER_S;
}

static struct pair make_pair(int type)
{
	struct pair pair = { .before = count_fds() };

	assert_int_equal(msg_pair(type, pair.fds), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(fcntl(pair.fds[i], F_GETFD), FD_CLOEXEC);
	return pair;
}

/* Nothing is open that was not before. */
static void end_pair(struct pair *pair)
{
	fd_close(pair->fds[0]);
	fd_close(pair->fds[1]);
	assert_int_equal(count_fds(), pair->before);
}

/* Sends as a hostile side may: some bytes with `count` descriptors. */
static void send_with(int fd, const void *data, size_t bytes, size_t count)
{
	assert_true(send_raw(fd, data, bytes, count, 0));
}

static void a_message_arrives_whole(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	char buf[16];

	(void)state;
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), -EAGAIN);
	assert_int_equal(msg_send(pair.fds[1], "one", 3, NULL, 0), 0);
	assert_int_equal(msg_send(pair.fds[1], "three", 5, NULL, 0), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), 3);
	assert_int_equal(msg_recv(pair.fds[0], buf, 5, NULL), 5);
	assert_memory_equal(buf, "three", 5);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), -EAGAIN);
	end_pair(&pair);
}

static void eight_descriptors_arrive(void **state)
{
	struct msg_fds sent = { .count = MSG_FDS_MAX }, got = { .count = 0 };
	struct pair pair = make_pair(SOCK_SEQPACKET);
	char buf[16];

	(void)state;
	for (size_t i = 0; i < MSG_FDS_MAX; i++)
		sent.fds[i] = fd_memfd("sent", 4096 * (i + 1));
	assert_int_equal(msg_send(pair.fds[1], "eight", 5, &sent, 0), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), &got), 5);
	assert_int_equal(got.count, MSG_FDS_MAX);
	for (size_t i = 0; i < MSG_FDS_MAX; i++) {
		assert_int_equal(lseek(got.fds[i], 0, SEEK_END), 4096 * (i + 1));
		assert_int_equal(fcntl(got.fds[i], F_GETFD), FD_CLOEXEC);
	}
	msg_fds_close(&got);
	assert_int_equal(got.count, 0);
	msg_fds_close(&sent);
	end_pair(&pair);
}

static void a_ninth_descriptor_is_refused(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	struct msg_fds got = { .count = 77 };
	char buf[16];

	(void)state;
	for (size_t count = MSG_FDS_MAX + 1; count <= 64; count++) {
		send_with(pair.fds[1], "bomb", 4, count);
		assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), &got), -EPROTO);
		assert_int_equal(count_fds(), pair.before + 2);
	}
	/* Nothing has been written, and the socket is as it was. */
	assert_int_equal(got.count, 77);
	assert_int_equal(msg_send(pair.fds[1], "fine", 4, NULL, 0), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), &got), 4);
	assert_int_equal(got.count, 0);
	end_pair(&pair);
}

static void descriptors_nobody_asked_for_are_refused(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	char buf[16];

	(void)state;
	send_with(pair.fds[1], "gift", 4, 1);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), -EPROTO);
	assert_int_equal(count_fds(), pair.before + 2);
	end_pair(&pair);
}

static void a_long_message_is_dropped_with_its_descriptors(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	struct msg_fds got = { .count = 0 };
	char buf[16] = "0123456789abcde";

	(void)state;
	send_with(pair.fds[1], buf, 9, 2);
	assert_int_equal(msg_recv(pair.fds[0], buf, 8, &got), -EMSGSIZE);
	assert_int_equal(count_fds(), pair.before + 2);
	assert_int_equal(msg_recv(pair.fds[0], buf, 8, &got), -EAGAIN);
	end_pair(&pair);
}

static void an_empty_message_leaves_no_descriptor(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	struct msg_fds got = { .count = 0 };
	char buf[16];

	(void)state;
	send_with(pair.fds[1], buf, 0, 3);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), &got), 0);
	assert_int_equal(got.count, 0);
	end_pair(&pair);
}

static void a_full_table_of_descriptors_is_our_own_error(void **state)
{
	struct msg_fds sent = { .count = 4 }, got = { .count = 0 };
	struct pair pair = make_pair(SOCK_SEQPACKET);
	struct rlimit limit, small;
	char buf[16];

	(void)state;
	for (size_t i = 0; i < sent.count; i++)
		sent.fds[i] = pair.fds[1];
	assert_int_equal(msg_send(pair.fds[1], "four", 4, &sent, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	small = limit;
	small.rlim_cur = (rlim_t)(pair.fds[0] > pair.fds[1] ? pair.fds[0] : pair.fds[1]) + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), &got), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(count_fds(), pair.before + 2);
	end_pair(&pair);
}

static void what_was_sent_before_the_end_is_received(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	char buf[16];

	(void)state;
	/* What it leaves unread makes the end a reset. */
	assert_int_equal(msg_send(pair.fds[0], "unread", 6, NULL, 0), 0);
	assert_int_equal(msg_send(pair.fds[1], "last", 4, NULL, 0), 0);
	close(pair.fds[1]);
	pair.fds[1] = -1;
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), 4);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), 0);
	assert_int_equal(msg_send(pair.fds[0], "hello", 5, NULL, soon()), -EPIPE);
	end_pair(&pair);
}

static void fill(int fd)
{
	static const char block[4096];
	int r;

	do
		r = msg_send(fd, block, sizeof(block), NULL, 0);
	while (r == 0);
	assert_int_equal(r, -EAGAIN);
}

static void sending_does_not_wait_longer_than_told(void **state)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct pair pair = make_pair(types[i]);

		fill(pair.fds[0]);
		assert_int_equal(msg_send(pair.fds[0], "more", 4, NULL, clock_now_ns() + NS_PER_MS), -ETIMEDOUT);
		assert_int_equal(msg_send(pair.fds[0], "more", 4, NULL, 1), -ETIMEDOUT);
		end_pair(&pair);
	}
}

static void *send_long(void *arg)
{
	const struct pair *pair = arg;
	struct msg_fds fds = { .count = 1, .fds = { pair->fds[1] } };
	uint8_t *bytes = malloc(LONG_BYTES);

	MUST(bytes);
	for (size_t i = 0; i < LONG_BYTES; i++)
		bytes[i] = (uint8_t)(i * 7 >> 3);
	MUST(msg_send(pair->fds[1], bytes, LONG_BYTES, &fds, soon()) == 0);
	free(bytes);
	return NULL;
}

/* Longer than the socket holds: both sides wait for each other. */
static void a_stream_is_sent_and_received_as_a_whole(void **state)
{
	struct pair pair = make_pair(SOCK_STREAM);
	struct msg_fds got = { .count = 0 };
	uint8_t *bytes = malloc(LONG_BYTES);
	pthread_t thread;

	(void)state;
	assert_non_null(bytes);
	assert_int_equal(pthread_create(&thread, NULL, send_long, &pair), 0);
	assert_int_equal(msg_recv_all(pair.fds[0], bytes, LONG_BYTES, &got, soon()), 0);
	assert_true(thread_join(thread));
	for (size_t i = 0; i < LONG_BYTES; i++)
		if (bytes[i] != (uint8_t)(i * 7 >> 3))
			fail_msg("byte %zu is wrong", i);
	assert_int_equal(got.count, 1);
	msg_fds_close(&got);
	free(bytes);
	end_pair(&pair);
}

static void descriptors_of_a_stream_are_counted_over_all_its_bytes(void **state)
{
	struct pair pair = make_pair(SOCK_STREAM);
	struct msg_fds got = { .count = 0 };
	char buf[16];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		send_with(pair.fds[1], "ab", 2, 2);
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 8, &got, soon()), 0);
	assert_int_equal(got.count, 8);
	msg_fds_close(&got);
	send_with(pair.fds[1], "abcdefg", 7, 8);
	send_with(pair.fds[1], "h", 1, 1);
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 8, &got, soon()), -EPROTO);
	assert_int_equal(count_fds(), pair.before + 2);
	send_with(pair.fds[1], "a", 1, 1);
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 1, NULL, soon()), -EPROTO);
	end_pair(&pair);
}

static void a_stream_that_stops_in_the_middle(void **state)
{
	struct pair pair = make_pair(SOCK_STREAM);
	struct msg_fds got = { .count = 0 };
	char buf[16];

	(void)state;
	send_with(pair.fds[1], "abc", 3, 1);
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 8, &got, clock_now_ns() + NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(count_fds(), pair.before + 2);
	send_with(pair.fds[1], "abc", 3, 1);
	close(pair.fds[1]);
	pair.fds[1] = -1;
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 8, &got, 0), -ECONNRESET);
	assert_int_equal(msg_recv_all(pair.fds[0], buf, 8, &got, 0), -ECONNRESET);
	end_pair(&pair);
}

/* An eventfd plays the pidfd. */
static void waiting_ends_with_bytes_the_end_or_the_deadline(void **state)
{
	struct pair pair = make_pair(SOCK_SEQPACKET);
	int gone = fd_event();
	char buf[16];

	(void)state;
	assert_int_equal(msg_wait(pair.fds[0], gone, clock_now_ns() + NS_PER_MS), -ETIMEDOUT);
	assert_int_equal(msg_wait(pair.fds[0], -1, 1), -ETIMEDOUT);
	fd_event_signal(gone);
	assert_int_equal(msg_wait(pair.fds[0], gone, 0), -ECONNRESET);
	/* What it has left behind comes first. */
	assert_int_equal(msg_send(pair.fds[1], "last", 4, NULL, 0), 0);
	assert_int_equal(msg_wait(pair.fds[0], gone, 0), 0);
	assert_int_equal(msg_recv(pair.fds[0], buf, sizeof(buf), NULL), 4);
	assert_int_equal(msg_wait(pair.fds[0], gone, 0), -ECONNRESET);
	close(pair.fds[1]);
	pair.fds[1] = -1;
	assert_int_equal(msg_wait(pair.fds[0], -1, 0), 0);
	close(gone);
	end_pair(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_arrives_whole),
		cmocka_unit_test(eight_descriptors_arrive),
		cmocka_unit_test(a_ninth_descriptor_is_refused),
		cmocka_unit_test(descriptors_nobody_asked_for_are_refused),
		cmocka_unit_test(a_long_message_is_dropped_with_its_descriptors),
		cmocka_unit_test(an_empty_message_leaves_no_descriptor),
		cmocka_unit_test(a_full_table_of_descriptors_is_our_own_error),
		cmocka_unit_test(what_was_sent_before_the_end_is_received),
		cmocka_unit_test(sending_does_not_wait_longer_than_told),
		cmocka_unit_test(a_stream_is_sent_and_received_as_a_whole),
		cmocka_unit_test(descriptors_of_a_stream_are_counted_over_all_its_bytes),
		cmocka_unit_test(a_stream_that_stops_in_the_middle),
		cmocka_unit_test(waiting_ends_with_bytes_the_end_or_the_deadline),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
