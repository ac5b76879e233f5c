/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugs standard input and output into the far side of a serial port:
 *
 *   plug PATH BYTES <TO-THE-GUEST >FROM-THE-GUEST
 *
 * PATH is a terminal, which is taken as it is, or a socket. It waits until PATH is there. What comes on standard input goes
 * to it, at any time and until that ends; it ends itself when BYTES have come from the other side, or with status 1 if that
 * ends before.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_STEPS 6000 /* of 10 ms */

static int plug_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int plug_in(const char *path)
{
	const struct timespec step = { .tv_nsec = 10000000 };

	for (int i = 0; i < WAIT_STEPS; i++) {
		struct stat st;
		int fd = -1;

		if (stat(path, &st) == 0)
			fd = S_ISSOCK(st.st_mode) ? plug_socket(path) : open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		nanosleep(&step, NULL);
	}
	return -1;
}

/* Hands over as much as `to` takes; the count, 0 at the end, or -1. */
static ssize_t pass(int from, int to, size_t most)
{
	char buf[4096];
	ssize_t got = read(from, buf, most < sizeof(buf) ? most : sizeof(buf));

	for (ssize_t at = 0; at < got;) {
		ssize_t count = write(to, buf + at, (size_t)(got - at));

		if (count < 0)
			return -1;
		at += count;
	}
	return got;
}

int main(int argc, char **argv)
{
	unsigned long long left;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: plug PATH BYTES\n");
		return 2;
	}
	left = strtoull(argv[2], NULL, 10);
	fd = plug_in(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "plug: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	     left;) {
		ssize_t count;

		if (poll(fds, 2, -1) < 0)
			return 1;
		if (fds[0].revents) {
			count = pass(STDIN_FILENO, fd, SIZE_MAX);
			if (count < 0)
				return 1;
			if (count == 0)
				fds[0].fd = -1;
		}
		if (fds[1].revents) {
			count = pass(fd, STDOUT_FILENO, left < SIZE_MAX ? (size_t)left : SIZE_MAX);
			if (count <= 0) {
				fprintf(stderr, "plug: %s: ended, %llu bytes are missing\n", argv[1], left);
				return 1;
			}
			left -= (unsigned long long)count;
		}
	}
	return 0;
}
