/* SPDX-License-Identifier: BSD-3-Clause */
/* The core's own sections of a configuration, declared like a plugin's parameters, so that
 * checking, help and the manual are one. Main thread. */
#ifndef CONFIG_SECTIONS_H
#define CONFIG_SECTIONS_H

#include "core/base/err.h"
#include "core/base/schema.h"

/* The schemas of `machine`, `boot` and `defaults`, and the keys that every device has; the caller owns them. -ENOMEM
 * with a message. */
int sections_machine(struct schema **ret, struct err *err);
int sections_boot(struct schema **ret, struct err *err);
int sections_defaults(struct schema **ret, struct err *err);
int sections_device(struct schema **ret, struct err *err);

/* One of them, as `backplane keys` and the manual list it. */
struct section {
	const char *name;
	const char *summary; /* one line, no capital, no full stop */
	int (*schema)(struct schema **ret, struct err *err);
};

/* All that have a schema, in the order of the manual. Static. */
const struct section *sections_all(size_t *ret_count);

#endif
