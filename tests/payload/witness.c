/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command, and looks whether any process that has come from it is still there when it has ended; or after a
 * while, if a signal ended it:
 *
 *   witness SECONDS COMMAND [ARGUMENT]...
 *
 * Exit status: the command's, 128 + N if signal N ended it, 120 if something was left, 123 if it has not ended within
 * so many seconds.
 */
#include "tests/payload/family.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define LEFT     120
#define NO_END   123
#define USAGE    2

#define LIMIT_MS 30000

int main(int argc, char **argv)
{
	int seconds = argc > 2 ? atoi(argv[1]) : 0;
	pid_t pid;
	int status;

	if (seconds <= 0 || seconds > 3600) {
		fprintf(stderr, "usage: witness SECONDS COMMAND [ARGUMENT]...\n");
		return USAGE;
	}
	family_begin();
	pid = family_start(argv + 2, -1);
	status = family_wait(pid, seconds * 1000);
	if (status < 0) {
		fprintf(stderr, "witness: it has not ended\n");
		kill(pid, SIGKILL);
		family_wait(pid, 10000);
		family_left(10000);
		return NO_END;
	}
	return family_left(status > 128 ? LIMIT_MS : 0) ? LEFT : status;
}
