/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: frames on a connection, here to passt. */
#include "tests/unit/net_stream.h"

static int run(struct card *card, const struct fakehost_pair *values, uint64_t without)
{
	card_run(card, "passt", values, without);
	return far_end(card, 0);
}

/* ---- to the guest ---- */

static void a_frame_comes_behind_its_length(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffer = give(card, RX(0), 2000, 0);
	struct virtio_net_hdr_v1 header;

	stream_put(card, far, 1, 1514);
	settle(card);
	assert_int_equal(take_frame(card, &buffer, 1, &header), 1514);
	assert_frame(card, 1, card->got + HEADER, 1514);
	header.num_buffers = 0;
	assert_memory_equal(&header, &no_header, HEADER);
	assert_int_equal(metric(card, "rx_frames"), 1);
	assert_int_equal(metric(card, "rx_bytes"), 1514);
}

static void many_frames_are_one_read(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffers[40];

	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), 1600, 0);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		stream_put(card, far, i, 1000 + i);
	assert_int_equal(fakehost_poll(card->host), 1);
	assert_int_equal(calls.recv, 1);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		assert_received(card, &buffers[i], 1, i, 1000 + i);
	assert_int_equal(fakehost_poll(card->host), 0);
}

static void frames_can_come_byte_by_byte(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffers[3];
	uint8_t bytes[LENGTH + 60];
	const uint32_t length = htobe32(60);

	for (uint32_t i = 0; i < COUNT_OF(buffers); i++) {
		buffers[i] = give(card, RX(0), 500, 0);
		memcpy(bytes, &length, LENGTH);
		memcpy(bytes + LENGTH, frame_make(card, i, 60), 60);
		for (size_t at = 0; at < sizeof(bytes); at++) {
			assert_pending(buffers[i]);
			put_bytes(far, bytes + at, 1);
			settle(card);
		}
		assert_received(card, &buffers[i], 1, i, 60);
	}
}

static void the_longest_frames(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);

	for (uint32_t i = 0; i < 20; i++) {
		struct fakehost_chain *buffers[] = { give(card, RX(0), 40000, 0), give(card, RX(0), 40000, 4096) };

		stream_put(card, far, i, LONGEST - i);
		settle(card);
		assert_received(card, buffers, 2, i, LONGEST - i);
	}
}

/* Of all lengths, one behind the other, in parts that have nothing to do with them. */
static void a_long_stream_of_frames(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	static uint8_t all[400 * 5000];
	struct fakehost_chain *buffers[400];
	size_t end = 0, sent = 0;
	uint32_t taken = 0;

	for (uint32_t i = 0; i < 400; i++) {
		uint32_t bytes = 14 + i * 7919u % 4900, length = htobe32(bytes);

		memcpy(all + end, &length, LENGTH);
		memcpy(all + end + LENGTH, frame_make(card, i, bytes), bytes);
		end += LENGTH + bytes;
	}
	for (uint32_t i = 0; i < 256; i++)
		buffers[i] = give(card, RX(0), 5000, 0);
	for (uint32_t turn = 1; taken < 400; turn++) {
		size_t part = turn * 1237u % 9000 + 1;

		if (part > end - sent)
			part = end - sent;
		if (part)
			put_bytes(far, all + sent, part);
		sent += part;
		settle(card);
		for (; taken < 400 && (taken < 256 || buffers[taken]) && fakehost_chain_order(buffers[taken]);
		     taken++) {
			assert_received(card, &buffers[taken], 1, taken, 14 + taken * 7919u % 4900);
			if (taken + 256 < 400)
				buffers[taken + 256] = give(card, RX(0), 5000, 0);
		}
		assert_true(turn < 10000);
	}
	assert_int_equal(metric(card, "rx_frames"), 400);
}

static void nothing_more_is_read_while_a_frame_waits(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffers[6];

	for (uint32_t i = 0; i < 3; i++)
		stream_put(card, far, i, 300);
	assert_int_equal(settle(card), 1);
	assert_int_equal(calls.recv, 1);
	stream_put(card, far, 3, 300);
	assert_int_equal(fakehost_poll(card->host), 0);
	/* Those that wait here go first, as far as there are buffers. */
	for (uint32_t i = 0; i < 3; i++) {
		buffers[2 * i] = give(card, RX(0), 200, 0);
		assert_pending(buffers[2 * i]);
		buffers[2 * i + 1] = give(card, RX(0), 200, 0);
		assert_received(card, &buffers[2 * i], 2, i, 300);
	}
	buffers[0] = give(card, RX(0), 400, 0);
	settle(card);
	assert_received(card, buffers, 1, 3, 300);
	assert_int_equal(metric(card, "rx_drop_room"), 0);
}

static void a_frame_does_not_wait_for_ever(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffer = give(card, RX(0), 200, 0);

	stream_put(card, far, 1, 300);
	stream_put(card, far, 2, 400);
	stream_put(card, far, 3, 100);
	settle(card);
	fakehost_advance(card->host, 1000000000);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	assert_pending(buffer);
	fakehost_advance(card->host, 999999999);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	fakehost_advance(card->host, 1);
	assert_int_equal(metric(card, "rx_drop_room"), 2);
	assert_received(card, &buffer, 1, 3, 100);
}

static void without_merging_what_does_not_fit_is_lost(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, BIT(VIRTIO_NET_F_MRG_RXBUF));
	struct fakehost_chain *buffers[] = { give(card, RX(0), 200, 0), give(card, RX(0), 400, 0) };

	stream_put(card, far, 1, 189);
	stream_put(card, far, 2, 188);
	stream_put(card, far, 3, 388);
	settle(card);
	assert_received(card, &buffers[0], 1, 2, 188);
	assert_received(card, &buffers[1], 1, 3, 388);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
}

/* 5.1.4.1 */
static void frames_longer_than_the_mtu_are_dropped(void **state)
{
	struct card *card = *state;
	int far = run(card, (const struct fakehost_pair[]){ { "mtu", "1000" }, { NULL, NULL } }, 0);
	struct fakehost_chain *buffers[] = { give(card, RX(0), 3000, 0), give(card, RX(0), 3000, 0) };

	stream_put(card, far, 1, 1015);
	stream_put(card, far, 2, 1014);
	frame_make(card, 3, 1018);
	card->frame[12] = 0x81;
	put_length(far, 1018);
	put_bytes(far, card->frame, 1018);
	settle(card);
	assert_received(card, &buffers[0], 1, 2, 1014);
	assert_int_equal(take_frame(card, &buffers[1], 1, NULL), 1018);
	assert_int_equal(metric(card, "rx_drop_size"), 1);
}

/* A card without a driver takes nothing in, and its peer is not held up. */
static void without_a_driver_frames_are_lost(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;
	int far;

	card_open(card, "passt", NULL);
	far = far_end(card, 0);
	for (uint32_t i = 0; i < 50; i++) {
		stream_put(card, far, i, 30000);
		settle(card);
	}
	put_length(far, 1000);
	put_bytes(far, frame_make(card, 1, 1000), 500);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_idle"), 50);
	/* The rest of one that had begun is still the rest of that one. */
	card_drive(card, 0);
	buffer = give(card, RX(0), 2000, 0);
	put_bytes(far, frame_make(card, 1, 1000) + 500, 500);
	settle(card);
	assert_received(card, &buffer, 1, 1, 1000);
}

static void a_reset_loses_what_waits_for_buffers(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffer;

	stream_put(card, far, 1, 300);
	settle(card);
	assert_int_equal(fakehost_reset(card->dev), 0);
	assert_int_equal(metric(card, "rx_drop_idle"), 1);
	card_drive(card, 0);
	buffer = give(card, RX(0), 2000, 0);
	stream_put(card, far, 2, 300);
	settle(card);
	assert_received(card, &buffer, 1, 2, 300);
	assert_true(link_is_up(card));
}

/* ---- lengths that cannot be ---- */

static void lengths_that_cannot_be_end_the_connection(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 13, LONGEST + 1, 0x10000000, 0x7fffffff, 0x80000000, 0xffffffff };
	struct card *card = *state;

	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct fakehost_chain *buffer;
		int far = run(card, NULL, 0);

		buffer = give(card, RX(0), 70000, 0);
		give(card, RX(0), 70000, 0);
		/* What came before it is good. */
		stream_put(card, far, 1, 100);
		put_length(far, lengths[i]);
		put_bytes(far, card->frame, 100);
		settle(card);
		assert_received(card, &buffer, 1, 1, 100);
		assert_false(link_is_up(card));
		assert_int_equal(metric(card, "rx_frames"), 1);
		assert_int_equal(fakehost_log_count(card->host, "it announced a frame of"), i + 1);
		card_close(card);
	}
}

static void lengths_at_the_bounds_are_taken(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	struct fakehost_chain *buffers[] = { give(card, RX(0), 500, 0), give(card, RX(0), 70000, 0) };

	stream_put(card, far, 1, ETHER);
	stream_put(card, far, 2, LONGEST);
	settle(card);
	assert_received(card, &buffers[0], 1, 1, ETHER);
	assert_received(card, &buffers[1], 1, 2, LONGEST);
	assert_true(link_is_up(card));
}

/* ---- from the guest ---- */

static void a_frame_goes_behind_its_length(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);

	for (uint32_t i = 0; i < 30; i++) {
		assert_done(send_frame(card, TX(0), i, 60 + i * 50));
		assert_int_equal(calls.sendmsg, i + 1);
		assert_stream_got(card, far, i, 60 + i * 50);
	}
	assert_stream_empty(card, far);
	assert_int_equal(metric(card, "tx_frames"), 30);
}

static void what_the_guest_says_of_a_frame_is_checked_here_too(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	const struct virtio_net_hdr_v1 csum = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = htole16(34) };
	const struct virtio_net_hdr_v1 gso = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = htole16(100) };

	assert_done(send_headed(card, TX(0), &csum, frame_make(card, 1, 100), 100));
	assert_done(send_headed(card, TX(0), &gso, frame_make(card, 1, 100), 100));
	assert_int_equal(metric(card, "tx_drop_header"), 2);
	frame_make(card, 1, 100);
	memcpy(card->frame + 6, other_mac, 6);
	assert_done(send_headed(card, TX(0), &no_header, card->frame, 100));
	assert_int_equal(metric(card, "tx_drop_mac"), 1);
	assert_done(send_frame(card, TX(0), 1, LONGEST));
	assert_stream_got(card, far, 1, LONGEST);
	assert_stream_empty(card, far);
}

static void a_frame_longer_than_any_is_dropped(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	uint8_t bytes[HEADER + LONGEST + 1] = { 0 };

	memcpy(bytes + HEADER + 6, own_mac, 6);
	assert_done(send_bytes(card, TX(0), bytes, sizeof(bytes), 0));
	assert_int_equal(metric(card, "tx_drop_size"), 1);
	assert_stream_empty(card, far);
}

static void frames_that_are_taken_in_part_go_on(void **state)
{
	static const size_t most[] = { 1, 3, 4, 5, 17, 18, 19, 100, 299, 303 };
	struct card *card = *state;
	int far = run(card, NULL, 0);

	for (size_t i = 0; i < COUNT_OF(most); i++) {
		struct fakehost_chain *chains[3];
		uint8_t all[3 * (LENGTH + 300)];

		calls.send_most = most[i];
		for (uint32_t j = 0; j < 3; j++)
			chains[j] = send_frame(card, TX(0), j, 300);
		/* The first is on its way, the others wait. */
		assert_done(chains[0]);
		assert_pending(chains[1]);
		for (size_t at = 0; at < sizeof(all);) {
			size_t got = get_bytes(card, far, sizeof(all) - at);

			memcpy(all + at, card->got, got);
			at += got;
			assert_true(got || fakehost_poll(card->host) > 0);
		}
		for (uint32_t j = 0; j < 3; j++) {
			static const uint8_t length[] = { 0, 0, 1, 44 };

			assert_done(chains[j]);
			assert_memory_equal(all + j * (LENGTH + 300), length, LENGTH);
			assert_frame(card, j, all + j * (LENGTH + 300) + LENGTH, 300);
		}
		settle(card);
		assert_stream_empty(card, far);
	}
}

static void nothing_is_lost_when_the_other_end_is_slow(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);
	uint32_t sent = 0;

	while (fakehost_chains_left(card->dev, TX(0)) < 10) {
		send_frame(card, TX(0), sent, 30000 + sent);
		assert_true(++sent < 10000);
	}
	assert_int_equal(fakehost_poll(card->host), 0);
	for (uint32_t i = 0; i < sent; i++) {
		settle(card);
		assert_stream_got(card, far, i, 30000 + i);
	}
	assert_stream_empty(card, far);
	assert_int_equal(fakehost_chains_left(card->dev, TX(0)), 0);
}

/* The other end counts bytes: it gets the rest of a frame although the guest's memory is not the guest's any more. */
static void a_reset_does_not_cut_a_frame(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);

	calls.send_most = 100;
	assert_done(send_frame(card, TX(0), 1, 1000));
	assert_pending(send_frame(card, TX(0), 2, 1000));
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	assert_pending(send_frame(card, TX(0), 3, 500));
	settle(card);
	assert_stream_got(card, far, 1, 1000);
	assert_stream_got(card, far, 3, 500);
	assert_stream_empty(card, far);
}

static void a_host_without_memory_costs_a_frame(void **state)
{
	struct card *card = *state;
	int far = run(card, NULL, 0);

	calls.send_error = ENOBUFS;
	assert_done(send_frame(card, TX(0), 1, 1000));
	assert_int_equal(metric(card, "tx_drop_host"), 1);
	calls.send_error = 0;
	assert_done(send_frame(card, TX(0), 2, 1000));
	assert_stream_got(card, far, 2, 1000);
	assert_true(link_is_up(card));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_frame_comes_behind_its_length),
		NET_TEST(many_frames_are_one_read),
		NET_TEST(frames_can_come_byte_by_byte),
		NET_TEST(the_longest_frames),
		NET_TEST(a_long_stream_of_frames),
		NET_TEST(nothing_more_is_read_while_a_frame_waits),
		NET_TEST(a_frame_does_not_wait_for_ever),
		NET_TEST(without_merging_what_does_not_fit_is_lost),
		NET_TEST(frames_longer_than_the_mtu_are_dropped),
		NET_TEST(without_a_driver_frames_are_lost),
		NET_TEST(a_reset_loses_what_waits_for_buffers),
		NET_TEST(lengths_that_cannot_be_end_the_connection),
		NET_TEST(lengths_at_the_bounds_are_taken),
		NET_TEST(a_frame_goes_behind_its_length),
		NET_TEST(what_the_guest_says_of_a_frame_is_checked_here_too),
		NET_TEST(a_frame_longer_than_any_is_dropped),
		NET_TEST(frames_that_are_taken_in_part_go_on),
		NET_TEST(nothing_is_lost_when_the_other_end_is_slow),
		NET_TEST(a_reset_does_not_cut_a_frame),
		NET_TEST(a_host_without_memory_costs_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
