/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets to the guest, into buffers that it has given.
 *
 * Data is read from the socket straight into these, as many of them in one call as the connection is likely to fill: a guest's buffers are
 * small (Linux: 4 KiB), and a system call for each would be most of the work. How many that is, its reads so far tell.
 * The header of each is written afterwards, when its length is known.
 *
 * Who is ready sends in turn. A socket that had more than was read is told of again by the event loop, where it is waited for; where it is not,
 * since it had to wait for buffers or credit, the connection goes to the end of the list. When buffers come, many come one after the
 * other in one callback. They are used when there are enough for a large read, or when the callback has ended, which the turn timer tells.
 */
#include "vsock.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define GATHER_MAX 64u     /* buffers that are filled by one read */
#define READ_MAX   262144u /* bytes of one, for the others' sake */
#define ENOUGH     16u     /* buffers that are worth a read while others may follow */

/* ---- buffers ---- */

/* The next buffer, in which at least a header has room. NULL if there is none. */
static struct bp_chain *next_buffer(struct vsock *vsock)
{
	struct bp_chain *chain = vsock->rx.first;

	while (chain && bp_chain_left(chain, BP_CHAIN_WRITE) < sizeof(struct packet)) {
		bp_metric_add(vsock->metrics.dropped, 1);
		bp_chain_complete(chains_take(&vsock->rx));
		chain = vsock->rx.first;
	}
	return chain;
}

/* A header of this type, in little endian, with addresses and without what a connection alone knows. */
static struct packet header(const struct vsock *vsock, uint16_t type, uint16_t op)
{
	return (struct packet){
		.src_cid = htole64(CID_HOST),
		.dst_cid = htole64(vsock->cid),
		.type = htole16(type),
		.op = htole16(op),
	};
}

/* A connection's header. The guest knows by it what room there is. */
static struct packet conn_header(struct conn *conn, uint16_t op)
{
	struct packet packet = header(conn->vsock, TYPE_STREAM, op);

	packet.src_port = htole32(conn->host_port);
	packet.dst_port = htole32(conn->guest_port);
	packet.buf_alloc = htole32(BUFFER_BYTES);
	packet.fwd_cnt = htole32(conn->credit.forwarded);
	conn->credit.told = conn->credit.forwarded;
	conn->want &= ~WANT_CREDIT;
	return packet;
}

static void send_packet(struct vsock *vsock, const struct packet *packet)
{
	struct bp_chain *chain = chains_take(&vsock->rx);

	bp_chain_write(chain, packet, sizeof(*packet));
	bp_metric_add(vsock->metrics.in_packets, 1);
	bp_chain_complete(chain);
}

static void send_reset(struct vsock *vsock)
{
	const struct reset *reset = &vsock->resets[vsock->resets_at];
	struct packet packet = header(vsock, reset->type, OP_RST);

	packet.src_cid = htole64(reset->src_cid);
	packet.src_port = htole32(reset->src_port);
	packet.dst_port = htole32(reset->dst_port);
	vsock->resets_at = (vsock->resets_at + 1) % RESETS_MAX;
	vsock->reset_count--;
	send_packet(vsock, &packet);
}

/* ---- data ---- */

/* Where the data of one read goes. */
struct gather {
	uint32_t chains;
	uint32_t filled; /* of these, in the end */
	uint32_t bytes;
	int pieces;
	uint32_t room[GATHER_MAX]; /* of each buffer */
};

/* Takes the header off the front of `count` pieces, which have that many bytes and more. How many are left. */
static int skip_header(struct iovec *iov, int count)
{
	size_t left = sizeof(struct packet);
	int whole = 0;

	while (iov[whole].iov_len <= left)
		left -= iov[whole++].iov_len;
	memmove(iov, iov + whole, (size_t)(count - whole) * sizeof(iov[0]));
	iov[0].iov_base = (char *)iov[0].iov_base + left;
	iov[0].iov_len -= left;
	return count - whole;
}

/* Lays out what the connection may fill now. Buffers without room for data are given back, if they are first. */
static void lay_out(struct conn *conn, struct gather *gather)
{
	struct vsock *vsock = conn->vsock;
	struct bp_chain *chain = next_buffer(vsock);
	uint32_t most = credit_free(&conn->credit);

	if (most > READ_MAX)
		most = READ_MAX;
	*gather = (struct gather){ .chains = 0 };
	while (chain && gather->chains < conn->gather && gather->bytes < most) {
		uint64_t left = bp_chain_left(chain, BP_CHAIN_WRITE);
		struct iovec *iov = vsock->iov + gather->pieces;
		uint32_t room = most - gather->bytes;
		int count = 0;

		if (left - sizeof(struct packet) < room)
			room = (uint32_t)(left - sizeof(struct packet));
		if (room > PACKET_MAX)
			room = PACKET_MAX;
		/* What follows may be shorter than a header, too. */
		if (left > sizeof(struct packet))
			count = bp_chain_peek(chain, BP_CHAIN_WRITE, sizeof(struct packet) + room, iov,
					      BP_CHAIN_IOV_MAX - (uint32_t)gather->pieces);
		if (count <= 0 && gather->chains)
			break;
		if (count <= 0) {
			bp_metric_add(vsock->metrics.dropped, 1);
			bp_chain_complete(chains_take(&vsock->rx));
			chain = next_buffer(vsock);
			continue;
		}
		gather->pieces += skip_header(iov, count);
		gather->room[gather->chains++] = room;
		gather->bytes += room;
		chain = chain->next;
	}
}

/* `bytes` have been read: the headers, and the buffers go back. How many. */
static uint32_t deliver(struct conn *conn, const struct gather *gather, uint32_t bytes)
{
	struct vsock *vsock = conn->vsock;
	struct packet packet = conn_header(conn, OP_RW);
	uint32_t packets = 0;

	conn->credit.sent += bytes;
	bp_metric_add(vsock->metrics.in_bytes, bytes);
	for (; bytes; packets++) {
		struct bp_chain *chain = chains_take(&vsock->rx);
		uint32_t here = bytes < gather->room[packets] ? bytes : gather->room[packets];

		packet.len = htole32(here);
		bp_chain_write(chain, &packet, sizeof(packet));
		bp_chain_wrote(chain, here);
		bp_chain_complete(chain);
		bytes -= here;
	}
	bp_metric_add(vsock->metrics.in_packets, packets);
	return packets;
}

/* A read that filled all may have left much, and one that did not says little: a stream, too, has an end now and then. */
static void learn(struct conn *conn, const struct gather *gather, bool full)
{
	uint32_t less = conn->gather - conn->gather / 4;

	if (full)
		conn->gather = 4 * gather->chains;
	else
		conn->gather = gather->filled < less ? less : gather->filled + 1;
	if (conn->gather > GATHER_MAX)
		conn->gather = GATHER_MAX;
}

/* One read of the socket. */
static void send_data(struct conn *conn, uint64_t *budget_bytes)
{
	struct gather gather;
	ssize_t n;

	lay_out(conn, &gather);
	if (!gather.chains)
		return;
	n = readv(conn->fd, conn->vsock->iov, gather.pieces);
	if (n < 0 && errno == EINTR)
		return;
	if (n < 0 && errno == EAGAIN && conn->watched) {
		conn->want &= ~WANT_DATA;
		conn_watch(conn);
		return;
	}
	if (n <= 0) {
		/* Whatever went wrong, there is nothing more to be had. */
		conn_host_ended(conn);
		return;
	}
	gather.filled = deliver(conn, &gather, (uint32_t)n);
	*budget_bytes -= *budget_bytes < (uint64_t)n ? *budget_bytes : (uint64_t)n;
	learn(conn, &gather, (uint32_t)n == gather.bytes);
	/* One that is not waited for any more has to be read up to its end. Another one if there may be more, and nobody will tell, or at a
	 * moment that is of no use. */
	if (!conn->watched ||
	    ((uint32_t)n == gather.bytes &&
	     (!(conn->events & BP_FD_IN) || !credit_free(&conn->credit) || !next_buffer(conn->vsock))))
		return;
	conn->want &= ~WANT_DATA;
	conn_watch(conn);
}

/* ---- turns ---- */

/* Packets without data that follow from a WANT_*, and the bit. True if it was not wanted, or has been sent. */
static bool send_control(struct conn *conn, uint32_t want, uint16_t op, uint32_t flags)
{
	struct packet packet;

	if (!(conn->want & want))
		return true;
	if (!next_buffer(conn->vsock))
		return false;
	packet = conn_header(conn, op);
	packet.flags = htole32(flags);
	send_packet(conn->vsock, &packet);
	conn->want &= ~want;
	return true;
}

static bool can_read(const struct conn *conn)
{
	return (conn->want & WANT_DATA) && credit_free(&conn->credit);
}

/* One turn of a connection that was ready. It may be gone after this. */
static void send_turn(struct conn *conn, uint64_t *budget_bytes)
{
	struct vsock *vsock = conn->vsock;

	if (conn->want & WANT_RST) {
		if (send_control(conn, WANT_RST, OP_RST, 0))
			conn_over(conn);
		else
			conn_ready(conn);
		return;
	}
	if (send_control(conn, WANT_REQUEST, OP_REQUEST, 0) && send_control(conn, WANT_RESPONSE, OP_RESPONSE, 0)) {
		if (can_read(conn))
			send_data(conn, budget_bytes);
		/* Where the end of the data is still to be read, it is told together with what else has ended. */
		if ((conn->want & WANT_SHUTDOWN) && !can_read(conn) &&
		    send_control(conn, WANT_SHUTDOWN, OP_SHUTDOWN, conn->host_shut) && conn->state == CONN_ENDING)
			deadline_start(vsock, &vsock->limits, &conn->limit);
		send_control(conn, WANT_ROOM, OP_CREDIT_REQUEST, 0);
		send_control(conn, WANT_ANSWER | WANT_CREDIT, OP_CREDIT_UPDATE, 0);
	}
	/* To the end of the list, or nowhere. */
	list_remove(&conn->ready);
	conn_ready(conn);
}

void rx_pump(struct vsock *vsock, uint64_t *budget_bytes)
{
	while (*budget_bytes && next_buffer(vsock)) {
		if (vsock->reset_count) {
			send_reset(vsock);
		} else if (!list_empty(&vsock->ready)) {
			struct conn *conn = CONN_OF(vsock->ready.next, ready);

			list_remove(&conn->ready);
			send_turn(conn, budget_bytes);
		} else {
			return;
		}
	}
	if (vsock->rx.first && (vsock->reset_count || !list_empty(&vsock->ready)))
		rx_turn_later(vsock);
}

void rx_request(struct vsock *vsock, struct bp_chain *chain)
{
	chains_put(&vsock->rx, chain);
	if (!vsock->reset_count && list_empty(&vsock->ready))
		return;
	if (vsock->rx.count >= ENOUGH || vsock->reset_count || !(CONN_OF(vsock->ready.next, ready)->want & WANT_DATA))
		vsock_work(vsock);
	else
		rx_turn_later(vsock);
}

void rx_turn_later(struct vsock *vsock)
{
	if (vsock->turn_due)
		return;
	vsock->turn_due = true;
	bp_timer_set(vsock->dev, vsock->turn_timer, bp_clock_ns(vsock->dev));
}

void rx_turn(void *arg, uint32_t timer) /* [dev] */
{
	struct vsock *vsock = arg;

	(void)timer;
	vsock->turn_due = false;
	vsock_work(vsock);
}
