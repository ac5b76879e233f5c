/* SPDX-License-Identifier: BSD-3-Clause */
/* A plugin's process: how it begins, and how it ends. Main thread. */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/device/decl.h"
#include "core/placement/process_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

/* For one that does not even die of SIGKILL: it stays behind, rather than that we wait for it. */
#define KILL_LIMIT_NS (10 * NS_PER_S)

/* ---- making ---- */

/* "/usr/lib/backplane/serial.so" is "serial". */
static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t length = strlen(name);

	if (length > 3 && !strcmp(name + length - 3, ".so"))
		length -= 3;
	return strndup(name, length);
}

int process_adopt(struct processes *set, const struct process_spec *spec, uint64_t token,
		  const struct process_ends *ends, struct process **ret, struct err *err)
{
	struct process *process = calloc(1, sizeof(*process));
	int r;

	if (!process)
		return err_sys(err, -ENOMEM, "plugin process");
	*process = (struct process){
		.set = set,
		.token = token,
		.id = strdup(spec->id),
		.path = strdup(spec->plugin_path),
		.name = name_of(spec->plugin_path),
		.read_ns = spec->read_ns,
		.request_ns = spec->request_ns,
		.on_failure = spec->on_failure,
		.pidfd = ends->pidfd,
		.control = { .fd = ends->control_fd, .refuses_blobs = true, .refuses_fds = true },
		.access_fd = ends->access_fd,
		.vhost_fd = ends->vhost_fd,
		.stderr_fd = ends->stderr_fd,
	};
	for (size_t i = 0; i < SOURCE_KINDS; i++)
		process->sources[i].fd = -1;
	pthread_mutex_init(&process->access_lock, NULL);
	pthread_mutex_init(&process->failure.lock, NULL);
	r = process->id && process->path && process->name ? 0 : -ENOMEM;
	if (r == 0)
		r = process_watch(process, SOURCE_CONTROL, ends->control_fd);
	if (r == 0)
		r = process_watch(process, SOURCE_PIDFD, ends->pidfd);
	if (r == 0)
		r = process_watch(process, SOURCE_STDERR, ends->stderr_fd);
	if (r < 0) {
		for (size_t i = 0; i < SOURCE_KINDS; i++)
			process_unwatch(process, (enum process_source_kind)i);
		free(process->id);
		free(process->path);
		free(process->name);
		free(process);
		return err_sys(err, r, "plugin process");
	}
	process->next = set->first;
	set->first = process;
	*ret = process;
	return 0;
}

static void close_ends(const struct process_ends *ends)
{
	fd_close(ends->pidfd);
	fd_close(ends->control_fd);
	fd_close(ends->access_fd);
	fd_close(ends->vhost_fd);
	fd_close(ends->stderr_fd);
}

/* The sockets and the pipe: our ends, and those that the process gets, in the order of spawner_start(). Those that were
 * made are there after a failure, too. */
static int make_ends(struct process_ends *ends, int theirs[static SPAWN_FDS])
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	ends->stderr_fd = pair[0];
	theirs[0] = pair[1];
	/* The end of a pipe that is read is ours alone. */
	if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ends->control_fd = pair[0];
	theirs[1] = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ends->access_fd = pair[0];
	theirs[2] = pair[1];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ends->vhost_fd = pair[0];
	theirs[3] = pair[1];
	return 0;
}
static_assert(SPAWN_FDS == 4, "make_ends");

static int start(struct processes *set, const struct process_spec *spec, struct process **ret, struct err *err)
{
	struct process_ends ends = { -1, -1, -1, -1, -1 };
	int theirs[SPAWN_FDS] = { -1, -1, -1, -1 };
	uint64_t token = ++set->last_token;
	int pid;
	int r = make_ends(&ends, theirs);

	if (r < 0)
		err_sys(err, r, "plugin process");
	else
		r = spawner_start(set->spawner, token, theirs, &pid, &ends.pidfd, err);
	for (size_t i = 0; i < SPAWN_FDS; i++)
		fd_close(theirs[i]);
	if (r == 0)
		r = process_adopt(set, spec, token, &ends, ret, err);
	if (r < 0) {
		if (ends.pidfd >= 0)
			pidfd_send_signal(ends.pidfd, SIGKILL, NULL, 0);
		close_ends(&ends);
	}
	return r;
}

int process_load(struct process *process, struct err *err)
{
	struct wire_load load = { .log_level = log_get_level(), .start_ns = clock_start_ns() };
	const struct process_request request = { .op = WIRE_LOAD, .body = &load };
	FREE_AUTO char *real = NULL;
	struct bp_note_desc note;
	struct wire_message reply;
	int r = plugin_examine(process->path, &real, &note, err);

	if (r < 0)
		return r;
	if (snprintf(load.path, sizeof(load.path), "%s", real) >= (int)sizeof(load.path))
		return err_sys(err, -ENAMETOOLONG, "cannot open plugin \"%s\"", process->path);
	r = process_ask(process, &request, &reply, err);
	if (r < 0)
		return r;
	r = decl_unpack(process->control.blob, process->control.blob_bytes, real, &note, &process->plugin, err);
	wire_next(&process->control);
	if (r == 0)
		process->phase = PROCESS_LOADED;
	return r;
}

int process_new(struct processes *set, const struct process_spec *spec, struct process **ret, struct err *err)
{
	struct process *process;
	int r = start(set, spec, &process, err);

	if (r < 0) {
		err_prefix(err, "plugin \"%s\": ", spec->plugin_path);
		return r;
	}
	r = process_load(process, err);
	if (r < 0) {
		process_free(process);
		return r;
	}
	*ret = process;
	return 0;
}

const struct plugin *process_plugin(const struct process *process)
{
	return process->plugin;
}

/* ---- ending ---- */

/* Waits for the end of the process, and reads what it has to say until then. Whether it has ended. */
static bool wait_end(struct process *process, uint64_t limit_ns)
{
	uint64_t deadline_ns = clock_now_ns() + limit_ns;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = process->pidfd, .events = POLLIN },
			{ .fd = process->stderr_fd, .events = POLLIN },
		};
		uint64_t now_ns = clock_now_ns();
		int left_ms = now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / NS_PER_MS) + 1 : 0;

		if (poll(fds, 2, left_ms) < 0 && errno != EINTR)
			return false;
		if (fds[1].revents)
			process_read_stderr(process);
		if (fds[0].revents)
			return true;
		if (!left_ms)
			return false;
	}
}

/* A process that was asked to end should have done so with status 0: one that runs under a sanitizer tells in this way
 * that it has found something. */
static void look_at_status(struct process *process)
{
	process_find_out(process);
	if (!process->has_ended || (process->ended.code == CLD_EXITED && process->ended.status == 0))
		return;
	if (process->ended.code == CLD_EXITED)
		log_warn("devices.%s: its process ended with status %d", process->id, process->ended.status);
	else
		log_warn("devices.%s: its process was killed by signal %d as it ended", process->id,
			 process->ended.status);
}

static void end(struct process *process)
{
	struct err ignored = ERR_NONE;

	if (!process_failed(process))
		process_ask_plain(process, WIRE_END, &ignored);
	if (!process_failed(process) && wait_end(process, process->request_ns)) {
		look_at_status(process);
	} else {
		process_tell(process);
		pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
		if (wait_end(process, KILL_LIMIT_NS))
			process_find_out(process);
		else
			log_warn("devices.%s: its process cannot be killed", process->id);
	}
	process_read_stderr(process);
	process_flush_stderr(process);
}

void process_free(struct process *process)
{
	struct process **link;

	if (!process)
		return;
	/* Before the other side of the socket goes. */
	process_free_virtio(process);
	end(process);
	process_release_all(process);
	for (size_t i = 0; i < SOURCE_KINDS; i++)
		process_unwatch(process, (enum process_source_kind)i);
	for (link = &process->set->first; *link != process; link = &(*link)->next)
		;
	*link = process->next;
	fd_close(process->control.fd);
	wire_end(&process->control);
	fd_close(process->pidfd);
	fd_close(process->access_fd);
	fd_close(process->vhost_fd);
	fd_close(process->stderr_fd);
	/* Their schema is the plugin's. */
	values_free(process->values);
	plugin_free(process->plugin);
	pthread_mutex_destroy(&process->access_lock);
	pthread_mutex_destroy(&process->failure.lock);
	free(process->id);
	free(process->path);
	free(process->name);
	free(process);
}
