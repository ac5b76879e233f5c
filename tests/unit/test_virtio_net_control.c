/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: commands of the guest (VIRTIO 1.2, 5.1.6.5): queue pairs and offloads. */
#include "tests/unit/net_fixture.h"

#include "tests/unit/net_control.h"

#define PAIRS   4u
#define CONTROL (2 * PAIRS)

static const struct fakehost_pair four_pairs[] = { { "queues", "4" }, { NULL, NULL } };

static void run_pairs(struct card *card)
{
	card_run(card, "tap", four_pairs, 0);
}

/* Which of the card's queue pairs the tap has attached, as a mask: by what comes through. */
static uint32_t pairs_that_send(struct card *card)
{
	uint32_t mask = 0;

	for (uint32_t pair = 0; pair < PAIRS; pair++) {
		assert_done(send_frame(card, TX(pair), pair, 100));
		for (uint32_t out = 0; out < PAIRS; out++)
			if (far_get(card, out) >= 0)
				mask |= 1u << out;
	}
	return mask;
}

static uint32_t pairs_that_receive(struct card *card)
{
	uint32_t mask = 0;

	for (uint32_t pair = 0; pair < PAIRS; pair++) {
		struct fakehost_chain *buffer = give(card, RX(pair), 500, 0);

		far_put(card, pair, pair, 100);
		settle(card);
		if (fakehost_chain_order(buffer))
			mask |= 1u << pair;
	}
	return mask;
}

/* ---- queue pairs ---- */

/* 5.1.6.5.6.2 */
static void at_first_there_is_one_pair(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(calls.detached_count, PAIRS - 1);
	assert_int_equal(pairs_that_receive(card), 1);
}

static void all_pairs_can_be_used(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, PAIRS), VIRTIO_NET_OK);
	assert_int_equal(calls.detached_count, 0);
	assert_int_equal(pairs_that_send(card), 0xf);
	assert_int_equal(pairs_that_receive(card), 0xf);
}

static void pairs_can_be_given_up_again(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 4), VIRTIO_NET_OK);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	assert_int_equal(calls.detached_count, 2);
	assert_int_equal(pairs_that_receive(card), 3);
	assert_int_equal(set_pairs(card, CONTROL, 3), VIRTIO_NET_OK);
	assert_int_equal(calls.detached_count, 1);
	/* Two buffers are there from before, and what came meanwhile is first. */
	settle(card);
	assert_int_equal(fakehost_chains_left(card->dev, RX(2)), 0);
}

/* Linux gives up a pair and sends on it for a moment still. */
static void frames_on_a_pair_not_in_use_leave_by_the_first(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(pairs_that_send(card), 1);
	assert_int_equal(metric(card, "tx_frames"), PAIRS);
	/* It is not waited for, so it does not wait either. */
	calls.writev_error = EAGAIN;
	assert_done(send_frame(card, TX(1), 1, 100));
	assert_int_equal(metric(card, "tx_drop_host"), 1);
}

static void what_waits_on_a_pair_that_is_given_up_leaves_by_the_first(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *chains[3];

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	calls.writev_error = EAGAIN;
	for (uint32_t i = 0; i < COUNT_OF(chains); i++)
		chains[i] = send_frame(card, TX(1), i, 100);
	calls.writev_error = 0;
	assert_int_equal(set_pairs(card, CONTROL, 1), VIRTIO_NET_OK);
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		assert_done(chains[i]);
		assert_sent(card, 0, i, 100);
	}
}

/* 5.1.6.5.6.2: not even what has been read already. */
static void a_frame_that_waits_on_a_pair_that_is_given_up_is_lost(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	buffer = give(card, RX(1), 300, 0);
	far_put(card, 1, 1, 1000);
	settle(card);
	assert_int_equal(set_pairs(card, CONTROL, 1), VIRTIO_NET_OK);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	give(card, RX(1), 2000, 0);
	fakehost_advance(card->host, 3000000000);
	settle(card);
	assert_pending(buffer);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	far_put(card, 1, 2, 200);
	settle(card);
	assert_received(card, &buffer, 1, 2, 200);
}

static void numbers_of_pairs_that_cannot_be(void **state)
{
	static const uint16_t wrong[] = { 0, PAIRS + 1, PAIRS << 8, 0x8000, 0x8001, 0xffff };
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	for (uint32_t i = 0; i < COUNT_OF(wrong); i++)
		assert_int_equal(set_pairs(card, CONTROL, wrong[i]), VIRTIO_NET_ERR);
	assert_int_equal(metric(card, "control_errors"), COUNT_OF(wrong));
	assert_int_equal(calls.detached_count, 2);
	assert_int_equal(pairs_that_receive(card), 3);
}

static void a_tap_that_does_not_attach_leaves_all_as_it_was(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	calls.ioctl_error = EPERM;
	calls.error_at = (int)TUNSETQUEUE;
	assert_int_equal(set_pairs(card, CONTROL, 4), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(card, CONTROL, 1), VIRTIO_NET_ERR);
	calls.ioctl_error = 0;
	assert_int_equal(pairs_that_receive(card), 3);
}

static void a_reset_leaves_one_pair(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, PAIRS), VIRTIO_NET_OK);
	assert_int_equal(fakehost_reset(card->dev), 0);
	assert_int_equal(calls.detached_count, PAIRS - 1);
	card_drive(card, 0);
	assert_int_equal(pairs_that_receive(card), 1);
}

/* A detached descriptor of a tap is one in error. */
static void a_pair_not_in_use_is_not_waited_for(void **state)
{
	struct card *card = *state;

	run_pairs(card);
	assert_int_equal(set_pairs(card, CONTROL, 2), VIRTIO_NET_OK);
	assert_int_equal(set_pairs(card, CONTROL, 1), VIRTIO_NET_OK);
	for (uint32_t pair = 1; pair < PAIRS; pair++)
		assert_int_equal(shutdown(far_end(card, pair), SHUT_RDWR), 0);
	assert_int_equal(settle(card), 0);
	assert_true(link_is_up(card));
}

static void pairs_are_for_those_who_have_negotiated_them(void **state)
{
	struct card *card = *state;

	/* 5.1.2: the control queue has another place then. */
	card_run(card, "tap", four_pairs, BIT(VIRTIO_NET_F_MQ));
	assert_int_equal(set_pairs(card, 2, 2), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(card, 2, 1), VIRTIO_NET_ERR);
	assert_int_equal(calls.detached_count, PAIRS - 1);
}

/* ---- offloads ---- */

#define G_CSUM BIT(VIRTIO_NET_F_GUEST_CSUM)
#define G_TSO4 BIT(VIRTIO_NET_F_GUEST_TSO4)
#define G_TSO6 BIT(VIRTIO_NET_F_GUEST_TSO6)
#define G_ECN  BIT(VIRTIO_NET_F_GUEST_ECN)

static void what_was_negotiated_is_in_effect(void **state)
{
	static const struct {
		uint64_t without;
		unsigned long flags;
	} cases[] = {
		{ 0, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN },
		{ G_ECN, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 },
		{ G_TSO4, TUN_F_CSUM | TUN_F_TSO6 | TUN_F_TSO_ECN },
		{ G_TSO6 | G_ECN, TUN_F_CSUM | TUN_F_TSO4 },
		{ G_TSO4 | G_TSO6 | G_ECN, TUN_F_CSUM },
		{ G_CSUM | G_TSO4 | G_TSO6 | G_ECN, 0 },
		/* 5.1.3.1: what needs another does nothing without it. */
		{ G_CSUM, 0 },
		{ G_TSO4 | G_TSO6, TUN_F_CSUM },
	};
	struct card *card = *state;

	card_open(card, "tap", NULL);
	for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
		card_drive(card, cases[i].without);
		assert_int_equal(calls.offloads, cases[i].flags);
		assert_int_equal(fakehost_reset(card->dev), 0);
		assert_int_equal(calls.offloads, 0);
	}
}

static void the_guest_can_change_its_mind(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	assert_int_equal(set_offloads(card, 2, G_CSUM), VIRTIO_NET_OK);
	assert_int_equal(calls.offloads, TUN_F_CSUM);
	assert_int_equal(set_offloads(card, 2, G_CSUM | G_TSO6 | G_ECN), VIRTIO_NET_OK);
	assert_int_equal(calls.offloads, TUN_F_CSUM | TUN_F_TSO6 | TUN_F_TSO_ECN);
	assert_int_equal(set_offloads(card, 2, 0), VIRTIO_NET_OK);
	assert_int_equal(calls.offloads, 0);
}

static void a_frame_that_the_guest_does_not_want_any_more_is_dropped(void **state)
{
	const struct virtio_net_hdr_v1 gso = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = htole16(500) };
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	buffer = give(card, RX(0), 5000, 0);
	far_put_headed(card, 0, &gso, frame_make(card, 1, 2000), 2000);
	assert_int_equal(set_offloads(card, 2, G_CSUM), VIRTIO_NET_OK);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_offload"), 1);
	assert_pending(buffer);
}

/* 5.1.6.5.8: none that was not negotiated. */
static void offloads_that_cannot_be(void **state)
{
	static const uint64_t wrong[] = {
		G_TSO6, /* not negotiated here, and without checksums */
		G_CSUM | G_TSO6,  G_TSO4, G_CSUM | G_ECN, G_CSUM | BIT(10),
		G_CSUM | BIT(54), BIT(0), BIT(63),        UINT64_MAX,
	};
	struct card *card = *state;

	card_run(card, "tap", NULL, G_TSO6);
	for (uint32_t i = 0; i < COUNT_OF(wrong); i++)
		assert_int_equal(set_offloads(card, 2, wrong[i]), VIRTIO_NET_ERR);
	assert_int_equal(calls.offloads, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN);
	assert_int_equal(metric(card, "control_errors"), COUNT_OF(wrong));
}

static void a_tap_that_does_not_take_offloads(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	calls.ioctl_error = EINVAL;
	assert_int_equal(set_offloads(card, 2, G_CSUM), VIRTIO_NET_ERR);
	calls.ioctl_error = 0;
	assert_int_equal(set_offloads(card, 2, G_CSUM | G_TSO4), VIRTIO_NET_OK);
	assert_int_equal(calls.offloads, TUN_F_CSUM | TUN_F_TSO4);
}

static void offloads_are_for_those_who_have_negotiated_to_change_them(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS));
	assert_int_equal(set_offloads(card, 2, G_CSUM), VIRTIO_NET_ERR);
	assert_int_equal(calls.offloads, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(at_first_there_is_one_pair),
		NET_TEST(all_pairs_can_be_used),
		NET_TEST(pairs_can_be_given_up_again),
		NET_TEST(frames_on_a_pair_not_in_use_leave_by_the_first),
		NET_TEST(what_waits_on_a_pair_that_is_given_up_leaves_by_the_first),
		NET_TEST(a_frame_that_waits_on_a_pair_that_is_given_up_is_lost),
		NET_TEST(numbers_of_pairs_that_cannot_be),
		NET_TEST(a_tap_that_does_not_attach_leaves_all_as_it_was),
		NET_TEST(a_reset_leaves_one_pair),
		NET_TEST(a_pair_not_in_use_is_not_waited_for),
		NET_TEST(pairs_are_for_those_who_have_negotiated_them),
		NET_TEST(what_was_negotiated_is_in_effect),
		NET_TEST(the_guest_can_change_its_mind),
		NET_TEST(a_frame_that_the_guest_does_not_want_any_more_is_dropped),
		NET_TEST(offloads_that_cannot_be),
		NET_TEST(a_tap_that_does_not_take_offloads),
		NET_TEST(offloads_are_for_those_who_have_negotiated_to_change_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
