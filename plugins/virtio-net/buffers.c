/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's receive buffers, oldest first, and the window: the pieces of the oldest ones, as many as the longest frame needs, for a tap to read
 * into. They are looked up once, however many frames go by; a buffer that a frame did not need stays in the window as it is.
 *
 * Only where there is no buffer at all, or a frame waits for more, does the guest have to tell when it gives some. As long as there are some, we
 * look for more whenever the window wants them.
 */
#include "rx.h"

#include <string.h>

/* ---- looking for buffers ---- */

bool buffers_look(struct pair *pair, bool tell)
{
	struct rx *rx = &pair->rx;

	if (tell && rx->told)
		return false;
	rx->looking = true;
	rx->found = 0;
	/* It fails within a request of this queue, where the host goes on by itself, and does not tell less than before. */
	if (bp_virtio_look(pair->net->dev, QUEUES_PER_PAIR * pair->index, tell) >= 0)
		rx->told = tell;
	rx->looking = false;
	return rx->found > 0;
}

bool rx_ready(struct pair *pair)
{
	if (pair->rx.held)
		return false;
	return pair->rx.buffers.first || buffers_look(pair, true);
}

/* ---- the window ---- */

/* Makes room for as many pieces as a read can take beside those that are there, and one for the spill. */
static void window_move(struct rx *rx)
{
	struct iovec *iov = rx->window->iov;
	uint32_t count = rx->end - rx->at;

	if (rx->at + WINDOW_PIECES_MAX < WINDOW_SLOTS)
		return;
	/* The first slot is for the header. */
	memmove(iov + 1, iov + rx->at, count * sizeof(*iov));
	rx->at = 1;
	rx->end = 1 + count;
}

void window_open(struct pair *pair, uint64_t bytes)
{
	struct rx *rx = &pair->rx;

	while (rx->room < bytes && (rx->closed || buffers_look(pair, false))) {
		struct rx_buffer *buffer = buffer_of(rx->closed);
		int count;

		window_move(rx);
		count = bp_chain_peek(rx->closed, BP_CHAIN_WRITE, buffer->bytes, rx->window->iov + rx->end,
				      WINDOW_PIECES_MAX - (rx->end - rx->at));
		if (count < 0) {
			/* No host has a queue so long that this could be. */
			if (rx->buffers.first == rx->closed)
				net_broken(pair->net, rx->closed->queue, "a receive buffer is in too many pieces");
			break;
		}
		buffer->pieces = (uint32_t)count;
		rx->end += (uint32_t)count;
		rx->room += buffer->bytes;
		rx->closed = rx->closed->next;
	}
}

/* The first buffer is the next frame's: the header goes where it begins. There is enough of it, rx_add() has looked. */
static void window_cut(struct rx *rx)
{
	struct rx_buffer *buffer = buffer_of(rx->buffers.first);
	struct iovec *iov = rx->window->iov;
	size_t left = HEADER_BYTES;

	while (buffer->pieces && iov[rx->at].iov_len <= left) {
		left -= iov[rx->at].iov_len;
		rx->at++;
		buffer->pieces--;
	}
	if (left) {
		iov[rx->at].iov_base = (uint8_t *)iov[rx->at].iov_base + left;
		iov[rx->at].iov_len -= left;
	}
	buffer->bytes -= HEADER_BYTES;
	rx->room -= HEADER_BYTES;
	rx->headed = true;
}

bool window_ready(struct pair *pair)
{
	struct rx *rx = &pair->rx;

	if (rx->told)
		buffers_look(pair, false);
	if (mergeable(pair->net))
		window_open(pair, HEADER_BYTES + FRAME_MAX);
	else if (rx->buffers.first == rx->closed)
		window_open(pair, 1);
	if (rx->buffers.first == rx->closed)
		return false;
	if (!rx->headed)
		window_cut(rx);
	return true;
}

uint8_t window_byte(const struct rx *rx, uint64_t at)
{
	const struct iovec *iov = rx->window->iov + rx->at;

	while (at >= iov->iov_len)
		at -= iov++->iov_len;
	return ((const uint8_t *)iov->iov_base)[at];
}

void window_fill(const struct rx *rx, uint64_t at, const uint8_t *from, uint64_t bytes)
{
	const struct iovec *iov = rx->window->iov + rx->at;

	for (; bytes; iov++) {
		size_t part;

		if (at >= iov->iov_len) {
			at -= iov->iov_len;
			continue;
		}
		part = iov->iov_len - (size_t)at < bytes ? iov->iov_len - (size_t)at : (size_t)bytes;
		memcpy((uint8_t *)iov->iov_base + at, from, part);
		from += part;
		bytes -= part;
		at = 0;
	}
}

/* ---- buffers come and go ---- */

void rx_add(struct pair *pair, struct bp_chain *chain)
{
	struct rx *rx = &pair->rx;
	struct rx_buffer *buffer = buffer_of(chain);

	buffer->bytes = bp_chain_left(chain, BP_CHAIN_WRITE);
	if (buffer->bytes < HEADER_BYTES) {
		net_broken(pair->net, chain->queue, "a receive buffer has no room for a header");
		return;
	}
	chains_put(&rx->buffers, chain);
	if (!rx->closed)
		rx->closed = chain;
	if (rx->looking) {
		rx->found++;
		return;
	}
	if (pair->net->stream) {
		stream_deliver(pair->net);
	} else {
		if (rx->held)
			rx_settle_held(pair);
		tap_watch(pair);
	}
}

void rx_reset(struct pair *pair)
{
	struct rx *rx = &pair->rx;

	rx->buffers = (struct chains){ NULL, NULL };
	rx->closed = NULL;
	rx->at = 1;
	rx->end = 1;
	rx->room = 0;
	rx->headed = false;
	rx->held = 0;
	rx->told = true;
}
