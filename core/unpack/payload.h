/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a bzImage keeps the kernel that it unpacks when it starts, and how large that is (Linux, Documentation/x86/boot.rst:
 * payload_offset, payload_length, init_size). The header comes from a file, so it is hostile; nothing of the payload but its
 * first and last bytes is read. No state, any thread.
 *
 * Two programs call it: placement, so that `check` knows whether there is something to unpack, and the unpacker, which does
 * not take placement's word for it.
 */
#ifndef UNPACK_PAYLOAD_H
#define UNPACK_PAYLOAD_H

#include "core/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* More than any kernel has: Debian's are 8 to 14 MiB packed and 50 to 65 MiB unpacked. */
#define PAYLOAD_FILE_MAX     (UINT64_C(256) << 20)
#define PAYLOAD_UNPACKED_MAX (UINT64_C(1) << 30)

enum payload_format { PAYLOAD_LZ4, PAYLOAD_XZ, PAYLOAD_ZSTD, PAYLOAD_GZIP };

struct payload {
	uint64_t offset;         /* [offset, offset + bytes) lies in the file */
	uint64_t bytes;          /* without the size that the kernel's build puts behind it */
	uint64_t unpacked_bytes; /* as the file says: not 0, at most init_size and PAYLOAD_UNPACKED_MAX */
	enum payload_format format;
};

/* Reads exactly [offset, offset + bytes), which lies in the file: 0, or -errno with a message. */
typedef int payload_read_fn(void *ctx, uint64_t offset, void *buf, size_t bytes, struct err *err);

/* 0; -ENOEXEC or what `read` returned, with a message that does not name the file: `its payload is compressed with lzo,
 * ...`. */
int payload_find(payload_read_fn *read, void *ctx, uint64_t file_bytes, struct payload *ret, struct err *err);

/* "LZ4", "XZ", "zstd", "gzip" */
const char *payload_format_name(enum payload_format format);

#endif
