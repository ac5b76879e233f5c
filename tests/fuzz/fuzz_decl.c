/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: what a plugin's process sends as a blob, and what it gets as one. The first byte chooses: the reader of
 * plain data, whose calls are the bytes of the first half; a declaration, whose note agrees with it in ABI and id; or
 * values of a schema with everything in it. What is accepted has to survive another round.
 */
#include "core/base/fd.h"
#include "core/base/values_pack.h"
#include "core/device/decl.h"

#include <backplane/device.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FDS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each of the reader's calls, and nothing but zero after an error. */
static void fuzz_reader(const uint8_t *data, size_t size)
{
	struct pack_reader reader;
	size_t calls = size / 2;

	unpack_begin(&reader, data + calls, size - calls);
	for (size_t i = 0; i < calls; i++) {
		const uint8_t *bytes;
		size_t count = 0;
		char *text;

		switch (data[i] % 5) {
		case 0:
			if (unpack_u32(&reader) && reader.error)
				abort();
			break;
		case 1:
			if (unpack_u64(&reader) && reader.error)
				abort();
			break;
		case 2:
			if (unpack_count(&reader, data[i]) > data[i])
				abort();
			break;
		case 3:
			text = unpack_text(&reader, data[i]);
			if (text && (reader.error || strlen(text) > data[i]))
				abort();
			free(text);
			break;
		default:
			bytes = unpack_bytes(&reader, data[i], &count);
			if (count > data[i] || (bytes && reader.error) || (!bytes && count))
				abort();
			/* Each of them is there. */
			for (size_t j = 0; j < count; j++)
				if (bytes[j] != data[(size_t)(bytes - data) + j])
					abort();
		}
	}
	if (reader.at > reader.count)
		abort();
	unpack_end(&reader);
}

static void fuzz_declaration(const uint8_t *data, size_t size)
{
	struct bp_note_desc note = { 0 };
	struct err err = ERR_NONE;
	struct pack_reader reader;
	struct pack_writer writer;
	struct plugin *plugin;
	uint8_t *bytes;
	size_t count;
	char *id;

	unpack_begin(&reader, data, size);
	note.abi_major = unpack_u32(&reader);
	note.abi_minor = unpack_u32(&reader);
	id = unpack_text(&reader, sizeof(note.id) - 1);
	if (id)
		memcpy(note.id, id, strlen(id));
	free(id);
	if (decl_unpack(data, size, "plugin.so", &note, &plugin, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return;
	}
	/* Without its callbacks it is a lesser one, but everything else is in its place. */
	pack_begin(&writer, DECL_BYTES_MAX);
	decl_pack(plugin, &writer);
	if (pack_end(&writer, &bytes, &count) < 0 || count > size)
		abort();
	free(bytes);
	plugin_free(plugin);
}

static const char *const choices[] = { "one", "two", NULL };
static const struct bp_param innermost[] = {
	{ .name = "size", .type = BP_P_SIZE, .flags = BP_P_REQUIRED, .min = 1, .max = 100 },
	{ .name = "log", .type = BP_P_FILE, .flags = BP_P_REPEATED },
};
static const struct bp_param inner[] = {
	{ .name = "deeper", .type = BP_P_GROUP, .flags = BP_P_REPEATED, BP_GROUP(innermost) },
};
static const struct bp_param params[] = {
	{ .name = "flag", .type = BP_P_BOOL, .def = "false" },
	{ .name = "offset", .type = BP_P_INT, .min = -5, .max = 5 },
	{ .name = "count", .type = BP_P_UINT },
	{ .name = "tags", .type = BP_P_STRING, .flags = BP_P_REPEATED },
	{ .name = "kind", .type = BP_P_CHOICE, .choices = choices },
	{ .name = "mac", .type = BP_P_MAC },
	{ .name = "path", .type = BP_P_FILE },
	{ .name = "console", .type = BP_P_STREAM, .flags = BP_P_REPEATED },
	{ .name = "group", .type = BP_P_GROUP, .flags = BP_P_REPEATED, BP_GROUP(inner) },
	{ .name = "network", .type = BP_P_NETWORK, .flags = BP_P_REPEATED },
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_LISTEN },
};

static void make_fds(struct values_fds *fds, size_t count)
{
	for (fds->count = 0; fds->count < count; fds->count++)
		fds->fds[fds->count] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static void close_fds(struct values_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		fd_close(fds->fds[i]);
}

static void fuzz_values(const uint8_t *data, size_t size)
{
	struct values_fds fds = { .count = 0 }, again = { .count = 0 };
	struct values *values, *copy;
	struct err err = ERR_NONE;
	struct pack_writer writer;
	struct pack_reader reader;
	struct schema *schema;
	uint8_t *bytes;
	size_t count;
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	fd_close(lowest);
	if (schema_copy(params, sizeof(params[0]), sizeof(params) / sizeof(params[0]), &schema, &err) < 0)
		abort();
	make_fds(&fds, FDS);
	unpack_begin(&reader, data, size);
	if (values_unpack(&reader, schema, &fds, &values, &err) == 0) {
		pack_begin(&writer, size);
		if (values_pack(values, &writer, &again) < 0 || pack_end(&writer, &bytes, &count) < 0 ||
		    count != reader.at)
			abort();
		make_fds(&again, again.count);
		unpack_begin(&reader, bytes, count);
		if (values_unpack(&reader, schema, &again, &copy, &err) < 0 || unpack_end(&reader) < 0)
			abort();
		free(bytes);
		values_free(copy);
		values_free(values);
	} else if (!err.text[0]) {
		abort();
	}
	close_fds(&fds);
	schema_free(schema);
	/* None is left: the next has the number that the first had. */
	if (fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) != lowest)
		abort();
	fd_close(lowest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const uint8_t *data, size_t size) = {
		fuzz_reader,
		fuzz_declaration,
		fuzz_values,
	};
	uint8_t *copy;

	if (!size)
		return 0;
	/* Of exactly its size, so that a sanitizer sees each byte too far. */
	copy = malloc(size > 1 ? size - 1 : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	parts[data[0] % 3](copy, size - 1);
	free(copy);
	return 0;
}
