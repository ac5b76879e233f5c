/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the spawner's tests have in the place of device-host. It tells how it finds itself in one message on its control
 * socket, "KEY VALUE\n" a line, once it has written to its other descriptors what they are, and then does as it is told
 * there: "exit N", "signal N", "stop". It ends with 0 when that socket does.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CONTROL 3
#define ACCESS  4
#define VHOST   5

static char report[16384];

static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...)
{
	size_t used = strlen(report);
	va_list ap;

	va_start(ap, format);
	vsnprintf(report + used, sizeof(report) - used, format, ap);
	va_end(ap);
}

/* Each open descriptor but the one that looks. */
static void tell_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");

	if (!dir)
		exit(9);
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
			tell("fd %s\n", entry->d_name);
	closedir(dir);
	for (int fd = 0; fd <= 1; fd++) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
			tell("null %d\n", fd);
	}
}

/* The masks of signals, as the kernel has them. */
static void tell_status(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	if (!file)
		exit(9);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "Sig", 3) || !strncmp(line, "Threads", 7))
			tell("%s", line);
	fclose(file);
}

static void tell_all(char **arguments)
{
	struct rlimit core, files;
	mode_t mask = umask(0);
	int death = 0;

	umask(mask);
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_GET_PDEATHSIG, &death);
	tell("pid %d\nparent %d\nsession %d\numask %03o\ncore %llu %llu\nfiles %llu\ndeath %d\n", (int)getpid(),
	     (int)getppid(), (int)getsid(0), (unsigned int)mask, (unsigned long long)core.rlim_cur,
	     (unsigned long long)core.rlim_max, (unsigned long long)files.rlim_cur, death);
	for (char **at = arguments; *at; at++)
		tell("argument %s\n", *at);
	/* Programs with sanitizers are told how to report. */
	for (char **at = environ; *at; at++)
		if (!strstr(*at, "SAN_OPTIONS="))
			tell("environment %s\n", *at);
	tell_fds();
	tell_status();
}

int main(int argc, char **argv)
{
	char order[64];
	ssize_t got;

	(void)argc;
	/* Before a library makes it otherwise. */
	tell_all(argv);
	if (write(STDERR_FILENO, "stderr", 6) != 6 || send(ACCESS, "access", 6, MSG_NOSIGNAL) != 6 ||
	    send(VHOST, "vhost", 5, MSG_NOSIGNAL) != 5 || send(CONTROL, report, strlen(report), MSG_NOSIGNAL) < 0)
		return 8;
	while ((got = recv(CONTROL, order, sizeof(order) - 1, 0)) > 0) {
		int number;

		order[got] = 0;
		if (sscanf(order, "exit %d", &number) == 1)
			_exit(number);
		if (sscanf(order, "signal %d", &number) == 1)
			raise(number);
		if (!strcmp(order, "stop"))
			raise(SIGSTOP);
	}
	return 0;
}
