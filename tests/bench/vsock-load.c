/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the bench does with vsock, V1. On the host
 *
 *     vsock-load serve ADDRESS GUEST
 *
 * accepts connections at ADDRESS and does what each asks for; GUEST is where it connects to when it is asked to. It says "serving" first, and
 * ends when it is ended. In the guest
 *
 *     vsock-load JOB COUNT ADDRESS PORT
 *
 * asks it for COUNT units of a job, waits until all of it is done, and prints "us=N units=COUNT" and what a unit is:
 *   to-host, to-guest                    MiB, in one connection
 *   trips                                a byte to the host and one back, in one connection
 *   connects-to-host, connects-to-guest  connections, one after the other, each closed by who accepts it; the host connects to PORT
 * Addresses are those of tests/guest/peer. Bytes are not looked at: the tests do that. Anything that goes wrong ends it with status 1. One thread.
 */
#include "tests/guest/peer/address.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES 65536u
#define MIB         UINT64_C(1048576)
#define UNITS_MAX   1000000

enum job { JOB_TO_HOST, JOB_TO_GUEST, JOB_TRIPS, JOB_CONNECTS_TO_HOST, JOB_CONNECTS_TO_GUEST, JOBS };

static const struct {
	const char *name, *unit;
} jobs[JOBS] = {
	[JOB_TO_HOST] = { "to-host", "MiB" },
	[JOB_TO_GUEST] = { "to-guest", "MiB" },
	[JOB_TRIPS] = { "trips", "trip" },
	[JOB_CONNECTS_TO_HOST] = { "connects-to-host", "connection" },
	[JOB_CONNECTS_TO_GUEST] = { "connects-to-guest", "connection" },
};

struct request {
	uint32_t job; /* JOBS: nothing, just close */
	uint32_t port;
	uint64_t units;
};

static uint8_t piece[PIECE_BYTES];

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "vsock-load: %s: %s\n", what, errno ? strerror(errno) : "the end");
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- sockets that block ---- */

/* Of nothing in particular. */
static void give(int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t count = send(fd, piece, bytes < PIECE_BYTES ? bytes : PIECE_BYTES, MSG_NOSIGNAL);

		if (count < 0)
			fail("send");
		bytes -= (uint64_t)count;
	}
}

static void take(int fd, uint64_t bytes)
{
	while (bytes) {
		ssize_t count = recv(fd, piece, bytes < PIECE_BYTES ? bytes : PIECE_BYTES, 0);

		if (count == 0)
			errno = 0;
		if (count <= 0)
			fail("receive");
		bytes -= (uint64_t)count;
	}
}

static void take_end(int fd)
{
	if (recv(fd, piece, 1, 0) != 0)
		fail("no end");
	close(fd);
}

static int let_block(int fd)
{
	if (fcntl(fd, F_SETFL, 0) < 0)
		fail("fcntl");
	return fd;
}

/* With the line and its answer, where there are such. */
static int open_connection(const struct address *address)
{
	int fd = address_connect(address), error = 0, r;
	socklen_t bytes = sizeof(error);
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	if (fd < 0) {
		errno = -fd;
		fail("connect");
	}
	if (poll(&poll_fd, 1, -1) != 1 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
		fail("connect");
	if (error) {
		errno = error;
		fail("connect");
	}
	let_block(fd);
	r = address_ask(address, fd, NULL, 0);
	if (r < 0) {
		errno = -r;
		fail("connect");
	}
	for (*piece = 0; address->is_unix && *piece != '\n';)
		take(fd, 1);
	return fd;
}

static int start_listening(const struct address *address)
{
	int fd = address_listen(address);

	if (fd < 0) {
		errno = -fd;
		fail("listen");
	}
	return let_block(fd);
}

static int accept_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		fail("accept");
	return fd;
}

/* ---- the host ---- */

static void do_job(int fd, const struct request *request, const struct address *guest)
{
	struct address address = *guest;

	switch (request->job) {
	case JOB_TO_HOST:
		take(fd, request->units * MIB);
		give(fd, 1);
		break;
	case JOB_TO_GUEST:
		give(fd, request->units * MIB);
		break;
	case JOB_TRIPS:
		for (uint64_t i = 0; i < request->units; i++) {
			take(fd, 1);
			give(fd, 1);
		}
		break;
	case JOB_CONNECTS_TO_GUEST:
		address.port = request->port;
		for (uint64_t i = 0; i < request->units; i++)
			take_end(open_connection(&address));
		give(fd, 1);
		break;
	default:
		break;
	}
}

__attribute__((noreturn)) static void serve(const struct address *address, const struct address *guest)
{
	int listener = start_listening(address);

	puts("serving");
	for (;;) {
		int fd = accept_connection(listener);
		struct request request;

		if (recv(fd, &request, sizeof(request), MSG_WAITALL) != sizeof(request))
			fail("no request");
		do_job(fd, &request, guest);
		close(fd);
	}
}

/* ---- the guest ---- */

static int ask_for(const struct address *host, uint32_t job, uint64_t units, uint32_t port)
{
	const struct request request = { .job = job, .port = port, .units = units };
	int fd = open_connection(host);

	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request))
		fail("send");
	return fd;
}

static void connects_to_guest(const struct address *host, uint64_t units, uint32_t port)
{
	const struct address here = { .cid = UINT32_MAX, .port = port };
	int listener = start_listening(&here);
	int fd = ask_for(host, JOB_CONNECTS_TO_GUEST, units, port);

	for (uint64_t i = 0; i < units; i++)
		close(accept_connection(listener));
	take(fd, 1);
	close(fd);
}

static void run_job(enum job job, uint64_t units, const struct address *host, uint32_t port)
{
	int fd;

	if (job == JOB_CONNECTS_TO_GUEST) {
		connects_to_guest(host, units, port);
		return;
	}
	if (job == JOB_CONNECTS_TO_HOST) {
		for (uint64_t i = 0; i < units; i++)
			take_end(ask_for(host, JOBS, 0, 0));
		return;
	}
	fd = ask_for(host, job, units, port);
	switch (job) {
	case JOB_TO_HOST:
		give(fd, units * MIB);
		take(fd, 1);
		break;
	case JOB_TO_GUEST:
		take(fd, units * MIB);
		break;
	default:
		for (uint64_t i = 0; i < units; i++) {
			give(fd, 1);
			take(fd, 1);
		}
		break;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct address address, guest;
	enum job job = JOB_TO_HOST;
	uint64_t units, start_us;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "serve") && address_parse(argv[2], &address) &&
	    address_parse(argv[3], &guest))
		serve(&address, &guest);
	while (argc == 5 && job < JOBS && strcmp(argv[1], jobs[job].name) != 0)
		job++;
	units = argc == 5 ? strtoull(argv[2], NULL, 10) : 0;
	if (argc != 5 || job == JOBS || !units || units > UNITS_MAX || !address_parse(argv[3], &address)) {
		fputs("usage: vsock-load serve ADDRESS GUEST | JOB COUNT ADDRESS PORT\n", stderr);
		return 2;
	}
	start_us = now_us();
	run_job(job, units, &address, (uint32_t)strtoul(argv[4], NULL, 10));
	printf("us=%" PRIu64 " units=%" PRIu64 " unit=%s\n", now_us() - start_us, units, jobs[job].unit);
	return 0;
}
