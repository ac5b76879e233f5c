/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `backplane connect`: a person's, or a script's, way to a port of the guest, through the socket of a virtio-vsock. Two threads, one for
 * each direction, so that neither waits for the other: whoever reads our output may be waiting for room to write our input.
 *
 * The end: when the guest has said all, and either takes no more or has been told that there is no more.
 */
#include "core/cli/cli.h"

#include "core/base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINE_BYTES 32 /* of an answer, "OK <port>\n" */
#define COPY_BYTES 65536

static const char help[] =
    "usage: backplane connect SOCKET PORT\n"
    "Connects standard input and output to PORT of a guest. SOCKET is the uds_path of its virtio-vsock.\n"
    "\n"
    "  --help             this text\n"
    "\n"
    "The end of the input is passed on, and the guest can go on to speak. Exit status: 0 the guest has ended\n"
    "the connection, 1 it could not be made, or something was lost, 2 bad usage.\n";

struct relay {
	int fd;
	pthread_mutex_t busy; /* held from the moment that there is input until it has been sent */
	bool input_failed;    /* under busy */
	atomic_flag told;     /* of what went wrong: one thing often leads to another, in the other direction */
};

/* ---- connecting ---- */

static bool parse_port(const char *text, uint32_t *ret)
{
	uint64_t port = 0;
	size_t digits = strspn(text, "0123456789");

	if (!digits || text[digits] || digits > 10)
		return false;
	for (size_t i = 0; i < digits; i++)
		port = port * 10 + (uint64_t)(text[i] - '0');
	if (port > UINT32_MAX)
		return false;
	*ret = (uint32_t)port;
	return true;
}

/* The socket, or -errno. */
static int reach(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	FD_AUTO int fd = -1;

	if (!*path)
		return -ENOENT;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

/* All of it. False if nobody takes it any more. */
static bool send_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t n = send(fd, bytes, count, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		count -= (size_t)n;
	}
	return true;
}

/* Whether the answer is "OK" and a port. It is read byte by byte: what follows is the guest's. 0, or -ECONNREFUSED for no answer, -EPROTO
 * for another. */
static int read_answer(int fd)
{
	char line[LINE_BYTES + 1] = "";
	size_t bytes = 0;
	uint32_t port;

	while (!bytes || line[bytes - 1] != '\n') {
		ssize_t n;

		if (bytes == LINE_BYTES)
			return -EPROTO;
		n = recv(fd, line + bytes, 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return bytes ? -EPROTO : -ECONNREFUSED;
		bytes++;
	}
	line[bytes - 1] = '\0';
	return !strncmp(line, "OK ", 3) && parse_port(line + 3, &port) ? 0 : -EPROTO;
}

static int shake_hands(int fd, uint32_t port)
{
	char line[LINE_BYTES];
	int count = snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", port);

	return send_all(fd, line, (size_t)count) ? read_answer(fd) : -ECONNREFUSED;
}

/* ---- both directions ---- */

/* `error` is an errno, or 0. */
static void complain(struct relay *relay, const char *what, int error)
{
	if (!atomic_flag_test_and_set(&relay->told))
		cli_error(error ? "%s: %s" : "%s", what, strerror(error));
}

/* Passes some input on, of which there is some. False at its end, or when nobody takes it. */
static bool send_some_input(struct relay *relay)
{
	char buf[COPY_BYTES];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n < 0)
		complain(relay, "cannot read standard input", errno);
	if (n > 0 && send_all(relay->fd, buf, (size_t)n))
		return true;
	if (n > 0)
		complain(relay, "the guest takes no more input", 0);
	relay->input_failed = n != 0;
	return false;
}

/* Standard input to the guest, up to its end. */
static void *send_input(void *arg)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	struct relay *relay = arg;
	bool more = true;

	while (more) {
		if (poll(&pfd, 1, -1) < 0)
			continue;
		pthread_mutex_lock(&relay->busy);
		more = send_some_input(relay);
		pthread_mutex_unlock(&relay->busy);
	}
	shutdown(relay->fd, SHUT_WR);
	return NULL;
}

static bool write_all(struct relay *relay, const char *bytes, size_t count)
{
	while (count) {
		ssize_t n = write(STDOUT_FILENO, bytes, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			complain(relay, "cannot write to standard output", errno);
			return false;
		}
		bytes += n;
		count -= (size_t)n;
	}
	return true;
}

/* What the guest says to standard output, up to its end. */
static bool write_output(struct relay *relay)
{
	char buf[COPY_BYTES];

	for (;;) {
		ssize_t n = recv(relay->fd, buf, sizeof(buf), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return true;
		if (n < 0) {
			complain(relay,
				 errno == ECONNRESET ? "the guest has not taken all of the input"
						     : "cannot read from the guest",
				 errno == ECONNRESET ? 0 : errno);
			return false;
		}
		if (!write_all(relay, buf, (size_t)n))
			return false;
	}
}

/* Until nothing can be sent any more: the guest does not take it, or has been told that that was all. */
static void wait_for_end(int fd)
{
	struct pollfd pfd = { .fd = fd };

	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
}

static int run_relay(int fd)
{
	/* The thread may have it until the program ends. */
	static struct relay relay = { .busy = PTHREAD_MUTEX_INITIALIZER, .told = ATOMIC_FLAG_INIT };
	pthread_t thread;

	relay.fd = fd;
	/* The end of a reader is an error of write(). */
	signal(SIGPIPE, SIG_IGN);
	if (pthread_create(&thread, NULL, send_input, &relay) != 0) {
		cli_error("cannot start a thread");
		return CLI_FAILED;
	}
	pthread_detach(thread);
	if (!write_output(&relay))
		return CLI_FAILED;
	wait_for_end(fd);
	/* What the other thread has in its hands fails now, if it was not sent. After that it waits: for input, or for this. */
	pthread_mutex_lock(&relay.busy);
	return relay.input_failed ? CLI_FAILED : CLI_OK;
}

int cmd_connect(int argc, char **argv)
{
	int status = cli_plain_args(argc, argv, 2, help);
	FD_AUTO int fd = -1;
	const char *path;
	uint32_t port;
	int r;

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	path = argv[optind];
	if (!parse_port(argv[optind + 1], &port))
		return cli_usage(argv[0], "PORT is a number from 0 to 4294967295");
	fd = reach(path);
	if (fd < 0) {
		cli_error("cannot connect to \"%.200s\": %s", path, strerror(-fd));
		return CLI_FAILED;
	}
	r = shake_hands(fd, port);
	if (r == -EPROTO)
		cli_error("what is at \"%.200s\" does not lead to a guest", path);
	else if (r < 0)
		cli_error("the guest refuses port %" PRIu32 ": nobody listens there, or it does not answer", port);
	return r < 0 ? CLI_FAILED : run_relay(fd);
}
