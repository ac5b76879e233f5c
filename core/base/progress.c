/* SPDX-License-Identifier: BSD-3-Clause */
/* How far something is; see progress.h. */
#include "core/base/progress.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <stdio.h>
#include <unistd.h>

#define INTERVAL_NS (100 * NS_PER_MS)
#define ERASE_LINE  "\r\033[K" /* to the left edge, then erase to the end of the line (ECMA-48, EL) */

/* A terminal that is gone is no reason to stop. */
static void put(const char *text, int length)
{
	if (length > 0 && write(STDERR_FILENO, text, (size_t)length) < 0)
		return;
}

void progress_begin(struct progress *progress, const char *what, uint64_t total)
{
	*progress = (struct progress){
		.what = what,
		.total = total,
		.visible = log_get_level() >= LOG_LEVEL_WARN && isatty(STDERR_FILENO) == 1,
	};
}

void progress_update(struct progress *progress, uint64_t done)
{
	uint64_t now = progress->visible ? clock_now_ns() : 0;
	char line[160];

	if (!progress->visible || (progress->drawn && now - progress->shown_ns < INTERVAL_NS))
		return;
	put(line, snprintf(line, sizeof(line), ERASE_LINE "backplane: %.100s: %u %%", progress->what,
			   (unsigned int)((double)done * 100 / (double)progress->total)));
	progress->shown_ns = now;
	progress->drawn = true;
}

void progress_end(struct progress *progress)
{
	if (progress->drawn)
		put(ERASE_LINE, (int)sizeof(ERASE_LINE) - 1);
	progress->drawn = false;
}
