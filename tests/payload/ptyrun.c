/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command on a pseudo-terminal and says whether the terminal is afterwards as it was before:
 *
 *   ptyrun ACTION COMMAND [ARGUMENT]...
 *
 * Standard input and output of the command are the terminal, standard error is ours. What it prints comes out here. When it
 * has printed "ready" the action follows:
 *   wait      nothing
 *   escape    Ctrl-] is typed
 *   NUMBER    the command gets this signal
 *   resume    it is stopped, the terminal is changed as a shell would, it goes on: the terminal must be raw again; SIGTERM
 *
 * Exit status: the command's, 128 + N if signal N ended it, or one of the following, with a line on standard error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	NOT_RESTORED = 120, /* the terminal is not as it was */
	NOT_RAW = 121,      /* it was not raw when the command was ready, so that its restoration says nothing */
	NOT_READY = 122,    /* the command did not get ready in time */
	NO_END = 123,       /* it did not end in time */
	BROKEN = 124,       /* the test itself does not work here */
};

#define LIMIT_MS   30000
#define ESCAPE_KEY 0x1d
#define READY      "ready"

static struct {
	int master;
	int slave;
	pid_t pid;
	char output[65536]; /* the beginning of it */
	size_t output_bytes;
} run = { .master = -1, .slave = -1 };

static void finish(int status, const char *text)
{
	if (text)
		fprintf(stderr, "ptyrun: %s\n", text);
	if (run.pid > 0) {
		kill(run.pid, SIGKILL);
		waitpid(run.pid, NULL, 0);
	}
	exit(status);
}

static struct termios settings(void)
{
	struct termios now;

	memset(&now, 0, sizeof(now));
	if (tcgetattr(run.slave, &now) < 0)
		finish(BROKEN, "tcgetattr failed");
	return now;
}

static bool is_raw(void)
{
	return !(settings().c_lflag & (ICANON | ECHO | ISIG));
}

static void open_terminal(void)
{
	const char *name;

	run.master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run.master < 0 || grantpt(run.master) < 0 || unlockpt(run.master) < 0)
		finish(BROKEN, "no pseudo-terminal");
	name = ptsname(run.master);
	run.slave = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (run.slave < 0)
		finish(BROKEN, "cannot open the pseudo-terminal");
}

static void start(char **command)
{
	run.pid = fork();
	if (run.pid < 0)
		finish(BROKEN, "fork failed");
	if (run.pid > 0)
		return;
	/* Not its controlling terminal, so its death does not hang it up. */
	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	dup2(run.slave, STDIN_FILENO);
	dup2(run.slave, STDOUT_FILENO);
	execv(command[0], command);
	fprintf(stderr, "ptyrun: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

/* Takes what has been printed, for at most `wait_ms`. */
static void take_output(int wait_ms)
{
	struct pollfd printed = { .fd = run.master, .events = POLLIN };
	char data[4096];
	ssize_t bytes;

	if (poll(&printed, 1, wait_ms) <= 0 || !(printed.revents & POLLIN))
		return;
	bytes = read(run.master, data, sizeof(data));
	if (bytes <= 0)
		return;
	fwrite(data, 1, (size_t)bytes, stdout);
	for (ssize_t i = 0; i < bytes && run.output_bytes < sizeof(run.output) - 1; i++)
		run.output[run.output_bytes++] = data[i];
}

/* Whether the limit that began then has not been reached. */
static bool in_time(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000 < LIMIT_MS;
}

static void wait_ready(void)
{
	struct timespec began;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!strstr(run.output, READY)) {
		if (!in_time(&began))
			finish(NOT_READY, "the command did not print \"" READY "\"");
		take_output(50);
	}
}

static int wait_end(void)
{
	struct timespec began;
	int status;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (waitpid(run.pid, &status, WNOHANG) == 0) {
		if (!in_time(&began))
			finish(NO_END, "the command did not end");
		take_output(20);
	}
	run.pid = 0;
	take_output(0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What a shell does while a job is stopped. */
static void stop_and_resume(const struct termios *before)
{
	struct timespec began;
	int status;

	kill(run.pid, SIGSTOP);
	if (waitpid(run.pid, &status, WUNTRACED) != run.pid || !WIFSTOPPED(status))
		finish(BROKEN, "the command did not stop");
	tcsetattr(run.slave, TCSANOW, before);
	kill(run.pid, SIGCONT);
	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!is_raw()) {
		if (!in_time(&began))
			finish(NOT_RAW, "the terminal did not become raw again");
		take_output(20);
	}
	kill(run.pid, SIGTERM);
}

static void act(const char *action, const struct termios *before)
{
	const char key = ESCAPE_KEY;

	if (!strcmp(action, "wait"))
		return;
	if (!is_raw())
		finish(NOT_RAW, "the terminal was not raw");
	if (!strcmp(action, "resume")) {
		stop_and_resume(before);
	} else if (!strcmp(action, "escape")) {
		if (write(run.master, &key, 1) != 1)
			finish(BROKEN, "cannot type");
	} else {
		kill(run.pid, (int)strtol(action, NULL, 10));
	}
}

int main(int argc, char **argv)
{
	struct termios before, after;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: ptyrun wait|escape|resume|SIGNAL COMMAND [ARGUMENT]...\n");
		return BROKEN;
	}
	open_terminal();
	before = settings();
	start(argv + 2);
	wait_ready();
	act(argv[1], &before);
	status = wait_end();
	after = settings();
	fflush(stdout);
	if (before.c_iflag != after.c_iflag || before.c_oflag != after.c_oflag || before.c_cflag != after.c_cflag ||
	    before.c_lflag != after.c_lflag || memcmp(before.c_cc, after.c_cc, sizeof(before.c_cc)) != 0)
		finish(NOT_RESTORED, "the terminal is not as it was");
	return status;
}
