/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plugin's process wants in the log: lines of its runtime and plugin, and what it writes to standard error. Both
 * have a budget, and bear the device's name, whatever the process says. Main thread. */
#include "core/base/fd.h"
#include "core/placement/process_impl.h"

#include <errno.h>
#include <string.h>

/* In ten seconds. The runtime in the process has a budget of its own, of 10, so that this is for one that does not keep to it. */
#define LINES_MAX        40
/* A sanitizer's report has more. */
#define STDERR_LINES_MAX 120

static bool begins_with_name(const struct process *process, const char *text)
{
	size_t length = strlen(process->id);

	return !strncmp(text, process->id, length) && !strncmp(text + length, ": ", 2);
}

void process_log_line(struct process *process, const struct wire_log *line)
{
	enum log_level level = (enum log_level)line->level;
	uint32_t dropped;

	if (line->level > LOG_LEVEL_DEBUG) {
		process_fail(process, FAILURE_PROTOCOL, NULL, "a line of a level that there is not");
		return;
	}
	if (level > log_get_level() || !log_limit_pass_of(&process->log_limit, LINES_MAX, &dropped))
		return;
	if (dropped)
		log_line(level, "%s: %u lines of this device's process were left out", process->id, dropped);
	if (begins_with_name(process, line->text))
		log_line(level, "%s", line->text);
	else
		log_line(level, "%s: %s", process->id, line->text);
}

void process_flush_stderr(struct process *process)
{
	uint32_t dropped;

	if (process->line_bytes && LOG_LEVEL_INFO <= log_get_level() &&
	    log_limit_pass_of(&process->stderr_limit, STDERR_LINES_MAX, &dropped)) {
		if (dropped)
			log_info("devices.%s: stderr: %u lines were left out", process->id, dropped);
		/* A NUL would hide the rest. */
		for (size_t i = 0; i < process->line_bytes; i++)
			if (!process->line[i])
				process->line[i] = '?';
		log_info("devices.%s: stderr: %.*s", process->id, (int)process->line_bytes, process->line);
	}
	process->line_bytes = 0;
}

static void take_bytes(struct process *process, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			process_flush_stderr(process);
			process->line_cut = false;
		} else if (process->line_bytes == sizeof(process->line)) {
			process->line_cut = true;
		} else if (!process->line_cut) {
			process->line[process->line_bytes++] = bytes[i];
		}
	}
}

void process_read_stderr(struct process *process)
{
	char bytes[4096];

	for (size_t all = 0; process->stderr_fd >= 0 && all < PROCESS_TURN_BYTES;) {
		ssize_t count = read(process->stderr_fd, bytes, sizeof(bytes));

		if (count > 0) {
			take_bytes(process, bytes, (size_t)count);
			all += (size_t)count;
			continue;
		}
		if (count < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* Nobody has the other end any more. */
		process_unwatch(process, SOURCE_STDERR);
		fd_close(fd_take(&process->stderr_fd));
	}
}
