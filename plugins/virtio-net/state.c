/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State: what the driver has negotiated and asked for. The rest is the configuration's, or the host's: its rings, and what is under way
 * on its descriptors. A frame that waits for buffers is lost, as frames can be.
 */
#include "net.h"

#include <string.h>

#define TAG_ACTIVE   1u
#define TAG_FEATURES 2u
#define TAG_OFFLOADS 3u
#define TAG_PAIRS    4u

int net_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct net *net = self;

	bp_put_uint(writer, TAG_ACTIVE, net->active);
	bp_put_uint(writer, TAG_FEATURES, net->features);
	bp_put_uint(writer, TAG_OFFLOADS, net->offloads);
	bp_put_uint(writer, TAG_PAIRS, net->active_pairs);
	return 0;
}

int net_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct net *net = self;
	uint64_t active = 0, features = 0, offloads = 0, pairs = 0;
	int r;

	(void)version;
	r = bp_get_uint_max(reader, TAG_ACTIVE, 1, &active);
	if (r == 0)
		r = bp_get_uint(reader, TAG_FEATURES, &features);
	if (r == 0)
		r = bp_get_uint(reader, TAG_OFFLOADS, &offloads);
	if (r == 0)
		r = bp_get_uint_max(reader, TAG_PAIRS, net->pairs, &pairs);
	if (r == 0 && (!pairs || (features & ~net->offered) || net_settled(features) != features ||
		       !net_offloads_ok(features, offloads) || (pairs > 1 && !(features & F_MQ)) ||
		       (!active && (features || pairs > 1))))
		r = -EINVAL;
	if (r < 0)
		return bp_fail(net->dev, r, "the state is not that of this network card");
	net->features = features;
	if (!net->stream)
		r = tap_set_offloads(net, offloads);
	if (r == 0 && !net->stream)
		r = tap_set_pairs(net, (uint32_t)pairs);
	if (r < 0)
		return bp_fail(net->dev, r, "the tap interface does not take the saved settings: %s", strerror(-r));
	net->active = active;
	return 0;
}
