/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening parameters; see open.h. */
#include "core/placement/open.h"

#include "core/base/fd.h"
#include "core/config/network.h"
#include "core/config/path.h"
#include "core/config/report.h"
#include "core/placement/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_PREFIX "file:"
#define PTY_PREFIX  "pty:"
#define UNIX_PREFIX "unix:"
#define PATH_BYTES  256
/* How many clients of a SOCKET may wait, about: they may well come at once. */
#define BACKLOG     128

/* Opens `path` as it stands in the configuration. The fd, or -errno with the message. */
static int open_path(const struct value *value, const char *path, int flags, struct err *err)
{
	FREE_AUTO char *resolved = NULL;
	int r = config_resolve_path(&value->place, path, &resolved);
	int fd;

	if (r < 0)
		return err_sys(err, r, "cannot open \"%s\"", path);
	fd = open(resolved, flags | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open \"%s\"", path);
	return fd;
}

/*
 * Our own way to standard input or output. O_NONBLOCK belongs to the open file description, which the shell and others have
 * too, so a terminal or pipe is opened anew; a file keeps its offset, and a socket cannot be opened, so these are duplicated.
 */
static int open_standard(int fd, int flags)
{
	char path[32];
	struct stat st;
	int own = -1;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (own < 0)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return own < 0 ? -errno : own;
}

static int open_terminal(struct opener *opener, struct value *value, struct err *err)
{
	if (opener->terminal_used)
		return err_set(err, -EBUSY, "the terminal is already used by another device");
	opener->terminal_used = true;
	/* Either may be closed; a console without input, or without output, is still one. */
	value->fd = open_standard(STDIN_FILENO, O_RDONLY);
	value->fd_out = open_standard(STDOUT_FILENO, O_WRONLY);
	if (value->fd < 0)
		value->fd = -1;
	if (value->fd_out < 0)
		value->fd_out = -1;
	return 0;
}

/* What stands behind "KIND:" in a stream, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) ? NULL : text + strlen(prefix);
}

static int open_stream(struct opener *opener, struct value *value, const char *path, struct err *err)
{
	const char *text = value->text;
	int fd;

	if (!strcmp(text, "terminal"))
		return open_terminal(opener, value, err);
	if (!strcmp(text, "null"))
		return 0;
	if (!strcmp(text, "pty") || behind(text, PTY_PREFIX))
		return stream_open_pty(&opener->made, value, path, behind(text, PTY_PREFIX), err);
	if (behind(text, UNIX_PREFIX))
		return stream_open_unix(&opener->made, value, behind(text, UNIX_PREFIX), err);
	/* core/config has let nothing else through. */
	fd = open_path(value, behind(text, FILE_PREFIX), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, err);
	if (fd < 0)
		return fd;
	value->fd_out = fd;
	return 0;
}

static int open_file(const struct values *values, const struct param *param, struct value *value, struct err *err)
{
	bool write =
	    (param->flags & BP_P_WRITE) && !(param->readonly_param && values_number(values, param->readonly_param, 0));
	int fd = open_path(value, value->text, write ? O_RDWR : O_RDONLY, err);

	if (fd < 0)
		return fd;
	value->fd = fd;
	return 0;
}

static int open_socket(struct opener *opener, const struct param *param, struct value *value, struct err *err)
{
	int fd;

	if (!(param->flags & BP_P_LISTEN))
		return 0;
	fd = stream_listen(&opener->made, &value->place, value->text, BACKLOG, err);
	if (fd < 0)
		return fd;
	value->fd = fd;
	return 0;
}

static int open_value(struct opener *opener, const struct values *values, const struct param *param,
		      struct value *value, const char *path, struct err *err)
{
	switch (param->type) {
	case BP_P_FILE:
		return open_file(values, param, value, err);
	case BP_P_STREAM:
		return open_stream(opener, value, path, err);
	case BP_P_SOCKET:
		return open_socket(opener, param, value, err);
	case BP_P_NETWORK:
		return network_open(opener, value, network_pairs(values, param), path, err);
	default:
		return 0;
	}
}

int open_values(struct opener *opener, struct values *values, struct err *err)
{
	for (size_t i = 0; i < values->schema->count; i++) {
		const struct param *param = &values->schema->params[i];

		for (uint32_t j = 0; j < values->lists[i].count; j++) {
			struct value *value = &values->lists[i].items[j];
			char path[PATH_BYTES];
			int r;

			if (param->type == BP_P_GROUP) {
				r = open_values(opener, value->group, err);
				if (r < 0)
					return r;
				continue;
			}
			snprintf(path, sizeof(path), "%s.%s", values->path, param->name);
			r = open_value(opener, values, param, value, path, err);
			if (r < 0) {
				struct err text = *err;

				config_fail(err, &value->place, path, "%s", text.text);
				return r;
			}
		}
	}
	return 0;
}

void opener_end(struct opener *opener)
{
	streams_remove(&opener->made);
}

void opener_wait(struct opener *opener)
{
	passts_end(&opener->passts);
}
