/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection that carries frames, as link.c (its life) and stream.c (what goes through it) share it. */
#ifndef VIRTIO_NET_STREAM_H
#define VIRTIO_NET_STREAM_H

#include "net.h"

#define LENGTH_BYTES 4u
#define IN_BYTES     (2u * (LENGTH_BYTES + BP_NETWORK_FRAME))
#define OUT_BYTES    (LENGTH_BYTES + BP_NETWORK_FRAME)

struct stream {
	int given;    /* a connection of the host's, until start; -1: there is none */
	int fd;       /* the connection; -1: there is none */
	bool own;     /* it is ours to close */
	int listener; /* -1: there is none */
	bool connects;
	bool told; /* that it cannot be connected, since it was connected last */
	uint32_t events;
	uint32_t timer; /* to listen or to connect again */
	uint32_t in_at, in_end;
	uint32_t out_at, out_end;
	uint8_t in[IN_BYTES];
	uint8_t out[OUT_BYTES];
};

/* [dev] link.c: the connection has ended. Nothing if there is none. */
void link_end(struct net *net, const char *why);

/* [dev] stream.c: a bp_fd_fn. */
void stream_ready(void *arg, int fd, uint32_t events);

#endif
