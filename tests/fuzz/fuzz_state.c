/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzz target: a device's saved state, which may come from any file. What is read back must be what a field says, and what is written
 * again must be accepted. */
#include "core/device/state.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct state_reader reader;

/* Every small tag, as a number and as bytes, and in a buffer that is too small. */
static void read_all(void)
{
	for (uint32_t tag = 0; tag < 16; tag++) {
		uint8_t bytes[64] = { 0 };
		uint64_t number = 0;
		int as_number = bp_get_uint(&reader.head, tag, &number);
		int as_bytes = bp_get_bytes(&reader.head, tag, bytes, sizeof(bytes));

		if (as_number == 0 && as_bytes >= 0)
			abort();
		if (as_bytes > (int)sizeof(bytes))
			abort();
		if (as_bytes > 0 && bp_get_bytes(&reader.head, tag, bytes, (size_t)as_bytes - 1) != -EMSGSIZE)
			abort();
	}
}

/* Writes what can be read under those tags, and reads it again. */
static void write_again(const struct bp_host *host)
{
	struct state_writer writer;
	struct err err = ERR_NONE;
	uint8_t *bytes;
	size_t count;

	if (state_writer_begin(&writer, host, reader.version) < 0)
		return;
	for (uint32_t tag = 0; tag < 16; tag++) {
		uint64_t number;

		if (bp_get_uint(&reader.head, tag, &number) == 0 && bp_put_uint(&writer.head, tag, number) < 0)
			abort();
	}
	if (state_writer_end(&writer, &bytes, &count) < 0)
		abort();
	if (state_reader_begin(&reader, host, bytes, count, &err) < 0)
		abort();
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bp_host host = {
		.size = sizeof(host),
		.put_uint = host_put_uint,
		.put_bytes = host_put_bytes,
		.get_uint = host_get_uint,
		.get_bytes = host_get_bytes,
	};
	struct err err = ERR_NONE;
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (state_reader_begin(&reader, &host, copy, size, &err) == 0) {
		read_all();
		state_reader_end(&reader, &err);
		write_again(&host);
	}
	free(copy);
	return 0;
}
