/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: what comes from a tap and is not for the guest, and headers of the kernel's (VIRTIO 1.2, 5.1.4.1 and 5.1.6.4.1). */
#include "tests/unit/net_fixture.h"

/* ---- what cannot be given ---- */

static void frames_that_are_none_are_dropped(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	buffer = give(card, RX(0), 70000, 0);
	far_put(card, 0, 1, 13);
	assert_int_equal(write(far_end(card, 0), "short", 5), 5);
	far_put(card, 0, 2, 14);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_size"), 2);
	assert_received(card, &buffer, 1, 2, 14);
}

static void a_frame_longer_than_any_is_dropped(void **state)
{
	static const uint8_t long_frame[70000];
	struct card *card = *state;
	struct fakehost_chain *buffers[2];

	card_run(card, "tap", NULL, 0);
	for (uint32_t i = 0; i < 2; i++)
		buffers[i] = give(card, RX(0), 80000 - 40000 * i, 0);
	far_put_headed(card, 0, &no_header, long_frame, 65594);
	far_put_headed(card, 0, &no_header, long_frame, sizeof(long_frame));
	far_put_headed(card, 0, &no_header, long_frame, 65593);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_size"), 2);
	assert_int_equal(fakehost_chain_used(buffers[0]), HEADER + 65593);
	assert_pending(buffers[1]);
}

/* 5.1.4.1: but with segments still to be made of them. */
static void frames_longer_than_the_mtu_are_dropped(void **state)
{
	struct card *card = *state;
	const struct virtio_net_hdr_v1 gso = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					       .gso_size = htole16(946),
					       .csum_start = htole16(34),
					       .csum_offset = htole16(16) };
	struct fakehost_chain *buffers[4];

	card_run(card, "tap", (const struct fakehost_pair[]){ { "mtu", "1000" }, { NULL, NULL } }, 0);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), 5000, i == 1 ? 13 : 0);
	far_put(card, 0, 1, 1014);
	far_put(card, 0, 2, 1015);
	/* A tag of a VLAN is part of the Ethernet header. */
	frame_make(card, 3, 1018);
	card->frame[12] = 0x81;
	far_put_headed(card, 0, &no_header, card->frame, 1018);
	frame_make(card, 3, 1019);
	card->frame[12] = 0x81;
	far_put_headed(card, 0, &no_header, card->frame, 1019);
	far_put_headed(card, 0, &gso, frame_make(card, 4, 4000), 4000);
	settle(card);
	assert_received(card, &buffers[0], 1, 1, 1014);
	assert_int_equal(take_frame(card, &buffers[1], 1, NULL), 1018);
	assert_received(card, &buffers[2], 1, 4, 4000);
	assert_pending(buffers[3]);
	assert_int_equal(metric(card, "rx_drop_size"), 2);
}

static void a_driver_that_does_not_take_the_mtu_gets_them(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "mtu", "1000" }, { NULL, NULL } },
		 BIT(VIRTIO_NET_F_MTU));
	buffer = give(card, RX(0), 5000, 0);
	far_put(card, 0, 1, 1500);
	settle(card);
	assert_received(card, &buffer, 1, 1, 1500);
}

/* ---- headers of the kernel ---- */

/* What comes in with this header, for a guest without some features: the header's flags, or -1 if it is dropped. */
static int flags_through(struct card *card, uint8_t flags, uint8_t gso_type, uint64_t without)
{
	const struct virtio_net_hdr_v1 header = { .flags = flags,
						  .gso_type = gso_type,
						  .hdr_len = htole16(54),
						  .gso_size = htole16(500),
						  .csum_start = htole16(34),
						  .csum_offset = htole16(16) };
	struct virtio_net_hdr_v1 got;
	struct fakehost_chain *buffer;
	uint64_t dropped = metric(card, "rx_drop_offload");

	card_drive(card, without);
	buffer = give(card, RX(0), 2000, 0);
	far_put_headed(card, 0, &header, frame_make(card, 1, 1000), 1000);
	settle(card);
	if (metric(card, "rx_drop_offload") != dropped) {
		assert_pending(buffer);
		assert_int_equal(fakehost_reset(card->dev), 0);
		return -1;
	}
	assert_int_equal(take_frame(card, &buffer, 1, &got), 1000);
	assert_int_equal(got.gso_type, gso_type);
	assert_int_equal(got.hdr_len, header.hdr_len);
	assert_int_equal(got.gso_size, header.gso_size);
	assert_int_equal(got.csum_start, header.csum_start);
	assert_int_equal(got.csum_offset, header.csum_offset);
	assert_int_equal(fakehost_reset(card->dev), 0);
	return got.flags;
}

/* A frame may have waited in the kernel since the guest was told to be able to do more. */
static void the_guest_gets_what_it_has_negotiated(void **state)
{
	static const uint64_t csum = BIT(VIRTIO_NET_F_GUEST_CSUM), tso4 = BIT(VIRTIO_NET_F_GUEST_TSO4),
			      tso6 = BIT(VIRTIO_NET_F_GUEST_TSO6), ecn = BIT(VIRTIO_NET_F_GUEST_ECN);
	static const uint8_t needs = VIRTIO_NET_HDR_F_NEEDS_CSUM, valid = VIRTIO_NET_HDR_F_DATA_VALID;
	struct card *card = *state;

	card_open(card, "tap", NULL);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_NONE, 0), needs);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_NONE, csum), -1);
	assert_int_equal(flags_through(card, valid, VIRTIO_NET_HDR_GSO_NONE, 0), valid);
	/* 5.1.6.4.1: without GUEST_CSUM flags is zero. */
	assert_int_equal(flags_through(card, valid, VIRTIO_NET_HDR_GSO_NONE, csum), 0);
	assert_int_equal(flags_through(card, 0, VIRTIO_NET_HDR_GSO_NONE, csum), 0);
	assert_int_equal(flags_through(card, needs | 0xf8, VIRTIO_NET_HDR_GSO_NONE, 0), needs);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV4, 0), needs);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV4, tso4), -1);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV6, 0), needs);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV6, tso6), -1);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 0), needs);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, ecn), -1);
	assert_int_equal(flags_through(card, needs, VIRTIO_NET_HDR_GSO_UDP, 0), -1);
	assert_int_equal(flags_through(card, needs, 5, 0), -1);
}

static void a_read_that_fails_is_not_the_end(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer;

	card_run(card, "tap", NULL, 0);
	buffer = give(card, RX(0), 2000, 0);
	far_put(card, 0, 1, 100);
	calls.readv_error = EAGAIN;
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(fakehost_poll(card->host), 1);
	calls.readv_error = 0;
	settle(card);
	assert_received(card, &buffer, 1, 1, 100);
	assert_true(link_is_up(card));
}

static void reads_that_do_nothing_but_fail_are_the_end(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 2000, 0);
	far_put(card, 0, 1, 100);
	calls.readv_error = EIO;
	assert_in_range(settle(card), 1, 64);
	assert_in_range(calls.readv, 1, 64);
	assert_false(link_is_up(card));
	assert_int_equal(fakehost_log_count(card->host, "the tap interface is gone: Input/output error"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(frames_that_are_none_are_dropped),
		NET_TEST(a_frame_longer_than_any_is_dropped),
		NET_TEST(frames_longer_than_the_mtu_are_dropped),
		NET_TEST(a_driver_that_does_not_take_the_mtu_gets_them),
		NET_TEST(the_guest_gets_what_it_has_negotiated),
		NET_TEST(a_read_that_fails_is_not_the_end),
		NET_TEST(reads_that_do_nothing_but_fail_are_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
