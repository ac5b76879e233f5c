/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that is given a network and a socket, and says in the log what it has got. It does nothing with it. */
#include <backplane/plugin.h>

#include <inttypes.h>
#include <stdlib.h>

struct peers {
	struct bp_dev *dev;
};

static const struct bp_param peers_params[] = {
	{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs", .help = "network" },
	{
	    .name = "pairs",
	    .type = BP_P_UINT,
	    .def = "1",
	    .min = 1,
	    .max = BP_NETWORK_FDS_MAX,
	    .help = "queue pairs of the network",
	},
	{ .name = "uds", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT, .help = "socket for both ways" },
};

static int peers_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct bp_network network = { .size = sizeof(network) };
	struct peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return bp_fail(dev, -ENOMEM, "no memory");
	peers->dev = dev;
	if (bp_cfg_network(cfg, "network", &network) == 0)
		bp_log(dev, BP_LOG_WARN, "network \"%s\": kind %" PRIu32 ", flags %" PRIu32 ", %" PRIu32 " descriptors",
		       bp_cfg_string(cfg, "network"), network.kind, network.flags, network.fd_count);
	if (bp_cfg_has(cfg, "uds"))
		bp_log(dev, BP_LOG_WARN, "socket \"%s\": %s", bp_cfg_string(cfg, "uds"),
		       bp_cfg_fd(cfg, "uds") >= 0 ? "listens" : "none");
	bp_log(dev, BP_LOG_WARN, "identity %016" PRIx64, bp_info(dev, BP_INFO_IDENTITY));
	*ret = peers;
	return 0;
}

static void peers_reset(void *self)
{
	(void)self;
}

static const struct bp_device_class peers_class = {
	BP_DEVICE_CLASS_INIT,   .name = "peers",      BP_PARAMS(peers_params),
	.create = peers_create, .reset = peers_reset, .destroy = free,
};
BP_PLUGIN("org.backplane.test.peers", "1", &peers_class)
