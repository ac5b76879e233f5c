/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames on a connection, each with its length before it in 4 bytes, most significant first. link.c says how it comes and goes.
 *
 * Both directions are in order and bounded. What comes is read ahead, many frames in one call; a frame for which the guest has no buffers stops
 * the reading. What the kernel takes only in part goes on from a copy of the rest, since the guest may be reset and its memory with it, and
 * the other end counts bytes.
 */
#include "stream.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

void stream_watch(struct net *net)
{
	struct stream *stream = net->stream;
	uint32_t events = 0;

	if (stream->fd < 0)
		return;
	if (!net->pair[0].rx.held)
		events |= BP_FD_IN;
	if (stream->out_at < stream->out_end || (net->pair[0].tx.first && !net->broken))
		events |= BP_FD_OUT;
	if (events == stream->events)
		return;
	stream->events = events;
	bp_fd_set(net->dev, stream->fd, events);
}

/* ---- frames that come ---- */

static uint32_t length_at(const uint8_t *at)
{
	uint32_t length;

	memcpy(&length, at, sizeof(length));
	return be32toh(length);
}

/* Whether a whole frame is there, of *ret bytes. It ends a connection that says nonsense. */
static bool next_frame(struct net *net, uint32_t *ret)
{
	struct stream *stream = net->stream;
	uint32_t count = stream->in_end - stream->in_at, length;
	char why[64];

	if (count < LENGTH_BYTES)
		return false;
	length = length_at(stream->in + stream->in_at);
	if (length < ETHER_BYTES || length > BP_NETWORK_FRAME) {
		snprintf(why, sizeof(why), "it announced a frame of %" PRIu32 " bytes", length);
		link_end(net, why);
		return false;
	}
	*ret = length;
	return count - LENGTH_BYTES >= length;
}

static void pass(struct net *net, uint32_t length)
{
	struct stream *stream = net->stream;

	stream->in_at += LENGTH_BYTES + length;
	if (stream->in_at == stream->in_end)
		stream->in_at = stream->in_end = 0;
}

/* 5.1.4.1, as with a tap. */
static bool fits_mtu(const struct net *net, const uint8_t *frame, uint32_t length)
{
	uint32_t most = (uint32_t)le16toh(net->config.mtu) + ETHER_BYTES, type = (uint32_t)frame[12] << 8 | frame[13];

	return !(net->features & F_MTU) || length <= most + (type == 0x8100 || type == 0x88a8 ? VLAN_BYTES : 0);
}

void stream_deliver(struct net *net)
{
	struct stream *stream = net->stream;
	uint32_t length;

	while (next_frame(net, &length)) {
		const uint8_t *frame = stream->in + stream->in_at + LENGTH_BYTES;

		/* A network card without a driver takes nothing in. */
		if (!net->active || net->broken)
			bp_metric_add(net->metrics.rx_drop_idle, 1);
		else if (!fits_mtu(net, frame, length))
			bp_metric_add(net->metrics.rx_drop_size, 1);
		else if (!rx_put(&net->pair[0], frame, length))
			break;
		pass(net, length);
	}
	stream_watch(net);
}

void stream_skip(struct net *net)
{
	uint32_t length;

	if (next_frame(net, &length))
		pass(net, length);
	stream_deliver(net);
}

/* One read, and what came of it. */
static void take_in(struct net *net)
{
	struct stream *stream = net->stream;
	uint32_t count = stream->in_end - stream->in_at;
	ssize_t got;

	/* No frame is held: what there is is the beginning of one. */
	if (stream->in_at) {
		memmove(stream->in, stream->in + stream->in_at, count);
		stream->in_at = 0;
		stream->in_end = count;
	}
	got = recv(stream->fd, stream->in + stream->in_end, IN_BYTES - stream->in_end, MSG_DONTWAIT);
	if (got > 0) {
		stream->in_end += (uint32_t)got;
		stream_deliver(net);
	} else if (!got) {
		link_end(net, "it has closed the connection");
	} else if (errno != EAGAIN && errno != EINTR) {
		link_end(net, strerror(errno));
	}
}

/* ---- frames that go ---- */

/* Sends what is left of a frame. */
static void go_on(struct net *net)
{
	struct stream *stream = net->stream;
	ssize_t sent;

	if (stream->out_at == stream->out_end)
		return;
	sent = send(stream->fd, stream->out + stream->out_at, stream->out_end - stream->out_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent >= 0)
		stream->out_at += (uint32_t)sent;
	else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != ENOMEM)
		link_end(net, strerror(errno));
}

/* Keeps what the kernel did not take of a frame: `sent` bytes have left. */
static void keep_rest(struct stream *stream, const struct iovec *head, struct bp_chain *chain, size_t sent)
{
	size_t bytes = 0;

	if (sent < head->iov_len) {
		bytes = head->iov_len - sent;
		memcpy(stream->out, (const uint8_t *)head->iov_base + sent, bytes);
	} else {
		bp_chain_skip(chain, BP_CHAIN_READ, sent - head->iov_len);
	}
	bytes += bp_chain_read(chain, stream->out + bytes, OUT_BYTES - bytes);
	stream->out_at = 0;
	stream->out_end = (uint32_t)bytes;
}

bool stream_send(struct net *net, struct bp_chain *chain, int pieces, bool *ret_sent)
{
	struct stream *stream = net->stream;
	struct tx_frame *frame = chain->scratch;
	uint64_t rest = bp_chain_left(chain, BP_CHAIN_READ);
	uint32_t length = htobe32((uint32_t)(ETHER_BYTES + rest));
	struct msghdr message = { .msg_iov = net->iov, .msg_iovlen = (size_t)pieces };
	uint8_t *head = (uint8_t *)frame + HEADER_BYTES - LENGTH_BYTES;
	size_t head_bytes = LENGTH_BYTES + ETHER_BYTES;
	ssize_t sent;

	*ret_sent = false;
	if (stream->fd < 0) {
		bp_metric_add(net->metrics.tx_drop_link, 1);
		return true;
	}
	if (stream->out_at < stream->out_end)
		return false;
	/* In the place of the header's end, which has been checked and is not needed any more. */
	memcpy(head, &length, LENGTH_BYTES);
	net->iov[0] = (struct iovec){ .iov_base = head, .iov_len = head_bytes };
	do
		sent = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN)
		return false;
	if (sent < 0) {
		int error = errno;

		bp_metric_add(net->metrics.tx_drop_host, 1);
		if (error != ENOBUFS && error != ENOMEM)
			link_end(net, strerror(error));
		return true;
	}
	*ret_sent = true;
	if ((uint64_t)sent < head_bytes + rest) {
		keep_rest(stream, &net->iov[0], chain, (size_t)sent);
		stream_watch(net);
	}
	return true;
}

/* ---- events ---- */

void stream_ready(void *arg, int fd, uint32_t events) /* [dev] */
{
	struct net *net = arg;
	struct stream *stream = net->stream;

	if (events & BP_FD_OUT) {
		go_on(net);
		if (stream->fd == fd && stream->out_at == stream->out_end)
			tx_flush(&net->pair[0]);
	}
	if (stream->fd == fd && (events & BP_FD_IN))
		take_in(net);
	/* Told whatever is waited for. What it has sent before is read first, unless the guest does not take it. */
	if (stream->fd == fd && (events & (BP_FD_HUP | BP_FD_ERR)) && !(events & BP_FD_IN))
		link_end(net, "it has closed the connection");
	stream_watch(net);
}
