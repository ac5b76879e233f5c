/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the spawner: a folder laid out as a build tree is, with copies of the spawner and, in the place of device-host, of
 * spawned.c; and processes made there. Whatever looks for a program of ours finds it in that folder.
 */
#ifndef UNIT_SPAWN_FIXTURE_H
#define UNIT_SPAWN_FIXTURE_H

#include "core/base/msg.h"
#include "core/placement/spawner.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SPAWNER_PATH "core/placement/spawn/spawner"
#define HOST_PATH    "core/placement/child/device-host"

static char tree_root[256];

/* In place of the product's own. */
void spawner_find_program(const char *build_path, const char *name, char path[static 4096])
{
	(void)name;
	snprintf(path, PATH_MAX, "%s/%s", tree_root, build_path);
}

static inline void tree_copy(const char *build_path, const char *to)
{
	const char *build = getenv("BP_BUILD");
	char from[PATH_MAX], path[PATH_MAX], bytes[65536];
	int in, out;
	ssize_t got;

	snprintf(from, sizeof(from), "%s/%s", build ? build : ".", build_path);
	spawner_find_program(to, "", path);
	in = open(from, O_RDONLY | O_CLOEXEC);
	out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	MUST(in >= 0 && out >= 0);
	while ((got = read(in, bytes, sizeof(bytes))) > 0)
		MUST(write(out, bytes, (size_t)got) == got);
	MUST(got == 0);
	close(in);
	close(out);
}

static const char *const tree_folders[] = { "core", "core/placement", "core/placement/spawn", "core/placement/child" };

static inline int tree_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	(void)state;
	snprintf(tree_root, sizeof(tree_root), "%s/spawn-XXXXXX", tmp ? tmp : "/tmp");
	MUST(mkdtemp(tree_root));
	for (size_t i = 0; i < COUNT_OF(tree_folders); i++) {
		spawner_find_program(tree_folders[i], "", path);
		MUST(mkdir(path, 0700) == 0);
	}
	tree_copy(SPAWNER_PATH, SPAWNER_PATH);
	tree_copy("tests/unit/spawned", HOST_PATH);
	return 0;
}

static inline int tree_teardown(void **state)
{
	char path[PATH_MAX];

	(void)state;
	spawner_find_program(SPAWNER_PATH, "", path);
	unlink(path);
	spawner_find_program(HOST_PATH, "", path);
	unlink(path);
	for (size_t i = COUNT_OF(tree_folders); i-- > 0;) {
		spawner_find_program(tree_folders[i], "", path);
		rmdir(path);
	}
	return rmdir(tree_root);
}

/* ---- waiting ---- */

static inline bool wait_readable(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };
	int r;

	do
		r = poll(&polled, 1, PATIENCE_S * 1000);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

/* A message, with a NUL behind it; an empty one if the other side has gone. */
static inline void wait_message(int fd, char *buf, size_t cap)
{
	ssize_t got;

	MUST(wait_readable(fd));
	got = recv(fd, buf, cap - 1, MSG_DONTWAIT);
	buf[got > 0 ? got : 0] = 0;
}

/* How it has ended, as waitid() says: its code, *ret_status. */
static inline int wait_child(pid_t pid, int *ret_status)
{
	int pidfd = pidfd_open(pid, 0);
	siginfo_t info = { 0 };

	MUST(pidfd >= 0 && wait_readable(pidfd));
	close(pidfd);
	MUST(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
	*ret_status = info.si_status;
	return info.si_code;
}

/* ---- processes ---- */

/* The other ends of what a process has, and what it has told of itself. */
struct hosted {
	uint64_t token;
	int pid, pidfd;
	int fds[SPAWN_FDS]; /* stderr, control, access, vhost */
	char report[16384];
};

static inline void hosted_pairs(int ours[static SPAWN_FDS], int theirs[static SPAWN_FDS])
{
	static const int types[SPAWN_FDS] = { SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_STREAM };

	for (int i = 0; i < SPAWN_FDS; i++) {
		int pair[2];

		MUST(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, pair) == 0);
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
}

static inline void close_fds(int fds[static SPAWN_FDS])
{
	for (int i = 0; i < SPAWN_FDS; i++)
		close(fds[i]);
}

/* Started, and on its way far enough to have told. */
static inline void hosted_start(struct spawner *spawner, uint64_t token, struct hosted *hosted)
{
	int theirs[SPAWN_FDS];
	struct err err = ERR_NONE;

	hosted->token = token;
	hosted_pairs(hosted->fds, theirs);
	if (spawner_start(spawner, token, theirs, &hosted->pid, &hosted->pidfd, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	close_fds(theirs);
	MUST(!err.text[0]);
	wait_message(hosted->fds[1], hosted->report, sizeof(hosted->report));
	MUST(hosted->report[0]);
}

static inline void hosted_order(const struct hosted *hosted, const char *order)
{
	MUST(send(hosted->fds[1], order, strlen(order), MSG_NOSIGNAL) > 0);
}

static inline void hosted_close(struct hosted *hosted)
{
	close(hosted->pidfd);
	close_fds(hosted->fds);
}

/* The number behind a key of its report. */
static inline int hosted_number(const struct hosted *hosted, const char *key)
{
	char start[64];
	const char *at;

	snprintf(start, sizeof(start), "\n%s ", key);
	at = strstr(hosted->report, start);
	MUST(at);
	return atoi(at + strlen(start));
}

/* Whether it has ended, for all to see: /proc knows a process until it has been waited for. */
static inline bool hosted_gone(const struct hosted *hosted)
{
	return wait_readable(hosted->pidfd);
}

/* Stopped, by its own hand. Not our child, so its state is looked at; that comes within moments. */
static inline void hosted_stop(const struct hosted *hosted)
{
	char path[64], line[512];
	uint64_t tries = 0;

	hosted_order(hosted, "stop");
	snprintf(path, sizeof(path), "/proc/%d/stat", hosted->pid);
	do {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t got = read(fd, line, sizeof(line) - 1);

		MUST(got > 0 && tries++ < PATIENCE_S * 1000);
		line[got] = 0;
		close(fd);
		usleep(1000);
	} while (!strstr(line, ") T "));
}

/* The next end. */
static inline struct spawn_ended wait_end(struct spawner *spawner)
{
	struct spawn_ended ended = { 0 };
	int r;

	do {
		MUST(wait_readable(spawner_fd(spawner)));
		r = spawner_next(spawner, &ended);
	} while (r == 0);
	MUST(r == 1);
	return ended;
}

static inline struct spawner *spawner_make(void)
{
	struct spawner *spawner = NULL;
	struct err err = ERR_NONE;

	if (spawner_new(&spawner, &err) < 0)
		fprintf(stderr, "%s\n", err.text);
	MUST(spawner);
	return spawner;
}

#endif
