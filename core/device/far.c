/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Far sides that come and go; see stream.h.
 *
 * A pseudo terminal. We have the master. While nobody has the slave open, poll() on the master says HUP for as long as that
 * lasts, read() gives EIO, and write() would fill the kernel's buffer for whoever comes next. No event tells that somebody
 * has come: only what he types does. So the master is waited for edge-triggered, which reports a hang-up once, and before
 * output is written in that state we look whether it still holds. Nothing has to be kept open or polled for. When the last
 * program has gone, what it has not read is dropped, and its settings are undone: with an echo, what the guest prints would
 * come back as its input.
 *
 * A listening socket. One client at a time; others wait in the kernel's queue of connections. A client's two directions end
 * one by one, as with pipes, so that what was sent before the end is still read: `cat FILE` into the socket sends all of
 * FILE. The next one is served as soon as output to the last has ended; his input waits until the last one's has been read,
 * which a guest may never do. If he goes, too, before that, what he sent gives way to the one after him: whatever the guest
 * reads or not, a client is always served.
 */
#include "core/device/stream.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define ACCEPT_RETRY_NS NS_PER_S /* without a descriptor for a client */

/* ---- pseudo terminals ---- */

/* What the last program has left unread is not for the next one, and neither are its settings. What it has sent stays. */
static void renew(int master)
{
	FD_AUTO int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios termios;

	tcflush(master, TCOFLUSH);
	if (slave < 0 || tcgetattr(slave, &termios) < 0)
		return;
	cfmakeraw(&termios);
	tcsetattr(slave, TCSANOW, &termios);
	tcflush(slave, TCIFLUSH);
}

bool far_present(struct bp_stream *stream)
{
	struct pollfd master = { .fd = stream->out.fd, .events = 0 };
	bool present = poll(&master, 1, 0) == 0;

	if (stream->present && !present)
		renew(stream->out.fd);
	stream->present = present;
	return present;
}

/* ---- clients of a socket ---- */

static void on_client(void *arg, int fd, uint32_t events);

static void listener_watch(struct bp_stream *stream)
{
	loop_fd_set(stream->device, stream->listen_fd, stream->out.fd < 0 && !stream->retry ? BP_FD_IN : 0);
}

/* A client that has come, as two descriptors. */
static void client_begin(struct bp_stream *stream, int in, int out)
{
	side_open_out(stream, out, true);
	if (stream->in.fd < 0) {
		side_open_in(stream, in, true);
		stream_input_watch(stream);
		return;
	}
	fd_close(stream->next_in);
	stream->next_in = in;
}

static void on_client(void *arg, int fd, uint32_t events)
{
	struct bp_stream *stream = arg;
	int in, out;

	(void)events;
	in = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (in < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	out = in < 0 ? -1 : fcntl(in, F_DUPFD_CLOEXEC, 3);
	if (out < 0) {
		device_log(stream->device, LOG_LEVEL_WARN, "a client of its socket cannot be served: %s",
			   strerror(errno));
		fd_close(in);
		stream->retry = true;
		loop_timer_set(stream->device, stream->timer, clock_now_ns() + ACCEPT_RETRY_NS);
	} else {
		client_begin(stream, in, out);
	}
	listener_watch(stream);
}

void far_timer(struct bp_stream *stream)
{
	if (!stream->retry)
		return;
	stream->retry = false;
	listener_watch(stream);
}

/* ---- both ---- */

void far_input_ended(struct bp_stream *stream)
{
	int fd;

	if (stream->kind == STREAM_PTY)
		return;
	side_end(stream->device, &stream->in);
	if (stream->next_in >= 0) {
		fd = fd_take(&stream->next_in);
		side_open_in(stream, fd, true);
		stream_input_watch(stream);
	}
}

void far_output_ended(struct bp_stream *stream)
{
	if (stream->kind == STREAM_PTY) {
		far_present(stream);
		return;
	}
	side_end(stream->device, &stream->out);
	if (stream->kind == STREAM_LISTENER)
		listener_watch(stream);
}

int far_init(struct bp_stream *stream, const struct value *value)
{
	stream->kind = value->stream;
	stream->in.fd = -1;
	stream->out.fd = -1;
	stream->listen_fd = -1;
	stream->next_in = -1;
	if (stream->kind == STREAM_LISTENER) {
		int r = loop_fd_add(stream->device, value->fd, BP_FD_IN, on_client, stream, "stream callback");

		if (r == 0)
			stream->listen_fd = value->fd;
		return r;
	}
	side_open_in(stream, value->fd, false);
	side_open_out(stream, value->fd_out, false);
	return 0;
}

void far_free(struct bp_stream *stream)
{
	side_end(stream->device, &stream->in);
	side_end(stream->device, &stream->out);
	fd_close(stream->next_in);
	if (stream->listen_fd >= 0)
		loop_fd_del(stream->device, stream->listen_fd);
}
