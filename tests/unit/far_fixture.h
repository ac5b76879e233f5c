/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of streams whose far side comes and goes: one is opened as `run` opens it, and somebody comes to it. */
#ifndef UNIT_FAR_FIXTURE_H
#define UNIT_FAR_FIXTURE_H

#include "tests/unit/stream_fixture.h"

#include "core/placement/open.h"

#include <sys/un.h>

/* Kinds of far sides. */
enum form { FORM_PTY, FORM_UNIX, FORMS };

static struct opener opener;
static char far_name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
#define DIRECTORY "/tmp/test_stream_far.XXXXXX"
static char directory[sizeof(DIRECTORY)];

/* A console whose stream is of that form, and runs. */
static inline void far_run(struct subject *subject, enum habit habit, enum form form)
{
	uint8_t *got = console.got;
	struct value *value;
	char text[128];

	console = (struct console){
		.subject = subject,
		.habit = habit,
		.got = got,
		.in = EVENT_INIT,
		.out = EVENT_INIT,
		.got_all = EVENT_INIT,
		.goal = console.goal,
		.deaf = console.deaf,
	};
	subject->extra = &console;
	subject->hooks.create = console_create;
	snprintf(text, sizeof(text), form == FORM_PTY ? "pty" : "unix:%s/socket", directory);
	subject_set(subject, "stream", value_text(text));
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(open_values(&opener, subject->spec.values, &subject->err), 0);
	log_release();
	value = values_get(subject->spec.values, "stream", 0);
	if (form == FORM_PTY)
		assert_int_equal(ptsname_r(value->fd, far_name, sizeof(far_name)), 0);
	else
		snprintf(far_name, sizeof(far_name), "%s/socket", directory);
	subject_run(subject);
}

static inline void far_end(struct subject *subject)
{
	device_stop(subject->device);
	opener_end(&opener);
	subject_end(subject);
	subject_init(subject, "one");
	console.goal = 0;
	console.deaf = false;
}

/* Somebody comes. Whether a socket's listener has taken note is another matter. */
static inline int come(enum form form)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (form == FORM_PTY) {
		fd = open(far_name, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(fd >= 0);
		return fd;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	memcpy(address.sun_path, far_name, sizeof(far_name));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sets a goal `ask` bytes from what has come so far, which is the result. */
static inline int deed_goal(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	self->goal = self->got_count + self->ask;
	self->result = (int)self->got_count;
	return 0;
}

/* Says something, and waits until the device has heard it: then it has heard of us, too. */
static inline void say(int fd, const char *text)
{
	uint64_t times = event_count(&console.got_all);
	size_t before, bytes = strlen(text);

	console.ask = bytes;
	assert_int_equal(on_dev(console.subject, deed_goal), 0);
	before = (size_t)console.result;
	assert_int_equal(write(fd, text, bytes), bytes);
	assert_true(event_wait(&console.got_all, times + 1));
	assert_int_equal(on_dev(console.subject, NULL), 0);
	assert_int_equal(console.got_count, before + bytes);
	assert_memory_equal(console.got + before, text, bytes);
}

/* The device says something, and it arrives, as the very next thing. */
static inline void hear(int fd, const char *text)
{
	size_t bytes = strlen(text), count = 0;
	char seen[64];

	assert_int_equal(console_write(&console, text, bytes), bytes);
	while (count < bytes) {
		ssize_t got = read(fd, seen + count, bytes - count);

		assert_true(got > 0);
		count += (size_t)got;
	}
	assert_memory_equal(seen, text, bytes);
}

static inline int far_setup(void **state)
{
	memcpy(directory, DIRECTORY, sizeof(DIRECTORY));
	return mkdtemp(directory) ? stream_setup(state) : -1;
}

static inline int far_teardown(void **state)
{
	int r = stream_teardown(state);

	opener_end(&opener);
	if (rmdir(directory) < 0)
		r = -1;
	return r;
}

#define FAR_TEST(name) cmocka_unit_test_setup_teardown(name, far_setup, far_teardown)

#endif
