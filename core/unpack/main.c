/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unpacker: a program of its own that turns a bzImage into the ELF kernel inside, so that no decompressor runs in the VMM,
 * which links none. core/placement/unpack.c starts it, without arguments and environment, with three descriptors:
 *
 *   0  the bzImage, read-only
 *   1  where the ELF kernel goes, from its current offset on
 *   2  the report: a stream socket
 *
 *   unpacker                                        placement
 *   confines itself
 *   reads the file into memory it owns
 *   "sha256 HEX\n"                            ->    looks into its cache
 *                                             <-    a byte to go on; or the end of the stream, which ends us, too
 *   unpacks, writes
 *   "done\n", or "error TEXT\n"               ->
 *   ends with status 0, or 1
 *
 * The hash is told before anything but SHA-256 has touched the file's bytes. So a file that takes a decoder over can spoil what is
 * kept under its own hash, but not pass itself off as another one.
 */
#include "core/unpack/confine.h"
#include "core/unpack/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES (UINT64_C(16) << 20) /* at first; the file may be larger */

struct file {
	uint8_t *data;
	size_t bytes;
};

static int write_all(int fd, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes) {
		ssize_t done = write(fd, at, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		bytes -= (size_t)done;
	}
	return 0;
}

/* One line of the report. Nobody is left to tell if it cannot be written. */
static void report(const char *what, const char *text)
{
	char line[ERR_TEXT_MAX + 16];
	int length = snprintf(line, sizeof(line), "%s%s\n", what, text);

	if (length > 0)
		(void)write_all(CONFINE_REPORT_FD, line, (size_t)length);
}

/* Reads all of the file once: what is hashed is what is unpacked, whoever writes to the file meanwhile. */
static int read_file(struct file *file, struct err *err)
{
	size_t room = 0;

	for (;;) {
		ssize_t got;

		if (file->bytes == room) {
			uint8_t *grown;

			room = room ? 2 * room : READ_BYTES;
			grown = realloc(file->data, room);
			if (!grown)
				return err_sys(err, -ENOMEM, "cannot read it");
			file->data = grown;
		}
		got = pread(CONFINE_KERNEL_FD, file->data + file->bytes, room - file->bytes, (off_t)file->bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, -errno, "cannot read it");
		if (!got)
			return 0;
		file->bytes += (size_t)got;
		if (file->bytes > PAYLOAD_FILE_MAX)
			return err_set(err, -EFBIG, "it has more than %" PRIu64 " MiB", PAYLOAD_FILE_MAX >> 20);
	}
}

static void report_hash(const struct file *file)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char text[2 * sizeof(digest) + 1];
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, file->bytes, file->data);
	sha256_digest(&hash, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	report("sha256 ", text);
}

/* payload_find() asks only for what lies in the file. */
static int read_memory(void *ctx, uint64_t offset, void *buf, size_t bytes, struct err *err)
{
	const struct file *file = ctx;

	(void)err;
	memcpy(buf, file->data + offset, bytes);
	return 0;
}

static int unpack(struct file *file, struct err *err)
{
	struct payload payload;
	uint8_t *unpacked;
	int r;

	r = payload_find(read_memory, file, file->bytes, &payload, err);
	if (r < 0)
		return r;
	unpacked = malloc((size_t)payload.unpacked_bytes);
	if (!unpacked)
		return err_sys(err, -ENOMEM, "cannot hold %" PRIu64 " MiB", payload.unpacked_bytes >> 20);
	r = payload_decode(&payload, file->data + payload.offset, unpacked, err);
	if (r == 0) {
		r = write_all(CONFINE_OUTPUT_FD, unpacked, (size_t)payload.unpacked_bytes);
		if (r < 0)
			err_sys(err, r, "cannot write what was unpacked");
	}
	free(unpacked);
	return r;
}

/* 1: unpacked; 0: not wanted; -errno with a message. */
static int serve(struct err *err)
{
	struct file file = { 0 };
	ssize_t got;
	char byte;
	int r;

	r = confine(err);
	if (r < 0)
		return r;
	r = read_file(&file, err);
	if (r == 0) {
		report_hash(&file);
		do
			got = read(CONFINE_REPORT_FD, &byte, 1);
		while (got < 0 && errno == EINTR);
		if (got == 1)
			r = unpack(&file, err);
		if (got == 1 && r == 0)
			r = 1;
	}
	free(file.data);
	return r;
}

int main(void)
{
	struct err err = ERR_NONE;
	int r = serve(&err);

	if (r < 0)
		report("error ", err.text);
	else if (r > 0)
		report("done", "");
	/* exit() would do more than the filter allows. */
	_exit(r < 0 ? 1 : 0);
}
