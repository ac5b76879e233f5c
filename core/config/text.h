/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Scalars as text: how sizes, durations, addresses and the rest are written in a configuration, and
 * how a message writes them back. Strict: no white space, no sign where none belongs, nothing after
 * the value, no wrap. Pure functions, any thread.
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NUMBER_MAX 24 /* bytes of a formatted number with its unit, NUL included */

/* All parsers: 0, -EINVAL (not such a value), or -ERANGE (one, but too large). */

/* true, false */
int text_parse_bool(const char *text, bool *ret);
/* Decimal digits; for INT with an optional "-". */
int text_parse_int(const char *text, int64_t *ret);
int text_parse_uint(const char *text, uint64_t *ret);
/* Decimal digits, then nothing, K, M, G, T, KiB, MiB, GiB or TiB: bytes. */
int text_parse_size(const char *text, uint64_t *ret_bytes);
/* Decimal digits, then ns, us, ms, s, min or h. */
int text_parse_duration(const char *text, uint64_t *ret_ns);
/* "0x" and hexadecimal digits, or decimal ones. */
int text_parse_address(const char *text, uint64_t *ret);
/* Six pairs of hexadecimal digits with colons; the first byte is the lowest of *ret. */
int text_parse_mac(const char *text, uint64_t *ret);

/* In the largest unit that says it exactly, as the file would: "512M", "1536K", "10ms". */
void text_format_size(uint64_t bytes, char ret[static TEXT_NUMBER_MAX]);
void text_format_duration(uint64_t ns, char ret[static TEXT_NUMBER_MAX]);

/* Whether the bytes are UTF-8: no overlong forms, no surrogates. */
bool text_is_utf8(const char *text);

#endif
