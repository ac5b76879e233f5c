/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of a configuration, as libconfig gets to see it: read with bounds, includes put in their
 * place, every hazard of libconfig 1.5 refused or defused beforehand. Called by file.c, main thread.
 *
 * What libconfig would do otherwise, and what happens here instead:
 *  - an include that is a directory ends the process (flex), a FIFO or device blocks it: refused;
 *  - "plain integers" keep their low 32 bits, without a word: such an integer gets the suffix L;
 *    one that does not fit in 64 bits is refused;
 *  - hexadecimal integers keep their low 32 bits too: refused, with advice;
 *  - a string where no value can stand leaks on the way to the syntax error: the error is made
 *    here;
 *  - "\x00" vanishes from strings, an unclosed comment or string reaches to the end: refused;
 *  - looking for duplicate keys takes quadratic time: the number of settings is bounded;
 *  - nesting recurses: bounded.
 */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "core/base/err.h"
#include "core/config/tree.h"

#define SOURCE_BYTES_MAX    ((size_t)1024 * 1024) /* of all files together */
#define SOURCE_FILES_MAX    64                    /* opened, counting each time */
#define SOURCE_INCLUDES_MAX 8                     /* files in files */
#define SOURCE_DEPTH_MAX    16                    /* brackets in brackets */
#define SOURCE_SETTINGS_MAX 10000
#define SOURCE_STRING_MAX   4095 /* bytes of a string, after its escapes */

struct source {
	char *text; /* NUL-terminated, no NUL within */
	size_t bytes;
	struct place *lines; /* where each line of `text` came from; files are names of the tree */
	size_t line_count;
};

/* Reads `path` and what it includes. -EINVAL with a message that has FILE and, where there is one,
 * LINE; -ENOMEM. */
int source_read(struct tree *tree, const char *path, struct source *ret, struct err *err);
void source_free(struct source *source);

/* The place of line `line` (from 1) of the text; a line behind the last one is the last one. */
struct place source_place(const struct source *source, unsigned int line);

#endif
