/* SPDX-License-Identifier: BSD-3-Clause */
/* One file of a configuration in memory: text, with no control characters but white space. Called
 * by source.c, main thread. */
#ifndef CONFIG_INPUT_H
#define CONFIG_INPUT_H

#include "core/base/err.h"
#include "core/base/values.h"

#include <stdbool.h>
#include <stddef.h>

struct input {
	const char *name; /* borrowed */
	char *text;       /* NUL-terminated; owned */
	size_t bytes;
	size_t at;         /* how far source.c has come */
	unsigned int line; /* of `at`, from 1 */
};

/* Reads `name`, which may be a pipe only if nobody included it: `included_at` is NULL. At most
 * `bytes_max` bytes. -EINVAL with a message, -ENOMEM. */
int input_read(const char *name, const struct place *included_at, size_t bytes_max, struct input *ret, struct err *err);
void input_free(struct input *input);

#endif
