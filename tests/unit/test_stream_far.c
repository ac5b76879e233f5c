/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams whose far side comes and goes: a pseudo terminal's slave, and clients of a socket. Opened as `run` opens them. */
#include "tests/unit/stream_fixture.h"

#include "core/placement/open.h"

#include <sys/resource.h>
#include <sys/un.h>

/* Kinds of far sides. */
enum form { FORM_PTY, FORM_UNIX, FORMS };

static struct opener opener;
static char far_name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
#define DIRECTORY "/tmp/test_stream_far.XXXXXX"
static char directory[sizeof(DIRECTORY)];

/* A console whose stream is of that form, and runs. */
static void far_run(struct subject *subject, enum habit habit, enum form form)
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

static void far_end(struct subject *subject)
{
	device_stop(subject->device);
	opener_end(&opener);
	subject_end(subject);
	subject_init(subject, "one");
	console.goal = 0;
	console.deaf = false;
}

/* Somebody comes. Whether a socket's listener has taken note is another matter. */
static int come(enum form form)
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
static int deed_goal(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct console *self = subject->extra;

	(void)access, (void)val;
	self->goal = self->got_count + self->ask;
	self->result = (int)self->got_count;
	return 0;
}

/* Says something, and waits until the device has heard it: then it has heard of us, too. */
static void say(int fd, const char *text)
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
static void hear(int fd, const char *text)
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

static void without_anybody_output_is_dropped(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		for (int i = 0; i < 3; i++)
			assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		/* Whoever comes finds what is said from then on. */
		fd = come(form);
		say(fd, "hello");
		hear(fd, "who is there?\n");
		close(fd);
		far_end(one);
	}
	free(data);
}

static void each_one_who_comes_is_served(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		far_run(one, READS_ALL, form);
		for (int i = 0; i < 20; i++) {
			int fd = come(form);
			char text[32];

			snprintf(text, sizeof(text), "client %d", i);
			say(fd, text);
			hear(fd, text);
			close(fd);
			/* With and without words for nobody in between. */
			if (i % 2) {
				assert_idle(one);
				assert_int_equal(console_write(&console, "lost\n", 5), 5);
			}
		}
		assert_idle(one);
		far_end(one);
	}
}

static void typing_is_heard_before_anything_was_said(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		far_run(one, READS_ALL, form);
		assert_idle(one);
		for (int i = 0; i < 5; i++) {
			int fd = come(form);

			say(fd, "a");
			say(fd, "b");
			close(fd);
			assert_idle(one);
		}
		far_end(one);
	}
}

static void words_before_leaving_are_heard(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_NOT, form);
		fd = come(form);
		assert_int_equal(write(fd, data, 10000), 10000);
		close(fd);
		assert_true(event_wait(&console.in, 1));
		/* The device takes its time: that costs nothing. */
		assert_idle(one);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 10000;)
			console_read(&console, 100);
		assert_int_equal(console.got_count, 10000);
		assert_memory_equal(console.got, data, 10000);
		assert_idle(one);
		far_end(one);
	}
	free(data);
}

static void one_who_does_not_read_grows_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum form form = 0; form < FORMS; form++) {
		size_t count = 0;
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_idle(one);
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_in_range(console.result, OUTPUT_BYTES, MEGABYTE - 1);
		/* He thinks better of it: nothing is lost. */
		while (count < MEGABYTE) {
			ssize_t got = read(fd, seen + count, MEGABYTE - count);

			assert_true(got > 0);
			count += (size_t)got;
		}
		assert_memory_equal(seen, data, MEGABYTE);
		close(fd);
		far_end(one);
	}
	free(data);
	free(seen);
}

static void one_who_leaves_amid_output_frees_the_device(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), seen[1000];

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_int_equal(read(fd, seen, sizeof(seen)), sizeof(seen));
		assert_memory_equal(seen, data, sizeof(seen));
		assert_true(console.result < (int)MEGABYTE);
		close(fd);
		/* The device is told that there is room, and gets rid of everything. */
		assert_true(event_wait(&console.out, 1));
		assert_int_equal(on_dev(one, NULL), 0);
		assert_idle(one);
		assert_int_equal(console.sent, MEGABYTE);
		/* The next one gets none of it. */
		fd = come(form);
		say(fd, "hello");
		hear(fd, "welcome");
		close(fd);
		far_end(one);
	}
	free(data);
}

static void a_flood_stays_outside(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		size_t flood = 0;
		ssize_t count;
		int fd;

		far_run(one, READS_NOT, form);
		fd = come(form);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		for (int settled = 0; settled < 2; settled++) {
			while ((count = write(fd, data + flood, MEGABYTE - flood)) > 0)
				flood += (size_t)count;
			assert_true(event_wait(&console.in, 1));
			assert_idle(one);
		}
		assert_true(flood < MEGABYTE / 2);
		assert_int_equal(event_count(&console.in), 1);
		/* It is ended amid the flood, which is read to the end. */
		close(fd);
		assert_idle(one);
		for (uint64_t times = 1; console.got_count < flood; times++) {
			assert_true(event_wait(&console.in, times));
			assert_true(console_read(&console, INPUT_BYTES) > 0);
		}
		assert_memory_equal(console.got, data, flood);
		assert_idle(one);
		far_end(one);
	}
	free(data);
}

static void floods_pass_both_ways(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum form form = 0; form < FORMS; form++) {
		struct player reader, writer;
		int fd;

		console.goal = MEGABYTE;
		far_run(one, ECHOES, form);
		fd = come(form);
		play(&reader, play_reader, fd, seen, MEGABYTE);
		play(&writer, play_writer, fd, data, MEGABYTE);
		assert_true(thread_join(writer.thread));
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, MEGABYTE);
		close(fd);
		far_end(one);
	}
	free(data);
	free(seen);
}

/* One who does not listen still hears what it asks for, and its output is delivered. */
static void a_device_that_does_not_listen(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		console.deaf = true;
		far_run(one, READS_NOT, form);
		fd = come(form);
		assert_int_equal(write(fd, "hello", 5), 5);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 5;)
			console_read(&console, 2);
		assert_memory_equal(console.got, "hello", 5);
		hear(fd, "welcome");
		close(fd);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		assert_idle(one);
		far_end(one);
	}
}

static void the_escape_key_is_a_key(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "a" ESCAPE "b");
		assert_int_equal(event_count(&one->quit), 0);
		close(fd);
		far_end(one);
	}
}

static void one_who_stopped_does_not_hold_up_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		uint64_t start;
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		assert_true(console_write(&console, data, MEGABYTE) < (int)MEGABYTE);
		start = clock_now_ns();
		device_stop(one->device);
		assert_true(clock_now_ns() - start < 10 * NS_PER_S);
		close(fd);
		far_end(one);
	}
	free(data);
}

/* ---- pseudo terminals ---- */

static void settings_do_not_outlast_who_made_them(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct termios termios;
	int fd;

	far_run(one, READS_ALL, FORM_PTY);
	fd = come(FORM_PTY);
	say(fd, "hello");
	hear(fd, "welcome");
	assert_int_equal(tcgetattr(fd, &termios), 0);
	termios.c_lflag |= ECHO | ICANON;
	assert_int_equal(tcsetattr(fd, TCSANOW, &termios), 0);
	close(fd);
	assert_idle(one);
	fd = come(FORM_PTY);
	assert_int_equal(tcgetattr(fd, &termios), 0);
	assert_int_equal(termios.c_lflag & (ECHO | ICANON), 0);
	close(fd);
	far_end(one);
}

static void what_was_not_read_is_not_for_the_next(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);
	int fd;

	far_run(one, READS_ALL, FORM_PTY);
	fd = come(FORM_PTY);
	assert_int_equal(console_write(&console, data, 10000), 10000);
	assert_idle(one);
	close(fd);
	assert_idle(one);
	fd = come(FORM_PTY);
	hear(fd, "welcome");
	close(fd);
	far_end(one);
	free(data);
}

/* ---- sockets ---- */

static void the_second_client_waits_for_his_turn(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct pollfd poll_fd = { .events = POLLIN };
	int first, second;

	far_run(one, READS_ALL, FORM_UNIX);
	first = come(FORM_UNIX);
	say(first, "first");
	second = come(FORM_UNIX);
	assert_int_equal(write(second, "second", 6), 6);
	hear(first, "for the first");
	assert_idle(one);
	assert_int_equal(console.got_count, 5);
	poll_fd.fd = second;
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	console.ask = 6;
	assert_int_equal(on_dev(one, deed_goal), 0);
	close(first);
	assert_true(event_wait(&console.got_all, 2));
	assert_int_equal(on_dev(one, NULL), 0);
	assert_memory_equal(console.got, "firstsecond", 11);
	hear(second, "for the second");
	close(second);
	far_end(one);
}

static void one_who_has_said_all_still_hears(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int fd, next;

	far_run(one, READS_ALL, FORM_UNIX);
	fd = come(FORM_UNIX);
	say(fd, "hello");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_idle(one);
	hear(fd, "and now listen");
	next = come(FORM_UNIX);
	assert_idle(one);
	hear(fd, "to this as well");
	close(fd);
	say(next, "my turn");
	close(next);
	far_end(one);
}

/* The guest does not read: clients come and go all the same, and what they send does not pile up. */
static void clients_are_served_while_nothing_is_read(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(50000);
	size_t fds;

	far_run(one, READS_NOT, FORM_UNIX);
	fds = count_fds();
	for (int i = 0; i < 10; i++) {
		int fd = come(FORM_UNIX);
		char seen = 0;

		assert_int_equal(write(fd, data, 50000), 50000);
		/* Without a word from the device we cannot know whether we are there. */
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end;) {
			assert_int_equal(console_write(&console, "\n", 1), 1);
			if (recv(fd, &seen, 1, MSG_DONTWAIT) == 1)
				break;
		}
		assert_int_equal(seen, '\n');
		close(fd);
	}
	assert_idle(one);
	assert_in_range(count_fds(), fds, fds + 2);
	/* The first one's words are whole, and after them come the last one's. */
	while (console.got_count < 100000) {
		time_t end = time(NULL) + PATIENCE_S;

		while (!console_read(&console, 4000) && time(NULL) < end)
			;
		assert_true(time(NULL) < end);
	}
	assert_idle(one);
	assert_int_equal(console_read(&console, 100), 0);
	assert_memory_equal(console.got, data, 50000);
	assert_memory_equal(console.got + 50000, data, 50000);
	assert_int_equal(count_fds(), fds);
	far_end(one);
	free(data);
}

static void a_client_without_a_descriptor_comes_later(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct rlimit before, limit;
	int fd, top;

	far_run(one, READS_ALL, FORM_UNIX);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	log_catch(LOG_LEVEL_WARN);
	top = dup(0);
	close(top);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)top;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	{
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		memcpy(address.sun_path, far_name, sizeof(far_name));
		assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	}
	assert_int_equal(write(fd, "hello", 5), 5);
	for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && !strstr(log_caught(), "cannot be served");)
		usleep(1000);
	assert_non_null(
	    strstr(log_caught(), "warning: one: a client of its socket cannot be served: Too many open files\n"));
	assert_idle(one);
	/* It is tried again now and then; if it was at once, the budget of the log would be used up. */
	assert_in_range(count_of_text(log_caught(), "cannot be served"), 1, 5);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(event_wait(&console.in, 1));
	log_release();
	hear(fd, "welcome");
	close(fd);
	far_end(one);
}

static int far_setup(void **state)
{
	memcpy(directory, DIRECTORY, sizeof(DIRECTORY));
	return mkdtemp(directory) ? stream_setup(state) : -1;
}

static int far_teardown(void **state)
{
	int r = stream_teardown(state);

	opener_end(&opener);
	if (rmdir(directory) < 0)
		r = -1;
	return r;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, far_setup, far_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_anybody_output_is_dropped),
		TEST(each_one_who_comes_is_served),
		TEST(typing_is_heard_before_anything_was_said),
		TEST(words_before_leaving_are_heard),
		TEST(one_who_does_not_read_grows_nothing),
		TEST(one_who_leaves_amid_output_frees_the_device),
		TEST(a_flood_stays_outside),
		TEST(floods_pass_both_ways),
		TEST(a_device_that_does_not_listen),
		TEST(the_escape_key_is_a_key),
		TEST(one_who_stopped_does_not_hold_up_the_end),
		TEST(settings_do_not_outlast_who_made_them),
		TEST(what_was_not_read_is_not_for_the_next),
		TEST(the_second_client_waits_for_his_turn),
		TEST(one_who_has_said_all_still_hears),
		TEST(clients_are_served_while_nothing_is_read),
		TEST(a_client_without_a_descriptor_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
