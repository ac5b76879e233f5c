/* SPDX-License-Identifier: BSD-3-Clause */
/* The log; see log.h. */
#include "core/base/log.h"

#include "core/base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_BURST     10
#define LIMIT_WINDOW_NS (10 * NS_PER_S)

static atomic_int current_level = LOG_LEVEL_WARN;
static atomic_bool raw_terminal;
static log_sink_fn *log_sink;
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++)
		if (!strcmp(text, level_names[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_set_raw_terminal(bool raw)
{
	atomic_store_explicit(&raw_terminal, raw, memory_order_relaxed);
}

void log_set_sink(log_sink_fn *sink)
{
	log_sink = sink;
}

/* To `sink` if there is one, else to standard error. */
static void __attribute__((format(printf, 4, 0)))
put_line(log_sink_fn *sink, enum log_level level, const char *prefix, const char *format, va_list ap)
{
	char line[1200];
	int prefix_length, length;
	size_t end;

	prefix_length = snprintf(line, sizeof(line), "%s", prefix);
	length = vsnprintf(line + prefix_length, sizeof(line) - (size_t)prefix_length - 2, format, ap);
	if (length < 0)
		return;
	end = strlen(line);
	for (size_t i = 0; i < end; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
		else if ((unsigned char)line[i] == 0xc2 && (unsigned char)line[i + 1] >= 0x80 &&
			 (unsigned char)line[i + 1] < 0xa0)
			line[i] = line[i + 1] =
			    '?'; /* U+0080 to U+009F: for a terminal, escape sequences in one character */
	if (sink) {
		sink(level, line);
		return;
	}
	if (atomic_load_explicit(&raw_terminal, memory_order_relaxed))
		line[end++] = '\r';
	line[end++] = '\n';
	/* A log that cannot be written has nobody to tell. */
	if (write(STDERR_FILENO, line, end) < 0)
		return;
}

void log_line(enum log_level level, const char *format, ...)
{
	char prefix[32] = "";
	va_list ap;

	if (level > log_get_level())
		return;
	if (!log_sink)
		snprintf(prefix, sizeof(prefix), "backplane: %s: ", level_names[level]);
	va_start(ap, format);
	put_line(log_sink, level, prefix, format, ap);
	va_end(ap);
}

void log_tell(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	put_line(NULL, LOG_LEVEL_ERROR, "", format, ap);
	va_end(ap);
}

bool log_limit_pass_of(struct log_limit *limit, uint32_t burst, uint32_t *ret_dropped)
{
	uint64_t now = clock_now_ns();
	bool pass;

	pthread_mutex_lock(&limit_lock);
	if (!limit->window_start_ns || now - limit->window_start_ns >= LIMIT_WINDOW_NS) {
		limit->window_start_ns = now;
		limit->used = 0;
	}
	pass = limit->used < burst;
	if (pass) {
		limit->used++;
		*ret_dropped = limit->dropped;
		limit->dropped = 0;
	} else {
		limit->dropped++;
	}
	pthread_mutex_unlock(&limit_lock);
	return pass;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *ret_dropped)
{
	return log_limit_pass_of(limit, LIMIT_BURST, ret_dropped);
}
