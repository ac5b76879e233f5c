/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Network cards: virtio-net (VIRTIO 1.2, 5.1) on a tap interface, or on a connection that carries frames (passt, another machine).
 *
 * This file has the card's parameters, its life, and what is negotiated; net.h says where the rest is. A frame that does not make sense costs
 * the guest that frame, which is counted by its cause. Only a chain without room for a header, or for the answer to a command, breaks the
 * device: there is nothing that it could mean.
 */
#include "net.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct bp_param net_params[] = {
	{
	    .name = "network",
	    .type = BP_P_NETWORK,
	    .flags = BP_P_REQUIRED,
	    .help = "what it is connected to",
	    .pairs_param = "queues",
	},
	{
	    .name = "queues",
	    .type = BP_P_UINT,
	    .def = "1",
	    .min = 1,
	    .max = PAIRS_MAX,
	    .help = "pairs of a receive and a transmit queue; more than one needs a tap",
	},
	{
	    .name = "mac",
	    .type = BP_P_MAC,
	    .help = "address of the card; one that stays the same for this device of this machine if absent",
	},
	{
	    .name = "mac_guard",
	    .type = BP_P_BOOL,
	    .def = "true",
	    .help = "frames that the guest sends from another address are dropped",
	},
	{
	    .name = "mtu",
	    .type = BP_P_UINT,
	    .min = 68,
	    .max = 65535,
	    .help =
		"the most that the guest is to put into a frame, in bytes behind the Ethernet header; its own choice if absent",
	},
	{
	    .name = "offload",
	    .type = BP_P_BOOL,
	    .def = "true",
	    .help =
		"checksums and segments of TCP are left to the host's kernel, and by it to the guest; with a tap only",
	},
};

/* ---- configuration space ---- */

static void config_show(struct net *net)
{
	bp_virtio_config_write(net->dev, 0, &net->config, sizeof(net->config));
}

void net_link(struct net *net, bool up)
{
	net->config.status = htole16(up ? S_LINK_UP : 0);
	config_show(net);
}

/* ---- negotiation ---- */

uint64_t net_settled(uint64_t features)
{
	if (!(features & F_CSUM))
		features &= ~(F_HOST_TSO4 | F_HOST_TSO6);
	if (!(features & (F_HOST_TSO4 | F_HOST_TSO6)))
		features &= ~F_HOST_ECN;
	if (!(features & F_GUEST_CSUM))
		features &= ~(F_GUEST_TSO4 | F_GUEST_TSO6);
	if (!(features & (F_GUEST_TSO4 | F_GUEST_TSO6)))
		features &= ~F_GUEST_ECN;
	if (!(features & F_CTRL_VQ))
		features &= ~(F_MQ | F_CTRL_GUEST_OFFLOADS);
	return features;
}

/* The same rules hold for what is switched on later (5.1.6.5.8). */
bool net_offloads_ok(uint64_t features, uint64_t offloads)
{
	return !(offloads & ~(features & F_GUEST_OFFLOADS)) && net_settled(offloads) == offloads;
}

void net_broken(struct net *net, uint32_t queue, const char *what)
{
	net->broken = true;
	bp_broken(net->dev, "queue %" PRIu32 ": %s", queue, what);
	/* Nothing is waited for until the reset. */
	for (uint32_t i = 0; i < net->pairs; i++)
		pair_watch(&net->pair[i]);
}

static void net_activate(void *self, uint64_t features, uint32_t queues) /* [dev] */
{
	struct net *net = self;
	int r = 0;

	(void)queues;
	net->features = net_settled(features);
	net->active = true;
	/* 5.1.6.5.8: what was negotiated is in effect. */
	if (!net->stream && !net->gone)
		r = tap_set_offloads(net, net->features & F_GUEST_OFFLOADS);
	if (r < 0)
		bp_log(net->dev, BP_LOG_WARN, "the tap interface does no offloads: %s", strerror(-r));
	for (uint32_t i = 0; i < net->pairs; i++)
		pair_watch(&net->pair[i]);
}

/* 5.1.2 */
static void net_request(void *self, struct bp_chain *chain) /* [dev] */
{
	struct net *net = self;
	uint32_t pairs = net->features & F_MQ ? net->pairs : 1, pair = chain->queue / QUEUES_PER_PAIR;

	if ((net->features & F_CTRL_VQ) && chain->queue == pairs * QUEUES_PER_PAIR)
		control_request(net, chain);
	else if (pair >= pairs)
		bp_chain_complete(chain);
	else if (chain->queue % QUEUES_PER_PAIR)
		tx_add(&net->pair[pair], chain);
	else
		rx_add(&net->pair[pair], chain);
}

static void net_reset(void *self) /* [dev] */
{
	struct net *net = self;
	int r = 0;

	net->active = false;
	net->broken = false;
	net->features = 0;
	for (uint32_t i = 0; i < net->pairs; i++) {
		rx_reset(&net->pair[i]);
		net->pair[i].tx = (struct chains){ NULL, NULL };
	}
	if (!net->stream) {
		r = tap_set_pairs(net, 1);
		if (r == 0 && !net->gone)
			r = tap_set_offloads(net, 0);
		net->offloads = 0;
	}
	if (r < 0)
		bp_log(net->dev, BP_LOG_WARN, "the tap interface cannot be reset: %s", strerror(-r));
	if (net->stream)
		stream_deliver(net);
	else
		pair_watch(&net->pair[0]);
}

/* ---- life ---- */

static bool is_tap(const char *network)
{
	return !strcmp(network, "tap") || !strncmp(network, "tap:", 4) || !strncmp(network, "fd:", 3);
}

static int net_validate(struct bp_dev *dev, const struct bp_cfg *cfg) /* [main] */
{
	const char *network = bp_cfg_string(cfg, "network");
	uint64_t mac = bp_cfg_has(cfg, "mac") ? bp_cfg_uint(cfg, "mac") : 2;

	if (!mac || (mac & 1))
		return bp_fail(dev, -EINVAL, "mac is %s, which no network card can have",
			       mac ? "an address of a group" : "zero");
	if (bp_cfg_uint(cfg, "queues") > 1 && !is_tap(network))
		return bp_fail(dev, -EINVAL, "queues is %" PRIu64 ", and only a tap can have more than one",
			       bp_cfg_uint(cfg, "queues"));
	return 0;
}

/* The bytes of a number, the lowest first, as those of an address. */
static void set_mac(struct net *net, uint64_t mac)
{
	for (uint32_t i = 0; i < MAC_BYTES; i++)
		net->config.mac[i] = (uint8_t)(mac >> 8 * i);
}

/* Locally administered, and of one card only (IEEE 802, 8.2). All bits of the identity have a part in it. */
static uint64_t made_mac(uint64_t identity)
{
	uint64_t mixed = (identity ^ identity >> 32) * UINT64_C(0x9e3779b97f4a7c15);

	return (mixed >> 16 & ~UINT64_C(3)) | 2;
}

static int set_address(struct net *net, const struct bp_cfg *cfg)
{
	uint64_t identity = bp_info(net->dev, BP_INFO_IDENTITY);

	if (bp_cfg_has(cfg, "mac"))
		set_mac(net, bp_cfg_uint(cfg, "mac"));
	else if (identity)
		set_mac(net, made_mac(identity));
	else
		return bp_fail(net->dev, -EINVAL,
			       "mac is missing, and this host gives devices no identity to make one of");
	return 0;
}

static int open_network(struct net *net, const struct bp_network *network, bool offload)
{
	uint64_t features = F_MAC | F_STATUS | F_MRG_RXBUF;
	uint32_t queues = QUEUES_PER_PAIR * net->pairs;
	bool guest_offload = false;
	int r;

	if (network->kind == BP_NETWORK_TAP)
		r = tap_adopt(net, network, offload, &guest_offload);
	else
		r = link_open(net, network);
	if (r < 0)
		return r;
	if (net->config.mtu)
		features |= F_MTU;
	if (network->kind == BP_NETWORK_TAP && offload)
		features |= F_HOST_OFFLOADS;
	if (guest_offload)
		features |= F_GUEST_OFFLOADS | F_CTRL_GUEST_OFFLOADS;
	if (net->pairs > 1)
		features |= F_MQ;
	if (features & (F_CTRL_GUEST_OFFLOADS | F_MQ)) {
		features |= F_CTRL_VQ;
		queues++;
	}
	net->offered = features;
	return bp_virtio_offer(net->dev, features, queues);
}

static void count(struct net *net)
{
	const struct {
		uint64_t **slot;
		const char *name, *help;
	} counters[] = {
		{ &net->metrics.rx_frames, "rx_frames", "frames that the guest got" },
		{ &net->metrics.rx_bytes, "rx_bytes", "bytes of these" },
		{ &net->metrics.tx_frames, "tx_frames", "frames that the guest sent" },
		{ &net->metrics.tx_bytes, "tx_bytes", "bytes of these" },
		{ &net->metrics.rx_drop_room, "rx_drop_room", "frames that did not fit into the guest's buffers" },
		{ &net->metrics.rx_drop_size, "rx_drop_size", "frames too short or too long to be received" },
		{ &net->metrics.rx_drop_offload, "rx_drop_offload", "frames that need what the guest cannot do" },
		{ &net->metrics.rx_drop_idle, "rx_drop_idle", "frames that came when there was no driver" },
		{ &net->metrics.tx_drop_header, "tx_drop_header", "frames of the guest with a wrong header" },
		{ &net->metrics.tx_drop_size, "tx_drop_size", "frames of the guest too short or too long" },
		{ &net->metrics.tx_drop_mac, "tx_drop_mac", "frames of the guest from an address not its own" },
		{ &net->metrics.tx_drop_link, "tx_drop_link", "frames of the guest when there was no link" },
		{ &net->metrics.tx_drop_host, "tx_drop_host", "frames of the guest that the host refused" },
		{ &net->metrics.control_errors, "control_errors", "commands of the guest that failed" },
		{ &net->metrics.connections, "connections", "connections of the network, one after the other" },
	};

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		bp_metric(net->dev, BP_METRIC_COUNTER, counters[i].name, counters[i].help, counters[i].slot);
}

static void net_destroy(void *self) /* [main] */
{
	struct net *net = self;

	if (net->stream)
		link_free(net);
	else
		tap_close(net);
	for (uint32_t i = 0; i < net->pairs; i++)
		free(net->pair[i].rx.window);
	free(net);
}

static int make_pairs(struct net *net, bool windows)
{
	for (uint32_t i = 0; i < net->pairs; i++) {
		struct pair *pair = &net->pair[i];

		pair->net = net;
		pair->index = i;
		pair->fd = -1;
		rx_reset(pair);
		if (!windows)
			continue;
		pair->rx.window = calloc(1, sizeof(*pair->rx.window));
		if (!pair->rx.window)
			return bp_fail(net->dev, -ENOMEM, "no memory");
	}
	return 0;
}

static int net_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	uint32_t pairs = (uint32_t)bp_cfg_uint(cfg, "queues");
	struct net *net = calloc(1, sizeof(*net) + pairs * sizeof(net->pair[0]));
	struct bp_network network = { .size = sizeof(network) };
	int r;

	if (!net)
		return bp_fail(dev, -ENOMEM, "no memory");
	net->dev = dev;
	net->pairs = pairs;
	net->active_pairs = 1;
	net->mac_guard = bp_cfg_uint(cfg, "mac_guard") != 0;
	net->config.max_virtqueue_pairs = htole16((uint16_t)pairs);
	if (bp_cfg_has(cfg, "mtu"))
		net->config.mtu = htole16((uint16_t)bp_cfg_uint(cfg, "mtu"));
	r = set_address(net, cfg);
	if (r == 0)
		r = bp_cfg_network(cfg, "network", &network);
	if (r == 0 && network.kind == BP_NETWORK_TAP && network.fd_count < pairs)
		r = bp_fail(dev, -EINVAL, "there are %" PRIu32 " queue pairs, and the network has %" PRIu32, pairs,
			    network.fd_count);
	if (r == 0)
		r = make_pairs(net, network.kind == BP_NETWORK_TAP);
	if (r == 0)
		r = open_network(net, &network, bp_cfg_uint(cfg, "offload") != 0);
	if (r == 0)
		r = bp_timer_add(dev, rx_held_timeout, net, &net->held_timer);
	if (r < 0) {
		net_destroy(net);
		return r;
	}
	count(net);
	net_link(net, network.kind == BP_NETWORK_TAP);
	*ret = net;
	return 0;
}

static int net_start(void *self) /* [main] */
{
	struct net *net = self;

	net->started = true;
	return net->stream ? link_start(net) : tap_start(net);
}

static const struct bp_virtio_class net_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = VIRTIO_ID_NET,
	.queue_count = QUEUES_PER_PAIR * PAIRS_MAX + 1,
	.queue_size = QUEUE_SIZE,
	.config_bytes = sizeof(struct net_config),
	.scratch_bytes = SCRATCH_BYTES,
	.features = F_HOST_OFFLOADS | F_GUEST_OFFLOADS | F_CTRL_GUEST_OFFLOADS | F_MTU | F_MAC | F_MRG_RXBUF |
		    F_STATUS | F_CTRL_VQ | F_MQ,
	.activate = net_activate,
	.request = net_request,
};

static const struct bp_device_class net_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "virtio-net",
	.summary = "a network card, on a tap interface, passt or a socket",
	BP_PARAMS(net_params),
	.validate = net_validate,
	.create = net_create,
	.start = net_start,
	.reset = net_reset,
	.destroy = net_destroy,
	.virtio = &net_virtio,
	.state_version = NET_STATE_VERSION,
	.save = net_save,
	.load = net_load,
};
BP_PLUGIN("org.backplane.virtio-net", "1.0", &net_class)
