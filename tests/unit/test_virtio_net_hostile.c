/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest can say wrongly to a network card, clause by clause of VIRTIO 1.2, and what that may cost it: nothing where the clause has the
 * device ignore it, the one frame or command, or, where nothing is left that it could mean, the device until its reset. After each of
 * them a frame goes out as ever, or the reset brings the device back.
 */
#include "tests/unit/net_control.h"

#define CSUM   VIRTIO_NET_HDR_F_NEEDS_CSUM
#define TCPV4  VIRTIO_NET_HDR_GSO_TCPV4
#define TCPV6  VIRTIO_NET_HDR_GSO_TCPV6
#define ECN    VIRTIO_NET_HDR_GSO_ECN
#define F(n)   BIT(VIRTIO_NET_F_##n)
#define NO_TSO (F(HOST_TSO4) | F(HOST_TSO6))

/* ---- frames ---- */

enum fate { SENT, NO_HEADER, NO_SIZE };

static const struct {
	const char *clause, *what;
	enum fate fate;
	size_t bytes;     /* of the frame; 0: 2000 */
	uint64_t without; /* features */
	/* of the header, as numbers */
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, start, offset, num_buffers;
} frames[] = {
	{ "5.1.6.2", "plain", SENT, .bytes = 100 },
	{ "5.1.6.2", "checksum at the very end", SENT, .bytes = 100, .flags = CSUM, .start = 82, .offset = 16 },
	{ "5.1.6.2", "checksum at the first byte that can be", SENT, .bytes = 16, .flags = CSUM, .start = 14 },
	{ "5.1.6.2", "checksum one byte beyond", NO_HEADER, .bytes = 100, .flags = CSUM, .start = 83, .offset = 16 },
	{ "5.1.6.2", "checksum begins beyond", NO_HEADER, .bytes = 100, .flags = CSUM, .start = 101 },
	{ "5.1.6.2", "checksum of the Ethernet header", NO_HEADER, .flags = CSUM, .start = 13, .offset = 50 },
	{ "5.1.6.2", "start and offset wrap", NO_HEADER, .flags = CSUM, .start = 0xffff, .offset = 0xffff },
	{ "5.1.6.2", "offset far beyond", NO_HEADER, .flags = CSUM, .start = 34, .offset = 0xffff },
	{ "5.1.6.2.1", "checksum not negotiated", NO_HEADER, .without = F(CSUM), .flags = CSUM, .start = 34,
	  .offset = 16 },
	{ "5.1.6.2.2", "start and offset without the flag", SENT, .start = 0xffff, .offset = 0xffff },
	{ "5.1.6.2.2", "flags that are unknown", SENT, .flags = 0xf8 },
	{ "5.1.6.2.2", "flags of received frames", SENT,
	  .flags = VIRTIO_NET_HDR_F_DATA_VALID | VIRTIO_NET_HDR_F_RSC_INFO },
	{ "5.1.6.2.2", "unknown flags without checksums", SENT, .without = F(CSUM), .flags = 0xfe },
	{ "5.1.6.2.2", "hdr_len beyond the frame", SENT, .hdr_len = 0xffff },
	{ "5.1.6.2.2", "hdr_len of a segment beyond", SENT, .flags = CSUM, .gso_type = TCPV4, .hdr_len = 0xffff,
	  .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.6.2.2", "hdr_len of nothing", SENT, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1000, .start = 34,
	  .offset = 16 },
	{ "5.1.6.2.1", "num_buffers", SENT, .num_buffers = 0xffff },
	{ "5.1.6.2", "segments of IPv4", SENT, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1000, .start = 34,
	  .offset = 16 },
	{ "5.1.6.2", "segments of IPv6", SENT, .flags = CSUM, .gso_type = TCPV6, .gso_size = 1000, .start = 54,
	  .offset = 16 },
	{ "5.1.6.2", "segments with congestion", SENT, .flags = CSUM, .gso_type = TCPV4 | ECN, .gso_size = 1000,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2", "segments longer than the frame", SENT, .bytes = 100, .flags = CSUM, .gso_type = TCPV4,
	  .gso_size = 1448, .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "segments of IPv4 not negotiated", NO_HEADER, .without = F(HOST_TSO4), .flags = CSUM,
	  .gso_type = TCPV4, .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "segments of IPv6 not negotiated", NO_HEADER, .without = F(HOST_TSO6), .flags = CSUM,
	  .gso_type = TCPV6, .gso_size = 1000, .start = 54, .offset = 16 },
	{ "5.1.6.2.1", "no segments negotiated", NO_HEADER, .without = NO_TSO, .flags = CSUM, .gso_type = TCPV4,
	  .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.3.1", "segments negotiated without checksums", NO_HEADER, .without = F(CSUM), .flags = CSUM,
	  .gso_type = TCPV4, .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "congestion not negotiated", NO_HEADER, .without = F(HOST_ECN), .flags = CSUM,
	  .gso_type = TCPV4 | ECN, .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "congestion of no segments", NO_HEADER, .gso_type = ECN },
	{ "5.1.6.2.1", "fragments of UDP, never offered", NO_HEADER, .flags = CSUM, .gso_type = VIRTIO_NET_HDR_GSO_UDP,
	  .gso_size = 1000, .start = 34, .offset = 6 },
	{ "5.1.6.2.1", "segments of UDP, never offered", NO_HEADER, .flags = CSUM, .gso_type = 5, .gso_size = 1000,
	  .start = 34, .offset = 6 },
	{ "5.1.6.2.1", "segments of nothing known", NO_HEADER, .flags = CSUM, .gso_type = 2, .gso_size = 1000,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "segments of everything", NO_HEADER, .flags = CSUM, .gso_type = 0xff, .gso_size = 1000,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "segments without checksum", NO_HEADER, .gso_type = TCPV4, .gso_size = 1000, .start = 34,
	  .offset = 16 },
	{ "5.1.6.2.1", "segments with unknown flags only", NO_HEADER, .flags = 0xfe, .gso_type = TCPV4,
	  .gso_size = 1000, .start = 34, .offset = 16 },
	{ "5.1.6.2.1", "segments of no size", NO_HEADER, .flags = CSUM, .gso_type = TCPV4, .start = 34, .offset = 16 },
	{ "5.1.6.2", "segments of one byte", SENT, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1, .start = 34,
	  .offset = 16 },
	{ "5.1.6.2", "segments as large as can be", SENT, .flags = CSUM, .gso_type = TCPV4, .gso_size = 65515,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2", "segments larger than any packet", NO_HEADER, .flags = CSUM, .gso_type = TCPV4, .gso_size = 65516,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2", "segments of the kernel's own mark", NO_HEADER, .flags = CSUM, .gso_type = TCPV4,
	  .gso_size = 0xffff, .start = 34, .offset = 16 },
	{ "5.1.6.2", "TCP within the IPv4 header", NO_HEADER, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1000,
	  .start = 33, .offset = 16 },
	{ "5.1.6.2", "TCP within the IPv6 header", NO_HEADER, .flags = CSUM, .gso_type = TCPV6, .gso_size = 1000,
	  .start = 53, .offset = 16 },
	{ "5.1.6.2", "TCP with another checksum", NO_HEADER, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1000,
	  .start = 34, .offset = 6 },
	{ "5.1.6.2", "a header of TCP and no more", SENT, .bytes = 54, .flags = CSUM, .gso_type = TCPV4, .gso_size = 1,
	  .start = 34, .offset = 16 },
	{ "5.1.6.2", "a header of TCP cut short", NO_HEADER, .bytes = 53, .flags = CSUM, .gso_type = TCPV4,
	  .gso_size = 1, .start = 34, .offset = 16 },
	{ "5.1.6.2", "gso_size of no segments", SENT, .gso_size = 0xffff },
	{ "5.1.6.2", "an Ethernet header and no more", SENT, .bytes = 14 },
	{ "5.1.6.2", "an Ethernet header cut short", NO_SIZE, .bytes = 13 },
	{ "5.1.6.2", "a frame of one byte", NO_SIZE, .bytes = 1 },
};

static uint64_t all_drops(const struct card *card)
{
	static const char *const names[] = { "tx_drop_header", "tx_drop_size", "tx_drop_mac", "tx_drop_link",
					     "tx_drop_host" };
	uint64_t sum = 0;

	for (size_t i = 0; i < COUNT_OF(names); i++)
		sum += metric(card, names[i]);
	return sum;
}

/* What the kernel gets is what was checked, and nothing that the device was to ignore. */
static void assert_cleared(const struct card *card, size_t i, size_t bytes)
{
	struct virtio_net_hdr_v1 got;

	memcpy(&got, card->got, HEADER);
	assert_int_equal(got.flags, frames[i].flags & CSUM);
	assert_int_equal(got.gso_type, frames[i].gso_type);
	assert_int_equal(le16toh(got.num_buffers), 0);
	assert_true(le16toh(got.hdr_len) <= bytes);
	assert_int_equal(le16toh(got.csum_start), frames[i].flags & CSUM ? frames[i].start : 0);
	assert_int_equal(le16toh(got.csum_offset), frames[i].flags & CSUM ? frames[i].offset : 0);
	assert_int_equal(le16toh(got.gso_size), frames[i].gso_type ? frames[i].gso_size : 0);
}

/* The case of this test: an index into one of the tables. */
static size_t now;

static void header_of_a_frame(void **state)
{
	struct card *card = *state;
	const struct virtio_net_hdr_v1 header = {
		.flags = frames[now].flags,
		.gso_type = frames[now].gso_type,
		.hdr_len = htole16(frames[now].hdr_len),
		.gso_size = htole16(frames[now].gso_size),
		.csum_start = htole16(frames[now].start),
		.csum_offset = htole16(frames[now].offset),
		.num_buffers = htole16(frames[now].num_buffers),
	};
	size_t bytes = frames[now].bytes ? frames[now].bytes : 2000;

	card_run(card, "tap", NULL, frames[now].without);
	assert_done(send_headed(card, TX(0), &header, frame_make(card, 1, bytes), bytes));
	assert_int_equal(all_drops(card), frames[now].fate != SENT);
	assert_int_equal(metric(card, "tx_drop_header"), frames[now].fate == NO_HEADER);
	assert_int_equal(metric(card, "tx_drop_size"), frames[now].fate == NO_SIZE);
	if (frames[now].fate == SENT) {
		assert_sent(card, 0, 1, bytes);
		assert_cleared(card, now, bytes);
	}
	assert_nothing_sent(card, 0);
	assert_done(send_frame(card, TX(0), 2, 100));
	assert_sent(card, 0, 2, 100);
}

static void frames_that_are_too_long(void **state)
{
	static uint8_t bytes[HEADER + 65594];
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	memcpy(bytes + HEADER + 6, own_mac, 6);
	assert_done(send_bytes(card, TX(0), bytes, sizeof(bytes), 0));
	assert_int_equal(metric(card, "tx_drop_size"), 1);
	assert_nothing_sent(card, 0);
	assert_done(send_bytes(card, TX(0), bytes, sizeof(bytes) - 1, 0));
	assert_int_equal(metric(card, "tx_frames"), 1);
}

/* ---- chains without room ---- */

/* The device is broken, until its driver resets it. */
static void assert_broken(struct card *card)
{
	assert_true(fakehost_is_broken(card->dev));
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	assert_done(send_frame(card, TX(0), 1, 100));
	assert_sent(card, 0, 1, 100);
}

/* 5.1.6.2.1: a header comes first. */
static void frames_without_a_header(void **state)
{
	struct card *card = *state;
	uint8_t bytes[HEADER] = { 0 };

	card_run(card, "tap", NULL, 0);
	for (size_t count = 1; count < HEADER; count++) {
		const struct fakehost_piece pieces[] = { { bytes, count }, { NULL, 0 } };

		assert_int_equal(fakehost_chain(card->dev, TX(0), pieces, NULL), 0);
		assert_broken(card);
	}
	/* With a header and nothing else there is a frame of no bytes. */
	assert_done(send_bytes(card, TX(0), bytes, HEADER, 0));
	assert_int_equal(metric(card, "tx_drop_size"), 1);
}

/* 5.1.6.2: what can only be written to is no frame, and what can be written to behind one is not written to. */
static void frames_that_could_be_written_to(void **state)
{
	struct card *card = *state;
	uint8_t both[HEADER + 100] = { 0 };
	const struct fakehost_piece only[] = { { NULL, 100 }, { NULL, 0 } };
	const struct fakehost_piece mixed[] = { { both, sizeof(both) }, { NULL, 100 }, { NULL, 0 } };
	const struct fakehost_piece none[] = { { NULL, 0 } };
	struct fakehost_chain *chain;

	card_run(card, "tap", NULL, 0);
	memcpy(both + HEADER, frame_make(card, 1, 100), 100);
	assert_int_equal(fakehost_chain(card->dev, TX(0), mixed, &chain), 0);
	assert_done(chain);
	assert_sent(card, 0, 1, 100);
	assert_int_equal(fakehost_chain(card->dev, TX(0), only, NULL), 0);
	assert_broken(card);
	assert_int_equal(fakehost_chain(card->dev, TX(0), none, NULL), 0);
	assert_broken(card);
}

/* 5.1.6.3.1: a receive buffer has room for a header, with merging or without. */
static void buffers_without_room_for_a_header(void **state)
{
	struct card *card = *state;

	for (uint32_t merging = 0; merging < 2; merging++) {
		for (size_t bytes = 1; bytes < HEADER; bytes++) {
			if (!card->dev)
				card_open(card, "tap", NULL);
			card_drive(card, merging ? 0 : F(MRG_RXBUF));
			give(card, RX(0), bytes, bytes > 4 ? 3 : 0);
			assert_true(fakehost_is_broken(card->dev));
			assert_int_equal(fakehost_reset(card->dev), 0);
		}
	}
}

/* ... and none that can only be read has. One that can be read as well is one for what can be written to it. */
static void buffers_that_can_be_read(void **state)
{
	struct card *card = *state;
	static const uint8_t bytes[100];
	const struct fakehost_piece only[] = { { bytes, 100 }, { NULL, 0 } };
	const struct fakehost_piece mixed[] = { { bytes, 100 }, { NULL, 1000 }, { NULL, 0 } };
	struct fakehost_chain *chain;

	card_run(card, "tap", NULL, 0);
	assert_int_equal(fakehost_chain(card->dev, RX(0), mixed, &chain), 0);
	far_put(card, 0, 1, 100);
	settle(card);
	assert_received(card, &chain, 1, 1, 100);
	assert_int_equal(fakehost_chain(card->dev, RX(0), only, NULL), 0);
	assert_broken(card);
}

/* 5.1.6.3.1: buffers of twelve bytes are allowed with merging; a frame has no room in one of them without. */
static void buffers_with_room_for_nothing_but_a_header(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffers[3];

	card_run(card, "tap", NULL, F(MRG_RXBUF));
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), HEADER, 0);
	far_put(card, 0, 1, 20);
	settle(card);
	assert_int_equal(metric(card, "rx_drop_room"), 1);
	assert_int_equal(fakehost_reset(card->dev), 0);
	card_drive(card, 0);
	for (uint32_t i = 0; i < COUNT_OF(buffers); i++)
		buffers[i] = give(card, RX(0), HEADER, 1);
	far_put(card, 0, 1, 20);
	settle(card);
	assert_received(card, buffers, 3, 1, 20);
}

/* A device that is broken touches nothing, whatever comes from its network. */
static void a_broken_device_is_quiet(void **state)
{
	struct card *card = *state;
	struct fakehost_chain *buffer, *waits;

	card_run(card, "tap", NULL, 0);
	buffer = give(card, RX(0), 2000, 0);
	calls.writev_error = EAGAIN;
	waits = send_frame(card, TX(0), 1, 100);
	calls.writev_error = 0;
	calls.writev = 0;
	give(card, RX(0), 3, 0);
	assert_true(fakehost_is_broken(card->dev));
	far_put(card, 0, 1, 100);
	assert_int_equal(settle(card), 0);
	assert_int_equal(calls.readv + calls.writev, 0);
	assert_pending(buffer);
	assert_pending(waits);
	assert_broken(card);
}

/* ---- commands ---- */

#define MQ       VIRTIO_NET_CTRL_MQ
#define OFFLOADS VIRTIO_NET_CTRL_GUEST_OFFLOADS

static const struct {
	const char *clause, *what;
	uint8_t bytes[24];
	size_t count;
	uint8_t ack;
} commands[] = {
	{ "5.1.6.5", "nothing", { 0 }, 0, VIRTIO_NET_ERR },
	{ "5.1.6.5", "a class and no command", { MQ }, 1, VIRTIO_NET_ERR },
	{ "5.1.6.5", "an unknown class", { 77, 0, 1, 0 }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5", "the last class", { 0xff, 0xff, 0xff, 0xff }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.1", "receive modes, not offered", { VIRTIO_NET_CTRL_RX, 0, 1 }, 3, VIRTIO_NET_ERR },
	{ "5.1.6.5.2",
	  "addresses to filter, not offered",
	  { VIRTIO_NET_CTRL_MAC, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
	  10,
	  VIRTIO_NET_ERR },
	{ "5.1.6.5.2",
	  "another address, not offered",
	  { VIRTIO_NET_CTRL_MAC, 1, 2, 0, 0, 0, 0, 1 },
	  8,
	  VIRTIO_NET_ERR },
	{ "5.1.6.5.3", "VLANs, not offered", { VIRTIO_NET_CTRL_VLAN, 0, 1, 0 }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.4", "announcements, not offered", { VIRTIO_NET_CTRL_ANNOUNCE, 0 }, 2, VIRTIO_NET_ERR },
	{ "5.1.6.5.6", "two pairs", { MQ, 0, 2, 0 }, 4, VIRTIO_NET_OK },
	{ "5.1.6.5.6.1", "no pair", { MQ, 0, 0, 0 }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.6.1", "more pairs than there are", { MQ, 0, 3, 0 }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.6.1", "as many pairs as can be written", { MQ, 0, 0xff, 0xff }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.6", "pairs without a number", { MQ, 0 }, 2, VIRTIO_NET_ERR },
	{ "5.1.6.5.6", "half a number of pairs", { MQ, 0, 1 }, 3, VIRTIO_NET_ERR },
	{ "5.1.6.5.6", "a number of pairs and more", { MQ, 0, 1, 0, 0 }, 5, VIRTIO_NET_ERR },
	{ "5.1.6.5.7", "hashes, not offered", { MQ, 1, 0, 0, 0, 0 }, 6, VIRTIO_NET_ERR },
	{ "5.1.6.5.5", "an unknown mode", { MQ, 3, 1, 0 }, 4, VIRTIO_NET_ERR },
	{ "5.1.6.5.8", "no offloads", { OFFLOADS, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 10, VIRTIO_NET_OK },
	{ "5.1.6.5.8", "half of the offloads", { OFFLOADS, 0, 2, 0, 0, 0 }, 6, VIRTIO_NET_ERR },
	{ "5.1.6.5.8", "offloads and more", { OFFLOADS, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0 }, 11, VIRTIO_NET_ERR },
	{ "5.1.6.5.8", "offloads of the device", { OFFLOADS, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, 10, VIRTIO_NET_ERR },
	{ "5.1.6.5.8", "all bits", { OFFLOADS, 0, 255, 255, 255, 255, 255, 255, 255, 255 }, 10, VIRTIO_NET_ERR },
	{ "5.1.6.5.8", "an unknown command for offloads", { OFFLOADS, 1, 0, 0, 0, 0, 0, 0, 0, 0 }, 10, VIRTIO_NET_ERR },
	{ "5.1.6.5.9", "coalescing, not offered", { 6, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, 10, VIRTIO_NET_ERR },
};

static void command_of_the_guest(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } }, 0);
	for (size_t piece = 0; piece < 3; piece++)
		assert_int_equal(command_bytes(card, 4, commands[now].bytes, commands[now].count, piece),
				 commands[now].ack);
	assert_int_equal(metric(card, "control_errors"), commands[now].ack == VIRTIO_NET_OK ? 0 : 3);
	assert_done(send_frame(card, TX(0), 1, 100));
	assert_sent(card, 0, 1, 100);
}

/* 5.1.6.5: the answer needs a byte, and gets no more than one. */
static void commands_without_room_for_an_answer(void **state)
{
	struct card *card = *state;
	static const uint8_t bytes[] = { MQ, 0, 2, 0 };
	const struct fakehost_piece unanswerable[] = { { bytes, sizeof(bytes) }, { NULL, 0 } };
	const struct fakehost_piece roomy[] = { { bytes, sizeof(bytes) }, { NULL, 9 }, { NULL, 0 } };
	const struct fakehost_piece empty[] = { { NULL, 0 } };
	struct fakehost_chain *chain;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } }, 0);
	assert_int_equal(fakehost_chain(card->dev, 4, roomy, &chain), 0);
	assert_int_equal(fakehost_chain_used(chain), 1);
	assert_int_equal(calls.detached_count, 0);
	assert_int_equal(set_pairs(card, 4, 1), VIRTIO_NET_OK);
	assert_int_equal(fakehost_chain(card->dev, 4, unanswerable, NULL), 0);
	/* It was not carried out either. */
	assert_int_equal(calls.detached_count, 1);
	assert_broken(card);
	assert_int_equal(fakehost_chain(card->dev, 4, empty, NULL), 0);
	assert_broken(card);
}

/* 5.1.3.1: commands are for a driver that has negotiated a queue for them. */
static void commands_without_a_control_queue(void **state)
{
	struct card *card = *state;
	static const uint8_t bytes[] = { MQ, 0, 2, 0 };
	const struct fakehost_piece pieces[] = { { bytes, sizeof(bytes) }, { NULL, 1 }, { NULL, 0 } };
	struct fakehost_chain *chain;

	card_run(card, "tap", (const struct fakehost_pair[]){ { "queues", "2" }, { NULL, NULL } }, F(CTRL_VQ));
	for (uint32_t queue = 2; queue < 5; queue++) {
		assert_int_equal(fakehost_chain(card->dev, queue, pieces, &chain), 0);
		assert_done(chain);
	}
	assert_int_equal(calls.detached_count, 1);
}

/* ---- a test for each case ---- */

static int case_setup(void **state)
{
	now = *(const size_t *)*state;
	return card_setup(state);
}

static struct CMUnitTest case_test(const char *clause, const char *what, CMUnitTestFunction test, size_t index)
{
	static char names[COUNT_OF(frames) + COUNT_OF(commands)][80];
	static size_t indices[COUNT_OF(names)], count;

	indices[count] = index;
	snprintf(names[count], sizeof(names[count]), "%s %s", clause, what);
	count++;
	return (struct CMUnitTest){
		.name = names[count - 1],
		.test_func = test,
		.setup_func = case_setup,
		.teardown_func = card_teardown,
		.initial_state = &indices[count - 1],
	};
}

int main(void)
{
	const struct CMUnitTest others[] = {
		NET_TEST(frames_that_are_too_long),         NET_TEST(frames_without_a_header),
		NET_TEST(frames_that_could_be_written_to),  NET_TEST(buffers_without_room_for_a_header),
		NET_TEST(buffers_that_can_be_read),         NET_TEST(buffers_with_room_for_nothing_but_a_header),
		NET_TEST(a_broken_device_is_quiet),         NET_TEST(commands_without_room_for_an_answer),
		NET_TEST(commands_without_a_control_queue),
	};
	struct CMUnitTest tests[COUNT_OF(frames) + COUNT_OF(commands) + COUNT_OF(others)];
	size_t count = 0;

	for (size_t i = 0; i < COUNT_OF(frames); i++)
		tests[count++] = case_test(frames[i].clause, frames[i].what, header_of_a_frame, i);
	for (size_t i = 0; i < COUNT_OF(commands); i++)
		tests[count++] = case_test(commands[i].clause, commands[i].what, command_of_the_guest, i);
	memcpy(tests + count, others, sizeof(others));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
