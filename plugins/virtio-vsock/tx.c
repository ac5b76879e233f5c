/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets of the guest. Each leads to at most one answer that is not a connection's own: RST, for what belongs to none (5.10.6.4, 5.10.6.5).
 * There is room for RESETS_MAX of them; with none left, packets wait until the guest has given buffers for the answers, and nothing grows.
 */
#include "vsock.h"

/* Never to a RST: two who disagree would send them for ever. */
static void answer(struct vsock *vsock, const struct packet *packet)
{
	struct reset *reset = &vsock->resets[(vsock->resets_at + vsock->reset_count) % RESETS_MAX];

	if (packet->op == OP_RST)
		return;
	*reset = (struct reset){
		.src_cid = packet->dst_cid,
		.src_port = packet->dst_port,
		.dst_port = packet->src_port,
		.type = packet->type,
	};
	vsock->reset_count++;
}

/* It makes no sense. */
static void refuse(struct vsock *vsock, const struct packet *packet)
{
	bp_metric_add(vsock->metrics.dropped, 1);
	answer(vsock, packet);
}

/* The guest wants a program of the host. */
static void on_request(struct vsock *vsock, const struct packet *packet)
{
	struct conn *conn = conn_new(vsock, CONN_CONNECTING);

	if (!conn) {
		bp_metric_add(vsock->metrics.refused, 1);
		answer(vsock, packet);
		return;
	}
	conn_link(conn, packet->dst_port, packet->src_port);
	if (!credit_update(&conn->credit, packet->buf_alloc, packet->fwd_cnt)) {
		conn_abort(conn, "the guest has taken bytes before there were any");
		return;
	}
	deadline_start(vsock, &vsock->limits, &conn->limit);
	host_ask(conn);
}

/* The header in the order of this machine, read once. False if there is none. */
static bool read_header(struct bp_chain *chain, struct packet *ret)
{
	struct packet raw;

	if (bp_chain_read(chain, &raw, sizeof(raw)) != sizeof(raw))
		return false;
	*ret = (struct packet){
		.src_cid = le64toh(raw.src_cid),
		.dst_cid = le64toh(raw.dst_cid),
		.src_port = le32toh(raw.src_port),
		.dst_port = le32toh(raw.dst_port),
		.len = le32toh(raw.len),
		.type = le16toh(raw.type),
		.op = le16toh(raw.op),
		.flags = le32toh(raw.flags),
		.buf_alloc = le32toh(raw.buf_alloc),
		.fwd_cnt = le32toh(raw.fwd_cnt),
	};
	return true;
}

static void on_packet(struct vsock *vsock, struct bp_chain *chain)
{
	struct packet packet;
	struct conn *conn;

	bp_metric_add(vsock->metrics.out_packets, 1);
	if (!read_header(chain, &packet)) {
		bp_metric_add(vsock->metrics.dropped, 1);
		return;
	}
	if (packet.src_cid != vsock->cid || packet.dst_cid != CID_HOST || packet.type != TYPE_STREAM) {
		refuse(vsock, &packet);
		return;
	}
	conn = conn_find(vsock, packet.dst_port, packet.src_port);
	if (conn)
		conn_packet(conn, &packet, chain);
	else if (packet.op == OP_REQUEST)
		on_request(vsock, &packet);
	else
		refuse(vsock, &packet);
}

void tx_request(struct vsock *vsock, struct bp_chain *chain)
{
	chains_put(&vsock->tx, chain);
	tx_resume(vsock);
}

bool tx_resume(struct vsock *vsock)
{
	bool any = false;

	while (vsock->tx.first && vsock->reset_count < RESETS_MAX) {
		struct bp_chain *chain = chains_take(&vsock->tx);

		on_packet(vsock, chain);
		bp_chain_complete(chain);
		any = true;
	}
	return any;
}
