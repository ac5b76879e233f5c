/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the core and a plugin's process (device-host) say to each other, but for the data path of virtio devices, which
 * is vhost-user (vhost.h). Both are of the same build: there is one version, which is checked. Each side treats the
 * other as hostile.
 *
 * Two SOCK_SEQPACKET sockets. `control` carries requests of the core, one at a time, each of which gets one reply with
 * the same op and sequence; only a PING may be under way beside another. Before its reply to CREATE, START, STOP or END
 * the process may ask in turn, for WIRE_CLAIM and WIRE_RELEASE, and waits for the answer. Notices come from any of its
 * threads at any time and get no reply; EVENT and QUIT not before CREATE, CONNECT not before START. `access` carries register accesses (struct
 * wire_access), of raw devices only.
 *
 * What is longer than a message goes before it, in pieces: WIRE_BLOB messages, of at most WIRE_BLOB_MAX bytes in all,
 * and WIRE_FDS messages, of at most WIRE_FDS_MAX descriptors in all, belong to the next request or reply that follows
 * in the same direction, whose head says how many there were, and which has to be one that the table gives them to. All
 * but the last WIRE_BLOB are full (WIRE_PIECE_MAX), all but the last WIRE_FDS have MSG_FDS_MAX, so that their number is
 * bounded, too. Notices may lie in between. A reply that is an error has neither.
 *
 *   op          request              blob    fds                          reply, its blob          when
 *   LOAD        wire_load            -       -                            -, declaration           first
 *   CREATE      wire_create          values  see wire_create              wire_created, -          LOAD == 0
 *   START       -                    -       -                            -                        CREATE == 0
 *   RESET       -                    -       -                            -                        CREATE == 0
 *   QUIESCE     -                    -       -                            -                        START == 0
 *   RESUME      -                    -       -                            -                        QUIESCE == 0
 *   SAVE        -                    -       -                            -, state                 QUIESCE == 0
 *   RESTORE     -                    state   -                            -                        QUIESCE == 0
 *   METRICS     -                    -       -                            -, metrics               CREATE == 0
 *   PING        -                    -       -                            -                        CREATE == 0, see below
 *   STOP        -                    -       -                            -                        START == 0
 *   END         -                    -       -                            -, then it exits with 0  any
 *   RESIZED     -                    -       -                            -                        START == 0, see below
 *   SETTLE      -                    -       -                            -                        START == 0, see below
 *
 * Notices that have an answer: for each WIRE_CONNECT, at most WIRE_CONNECTS of which may be unanswered, the core sends one
 * WIRE_CONNECTED with the same token, with one descriptor (WIRE_FDS before it) or with a result < 0; none any more once it has
 * asked for the STOP. It is no request and gets no reply. It comes at any time from START on, also where the process waits
 * for the answer to a WIRE_CLAIM or WIRE_RELEASE, and the core does not wait for room: a process that does not take what it
 * has asked for has failed.
 *
 * The reply to a PING comes when the device's lock was free. RESIZED: the user's terminal has another size. SETTLE:
 * accesses that were made before have been done, and what the device told because of them comes before the reply.
 * A request out of turn is -EPROTO, and the end of the process.
 */
#ifndef PLACEMENT_WIRE_H
#define PLACEMENT_WIRE_H

#include "core/base/err.h"
#include "core/base/msg.h"
#include "core/device/plugin.h"

#include <assert.h>
#include <stdbool.h>

#define WIRE_VERSION      1u
#define WIRE_BLOB_MAX     ((size_t)16 << 20)
#define WIRE_PIECE_MAX    16384u
#define WIRE_FDS_MAX      320u
#define WIRE_PATH_MAX     4096u
#define WIRE_ID_MAX       64u
#define WIRE_TEXT_MAX     1024u /* of a message or a line, with its NUL */
#define WIRE_REGIONS      8u    /* of guest memory */
#define WIRE_METRIC_COUNT 64u   /* of a device */
#define WIRE_CONNECTS     64u   /* of a device, unanswered */
#define WIRE_METRICS_BYTES \
	((size_t)64 << 10) /* bytes of a reply's blob: for each kind, name, help (struct pack_writer), value */

/* Descriptors that the process finds at these numbers when it is exec'd. 0 and 1 are /dev/null, 2 is the pipe that the
 * core logs from. */
enum wire_fd {
	WIRE_FD_CONTROL = 3,
	WIRE_FD_ACCESS = 4, /* SOCK_SEQPACKET: raw devices */
	WIRE_FD_VHOST = 5,  /* SOCK_STREAM: virtio devices. Which of the two is used follows from the class */
	WIRE_FD_COUNT = 6,
};

enum wire_op {
	WIRE_LOAD = 1,
	WIRE_CREATE,
	WIRE_START,
	WIRE_RESET,
	WIRE_QUIESCE,
	WIRE_RESUME,
	WIRE_SAVE,
	WIRE_RESTORE,
	WIRE_METRICS,
	WIRE_PING,
	WIRE_STOP,
	WIRE_END,
	WIRE_RESIZED,
	/* the process asks */
	WIRE_CLAIM,
	WIRE_RELEASE,
	/* either */
	WIRE_BLOB,
	WIRE_FDS,
	/* notices of the process */
	WIRE_LOG,
	WIRE_EVENT,
	WIRE_QUIT,
	/* the core asks, as above */
	WIRE_SETTLE,
	/* one more notice of the process, and the core's answer */
	WIRE_CONNECT,
	WIRE_CONNECTED,
	WIRE_OPS
};

#define WIRE_REPLY 0x100u /* or-ed to the op */

struct wire_head {
	uint32_t version;
	uint32_t op;
	uint32_t sequence;
	int32_t result;                /* of a reply: 0 or -errno, with a struct wire_text for a body then */
	uint32_t blob_bytes, fd_count; /* that came before */
};
static_assert(sizeof(struct wire_head) == 24, "wire");

struct wire_load {
	char path[WIRE_PATH_MAX]; /* real path of the plugin */
	uint32_t log_level;
	uint32_t pad;
	uint64_t start_ns; /* the core's clock_start_ns() */
};

/* The fds: the page with the interrupt status (virtio) or none; one eventfd for each interrupt (raw); one for each
 * region of memory; those of the values. */
struct wire_create {
	char id[WIRE_ID_MAX];
	char class_name[WIRE_ID_MAX];
	uint32_t vcpus;
	uint32_t irq_count;
	uint32_t region_count; /* raw; a virtio device's memory comes by vhost-user */
	uint32_t value_fds;
	uint64_t identity; /* BP_INFO_IDENTITY */
	uint64_t bases[CLASS_RANGES_MAX];
	struct {
		uint64_t gpa, bytes, offset;
	} regions[WIRE_REGIONS];
};

/* What the device offers (virtio only; else 0). */
struct wire_created {
	uint64_t features;
	uint32_t queue_count;
	uint32_t pad;
};

struct wire_text {
	char text[WIRE_TEXT_MAX];
};

struct wire_claim {
	uint32_t cookie, space, widths, pad;
	uint64_t length, base;
};

struct wire_claimed {
	uint64_t base;
};

struct wire_release {
	uint32_t space, pad;
	uint64_t base;
};

struct wire_log {
	uint32_t level, pad;
	char text[WIRE_TEXT_MAX];
};

struct wire_event {
	uint32_t event, pad;
	uint64_t value;
};

/* A struct device_connect. */
struct wire_connect {
	uint32_t token, param, index, number;
};

struct wire_connected {
	uint32_t token;
	int32_t result; /* 0 with a descriptor, or -errno without */
};

struct wire_piece {
	uint32_t bytes, pad;
	uint8_t data[WIRE_PIECE_MAX];
};

/* One message of the `access` socket, both ways. A write is posted: there is no answer. A read's has the same sequence;
 * value is all-ones unless result is 0. */
struct wire_access {
	uint64_t sequence;
	uint32_t op; /* enum wire_access_op */
	uint32_t range;
	uint64_t offset;
	uint32_t width;
	int32_t result;
	uint64_t value;
};
static_assert(sizeof(struct wire_access) == 40, "wire");

enum wire_access_op { WIRE_ACCESS_READ = 1, WIRE_ACCESS_WRITE, WIRE_ACCESS_VALUE };

/* How many bytes the body of `op` has (with WIRE_REPLY: of its successful reply); -EPROTO for an op that is not known.
 * The only table of lengths; for WIRE_BLOB it is the head of struct wire_piece, which is followed by as many bytes as
 * it says. */
int wire_body_bytes(uint32_t op);

/* A message as it was received: checked for version, op and length. */
union wire_body {
	struct wire_load load;
	struct wire_create create;
	struct wire_created created;
	struct wire_text text;
	struct wire_claim claim;
	struct wire_claimed claimed;
	struct wire_release release;
	struct wire_log log;
	struct wire_event event;
	struct wire_connect connect;
	struct wire_connected connected;
	struct wire_piece piece;
};

struct wire_message {
	struct wire_head head;
	union wire_body body;
};

/* One end of a `control` socket, with what has gathered for the next message. All zero but for `fd` at first. One
 * thread receives, one sends; notices, which have neither blob nor fds, may be sent by any. */
struct wire {
	int fd;             /* borrowed */
	bool refuses_blobs; /* no message that has one is due: a piece is a breach. Set before receiving */
	bool refuses_fds;   /* set at first: the other side has none to send, and may not make us hold any */
	bool
	    may_lose_fd; /* set before receiving: that of a WIRE_CONNECTED for which this process has no room is lost */
	bool lost_fd;    /* it is; for the message that was received last if `delivered`, else for the next */
	bool delivered;  /* the blob and fds are those of the message that was received last */
	uint8_t *blob;   /* owned */
	size_t blob_bytes, blob_cap;
	size_t fd_count;
	int fds[WIRE_FDS_MAX]; /* owned */
};

/* Takes a message, without waiting; a WIRE_BLOB or WIRE_FDS is put aside, and the next is looked at. 1 if there is one,
 * whose blob and fds are in *wire until wire_next(); those of a notice are none, and what has gathered for another
 * message stays. 0 if the other side has gone; -EAGAIN; -EPROTO for anything that breaks the rules above, or -ENOMEM,
 * -EMFILE and the like, after which the socket is of no use. Strings in bodies end with NUL. *ret is undefined unless 1
 * is returned. */
int wire_receive(struct wire *wire, struct wire_message *ret);
/* Forgets the blob and closes the fds that are left of the message that was received, those that are -1 having been
 * taken. Allowed at any time; the next wire_receive() does it, too. */
void wire_next(struct wire *wire);
/* The end of a struct wire: forgets also what has gathered for a message that has not come. */
void wire_end(struct wire *wire);
/* The blob of the message that was received, which the caller then owns; NULL if there was none. */
uint8_t *wire_take_blob(struct wire *wire, size_t *ret_bytes);

/* Sends a message with what belongs to it (borrowed): `blob` of head->blob_bytes, `fds` of head->fd_count.
 * head->version is not looked at. `body` has wire_body_bytes(op), or is a struct wire_text if result < 0. -errno of
 * msg_send(); if there is a blob or there are fds, the socket is of no use then. */
int wire_send(struct wire *wire, const struct wire_head *head, const void *body, const void *blob, const int *fds,
	      uint64_t deadline_ns);

#endif
