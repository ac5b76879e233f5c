/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The spawner: the program that makes plugin processes for the core and is their parent (spawn.h). It has one thread,
 * an empty environment, and the descriptors 0 and 1 (/dev/null), 2 (the core's standard error) and SPAWN_FD. The core
 * starts it before it has KVM, guest memory or threads, and trusts it no more than it must: whatever goes wrong here
 * ends the spawner, and with it all processes and the VM.
 *
 * One loop waits for the socket and for the pidfds of all processes, so that no signal handler and no other thread is
 * needed. An answer that the core does not take is waited for without a limit: nothing else is left to do, and the
 * core's death ends that, too.
 */
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/base/msg.h"
#include "core/placement/spawn/child.h"
#include "core/placement/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FOR_EVER UINT64_MAX

struct process {
	uint64_t token;
	int pidfd;
};

struct spawner {
	char path[PATH_MAX]; /* of device-host */
	struct process processes[SPAWN_PROCESSES_MAX];
	size_t count;
};

static int answer(struct spawn_answer *message, int pidfd)
{
	struct msg_fds fds = { .count = 1, .fds = { pidfd } };

	message->version = SPAWN_VERSION;
	return msg_send(SPAWN_FD, message, sizeof(*message), pidfd < 0 ? NULL : &fds, FOR_EVER);
}

/* ---- a process begins ---- */

/* A fork with a pidfd. No handlers and no locks are there that the C library's fork() would see to. */
static pid_t clone_process(int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid > 0)
		*ret_pidfd = pidfd;
	return pid < 0 ? -errno : pid;
}

/* How it went: false if nothing came, as the pipe was closed by exec (or by a death, which is told as its end). */
static bool has_failed(int status_fd, struct child_failure *ret)
{
	ssize_t got;

	do
		got = read(status_fd, ret, sizeof(*ret));
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)sizeof(*ret);
}

static int wait_for(int pidfd, int options, siginfo_t *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	do
		r = waitid(P_PIDFD, (id_t)pidfd, ret, WEXITED | options);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* Makes one. The pid, or -errno and the step that failed. */
static pid_t start_process(const struct spawner *spawner, const struct msg_fds *fds, int *ret_pidfd, uint32_t *ret_step)
{
	struct child child = { .path = spawner->path, .parent = getpid() };
	struct child_failure failure;
	FD_AUTO int status_fd = -1, pidfd = -1;
	siginfo_t info;
	int ends[2];
	pid_t pid;

	*ret_step = SPAWN_STEP_CLONE;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	status_fd = ends[0];
	child.status_fd = ends[1];
	memcpy(child.fds, fds->fds, sizeof(child.fds));
	pid = clone_process(&pidfd);
	if (pid == 0)
		child_run(&child);
	close(ends[1]);
	if (pid < 0)
		return pid;
	if (!has_failed(status_fd, &failure)) {
		*ret_pidfd = fd_take(&pidfd);
		return pid;
	}
	wait_for(pidfd, 0, &info);
	*ret_step = failure.step;
	return failure.error;
}

static bool is_taken(const struct spawner *spawner, uint64_t token)
{
	for (size_t i = 0; i < spawner->count; i++)
		if (spawner->processes[i].token == token)
			return true;
	return false;
}

static int start(struct spawner *spawner, uint64_t token, const struct msg_fds *fds)
{
	struct spawn_answer message = { .op = SPAWN_STARTED, .token = token };
	uint32_t step = SPAWN_STEP_CLONE;
	int pidfd = -1;
	pid_t pid = -EAGAIN;

	if (spawner->count < SPAWN_PROCESSES_MAX)
		pid = start_process(spawner, fds, &pidfd, &step);
	if (pid < 0) {
		message.error = pid;
		message.code = (int32_t)step;
		return answer(&message, -1);
	}
	message.pid = pid;
	spawner->processes[spawner->count++] = (struct process){ .token = token, .pidfd = pidfd };
	return answer(&message, pidfd);
}

/* Takes one request. 1; 0 if the core has closed its end or is no more; -errno for what is not a request. */
static int take_request(struct spawner *spawner)
{
	struct spawn_request request;
	struct msg_fds fds = { 0 };
	ssize_t got = msg_recv(SPAWN_FD, &request, sizeof(request), &fds);
	int r = -EPROTO;

	if (got == -EAGAIN)
		return 1;
	if (got == 0)
		return 0;
	if (got < 0)
		return (int)got;
	if (got == (ssize_t)sizeof(request) && request.version == SPAWN_VERSION && request.op == SPAWN_START &&
	    request.token != 0 && !is_taken(spawner, request.token) && fds.count == SPAWN_FDS)
		r = start(spawner, request.token, &fds);
	msg_fds_close(&fds);
	return r < 0 ? r : 1;
}

/* ---- a process ends ---- */

/* Tells of one if it has ended, and forgets it: the last takes its place. */
static int reap(struct spawner *spawner, size_t i)
{
	struct process *process = &spawner->processes[i];
	struct spawn_answer message = { .op = SPAWN_ENDED, .token = process->token };
	siginfo_t info;
	int r = wait_for(process->pidfd, WNOHANG, &info);

	if (r < 0 || info.si_pid == 0)
		return r;
	close(process->pidfd);
	*process = spawner->processes[--spawner->count];
	message.code = info.si_code;
	message.status = info.si_status;
	return answer(&message, -1);
}

static void end_all(struct spawner *spawner)
{
	siginfo_t info;

	for (size_t i = 0; i < spawner->count; i++)
		pidfd_send_signal(spawner->processes[i].pidfd, SIGKILL, NULL, 0);
	for (size_t i = 0; i < spawner->count; i++)
		wait_for(spawner->processes[i].pidfd, 0, &info);
}

/* ---- the loop ---- */

/* 0 once the core wants no more; -errno. */
static int serve(struct spawner *spawner)
{
	struct pollfd polled[SPAWN_PROCESSES_MAX + 1];
	int r = 1;

	while (r > 0) {
		size_t count = spawner->count;

		for (size_t i = 0; i < count; i++)
			polled[i] = (struct pollfd){ .fd = spawner->processes[i].pidfd, .events = POLLIN };
		polled[count] = (struct pollfd){ .fd = SPAWN_FD, .events = POLLIN };
		if (poll(polled, count + 1, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		/* From the end, so that what takes the place of one that has ended has been looked at. */
		for (size_t i = count; i-- > 0;)
			if (polled[i].revents) {
				int failed = reap(spawner, i);

				/* The core may have gone meanwhile, which is no failure. */
				if (failed == -EPIPE)
					return 0;
				if (failed < 0)
					return failed;
			}
		if (polled[count].revents)
			r = take_request(spawner);
	}
	return r == -EPIPE ? 0 : r;
}

/* The core may have ended before it was asked for the signal of its end. It made the socket, so that says whose child
 * this should be. */
static int follow_core(void)
{
	struct pollfd socket = { .fd = SPAWN_FD, .events = POLLIN };
	struct ucred core;
	socklen_t bytes = sizeof(core);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getsockopt(SPAWN_FD, SOL_SOCKET, SO_PEERCRED, &core, &bytes) < 0 ||
	    poll(&socket, 1, 0) < 0)
		return -errno;
	return getppid() != core.pid || socket.revents & (POLLHUP | POLLERR) ? -ESRCH : 0;
}

static bool has_socket(void)
{
	int type;
	socklen_t bytes = sizeof(type);

	return getsockopt(SPAWN_FD, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_SEQPACKET &&
	       fcntl(SPAWN_FD, F_SETFD, FD_CLOEXEC) == 0;
}

/* Of this process and so of all that it makes. Without the C library, which keeps two signals for itself and has them
 * ignored in what posix_spawn() starts, as we were. Those that ask for the end are the core's: a service manager may
 * send them to all processes of the service, and the guest is still to power off in an orderly way then. */
static int set_signals(void)
{
	const uint64_t by_default[8] = { 0 }; /* the kernel's struct sigaction: SIG_DFL, no flags */
	const uint64_t ignored[8] = { (uintptr_t)SIG_IGN };
	const uint64_t none = 0;

	for (int number = 1; number < _NSIG; number++) {
		bool ends = number == SIGTERM || number == SIGINT || number == SIGHUP;

		if (number != SIGKILL && number != SIGSTOP &&
		    syscall(SYS_rt_sigaction, number, ends ? ignored : by_default, NULL, sizeof(none)) < 0)
			return -errno;
	}
	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none)) < 0 ? -errno : 0;
}

int main(void)
{
	static struct spawner spawner;
	struct spawn_answer ready = { .op = SPAWN_READY };
	int r;

	if (!has_socket()) {
		log_error("spawner: it is started by backplane, for its plugins, and of no use otherwise");
		return 2;
	}
	r = follow_core();
	if (r == 0)
		r = set_signals();
	if (r < 0)
		return 1;
	spawner_find_program("../child/device-host", "device-host", spawner.path);
	ready.pid = getpid();
	r = answer(&ready, -1);
	if (r == 0)
		r = serve(&spawner);
	end_all(&spawner);
	if (r < 0 && r != -EPIPE)
		log_error("spawner: it has ended all plugin processes: %s", strerror(-r));
	return r < 0 && r != -EPIPE ? 1 : 0;
}
