/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: frames that the guest sends through a tap. */
#include "tests/unit/net_fixture.h"

/* A frame as long as they get, of which Linux makes one write. */
#define GSO_BYTES 65000u

static struct virtio_net_hdr_v1 gso_header(void)
{
	return (struct virtio_net_hdr_v1){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = htole16(54),
		.gso_size = htole16(1448),
		.csum_start = htole16(34),
		.csum_offset = htole16(16),
	};
}

static void assert_header(const struct card *card, const struct virtio_net_hdr_v1 *expected)
{
	assert_memory_equal(card->got, expected, HEADER);
}

/* ---- frames go ---- */

static void a_frame_arrives_as_it_was_sent(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	assert_done(send_frame(card, TX(0), 1, 1514));
	assert_sent(card, 0, 1, 1514);
	assert_header(card, &no_header);
	assert_int_equal(metric(card, "tx_frames"), 1);
	assert_int_equal(metric(card, "tx_bytes"), 1514);
}

static void a_gso_frame_is_one_write(void **state)
{
	struct card *card = *state;
	const struct virtio_net_hdr_v1 header = gso_header();

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 3; i++) {
		assert_done(send_headed(card, TX(0), &header, frame_make(card, i, GSO_BYTES), GSO_BYTES));
		assert_int_equal(calls.writev, i + 1);
		assert_sent(card, 0, i, GSO_BYTES);
		assert_header(card, &header);
	}
	assert_int_equal(metric(card, "tx_bytes"), 3 * GSO_BYTES);
}

static void the_longest_and_the_shortest_frame(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	assert_done(send_frame(card, TX(0), 1, LONGEST));
	assert_sent(card, 0, 1, LONGEST);
	assert_done(send_frame(card, TX(0), 2, ETHER));
	assert_sent(card, 0, 2, ETHER);
}

/* 2.7.4.1: what the pieces are says nothing. */
static void pieces_can_be_of_any_size(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 11, 12, 13, 25, 26, 27, 64, 1000 };
	struct card *card = *state;
	const struct virtio_net_hdr_v1 header = gso_header();
	uint8_t both[HEADER + 240];

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < COUNT_OF(pieces); i++) {
		memcpy(both, &header, HEADER);
		memcpy(both + HEADER, frame_make(card, i, 240), 240);
		assert_done(send_bytes(card, TX(0), both, sizeof(both), pieces[i]));
		assert_sent(card, 0, i, 240);
		assert_header(card, &header);
	}
}

static void frames_keep_their_order(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_done(send_frame(card, TX(0), i, 100 + i));
	for (uint32_t i = 0; i < 50; i++)
		assert_sent(card, 0, i, 100 + i);
	assert_nothing_sent(card, 0);
}

/* ---- frames wait ---- */

static void frames_wait_for_the_tap_in_order(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *chains[5];

	card_run(card, "tap", NULL, 0);
	calls.writev_error = EAGAIN;
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		chains[i] = send_frame(card, TX(0), i, 100 + i);
		assert_pending(chains[i]);
	}
	/* Those behind the first do not try to overtake it. */
	assert_int_equal(calls.writev, 1);
	calls.writev_error = 0;
	settle(card);
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		assert_sent(card, 0, i, 100 + i);
		assert_int_equal(fakehost_chain_order(chains[i]), i + 1);
	}
	assert_int_equal(calls.writev, 1 + COUNT_OF(chains));
	/* And nothing is waited for any more. */
	assert_int_equal(fakehost_poll(card->host), 0);
}

/* A tap that says that it is writable and then is not is asked again by the host, not by us. */
static void a_tap_that_takes_nothing_is_asked_once_an_event(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	calls.writev_error = EAGAIN;
	assert_pending(send_frame(card, TX(0), 1, 100));
	assert_pending(send_frame(card, TX(0), 2, 100));
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(fakehost_poll(card->host), 1);
		assert_int_equal(calls.writev, 2 + i);
	}
}

/* The other end is slow: a real socket that fills up. */
static void nothing_is_lost_when_the_other_end_is_slow(void **state)
{
	struct card *card = *state;
	uint32_t sent = 0;

	card_run(card, "tap", NULL, 0);
	while (fakehost_chains_left(card->dev, TX(0)) < 10) {
		send_frame(card, TX(0), sent, 30000);
		assert_true(++sent < 10000);
	}
	assert_int_equal(fakehost_poll(card->host), 0);
	for (uint32_t i = 0; i < sent; i++) {
		settle(card);
		assert_sent(card, 0, i, 30000);
	}
	assert_nothing_sent(card, 0);
	assert_int_equal(fakehost_chains_left(card->dev, TX(0)), 0);
	assert_int_equal(metric(card, "tx_frames"), sent);
}

static void one_callback_sends_a_batch_at_most(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	calls.writev_error = EAGAIN;
	for (uint32_t i = 0; i < 150; i++)
		send_frame(card, TX(0), i, 60);
	calls.writev_error = 0;
	calls.writev = 0;
	for (uint32_t sent = 0; sent < 150;) {
		uint32_t batch = 150 - sent < 64 ? 150 - sent : 64;

		assert_int_equal(fakehost_poll(card->host), 1);
		assert_int_equal(calls.writev, sent + batch);
		for (; batch; batch--, sent++)
			assert_sent(card, 0, sent, 60);
		assert_nothing_sent(card, 0);
	}
	assert_int_equal(fakehost_chains_left(card->dev, TX(0)), 0);
}

static void a_reset_forgets_what_waits(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *waits;

	card_run(card, "tap", NULL, 0);
	calls.writev_error = EAGAIN;
	waits = send_frame(card, TX(0), 1, 100);
	assert_int_equal(fakehost_reset(card->dev), 0);
	calls.writev_error = 0;
	settle(card);
	card_drive(card, 0);
	settle(card);
	assert_nothing_sent(card, 0);
	assert_pending(waits);
	assert_done(send_frame(card, TX(0), 2, 100));
	assert_sent(card, 0, 2, 100);
}

/* ---- the host does not take it ---- */

static void a_refused_frame_is_lost_and_counted(void **state)
{
	static const int errors[] = { EIO, EINVAL, ENOBUFS, ENOMEM };
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < COUNT_OF(errors); i++) {
		calls.writev_error = errors[i];
		assert_done(send_frame(card, TX(0), i, 100));
		assert_int_equal(metric(card, "tx_drop_host"), i + 1);
	}
	calls.writev_error = 0;
	assert_done(send_frame(card, TX(0), 9, 100));
	assert_sent(card, 0, 9, 100);
	assert_int_equal(metric(card, "tx_frames"), 1);
	assert_true(link_is_up(card));
}

static void an_interface_that_is_gone_takes_the_link_down(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *waits;

	card_run(card, "tap", NULL, 0);
	calls.writev_error = EAGAIN;
	waits = send_frame(card, TX(0), 1, 100);
	calls.writev_error = EBADFD;
	settle(card);
	assert_done(waits);
	assert_false(link_is_up(card));
	assert_int_equal(fakehost_config_notices(card->dev), 1);
	assert_done(send_frame(card, TX(0), 2, 100));
	assert_int_equal(metric(card, "tx_drop_link"), 1);
	assert_int_equal(fakehost_log_count(card->host, "the tap interface is gone"), 1);
	/* A reset does not bring it back, and nothing asks it any more. */
	calls.writev_error = 0;
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	assert_false(link_is_up(card));
	assert_done(send_frame(card, TX(0), 3, 100));
	assert_nothing_sent(card, 0);
}

static void an_interface_in_error_is_gone(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	assert_int_equal(shutdown(far_end(card, 0), SHUT_RDWR), 0);
	settle(card);
	assert_false(link_is_up(card));
	assert_int_equal(fakehost_log_count(card->host, "the tap interface is gone"), 1);
}

/* ---- what the guest says of itself ---- */

static void frames_of_other_addresses_are_dropped(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (size_t i = 0; i < 6; i++) {
		frame_make(card, 1, 100);
		card->frame[6 + i] ^= 1;
		assert_done(send_headed(card, TX(0), &no_header, card->frame, 100));
		assert_int_equal(metric(card, "tx_drop_mac"), i + 1);
	}
	assert_nothing_sent(card, 0);
	assert_int_equal(metric(card, "tx_frames"), 0);
}

static void without_the_guard_they_are_not(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "mac_guard", "false" }, { NULL, NULL } }, 0);
	frame_make(card, 1, 100);
	memcpy(card->frame + 6, other_mac, 6);
	assert_done(send_headed(card, TX(0), &no_header, card->frame, 100));
	assert_int_equal(far_get(card, 0), 100);
	assert_memory_equal(card->got + HEADER + 6, other_mac, 6);
}

/* Another CPU of the guest, which writes to the frame between the check and the write: to what has been checked, and to what has not. What
 * comes behind the Ethernet header is one piece, so that all of the frame lies around it. */
static void swap_both(const struct iovec *iov, int count)
{
	uint8_t *payload = iov[1].iov_base;

	assert_int_equal(count, 2);
	memcpy(payload - ETHER + 6, other_mac, 6);
	payload[-(ptrdiff_t)ETHER - (ptrdiff_t)HEADER] = 0xff;
	payload[0] = 0xee;
}

static void what_was_checked_is_what_is_sent(void **state)
{
	struct card *card = *state;
	uint8_t both[HEADER + 100] = { 0 };

	card_run(card, "tap", NULL, 0);
	memcpy(both + HEADER, frame_make(card, 1, 100), 100);
	calls.before_write = swap_both;
	assert_done(send_bytes(card, TX(0), both, sizeof(both), sizeof(both)));
	assert_int_equal(far_get(card, 0), 100);
	assert_memory_equal(card->got + HEADER + 6, own_mac, 6);
	assert_header(card, &no_header);
	/* The swap does work: behind what was checked, the frame is the guest's memory as it is. */
	assert_int_equal(card->got[HEADER + ETHER], 0xee);
}

/* A frame that waits is looked at once, too. */
static void what_was_checked_stays_so_while_it_waits(void **state)
{
	struct card *card = *state;
	uint8_t both[HEADER + 100] = { 0 };

	card_run(card, "tap", NULL, 0);
	memcpy(both + HEADER, frame_make(card, 1, 100), 100);
	calls.writev_error = EAGAIN;
	assert_pending(send_bytes(card, TX(0), both, sizeof(both), sizeof(both)));
	calls.writev_error = 0;
	calls.before_write = swap_both;
	settle(card);
	assert_int_equal(far_get(card, 0), 100);
	assert_memory_equal(card->got + HEADER + 6, own_mac, 6);
	assert_header(card, &no_header);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_frame_arrives_as_it_was_sent),
		NET_TEST(a_gso_frame_is_one_write),
		NET_TEST(the_longest_and_the_shortest_frame),
		NET_TEST(pieces_can_be_of_any_size),
		NET_TEST(frames_keep_their_order),
		NET_TEST(frames_wait_for_the_tap_in_order),
		NET_TEST(a_tap_that_takes_nothing_is_asked_once_an_event),
		NET_TEST(nothing_is_lost_when_the_other_end_is_slow),
		NET_TEST(one_callback_sends_a_batch_at_most),
		NET_TEST(a_reset_forgets_what_waits),
		NET_TEST(a_refused_frame_is_lost_and_counted),
		NET_TEST(an_interface_that_is_gone_takes_the_link_down),
		NET_TEST(an_interface_in_error_is_gone),
		NET_TEST(frames_of_other_addresses_are_dropped),
		NET_TEST(without_the_guard_they_are_not),
		NET_TEST(what_was_checked_is_what_is_sent),
		NET_TEST(what_was_checked_stays_so_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
