/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Streams: what a console-like device reads and writes, over everything that can be on the far side. Nothing here may block
 * or grow, whatever the far side does or leaves undone.
 */
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
#define ESCAPE	     "\x1d"

/* ---- a console: a device with a stream ---- */

enum habit {
	READS_ALL,  /* told IN: reads until there is nothing */
	READS_ONCE, /* told IN: reads once, as much as it can */
	READS_NOT,  /* told IN: does nothing */
	ECHOES	    /* writes back what it has read, reads on only when that has gone */
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

static void receive(struct console *self, const uint8_t *data, size_t count)
{
	size_t before = self->got_count;

	MUST(self->got_count + count <= 2 * MEGABYTE);
	memcpy(self->got + self->got_count, data, count);
	self->got_count += count;
	if (before < self->goal && self->got_count >= self->goal)
		event_post(&self->got_all);
}

static int read_once(struct console *self)
{
	static _Thread_local uint8_t buf[MEGABYTE];
	int count = bp_stream_read(self->subject->dev, self->stream, buf, sizeof(buf));

	MUST(count >= 0);
	receive(self, buf, (size_t)count);
	return count;
}

static void echo(struct console *self)
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

static void send_more(struct console *self)
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

static void on_stream(void *arg, uint32_t events)
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

static int console_create(struct subject *subject, const struct bp_cfg *cfg)
{
	struct console *self = subject->extra;

	self->subject = subject;
	self->stream = bp_cfg_stream(cfg, "stream");
	MUST(self->stream);
	return self->deaf ? 0 : bp_stream_listen(subject->dev, self->stream, on_stream, self);
}

/* ---- deeds inside of an access ---- */

static int deed_read(struct subject *subject, const struct bp_access *access, uint64_t *val)
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

static int deed_send(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	send_more(self);
	self->result = (int)self->sent;
	return 0;
}

static int deed_write(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	self->result = bp_stream_write(subject->dev, self->stream, self->send, self->ask);
	return 0;
}

static int console_read(struct console *self, size_t bytes)
{
	self->ask = bytes;
	assert_int_equal(on_dev(self->subject, deed_read), 0);
	return self->result;
}

static int console_write(struct console *self, const void *data, size_t bytes)
{
	self->send = data;
	self->ask = bytes;
	assert_int_equal(on_dev(self->subject, deed_write), 0);
	return self->result;
}

/* ---- far sides ---- */

static void console_run(struct subject *subject, struct console *self, enum habit habit, int fd_in, int fd_out)
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

static int far_pipe(struct far *far, int direction, int flags)
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

static int far_pty(struct far *far, int flags)
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

static struct far far_make(enum kind kind, int direction)
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
static size_t bytes_for(enum kind kind)
{
	return kind == KIND_BLOCKING_PTY ? MEGABYTE / 4 : MEGABYTE;
}

/* Bytes of every value in no order; the sequence depends on nothing but its length. */
static uint8_t *noise(size_t bytes)
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

static void *play_writer(void *arg)
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

static void *play_reader(void *arg)
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

static void play(struct player *player, void *(*role)(void *), int fd, uint8_t *data, size_t bytes)
{
	*player = (struct player){ .fd = fd, .data = data, .bytes = bytes };
	assert_int_equal(pthread_create(&player->thread, NULL, role, player), 0);
}

/* Takes what there is, without waiting. */
static size_t drain(int fd, uint8_t *buf, size_t bytes)
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

static uint64_t loop_time_ns(struct subject *subject)
{
	struct timespec used;
	clockid_t clock;

	assert_int_equal(pthread_getcpuclockid(subject->device->loop.thread, &clock), 0);
	clock_gettime(clock, &used);
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

/* The device's thread comes to rest: it may have something to finish, but it does not spin while nothing happens. */
static void assert_idle(struct subject *subject)
{
	const struct timespec pause = { .tv_nsec = 50000000 };

	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end;) {
		uint64_t before = loop_time_ns(subject);

		nanosleep(&pause, NULL);
		if (loop_time_ns(subject) - before < 10 * NS_PER_MS)
			return;
	}
	fail_msg("the loop does not come to rest");
}

static int stream_setup(void **state)
{
	console = (struct console){ .got = malloc(2 * MEGABYTE) };
	second_console = (struct console){ .got = malloc(2 * MEGABYTE) };
	signal(SIGPIPE, SIG_IGN);
	return setup(state);
}

static int stream_teardown(void **state)
{
	int r = teardown(state);

	free(console.got);
	free(second_console.got);
	return r;
}

/* ---- a megabyte each way ---- */

static void input_of_a_megabyte(void **state, enum habit habit)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);
		struct player writer;

		console.goal = MEGABYTE;
		console_run(one, &console, habit, far.near, -1);
		play(&writer, play_writer, far.far, data, MEGABYTE);
		if (!event_wait(&console.got_all, 1))
			fail_msg("%s: %zu bytes have come", far.name, console.got_count);
		assert_true(thread_join(writer.thread));
		device_stop(one->device);
		assert_int_equal(console.got_count, MEGABYTE);
		assert_memory_equal(console.got, data, MEGABYTE);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

static void input_arrives(void **state)
{
	input_of_a_megabyte(state, READS_ALL);
}

static void input_arrives_where_the_device_reads_once(void **state)
{
	input_of_a_megabyte(state, READS_ONCE);
}

static void output_arrives(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		size_t bytes = bytes_for(kind);
		struct player reader;
		uint64_t start = clock_now_ns();

		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = bytes;
		memset(seen, 0, bytes);
		play(&reader, play_reader, far.far, seen, bytes);
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, bytes);
		print_message("# %zu bytes to a %s took %u ms\n", bytes, far.name, (unsigned int)((clock_now_ns() - start) / NS_PER_MS));
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

static void an_echo_brings_everything_back(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = KIND_SOCKET; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);
		size_t bytes = bytes_for(kind);
		struct player writer, reader;

		console_run(one, &console, ECHOES, far.near, dup(far.near));
		play(&reader, play_reader, far.far, seen, bytes);
		play(&writer, play_writer, far.far, data, bytes);
		assert_true(thread_join(writer.thread));
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, bytes);
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

/* ---- files ---- */

static int file_of(const void *data, size_t bytes)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void a_file_is_read(void **state, enum habit habit)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console.goal = MEGABYTE;
	console_run(one, &console, habit, file_of(data, MEGABYTE), -1);
	assert_true(event_wait(&console.got_all, 1));
	assert_idle(one);
	device_stop(one->device);
	assert_int_equal(console.got_count, MEGABYTE);
	assert_memory_equal(console.got, data, MEGABYTE);
	free(data);
}

static void a_file_is_read_by_who_reads_all(void **state)
{
	a_file_is_read(state, READS_ALL);
}

static void a_file_is_read_by_who_reads_once(void **state)
{
	a_file_is_read(state, READS_ONCE);
}

static void a_file_is_read_by_who_does_not_listen(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	console.deaf = true;
	console_run(one, &console, READS_NOT, file_of(data, 10000), -1);
	while (console_read(&console, 1000) > 0)
		;
	assert_int_equal(console.got_count, 10000);
	assert_memory_equal(console.got, data, 10000);
	free(data);
}

static void a_file_is_written(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE + 1);
	int file = file_of("", 0);

	assert_non_null(seen);
	console_run(one, &console, READS_NOT, -1, dup(file));
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	device_stop(one->device);
	assert_int_equal(pread(file, seen, MEGABYTE + 1, 0), MEGABYTE);
	assert_memory_equal(seen, data, MEGABYTE);
	close(file);
	free(data);
	free(seen);
}

static void nothing_is_there(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console_run(one, &console, READS_ALL, -1, -1);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_read(&console, 100), 0);
	assert_int_equal(console_write(&console, data, 0), 0);
	assert_int_equal(event_count(&console.in) + event_count(&console.out), 0);
	free(data);
}

static void dev_null(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console_run(one, &console, READS_ALL, open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/null", O_WRONLY | O_CLOEXEC));
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_read(&console, 100), 0);
	assert_int_equal(event_count(&console.in), 0);
	assert_idle(one);
	free(data);
}

static void a_full_disk_does_not_hold_up(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (full < 0)
		skip();
	log_catch(LOG_LEVEL_WARN);
	console_run(one, &console, READS_NOT, -1, full);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_string_equal(log_caught(), "backplane: warning: one: its output cannot be written any more: "
					  "No space left on device\n");
	free(data);
}

/* ---- bounds ---- */

static void a_reader_that_stops_grows_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		size_t bytes = bytes_for(kind), accepted, seen_count;

		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = bytes;
		assert_int_equal(on_dev(one, deed_send), 0);
		/* What the kernel keeps is its own affair, as long as it is less than what was offered. */
		accepted = (size_t)console.result;
		assert_true(accepted >= OUTPUT_BYTES && accepted < bytes);
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_in_range(console.result, accepted, accepted + 4096);
		assert_idle(one);
		/* As soon as somebody reads, the device hears of it and goes on where it was. */
		seen_count = 0;
		while (seen_count < bytes) {
			ssize_t count = read(far.far, seen + seen_count, bytes - seen_count);

			assert_true(count > 0);
			seen_count += (size_t)count;
		}
		assert_true(event_wait(&console.out, 1));
		assert_memory_equal(seen, data, bytes);
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

static void room_is_told_only_if_asked_for(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 1);
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);
	size_t total, taken;

	assert_non_null(seen);
	assert_true(fcntl(far.near, F_SETPIPE_SZ, 4096) >= 4096);
	console_run(one, &console, READS_NOT, -1, far.near);
	/* All of it was taken, part of it into the buffer: no event when that drains. */
	assert_int_equal(console_write(&console, data, 30000), 30000);
	for (total = 0; total < 30000; total += taken) {
		ssize_t count = read(far.far, seen + total, 30000 - total);

		assert_true(count > 0);
		taken = (size_t)count;
	}
	assert_memory_equal(seen, data, 30000);
	assert_idle(one);
	assert_int_equal(event_count(&console.out), 0);
	/* Here some was not. */
	console.send_count = 0;
	assert_in_range(console_write(&console, data, MEGABYTE), OUTPUT_BYTES, MEGABYTE - 1);
	assert_int_equal(console_write(&console, data, 10), 0);
	assert_true(drain(far.far, seen, 4096) > 0);
	assert_true(event_wait(&console.out, 1));
	assert_true(console_write(&console, data, 10) > 0);
	device_stop(one->device);
	close(far.far);
	free(data);
	free(seen);
}

static void a_flood_of_input_stays_outside(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);
	uint8_t *data = noise(MEGABYTE);
	size_t flood = 0;
	ssize_t count;

	console_run(one, &console, READS_NOT, far.near, -1);
	fcntl(far.far, F_SETFL, O_NONBLOCK);
	count = write(far.far, data, MEGABYTE);
	assert_true(count > 0);
	flood += (size_t)count;
	assert_true(event_wait(&console.in, 1));
	/* It has taken one buffer; we can fill up that much, and then it is over. */
	while ((count = write(far.far, data + flood, MEGABYTE - flood)) > 0)
		flood += (size_t)count;
	assert_idle(one);
	assert_true(write(far.far, data + flood, MEGABYTE - flood) < 0);
	assert_true(flood < MEGABYTE / 2);
	assert_int_equal(event_count(&console.in), 1);
	/* Nothing of it is lost. */
	for (uint64_t times = 1; console.got_count < flood; times++) {
		assert_true(event_wait(&console.in, times));
		assert_true(console_read(&console, INPUT_BYTES) > 0);
	}
	close(far.far);
	device_stop(one->device);
	assert_int_equal(console.got_count, flood);
	assert_memory_equal(console.got, data, flood);
	free(data);
}

static void input_is_told_once_per_change(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);

	console_run(one, &console, READS_NOT, far.near, -1);
	assert_int_equal(write(far.far, "hello", 5), 5);
	assert_true(event_wait(&console.in, 1));
	assert_int_equal(write(far.far, "world", 5), 5);
	assert_int_equal(console_read(&console, 2), 2);
	assert_idle(one);
	assert_int_equal(event_count(&console.in), 1);
	/* With the last byte of the buffer the next ones are let in. */
	assert_int_equal(console_read(&console, 100), 3);
	assert_true(event_wait(&console.in, 2));
	assert_int_equal(console_read(&console, 100), 5);
	assert_memory_equal(console.got, "helloworld", 10);
	assert_int_equal(console_read(&console, 100), 0);
	close(far.far);
}

static void whoever_does_not_listen_can_ask(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);

		console.deaf = true;
		console_run(one, &console, READS_NOT, far.near, -1);
		assert_int_equal(console_read(&console, 100), 0);
		assert_int_equal(write(far.far, "hello", 5), 5);
		/* A terminal may pass it on a moment later. */
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 5;)
			console_read(&console, 2);
		assert_int_equal(console.got_count, 5);
		assert_memory_equal(console.got, "hello", 5);
		assert_int_equal(console_read(&console, 100), 0);
		close(far.far);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		subject_end(one);
		subject_init(one, "one");
	}
}

/* ---- ends ---- */

static void the_end_comes_after_the_data(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	for (enum kind kind = 0; kind < KIND_PTY; kind++) {
		struct far far = far_make(kind, 0);

		console_run(one, &console, READS_NOT, far.near, -1);
		assert_int_equal(write(far.far, data, 10000), 10000);
		close(far.far);
		assert_true(event_wait(&console.in, 1));
		/* The sender is gone, and the device takes its time: that costs nothing. */
		assert_idle(one);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 10000;)
			console_read(&console, 100);
		assert_int_equal(console.got_count, 10000);
		assert_memory_equal(console.got, data, 10000);
		assert_int_equal(console_read(&console, 100), 0);
		assert_idle(one);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

static void a_terminal_that_is_gone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console_run(one, &console, READS_ALL, far.near, dup(far.near));
	assert_int_equal(console_write(&console, "hello", 5), 5);
	close(far.far);
	assert_idle(one);
	assert_int_equal(console_read(&console, 100), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_idle(one);
}

static void output_goes_on_when_input_has_ended(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far in = far_make(KIND_PIPE, 0), out = far_make(KIND_PIPE, 1);
	uint8_t seen[5];

	console_run(one, &console, READS_ALL, in.near, out.near);
	close(in.far);
	assert_idle(one);
	assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_int_equal(read(out.far, seen, 5), 5);
	assert_memory_equal(seen, "hello", 5);
	close(out.far);
}

static void input_goes_on_when_output_has_failed(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KIND_PTY; kind++) {
		struct far in = far_make(KIND_PIPE, 0), out = far_make(kind, 1);

		log_catch(LOG_LEVEL_ERROR);
		console.goal = 5;
		console_run(one, &console, READS_ALL, in.near, out.near);
		close(out.far);
		assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_int_equal(write(in.far, "hello", 5), 5);
		assert_true(event_wait(&console.got_all, 1));
		assert_memory_equal(console.got, "hello", 5);
		assert_idle(one);
		assert_string_equal(log_caught(), "");
		log_release();
		close(in.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

/* The device was told "no room"; when the reader goes away there is all the room in the world, and it must hear of it. */
static void room_is_told_when_the_reader_is_gone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);

		log_catch(LOG_LEVEL_ERROR);
		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_true(console.result < (int)MEGABYTE);
		close(far.far);
		assert_true(event_wait(&console.out, 1));
		assert_int_equal(on_dev(one, NULL), 0);
		assert_int_equal(console.sent, MEGABYTE);
		log_release();
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

/* ---- the end of the VM ---- */

static void what_is_left_leaves_at_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 1);
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);
	size_t seen_count;

	assert_non_null(seen);
	assert_true(fcntl(far.near, F_SETPIPE_SZ, 65536) >= 65536);
	console_run(one, &console, READS_NOT, -1, far.near);
	assert_int_equal(console_write(&console, data, 70000), 70000);
	seen_count = drain(far.far, seen, MEGABYTE);
	device_stop(one->device);
	seen_count += drain(far.far, seen + seen_count, MEGABYTE - seen_count);
	assert_int_equal(seen_count, 70000);
	assert_memory_equal(seen, data, 70000);
	close(far.far);
	free(data);
	free(seen);
}

static void a_reader_that_stopped_does_not_hold_up_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		uint64_t start;

		console_run(one, &console, READS_NOT, -1, far.near);
		assert_true(console_write(&console, data, MEGABYTE) < (int)MEGABYTE);
		start = clock_now_ns();
		device_stop(one->device);
		assert_true(clock_now_ns() - start < 10 * NS_PER_S);
		subject_end(one);
		subject_init(one, "one");
		close(far.far);
	}
	free(data);
}

/* ---- the escape key ---- */

static void the_escape_key_ends_the_vm(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console.goal = 2;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, "ab" ESCAPE "cd", 5), 5);
	assert_true(event_wait(&one->quit, 1));
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "ab", 2);
	close(far.far);
}

static void the_escape_key_alone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console.goal = 2;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, ESCAPE, 1), 1);
	assert_true(event_wait(&one->quit, 1));
	/* The VM may take a while to end; the terminal works until then. */
	assert_int_equal(write(far.far, "xy", 2), 2);
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "xy", 2);
	close(far.far);
}

static void elsewhere_the_escape_key_is_a_byte(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);

	console.goal = 5;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, "ab" ESCAPE "cd", 5), 5);
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "ab" ESCAPE "cd", 5);
	assert_int_equal(event_count(&one->quit), 0);
	close(far.far);
}

/* ---- what is not ours ---- */

static int deed_foreign(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	uint8_t byte = 0;

	(void)access, (void)val;
	MUST(bp_stream_read(subject->dev, second_console.stream, &byte, 1) == -EINVAL);
	MUST(bp_stream_write(subject->dev, second_console.stream, &byte, 1) == -EINVAL);
	MUST(bp_stream_read(subject->dev, NULL, &byte, 1) == -EINVAL);
	MUST(bp_stream_write(subject->dev, NULL, &byte, 1) == -EINVAL);
	return 0;
}

static void a_stream_belongs_to_its_device(void **state)
{
	struct fixture *fixture = *state;

	console_run(&fixture->one, &console, READS_ALL, -1, -1);
	console_run(&fixture->two, &second_console, READS_ALL, -1, -1);
	assert_int_equal(on_dev(&fixture->one, deed_foreign), 0);
}

static void flags_of_descriptors_are_left_alone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far in = far_make(KIND_BLOCKING_PIPE, 0), out = far_make(KIND_BLOCKING_PTY, 1);
	int in_flags = fcntl(in.near, F_GETFL), out_flags = fcntl(out.near, F_GETFL);
	int in_copy = dup(in.near), out_copy = dup(out.near);

	console_run(one, &console, READS_ALL, in.near, out.near);
	assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_int_equal(fcntl(in_copy, F_GETFL), in_flags);
	assert_int_equal(fcntl(out_copy, F_GETFL), out_flags);
	subject_end(one);
	assert_int_equal(fcntl(in_copy, F_GETFL), in_flags);
	assert_int_equal(fcntl(out_copy, F_GETFL), out_flags);
	close(in_copy);
	close(out_copy);
	close(in.far);
	close(out.far);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, stream_setup, stream_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_arrives),
		TEST(input_arrives_where_the_device_reads_once),
		TEST(output_arrives),
		TEST(an_echo_brings_everything_back),
		TEST(a_file_is_read_by_who_reads_all),
		TEST(a_file_is_read_by_who_reads_once),
		TEST(a_file_is_read_by_who_does_not_listen),
		TEST(a_file_is_written),
		TEST(nothing_is_there),
		TEST(dev_null),
		TEST(a_full_disk_does_not_hold_up),
		TEST(a_reader_that_stops_grows_nothing),
		TEST(room_is_told_only_if_asked_for),
		TEST(a_flood_of_input_stays_outside),
		TEST(input_is_told_once_per_change),
		TEST(whoever_does_not_listen_can_ask),
		TEST(the_end_comes_after_the_data),
		TEST(a_terminal_that_is_gone),
		TEST(output_goes_on_when_input_has_ended),
		TEST(input_goes_on_when_output_has_failed),
		TEST(room_is_told_when_the_reader_is_gone),
		TEST(what_is_left_leaves_at_the_end),
		TEST(a_reader_that_stopped_does_not_hold_up_the_end),
		TEST(the_escape_key_ends_the_vm),
		TEST(the_escape_key_alone),
		TEST(elsewhere_the_escape_key_is_a_byte),
		TEST(a_stream_belongs_to_its_device),
		TEST(flags_of_descriptors_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
