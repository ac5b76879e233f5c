/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Records what a program does to a disk:
 *
 *   recorder IMAGE PATH LOG COMMAND [ARGUMENT]...
 *
 * covers the file PATH with one that has IMAGE's content (file.h), and runs the command, which uses PATH. LOG (log.h) gets every write, every
 * flush, and every line that the command prints, in the order in which they happened; lines go to standard output, too. The exit status
 * is the command's; 125 if the recorder itself failed, with a line on standard error that says why, and 77 where nothing can be mounted.
 *
 * A line is looked for before each request, so it is noted no later than anything that followed from it; a line that comes late only makes the
 * judge ask for less.
 */
#include "file.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_FAILED  125
#define STATUS_NOWHERE 77
#define LINE_MAX_BYTES 4096

struct lines {
	int fd;
	size_t held;
	char line[LINE_MAX_BYTES];
};

static int complain(int status, const char *what, int error)
{
	fprintf(stderr, "recorder: %s: %s\n", what, strerror(error));
	return status;
}

/* Notes the lines that are there. 1, 0 at the end, or -errno. */
static int take_lines(struct lines *lines, FILE *log)
{
	char bytes[LINE_MAX_BYTES];
	ssize_t got = read(lines->fd, bytes, sizeof(bytes));
	int r = 0;

	if (got <= 0)
		return got == 0 ? 0 : errno == EINTR ? 1 : -errno;
	if (fwrite(bytes, (size_t)got, 1, stdout) != 1)
		return -EIO;
	for (ssize_t i = 0; i < got && r == 0; i++) {
		if (bytes[i] == '\r')
			continue;
		if (bytes[i] != '\n' && lines->held < sizeof(lines->line)) {
			lines->line[lines->held++] = bytes[i];
			continue;
		}
		r = crash_log_add(log, CRASH_NOTE, 0, lines->held, lines->line);
		lines->held = 0;
	}
	return r < 0 ? r : 1;
}

/* Until the command has closed its output. 0 or -errno. */
static int record(struct crash_file *file, struct lines *lines)
{
	struct pollfd polls[] = {
		{ .fd = lines->fd, .events = POLLIN },
		{ .fd = file->fd, .events = POLLIN },
	};
	int r = 1;

	while (r > 0) {
		if (poll(polls, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (polls[0].revents)
			r = take_lines(lines, file->log);
		else if (polls[1].revents)
			r = crash_file_serve(file);
	}
	return r;
}

/* Starts the command with its standard output in *ret. Its id, or -errno. */
static pid_t start(char **command, int *ret)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[1], STDOUT_FILENO);
		execvp(command[0], command);
		_exit(complain(127, command[0], errno));
	}
	close(ends[1]);
	*ret = ends[0];
	return pid;
}

int main(int argc, char **argv)
{
	struct lines lines = { .fd = -1 };
	struct crash_file file;
	struct stat st;
	FILE *log;
	pid_t pid;
	int image, r, status = 0;

	if (argc < 5)
		return complain(STATUS_FAILED, "usage: recorder IMAGE PATH LOG COMMAND [ARGUMENT]...", EINVAL);
	image = open(argv[1], O_RDWR | O_CLOEXEC);
	if (image < 0 || fstat(image, &st) < 0)
		return complain(STATUS_FAILED, argv[1], errno);
	if (st.st_size <= 0 || st.st_size > CRASH_IMAGE_MAX || st.st_size % CRASH_SECTOR)
		return complain(STATUS_FAILED, argv[1], EFBIG);
	log = fopen(argv[3], "we");
	if (!log || crash_log_begin(log, (uint64_t)st.st_size) < 0)
		return complain(STATUS_FAILED, argv[3], errno);
	r = crash_file_mount(&file, argv[2], image, (uint64_t)st.st_size, log);
	if (r < 0)
		return complain(STATUS_NOWHERE, "cannot mount by FUSE", -r);
	pid = start(argv + 4, &lines.fd);
	if (pid < 0) {
		crash_file_unmount(&file, argv[2]);
		return complain(STATUS_FAILED, argv[4], -pid);
	}
	r = record(&file, &lines);
	crash_file_unmount(&file, argv[2]);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (fclose(log) != 0 && r == 0)
		r = -errno;
	if (r < 0)
		return complain(STATUS_FAILED, "while it was recording", -r);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
