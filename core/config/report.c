/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages about a configuration; see report.h. */
#include "core/config/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 64 /* longer names are not compared */

int config_fail(struct err *err, const struct place *place, const char *path, const char *format, ...)
{
	const char *colon = path[0] ? ": " : "";
	size_t used;
	va_list ap;

	if (!place->file)
		err_set(err, 0, "--set %s: ", path);
	else if (!place->line)
		err_set(err, 0, "%s: %s%s", place->file, path, colon);
	else
		err_set(err, 0, "%s:%u: %s%s", place->file, place->line, path, colon);
	used = strlen(err->text);
	va_start(ap, format);
	vsnprintf(err->text + used, sizeof(err->text) - used, format, ap);
	va_end(ap);
	for (char *at = err->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	return -EINVAL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Insertions, deletions and replacements from one word to the other; both at most WORD_MAX bytes.
 */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t above = row[j];

			row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
			diagonal = above;
		}
	}
	return row[b_len];
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
	size_t wanted_len = strnlen(nearest->wanted, WORD_MAX + 1);
	size_t candidate_len = strnlen(candidate, WORD_MAX + 1);
	size_t distance;

	if (wanted_len > WORD_MAX || candidate_len > WORD_MAX)
		return;
	distance = edit_distance(nearest->wanted, wanted_len, candidate, candidate_len);
	/* A third of the word may be wrong: one letter of "pth", two of "memroy". */
	if (distance > (wanted_len + 1) / 3)
		return;
	if (nearest->best && distance >= nearest->distance)
		return;
	nearest->best = candidate;
	nearest->distance = distance;
}

void nearest_hint(const struct nearest *nearest, char ret[static NEAREST_HINT_MAX])
{
	ret[0] = '\0';
	if (nearest->best)
		snprintf(ret, NEAREST_HINT_MAX, " (did you mean \"%s\"?)", nearest->best);
}
