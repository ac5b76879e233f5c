/* SPDX-License-Identifier: BSD-3-Clause */
/* See family.h. */
#include "tests/payload/family.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_S      INT64_C(1000000000)
#define CHILDREN_SEEN 256

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void family_begin(void)
{
	sigset_t set;

	/* Waited for; the command gets its own back. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		perror("family");
		exit(124);
	}
}

pid_t family_start(char *const command[], int error_fd)
{
	pid_t parent = getpid(), pid = fork();
	sigset_t none;

	if (pid < 0) {
		perror("fork");
		exit(124);
	}
	if (pid > 0)
		return pid;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    (error_fd >= 0 && dup2(error_fd, STDERR_FILENO) < 0))
		_exit(124);
	execvp(command[0], command);
	_exit(124);
}

/* Until a child has changed or `end_ns`; false: too late. */
static bool wait_child(int64_t end_ns)
{
	int64_t left_ns = end_ns - now_ns();
	struct timespec left = { .tv_sec = left_ns / NS_PER_S, .tv_nsec = left_ns % NS_PER_S };
	sigset_t set;

	if (left_ns <= 0)
		return false;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, &left) >= 0 || errno == EINTR;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int family_wait(pid_t pid, int limit_ms)
{
	int64_t end_ns = now_ns() + limit_ms * NS_PER_MS;
	int status;

	for (;;) {
		pid_t ended = waitpid(-1, &status, WNOHANG);

		if (ended == pid)
			return status_of(status);
		if (ended > 0)
			continue;
		if (ended < 0 || !wait_child(end_ns))
			return -1;
	}
}

static pid_t parent_of(pid_t pid, char *ret_state)
{
	char path[64], text[512];
	const char *at;
	FILE *file;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	at = strrchr(text, ')'); /* a name may have anything in it */
	if (!at || sscanf(at + 1, " %c %d", ret_state, &parent) != 2)
		return 0;
	return parent;
}

/* Zombies too if they are wanted. */
static size_t find_children(pid_t pid, pid_t *children, size_t max, bool zombies)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	size_t count = 0;

	while (dir && count < max && (entry = readdir(dir))) {
		char state = 'X';
		pid_t child = (pid_t)atoi(entry->d_name);

		if (!isdigit((unsigned char)entry->d_name[0]) || parent_of(child, &state) != pid)
			continue;
		if (zombies || (state != 'Z' && state != 'X'))
			children[count++] = child;
	}
	if (dir)
		closedir(dir);
	return count;
}

size_t family_children(pid_t pid, pid_t *children, size_t max)
{
	return find_children(pid, children, max, false);
}

static void tell(pid_t pid)
{
	char path[64], name[64] = "?", state = '?';
	FILE *file;

	parent_of(pid, &state);
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	fprintf(stderr, "left: process %d, \"%s\", state %c\n", (int)pid, name, state);
}

size_t family_left(int limit_ms)
{
	int64_t end_ns = now_ns() + limit_ms * NS_PER_MS;
	pid_t children[CHILDREN_SEEN];
	size_t count, left = 0;

	if (limit_ms)
		do
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
		while (find_children(getpid(), children, 1, true) && wait_child(end_ns));
	/* Whoever loses a parent that is killed here is a child of ours next. */
	while ((count = find_children(getpid(), children, CHILDREN_SEEN, true))) {
		for (size_t i = 0; i < count; i++) {
			tell(children[i]);
			kill(children[i], SIGKILL);
		}
		for (size_t i = 0; i < count; i++)
			waitpid(children[i], NULL, 0);
		left += count;
	}
	return left;
}
