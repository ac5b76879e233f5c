/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Values as bytes and descriptors; see values_pack.h. For each parameter of the schema, in its order: how many values
 * there are, whether they are its default, and those, groups likewise. Where something stands in the configuration is
 * not sent: whoever complains of that is not the plugin.
 */
#include "core/base/values_pack.h"

#include "core/base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_FD    UINT32_MAX
#define MAC_BITS 48

/* ---- packing ---- */

struct packing {
	struct pack_writer *writer;
	struct values_fds *fds;
	uint32_t total; /* values so far */
};

static int pack_values(struct packing *packing, const struct values *values);

static int pack_fd(struct packing *packing, int fd)
{
	struct values_fds *fds = packing->fds;

	if (fd < 0) {
		pack_u32(packing->writer, NO_FD);
		return 0;
	}
	if (fds->count == VALUES_FDS_MAX)
		return -ENOSPC;
	pack_u32(packing->writer, (uint32_t)fds->count);
	fds->fds[fds->count++] = fd;
	return 0;
}

static int pack_network(struct packing *packing, const struct value *value)
{
	const struct network *network = value->network;
	int r = 0;

	pack_text(packing->writer, value->text);
	pack_u32(packing->writer, network ? 1 : 0);
	if (!network)
		return 0;
	pack_u32(packing->writer, network->kind);
	pack_u32(packing->writer, network->flags);
	pack_u32(packing->writer, network->fd_count);
	for (uint32_t i = 0; r == 0 && i < network->fd_count; i++)
		r = pack_fd(packing, network->fds[i]);
	return r;
}

static int pack_value(struct packing *packing, const struct param *param, const struct value *value)
{
	int r;

	switch (param->type) {
	case BP_P_STRING:
		pack_text(packing->writer, value->text);
		return 0;
	case BP_P_FILE:
	case BP_P_SOCKET:
		pack_text(packing->writer, value->text);
		return pack_fd(packing, value->fd);
	case BP_P_STREAM:
		pack_text(packing->writer, value->text);
		pack_u32(packing->writer, value->stream);
		r = pack_fd(packing, value->fd);
		return r < 0 ? r : pack_fd(packing, value->fd_out);
	case BP_P_NETWORK:
		return pack_network(packing, value);
	case BP_P_GROUP:
		return pack_values(packing, value->group);
	default:
		pack_u64(packing->writer, value->number);
		return 0;
	}
}

static int pack_values(struct packing *packing, const struct values *values)
{
	const struct schema *schema = values->schema;

	pack_text(packing->writer, values->path);
	for (size_t i = 0; i < schema->count; i++) {
		const struct value_list *list = &values->lists[i];

		if (list->count > VALUES_TOTAL_MAX - packing->total)
			return -E2BIG;
		packing->total += list->count;
		pack_u32(packing->writer, list->count);
		pack_u32(packing->writer, list->is_default);
		for (uint32_t j = 0; j < list->count; j++) {
			int r = pack_value(packing, &schema->params[i], &list->items[j]);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int values_pack(const struct values *values, struct pack_writer *writer, struct values_fds *fds)
{
	struct packing packing = { .writer = writer, .fds = fds };

	return pack_values(&packing, values);
}

/* ---- unpacking ---- */

struct unpacking {
	struct pack_reader *reader;
	struct values_fds *fds;
	uint32_t total;
};

static int unpack_values(struct unpacking *unpacking, const struct schema *schema, struct values **ret,
			 struct err *err);

/* Takes a descriptor over. 0; -EBADMSG if there is none of that number, or no longer. */
static int unpack_fd(struct unpacking *unpacking, int *ret)
{
	struct values_fds *fds = unpacking->fds;
	uint32_t index = unpack_u32(unpacking->reader);

	if (unpacking->reader->error)
		return unpacking->reader->error;
	if (index == NO_FD)
		return 0;
	if (index >= fds->count || fds->fds[index] < 0)
		return -EBADMSG;
	*ret = fd_take(&fds->fds[index]);
	return 0;
}

static int unpack_file(struct unpacking *unpacking, struct value *value)
{
	value->text = unpack_text(unpacking->reader, SCHEMA_TEXT_MAX);
	if (!value->text)
		return -EBADMSG;
	return unpack_fd(unpacking, &value->fd);
}

static int unpack_stream(struct unpacking *unpacking, struct value *value)
{
	int r;

	value->text = unpack_text(unpacking->reader, SCHEMA_TEXT_MAX);
	value->stream = (enum stream_kind)unpack_count(unpacking->reader, STREAM_LISTENER);
	if (!value->text)
		return -EBADMSG;
	r = unpack_fd(unpacking, &value->fd);
	if (r < 0)
		return r;
	r = unpack_fd(unpacking, &value->fd_out);
	if (r < 0)
		return r;
	/* What the runtime relies on: a listener and a pty are there, and a listener is not written to. */
	if (value->stream != STREAM_FIXED &&
	    (value->fd < 0 || (value->stream == STREAM_LISTENER) != (value->fd_out < 0)))
		return -EBADMSG;
	return 0;
}

/* Whether a network is one that a host makes. */
static bool network_fits(const struct network *network)
{
	switch (network->kind) {
	case BP_NETWORK_TAP:
		return !network->flags && network->fd_count > 0;
	case BP_NETWORK_STREAM:
		/* One without a descriptor that cannot be connected would be no network. */
		return !(network->flags & ~BP_NETWORK_CONNECTS) && network->fd_count <= 1 &&
		       (network->fd_count || network->flags);
	case BP_NETWORK_LISTENER:
		return !network->flags && network->fd_count == 1;
	default:
		return false;
	}
}

static int unpack_network(struct unpacking *unpacking, struct value *value)
{
	struct pack_reader *reader = unpacking->reader;
	struct network *network;
	uint32_t count;

	value->text = unpack_text(reader, SCHEMA_TEXT_MAX);
	if (!value->text)
		return -EBADMSG;
	if (!unpack_count(reader, 1))
		return 0;
	network = calloc(1, sizeof(*network));
	if (!network)
		return -ENOMEM;
	value->network = network;
	network->kind = unpack_u32(reader);
	network->flags = unpack_u32(reader);
	count = unpack_count(reader, BP_NETWORK_FDS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		int fd = -1;
		int r = unpack_fd(unpacking, &fd);

		if (r < 0 || fd < 0)
			return r < 0 ? r : -EBADMSG;
		network->fds[network->fd_count++] = fd;
	}
	return network_fits(network) ? 0 : -EBADMSG;
}

static int unpack_number(struct unpacking *unpacking, const struct param *param, struct value *value)
{
	uint64_t number = unpack_u64(unpacking->reader);

	if ((param->type == BP_P_BOOL && number > 1) || (param->type == BP_P_MAC && number >> MAC_BITS) ||
	    (param->type == BP_P_CHOICE && number >= param->choice_count) || !param_in_range(param, number))
		return -EBADMSG;
	value->number = number;
	if (param->type != BP_P_CHOICE)
		return 0;
	value->text = strdup(param->choices[number]);
	return value->text ? 0 : -ENOMEM;
}

/* What has been taken over on failure is in *value. */
static int unpack_value(struct unpacking *unpacking, const struct param *param, struct value *value, struct err *err)
{
	switch (param->type) {
	case BP_P_STRING:
		value->text = unpack_text(unpacking->reader, SCHEMA_TEXT_MAX);
		return value->text ? 0 : -EBADMSG;
	case BP_P_FILE:
	case BP_P_SOCKET:
		return unpack_file(unpacking, value);
	case BP_P_STREAM:
		return unpack_stream(unpacking, value);
	case BP_P_NETWORK:
		return unpack_network(unpacking, value);
	case BP_P_GROUP:
		return unpack_values(unpacking, param->group, &value->group, err);
	default:
		return unpack_number(unpacking, param, value);
	}
}

static bool count_fits(const struct unpacking *unpacking, const struct param *param, uint32_t count, bool is_default)
{
	if (unpacking->reader->error || count > VALUES_TOTAL_MAX - unpacking->total)
		return false;
	if (!(param->flags & BP_P_REPEATED) && count > 1)
		return false;
	if (!count && ((param->flags & BP_P_REQUIRED) || param->def))
		return false;
	return !is_default || (param->def && count);
}

static int unpack_list(struct unpacking *unpacking, struct values *values, size_t index, struct err *err)
{
	const struct param *param = &values->schema->params[index];
	uint32_t count = unpack_count(unpacking->reader, VALUES_TOTAL_MAX);
	bool is_default = unpack_count(unpacking->reader, 1);

	if (!count_fits(unpacking, param, count, is_default))
		return -EBADMSG;
	unpacking->total += count;
	for (uint32_t i = 0; i < count; i++) {
		struct value value = { .fd = -1, .fd_out = -1 };
		int r = unpack_value(unpacking, param, &value, err);

		/* An error of the reader, where there is one, is the cause. */
		if (unpacking->reader->error)
			r = unpacking->reader->error;
		if (r == 0)
			r = values_add(values, index, &value);
		if (r < 0) {
			value_clear(&value);
			return r;
		}
	}
	values->lists[index].is_default = is_default;
	return 0;
}

/* Recursion follows the schema, which is bounded. */
static int unpack_values(struct unpacking *unpacking, const struct schema *schema, struct values **ret, struct err *err)
{
	char *path = unpack_text(unpacking->reader, SCHEMA_TEXT_MAX);
	struct values *values;
	int r;

	if (!path)
		return unpacking->reader->error ? unpacking->reader->error : -EBADMSG;
	r = values_new(schema, path, (struct place){ .file = NULL }, &values);
	free(path);
	if (r < 0)
		return r;
	for (size_t i = 0; i < schema->count; i++) {
		r = unpack_list(unpacking, values, i, err);
		if (r < 0) {
			/* The innermost is named. */
			if (!err->text[0])
				err_set(err, r, "%s of \"%s\"", r == -ENOMEM ? "no memory for the value" : "bad value",
					schema->params[i].name);
			values_free(values);
			return r;
		}
	}
	*ret = values;
	return 0;
}

int values_unpack(struct pack_reader *reader, const struct schema *schema, struct values_fds *fds, struct values **ret,
		  struct err *err)
{
	struct unpacking unpacking = { .reader = reader, .fds = fds };
	int r;

	err->text[0] = 0;
	r = unpack_values(&unpacking, schema, ret, err);
	if (r < 0 && !err->text[0])
		err_set(err, r, "%s", r == -ENOMEM ? "no memory for the values" : "the values cannot be read");
	return r;
}
