/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of the guest (VIRTIO 1.2, 5.1.6.2). Headers are copied once, into the chain's scratch, and are sent from there; all behind the
 * Ethernet header goes out of the guest's memory as it is. A frame that cannot leave now waits with all that come after it until the
 * descriptor takes more.
 */
#include "net.h"

#include <inttypes.h>
#include <string.h>

/* What a frame is counted as that does not leave. */
static void lose(uint64_t *counter)
{
	bp_metric_add(counter, 1);
}

/* Reads and checks the head of a frame. False: it has been counted as lost, or the device is broken. */
static bool look(struct net *net, struct bp_chain *chain)
{
	struct tx_frame *frame = chain->scratch;
	uint64_t most = net->stream ? BP_NETWORK_FRAME : FRAME_MAX;
	size_t got = bp_chain_read(chain, frame, HEAD_BYTES);
	uint64_t bytes = ETHER_BYTES + bp_chain_left(chain, BP_CHAIN_READ);

	if (got < HEADER_BYTES) {
		net_broken(net, chain->queue, "a frame has no header");
		return false;
	}
	if (got < HEAD_BYTES || bytes > most) {
		lose(net->metrics.tx_drop_size);
		return false;
	}
	if (!header_send_ok(&frame->header, net->features, bytes)) {
		lose(net->metrics.tx_drop_header);
		return false;
	}
	if (net->mac_guard && memcmp(frame->ether + MAC_BYTES, net->config.mac, MAC_BYTES) != 0) {
		lose(net->metrics.tx_drop_mac);
		return false;
	}
	frame->checked = 1;
	return true;
}

/* Where the frames of a pair leave. Linux sends on pairs that it has just told not to use, and stops only then. */
static const struct pair *way_out(const struct pair *pair)
{
	return pair->attached ? pair : &pair->net->pair[0];
}

/* False: the tap takes no more at the moment. */
static bool send_tap(const struct pair *pair, int pieces, bool *ret_sent)
{
	struct net *net = pair->net;
	const struct pair *out = way_out(pair);
	ssize_t sent;
	int error;

	*ret_sent = false;
	if (net->gone) {
		lose(net->metrics.tx_drop_link);
		return true;
	}
	do
		sent = writev(out->fd, net->iov, pieces);
	while (sent < 0 && errno == EINTR);
	if (sent >= 0) {
		*ret_sent = true;
		return true;
	}
	error = errno;
	/* Only its own descriptor is waited for. */
	if (error == EAGAIN && out == pair)
		return false;
	lose(net->metrics.tx_drop_host);
	if (error == EBADFD)
		tap_gone(net, error);
	return true;
}

/* One frame, from its chain, which is in no list. False: it has to wait. Else the chain has been given back. */
static bool send_frame(struct pair *pair, struct bp_chain *chain)
{
	struct net *net = pair->net;
	struct tx_frame *frame = chain->scratch;
	uint64_t bytes;
	bool sent = false;
	int count;

	if (net->broken)
		return true;
	if (!frame->checked && !look(net, chain)) {
		if (!net->broken)
			bp_chain_complete(chain);
		return true;
	}
	bytes = bp_chain_left(chain, BP_CHAIN_READ);
	count = bp_chain_peek(chain, BP_CHAIN_READ, bytes, net->iov + 1, IOV_MAX_PIECES - 1);
	if (count < 0) {
		lose(net->metrics.tx_drop_size);
	} else {
		net->iov[0] = (struct iovec){ .iov_base = frame, .iov_len = HEAD_BYTES };
		if (!(net->stream ? stream_send(net, chain, count + 1, &sent) : send_tap(pair, count + 1, &sent)))
			return false;
	}
	if (sent) {
		bp_metric_add(net->metrics.tx_frames, 1);
		bp_metric_add(net->metrics.tx_bytes, ETHER_BYTES + bytes);
	}
	bp_chain_complete(chain);
	return true;
}

void tx_add(struct pair *pair, struct bp_chain *chain)
{
	if (pair->tx.first || !send_frame(pair, chain)) {
		chains_put(&pair->tx, chain);
		pair_watch(pair);
	}
}

void tx_flush(struct pair *pair)
{
	struct bp_chain *chain;

	for (uint32_t turn = BATCH; turn; turn--) {
		chain = chains_take(&pair->tx);
		if (!chain)
			return;
		if (!send_frame(pair, chain)) {
			chains_put_back(&pair->tx, chain);
			return;
		}
	}
}

void tx_drop(struct pair *pair)
{
	struct bp_chain *chain;

	while ((chain = chains_take(&pair->tx)) != NULL) {
		lose(pair->net->metrics.tx_drop_link);
		bp_chain_complete(chain);
	}
}
