/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command for each connection to a vsock port, with the connection as its input, output and errors. In the demo's guest, which
 * has no libraries, so it is linked statically.
 *
 *     vsock-serve PORT COMMAND [ARG]...
 *
 * One thread. Whoever comes gets the command, with its rights.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

static int fail(const char *what)
{
	fprintf(stderr, "vsock-serve: %s: %s\n", what, strerror(errno));
	return 1;
}

static int become(int connection, char **command)
{
	signal(SIGCHLD, SIG_DFL);
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(connection, fd) < 0)
			return fail("dup2");
	}
	execvp(command[0], command);
	return fail(command[0]);
}

int main(int argc, char **argv)
{
	struct sockaddr_vm address = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	char *end = NULL;
	unsigned long port = argc >= 3 ? strtoul(argv[1], &end, 10) : 0;
	int listener;

	if (argc < 3 || *end || !port || port >= VMADDR_PORT_ANY) {
		fputs("usage: vsock-serve PORT COMMAND [ARG]...\n", stderr);
		return 2;
	}
	/* Children are nobody's business. */
	signal(SIGCHLD, SIG_IGN);
	address.svm_port = (unsigned int)port;
	listener = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0)
		return fail("socket");
	if (bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("bind");
	if (listen(listener, 16) < 0)
		return fail("listen");
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		pid_t child;

		if (connection < 0 && errno != EINTR && errno != ECONNABORTED)
			return fail("accept");
		if (connection < 0)
			continue;
		child = fork();
		if (child == 0)
			return become(connection, argv + 2);
		if (child < 0)
			fail("fork");
		close(connection);
	}
}
