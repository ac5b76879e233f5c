/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting passt; see passt.h. The process that we start does all that can fail (its options, the host's interfaces, the ports to
 * be forwarded), then leaves its child to serve, and ends with status 0: that is the word that it is ready. Until then its
 * messages are read from its standard error.
 */
#include "core/placement/passt.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/msg.h"
#include "core/config/network.h"
#include "core/placement/orphans.h"
#include "core/placement/program.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define LIMIT_NS      (10 * NS_PER_S)
/* For it to see that its connection is closed, and go. */
#define END_NS        (5 * NS_PER_S)
#define LINE_MAX_CHAR 256
#define SOCKET_NUMBER 3 /* of its end, in its own process */
#define DEFAULT_PATH  "/usr/local/bin:/usr/bin:/bin"

static_assert(PATH_MAX == 4096, "passt.h says so");

struct passt {
	struct passt *next;
	pid_t pid; /* a child of ours, which nobody else waits for */
	int pidfd;
	char *path; /* of the value */
};

/* One that is being started. */
struct start {
	const char *path; /* of the value, for the log */
	pid_t pid;
	int pidfd;
	int stderr_fd; /* non-blocking */
	size_t used;
	char line[LINE_MAX_CHAR]; /* that has not ended */
	char last[LINE_MAX_CHAR];
};

int passt_find(char ret_path[static 4096])
{
	const char *at = getenv("PATH");

	/* A folder that is not absolute is none of the administrator's. */
	for (at = at ? at : DEFAULT_PATH; *at; at += strspn(at, ":")) {
		size_t length = strcspn(at, ":");
		int bytes = snprintf(ret_path, PATH_MAX, "%.*s/passt", (int)length, at);

		if (at[0] == '/' && bytes < PATH_MAX && access(ret_path, X_OK) == 0)
			return 0;
		at += length;
	}
	return -ENOENT;
}

/* ---- its arguments ---- */

static char socket_option[] = "--fd", socket_number[] = "3";
static_assert(SOCKET_NUMBER == 3, "as it is written");

/* Its words, which `text` (options, changed) holds, behind our own; ends with NULL. NULL without memory. */
static char **split(char *text)
{
	const size_t most = 4 + (text ? strlen(text) / 2 + 1 : 0);
	static char name[] = "passt";
	char **arguments = calloc(most, sizeof(*arguments));
	size_t count = 0, length;
	const char *at = text, *word;

	if (!arguments)
		return NULL;
	arguments[count++] = name;
	arguments[count++] = socket_option;
	arguments[count++] = socket_number;
	while (text && network_word(&at, &word, &length)) {
		bool ends = !*at;

		arguments[count++] = text + (word - text);
		text[at - text] = '\0';
		if (ends)
			break;
		at++;
	}
	return arguments;
}

/* ---- what it says ---- */

static void end_line(struct start *start)
{
	/* Where there is no system log it tells of that with each message. */
	const bool is_noise = !strncmp(start->line, "Failed to send ", strlen("Failed to send "));

	start->line[start->used] = '\0';
	if (start->used && !is_noise) {
		log_info("%s: passt: %s", start->path, start->line);
		memcpy(start->last, start->line, start->used + 1);
	}
	start->used = 0;
}

/* What has come. False at its end. */
static bool listen_to(struct start *start)
{
	char bytes[1024];
	ssize_t got = read(start->stderr_fd, bytes, sizeof(bytes));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t i = 0; i < got; i++)
		if (bytes[i] == '\n')
			end_line(start);
		else if (start->used < sizeof(start->line) - 1)
			start->line[start->used++] = bytes[i];
	return got > 0;
}

/* Until it has ended; its child may still have our pipe. The status of waitid(), or -errno; -ETIMEDOUT if it was killed for it. */
static int wait_end(struct start *start, siginfo_t *ret)
{
	/* Without a way to learn of its end it gets no time at all. */
	const uint64_t deadline_ns = start->pidfd < 0 ? 0 : clock_now_ns() + LIMIT_NS;
	bool talks = true, late = false;
	int r;

	for (;;) {
		uint64_t now_ns = clock_now_ns();
		struct pollfd fds[] = { { .fd = start->pidfd, .events = POLLIN },
					{ .fd = talks ? start->stderr_fd : -1, .events = POLLIN } };

		late = now_ns >= deadline_ns;
		if (late || (poll(fds, 2, (int)((deadline_ns - now_ns) / NS_PER_MS) + 1) < 0 && errno != EINTR))
			break;
		if (fds[1].revents)
			talks = listen_to(start);
		else if (fds[0].revents)
			break;
	}
	end_line(start);
	if (late)
		kill(start->pid, SIGKILL);
	do
		r = waitid(P_PID, (id_t)start->pid, ret, WEXITED);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return late ? -ETIMEDOUT : 0;
}

static int judge(const struct start *start, int waited, const siginfo_t *info, int fd, struct err *err)
{
	struct pollfd ours = { .fd = fd };
	const char *said = start->last[0] ? start->last : "it does not say why";

	if (waited == -ETIMEDOUT)
		return err_set(err, waited, "passt was not ready within %d s", (int)(LIMIT_NS / NS_PER_S));
	if (waited < 0)
		return err_sys(err, waited, "cannot wait for passt");
	if (info->si_code != CLD_EXITED)
		return err_set(err, -EIO, "passt was ended by signal %d (%s)", info->si_status,
			       strsignal(info->si_status));
	/* Its child has the other end, or nobody. */
	if (info->si_status != 0 || poll(&ours, 1, 0) != 0)
		return err_set(err, -EIO, "passt cannot be used: %s", said);
	return 0;
}

/* ---- the process ---- */

/* The process, with our ends of socket and pipe. What is its own alone is closed on return. */
static int launch(struct start *start, char *const *arguments, int *ret_fd, struct err *err)
{
	struct program program = { .name = "passt", .count = SOCKET_NUMBER + 1, .session = true };
	FD_AUTO int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
	FD_AUTO int null = fcntl(opened, F_DUPFD_CLOEXEC, SOCKET_NUMBER + 1);
	FD_AUTO int ours = -1, theirs = -1, pipe_end = -1;
	char path[PATH_MAX];
	int pair[2];
	int r;

	if (passt_find(path) < 0)
		return err_set(err, -ENOENT, "there is no passt on PATH: it is in Debian's package passt");
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, -errno, "cannot start passt");
	start->stderr_fd = pair[0];
	pipe_end = fcntl(pair[1], F_DUPFD_CLOEXEC, SOCKET_NUMBER + 1);
	close(pair[1]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, -errno, "cannot start passt");
	ours = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, SOCKET_NUMBER + 1);
	close(pair[1]);
	if (null < 0 || pipe_end < 0 || theirs < 0 || fcntl(ours, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    fcntl(pipe_end, F_SETFL, O_WRONLY) < 0)
		return err_sys(err, -errno, "cannot start passt");
	program.path = path;
	program.arguments = arguments;
	program.fds[0] = null;
	program.fds[1] = null;
	program.fds[2] = pipe_end;
	program.fds[SOCKET_NUMBER] = theirs;
	r = program_start(&program, &start->pid);
	if (r < 0)
		return err_sys(err, r, "cannot start \"%s\"", path);
	*ret_fd = fd_take(&ours);
	return 0;
}

/* ---- those that serve ---- */

/* Adds a child of ours, which serves, or is about to end since its start has failed. */
static int add(struct passts *passts, pid_t pid, const char *path)
{
	struct epoll_event event = { .events = EPOLLIN };
	FREE_AUTO struct passt *passt = calloc(1, sizeof(*passt));
	int r = -ENOMEM;

	if (!passt)
		return r;
	passt->pid = pid;
	passt->path = strdup(path);
	passt->pidfd = pidfd_open(pid, 0);
	if (passt->path && passt->pidfd >= 0 && epoll_ctl(passts->epoll_fd, EPOLL_CTL_ADD, passt->pidfd, &event) == 0) {
		passt->next = passts->first;
		passts->first = take(&passt);
		return 0;
	}
	r = passt->path ? -errno : r;
	fd_close(passt->pidfd);
	free(passt->path);
	return r;
}

static int add_all(struct passts *passts, const struct orphans *orphans, const char *path)
{
	pid_t pids[ORPHANS_MAX];
	size_t count = orphans_end(orphans, "passt", pids, ORPHANS_MAX);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = add(passts, pids[i], path);
	return r;
}

static void tell(const struct passt *passt, const siginfo_t *info)
{
	if (info->si_code != CLD_EXITED)
		log_warn("%s: passt was ended by signal %d (%s)", passt->path, info->si_status,
			 strsignal(info->si_status));
	else if (info->si_status != 0)
		log_warn("%s: passt has ended with status %d", passt->path, info->si_status);
	else
		log_info("%s: passt has ended", passt->path);
}

/* Forgets `*at` if it has ended. */
static bool reap(struct passt **at, int options)
{
	struct passt *passt = *at;
	siginfo_t info = { 0 };
	int r;

	do
		r = waitid(P_PIDFD, (id_t)passt->pidfd, &info, WEXITED | options);
	while (r < 0 && errno == EINTR);
	if (r == 0 && info.si_pid == 0)
		return false;
	if (r == 0)
		tell(passt, &info);
	*at = passt->next;
	close(passt->pidfd);
	free(passt->path);
	free(passt);
	return true;
}

int passts_fd(const struct passts *passts)
{
	return passts->open ? passts->epoll_fd : -1;
}

void passts_mind(struct passts *passts)
{
	struct passt **at = &passts->first;

	while (*at)
		if (!reap(at, WNOHANG))
			at = &(*at)->next;
}

void passts_end(struct passts *passts)
{
	const uint64_t deadline_ns = clock_now_ns() + END_NS;

	while (passts->first) {
		if (msg_wait(passts->first->pidfd, -1, deadline_ns) < 0)
			kill(passts->first->pid, SIGKILL);
		reap(&passts->first, 0);
	}
	if (passts->open)
		close(passts->epoll_fd);
	passts->open = false;
}

/* ---- starting one ---- */

static int start_one(struct start *start, const char *options, int *ret_fd, struct err *err)
{
	FREE_AUTO char *text = options ? strdup(options) : NULL;
	FREE_AUTO char **arguments = split(text);
	FD_AUTO int fd = -1;
	siginfo_t info = { 0 };
	int r;

	if ((options && !text) || !arguments)
		return err_sys(err, -ENOMEM, "cannot start passt");
	r = launch(start, arguments, &fd, err);
	if (r < 0)
		return r;
	start->pidfd = pidfd_open(start->pid, 0);
	r = judge(start, wait_end(start, &info), &info, fd, err);
	if (r == 0)
		*ret_fd = fd_take(&fd);
	return r;
}

int passt_start(struct passts *passts, const char *options, const char *path, int *ret_fd, struct err *err)
{
	struct start start = { .path = path, .pidfd = -1, .stderr_fd = -1 };
	struct orphans orphans;
	FD_AUTO int fd = -1;
	int r, added;

	if (!passts->open) {
		passts->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
		if (passts->epoll_fd < 0)
			return err_sys(err, -errno, "cannot start passt");
		passts->open = true;
	}
	orphans_begin(&orphans);
	r = start_one(&start, options, &fd, err);
	added = add_all(passts, &orphans, path);
	fd_close(start.pidfd);
	fd_close(start.stderr_fd);
	if (r == 0 && added < 0)
		r = err_sys(err, added, "cannot watch passt");
	if (r == 0)
		*ret_fd = fd_take(&fd);
	return r;
}
