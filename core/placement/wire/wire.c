/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages of a `control` socket; see wire.h. */
#include "core/placement/wire/wire.h"

#include "core/base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ERRNO_MAX 4095

static_assert(offsetof(struct wire_message, body) == sizeof(struct wire_head),
	      "a message is received as it lies there");
static_assert(sizeof(struct wire_load) == 4112 && sizeof(struct wire_create) == 472 &&
		  sizeof(struct wire_created) == 16 && sizeof(struct wire_claim) == 32 &&
		  sizeof(struct wire_release) == 16 && sizeof(struct wire_log) == 1032 &&
		  sizeof(struct wire_event) == 16 && sizeof(struct wire_connect) == 16 &&
		  sizeof(struct wire_connected) == 8,
	      "nothing is sent that nobody has set");

/* A message of the table: its body, and what may go before it. */
struct kind {
	bool known;
	bool blob, fds;
	uint16_t body_bytes;
};

static const struct kind requests[WIRE_OPS] = {
	[WIRE_LOAD] = { .known = true, .body_bytes = sizeof(struct wire_load) },
	[WIRE_CREATE] = { .known = true, .blob = true, .fds = true, .body_bytes = sizeof(struct wire_create) },
	[WIRE_START] = { .known = true },
	[WIRE_RESET] = { .known = true },
	[WIRE_QUIESCE] = { .known = true },
	[WIRE_RESUME] = { .known = true },
	[WIRE_SAVE] = { .known = true },
	[WIRE_RESTORE] = { .known = true, .blob = true },
	[WIRE_METRICS] = { .known = true },
	[WIRE_PING] = { .known = true },
	[WIRE_STOP] = { .known = true },
	[WIRE_END] = { .known = true },
	[WIRE_RESIZED] = { .known = true },
	[WIRE_CLAIM] = { .known = true, .body_bytes = sizeof(struct wire_claim) },
	[WIRE_RELEASE] = { .known = true, .body_bytes = sizeof(struct wire_release) },
	[WIRE_BLOB] = { .known = true, .body_bytes = offsetof(struct wire_piece, data) },
	[WIRE_FDS] = { .known = true },
	[WIRE_LOG] = { .known = true, .body_bytes = sizeof(struct wire_log) },
	[WIRE_EVENT] = { .known = true, .body_bytes = sizeof(struct wire_event) },
	[WIRE_QUIT] = { .known = true },
	[WIRE_SETTLE] = { .known = true },
	[WIRE_CONNECT] = { .known = true, .body_bytes = sizeof(struct wire_connect) },
	[WIRE_CONNECTED] = { .known = true, .fds = true, .body_bytes = sizeof(struct wire_connected) },
};

static const struct kind replies[WIRE_OPS] = {
	[WIRE_LOAD] = { .known = true, .blob = true },
	[WIRE_CREATE] = { .known = true, .body_bytes = sizeof(struct wire_created) },
	[WIRE_START] = { .known = true },
	[WIRE_RESET] = { .known = true },
	[WIRE_QUIESCE] = { .known = true },
	[WIRE_RESUME] = { .known = true },
	[WIRE_SAVE] = { .known = true, .blob = true },
	[WIRE_RESTORE] = { .known = true },
	[WIRE_METRICS] = { .known = true, .blob = true },
	[WIRE_PING] = { .known = true },
	[WIRE_STOP] = { .known = true },
	[WIRE_END] = { .known = true },
	[WIRE_RESIZED] = { .known = true },
	[WIRE_CLAIM] = { .known = true, .body_bytes = sizeof(struct wire_claimed) },
	[WIRE_RELEASE] = { .known = true },
	[WIRE_SETTLE] = { .known = true },
};

/* NULL: no such message. */
static const struct kind *kind_of(uint32_t op)
{
	const struct kind *kinds = op & WIRE_REPLY ? replies : requests;

	op &= ~WIRE_REPLY;
	return op < WIRE_OPS && kinds[op].known ? &kinds[op] : NULL;
}

int wire_body_bytes(uint32_t op)
{
	const struct kind *kind = kind_of(op);

	return kind ? kind->body_bytes : -EPROTO;
}

static bool is_notice(uint32_t op)
{
	return op == WIRE_LOG || op == WIRE_EVENT || op == WIRE_QUIT || op == WIRE_CONNECT;
}

/* ---- receiving ---- */

void wire_end(struct wire *wire)
{
	for (size_t i = 0; i < wire->fd_count; i++)
		fd_close(wire->fds[i]);
	free(wire->blob);
	*wire = (struct wire){
		.fd = wire->fd,
		.refuses_blobs = wire->refuses_blobs,
		.refuses_fds = wire->refuses_fds,
		.may_lose_fd = wire->may_lose_fd,
	};
}

void wire_next(struct wire *wire)
{
	if (wire->delivered)
		wire_end(wire);
}

uint8_t *wire_take_blob(struct wire *wire, size_t *ret_bytes)
{
	if (!wire->delivered || !wire->blob)
		return NULL;
	*ret_bytes = wire->blob_bytes;
	wire->blob_bytes = 0;
	wire->blob_cap = 0;
	return take(&wire->blob);
}

static bool terminated(const char *text, size_t bytes)
{
	return memchr(text, 0, bytes) != NULL;
}

static bool strings_end(uint32_t op, const union wire_body *body)
{
	switch (op) {
	case WIRE_LOAD:
		return terminated(body->load.path, sizeof(body->load.path));
	case WIRE_CREATE:
		return terminated(body->create.id, sizeof(body->create.id)) &&
		       terminated(body->create.class_name, sizeof(body->create.class_name));
	case WIRE_LOG:
		return terminated(body->log.text, sizeof(body->log.text));
	default:
		return true;
	}
}

/* Puts a piece aside; only the last may be short. */
static int gather_blob(struct wire *wire, const struct wire_message *message, size_t body_bytes)
{
	uint32_t bytes = message->body.piece.bytes;

	if (wire->refuses_blobs || !bytes || bytes > WIRE_PIECE_MAX ||
	    body_bytes != offsetof(struct wire_piece, data) + bytes || wire->blob_bytes % WIRE_PIECE_MAX ||
	    bytes > WIRE_BLOB_MAX - wire->blob_bytes)
		return -EPROTO;
	if (wire->blob_bytes + bytes > wire->blob_cap) {
		size_t cap = wire->blob_cap ? wire->blob_cap * 2 : WIRE_PIECE_MAX;
		uint8_t *blob = realloc(wire->blob, cap);

		if (!blob)
			return -ENOMEM;
		wire->blob = blob;
		wire->blob_cap = cap;
	}
	memcpy(wire->blob + wire->blob_bytes, message->body.piece.data, bytes);
	wire->blob_bytes += bytes;
	return 0;
}
static_assert(WIRE_BLOB_MAX % WIRE_PIECE_MAX == 0 &&
		  !(WIRE_BLOB_MAX / WIRE_PIECE_MAX & (WIRE_BLOB_MAX / WIRE_PIECE_MAX - 1)),
	      "doubling ends at the limit");

/* The same for descriptors, which are taken over on success. */
static int gather_fds(struct wire *wire, struct msg_fds *fds)
{
	if (wire->refuses_fds || !fds->count || wire->fd_count % MSG_FDS_MAX ||
	    fds->count > WIRE_FDS_MAX - wire->fd_count)
		return -EPROTO;
	memcpy(wire->fds + wire->fd_count, fds->fds, sizeof(int) * fds->count);
	wire->fd_count += fds->count;
	fds->count = 0;
	return 0;
}

/* Whether the head agrees with what has gathered before it. */
static bool belongings_fit(const struct wire *wire, const struct wire_head *head, const struct kind *kind)
{
	bool none = head->result < 0 || is_notice(head->op) || head->op == WIRE_BLOB || head->op == WIRE_FDS;

	if (none)
		return !head->blob_bytes && !head->fd_count;
	if (wire->lost_fd)
		return head->op == WIRE_CONNECTED && head->fd_count == 1 && !wire->fd_count && !head->blob_bytes &&
		       !wire->blob_bytes;
	return head->blob_bytes == wire->blob_bytes && head->fd_count == wire->fd_count &&
	       (kind->blob || !head->blob_bytes) && (kind->fds || !head->fd_count);
}

/* One message of `bytes`, whose descriptors are taken out of `fds` if they have been put aside. 1 if it is the
 * caller's, 0 if it has been put aside, -errno. */
static int take_message(struct wire *wire, const struct wire_message *message, size_t bytes, struct msg_fds *fds)
{
	const struct wire_head *head = &message->head;
	size_t body_bytes = bytes - sizeof(*head);
	const struct kind *kind;

	if (bytes < sizeof(*head) || head->version != WIRE_VERSION)
		return -EPROTO;
	kind = kind_of(head->op);
	if (!kind || head->result > 0 || head->result < -ERRNO_MAX || (head->result && !(head->op & WIRE_REPLY)) ||
	    !belongings_fit(wire, head, kind))
		return -EPROTO;
	if (head->op == WIRE_FDS)
		return body_bytes ? -EPROTO : gather_fds(wire, fds);
	if (fds->count)
		return -EPROTO;
	if (head->op == WIRE_BLOB)
		return body_bytes < kind->body_bytes ? -EPROTO : gather_blob(wire, message, body_bytes);
	if (head->result < 0)
		return body_bytes == sizeof(struct wire_text) && !wire->blob_bytes && !wire->fd_count &&
			       terminated(message->body.text.text, sizeof(message->body.text.text))
			   ? 1
			   : -EPROTO;
	return body_bytes == kind->body_bytes && strings_end(head->op, &message->body) ? 1 : -EPROTO;
}

int wire_receive(struct wire *wire, struct wire_message *ret)
{
	int r;

	wire_next(wire);
	/* The pieces are bounded, so this ends. */
	do {
		struct msg_fds fds = { .count = 0 };
		ssize_t n = msg_recv(wire->fd, ret, sizeof(*ret), &fds);

		if (n == -EMSGSIZE)
			return -EPROTO;
		if (n == -EMFILE && wire->may_lose_fd && !wire->lost_fd) {
			wire->lost_fd = true;
			r = 0;
			continue;
		}
		if (n <= 0)
			return (int)n;
		r = take_message(wire, ret, (size_t)n, &fds);
		msg_fds_close(&fds);
	} while (r == 0);
	if (r == 1)
		wire->delivered = !is_notice(ret->head.op);
	return r;
}

/* ---- sending ---- */

static int send_blob(struct wire *wire, uint32_t sequence, const uint8_t *blob, size_t bytes, uint64_t deadline_ns)
{
	struct {
		struct wire_head head;
		struct wire_piece piece;
	} message;
	int r = 0;

	message.head = (struct wire_head){ .version = WIRE_VERSION, .op = WIRE_BLOB, .sequence = sequence };
	message.piece.pad = 0;
	for (size_t at = 0; r == 0 && at < bytes; at += message.piece.bytes) {
		size_t left = bytes - at;

		message.piece.bytes = left < WIRE_PIECE_MAX ? (uint32_t)left : WIRE_PIECE_MAX;
		memcpy(message.piece.data, blob + at, message.piece.bytes);
		r = msg_send(wire->fd, &message,
			     sizeof(message.head) + offsetof(struct wire_piece, data) + message.piece.bytes, NULL,
			     deadline_ns);
	}
	return r;
}

static int send_fds(struct wire *wire, uint32_t sequence, const int *fds, size_t count, uint64_t deadline_ns)
{
	struct wire_head head = { .version = WIRE_VERSION, .op = WIRE_FDS, .sequence = sequence };
	struct msg_fds group;
	int r = 0;

	for (size_t at = 0; r == 0 && at < count; at += group.count) {
		size_t left = count - at;

		group.count = left < MSG_FDS_MAX ? left : MSG_FDS_MAX;
		memcpy(group.fds, fds + at, sizeof(int) * group.count);
		r = msg_send(wire->fd, &head, sizeof(head), &group, deadline_ns);
	}
	return r;
}

int wire_send(struct wire *wire, const struct wire_head *head, const void *body, const void *blob, const int *fds,
	      uint64_t deadline_ns)
{
	const struct kind *kind = kind_of(head->op);
	struct {
		struct wire_head head;
		uint8_t body[sizeof(struct wire_load)];
	} message;
	size_t body_bytes;
	int r;

	assert(kind && head->op != WIRE_BLOB && head->op != WIRE_FDS &&
	       (head->result < 0 || kind->blob || !head->blob_bytes) && (kind->fds || !head->fd_count) &&
	       head->blob_bytes <= WIRE_BLOB_MAX && head->fd_count <= WIRE_FDS_MAX);
	assert(head->result == 0 ||
	       (head->result < 0 && (head->op & WIRE_REPLY) && !head->blob_bytes && !head->fd_count));
	r = send_blob(wire, head->sequence, blob, head->blob_bytes, deadline_ns);
	if (r < 0)
		return r;
	r = send_fds(wire, head->sequence, fds, head->fd_count, deadline_ns);
	if (r < 0)
		return r;
	body_bytes = head->result < 0 ? sizeof(struct wire_text) : kind->body_bytes;
	message.head = *head;
	message.head.version = WIRE_VERSION;
	if (body_bytes)
		memcpy(message.body, body, body_bytes);
	return msg_send(wire->fd, &message, sizeof(message.head) + body_bytes, NULL, deadline_ns);
}
static_assert(sizeof(struct wire_load) >= sizeof(struct wire_create) &&
		  sizeof(struct wire_load) >= sizeof(struct wire_log),
	      "the largest body");
