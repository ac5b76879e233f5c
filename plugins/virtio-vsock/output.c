/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the guest to the host: straight from the guest's memory into the socket, and what does not fit there into the connection's buffer,
 * which exists only as long as there is something in it. That the guest never sends more than fits is a matter of its credit.
 */
#include "vsock.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

void output_forwarded(struct conn *conn, uint32_t bytes)
{
	conn->credit.forwarded += bytes;
	/* In the other states the guest sends nothing more, or must not. */
	if (conn->state == CONN_OPEN && credit_owed(&conn->credit))
		conn_want(conn, WANT_CREDIT);
}

/* ---- buffers ---- */

static uint8_t *buffer_get(struct vsock *vsock)
{
	return vsock->spare_count ? vsock->spares[--vsock->spare_count] : malloc(BUFFER_BYTES);
}

static void buffer_put(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;

	if (vsock->spare_count < SPARES_MAX)
		vsock->spares[vsock->spare_count++] = conn->buffer;
	else
		free(conn->buffer);
	conn->buffer = NULL;
	conn->buffered = 0;
}

int output_init(struct vsock *vsock)
{
	vsock->spares[0] = malloc(BUFFER_BYTES);
	if (!vsock->spares[0])
		return -ENOMEM;
	vsock->spare_count = 1;
	return 0;
}

void output_free(struct vsock *vsock)
{
	while (vsock->spare_count)
		free(vsock->spares[--vsock->spare_count]);
}

void output_drop(struct conn *conn)
{
	if (conn->buffer)
		buffer_put(conn);
}

/* ---- sending ---- */

/* How many bytes the socket has taken, 0 if it is full, or -EPIPE if nobody will read them. */
static int64_t send_some(const struct conn *conn, struct iovec *iov, size_t count)
{
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;

	do
		n = sendmsg(conn->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -EPIPE;
	return n;
}

/* The next bytes of the chain go behind those that are in the buffer. */
static int keep(struct conn *conn, struct bp_chain *chain, uint32_t bytes)
{
	if (!conn->buffer) {
		conn->buffer = buffer_get(conn->vsock);
		conn->buffer_at = 0;
		if (!conn->buffer)
			return -ENOMEM;
	}
	while (bytes) {
		uint32_t at = (conn->buffer_at + conn->buffered) % BUFFER_BYTES;
		uint32_t run = BUFFER_BYTES - at < bytes ? BUFFER_BYTES - at : bytes;

		bp_chain_read(chain, conn->buffer + at, run);
		conn->buffered += run;
		bytes -= run;
	}
	return 0;
}

int output_chain(struct conn *conn, struct bp_chain *chain, uint32_t bytes)
{
	int64_t sent = 0;
	int count;

	if (!conn->buffer) {
		count = bp_chain_peek(chain, BP_CHAIN_READ, bytes, conn->vsock->iov, BP_CHAIN_IOV_MAX);
		if (count < 0)
			return count;
		sent = send_some(conn, conn->vsock->iov, (size_t)count);
		if (sent < 0)
			return (int)sent;
		bp_chain_skip(chain, BP_CHAIN_READ, (uint64_t)sent);
		output_forwarded(conn, (uint32_t)sent);
	}
	return (uint32_t)sent == bytes ? 0 : keep(conn, chain, bytes - (uint32_t)sent);
}

int output_flush(struct conn *conn)
{
	while (conn->buffer) {
		uint32_t run = BUFFER_BYTES - conn->buffer_at;
		struct iovec iov[2] = { { .iov_base = conn->buffer + conn->buffer_at, .iov_len = conn->buffered } };
		size_t count = 1;
		int64_t sent;

		if (conn->buffered > run) {
			iov[0].iov_len = run;
			iov[1] = (struct iovec){ .iov_base = conn->buffer, .iov_len = conn->buffered - run };
			count = 2;
		}
		sent = send_some(conn, iov, count);
		if (sent <= 0)
			return (int)sent;
		conn->buffer_at = (conn->buffer_at + (uint32_t)sent) % BUFFER_BYTES;
		conn->buffered -= (uint32_t)sent;
		output_forwarded(conn, (uint32_t)sent);
		if (!conn->buffered)
			buffer_put(conn);
	}
	return 0;
}
