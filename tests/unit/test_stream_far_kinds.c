/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams whose far side comes and goes: what only a pseudo terminal's slave does, and what only clients of a socket do. */
#include "tests/unit/far_fixture.h"

#include <sys/resource.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAR_TEST(settings_do_not_outlast_who_made_them),    FAR_TEST(what_was_not_read_is_not_for_the_next),
		FAR_TEST(the_second_client_waits_for_his_turn),     FAR_TEST(one_who_has_said_all_still_hears),
		FAR_TEST(clients_are_served_while_nothing_is_read), FAR_TEST(a_client_without_a_descriptor_comes_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
