/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens of a configuration file, cut exactly as libconfig's own scanner cuts them; an include is
 * not one of them. Pure functions, any thread. */
#ifndef CONFIG_TOKEN_H
#define CONFIG_TOKEN_H

#include <stddef.h>

enum token_kind {
	TOKEN_SPACE,   /* a run of white space within one line, or one newline */
	TOKEN_COMMENT, /* # and // without their newline */
	TOKEN_NAME,    /* true and false too */
	TOKEN_STRING,
	TOKEN_INTEGER, /* without an L that follows */
	TOKEN_HEX,
	TOKEN_FLOAT,
	TOKEN_OPEN,   /* { [ ( */
	TOKEN_CLOSE,  /* } ] ) */
	TOKEN_ASSIGN, /* = : */
	TOKEN_COMMA,
	TOKEN_OTHER,        /* a semicolon, or a byte that fits nowhere */
	TOKEN_OPEN_COMMENT, /* neither of these two has an end */
	TOKEN_OPEN_STRING,
};

/* The token at `text`, which is not empty and NUL-terminated, and how many bytes it has. */
enum token_kind token_at(const char *text, size_t *ret_bytes);

/* Bytes of the element of a string at `text`: of an escape, or 1. */
size_t token_string_step(const char *text);

/* Bytes of `@include "` with the white space before it, or 0. Only the beginning of a line counts,
 * which the caller checks. */
size_t token_include(const char *text);

#endif
