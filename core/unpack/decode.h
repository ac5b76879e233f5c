/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Unpacking a payload that payload_find() has found, by the formats' own libraries. Everything is in memory and the output
 * has a fixed end, so a payload that expands further than it said fails there. Only the unpacker links it; one thread.
 */
#ifndef UNPACK_DECODE_H
#define UNPACK_DECODE_H

#include "core/unpack/payload.h"

/* Unpacks payload->bytes bytes at `packed` to `unpacked`, which has room for exactly payload->unpacked_bytes. The payload must
 * be whole, nothing may follow it, and it must give exactly that much: an ELF file for x86_64. 0, or -EBADMSG, -ENOEXEC or
 * -ENOMEM with a message that does not name the file. */
int payload_decode(const struct payload *payload, const uint8_t *packed, uint8_t *unpacked, struct err *err);

#endif
