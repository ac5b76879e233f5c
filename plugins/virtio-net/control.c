/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control queue (VIRTIO 1.2, 5.1.6.5): how many queue pairs are in use, and which offloads the guest wants just now.
 *
 * What else there could be is not offered. CTRL_RX and CTRL_VLAN: everything that comes is handed over, and the guest's own stack sorts
 * it. CTRL_MAC_ADDR: the address is the deployer's, and mac_guard holds the guest to it; where the guard is off, a guest can use any
 * other one without asking. GUEST_ANNOUNCE: nothing moves to another host yet.
 */
#include "net.h"

#include <endian.h>

/* The command's data, which has to be as long as that. */
static bool get(struct bp_chain *chain, void *buf, size_t bytes)
{
	return bp_chain_left(chain, BP_CHAIN_READ) == bytes && bp_chain_read(chain, buf, bytes) == bytes;
}

static bool set_pairs(struct net *net, struct bp_chain *chain)
{
	uint16_t pairs;

	if (!(net->features & F_MQ) || !get(chain, &pairs, sizeof(pairs)))
		return false;
	pairs = le16toh(pairs);
	return pairs && pairs <= net->pairs && tap_set_pairs(net, pairs) == 0;
}

static bool set_offloads(struct net *net, struct bp_chain *chain)
{
	uint64_t offloads;

	if (!(net->features & F_CTRL_GUEST_OFFLOADS) || !get(chain, &offloads, sizeof(offloads)))
		return false;
	offloads = le64toh(offloads);
	return net_offloads_ok(net->features, offloads) && tap_set_offloads(net, offloads) == 0;
}

static bool obey(struct net *net, struct bp_chain *chain)
{
	uint8_t head[2]; /* class and command */

	if (bp_chain_read(chain, head, sizeof(head)) != sizeof(head))
		return false;
	if (head[0] == CTRL_MQ && head[1] == CTRL_MQ_PAIRS_SET)
		return set_pairs(net, chain);
	if (head[0] == CTRL_GUEST_OFFLOADS && head[1] == CTRL_GUEST_OFFLOADS_SET)
		return set_offloads(net, chain);
	return false;
}

void control_request(struct net *net, struct bp_chain *chain)
{
	uint8_t ack = CTRL_OK;

	if (!bp_chain_left(chain, BP_CHAIN_WRITE)) {
		net_broken(net, chain->queue, "a command has no place for its answer");
		return;
	}
	if (!obey(net, chain)) {
		bp_metric_add(net->metrics.control_errors, 1);
		ack = CTRL_ERR;
	}
	bp_chain_write(chain, &ack, sizeof(ack));
	bp_chain_complete(chain);
}
