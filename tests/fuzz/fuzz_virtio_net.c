/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a network card on the fake host, on a tap or a connection, with both of its ends hostile. The first byte chooses the
 * configuration, the second the driver's features; then come steps: frames, buffers and commands of the guest, what the other end
 * sends, time that passes, resets, states saved and loaded.
 *
 * Whatever they say, what leaves on a tap has a header that means something and the card's own address, what leaves on a connection
 * is made of whole frames, a frame for the guest is spread over as many buffers as its header says, nothing goes round in circles,
 * and the contract is kept.
 *
 * Linked in: plugins/virtio-net sdk/check
 */
#include "sdk/check/fakehost.h"

#include <endian.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX   2u
#define CHAINS_MAX  256u /* of a queue, between two resets */
#define FRAME_MAX   65600u
#define TURNS_MAX   4096u
#define HEADER      sizeof(struct virtio_net_hdr_v1)
#define ETHER       14u
#define STREAM_MOST 65550u

extern const struct bp_plugin backplane_plugin;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t own_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

struct fuzz {
	const uint8_t *data;
	size_t size;
	struct fakehost *host;
	struct fakehost_dev *dev;
	bool tap;
	uint32_t pairs;
	uint8_t features; /* which of the offered the driver does not take */
	uint64_t taken;   /* what that makes */
	struct {
		struct fakehost_chain *chain[CHAINS_MAX];
		uint32_t count, checked;
	} rx[PAIRS_MAX];
	uint8_t bytes[HEADER + FRAME_MAX];
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t next(struct fuzz *fuzz)
{
	if (!fuzz->size)
		return 0;
	fuzz->size--;
	return *fuzz->data++;
}

/* A size: small ones exactly, and some up to `most`. */
static size_t next_size(struct fuzz *fuzz, size_t most)
{
	size_t code = next(fuzz), bytes = code < 128 ? code : (code - 127) * 523;

	return bytes < most ? bytes : most;
}

/* `bytes` of the input, and a pattern where that ends or `own` are enough. */
static void fill(struct fuzz *fuzz, uint8_t *to, size_t bytes, size_t own)
{
	for (size_t i = 0; i < bytes; i++)
		to[i] = i < own ? next(fuzz) : (uint8_t)(i * 7);
}

/* A tap's, for whatever descriptor: it takes what makes sense. */
int ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	check(request == TUNSETOFFLOAD || request == TUNSETQUEUE);
	return 0;
}

/* ---- what must always be so ---- */

static void check_header(const struct fuzz *fuzz, const struct virtio_net_hdr_v1 *header, size_t bytes)
{
	uint8_t type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	size_t start = le16toh(header->csum_start), offset = le16toh(header->csum_offset);

	check(!(header->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) && le16toh(header->hdr_len) <= bytes);
	check(!header->flags || (fuzz->taken & UINT64_C(1) << VIRTIO_NET_F_CSUM));
	check(!header->flags || (start >= ETHER && start + offset + 2 <= bytes));
	check(header->flags || (!start && !offset));
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return;
	check(header->flags && header->gso_size);
	check(type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6);
	check(fuzz->taken &
	      UINT64_C(1) << (type == VIRTIO_NET_HDR_GSO_TCPV4 ? VIRTIO_NET_F_HOST_TSO4 : VIRTIO_NET_F_HOST_TSO6));
}

static void drain_tap(struct fuzz *fuzz)
{
	for (uint32_t pair = 0; pair < fuzz->pairs; pair++) {
		int fd = fakehost_network(fuzz->dev, "network", pair);
		ssize_t got;

		while ((got = recv(fd, fuzz->bytes, sizeof(fuzz->bytes), MSG_DONTWAIT)) > 0) {
			struct virtio_net_hdr_v1 header;

			check((size_t)got >= HEADER + ETHER);
			memcpy(&header, fuzz->bytes, HEADER);
			check_header(fuzz, &header, (size_t)got - HEADER);
			check(!memcmp(fuzz->bytes + HEADER + 6, own_mac, 6));
		}
	}
}

static bool take(int fd, uint8_t *to, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = recv(fd, to + done, bytes - done, MSG_DONTWAIT);

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	/* What is not there yet is still on its way in the card: it comes with the next poll. */
	check(done == 0 || done == bytes);
	return done == bytes;
}

/* Frames leave in parts only when the other end is slow, which it is not here: this end is emptied after each step. */
static void drain_stream(struct fuzz *fuzz)
{
	int fd = fakehost_network(fuzz->dev, "network", 0);
	uint32_t length;

	while (take(fd, (uint8_t *)&length, sizeof(length))) {
		length = be32toh(length);
		check(length >= ETHER && length <= STREAM_MOST);
		check(take(fd, fuzz->bytes, length));
		check(!memcmp(fuzz->bytes + 6, own_mac, 6));
	}
}

/* Buffers come back in their order, whole frames at a time. */
static void check_received(struct fuzz *fuzz)
{
	for (uint32_t pair = 0; pair < PAIRS_MAX; pair++)
		while (fuzz->rx[pair].checked < fuzz->rx[pair].count) {
			struct fakehost_chain **chain = &fuzz->rx[pair].chain[fuzz->rx[pair].checked];
			struct virtio_net_hdr_v1 header;
			uint32_t count;

			if (!fakehost_chain_order(*chain))
				break;
			check(fakehost_chain_get(*chain, 0, &header, HEADER) == HEADER);
			count = le16toh(header.num_buffers);
			check(count && count <= fuzz->rx[pair].count - fuzz->rx[pair].checked);
			check(count == 1 || (fuzz->taken & UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF));
			for (uint32_t i = 0; i < count; i++) {
				uint64_t used = fakehost_chain_used(chain[i]);
				uint8_t beyond;

				check(fakehost_chain_order(chain[i]) && used);
				/* All but the last are full. */
				check(i + 1 == count || !fakehost_chain_get(chain[i], used, &beyond, 1));
			}
			fuzz->rx[pair].checked += count;
		}
}

static void look_around(struct fuzz *fuzz)
{
	uint32_t turns = 0;

	while (fakehost_poll(fuzz->host) > 0) {
		if (fuzz->tap)
			drain_tap(fuzz);
		else
			drain_stream(fuzz);
		check(++turns < TURNS_MAX);
	}
	if (fuzz->tap)
		drain_tap(fuzz);
	else
		drain_stream(fuzz);
	check_received(fuzz);
}

/* ---- steps ---- */

static void driver_comes(struct fuzz *fuzz)
{
	uint32_t queues;
	uint64_t offered = fakehost_virtio_offer(fuzz->dev, &queues);

	fuzz->taken = 0;
	for (uint32_t bit = 0, i = 0; bit < 64; bit++)
		if (offered >> bit & 1 && !(fuzz->features >> (i++ % 8) & 1))
			fuzz->taken |= UINT64_C(1) << bit;
	check(fakehost_activate(fuzz->dev, fuzz->taken, queues) == 0);
}

static void reset(struct fuzz *fuzz)
{
	check(fakehost_reset(fuzz->dev) == 0);
	for (uint32_t pair = 0; pair < PAIRS_MAX; pair++)
		fuzz->rx[pair].count = fuzz->rx[pair].checked = 0;
	driver_comes(fuzz);
}

/* Cuts `bytes` into pieces of the sizes that the input says. */
static size_t cut(struct fuzz *fuzz, struct fakehost_piece *pieces, size_t most, const uint8_t *from, size_t bytes)
{
	size_t count = 0;

	for (size_t at = 0; at < bytes; count++) {
		size_t part = count + 1 == most ? bytes - at : next_size(fuzz, bytes - at);

		if (!part)
			part = bytes - at;
		pieces[count] = (struct fakehost_piece){ from ? from + at : NULL, part };
		at += part;
	}
	return count;
}

static void guest_sends(struct fuzz *fuzz, uint8_t how)
{
	struct fakehost_piece pieces[10] = { { NULL, 0 } };
	size_t bytes = next_size(fuzz, sizeof(fuzz->bytes)), count;
	uint32_t queue = 2u * (how >> 3 & 1u) + 1;

	fill(fuzz, fuzz->bytes, bytes, how & 0x10 ? 12 : 48);
	if (how & 0x20 && bytes >= HEADER + ETHER)
		memcpy(fuzz->bytes + HEADER + 6, own_mac, 6);
	if (how & 0x40)
		memset(fuzz->bytes, 0, bytes < HEADER ? bytes : HEADER);
	count = cut(fuzz, pieces, 8, fuzz->bytes, bytes);
	if (how & 0x80)
		pieces[count] = (struct fakehost_piece){ NULL, 10 };
	(void)fakehost_chain(fuzz->dev, queue, pieces, NULL);
}

static void guest_gives(struct fuzz *fuzz, uint8_t how)
{
	struct fakehost_piece pieces[10] = { { NULL, 0 } };
	uint32_t pair = how >> 3 & 1;
	size_t bytes = next_size(fuzz, 70000);

	(void)cut(fuzz, pieces, 1 + (how >> 4 & 7), NULL, bytes);
	if (fuzz->rx[pair].count < CHAINS_MAX &&
	    fakehost_chain(fuzz->dev, 2 * pair, pieces, &fuzz->rx[pair].chain[fuzz->rx[pair].count]) == 0 &&
	    !fakehost_is_broken(fuzz->dev) &&
	    (pair == 0 ||
	     (fuzz->taken & UINT64_C(1) << VIRTIO_NET_F_MQ && fuzz->taken & UINT64_C(1) << VIRTIO_NET_F_CTRL_VQ)))
		fuzz->rx[pair].count++;
}

static void guest_commands(struct fuzz *fuzz, uint8_t how)
{
	struct fakehost_piece pieces[10] = { { NULL, 0 } };
	size_t bytes = next(fuzz) % 24u, count;
	uint32_t queues;

	fakehost_virtio_offer(fuzz->dev, &queues);
	fill(fuzz, fuzz->bytes, bytes, bytes);
	count = cut(fuzz, pieces, 8, fuzz->bytes, bytes);
	if (!(how & 0x80))
		pieces[count] = (struct fakehost_piece){ NULL, 1 };
	(void)fakehost_chain(fuzz->dev, how & 0x40 ? 2 : queues - 1, pieces, NULL);
}

static void other_end_sends(struct fuzz *fuzz, uint8_t how)
{
	int fd = fakehost_network(fuzz->dev, "network", fuzz->tap ? (how >> 3 & 1) % fuzz->pairs : 0);
	size_t bytes = next_size(fuzz, sizeof(fuzz->bytes)), own = how & 0x10 ? bytes : HEADER;

	if (fuzz->tap || how & 0x20) {
		fill(fuzz, fuzz->bytes, bytes, own < 64 ? own : 64);
		(void)send(fd, fuzz->bytes, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		uint32_t length = htobe32((uint32_t)bytes);

		memcpy(fuzz->bytes, &length, sizeof(length));
		fill(fuzz, fuzz->bytes + sizeof(length), bytes, 16);
		(void)send(fd, fuzz->bytes, sizeof(length) + bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* A state that is saved loads; one that is spoilt does, or does not. */
static void save_and_load(struct fuzz *fuzz, uint8_t how)
{
	struct fakehost_bytes state;
	uint64_t value = 0;

	for (uint32_t i = 0; i < 8 && how & 0x10; i++)
		value = value << 8 | next(fuzz);
	if (fakehost_is_broken(fuzz->dev))
		return;
	check(fakehost_quiesce(fuzz->dev) == 0 && fakehost_save(fuzz->dev, &state) == 0);
	if (how & 0x10)
		check(fakehost_bytes_uint(&state, 1u + (how >> 5), value) == 0);
	check(fakehost_restore(fuzz->dev, &state) == 0 || how & 0x10);
	fakehost_bytes_free(&state);
	check(fakehost_resume(fuzz->dev) == 0);
	reset(fuzz);
}

static void step(struct fuzz *fuzz)
{
	uint8_t how = next(fuzz);

	switch (how & 7) {
	case 0:
	case 1:
		guest_sends(fuzz, how);
		break;
	case 2:
		guest_gives(fuzz, how);
		break;
	case 3:
		guest_commands(fuzz, how);
		break;
	case 4:
	case 5:
		other_end_sends(fuzz, how);
		break;
	case 6:
		fakehost_advance(fuzz->host, (uint64_t)(how >> 3) * 100000000);
		break;
	default:
		if (how & 8) {
			save_and_load(fuzz, how);
		} else {
			fuzz->features = next(fuzz);
			reset(fuzz);
		}
		break;
	}
	look_around(fuzz);
	if (fakehost_is_broken(fuzz->dev))
		reset(fuzz);
}

static void make(struct fuzz *fuzz, uint8_t how)
{
	const struct fakehost_pair values[] = {
		{ "network", how & 1 ? "passt" : "tap" }, { "queues", how & 2 && !(how & 1) ? "2" : "1" },
		{ "mac", "52:54:00:12:34:56" },           { "offload", how & 4 ? "false" : "true" },
		{ how & 8 ? "mtu" : NULL, "1000" },       { NULL, NULL },
	};

	fuzz->tap = !(how & 1);
	fuzz->pairs = how & 2 && fuzz->tap ? 2 : 1;
	check(fakehost_new(4096, &fuzz->host) == 0);
	check(fakehost_create(fuzz->host, fakehost_class(&backplane_plugin, NULL), "net", values, &fuzz->dev) == 0);
	check(fakehost_start(fuzz->dev) == 0);
	driver_comes(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	uint8_t how;

	check(fuzz != NULL);
	fuzz->data = data;
	fuzz->size = size;
	how = next(fuzz);
	fuzz->features = next(fuzz);
	make(fuzz, how);
	while (fuzz->size)
		step(fuzz);
	check(fakehost_breaches(fuzz->host) == 0);
	fakehost_free(fuzz->host);
	free(fuzz);
	return 0;
}
