/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames for the guest.
 *
 * From a tap a frame is read straight into the guest's memory, in one call and without knowing its length before:
 *
 *   [header][pieces of buffer 0, the header's bytes cut off][pieces of buffer 1]...[spill]
 *
 * The header is the device's own, since it has to be looked at, and is copied to its place when the number of buffers is known. With
 * MRG_RXBUF a frame takes as many buffers as it needs (5.1.6.4), and one that finds too few of them goes on in the spill, and waits there, the
 * only time that something is copied. Without it there is one buffer, and what goes on in the spill is lost.
 *
 * A stream says how long a frame is, and is read ahead: from there frames are copied.
 *
 * Without a buffer nothing is read, and a tap or stream is not waited for: what comes stays in the kernel.
 */
#include "rx.h"

#include <endian.h>

static void count_frame(const struct net *net, uint64_t bytes)
{
	bp_metric_add(net->metrics.rx_frames, 1);
	bp_metric_add(net->metrics.rx_bytes, bytes);
}

/* A frame of `bytes` has begun to wait for buffers: not for ever, since the guest may have no more to give. */
static void hold(struct pair *pair, uint64_t bytes)
{
	struct net *net = pair->net;
	uint64_t now = bp_clock_ns(net->dev);

	pair->rx.held = bytes;
	pair->rx.held_since_ns = now;
	if (!net->held_timing)
		bp_timer_set(net->dev, net->held_timer, now + HELD_MAX_NS);
	net->held_timing = true;
}

/* Gives the guest the frame that is in the window. */
static void give(struct pair *pair, uint64_t bytes)
{
	struct rx *rx = &pair->rx;
	uint64_t left = bytes;
	uint16_t count = 0;

	for (struct bp_chain *chain = rx->buffers.first; !count || left; chain = chain->next) {
		uint64_t room = buffer_of(chain)->bytes;

		left -= room < left ? room : left;
		count++;
	}
	rx->header.num_buffers = htole16(count);
	bp_chain_write(rx->buffers.first, &rx->header, HEADER_BYTES);
	for (left = bytes; count; count--) {
		struct bp_chain *chain = chains_take(&rx->buffers);
		const struct rx_buffer *buffer = buffer_of(chain);
		uint64_t part = buffer->bytes < left ? buffer->bytes : left;

		bp_chain_wrote(chain, part);
		left -= part;
		rx->at += buffer->pieces;
		rx->room -= buffer->bytes;
		bp_chain_complete(chain);
	}
	rx->headed = false;
	count_frame(pair->net, bytes);
}

bool rx_settle_held(struct pair *pair)
{
	struct rx *rx = &pair->rx;

	do
		window_open(pair, rx->held);
	while (rx->room < rx->held && !rx->closed && buffers_look(pair, true));
	if (rx->room < rx->held) {
		if (!rx->closed)
			return false;
		/* There are more, but in pieces so small that no read could take them. */
		bp_metric_add(pair->net->metrics.rx_drop_room, 1);
	} else {
		window_fill(rx, rx->held - rx->spilled, rx->window->spill, rx->spilled);
		give(pair, rx->held);
	}
	rx->held = 0;
	return true;
}

/* 5.1.4.1: with MTU negotiated, nothing longer reaches the guest in one piece. The tag of a VLAN belongs to the Ethernet header. */
static bool fits_mtu(const struct pair *pair, uint64_t bytes)
{
	const struct net *net = pair->net;
	uint64_t most = (uint64_t)le16toh(net->config.mtu) + ETHER_BYTES;
	uint32_t type;

	if (!(net->features & F_MTU) || bytes <= most ||
	    (pair->rx.header.gso_type & (uint8_t)~HDR_GSO_ECN) != HDR_GSO_NONE)
		return true;
	if (pair->rx.room < ETHER_BYTES)
		return false;
	type = (uint32_t)window_byte(&pair->rx, 12) << 8 | window_byte(&pair->rx, 13);
	return (type == 0x8100 || type == 0x88a8) && bytes <= most + VLAN_BYTES;
}

/* What a read has brought: a header and `bytes` behind it. */
static void arrived(struct pair *pair, uint64_t bytes)
{
	const struct net *net = pair->net;
	struct rx *rx = &pair->rx;

	if (bytes < ETHER_BYTES || bytes > FRAME_MAX || !fits_mtu(pair, bytes)) {
		bp_metric_add(net->metrics.rx_drop_size, 1);
	} else if (!header_receive_ok(&rx->header, net->offloads)) {
		bp_metric_add(net->metrics.rx_drop_offload, 1);
	} else if (bytes <= rx->room) {
		give(pair, bytes);
	} else if (!mergeable(net)) {
		bp_metric_add(net->metrics.rx_drop_room, 1);
	} else {
		rx->spilled = bytes - rx->room;
		rx->held = bytes;
		if (!rx_settle_held(pair))
			hold(pair, bytes);
	}
}

int rx_read(struct pair *pair)
{
	struct rx *rx = &pair->rx;
	struct iovec *iov;
	ssize_t got;

	if (rx->held || !window_ready(pair))
		return 0;
	iov = rx->window->iov;
	iov[rx->at - 1] = (struct iovec){ .iov_base = &rx->header, .iov_len = HEADER_BYTES };
	iov[rx->end] = (struct iovec){ .iov_base = rx->window->spill, .iov_len = sizeof(rx->window->spill) };
	do
		got = readv(pair->fd, iov + rx->at - 1, (int)(rx->end - rx->at + 2));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* A tap has no end. */
	if (!got)
		return -EBADFD;
	arrived(pair, got > (ssize_t)HEADER_BYTES ? (uint64_t)got - HEADER_BYTES : 0);
	return (int)got;
}

/* How many buffers a frame of a stream takes, of how many bytes in *ret_room: fewer than it needs, if there are no more. */
static uint16_t count_buffers(const struct pair *pair, uint64_t bytes, uint64_t *ret_room)
{
	uint64_t room = 0;
	uint16_t count = 0;

	for (struct bp_chain *chain = pair->rx.buffers.first; chain && room < bytes; chain = chain->next) {
		room += buffer_of(chain)->bytes;
		count++;
		if (!mergeable(pair->net))
			break;
	}
	*ret_room = room;
	return count;
}

bool rx_put(struct pair *pair, const uint8_t *frame, uint32_t bytes)
{
	const struct net *net = pair->net;
	struct rx *rx = &pair->rx;
	struct net_header header = { 0 };
	uint64_t room;
	uint16_t count;
	bool wait;

	if (rx->told && !rx->held)
		buffers_look(pair, false);
	do {
		count = count_buffers(pair, HEADER_BYTES + bytes, &room);
		wait = room < HEADER_BYTES + bytes && (!count || mergeable(net));
	} while (wait && (buffers_look(pair, false) || buffers_look(pair, true)));
	if (wait) {
		if (!rx->held)
			hold(pair, bytes);
		return false;
	}
	if (room < HEADER_BYTES + bytes) {
		rx->held = 0;
		bp_metric_add(net->metrics.rx_drop_room, 1);
		return true;
	}
	rx->held = 0;
	header.num_buffers = htole16(count);
	bp_chain_write(rx->buffers.first, &header, HEADER_BYTES);
	count_frame(net, bytes);
	while (count--) {
		struct bp_chain *chain = chains_take(&rx->buffers);
		size_t part = bp_chain_write(chain, frame, bytes);

		frame += part;
		bytes -= (uint32_t)part;
		bp_chain_complete(chain);
	}
	return true;
}

void rx_held_timeout(void *arg, uint32_t timer) /* [dev] */
{
	struct net *net = arg;
	uint64_t now = bp_clock_ns(net->dev), next = 0;

	net->held_timing = false;
	for (uint32_t i = 0; i < net->pairs; i++) {
		struct pair *pair = &net->pair[i];
		uint64_t until = pair->rx.held_since_ns + HELD_MAX_NS;

		if (pair->rx.held && until > now && (!next || until < next))
			next = until;
		if (!pair->rx.held || until > now)
			continue;
		bp_metric_add(net->metrics.rx_drop_room, 1);
		pair->rx.held = 0;
		if (net->stream)
			stream_skip(net);
		pair_watch(pair);
	}
	if (next && !net->held_timing) {
		net->held_timing = true;
		bp_timer_set(net->dev, timer, next);
	}
}
