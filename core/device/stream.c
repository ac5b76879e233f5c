/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams: the far side of console-like devices, the same for each of them. All of it runs under the device's lock; the
 * descriptors never block. What is special about far sides that come and go is in far.c.
 *
 * Input: at most one buffer is read ahead. While the device has not taken the last of it, the descriptor is not waited for,
 * so a flood stays in the kernel or with its sender. Output: gathered in a ring of fixed size, since consoles hand over single
 * bytes, and written at the end of a line, when there is much of it, or after a millisecond; once the ring is full the device is
 * told "no room" and hears when there is some.
 *
 * Descriptors that epoll does not take (regular files, /dev/null) are always ready. What they have is announced from the loop, by
 * a timer that is due at once, never from within a read.
 */
#include "core/device/stream.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ESCAPE_KEY    0x1d /* Ctrl-], as with telnet and virsh */
#define GATHER_BYTES  4096u
#define GATHER_NS     NS_PER_MS
#define PUSHES_MAX    1024 /* in one go: some far sides take a byte at a time */
#define LAST_FLUSH_MS 200  /* how long a slow reader may hold up the end */

static void on_input(void *arg, int fd, uint32_t events);
static void on_output(void *arg, int fd, uint32_t events);
static void on_timer(void *arg, uint32_t timer);

static void side_open(struct bp_stream *stream, struct side *side, int fd, bool owned, bp_fd_fn *fn)
{
	struct stat st = { .st_mode = 0 };
	int r;

	*side = (struct side){ .fd = fd, .owned = owned };
	if (fd < 0)
		return;
	side->socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	side->may_block = !side->socket && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
	side->safe_bytes = S_ISFIFO(st.st_mode) ? PIPE_BUF : 1;
	side->edge = stream->kind == STREAM_PTY;
	/* Nothing is waited for until there is somebody to tell. */
	r = loop_fd_add(stream->device, fd, side->edge ? LOOP_FD_EDGE : 0, fn, stream, "stream callback");
	if (r == -EPERM) {
		side->always_ready = true;
	} else if (r < 0) {
		side->fd = -1;
		if (owned)
			close(fd);
	}
}

void side_open_in(struct bp_stream *stream, int fd, bool owned)
{
	side_open(stream, &stream->in, fd, owned, on_input);
}

void side_open_out(struct bp_stream *stream, int fd, bool owned)
{
	side_open(stream, &stream->out, fd, owned, on_output);
}

void side_end(struct device *device, struct side *side)
{
	if (side->fd >= 0 && !side->always_ready && !side->parked)
		loop_fd_del(device, side->fd);
	if (side->owned)
		fd_close(side->fd);
	side->fd = -1;
}

static void side_watch(struct device *device, const struct side *side, uint32_t events)
{
	loop_fd_set(device, side->fd, side->edge ? events | LOOP_FD_EDGE : events);
}

struct bp_stream *stream_new(struct device *device, const struct value *value)
{
	struct bp_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->device = device;
	if (loop_timer_add(device, on_timer, stream, &stream->timer) < 0 || far_init(stream, value) < 0) {
		free(stream);
		return NULL;
	}
	/* A master is a terminal for isatty(), too, but nobody sits at it. */
	stream->escape = stream->kind == STREAM_FIXED && stream->in.fd >= 0 && isatty(stream->in.fd);
	return stream;
}

void stream_free(struct bp_stream *stream)
{
	if (!stream)
		return;
	far_free(stream);
	free(stream);
}

/* ---- input ---- */

/* Takes the escape key out of what was typed. */
static void filter_escape(struct bp_stream *stream)
{
	uint8_t *key = memchr(stream->input, ESCAPE_KEY, stream->in_count);

	if (!stream->escape || !key)
		return;
	stream->in_count = (size_t)(key - stream->input);
	stream->device->place.quit(stream->device->place.ctx);
}

/* Refills the empty buffer, if there is something to be had now. */
static void input_fill(struct bp_stream *stream)
{
	struct side *side = &stream->in;
	struct pollfd ready = { .fd = side->fd, .events = POLLIN };
	ssize_t count;

	stream->in_at = 0;
	stream->in_count = 0;
	if (side->fd < 0 || (side->may_block && !side->always_ready && poll(&ready, 1, 0) <= 0))
		return;
	if (side->socket)
		count = recv(side->fd, stream->input, sizeof(stream->input), MSG_DONTWAIT);
	else
		count = read(side->fd, stream->input, sizeof(stream->input));
	if (count > 0) {
		stream->in_count = (size_t)count;
		filter_escape(stream);
	} else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
		far_input_ended(stream);
	}
}

void stream_input_watch(struct bp_stream *stream)
{
	struct side *side = &stream->in;
	bool wanted = stream->fn && !stream->in_count;

	if (side->fd < 0 || side->always_ready)
		return;
	if (!side->parked) {
		side_watch(stream->device, side, wanted ? BP_FD_IN : 0);
	} else if (wanted) {
		side->parked = false;
		loop_fd_add(stream->device, side->fd, BP_FD_IN, on_input, stream, "stream callback");
	}
}

static void on_input(void *arg, int fd, uint32_t events)
{
	struct bp_stream *stream = arg;

	if (stream->in_count) {
		/* Not waited for, so this is a hang-up. What was sent before it is still to be read, later. */
		if (!stream->in.edge && (events & (BP_FD_HUP | BP_FD_ERR))) {
			stream->in.parked = true;
			loop_fd_del(stream->device, fd);
		}
		return;
	}
	input_fill(stream);
	stream_input_watch(stream);
	if (stream->in_count && stream->fn)
		stream->fn(stream->arg, BP_STREAM_IN);
}

void stream_start(struct bp_stream *stream)
{
	if (!stream->in.always_ready || !stream->fn)
		return;
	input_fill(stream);
	if (stream->in_count)
		stream->fn(stream->arg, BP_STREAM_IN);
}

/* ---- output ---- */

/* How many of `bytes` the far side took, 0 if none now. A far side that fails is given up. */
static size_t output_push(struct bp_stream *stream, const uint8_t *data, size_t bytes)
{
	struct side *side = &stream->out;
	struct pollfd ready = { .fd = side->fd, .events = POLLOUT };
	ssize_t count;

	if (side->fd < 0)
		return bytes;
	if (stream->kind == STREAM_PTY && !stream->present && !far_present(stream))
		return bytes;
	if (side->may_block && !side->always_ready) {
		if (poll(&ready, 1, 0) <= 0)
			return 0;
		if (bytes > side->safe_bytes)
			bytes = side->safe_bytes;
	}
	if (side->socket)
		count = send(side->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		count = write(side->fd, data, bytes);
	if (count >= 0)
		return (size_t)count;
	if (errno == EAGAIN || errno == EINTR)
		return stream->kind == STREAM_PTY && !far_present(stream) ? bytes : 0;
	if (stream->kind == STREAM_FIXED)
		device_log(stream->device, LOG_LEVEL_WARN, "its output cannot be written any more: %s",
			   strerror(errno));
	far_output_ended(stream);
	return bytes;
}

static void output_flush(struct bp_stream *stream)
{
	for (unsigned int i = 0; i < PUSHES_MAX && stream->out_count; i++) {
		size_t run = STREAM_OUTPUT_BYTES - stream->out_at;
		size_t pushed;

		if (run > stream->out_count)
			run = stream->out_count;
		pushed = output_push(stream, stream->output + stream->out_at, run);
		if (!pushed)
			break;
		stream->out_at = (stream->out_at + pushed) % STREAM_OUTPUT_BYTES;
		stream->out_count -= pushed;
	}
	if (stream->out.fd < 0)
		stream->out_count = 0;
	stream->waiting = stream->out_count > 0;
	if (stream->out.fd >= 0 && !stream->out.always_ready)
		side_watch(stream->device, &stream->out, stream->waiting ? BP_FD_OUT : 0);
}

/* The ring has been flushed from the loop: tells the device if it waits for room. */
static void output_tell(struct bp_stream *stream)
{
	if (!stream->want_room || stream->out_count == STREAM_OUTPUT_BYTES)
		return;
	stream->want_room = false;
	if (stream->fn)
		stream->fn(stream->arg, BP_STREAM_OUT);
}

static void on_timer(void *arg, uint32_t timer)
{
	struct bp_stream *stream = arg;

	(void)timer;
	if (stream->gathering) {
		stream->gathering = false;
		output_flush(stream);
		output_tell(stream);
	}
	if (stream->announce) {
		stream->announce = false;
		if (stream->in_count)
			stream->fn(stream->arg, BP_STREAM_IN);
	}
	far_timer(stream);
}

static void on_output(void *arg, int fd, uint32_t events)
{
	struct bp_stream *stream = arg;

	(void)fd;
	/* A pseudo terminal may have room all the same, for nobody. */
	if ((events & (BP_FD_HUP | BP_FD_ERR)) && (!(events & BP_FD_OUT) || stream->kind == STREAM_PTY))
		far_output_ended(stream);
	output_flush(stream);
	output_tell(stream);
}

void stream_flush_last(struct bp_stream *stream)
{
	uint64_t deadline = clock_now_ns() + LAST_FLUSH_MS * NS_PER_MS;

	output_flush(stream);
	while (stream->out_count && clock_now_ns() < deadline) {
		struct pollfd ready = { .fd = stream->out.fd, .events = POLLOUT };

		if (poll(&ready, 1, LAST_FLUSH_MS) <= 0)
			break;
		output_flush(stream);
	}
}

/* ---- entries of the host table ---- */

int host_stream_listen(struct bp_dev *dev, struct bp_stream *stream, bp_stream_fn *fn, void *arg)
{
	if (!device_on_tag(device_of(dev), true, false, "bp_stream_listen"))
		return -EDEADLK;
	if (!stream || stream->device != device_of(dev))
		return -EINVAL;
	stream->fn = fn;
	stream->arg = arg;
	stream_input_watch(stream);
	return 0;
}

int host_stream_read(struct bp_dev *dev, struct bp_stream *stream, void *buf, size_t bytes)
{
	if (!device_on_tag(device_of(dev), false, true, "bp_stream_read"))
		return -EDEADLK;
	if (!stream || stream->device != device_of(dev))
		return -EINVAL;
	/* Nobody else fills it if there is nobody to tell. */
	if (!stream->in_count && (stream->in.always_ready || !stream->fn))
		input_fill(stream);
	if (bytes > stream->in_count)
		bytes = stream->in_count;
	if (!bytes)
		return 0;
	memcpy(buf, stream->input + stream->in_at, bytes);
	stream->in_at += bytes;
	stream->in_count -= bytes;
	stream_input_watch(stream);
	if (!stream->in_count && stream->in.always_ready && stream->fn) {
		input_fill(stream);
		if (stream->in_count) {
			stream->announce = true;
			loop_timer_set(stream->device, stream->timer, 1);
		}
	}
	return (int)bytes;
}

/* Something has come into the ring: writes it now, or sees to it that it is written soon. */
static void output_gather(struct bp_stream *stream, bool urgent)
{
	if (stream->waiting)
		return;
	if (urgent || stream->out_count >= GATHER_BYTES) {
		output_flush(stream);
	} else if (!stream->gathering) {
		stream->gathering = true;
		loop_timer_set(stream->device, stream->timer, clock_now_ns() + GATHER_NS);
	}
}

int host_stream_write(struct bp_dev *dev, struct bp_stream *stream, const void *buf, size_t bytes)
{
	const uint8_t *data = buf;
	size_t taken = 0;
	bool urgent = false;

	if (!device_on_tag(device_of(dev), true, true, "bp_stream_write"))
		return -EDEADLK;
	if (!stream || stream->device != device_of(dev))
		return -EINVAL;
	if (bytes > INT32_MAX)
		bytes = INT32_MAX;
	if (stream->out.fd < 0)
		return (int)bytes;
	do {
		while (taken < bytes && stream->out_count < STREAM_OUTPUT_BYTES) {
			urgent |= data[taken] == '\n';
			stream->output[(stream->out_at + stream->out_count++) % STREAM_OUTPUT_BYTES] = data[taken++];
		}
		output_gather(stream, urgent);
	} while (taken < bytes && stream->out_count < STREAM_OUTPUT_BYTES && stream->out.fd >= 0);
	if (stream->out.fd < 0)
		taken = bytes;
	stream->want_room = taken < bytes;
	return (int)taken;
}
