/* SPDX-License-Identifier: BSD-3-Clause */
/* The protocol's numbers: VIRTIO 1.2, 5.10. */
#ifndef VIRTIO_VSOCK_PACKET_H
#define VIRTIO_VSOCK_PACKET_H

#include <backplane/plugin.h>

#include <endian.h>

#define VIRTIO_ID_VSOCK       19u

/* 5.10.2 */
#define QUEUE_RX              0u
#define QUEUE_TX              1u
#define QUEUE_EVENT           2u
#define QUEUES                3u
#define QUEUE_SIZE            256u

/* 5.10.3 */
#define F_STREAM              (UINT64_C(1) << 0)

/* 5.10.4 */
#define CID_HOST              2u
#define CID_MIN               3
#define CID_MAX               INT64_C(4294967294)

/* 5.10.6 */
#define OP_REQUEST            1u
#define OP_RESPONSE           2u
#define OP_RST                3u
#define OP_SHUTDOWN           4u
#define OP_RW                 5u
#define OP_CREDIT_UPDATE      6u
#define OP_CREDIT_REQUEST     7u

#define TYPE_STREAM           1u /* 5.10.6.2 */

/* Flags of SHUTDOWN (5.10.6.5): the sender will not receive, or not send, any more. */
#define SHUT_RECEIVE          (1u << 0)
#define SHUT_SEND             (1u << 1)
#define SHUT_BOTH             (SHUT_RECEIVE | SHUT_SEND)

#define EVENT_TRANSPORT_RESET 0u /* 5.10.6.7 */

/* Bytes of data of a packet that we send, as others do it. */
#define PACKET_MAX            65536u

/* What a packet begins with, in little endian. */
struct packet {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));
BP_STATIC_ASSERT(sizeof(struct packet) == 44, "5.10.6");

#endif
