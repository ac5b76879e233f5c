/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Networks: the far side of a network card, whatever it is. Since ABI 0.3.
 *
 * In the configuration a NETWORK is one of
 *   "tap"            a tap interface, made for this run, with a name that the kernel chooses
 *   "tap:NAME"       that tap interface; made for this run if there is none of the name
 *   "fd:N", "fd:N,N" tap descriptors that the program was started with, one for each queue pair
 *   "passt"          passt, started by the host: a network without privileges. Its options may follow: "passt -t 2222:22"
 *   "connect:PATH"   the Unix stream socket of a peer: passt's, another machine's, QEMU's -netdev stream
 *   "listen:PATH"    a Unix stream socket that such a peer connects to
 * and the host opens it. A device sees two kinds of descriptor only: taps and streams.
 */
#ifndef BACKPLANE_NETWORK_H
#define BACKPLANE_NETWORK_H

#include <backplane/host.h>

#define BP_NETWORK_FDS_MAX 16u

/* Kinds. */
#define BP_NETWORK_TAP     1u /* fds: one for each queue pair; a read or write is one frame behind its header */
#define BP_NETWORK_STREAM \
	2u /* fds[0], or none yet: a connection; each frame has its length before it, 4 bytes big endian */
#define BP_NETWORK_LISTENER 3u /* fds[0]: a listening socket, whose clients are such streams */

/* Flags. */
#define BP_NETWORK_CONNECTS (1u << 0) /* bp_connect() connects to it, for the first time or again */

#define BP_NETWORK_HEADER \
	12u /* bytes before each frame of a tap: struct virtio_net_hdr of VIRTIO 1.2, 5.1.6, with num_buffers */
#define BP_NETWORK_FRAME 65550u /* bytes: the longest frame of a stream, 65536 behind an Ethernet header */

struct bp_network {
	uint32_t size; /* of this struct; the caller sets it */
	uint32_t kind;
	uint32_t flags;
	uint32_t fd_count;
	/* Non-blocking; the host owns them and closes them after destroy. The device may use the ioctls TUNSETOFFLOAD and
	 * TUNSETQUEUE of a tap; those of a tap with several queues are attached. */
	int32_t fds[BP_NETWORK_FDS_MAX];
};

/* [main] In create: what the host has opened. 0, or -ENOENT if the parameter is absent. */
static inline int bp_cfg_network_at(const struct bp_cfg *cfg, const char *name, uint32_t index, struct bp_network *ret)
{
	return BP_HOST_CALL(cfg, cfg_network, -ENOSYS, cfg, name, index, ret);
}

/* [main] The same for the only value of the parameter. */
static inline int bp_cfg_network(const struct bp_cfg *cfg, const char *name, struct bp_network *ret)
{
	return bp_cfg_network_at(cfg, name, 0, ret);
}

#endif
