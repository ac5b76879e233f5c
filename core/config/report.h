/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages about a configuration: where it went wrong, and what was probably meant. One form for
 * all: "FILE:LINE: PATH: TEXT", or "--set PATH: TEXT" for what was given on the command line.
 */
#ifndef CONFIG_REPORT_H
#define CONFIG_REPORT_H

#include "core/base/err.h"
#include "core/base/values.h"

#include <errno.h>

/* Writes the message and returns -EINVAL. `path` may be "". The text comes from files and command
 * lines, so control characters become '?': it stays one line. */
int config_fail(struct err *err, const struct place *place, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for a lack of memory: -ENOMEM. */
static inline int config_no_memory(struct err *err)
{
	err_set(err, -ENOMEM, "out of memory");
	return -ENOMEM;
}

/* The nearest of several names. Offer the candidates one by one; only a near one is kept. */
struct nearest {
	const char *wanted;
	const char *best; /* NULL: none is near; borrowed */
	size_t distance;
};

#define NEAREST_INIT(name)       \
	{                        \
		.wanted = (name) \
	}

void nearest_offer(struct nearest *nearest, const char *candidate);

/* ` (did you mean "x"?)`, or "". */
#define NEAREST_HINT_MAX 96
void nearest_hint(const struct nearest *nearest, char ret[static NEAREST_HINT_MAX]);

#endif
