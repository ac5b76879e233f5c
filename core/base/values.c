/* SPDX-License-Identifier: BSD-3-Clause */
/* Checked values; see values.h. */
#include "core/base/values.h"

#include "core/base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int values_new(const struct schema *schema, const char *path, struct place place, struct values **ret)
{
	struct values *values = calloc(1, sizeof(*values));

	if (!values)
		return -ENOMEM;
	values->schema = schema;
	values->place = place;
	values->path = strdup(path);
	if (!values->path)
		goto fail_values;
	values->lists = calloc(schema->count ? schema->count : 1, sizeof(*values->lists));
	if (!values->lists)
		goto fail_path;
	*ret = values;
	return 0;
fail_path:
	free(values->path);
fail_values:
	free(values);
	return -ENOMEM;
}

void value_clear(struct value *value)
{
	free(value->text);
	fd_close(value->fd);
	fd_close(value->fd_out);
	for (uint32_t i = 0; value->network && i < value->network->fd_count; i++)
		fd_close(value->network->fds[i]);
	free(value->network);
	values_free(value->group);
}

void values_free(struct values *values)
{
	if (!values)
		return;
	for (size_t i = 0; i < values->schema->count; i++) {
		struct value_list *list = &values->lists[i];

		for (uint32_t j = 0; j < list->count; j++)
			value_clear(&list->items[j]);
		free(list->items);
	}
	free(values->lists);
	free(values->path);
	free(values);
}

static void let_go(struct network *network)
{
	if (!network || network->kind == BP_NETWORK_LISTENER)
		return;
	while (network->fd_count)
		fd_close(network->fds[--network->fd_count]);
}

void values_let_go(struct values *values)
{
	for (size_t i = 0; i < values->schema->count; i++)
		for (uint32_t j = 0; j < values->lists[i].count; j++) {
			const struct value *value = &values->lists[i].items[j];

			let_go(value->network);
			if (value->group)
				values_let_go(value->group);
		}
}

/* In this order nobody can come in between. The socket stays open, and in its place in the file system. */
static void hang_up(int listener)
{
	int fd;

	shutdown(listener, SHUT_RDWR);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
}

void values_hang_up(const struct values *values)
{
	for (size_t i = 0; i < values->schema->count; i++)
		for (uint32_t j = 0; j < values->lists[i].count; j++) {
			const struct value *value = &values->lists[i].items[j];

			if (values->schema->params[i].type == BP_P_SOCKET && value->fd >= 0)
				hang_up(value->fd);
			if (value->stream == STREAM_LISTENER && value->fd >= 0)
				hang_up(value->fd);
			if (value->network && value->network->kind == BP_NETWORK_LISTENER)
				hang_up(value->network->fds[0]);
			if (value->group)
				values_hang_up(value->group);
		}
}

int values_add(struct values *values, size_t param, const struct value *value)
{
	struct value_list *list = &values->lists[param];
	struct value *items;

	if (list->count == UINT32_MAX)
		return -ENOMEM;
	/* There is room for the next power of two: it grows when it reaches one. */
	if (!(list->count & (list->count - 1))) {
		items = reallocarray(list->items, list->count ? (size_t)list->count * 2 : 1, sizeof(*items));
		if (!items)
			return -ENOMEM;
		list->items = items;
	}
	list->items[list->count++] = *value;
	return 0;
}

struct value *values_get(const struct values *values, const char *name, uint32_t index)
{
	int param = schema_find(values->schema, name);

	if (param < 0 || index >= values->lists[param].count)
		return NULL;
	return &values->lists[param].items[index];
}

uint64_t values_number(const struct values *values, const char *name, uint64_t otherwise)
{
	const struct value *value = values_get(values, name, 0);

	return value ? value->number : otherwise;
}

const char *values_text(const struct values *values, const char *name, const char *otherwise)
{
	const struct value *value = values_get(values, name, 0);

	return value && value->text ? value->text : otherwise;
}
