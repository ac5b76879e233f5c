/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Schemas: the parameter tables of plugins and of the core's own sections, as plain data that we own. A plugin's table is
 * read once, here, with every string bounded and every rule of <backplane/config.h> checked; afterwards nobody looks at the
 * plugin's memory. Made on the main thread, read-only afterwards.
 */
#ifndef BASE_SCHEMA_H
#define BASE_SCHEMA_H

#include "core/base/err.h"

#include <backplane/config.h>

#include <stdbool.h>
#include <stddef.h>

#define SCHEMA_PARAMS_MAX  64  /* per table */
#define SCHEMA_TOTAL_MAX   512 /* with those of all its groups */
#define SCHEMA_DEPTH_MAX   4   /* groups in groups */
#define SCHEMA_NAME_MAX    31  /* bytes of a name */
#define SCHEMA_TEXT_MAX    4095
#define SCHEMA_CHOICES_MAX 64

struct param {
	char *name;
	uint32_t type; /* BP_P_* */
	uint32_t flags;
	char *def; /* NULL: none */
	int64_t min;
	int64_t max;
	size_t choice_count;
	char **choices;
	struct schema *group; /* GROUP: its table, else NULL */
	char *help;
	char *readonly_param; /* FILE with BP_P_WRITE: a BOOL of the same table, or NULL */
	char *pairs_param;    /* NETWORK: a UINT of the same table, or NULL */
};

struct schema {
	size_t count;
	struct param *params;
};

/* Copies a table. The caller owns *ret and frees it with schema_free(). -EINVAL with the parameter's name and what is wrong
 * with it, -ENOMEM. Whether defaults can be parsed is checked by core/config, which knows how. */
int schema_copy(const struct bp_param *table, uint32_t stride, uint32_t count, struct schema **ret, struct err *err);
void schema_free(struct schema *schema);

/* Index of a parameter, or -1. */
int schema_find(const struct schema *schema, const char *name);

/* "size", "duration", ...: what the manual calls a type; "?" for none. */
const char *schema_type_name(uint32_t type);

/* Whether `min` and `max` bound the parameter. */
static inline bool param_has_range(const struct param *param)
{
	return param->min != 0 || param->max != 0;
}

/* Whether a value of the parameter is within them. */
static inline bool param_in_range(const struct param *param, uint64_t number)
{
	if (!param_has_range(param))
		return true;
	if (param->type == BP_P_INT)
		return (int64_t)number >= param->min && (int64_t)number <= param->max;
	return number >= (uint64_t)param->min && number <= (uint64_t)param->max;
}

/* Whether `text` is a name: a lower-case letter, then those, digits and the bytes in `extra`; 1 to `max` bytes. */
bool schema_name_ok(const char *text, const char *extra, size_t max);

#endif
