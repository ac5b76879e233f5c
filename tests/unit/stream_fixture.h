/* SPDX-License-Identifier: BSD-3-Clause */
/* A console, which is a device with a stream, and everything that can be on its far side; for the tests of streams. */
#ifndef TESTS_UNIT_STREAM_FIXTURE_H
#define TESTS_UNIT_STREAM_FIXTURE_H

#include "tests/unit/device_fixture.h"

#include "core/base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#define MEGABYTE     (1u << 20)
#define INPUT_BYTES  4096u  /* what the host reads ahead at most */
#define OUTPUT_BYTES 65536u /* what it keeps at most */
#define ESCAPE       "\x1d"

/* ---- a console: a device with a stream ---- */

enum habit {
	READS_ALL,  /* told IN: reads until there is nothing */
	READS_ONCE, /* told IN: reads once, as much as it can */
	READS_NOT,  /* told IN: does nothing */
	ECHOES      /* writes back what it has read, reads on only when that has gone */
};

struct console {
	struct subject *subject;
	struct bp_stream *stream;
	enum habit habit;
	bool deaf; /* does not listen */
	uint8_t *got;
	size_t got_count;
	const uint8_t *send; /* what is to be written, as there is room */
	size_t send_count, sent;
	size_t ask; /* how much the next deed reads or writes */
	int result;
	struct event in, out;
	struct event got_all; /* posted when got_count reaches `goal` */
	size_t goal;
	uint8_t held[512]; /* of an echo */
	size_t held_at, held_count;
};

static struct console console, second_console;

static inline void receive(struct console *self, const uint8_t *data, size_t count)
{
	size_t before = self->got_count;

	MUST(self->got_count + count <= 2 * MEGABYTE);
	memcpy(self->got + self->got_count, data, count);
	self->got_count += count;
	if (before < self->goal && self->got_count >= self->goal)
		event_post(&self->got_all);
}

static inline int read_once(struct console *self)
{
	static _Thread_local uint8_t buf[MEGABYTE];
	int count = bp_stream_read(self->subject->dev, self->stream, buf, sizeof(buf));

	MUST(count >= 0);
	receive(self, buf, (size_t)count);
	return count;
}

static inline void echo(struct console *self)
{
	struct bp_dev *dev = self->subject->dev;

	for (;;) {
		int count;

		if (!self->held_count) {
			count = bp_stream_read(dev, self->stream, self->held, sizeof(self->held));
			MUST(count >= 0);
			receive(self, self->held, (size_t)count);
			self->held_at = 0;
			self->held_count = (size_t)count;
		}
		if (!self->held_count)
			return;
		count = bp_stream_write(dev, self->stream, self->held + self->held_at, self->held_count);
		MUST(count >= 0);
		self->held_at += (size_t)count;
		self->held_count -= (size_t)count;
		if (self->held_count)
			return;
	}
}

static inline void send_more(struct console *self)
{
	while (self->sent < self->send_count) {
		int count = bp_stream_write(self->subject->dev, self->stream, self->send + self->sent,
					    self->send_count - self->sent);

		MUST(count >= 0);
		self->sent += (size_t)count;
		if (!count)
			return;
	}
}

static inline void on_stream(void *arg, uint32_t events)
{
	struct console *self = arg;

	MUST(events && !(events & ~(BP_STREAM_IN | BP_STREAM_OUT)));
	if (events & BP_STREAM_IN) {
		if (self->habit == READS_ALL)
			while (read_once(self))
				;
		else if (self->habit == READS_ONCE)
			read_once(self);
	}
	if (self->habit == ECHOES)
		echo(self);
	if (events & BP_STREAM_OUT)
		send_more(self);
	event_post(events & BP_STREAM_IN ? &self->in : &self->out);
}

static inline int console_create(struct subject *subject, const struct bp_cfg *cfg)
{
	struct console *self = subject->extra;

	self->subject = subject;
	self->stream = bp_cfg_stream(cfg, "stream");
	MUST(self->stream);
	return self->deaf ? 0 : bp_stream_listen(subject->dev, self->stream, on_stream, self);
}

/* ---- deeds inside of an access ---- */

static inline int deed_read(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;
	uint8_t buf[INPUT_BYTES];

	(void)access, (void)val;
	MUST(self->ask <= sizeof(buf));
	self->result = bp_stream_read(subject->dev, self->stream, buf, self->ask);
	if (self->result > 0)
		receive(self, buf, (size_t)self->result);
	return 0;
}

static inline int deed_send(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	send_more(self);
	self->result = (int)self->sent;
	return 0;
}

static inline int deed_write(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	self->result = bp_stream_write(subject->dev, self->stream, self->send, self->ask);
	return 0;
}

static inline int console_read(struct console *self, size_t bytes)
{
	self->ask = bytes;
	assert_int_equal(on_dev(self->subject, deed_read), 0);
	return self->result;
}

static inline int console_write(struct console *self, const void *data, size_t bytes)
{
	self->send = data;
	self->ask = bytes;
	assert_int_equal(on_dev(self->subject, deed_write), 0);
	return self->result;
}

/* ---- far sides ---- */

static inline void console_run(struct subject *subject, struct console *self, enum habit habit, int fd_in, int fd_out)
{
	uint8_t *got = self->got;
	bool deaf = self->deaf;
	size_t goal = self->goal;

	*self = (struct console){
		.subject = subject,
		.habit = habit,
		.deaf = deaf,
		.got = got,
		.goal = goal,
		.in = EVENT_INIT,
		.out = EVENT_INIT,
		.got_all = EVENT_INIT,
	};
	subject->extra = self;
	subject->hooks.create = console_create;
	subject_set(subject, "stream", (struct value){ .fd = fd_in, .fd_out = fd_out });
	subject_run(subject);
}

/* A far side, and ours of it. */
struct far {
	const char *name;
	int near; /* goes to the device */
	int far;
};

static inline int far_pipe(struct far *far, int direction, int flags)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | flags) < 0)
		return -1;
	/* 0: the device reads. */
	far->near = ends[direction];
	far->far = ends[!direction];
	fcntl(far->far, F_SETFL, fcntl(far->far, F_GETFL) & ~O_NONBLOCK);
	return 0;
}

static inline int far_pty(struct far *far, int flags)
{
	struct termios raw;
	int slave;

	far->far = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (far->far < 0 || grantpt(far->far) < 0 || unlockpt(far->far) < 0)
		return -1;
	slave = ioctl(far->far, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC | flags);
	if (slave < 0 || tcgetattr(slave, &raw) < 0)
		return -1;
	cfmakeraw(&raw);
	if (tcsetattr(slave, TCSANOW, &raw) < 0)
		return -1;
	far->near = slave;
	return 0;
}

enum kind { KIND_PIPE, KIND_BLOCKING_PIPE, KIND_SOCKET, KIND_PTY, KIND_BLOCKING_PTY, KINDS };
static const char *const kind_names[] = { "pipe", "blocking pipe", "socket", "pty", "blocking pty" };

static inline struct far far_make(enum kind kind, int direction)
{
	struct far far = { .name = kind_names[kind], .near = -1, .far = -1 };
	int ends[2];

	switch (kind) {
	case KIND_PIPE:
		MUST(far_pipe(&far, direction, O_NONBLOCK) == 0);
		break;
	case KIND_BLOCKING_PIPE:
		MUST(far_pipe(&far, direction, 0) == 0);
		break;
	case KIND_SOCKET:
		MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
		far.near = ends[0];
		far.far = ends[1];
		break;
	case KIND_PTY:
		MUST(far_pty(&far, O_NONBLOCK) == 0);
		break;
	case KIND_BLOCKING_PTY:
		MUST(far_pty(&far, 0) == 0);
		break;
	default:
		abort();
	}
	return far;
}

/* How much goes through in a test. A terminal that may block is fed byte by byte. */
static inline size_t bytes_for(enum kind kind)
{
	return kind == KIND_BLOCKING_PTY ? MEGABYTE / 4 : MEGABYTE;
}

/* Bytes of every value in no order; the sequence depends on nothing but its length. */
static inline uint8_t *noise(size_t bytes)
{
	uint8_t *data = malloc(bytes);
	uint32_t x = 12345;

	MUST(data);
	for (size_t i = 0; i < bytes; i++) {
		x = x * 1664525u + 1013904223u;
		data[i] = (uint8_t)(x >> 24);
		/* On a terminal this one ends the VM. */
		if (data[i] == ESCAPE[0])
			data[i] = 0;
	}
	return data;
}

/* A thread that plays the far side. */
struct player {
	int fd;
	uint8_t *data;
	size_t bytes;
	size_t done;
	pthread_t thread;
};

static inline void *play_writer(void *arg)
{
	struct player *player = arg;

	while (player->done < player->bytes) {
		size_t left = player->bytes - player->done;
		ssize_t count = write(player->fd, player->data + player->done, left < 3000 ? left : 3000);

		MUST(count > 0);
		player->done += (size_t)count;
	}
	return NULL;
}

static inline void *play_reader(void *arg)
{
	struct player *player = arg;

	while (player->done < player->bytes) {
		size_t left = player->bytes - player->done;
		ssize_t count = read(player->fd, player->data + player->done, left < 3000 ? left : 3000);

		MUST(count > 0);
		player->done += (size_t)count;
	}
	return NULL;
}

static inline void play(struct player *player, void *(*role)(void *), int fd, uint8_t *data, size_t bytes)
{
	*player = (struct player){ .fd = fd, .data = data, .bytes = bytes };
	assert_int_equal(pthread_create(&player->thread, NULL, role, player), 0);
}

/* Takes what there is, without waiting. */
static inline size_t drain(int fd, uint8_t *buf, size_t bytes)
{
	size_t done = 0;
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (done < bytes) {
		ssize_t count = read(fd, buf + done, bytes - done);

		if (count <= 0)
			break;
		done += (size_t)count;
	}
	fcntl(fd, F_SETFL, flags);
	return done;
}

static inline uint64_t loop_time_ns(struct subject *subject)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(subject->device->loop.thread, &clock), 0);
	clock_gettime(clock, &used);
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* Waits until the loop has come by once more: after the second time it has seen to all that there was before the first. */
static inline void loop_pass(struct subject *subject)
{
	struct pollfd ready = { .fd = subject->device->loop.wake_fd, .events = POLLIN };

	fd_event_signal(ready.fd);
	for (time_t end = time(NULL) + PATIENCE_S; poll(&ready, 1, 0) > 0 && time(NULL) < end;)
		sched_yield();
	device_leave(subject->device, device_enter(subject->device, "test"));
}

/* The device's thread comes to rest: it may have something to finish, but it does not spin while nothing happens. */
static inline void assert_idle(struct subject *subject)
{
	const struct timespec pause = { .tv_nsec = 50000000 };

	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end;) {
		uint64_t before = loop_time_ns(subject);

		nanosleep(&pause, NULL);
		/* One that has had no time to run is not at rest. */
		loop_pass(subject);
		loop_pass(subject);
		if (loop_time_ns(subject) - before < 10 * NS_PER_MS)
			return;
	}
	fail_msg("the loop does not come to rest");
}

static inline int stream_setup(void **state)
{
	console = (struct console){ .got = malloc(2 * MEGABYTE) };
	second_console = (struct console){ .got = malloc(2 * MEGABYTE) };
	signal(SIGPIPE, SIG_IGN);
	return setup(state);
}

static inline int stream_teardown(void **state)
{
	int r = teardown(state);

	free(console.got);
	free(second_console.got);
	return r;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, stream_setup, stream_teardown)

#endif
