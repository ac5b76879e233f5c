/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes what the unpacker does with a file. The first byte chooses: 0, the rest of the input is the file; or else it is a stream
 * in one of the formats, in a bzImage whose header is right, and the second byte says how much larger than the stream it claims to
 * be. What is unpacked goes to a buffer of exactly the size that the file says, which the sanitizers watch. Built with
 * -fsanitize=fuzzer,address,undefined.
 */
#include "core/unpack/decode.h"
#include "tests/unit/packed_images.h"

/* More makes it slow, not better. */
#define UNPACKED_MAX (1u << 20)

/* libFuzzer declares neither. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_message(const struct err *err)
{
	if (!err->text[0] || strchr(err->text, '\n'))
		abort();
}

static void unpack(struct packed *packed)
{
	struct payload payload = { 0 };
	struct err err = { .text = "" };
	uint8_t *in, *out;

	if (payload_find(packed_read, packed, packed->bytes, &payload, &err) < 0) {
		check_message(&err);
		return;
	}
	if (payload.bytes > packed->bytes || payload.offset > packed->bytes - payload.bytes ||
	    !payload.unpacked_bytes || payload.unpacked_bytes > PAYLOAD_UNPACKED_MAX)
		abort();
	if (payload.unpacked_bytes > UNPACKED_MAX)
		return;
	in = malloc(payload.bytes ? payload.bytes : 1);
	out = malloc(payload.unpacked_bytes);
	if (!in || !out)
		abort();
	memcpy(in, packed->file + payload.offset, payload.bytes);
	if (payload_decode(&payload, in, out, &err) < 0)
		check_message(&err);
	else if (memcmp(out, "\177ELF", 4) != 0)
		abort();
	free(in);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const magic[] = { "\x02\x21\x4c\x18", "\xfd\x37zXZ", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08" };
	static const size_t magic_bytes[] = { 4, 6, 4, 3 };
	struct packed packed = { 0 };
	unsigned int kind;
	uint8_t *stream;

	if (size < 2)
		return 0;
	kind = data[0] % 5u;
	stream = malloc(size + 8);
	if (!stream)
		abort();
	if (kind == 0) {
		memcpy(stream, data + 1, size - 1);
		packed.file = stream;
		packed.bytes = size - 1;
		unpack(&packed);
	} else {
		size_t bytes = magic_bytes[kind - 1] + size - 2;

		memcpy(stream, magic[kind - 1], magic_bytes[kind - 1]);
		memcpy(stream + magic_bytes[kind - 1], data + 2, size - 2);
		if (packed_wrap((enum payload_format)(kind - 1), stream, bytes, (uint64_t)bytes * data[1] / 16,
				&packed))
			unpack(&packed);
		free(packed.file);
	}
	free(stream);
	return 0;
}
