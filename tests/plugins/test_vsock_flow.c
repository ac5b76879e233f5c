/* SPDX-License-Identifier: BSD-3-Clause */
/* Data through the vsock plugin: much of it, in whatever buffers, with sides that stop; what it costs, and that nobody is forgotten. */
#include "tests/plugins/vsock_fixture.h"

#include <sys/uio.h>

/* System calls of the plugin, which come through here. */
static struct {
	unsigned int readv, sendmsg;
	bool endless; /* whoever reads finds as much as there is room for */
	size_t bytes; /* of that */
} calls;

ssize_t __real_readv(int fd, const struct iovec *iov, int count);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int count);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

ssize_t __wrap_readv(int fd, const struct iovec *iov, int count)
{
	calls.readv++;
	if (!calls.endless)
		return __real_readv(fd, iov, count);
	calls.bytes = 0;
	for (int i = 0; i < count; i++) {
		memset(iov[i].iov_base, 0, iov[i].iov_len);
		calls.bytes += iov[i].iov_len;
	}
	return (ssize_t)calls.bytes;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	calls.sendmsg++;
	return __real_sendmsg(fd, message, flags);
}

/* What the host says next is so many bytes of the pattern from `at` on, as many as the socket takes. How many. */
static size_t say_pattern(int fd, uint64_t at, size_t bytes)
{
	uint8_t data[PACKET_BYTES];
	size_t said = 0;

	while (said < bytes) {
		size_t more = bytes - said < sizeof(data) ? bytes - said : sizeof(data);
		ssize_t n;

		for (size_t i = 0; i < more; i++)
			data[i] = pattern(at + said + i);
		n = send(fd, data, more, MSG_NOSIGNAL);
		if (n < 0)
			break;
		said += (size_t)n;
	}
	return said;
}

/* Takes packets with data of the pattern from `at` on. How many bytes. */
static size_t get_pattern(struct vsock_test *test, struct peer *peer, uint64_t at)
{
	struct virtio_vsock_hdr header = { 0 };
	size_t got = 0;

	while (next_packet(test, &header)) {
		assert_int_equal(header.op, VIRTIO_VSOCK_OP_RW);
		assert_int_equal(header.src_port, peer->host_port);
		assert_int_not_equal(header.len, 0);
		for (uint32_t i = 0; i < header.len; i++)
			assert_int_equal(test->data[i], pattern(at + got + i));
		got += header.len;
	}
	peer->fwd_cnt += (uint32_t)got;
	return got;
}

/* In buffers of these sizes, as many of each as say so; the guest takes it at once. */
static void to_the_guest(struct vsock_test *test, size_t bytes, size_t buffer)
{
	size_t said = 0, got = 0;
	struct peer peer;
	int fd;

	fd = open_to_guest(test, 1, &peer);
	while (got < bytes) {
		said += say_pattern(fd, said, bytes - said);
		if (fakehost_chains_left(test->dev, RX) < 128)
			give(test, 64, buffer);
		settle(test);
		got += get_pattern(test, &peer, got);
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	}
	assert_int_equal(got, bytes);
	assert_int_equal(metric(test, "in_bytes"), bytes);
	close(fd);
}

static void a_stream_to_the_guest_arrives(void **state)
{
	vsock_run(*state);
	to_the_guest(*state, 3000000, 4096);
}

static void small_buffers_are_filled(void **state)
{
	vsock_run(*state);
	to_the_guest(*state, 50000, 1);
}

static void large_buffers_are_filled(void **state)
{
	vsock_run(*state);
	to_the_guest(*state, 3000000, 100000);
}

static void a_stream_from_the_guest_arrives(void **state)
{
	struct vsock_test *test = *state;
	const size_t bytes = 3000000;
	uint8_t data[PACKET_BYTES], buf[PACKET_BYTES];
	size_t sent = 0, got = 0, told = 0;
	struct virtio_vsock_hdr header = { 0 };
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 64, 64);
	while (got < bytes) {
		size_t more = bytes - sent < sizeof(data) ? bytes - sent : sizeof(data);
		ssize_t n;

		if (more > BUF_ALLOC - (sent - told))
			more = BUF_ALLOC - (sent - told);
		for (size_t i = 0; i < more; i++)
			data[i] = pattern(sent + i);
		if (more)
			sends_data(test, &peer, data, more);
		sent += more;
		/* Less than comes, so that it goes through the buffer. */
		n = recv(fd, buf, sizeof(buf) / 3, 0);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], pattern(got + (size_t)i));
		got += n > 0 ? (size_t)n : 0;
		settle(test);
		while (next_packet(test, &header))
			told = header.fwd_cnt;
	}
	assert_int_equal(got, bytes);
	assert_int_equal(metric(test, "out_bytes"), bytes);
	close(fd);
}

/* A packet may lie in as many pieces as a queue has entries. */
static void a_packet_in_many_pieces_arrives(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_piece pieces[QUEUE_SIZE + 1] = { { NULL, 0 } };
	struct virtio_vsock_hdr header = { 0 };
	struct fakehost_chain *chain;
	struct peer peer;
	uint8_t data[HEADER + 255 - 44], buf[256];
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	header = make_header(&peer, VIRTIO_VSOCK_OP_RW, sizeof(data) - HEADER, 0);
	memcpy(data, &header, HEADER);
	for (size_t i = HEADER; i < sizeof(data); i++)
		data[i] = pattern(i);
	for (size_t i = 0; i < sizeof(data); i++)
		pieces[i] = (struct fakehost_piece){ &data[i], 1 };
	assert_int_equal(fakehost_chain(test->dev, TX, pieces, &chain), 0);
	assert_int_not_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), sizeof(data) - HEADER);
	assert_memory_equal(buf, data + HEADER, sizeof(data) - HEADER);
	close(fd);
}

/* A header and its data may lie in one piece, in many, or across their borders. */
static void a_buffer_in_any_pieces_is_filled(void **state)
{
	static const size_t sizes[][5] = { { 44, 20 }, { 64 },     { 1, 43, 20 },  { 43, 1, 20 },
					   { 40, 24 }, { 50, 14 }, { 1, 1, 1, 61 } };
	struct vsock_test *test = *state;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct fakehost_piece pieces[6] = { { NULL, 0 } };

		for (size_t j = 0; j < COUNT_OF(sizes[i]) && sizes[i][j]; j++)
			pieces[j].count = sizes[i][j];
		assert_int_equal(fakehost_chain(test->dev, RX, pieces, &test->rx[test->given]), 0);
		test->given++;
	}
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		say(fd, "abcdefghijklmnopqrst");
		settle(test);
		gets_text(test, &peer, "abcdefghijklmnopqrst");
	}
	gets_nothing(test);
	close(fd);
}

/* More pieces than can be read into at once. */
static void buffers_of_many_pieces_are_filled(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_piece pieces[QUEUE_SIZE + 1] = { { NULL, 0 } };
	size_t got = 0;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	pieces[0].count = HEADER;
	for (size_t i = 1; i < QUEUE_SIZE; i++)
		pieces[i].count = 3;
	for (size_t i = 0; i < 24; i++) {
		assert_int_equal(fakehost_chain(test->dev, RX, pieces, &test->rx[test->given]), 0);
		test->given++;
	}
	assert_int_equal(say_pattern(fd, 0, 18000), 18000);
	settle(test);
	got = get_pattern(test, &peer, 0);
	assert_int_equal(got, 18000);
	close(fd);
}

/* ---- sides that stop ---- */

static void a_guest_without_buffers_causes_no_work(void **state)
{
	struct vsock_test *test = *state;
	struct peer peers[8];
	int fds[8];

	vsock_run(test);
	for (uint32_t i = 0; i < 8; i++)
		fds[i] = open_to_guest(test, i, &peers[i]);
	for (uint32_t i = 0; i < 8; i++)
		say(fds[i], "hello");
	/* Each says once that it has something. */
	assert_int_equal(settle(test), 8);
	assert_int_equal(settle(test), 0);
	pass(test, 100000 * MS);
	assert_int_equal(settle(test), 0);
	close(fds[7]);
	assert_int_equal(settle(test), 1);
	assert_int_equal(settle(test), 0);
	give(test, 9, 64);
	settle(test);
	for (uint32_t i = 0; i < 8; i++)
		gets_text(test, &peers[i], "hello");
	assert_int_equal(gets_of(test, &peers[7], VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
	for (uint32_t i = 0; i < 7; i++)
		close(fds[i]);
}

/* What it cannot take stays with the host's program, whose writes stop. */
static void a_guest_that_stops_holds_the_host_up(void **state)
{
	struct vsock_test *test = *state;
	size_t said = 0, got, more;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 128, 4096);
	do {
		more = say_pattern(fd, said, 1000000);
		said += more;
		settle(test);
	} while (more);
	got = get_pattern(test, &peer, 0);
	assert_int_equal(got, BUF_ALLOC);
	assert_true(said > got && said < got + 1000000);
	assert_int_equal(settle(test), 0);
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	give(test, 128, 4096);
	settle(test);
	got += get_pattern(test, &peer, got);
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	got += get_pattern(test, &peer, got);
	assert_int_equal(got, said);
	close(fd);
}

static void a_host_that_stops_holds_its_connection_up_only(void **state)
{
	struct vsock_test *test = *state;
	struct virtio_vsock_hdr header = { 0 };
	uint8_t data[PACKET_BYTES], buf[PACKET_BYTES];
	size_t sent = 0, told = 0, got = 0;
	struct peer stopped, other;
	int fd, more;
	ssize_t n;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &stopped);
	more = open_to_host(test, 2, 2, &other);
	give(test, 32, 64);
	while (sent - told < BUF_ALLOC) {
		size_t bytes = BUF_ALLOC - (sent - told) < sizeof(data) ? BUF_ALLOC - (sent - told) : sizeof(data);

		for (size_t i = 0; i < bytes; i++)
			data[i] = pattern(sent + i);
		sends_data(test, &stopped, data, bytes);
		sent += bytes;
		while (next_packet(test, &header))
			told = header.fwd_cnt;
	}
	assert_int_equal(settle(test), 0);
	for (int i = 0; i < 100; i++) {
		sends_text(test, &other, "goes on");
		hears(more, "goes on");
	}
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], pattern(got + (size_t)i));
		got += (size_t)n;
		settle(test);
	}
	assert_int_equal(got, sent);
	/* The guest is told that it may go on. */
	while (next_packet(test, &header))
		told = header.fwd_cnt;
	assert_true(sent - told < BUF_ALLOC / 2);
	close(fd);
	close(more);
}

/* ---- what it costs ---- */

/* A guest gives its buffers when it has used up half of them, all at once. That is worth a few reads, not one for each. */
static void many_buffers_are_filled_by_few_reads(void **state)
{
	struct vsock_test *test = *state;
	const size_t bytes = 128 * 1024;
	size_t said = 0, got = 0;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(say_pattern(fd, said, bytes), bytes);
		said += bytes;
		settle(test);
		calls.readv = 0;
		give(test, 32, 4096);
		settle(test);
		got += get_pattern(test, &peer, got);
		assert_int_equal(got, said);
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		/* It has to learn how much comes: 1, 4, 16 buffers and so on, at first. */
		assert_in_range(calls.readv, 1, i ? 4 : 6);
	}
	close(fd);
}

/* Buffers are there before data is: what the socket has is had by one read. */
static void what_has_come_is_read_at_once(void **state)
{
	struct vsock_test *test = *state;
	size_t got = 0;
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	give(test, 200, 4096);
	for (int i = 0; i < 10; i++) {
		calls.readv = 0;
		assert_int_equal(say_pattern(fd, got, 65536), 65536);
		settle(test);
		got += get_pattern(test, &peer, got);
		sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		if (i > 1)
			assert_int_equal(calls.readv, 1);
		give(test, 16, 4096);
	}
	assert_int_equal(got, 655360);
	close(fd);
}

static void a_packet_of_the_guest_is_one_write(void **state)
{
	struct vsock_test *test = *state;
	static uint8_t data[PACKET_BYTES], buf[PACKET_BYTES];
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_host(test, 1, 1, &peer);
	give(test, 8, 64);
	for (int i = 0; i < 8; i++) {
		calls.sendmsg = 0;
		sends_data(test, &peer, data, sizeof(data));
		assert_int_equal(calls.sendmsg, 1);
		assert_int_equal(recv(fd, buf, sizeof(buf), 0), sizeof(buf));
	}
	close(fd);
}

/* A host that sends as fast as it is read, and a guest with room for all of it: other devices' threads have their turn, and so has the
 * device's own end. */
static void what_is_done_in_one_go_is_bounded(void **state)
{
	struct vsock_test *test = *state;
	uint32_t left = 200, before;
	struct virtio_vsock_hdr header = { 0 };
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	peer.buf_alloc = 0;
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	say(fd, "x");
	settle(test);
	give(test, left, PACKET_BYTES);
	calls.endless = true;
	peer.buf_alloc = UINT32_MAX;
	header = make_header(&peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0, 0);
	send_raw(test, &header, NULL, 0);
	while (fakehost_chains_left(test->dev, RX)) {
		before = left;
		left = fakehost_chains_left(test->dev, RX);
		assert_in_range(before - left, 1, 20);
		assert_true(calls.bytes <= 262144);
		fakehost_advance(test->host, 0);
	}
	calls.endless = false;
	settle(test);
	close(fd);
}

/* Each read is at most one connection's share. */
static void connections_take_turns(void **state)
{
	struct vsock_test *test = *state;
	size_t got[4] = { 0 }, most = 0, least = SIZE_MAX;
	struct peer peers[4];
	struct virtio_vsock_hdr header = { 0 };
	int fds[4];

	vsock_run(test);
	for (uint32_t i = 0; i < 4; i++)
		fds[i] = open_to_guest(test, i, &peers[i]);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(say_pattern(fds[i], 0, 100000), 100000);
	settle(test);
	give(test, 48, 1024);
	settle(test);
	while (next_packet(test, &header))
		got[header.dst_port] += header.len;
	for (size_t i = 0; i < 4; i++) {
		most = got[i] > most ? got[i] : most;
		least = got[i] < least ? got[i] : least;
		close(fds[i]);
	}
	/* 48 KiB, of which a quarter would be fair. */
	assert_true(least >= 4096);
	assert_true(most <= 24576);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(a_stream_to_the_guest_arrives),
		VSOCK_TEST(small_buffers_are_filled),
		VSOCK_TEST(large_buffers_are_filled),
		VSOCK_TEST(a_stream_from_the_guest_arrives),
		VSOCK_TEST(a_packet_in_many_pieces_arrives),
		VSOCK_TEST(a_buffer_in_any_pieces_is_filled),
		VSOCK_TEST(buffers_of_many_pieces_are_filled),
		VSOCK_TEST(a_guest_without_buffers_causes_no_work),
		VSOCK_TEST(a_guest_that_stops_holds_the_host_up),
		VSOCK_TEST(a_host_that_stops_holds_its_connection_up_only),
		VSOCK_TEST(many_buffers_are_filled_by_few_reads),
		VSOCK_TEST(what_has_come_is_read_at_once),
		VSOCK_TEST(a_packet_of_the_guest_is_one_write),
		VSOCK_TEST(what_is_done_in_one_go_is_bounded),
		VSOCK_TEST(connections_take_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
