/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: one side of a control socket, against a side that sends anything. The input is messages, each with two
 * bytes of its length and one that says how many descriptors go with it. What is delivered has to be as wire.h says,
 * and no descriptor is left at the end.
 */
#include "core/base/fd.h"
#include "core/placement/wire/wire.h"
#include "tests/unit/send_raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FDS_MAX 12 /* of one message: some more than there may be */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_message(int fd, const uint8_t *data, size_t bytes, size_t fd_count)
{
	if (!send_raw(fd, data, bytes, fd_count, MSG_DONTWAIT))
		abort();
}

static void check_text(const char *text, size_t bytes)
{
	if (!memchr(text, 0, bytes))
		abort();
}

static void check_strings(const struct wire_message *message)
{
	const union wire_body *body = &message->body;

	if (message->head.result < 0)
		check_text(body->text.text, sizeof(body->text.text));
	else if (message->head.op == WIRE_LOAD)
		check_text(body->load.path, sizeof(body->load.path));
	else if (message->head.op == WIRE_LOG)
		check_text(body->log.text, sizeof(body->log.text));
	else if (message->head.op == WIRE_CREATE) {
		check_text(body->create.id, sizeof(body->create.id));
		check_text(body->create.class_name, sizeof(body->create.class_name));
	}
}

static void check_delivered(struct wire *wire, const struct wire_message *message)
{
	const struct wire_head *head = &message->head;
	size_t bytes = 0;
	uint8_t *blob;

	if (head->version != WIRE_VERSION || wire_body_bytes(head->op) < 0 || head->op == WIRE_BLOB ||
	    head->op == WIRE_FDS || head->result > 0)
		abort();
	check_strings(message);
	if (head->op == WIRE_LOG || head->op == WIRE_EVENT || head->op == WIRE_QUIT || head->op == WIRE_CONNECT) {
		if (head->blob_bytes || head->fd_count || wire_take_blob(wire, &bytes))
			abort();
		return;
	}
	if (head->fd_count != wire->fd_count || head->fd_count > WIRE_FDS_MAX)
		abort();
	for (size_t i = 0; i < wire->fd_count; i++)
		if (fcntl(wire->fds[i], F_GETFD) != FD_CLOEXEC)
			abort();
	/* Some take what they get, some do not. */
	if (wire->fd_count > 1)
		close(fd_take(&wire->fds[1]));
	if (head->sequence & 1)
		return;
	blob = wire_take_blob(wire, &bytes);
	if (bytes != head->blob_bytes || !blob != !bytes)
		abort();
	free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct wire_message message;
	struct wire wire = { .fd = -1 };
	int pair[2], r = -EAGAIN;

	if (msg_pair(SOCK_SEQPACKET, pair) < 0)
		abort();
	wire.fd = pair[0];
	while (size >= 3 && r == -EAGAIN) {
		size_t bytes = data[0] | (size_t)data[1] << 8, fd_count = data[2] % (FDS_MAX + 1);

		data += 3;
		size -= 3;
		if (bytes > size)
			bytes = size;
		send_message(pair[1], data, bytes, fd_count);
		data += bytes;
		size -= bytes;
		while ((r = wire_receive(&wire, &message)) == 1) {
			check_delivered(&wire, &message);
			wire_next(&wire);
		}
	}
	if (r != 0 && r != -EAGAIN && r != -EPROTO && r != -ENOMEM)
		abort();
	wire_end(&wire);
	close(pair[0]);
	close(pair[1]);
	/* None is left: the next two have the numbers that the first had. */
	if (msg_pair(SOCK_SEQPACKET, pair) < 0 || pair[0] != wire.fd)
		abort();
	close(pair[0]);
	close(pair[1]);
	return 0;
}
