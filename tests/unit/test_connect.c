/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane connect` as a program, with the test as whoever is at the socket and at its standard input and output. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LIMIT_S    120 /* for a test, in which nothing is waited for but what comes */
#define BULK_BYTES 3000000u

struct connect_test {
	char dir[32];
	char path[48];
	int listener;
	/* The program. */
	pid_t pid;
	int in, out, err;
	/* Its connection. */
	int fd;
};

/* ---- the program ---- */

static void start(struct connect_test *test, const char *path, const char *port)
{
	const char *build = getenv("BP_BUILD");
	char program[4096];
	int in[2], out[2], err[2];

	snprintf(program, sizeof(program), "%s/backplane", build ? build : ".");
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	test->pid = fork();
	assert_true(test->pid >= 0);
	if (!test->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		execl(program, program, "connect", path, port, (char *)NULL);
		_exit(126);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	test->in = in[1];
	test->out = out[0];
	test->err = err[0];
}

/* Bytes that must come, and then the end if `ended`. */
static void expect(int fd, const char *bytes, size_t count, bool ended)
{
	char buf[4096];
	size_t got = 0;

	while (got < count) {
		ssize_t n = read(fd, buf, count - got < sizeof(buf) ? count - got : sizeof(buf));

		assert_true(n > 0);
		assert_memory_equal(buf, bytes + got, (size_t)n);
		got += (size_t)n;
	}
	if (ended)
		assert_int_equal(read(fd, buf, 1), 0);
}

static void expect_text(int fd, const char *text, bool ended)
{
	expect(fd, text, strlen(text), ended);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* It ends with this status, and has said this in one line, or nothing. */
static void ends(struct connect_test *test, int expected, const char *said)
{
	char text[1024] = "";
	size_t bytes = 0;
	int status;
	ssize_t n;

	while ((n = read(test->err, text + bytes, sizeof(text) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	assert_int_equal(waitpid(test->pid, &status, 0), test->pid);
	test->pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
		print_error("status 0x%x: %s\n", (unsigned int)status, text);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
	if (!said) {
		assert_string_equal(text, "");
		return;
	}
	assert_non_null(strstr(text, said));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* ---- whoever is at the socket ---- */

static void let_in(struct connect_test *test)
{
	test->fd = accept4(test->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(test->fd >= 0);
	expect_text(test->fd, "CONNECT 1234\n", false);
}

static void connected(struct connect_test *test)
{
	start(test, test->path, "1234");
	let_in(test);
	put(test->fd, "OK 1073741824\n");
}

static void hang_up(struct connect_test *test)
{
	close(test->fd);
	test->fd = -1;
}

static void end_input(struct connect_test *test)
{
	close(test->in);
	test->in = -1;
}

/* ---- tests ---- */

static int setup(void **state)
{
	struct connect_test *test = calloc(1, sizeof(*test));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	assert_non_null(test);
	test->in = test->out = test->err = test->fd = -1;
	snprintf(test->dir, sizeof(test->dir), "/tmp/bp-connect-XXXXXX");
	assert_non_null(mkdtemp(test->dir));
	snprintf(test->path, sizeof(test->path), "%s/v.sock", test->dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test->path);
	test->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(test->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(test->listener, 4), 0);
	signal(SIGPIPE, SIG_IGN);
	alarm(LIMIT_S);
	*state = test;
	return 0;
}

static int teardown(void **state)
{
	struct connect_test *test = *state;
	int fds[] = { test->listener, test->in, test->out, test->err, test->fd };

	if (test->pid) {
		kill(test->pid, SIGKILL);
		waitpid(test->pid, NULL, 0);
	}
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	unlink(test->path);
	rmdir(test->dir);
	free(test);
	return 0;
}

static void both_directions_are_connected(void **state)
{
	struct connect_test *test = *state;

	connected(test);
	put(test->in, "question\n");
	expect_text(test->fd, "question\n", false);
	put(test->fd, "answer\n");
	expect_text(test->out, "answer\n", false);
	put(test->in, "another\n");
	expect_text(test->fd, "another\n", false);
	hang_up(test);
	expect_text(test->out, "", true);
	ends(test, 0, NULL);
}

static void what_comes_right_behind_the_answer_is_output(void **state)
{
	struct connect_test *test = *state;

	start(test, test->path, "1234");
	let_in(test);
	put(test->fd, "OK 1\nOK 2\nwelcome");
	hang_up(test);
	expect_text(test->out, "OK 2\nwelcome", true);
	ends(test, 0, NULL);
}

static void the_answer_may_come_byte_by_byte(void **state)
{
	struct connect_test *test = *state;
	const char *answer = "OK 1073741830\n";

	start(test, test->path, "1234");
	let_in(test);
	for (; *answer; answer++)
		assert_int_equal(write(test->fd, answer, 1), 1);
	put(test->in, "x");
	expect_text(test->fd, "x", false);
	hang_up(test);
	ends(test, 0, NULL);
}

static void the_end_of_the_input_is_passed_on(void **state)
{
	struct connect_test *test = *state;

	connected(test);
	put(test->in, "all there is");
	end_input(test);
	expect_text(test->fd, "all there is", true);
	/* The other direction goes on. */
	put(test->fd, "thanks");
	expect_text(test->out, "thanks", false);
	hang_up(test);
	ends(test, 0, NULL);
}

/* It does not wait for more input. */
static void a_guest_that_ends_is_the_end(void **state)
{
	struct connect_test *test = *state;

	connected(test);
	put(test->fd, "bye");
	hang_up(test);
	expect_text(test->out, "bye", true);
	ends(test, 0, NULL);
}

static void a_guest_that_ends_its_half_can_go_on_to_listen(void **state)
{
	struct connect_test *test = *state;

	connected(test);
	put(test->fd, "I am all ears");
	shutdown(test->fd, SHUT_WR);
	expect_text(test->out, "I am all ears", false);
	put(test->in, "one");
	expect_text(test->fd, "one", false);
	put(test->in, "two");
	expect_text(test->fd, "two", false);
	end_input(test);
	expect_text(test->fd, "", true);
	ends(test, 0, NULL);
}

static void refusal_is_said(void **state)
{
	struct connect_test *test = *state;

	start(test, test->path, "1234");
	let_in(test);
	hang_up(test);
	expect_text(test->out, "", true);
	ends(test, 1, "the guest refuses port 1234: nobody listens there, or it does not answer\n");
}

static void other_answers_are_refused(void **state)
{
	static const char *const answers[] = {
		"HELLO\n",         "OK\n",     "OK \n",
		"OK x\n",          "OK 1",     "ok 1\n",
		"OK 4294967296\n", "OK 1 2\n", "OK 000000000000000000000000000000000000001\n",
	};
	struct connect_test *test = *state;

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		start(test, test->path, "1234");
		let_in(test);
		put(test->fd, answers[i]);
		hang_up(test);
		expect_text(test->out, "", true);
		ends(test, 1, "does not lead to a guest\n");
		close(test->in);
		close(test->out);
		close(test->err);
	}
	test->in = test->out = test->err = -1;
}

static void nobody_at_the_socket_is_said(void **state)
{
	struct connect_test *test = *state;
	char path[4096];

	snprintf(path, sizeof(path), "%s/none", test->dir);
	start(test, path, "1");
	ends(test, 1, "/none\": No such file or directory\n");
}

static void a_path_that_is_too_long_is_said(void **state)
{
	struct connect_test *test = *state;
	char path[200];

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	start(test, path, "1");
	ends(test, 1, "File name too long\n");
}

/* ---- much ---- */

static char *bulk(void)
{
	char *bytes = malloc(BULK_BYTES);

	assert_non_null(bytes);
	for (size_t i = 0; i < BULK_BYTES; i++)
		bytes[i] = (char)(i * 31 + i / 257);
	return bytes;
}

/* Both ends write without reading until everything is full, and only then read: neither direction waits for the other. */
static void much_goes_both_ways_at_once(void **state)
{
	struct connect_test *test = *state;
	char *bytes = bulk(), buf[5000];
	size_t in_sent = 0, in_got = 0, out_sent = 0, out_got = 0;
	bool full = false;

	connected(test);
	fcntl(test->in, F_SETFL, O_NONBLOCK);
	fcntl(test->out, F_SETFL, O_NONBLOCK);
	fcntl(test->fd, F_SETFL, O_NONBLOCK);
	while (in_got < BULK_BYTES || out_got < BULK_BYTES) {
		struct pollfd pfds[] = {
			{ .fd = in_sent < BULK_BYTES ? test->in : -1, .events = POLLOUT },
			{ .fd = test->fd,
			  .events = (short)((out_sent < BULK_BYTES ? POLLOUT : 0) | (full ? POLLIN : 0)) },
			{ .fd = test->out, .events = full ? POLLIN : 0 },
		};
		ssize_t n;

		/* Nothing more fits for a while: from now on it is read as well. */
		if (poll(pfds, 3, full ? -1 : 300) == 0)
			full = true;
		if (pfds[0].revents & POLLOUT) {
			n = write(test->in, bytes + in_sent, BULK_BYTES - in_sent);
			in_sent += n > 0 ? (size_t)n : 0;
		}
		if (pfds[1].revents & POLLOUT) {
			n = write(test->fd, bytes + out_sent, BULK_BYTES - out_sent);
			out_sent += n > 0 ? (size_t)n : 0;
		}
		if (pfds[1].revents & POLLIN) {
			n = read(test->fd, buf, sizeof(buf));
			assert_true(n > 0);
			assert_memory_equal(buf, bytes + in_got, (size_t)n);
			in_got += (size_t)n;
		}
		if (pfds[2].revents & POLLIN) {
			n = read(test->out, buf, sizeof(buf));
			assert_true(n > 0);
			assert_memory_equal(buf, bytes + out_got, (size_t)n);
			out_got += (size_t)n;
		}
	}
	assert_int_equal(in_got, in_sent);
	assert_int_equal(out_got, out_sent);
	hang_up(test);
	ends(test, 0, NULL);
	free(bytes);
}

static void input_that_is_not_taken_is_said(void **state)
{
	struct connect_test *test = *state;
	char *bytes = bulk();
	ssize_t n;

	connected(test);
	/* More than the pipe holds is in the program's hands and in the socket. */
	n = write(test->in, bytes, 200000);
	assert_int_equal(n, 200000);
	hang_up(test);
	ends(test, 1, "input\n");
	free(bytes);
}

static void output_that_nobody_reads_is_said(void **state)
{
	struct connect_test *test = *state;

	connected(test);
	close(test->out);
	test->out = -1;
	put(test->fd, "is anybody there?");
	ends(test, 1, "cannot write to standard output: Broken pipe\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_directions_are_connected),
		TEST(what_comes_right_behind_the_answer_is_output),
		TEST(the_answer_may_come_byte_by_byte),
		TEST(the_end_of_the_input_is_passed_on),
		TEST(a_guest_that_ends_is_the_end),
		TEST(a_guest_that_ends_its_half_can_go_on_to_listen),
		TEST(refusal_is_said),
		TEST(other_answers_are_refused),
		TEST(nobody_at_the_socket_is_said),
		TEST(a_path_that_is_too_long_is_said),
		TEST(much_goes_both_ways_at_once),
		TEST(input_that_is_not_taken_is_said),
		TEST(output_that_nobody_reads_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
