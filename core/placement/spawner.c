/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core's end of the spawner; see spawner.h. The spawner is not trusted: what it says has to fit a process that was
 * asked for, and the first thing that does not is the last that is listened to.
 */
#include "core/placement/spawner.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/msg.h"
#include "core/placement/program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define WAIT_NS   (10 * NS_PER_S)
#define ERRNO_MAX 4095

struct spawner {
	pid_t pid;
	int pidfd;
	int socket;
	/* Readable if `socket` is, or `waiting_fd`: signalled while there are ends to tell, and for good once it has broken off. */
	int epoll_fd, waiting_fd;
	bool broken;
	/* Processes that run, and ends that came while something else was waited for; together at most SPAWN_PROCESSES_MAX. */
	size_t running, ended;
	uint64_t tokens[SPAWN_PROCESSES_MAX];
	struct spawn_ended ends[SPAWN_PROCESSES_MAX];
};

static const char *const step_names[] = {
	[SPAWN_STEP_CLONE] = "clone",     [SPAWN_STEP_FDS] = "descriptors", [SPAWN_STEP_PARENT] = "parent",
	[SPAWN_STEP_SESSION] = "session", [SPAWN_STEP_LIMITS] = "limits",   [SPAWN_STEP_EXEC] = "exec of device-host",
};
static_assert(sizeof(step_names) / sizeof(step_names[0]) == SPAWN_STEPS, "each step has a name");

/* Nothing that it says counts any more. */
static int break_off(struct spawner *spawner)
{
	spawner->broken = true;
	fd_event_signal(spawner->waiting_fd);
	return -ECONNRESET;
}

/* ---- what it says ---- */

static int read_answer(struct spawner *spawner, struct spawn_answer *ret, struct msg_fds *ret_fds)
{
	ssize_t got = msg_recv(spawner->socket, ret, sizeof(*ret), ret_fds);

	if (got == -EAGAIN)
		return 0;
	if (got == (ssize_t)sizeof(*ret) && ret->version == SPAWN_VERSION)
		return 1;
	if (got > 0)
		msg_fds_close(ret_fds);
	break_off(spawner);
	/* The descriptor that came is lost, and with it the process; but that is not the spawner's fault. */
	return got == -EMFILE ? -EMFILE : -ECONNRESET;
}

/* Only one that runs can end, so there is always room for it. */
static int take_end(struct spawner *spawner, const struct spawn_answer *answer, const struct msg_fds *fds)
{
	size_t i = 0;

	while (i < spawner->running && spawner->tokens[i] != answer->token)
		i++;
	if (answer->op != SPAWN_ENDED || i == spawner->running || fds->count != 0 ||
	    (answer->code != CLD_EXITED && answer->code != CLD_KILLED && answer->code != CLD_DUMPED))
		return break_off(spawner);
	spawner->tokens[i] = spawner->tokens[--spawner->running];
	spawner->ends[spawner->ended++] =
	    (struct spawn_ended){ .token = answer->token, .code = answer->code, .status = answer->status };
	return 0;
}

static bool is_pidfd(int fd)
{
	return pidfd_send_signal(fd, 0, NULL, 0) == 0 || errno != EBADF;
}

/* Waits for the answer that is not an end; those are put aside. */
static int wait_answer(struct spawner *spawner, uint64_t deadline_ns, struct spawn_answer *ret, struct msg_fds *ret_fds)
{
	for (;;) {
		int r = read_answer(spawner, ret, ret_fds);

		if (r > 0 && ret->op != SPAWN_ENDED)
			return 0;
		if (r > 0)
			r = take_end(spawner, ret, ret_fds);
		else if (r == 0 && msg_wait(spawner->socket, spawner->pidfd, deadline_ns) < 0)
			r = break_off(spawner);
		msg_fds_close(ret_fds);
		if (spawner->ended)
			fd_event_signal(spawner->waiting_fd);
		if (r < 0)
			return r;
	}
}

/* ---- a process ---- */

static int take_started(struct spawner *spawner, uint64_t token, const struct spawn_answer *answer, struct msg_fds *fds,
			int *ret_pid, int *ret_pidfd, struct err *err)
{
	bool valid = answer->op == SPAWN_STARTED && answer->token == token;

	if (valid && answer->error < 0 && answer->error >= -ERRNO_MAX && answer->pid == 0 && fds->count == 0 &&
	    answer->code >= 0 && answer->code < SPAWN_STEPS)
		return err_sys(err, answer->error, "cannot start a plugin's process: %s", step_names[answer->code]);
	if (!valid || answer->error != 0 || answer->pid <= 0 || fds->count != 1 || !is_pidfd(fds->fds[0])) {
		break_off(spawner);
		return err_set(err, -ECONNRESET, "the spawner said something unexpected");
	}
	spawner->tokens[spawner->running++] = token;
	*ret_pid = answer->pid;
	*ret_pidfd = fds->fds[0];
	fds->count = 0;
	return 0;
}

int spawner_start(struct spawner *spawner, uint64_t token, const int fds[static SPAWN_FDS], int *ret_pid,
		  int *ret_pidfd, struct err *err)
{
	const struct spawn_request request = { .version = SPAWN_VERSION, .op = SPAWN_START, .token = token };
	uint64_t deadline_ns = clock_now_ns() + WAIT_NS;
	struct msg_fds sent = { .count = SPAWN_FDS }, got = { 0 };
	struct spawn_answer answer;
	int r;

	assert(token != 0);
	if (spawner->broken)
		return err_set(err, -ECONNRESET, "cannot start a plugin's process: the spawner has gone");
	if (spawner->running + spawner->ended >= SPAWN_PROCESSES_MAX)
		return err_set(err, -EAGAIN, "cannot start a plugin's process: there are %d already",
			       SPAWN_PROCESSES_MAX);
	memcpy(sent.fds, fds, SPAWN_FDS * sizeof(fds[0]));
	r = msg_send(spawner->socket, &request, sizeof(request), &sent, deadline_ns);
	if (r == -EPIPE || r == -ETIMEDOUT)
		r = break_off(spawner);
	if (r < 0)
		return err_sys(err, r, "cannot ask the spawner");
	r = wait_answer(spawner, deadline_ns, &answer, &got);
	if (r == -EMFILE)
		return err_sys(err, r, "cannot start a plugin's process");
	if (r < 0)
		return err_set(err, r, "the spawner has gone or does not answer");
	r = take_started(spawner, token, &answer, &got, ret_pid, ret_pidfd, err);
	msg_fds_close(&got);
	return r;
}

int spawner_fd(const struct spawner *spawner)
{
	return spawner->epoll_fd;
}

int spawner_next(struct spawner *spawner, struct spawn_ended *ret)
{
	struct spawn_answer answer;
	struct msg_fds fds = { 0 };

	if (!spawner->broken && !spawner->ended && read_answer(spawner, &answer, &fds) > 0) {
		take_end(spawner, &answer, &fds);
		msg_fds_close(&fds);
	}
	if (spawner->broken)
		return -ECONNRESET;
	if (!spawner->ended)
		return 0;
	*ret = spawner->ends[0];
	spawner->ended--;
	memmove(spawner->ends, spawner->ends + 1, spawner->ended * sizeof(spawner->ends[0]));
	if (!spawner->ended)
		fd_event_clear(spawner->waiting_fd);
	return 1;
}

/* ---- its beginning and end ---- */

/* Its standard error is ours; all of its descriptors are put out of the way of the numbers that it wants them at. */
static int launch(struct spawner *spawner, struct err *err)
{
	struct program program = { .name = "backplane-spawner", .count = SPAWN_FD + 1, .session = true };
	FD_AUTO int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
	FD_AUTO int null = fcntl(opened, F_DUPFD_CLOEXEC, SPAWN_FD + 1);
	FD_AUTO int theirs = -1;
	char path[PATH_MAX];
	int pair[2];
	int r;

	if (opened < 0)
		return err_sys(err, -errno, "cannot open /dev/null for the spawner");
	r = msg_pair(SOCK_SEQPACKET, pair);
	if (r < 0)
		return err_sys(err, r, "cannot start the spawner");
	spawner->socket = pair[0];
	theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, SPAWN_FD + 1);
	close(pair[1]);
	if (null < 0 || theirs < 0)
		return err_sys(err, -EMFILE, "cannot start the spawner");
	spawner_find_program("core/placement/spawn/spawner", "spawner", path);
	program.path = path;
	program.fds[0] = null;
	program.fds[1] = null;
	program.fds[2] = fcntl(STDERR_FILENO, F_GETFD) < 0 ? null : STDERR_FILENO;
	program.fds[SPAWN_FD] = theirs;
	r = program_start(&program, &spawner->pid);
	if (r < 0)
		return err_sys(err, r, "cannot start \"%s\"", path);
	spawner->pidfd = pidfd_open(spawner->pid, 0);
	if (spawner->pidfd < 0)
		return err_sys(err, -errno, "cannot watch the spawner");
	return 0;
}

static int shake_hands(struct spawner *spawner, struct err *err)
{
	struct spawn_answer answer;
	struct msg_fds fds = { 0 };
	int r = wait_answer(spawner, clock_now_ns() + WAIT_NS, &answer, &fds);
	bool ready = r == 0 && answer.op == SPAWN_READY && answer.token == 0 && fds.count == 0;

	msg_fds_close(&fds);
	if (r < 0)
		return err_set(err, r, "the spawner has ended, or does not answer");
	return ready ? 0 : err_set(err, -EPROTO, "the spawner said something unexpected");
}

static int watch(struct spawner *spawner)
{
	struct epoll_event event = { .events = EPOLLIN };

	spawner->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (spawner->epoll_fd < 0)
		return -errno;
	spawner->waiting_fd = fd_event();
	if (spawner->waiting_fd < 0)
		return spawner->waiting_fd;
	if (epoll_ctl(spawner->epoll_fd, EPOLL_CTL_ADD, spawner->waiting_fd, &event) < 0 ||
	    epoll_ctl(spawner->epoll_fd, EPOLL_CTL_ADD, spawner->socket, &event) < 0)
		return -errno;
	return 0;
}

int spawner_new(struct spawner **ret, struct err *err)
{
	struct spawner *spawner = calloc(1, sizeof(*spawner));
	int r;

	if (!spawner)
		return err_sys(err, -ENOMEM, "cannot start the spawner");
	spawner->pidfd = spawner->socket = spawner->epoll_fd = spawner->waiting_fd = -1;
	r = launch(spawner, err);
	if (r < 0)
		goto fail;
	r = watch(spawner);
	if (r < 0) {
		err_sys(err, r, "cannot watch the spawner");
		goto fail;
	}
	r = shake_hands(spawner, err);
	if (r < 0)
		goto fail;
	*ret = spawner;
	return 0;
fail:
	spawner_free(spawner);
	return r;
}

/* Once the socket is closed it ends all processes and then itself. If it does not, its own end is what ends them. */
static void wait_end(const struct spawner *spawner)
{
	uint64_t deadline_ns = clock_now_ns() + WAIT_NS;
	siginfo_t info;
	int r;

	if (spawner->pidfd < 0 || msg_wait(spawner->pidfd, -1, deadline_ns) < 0)
		kill(spawner->pid, SIGKILL);
	do
		r = waitid(P_PID, (id_t)spawner->pid, &info, WEXITED);
	while (r < 0 && errno == EINTR);
}

void spawner_free(struct spawner *spawner)
{
	if (!spawner)
		return;
	fd_close(spawner->epoll_fd);
	fd_close(spawner->socket);
	if (spawner->pid > 0)
		wait_end(spawner);
	fd_close(spawner->pidfd);
	fd_close(spawner->waiting_fd);
	free(spawner);
}
