/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line on stderr per event, "backplane: warning: TEXT". Any thread; each line is one write, so lines never
 * mix. Nothing that a guest can do at will may log without log_limited().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* [main] What is written at all; LOG_LEVEL_WARN at first. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warning", "info", "debug" -> level. 0, or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret_level);

/* [any] While the terminal is in raw mode lines must end in CR LF. */
void log_set_raw_terminal(bool raw);

/* [main] Before other threads are there: where lines go instead of standard error, without "backplane: ", level and
 * newline; NULL: standard error again. The sink is [any]. */
typedef void log_sink_fn(enum log_level level, const char *text);
void log_set_sink(log_sink_fn *sink);

/* One line. `text` gets no newline; control characters are replaced by '?', since a guest or a plugin may have chosen them. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same whatever the level, and without anything before it: a line for programs, which is never reworded. */
void log_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* A budget of lines: 10 in 10 seconds; what was left out is counted and told with the next line. Zero
 * is a valid initial state. */
struct log_limit {
	uint64_t window_start_ns;
	uint32_t used;
	uint32_t dropped;
};

/* [any] Whether a line may be written now; *ret_dropped is how many were left out since the last one. The state is
 * guarded by a lock of its own. */
bool log_limit_pass(struct log_limit *limit, uint32_t *ret_dropped);
/* The same for another number of lines than 10. */
bool log_limit_pass_of(struct log_limit *limit, uint32_t burst, uint32_t *ret_dropped);

/* A line with a budget of its own at this call site. The level is tested first, so a silent one costs a load. */
#define log_limited(level, format, ...)                                                                 \
	do {                                                                                            \
		static struct log_limit log_site_limit;                                                 \
		uint32_t log_site_dropped;                                                              \
		if ((level) <= log_get_level() && log_limit_pass(&log_site_limit, &log_site_dropped)) { \
			if (log_site_dropped)                                                           \
				log_line(level, format " (%u similar lines left out)", ##__VA_ARGS__,   \
					 log_site_dropped);                                             \
			else                                                                            \
				log_line(level, format, ##__VA_ARGS__);                                 \
		}                                                                                       \
	} while (0)

#endif
