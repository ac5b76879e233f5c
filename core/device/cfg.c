/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host table's entries for parameters: a plugin's view of its checked values. [main]. A plugin uses its views in validate and
 * create; they stay until the device goes, so that one that keeps them breaks nothing. Asking wrongly is the plugin's error: it is
 * reported, and the answer is empty.
 */
#include "core/device/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TYPE(type) (1u << (type))

const struct bp_cfg *device_cfg_open(struct device *device, const struct values *values)
{
	struct device_cfg *cfg = calloc(1, sizeof(*cfg));

	if (!cfg)
		return NULL;
	cfg->head.host = &device_host;
	cfg->device = device;
	cfg->values = values;
	cfg->next = device->cfgs;
	device->cfgs = cfg;
	return &cfg->head;
}

void device_cfg_close(struct device *device)
{
	while (device->cfgs) {
		struct device_cfg *next = device->cfgs->next;

		free(device->cfgs);
		device->cfgs = next;
	}
}

static const struct device_cfg *cfg_of(const struct bp_cfg *cfg)
{
	return (const struct device_cfg *)cfg;
}

/* The value, or NULL: silently if it is absent, with a report if the plugin asked for what its schema does not have. */
static const struct value *find(const struct bp_cfg *cfg, const char *name, uint32_t index, uint32_t types,
				const char *function)
{
	const struct device_cfg *own = cfg_of(cfg);
	const struct schema *schema = own->values->schema;
	int param;

	if (!device_on_tag(own->device, true, false, function))
		return NULL;
	param = schema_find(schema, name);
	if (param < 0 || !(TYPE(schema->params[param].type) & types)) {
		device_log(own->device, LOG_LEVEL_ERROR, "plugin error: %s was called for \"%s\", which is %s",
			   function, name,
			   param < 0 ? "not a parameter" : schema_type_name(schema->params[param].type));
		return NULL;
	}
	return values_get(own->values, name, index);
}

uint32_t host_cfg_count(const struct bp_cfg *cfg, const char *name)
{
	const struct device_cfg *own = cfg_of(cfg);
	int param;

	if (!find(cfg, name, 0, UINT32_MAX, "bp_cfg_count"))
		return 0;
	param = schema_find(own->values->schema, name);
	return own->values->lists[param].count;
}

uint64_t host_cfg_uint(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct value *value = find(cfg, name, index,
					 TYPE(BP_P_BOOL) | TYPE(BP_P_UINT) | TYPE(BP_P_SIZE) | TYPE(BP_P_DURATION) |
					     TYPE(BP_P_CHOICE) | TYPE(BP_P_MAC) | TYPE(BP_P_ADDRESS),
					 "bp_cfg_uint");

	return value ? value->number : 0;
}

int64_t host_cfg_int(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct value *value = find(cfg, name, index, TYPE(BP_P_INT), "bp_cfg_int");

	return value ? (int64_t)value->number : 0;
}

const char *host_cfg_string(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct value *value =
	    find(cfg, name, index,
		 TYPE(BP_P_STRING) | TYPE(BP_P_CHOICE) | TYPE(BP_P_FILE) | TYPE(BP_P_SOCKET) | TYPE(BP_P_NETWORK),
		 "bp_cfg_string");

	return value ? value->text : "";
}

int host_cfg_fd(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct value *value = find(cfg, name, index, TYPE(BP_P_FILE) | TYPE(BP_P_SOCKET), "bp_cfg_fd");

	return value ? value->fd : -1;
}

int host_cfg_network(const struct bp_cfg *cfg, const char *name, uint32_t index, struct bp_network *ret)
{
	const struct value *value = find(cfg, name, index, TYPE(BP_P_NETWORK), "bp_cfg_network");
	struct bp_network own = { 0 };
	uint32_t size = ret->size;

	if (!value || !value->network)
		return -ENOENT;
	if (size < offsetof(struct bp_network, fds) + sizeof(own.fds[0])) {
		device_log(cfg_of(cfg)->device, LOG_LEVEL_ERROR,
			   "plugin error: bp_cfg_network was called with a size of %" PRIu32, size);
		return -EINVAL;
	}
	own.size = size;
	own.kind = value->network->kind;
	own.flags = value->network->flags;
	own.fd_count = value->network->fd_count;
	for (uint32_t i = 0; i < own.fd_count; i++)
		own.fds[i] = value->network->fds[i];
	/* What a later version has more than ours is nothing. */
	memset(ret, 0, size);
	memcpy(ret, &own, size < sizeof(own) ? size : sizeof(own));
	return 0;
}

/* Each call makes a stream of its own, so a plugin asks once per value. */
struct bp_stream *host_cfg_stream(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	struct device *device = cfg_of(cfg)->device;
	const struct value *value = find(cfg, name, index, TYPE(BP_P_STREAM), "bp_cfg_stream");

	if (!value)
		return NULL;
	for (size_t i = 0; i < DEVICE_STREAMS_MAX; i++)
		if (!device->streams[i]) {
			device->streams[i] = stream_new(device, value);
			return device->streams[i];
		}
	device_log(device, LOG_LEVEL_ERROR, "plugin error: bp_cfg_stream was called for more than %d streams",
		   DEVICE_STREAMS_MAX);
	return NULL;
}

const struct bp_cfg *host_cfg_group(const struct bp_cfg *cfg, const char *name, uint32_t index)
{
	const struct value *value = find(cfg, name, index, TYPE(BP_P_GROUP), "bp_cfg_group");

	return value ? device_cfg_open(cfg_of(cfg)->device, value->group) : NULL;
}
