/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: frames that come from a tap, and the guest's buffers for them (VIRTIO 1.2, 5.1.6.3 and 5.1.6.4). */
#include "tests/unit/net_fixture.h"

#define NO_MERGING BIT(VIRTIO_NET_F_MRG_RXBUF)
#define LONG       60000u

/* ---- frames come ---- */

static void a_frame_fills_the_beginning_of_a_buffer(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;
	uint8_t rest;

	card_run(card, "tap", NULL, 0);
	buffer = give(card, RX(0), 2000, 0);
	far_put(card, 0, 1, 100);
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
	assert_int_equal(fakehost_chain_get(buffer, HEADER + 100, &rest, 1), 1);
	assert_int_equal(rest, 0xa5);
	assert_int_equal(metric(card, "rx_frames"), 1);
	assert_int_equal(metric(card, "rx_bytes"), 100);
}

static void a_long_frame_is_one_read(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[60];

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), 1536, 0);
	far_put(card, 0, 1, LONG);
	settle(card);
	/* And one that finds nothing more. */
	assert_int_equal(calls.readv, 2);
	assert_received(card, buffers, (HEADER + LONG + 1535) / 1536, 1, LONG);
	assert_pending(buffers[(HEADER + LONG + 1535) / 1536]);
}

/* 5.1.6.4.1: all but the last of its buffers are used completely, whatever they are like. */
static void a_frame_takes_as_many_buffers_as_it_needs(void **state)
{
	static const size_t sizes[] = { 12, 13, 20, 11 + 12, 100, 12, 300, 64, 2000, 70000 };
	struct card *card = *state;
	struct fakehost_chain *buffers[COUNT_OF(sizes)];
	size_t before = 0;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < COUNT_OF(sizes); i++)
		buffers[i] = give(card, RX(0), sizes[i], i % 3 ? 7 : 0);
	far_put(card, 0, 1, 500);
	settle(card);
	/* 12 + 13 + 20 + 23 + 100 + 12 + 300 are 480, of 512. */
	assert_received(card, buffers, 8, 1, 500);
	for (uint32_t i = 0; i < 7; i++) {
		assert_int_equal(fakehost_chain_used(buffers[i]), sizes[i]);
		before += sizes[i];
	}
	assert_int_equal(fakehost_chain_used(buffers[7]), HEADER + 500 - before);
	assert_pending(buffers[8]);
	/* The one that was next is first now, from its beginning. */
	far_put(card, 0, 2, 1900);
	settle(card);
	assert_received(card, &buffers[8], 1, 2, 1900);
	far_put(card, 0, 3, LONGEST);
	settle(card);
	assert_received(card, &buffers[9], 1, 3, LONGEST);
}

/* Pieces, and where the header ends in them, in all ways. */
static void a_header_can_lie_in_pieces_of_any_size(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (size_t piece = 1; piece <= 30; piece++) {
		struct fakehost_chain *buffers[] = { give(card, RX(0), 130, piece), give(card, RX(0), 120, piece) };

		far_put(card, 0, (uint32_t)piece, 200);
		settle(card);
		assert_received(card, buffers, 2, (uint32_t)piece, 200);
	}
}

/* 5.1.6.3.2, 5.1.6.4.1: one buffer, and num_buffers is 1. */
static void without_merging_a_frame_has_one_buffer(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[4];

	card_run(card, "tap", NULL, NO_MERGING);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), HEADER + 1514, i ? 33 : 0);
	far_put(card, 0, 1, 1514);
	far_put(card, 0, 2, 1515);
	far_put(card, 0, 3, 100);
	settle(card);
	assert_received(card, &buffers[0], 1, 1, 1514);
	/* The one that did not fit is lost, and its buffer the next one's. */
	assert_received(card, &buffers[1], 1, 3, 100);
	assert_pending(buffers[2]);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
}

static void buffers_of_linux_without_merging(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[3];

	card_run(card, "tap", NULL, NO_MERGING);
	/* A header in a piece of its own, then pages. */
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++) {
		struct fakehost_piece pieces[20] = { { NULL, HEADER } };

		for (uint32_t j = 1; j < 18; j++)
			pieces[j] = (struct fakehost_piece){ NULL, 4096 };
		assert_int_equal(fakehost_chain(card->dev, RX(0), pieces, &buffers[i]), 0);
	}
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		far_put(card, 0, i, LONG + i);
	settle(card);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		assert_received(card, &buffers[i], 1, i, LONG + i);
	assert_int_equal(calls.readv, COUNT_OF(buffers));
}

/* ---- many ---- */

/* Through the window again and again, with sizes that never fit it evenly: nothing is mixed up. */
static void a_long_stream_of_frames(void **state)
{
	static const size_t sizes[] = { 1536, 4096, 700, 2048, 129 };
	struct card *card = *state;
	struct fakehost_chain *buffers[4096];
	uint32_t given = 0, taken = 0;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 300; i++) {
		size_t bytes = 14 + (i * 7919u) % 12000, room = 0;
		uint32_t count = 0;

		while (given - taken < 40 && given < COUNT_OF(buffers)) {
			buffers[given] = give(card, RX(0), sizes[given % COUNT_OF(sizes)], given % 4 ? 0 : 100);
			given++;
		}
		far_put(card, 0, i, bytes);
		settle(card);
		for (; room < HEADER + bytes; count++)
			room += sizes[(taken + count) % COUNT_OF(sizes)];
		assert_received(card, buffers + taken, count, i, bytes);
		taken += count;
	}
	assert_int_equal(metric(card, "rx_frames"), 300);
}

static void one_callback_reads_a_batch_at_most(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 200; i++)
		give(card, RX(0), 200, 0);
	for (uint32_t i = 0; i < 100; i++)
		far_put(card, 0, i, 60);
	assert_int_equal(fakehost_poll(card->host), 1);
	assert_int_equal(calls.readv, 64);
	assert_int_equal(fakehost_chains_done(card->dev), 64);
	settle(card);
	assert_int_equal(fakehost_chains_done(card->dev), 100);
}

/* ---- no buffers ---- */

static void nothing_is_read_without_a_buffer(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	far_put(card, 0, 1, 100);
	far_put(card, 0, 2, 100);
	assert_int_equal(fakehost_poll(card->host), 0);
	assert_int_equal(calls.readv, 0);
	buffer = give(card, RX(0), 500, 0);
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
	assert_int_equal(calls.readv, 1);
	assert_int_equal(fakehost_poll(card->host), 0);
	buffer = give(card, RX(0), 500, 0);
	settle(card);
	assert_received(card, &buffer, 1, 2, 100);
}

/* The rest of a frame waits with the device, not in vain. */
static void a_frame_that_finds_too_few_buffers_waits_for_more(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[5];

	card_run(card, "tap", NULL, 0);
	buffers[0] = give(card, RX(0), 300, 0);
	buffers[1] = give(card, RX(0), 300, 100);
	far_put(card, 0, 1, 1000);
	far_put(card, 0, 2, 100);
	settle(card);
	assert_int_equal(calls.readv, 1);
	assert_pending(buffers[0]);
	buffers[2] = give(card, RX(0), 300, 0);
	assert_pending(buffers[0]);
	/* It is not asked again meanwhile. */
	assert_int_equal(fakehost_poll(card->host), 0);
	buffers[3] = give(card, RX(0), 300, 33);
	assert_received(card, buffers, 4, 1, 1000);
	buffers[4] = give(card, RX(0), 300, 0);
	settle(card);
	assert_received(card, &buffers[4], 1, 2, 100);
	assert_int_equal(metric(card, "rx_drop_room"), 0);
}

static void the_longest_frame_in_many_small_buffers(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[256];

	card_run(card, "tap", NULL, 0);
	buffers[0] = give(card, RX(0), 300, 0);
	far_put(card, 0, 1, LONGEST);
	settle(card);
	for (uint32_t i = 1; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), 300, 0);
	assert_received(card, buffers, (HEADER + LONGEST + 299) / 300, 1, LONGEST);
}

/* A guest that has no more to give must not lose its network for that. */
static void a_frame_does_not_wait_for_ever(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[2];

	card_run(card, "tap", NULL, 0);
	buffers[0] = give(card, RX(0), 300, 0);
	far_put(card, 0, 1, 1000);
	far_put(card, 0, 2, 100);
	settle(card);
	fakehost_advance(card->host, 999999999);
	settle(card);
	assert_pending(buffers[0]);
	fakehost_advance(card->host, 1);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	assert_received(card, buffers, 1, 2, 100);
	/* And the next one has as much time as the first had. */
	buffers[0] = give(card, RX(0), 300, 0);
	far_put(card, 0, 3, 500);
	settle(card);
	fakehost_advance(card->host, 999999999);
	buffers[1] = give(card, RX(0), 300, 0);
	assert_received(card, buffers, 2, 3, 500);
	fakehost_advance(card->host, 2000000000);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
}

/* ---- looking for buffers ---- */

static void the_guest_does_not_have_to_tell_while_there_are_buffers(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[4];

	card_run(card, "tap", NULL, 0);
	buffers[0] = give(card, RX(0), 500, 0);
	buffers[1] = give(card, RX(0), 500, 0);
	assert_true(fakehost_queue_tells(card->dev, RX(0)));
	far_put(card, 0, 1, 100);
	settle(card);
	assert_false(fakehost_queue_tells(card->dev, RX(0)));
	/* They are found when they are needed. */
	buffers[2] = give(card, RX(0), 500, 0);
	buffers[3] = give(card, RX(0), 500, 0);
	far_put(card, 0, 2, 900);
	settle(card);
	assert_received(card, &buffers[1], 2, 2, 900);
	assert_pending(buffers[3]);
	assert_false(fakehost_queue_tells(card->dev, RX(0)));
}

static void it_has_to_tell_when_there_are_none(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 500, 0);
	far_put(card, 0, 1, 100);
	far_put(card, 0, 2, 100);
	settle(card);
	assert_true(fakehost_queue_tells(card->dev, RX(0)));
	buffer = give(card, RX(0), 500, 0);
	settle(card);
	assert_received(card, &buffer, 1, 2, 100);
}

static void it_has_to_tell_while_a_frame_waits(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 500, 0);
	give(card, RX(0), 500, 0);
	far_put(card, 0, 1, 100);
	far_put(card, 0, 2, 1000);
	settle(card);
	assert_true(fakehost_queue_tells(card->dev, RX(0)));
	assert_int_equal(metric(card, "rx_frames"), 1);
	give(card, RX(0), 600, 0);
	assert_int_equal(metric(card, "rx_frames"), 2);
}

static void a_buffer_that_is_none_is_found_by_looking_too(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 500, 0);
	give(card, RX(0), 500, 0);
	far_put(card, 0, 1, 100);
	settle(card);
	give(card, RX(0), 11, 0);
	assert_false(fakehost_is_broken(card->dev));
	far_put(card, 0, 2, 100);
	settle(card);
	assert_true(fakehost_is_broken(card->dev));
}

/* More pieces than one read can take: what is too long for them is lost, and nothing else. */
static void buffers_in_very_small_pieces(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[12];

	card_run(card, "tap", NULL, 0);
	/* 200 bytes in as many pieces: 5 of these in a read. */
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), 200, 1);
	far_put(card, 0, 1, 900);
	far_put(card, 0, 2, 1500);
	far_put(card, 0, 3, 900);
	settle(card);
	assert_received(card, buffers, 5, 1, 900);
	assert_received(card, buffers + 5, 5, 3, 900);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
}

static void a_reset_forgets_a_frame_that_waits(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 300, 0);
	far_put(card, 0, 1, 1000);
	settle(card);
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	buffer = give(card, RX(0), 2000, 0);
	far_put(card, 0, 2, 100);
	settle(card);
	assert_received(card, &buffer, 1, 2, 100);
	fakehost_advance(card->host, 3000000000);
	assert_int_equal(metric(card, "rx_drop_room"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_frame_fills_the_beginning_of_a_buffer),
		NET_TEST(a_long_frame_is_one_read),
		NET_TEST(a_frame_takes_as_many_buffers_as_it_needs),
		NET_TEST(a_header_can_lie_in_pieces_of_any_size),
		NET_TEST(without_merging_a_frame_has_one_buffer),
		NET_TEST(buffers_of_linux_without_merging),
		NET_TEST(a_long_stream_of_frames),
		NET_TEST(one_callback_reads_a_batch_at_most),
		NET_TEST(nothing_is_read_without_a_buffer),
		NET_TEST(a_frame_that_finds_too_few_buffers_waits_for_more),
		NET_TEST(the_longest_frame_in_many_small_buffers),
		NET_TEST(a_frame_does_not_wait_for_ever),
		NET_TEST(the_guest_does_not_have_to_tell_while_there_are_buffers),
		NET_TEST(it_has_to_tell_when_there_are_none),
		NET_TEST(it_has_to_tell_while_a_frame_waits),
		NET_TEST(a_buffer_that_is_none_is_found_by_looking_too),
		NET_TEST(buffers_in_very_small_pieces),
		NET_TEST(a_reset_forgets_a_frame_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
