/* SPDX-License-Identifier: BSD-3-Clause */
/* What the broker connects to; see broker.h. */
#include "core/placement/broker.h"

#include "core/base/fd.h"
#include "core/config/network.h"
#include "core/placement/network.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* The value that is asked for, or NULL. */
static const struct value *find(const struct values *values, const struct device_connect *ask,
				const struct param **ret_param)
{
	if (ask->param >= values->schema->count || ask->index >= values->lists[ask->param].count)
		return NULL;
	*ret_param = &values->schema->params[ask->param];
	return &values->lists[ask->param].items[ask->index];
}

int broker_connect(const struct values *values, const struct device_connect *ask)
{
	const struct param *param = NULL;
	const struct value *value = find(values, ask, &param);
	FREE_AUTO char *path = NULL;
	const char *peer;

	if (!value)
		return -EPROTO;
	if (param->type == BP_P_NETWORK && network_form(value->text, &peer) == NETWORK_CONNECT && ask->number == 0)
		return network_connect(&value->place, peer);
	if (param->type != BP_P_SOCKET || !(param->flags & BP_P_CONNECT))
		return -EPROTO;
	if (asprintf(&path, "%s_%" PRIu32, value->text, ask->number) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return network_connect(&value->place, path);
}
