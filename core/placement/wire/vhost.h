/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages, as the protocol's specification (QEMU's docs/interop/vhost-user) has them: header and payloads,
 * little endian, on a SOCK_STREAM; and the table of what is allowed, which both sides use. Addresses of queues in
 * messages are guest physical addresses, since the table of memory regions names those as user addresses, too: no
 * pointer leaves a process.
 */
#ifndef PLACEMENT_VHOST_H
#define PLACEMENT_VHOST_H

#include "core/base/msg.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define VHOST_FLAG_VERSION        0x1u
#define VHOST_FLAG_REPLY          0x4u
#define VHOST_FLAG_NEED_REPLY     0x8u

#define VHOST_REGIONS_MAX         8
#define VHOST_CONFIG_MAX          256

/* Among the virtio features. The first belongs to the protocol alone, and no guest is to see it. */
#define VHOST_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_F_VERSION_1         (UINT64_C(1) << 32)

/* Of the device status (VIRTIO 1.2, 2.1), which SET_STATUS has: what a driver has set that is ready, the bit that
 * matters of these, and the device's own. */
#define VHOST_STATUS_READY        0x0fu
#define VHOST_STATUS_DRIVER_OK    0x04u
#define VHOST_STATUS_NEEDS_RESET  0x40u

enum vhost_protocol_feature {
	VHOST_PROTOCOL_MQ = 0,
	VHOST_PROTOCOL_REPLY_ACK = 3,
	VHOST_PROTOCOL_BACKEND_REQ = 5,
	VHOST_PROTOCOL_CONFIG = 9,
	VHOST_PROTOCOL_STATUS = 16,
};

/* As a bit; `feature` without what goes before. */
#define VHOST_PROTOCOL(feature) (UINT64_C(1) << VHOST_PROTOCOL_##feature)

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
	uint32_t offset, bytes, flags;  /* SET: flags 0 is the driver's write */
	uint8_t data[VHOST_CONFIG_MAX]; /* `bytes` of them are sent */
};

#define VHOST_CONFIG_HEAD 12u /* bytes of struct vhost_config before its data */
static_assert(sizeof(struct vhost_region) == 32 && sizeof(struct vhost_memory) == 8 + 32 * VHOST_REGIONS_MAX &&
		  sizeof(struct vhost_config) == VHOST_CONFIG_HEAD + VHOST_CONFIG_MAX,
	      "vhost-user");

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

/*
 * Takes one message, waiting until `deadline_ns`. Everything that the table does not allow is -EPROTO, its descriptors
 * closed: version and flags, requests that are not known, lengths, counts within payloads, numbers of descriptors (a
 * vring descriptor message has one, or VHOST_VRING_NO_FD and none), bits that are not defined. `reply`: a reply is
 * expected, else a request; it is for the caller to see that it is of the right one. The reply to a request that has
 * none of its own is the acknowledgement, a u64. A reply to GET_CONFIG may be without a payload, which is a refusal and
 * has config.bytes 0. The rest of *ret is zero. -ECONNRESET if the other side has gone, -ETIMEDOUT, another -errno.
 * After an error nothing is left to close, and the socket is of no use any more.
 */
int vhost_receive(int fd, bool reply, struct vhost_message *ret, uint64_t deadline_ns);

/* Sends one; flags get the version, and bytes are set from the request, its counts, and VHOST_FLAG_REPLY. -errno of msg_send(). */
int vhost_send(int fd, struct vhost_message *message, uint64_t deadline_ns);

/* Whether `head` is one that the backend may send on the socket of VHOST_SET_BACKEND_REQ_FD. They have neither payload
 * nor descriptors. */
bool vhost_backend_request_ok(const struct vhost_head *head);

#endif
