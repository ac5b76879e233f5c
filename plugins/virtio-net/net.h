/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network card as the files of this plugin share it: the protocol's numbers, the state, and who does what.
 *
 *   virtio-net.c  parameters, life, negotiation, which queue is whose
 *   state.c       saving and loading
 *   header.c      what stands before a frame, checked both ways
 *   buffers.c     the guest's receive buffers
 *   rx.c          frames for the guest, and how they get into these
 *   tx.c          frames of the guest: looked at, and sent or put aside in order
 *   tap.c         a tap interface: offloads, queue pairs, its descriptors
 *   link.c        a connection that carries frames: how it comes and goes
 *   stream.c      frames on a connection
 *   control.c     the control queue
 *
 * Everything runs under the instance's mutex, but for create. No memory is asked for after create.
 */
#ifndef VIRTIO_NET_NET_H
#define VIRTIO_NET_NET_H

#include <backplane/plugin.h>

#include <stdbool.h>
#include <sys/uio.h>

#define VIRTIO_ID_NET           1u

/* 5.1.3 */
#define F_CSUM                  (UINT64_C(1) << 0)
#define F_GUEST_CSUM            (UINT64_C(1) << 1)
#define F_CTRL_GUEST_OFFLOADS   (UINT64_C(1) << 2)
#define F_MTU                   (UINT64_C(1) << 3)
#define F_MAC                   (UINT64_C(1) << 5)
#define F_GUEST_TSO4            (UINT64_C(1) << 7)
#define F_GUEST_TSO6            (UINT64_C(1) << 8)
#define F_GUEST_ECN             (UINT64_C(1) << 9)
#define F_HOST_TSO4             (UINT64_C(1) << 11)
#define F_HOST_TSO6             (UINT64_C(1) << 12)
#define F_HOST_ECN              (UINT64_C(1) << 13)
#define F_MRG_RXBUF             (UINT64_C(1) << 15)
#define F_STATUS                (UINT64_C(1) << 16)
#define F_CTRL_VQ               (UINT64_C(1) << 17)
#define F_MQ                    (UINT64_C(1) << 22)

#define F_HOST_OFFLOADS         (F_CSUM | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN)
#define F_GUEST_OFFLOADS        (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

#define S_LINK_UP               1u /* 5.1.4: status */

/* 5.1.6 */
#define HDR_F_NEEDS_CSUM        1u
#define HDR_F_DATA_VALID        2u
#define HDR_GSO_NONE            0u
#define HDR_GSO_TCPV4           1u
#define HDR_GSO_TCPV6           4u
#define HDR_GSO_ECN             0x80u

/* 5.1.6.5 */
#define CTRL_OK                 0u
#define CTRL_ERR                1u
#define CTRL_MQ                 4u
#define CTRL_MQ_PAIRS_SET       0u
#define CTRL_GUEST_OFFLOADS     5u
#define CTRL_GUEST_OFFLOADS_SET 0u

#define QUEUE_SIZE              256u
#define QUEUES_PER_PAIR         2u /* the receive queue comes first */
#define PAIRS_MAX               BP_NETWORK_FDS_MAX
#define ETHER_BYTES             14u
#define MAC_BYTES               6u
#define VLAN_BYTES              4u
#define IOV_MAX_PIECES          1024u /* of one readv or writev */

/* The longest frame that a tap can have for us: 65,535 bytes behind an IPv6 header, an Ethernet header and a VLAN tag. */
#define FRAME_MAX               (65535u + 40u + ETHER_BYTES + VLAN_BYTES)
/* In one callback, so that each queue and each direction has its turn: frames, or bytes. Of what the guest sends, the host hands over as many
 * frames at a time as a queue has entries. */
#define BATCH                   64u
#define BATCH_BYTES             (2u << 20)
/* How long a frame waits for buffers that are large enough, when the guest has given some that are not. */
#define HELD_MAX_NS             UINT64_C(1000000000)

/* 5.1.4, in little endian. */
struct net_config {
	uint8_t mac[MAC_BYTES];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};
BP_STATIC_ASSERT(sizeof(struct net_config) == 12, "5.1.4");

/* 5.1.6, in little endian. */
struct net_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
BP_STATIC_ASSERT(sizeof(struct net_header) == BP_NETWORK_HEADER,
		 "what a tap has before a frame is what a guest has there");
#define HEADER_BYTES BP_NETWORK_HEADER

/* Of a chain with a frame to send, in its scratch: the bytes of it that are looked at. They are copied once, checked, and these are the bytes
 * that leave, whatever the guest does to its own. */
struct tx_frame {
	struct net_header header;
	uint8_t ether[ETHER_BYTES];
	uint8_t checked;
	uint8_t unused;
};
#define HEAD_BYTES (HEADER_BYTES + ETHER_BYTES)
BP_STATIC_ASSERT(offsetof(struct tx_frame, ether) == HEADER_BYTES, "they are sent as one piece");

/* Of a receive buffer, in its scratch. */
struct rx_buffer {
	uint64_t bytes;  /* without the header's, once they are cut off */
	uint32_t pieces; /* in the window */
	uint32_t unused;
};
#define SCRATCH_BYTES 32u
BP_STATIC_ASSERT(sizeof(struct tx_frame) <= SCRATCH_BYTES && sizeof(struct rx_buffer) <= SCRATCH_BYTES, "scratch");

/* Chains that wait, oldest first. */
struct chains {
	struct bp_chain *first;
	struct bp_chain *last;
};

static inline void chains_put(struct chains *chains, struct bp_chain *chain)
{
	chain->next = NULL;
	if (chains->first)
		chains->last->next = chain;
	else
		chains->first = chain;
	chains->last = chain;
}

static inline void chains_put_back(struct chains *chains, struct bp_chain *chain)
{
	chain->next = chains->first;
	if (!chains->first)
		chains->last = chain;
	chains->first = chain;
}

static inline struct bp_chain *chains_take(struct chains *chains)
{
	struct bp_chain *chain = chains->first;

	if (chain)
		chains->first = chain->next;
	return chain;
}

#define WINDOW_PIECES_MAX (IOV_MAX_PIECES - 2) /* beside the header and the spill */
#define WINDOW_SLOTS      (2 * WINDOW_PIECES_MAX + 2)

/* What a tap's reads go into; see buffers.c. */
struct rx_window {
	struct iovec iov[WINDOW_SLOTS];
	uint8_t spill[FRAME_MAX + 1]; /* one byte more than can come: a frame that fills it is too long */
};

struct rx {
	struct chains buffers;   /* of the guest */
	struct bp_chain *closed; /* the first of them that is not in the window; NULL: all are */
	uint32_t at, end;        /* pieces of the window: the buffers' from the first to the one before `closed` */
	uint64_t room;           /* bytes of these */
	bool headed;             /* the header's bytes are cut off the first buffer */
	uint64_t held;           /* bytes of a frame that waits for more buffers; 0: none does */
	uint64_t spilled;        /* as many of its last bytes are in the spill */
	uint64_t held_since_ns;
	bool told;      /* the guest tells of new buffers */
	bool looking;   /* we are looking for some, and know what to do with them */
	uint32_t found; /* by that */
	struct net_header header;
	struct rx_window *window; /* NULL on a stream */
};

struct pair {
	struct net *net;
	uint32_t index;
	int fd;          /* of a tap */
	bool attached;   /* tap: it takes part, and is waited for */
	uint32_t events; /* what it is waited for */
	uint32_t errors; /* of reads, one after the other */
	struct rx rx;
	struct chains tx; /* frames that wait until they can leave */
};

struct stream;

struct net {
	struct bp_dev *dev;
	struct stream *stream; /* NULL: it is a tap */
	bool mac_guard;
	bool started;
	uint64_t offered;
	uint32_t pairs; /* that there are */
	struct net_config config;

	/* What the driver has made of it. */
	bool active;
	uint64_t features;     /* negotiated; without those that need another that was not */
	uint64_t offloads;     /* F_GUEST_OFFLOADS that are in effect */
	uint32_t active_pairs; /* in use: the first of them */
	bool broken;

	bool gone; /* the tap interface does not exist any more */
	bool held_timing;
	uint32_t held_timer;
	struct {
		uint64_t *rx_frames, *rx_bytes, *tx_frames, *tx_bytes;
		uint64_t *rx_drop_room, *rx_drop_size, *rx_drop_offload, *rx_drop_idle;
		uint64_t *tx_drop_header, *tx_drop_size, *tx_drop_mac, *tx_drop_link, *tx_drop_host;
		uint64_t *control_errors, *connections;
	} metrics;
	struct iovec iov[IOV_MAX_PIECES]; /* of a frame that is being sent */
	struct pair pair[];
};

/* ---- virtio-net.c ---- */

/* [main] [dev] Tells the guest whether there is a link. */
void net_link(struct net *net, bool up);
/* [dev] The driver has broken the protocol in a way that leaves nothing to go on with. */
void net_broken(struct net *net, uint32_t queue, const char *what);
/* What is left of `features` without those that require one that is missing (5.1.3.1). */
uint64_t net_settled(uint64_t features);
/* Whether these guest offloads make sense together and were negotiated. */
bool net_offloads_ok(uint64_t features, uint64_t offloads);

/* ---- state.c: [dev] ---- */

#define NET_STATE_VERSION 1u
int net_save(void *self, struct bp_writer *writer);
int net_load(void *self, struct bp_reader *reader, uint32_t version);

/* ---- header.c ---- */

/* Whether a frame of `bytes` can be sent behind this header, with these features. What the device is to ignore is cleared. */
bool header_send_ok(struct net_header *header, uint64_t features, uint64_t bytes);
/* Whether a guest with these offloads can be given it; likewise. */
bool header_receive_ok(struct net_header *header, uint64_t offloads);

/* ---- buffers.c: [dev] ---- */

/* A buffer of the guest. */
void rx_add(struct pair *pair, struct bp_chain *chain);
/* Whether a frame from the tap can be taken. If not, the guest tells when it has buffers. */
bool rx_ready(struct pair *pair);
/* Forgets the guest's buffers, and a frame that waits. */
void rx_reset(struct pair *pair);

/* ---- rx.c: [dev] ---- */

/* Reads one frame from the tap: how many bytes; 0 if there is none, no buffer for one, or one that waits; or -errno of the read. */
int rx_read(struct pair *pair);
/* Copies a frame of a stream. False: it has to wait for more buffers. */
bool rx_put(struct pair *pair, const uint8_t *frame, uint32_t bytes);
/* A bp_timer_fn: frames that have waited for too long are dropped. */
void rx_held_timeout(void *arg, uint32_t timer);

/* ---- tx.c: [dev] ---- */

/* A frame of the guest. */
void tx_add(struct pair *pair, struct bp_chain *chain);
/* Sends what waits, as far as it can leave, and at most BATCH frames. */
void tx_flush(struct pair *pair);
/* Gives back what waits, unsent. */
void tx_drop(struct pair *pair);

/* ---- tap.c ---- */

/* [main] In create: whether the tap has offloads for the guest is in *ret_offloads. 0, or -errno through bp_fail(). */
int tap_adopt(struct net *net, const struct bp_network *network, bool offload, bool *ret_offloads);
/* [main] Waits for it, and no longer. */
int tap_start(struct net *net);
void tap_close(struct net *net);
/* [main] [dev] 0, or -errno: nothing has changed then. */
int tap_set_offloads(struct net *net, uint64_t offloads);
int tap_set_pairs(struct net *net, uint32_t count);
/* [dev] What to wait for may have changed. */
void tap_watch(struct pair *pair);
/* [dev] It has gone, and will not come back. */
void tap_gone(struct net *net, int error);

/* ---- link.c ---- */

/* [main] Makes net->stream. 0, or -errno through bp_fail(). */
int link_open(struct net *net, const struct bp_network *network);
int link_start(struct net *net);
void link_free(struct net *net);

/* ---- stream.c ---- */

/* [dev] What to wait for may have changed. */
void stream_watch(struct net *net);
/* [dev] Hands over frames that wait in its buffer. */
void stream_deliver(struct net *net);
/* [dev] Drops the frame that waits. */
void stream_skip(struct net *net);
/* [dev] Sends the frame of the chain, which lies in the first `pieces` of net->iov, the first of them its struct tx_frame. What does not leave at
 * once is copied. True: it is on its way, or it is lost, as *ret_sent tells; false: nothing of it has been taken. */
bool stream_send(struct net *net, struct bp_chain *chain, int pieces, bool *ret_sent);

/* ---- control.c: [dev] ---- */

/* A command of the guest; completes the chain. */
void control_request(struct net *net, struct bp_chain *chain);

/* ---- small ---- */

/* [dev] */
static inline void pair_watch(struct pair *pair)
{
	if (pair->net->stream)
		stream_watch(pair->net);
	else
		tap_watch(pair);
}

#endif
