/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's receive buffers, as buffers.c (which has them) and rx.c (which puts frames into them) share them. All [dev]. */
#ifndef VIRTIO_NET_RX_H
#define VIRTIO_NET_RX_H

#include "net.h"

static inline struct rx_buffer *buffer_of(struct bp_chain *chain)
{
	return chain->scratch;
}

static inline bool mergeable(const struct net *net)
{
	return net->features & F_MRG_RXBUF;
}

/* Takes in what the guest has given meanwhile; from now on it tells of more, or does not. Whether there was any. */
bool buffers_look(struct pair *pair, bool tell);

/* Takes buffers into the window until there is room for so many bytes, or no more of them or of their pieces can be had. */
void window_open(struct pair *pair, uint64_t bytes);
/* Whether a frame can be read: then the pieces [at, end) of the window are what is behind its header. */
bool window_ready(struct pair *pair);
/* Byte `at` of the frame in the window, which has it. */
uint8_t window_byte(const struct rx *rx, uint64_t at);
/* Copies to the bytes of the window from `at` on, which it has. */
void window_fill(const struct rx *rx, uint64_t at, const uint8_t *from, uint64_t bytes);

/* Goes on with a frame that has found too few buffers. False: it still waits. */
bool rx_settle_held(struct pair *pair);

#endif
