/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages, as the protocol's specification (QEMU's docs/interop/vhost-user) has them: header and payloads, little endian, on a
 * SOCK_STREAM; and the table of what is allowed, which both sides use. Addresses of queues in messages are guest physical addresses, since the table of memory
 * regions names those as user addresses, too: no pointer leaves a process.
 */
#ifndef PLACEMENT_VHOST_H
#define PLACEMENT_VHOST_H

#include "core/base/msg.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define VHOST_FLAG_VERSION    0x1u
#define VHOST_FLAG_REPLY      0x4u
#define VHOST_FLAG_NEED_REPLY 0x8u

#define VHOST_REGIONS_MAX     8
#define VHOST_CONFIG_MAX      256

#define VHOST_F_PROTOCOL_FEATURES (UINT64_C(1) << 30) /* among the virtio features */

enum vhost_protocol_feature {
	VHOST_PROTOCOL_MQ = 0,
	VHOST_PROTOCOL_REPLY_ACK = 3,
	VHOST_PROTOCOL_BACKEND_REQ = 5,
	VHOST_PROTOCOL_CONFIG = 9,
	VHOST_PROTOCOL_STATUS = 16,
};

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
};

/* Of the backend, on the socket of VHOST_SET_BACKEND_REQ_FD. */
enum vhost_backend_request { VHOST_BACKEND_CONFIG_CHANGE = 2 };

#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NO_FD      0x100u

struct vhost_head {
	uint32_t request;
	uint32_t flags;
	uint32_t bytes; /* of the payload */
};
static_assert(sizeof(struct vhost_head) == 12, "vhost-user");

struct vhost_vring_state {
	uint32_t index, num;
};

struct vhost_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};
static_assert(sizeof(struct vhost_vring_addr) == 40, "vhost-user");

struct vhost_region {
	uint64_t gpa, bytes, user_address, mmap_offset;
};

struct vhost_memory {
	uint32_t count, pad;
	struct vhost_region regions[VHOST_REGIONS_MAX]; /* `count` of them are sent */
};

struct vhost_config {
	uint32_t offset, bytes, flags; /* SET: flags 0 is the driver's write */
	uint8_t data[VHOST_CONFIG_MAX]; /* `bytes` of them are sent */
};

union vhost_payload {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct vhost_memory memory;
	struct vhost_config config;
};

struct vhost_message {
	struct vhost_head head;
	union vhost_payload payload;
	struct msg_fds fds; /* received: the taker's; to be sent: borrowed */
};

/* Takes one message, waiting until `deadline_ns`. Everything that the table does not allow is -EPROTO, its descriptors closed: version, requests that are
 * not known, lengths, counts within payloads, numbers of descriptors (a vring descriptor message has one, or VHOST_VRING_NO_FD and none). `reply`: a
 * reply is expected, else a request. The rest of *ret is zero. -ECONNRESET if the other side has gone, -ETIMEDOUT, another -errno. */
int vhost_receive(int fd, bool reply, struct vhost_message *ret, uint64_t deadline_ns);

/* Sends one; flags get the version, and bytes are set from the request and its counts. */
int vhost_send(int fd, struct vhost_message *message, uint64_t deadline_ns);

#endif
