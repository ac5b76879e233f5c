/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core's end of the spawner against one that says what it likes. It is a child of this program, made by a
 * program_start() of the test's own, and does what `script` says. Waiting ends early here (--wrap=msg_wait), as some of
 * it is for nothing.
 */
#include "core/base/clock.h"
#include "core/base/msg.h"
#include "core/placement/program.h"
#include "core/placement/spawner.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define EARLY_NS NS_PER_S

/* What comes along with a message. */
enum with { WITH_NOTHING, WITH_PIDFD, WITH_FILE, WITH_TWO_PIDFDS, WITH_MANY_FILES };

struct said {
	struct spawn_answer answer;
	size_t bytes; /* 0: as they should be */
	enum with with;
};

/* What it says at first, and to each request. */
static struct {
	struct said first[2], then[4];
	bool closes; /* its end, after those */
	bool stays;  /* when we have closed ours */
} script;

#define ANSWER(op_, ...)                                           \
	{                                                          \
		.version = SPAWN_VERSION, .op = (op_), __VA_ARGS__ \
	}
#define READY                                 \
	{                                     \
		.answer = ANSWER(SPAWN_READY) \
	}
#define STARTED_WITH(token_, with_, bytes_)                                                                      \
	{                                                                                                        \
		.answer = ANSWER(SPAWN_STARTED, .token = (token_), .pid = 7), .with = (with_), .bytes = (bytes_) \
	}
#define STARTED(token_) STARTED_WITH(token_, WITH_PIDFD, 0)
#define ENDED(token_, ...)                                                                                     \
	{                                                                                                      \
		.answer = ANSWER(SPAWN_ENDED, .token = (token_), .code = CLD_EXITED, .status = 3), __VA_ARGS__ \
	}

/* ---- the spawner ---- */

static void say(int socket, const struct said *said)
{
	static const size_t counts[] = { 0, 1, 1, 2, MSG_FDS_MAX };
	uint8_t bytes[2 * sizeof(said->answer)] = { 0 };
	struct msg_fds fds = { .count = counts[said->with] };

	for (size_t i = 0; i < fds.count; i++)
		fds.fds[i] =
		    said->with == WITH_FILE || said->with == WITH_MANY_FILES ? STDIN_FILENO : pidfd_open(getpid(), 0);
	memcpy(bytes, &said->answer, sizeof(said->answer));
	if (said->answer.op)
		MUST(msg_send(socket, bytes, said->bytes ? said->bytes : sizeof(said->answer), &fds, 0) == 0);
	msg_fds_close(&(struct msg_fds){ .count = said->with == WITH_PIDFD, .fds = { fds.fds[0] } });
}

static bool has_request(int socket)
{
	struct spawn_request request;
	struct msg_fds fds;

	if (msg_wait(socket, -1, 0) < 0 ||
	    msg_recv(socket, &request, sizeof(request), &fds) != (ssize_t)sizeof(request))
		return false;
	MUST(request.op == SPAWN_START && request.token && fds.count == SPAWN_FDS);
	msg_fds_close(&fds);
	return true;
}

static void run_script(int socket)
{
	for (size_t i = 0; i < COUNT_OF(script.first); i++)
		say(socket, &script.first[i]);
	while (script.first[0].answer.op && has_request(socket)) {
		for (size_t i = 0; i < COUNT_OF(script.then); i++)
			say(socket, &script.then[i]);
		/* With the right token for whoever asks again. */
		for (size_t i = 0; i < COUNT_OF(script.then); i++)
			script.then[i].answer.token++;
		if (script.closes)
			return;
	}
}

int program_start(const struct program *program, pid_t *ret)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		int socket = dup2(program->fds[SPAWN_FD], SPAWN_FD);

		MUST(socket == SPAWN_FD && close_range(SPAWN_FD + 1, UINT_MAX, 0) == 0);
		run_script(socket);
		while (script.stays)
			pause();
		_exit(0);
	}
	*ret = pid;
	return 0;
}

/* ---- the client ---- */

int __real_msg_wait(int fd, int gone_fd, uint64_t deadline_ns);
int __wrap_msg_wait(int fd, int gone_fd, uint64_t deadline_ns);

static bool shorten;

int __wrap_msg_wait(int fd, int gone_fd, uint64_t deadline_ns)
{
	return __real_msg_wait(fd, gone_fd, shorten ? clock_now_ns() + EARLY_NS : deadline_ns);
}

static int make(struct spawner **ret)
{
	struct err err = ERR_NONE;
	int r = spawner_new(ret, &err);

	assert_true((r < 0) == (err.text[0] != 0));
	return r;
}

static int start(struct spawner *spawner, uint64_t token)
{
	const int fds[SPAWN_FDS] = { STDIN_FILENO, STDIN_FILENO, STDIN_FILENO, STDIN_FILENO };
	struct err err = ERR_NONE;
	int pid = -2, pidfd = -2;
	int r = spawner_start(spawner, token, fds, &pid, &pidfd, &err);

	assert_true((r < 0) == (err.text[0] != 0));
	assert_true((r < 0) == (pid == -2) && (r < 0) == (pidfd == -2));
	if (r == 0)
		close(pidfd);
	return r;
}

static bool is_readable(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	return poll(&polled, 1, 0) == 1;
}

/* The next end once there is something to take. */
static int next(struct spawner *spawner, struct spawn_ended *ret)
{
	struct pollfd polled = { .fd = spawner_fd(spawner), .events = POLLIN };

	MUST(poll(&polled, 1, PATIENCE_S * 1000) == 1);
	return spawner_next(spawner, ret);
}

static void assert_broken(struct spawner *spawner)
{
	struct spawn_ended ended;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(spawner_next(spawner, &ended), -ECONNRESET);
		assert_int_equal(start(spawner, 1000), -ECONNRESET);
		assert_true(is_readable(spawner_fd(spawner)));
	}
}

static void set_script(const struct said *first, const struct said *then)
{
	memset(&script, 0, sizeof(script));
	if (first)
		script.first[0] = *first;
	if (then)
		script.then[0] = *then;
}

/* One that is ready, and says that to each request. */
static struct spawner *make_ready(const struct said then[static COUNT_OF(script.then)])
{
	static const struct said ready = READY;
	struct spawner *spawner;

	set_script(&ready, NULL);
	memcpy(script.then, then, sizeof(script.then));
	assert_int_equal(make(&spawner), 0);
	return spawner;
}

#define MAKE_READY(...) make_ready((const struct said[COUNT_OF(script.then)]){ __VA_ARGS__ })

/* The control of all that follows. */
static void right_answers_are_taken(void **state)
{
	size_t before = count_fds();
	struct spawner *spawner = MAKE_READY(STARTED(5), ENDED(5));
	struct spawn_ended ended;

	(void)state;
	assert_int_equal(start(spawner, 5), 0);
	assert_int_equal(next(spawner, &ended), 1);
	assert_int_equal(ended.token, 5);
	assert_int_equal(ended.code, CLD_EXITED);
	assert_int_equal(ended.status, 3);
	assert_int_equal(spawner_next(spawner, &ended), 0);
	assert_false(is_readable(spawner_fd(spawner)));
	spawner_free(spawner);
	assert_int_equal(count_fds(), before);
}

static void handshake_that_is_none_is_refused(void **state)
{
	static const struct said cases[] = {
		{ .answer = { 0 } }, /* it ends without a word */
		{ .answer = { .version = SPAWN_VERSION + 1, .op = SPAWN_READY } },
		{ .answer = ANSWER(SPAWN_STARTED) },
		{ .answer = ANSWER(SPAWN_ENDED, .token = 1, .code = CLD_EXITED) },
		{ .answer = ANSWER(99) },
		{ .answer = ANSWER(SPAWN_READY, .token = 1) },
		{ .answer = ANSWER(SPAWN_READY), .bytes = 31 },
		{ .answer = ANSWER(SPAWN_READY), .bytes = 33 },
		{ .answer = ANSWER(SPAWN_READY), .with = WITH_FILE },
	};
	size_t before = count_fds();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct spawner *spawner = NULL;

		set_script(&cases[i], NULL);
		assert_true(make(&spawner) < 0);
		assert_null(spawner);
		assert_int_equal(count_fds(), before);
		assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	}
}

static void answer_that_fits_no_request_is_the_last(void **state)
{
	static const struct said cases[] = {
		STARTED_WITH(5, WITH_PIDFD, 31),
		STARTED_WITH(5, WITH_PIDFD, 33),
		STARTED(6),
		STARTED(0),
		STARTED_WITH(5, WITH_NOTHING, 0),
		STARTED_WITH(5, WITH_FILE, 0),
		STARTED_WITH(5, WITH_TWO_PIDFDS, 0),
		STARTED_WITH(5, WITH_MANY_FILES, 0),
		{ .answer = { .version = 0, .op = SPAWN_STARTED, .token = 5, .pid = 7 }, .with = WITH_PIDFD },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5), .with = WITH_PIDFD },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .pid = -7), .with = WITH_PIDFD },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = 1) },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -4096) },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = INT32_MIN) },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -ENOENT, .pid = 7) },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -ENOENT), .with = WITH_PIDFD },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -ENOENT, .code = SPAWN_STEPS) },
		{ .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -ENOENT, .code = -1) },
		{ .answer = ANSWER(SPAWN_READY) },
		{ .answer = ANSWER(SPAWN_START, .token = 5) },
		/* Of none that runs; the one that is asked for does not run yet. */
		ENDED(5),
		ENDED(6),
	};
	size_t before = count_fds();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct spawner *spawner = MAKE_READY(cases[i]);
		int r = start(spawner, 5);

		if (r != -ECONNRESET)
			print_error("case %zu: %d\n", i, r);
		assert_int_equal(r, -ECONNRESET);
		assert_broken(spawner);
		spawner_free(spawner);
		assert_int_equal(count_fds(), before);
	}
}

static void word_that_nobody_asked_for_is_the_last(void **state)
{
	static const struct said started = STARTED(5);
	static const struct said cases[] = {
		STARTED(5),
		STARTED(6),
		READY,
		ENDED(6),
		ENDED(5, .bytes = 31),
		ENDED(5, .bytes = 33),
		ENDED(5, .with = WITH_FILE),
		ENDED(5, .with = WITH_MANY_FILES),
		{ .answer = ANSWER(SPAWN_ENDED, .token = 5, .code = 0) },
		{ .answer = ANSWER(SPAWN_ENDED, .token = 5, .code = CLD_STOPPED, .status = 19) },
		{ .answer = ANSWER(SPAWN_ENDED, .token = 5, .code = -1) },
	};
	size_t before = count_fds();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct spawner *spawner = MAKE_READY(started, cases[i]);
		struct spawn_ended ended;
		int r;

		assert_int_equal(start(spawner, 5), 0);
		r = next(spawner, &ended);
		if (r != -ECONNRESET)
			print_error("case %zu: %d\n", i, r);
		assert_int_equal(r, -ECONNRESET);
		assert_broken(spawner);
		spawner_free(spawner);
		assert_int_equal(count_fds(), before);
	}
}

static void end_is_told_once(void **state)
{
	struct spawner *spawner = MAKE_READY(STARTED(5), ENDED(5), ENDED(5));
	struct spawn_ended ended;

	(void)state;
	assert_int_equal(start(spawner, 5), 0);
	assert_int_equal(next(spawner, &ended), 1);
	assert_int_equal(next(spawner, &ended), -ECONNRESET);
	assert_broken(spawner);
	spawner_free(spawner);
}

/* The answer to the second request has the first one's end before it. */
static void ends_that_come_before_an_answer_are_kept(void **state)
{
	struct spawner *spawner = MAKE_READY(STARTED(5), ENDED(5));
	struct spawn_ended ended;

	(void)state;
	assert_int_equal(start(spawner, 5), 0);
	assert_int_equal(start(spawner, 6), 0);
	assert_int_equal(start(spawner, 7), 0);
	for (uint64_t token = 5; token <= 7; token++) {
		assert_int_equal(next(spawner, &ended), 1);
		assert_int_equal(ended.token, token);
	}
	assert_int_equal(spawner_next(spawner, &ended), 0);
	assert_false(is_readable(spawner_fd(spawner)));
	spawner_free(spawner);
}

static void failure_is_told_and_more_can_be_started(void **state)
{
	static const struct said failed = { .answer = ANSWER(SPAWN_STARTED, .token = 5, .error = -ENOMEM,
							     .code = SPAWN_STEP_LIMITS) };
	struct spawner *spawner = MAKE_READY(failed);

	(void)state;
	for (uint64_t token = 5; token < 8; token++)
		assert_int_equal(start(spawner, token), -ENOMEM);
	spawner_free(spawner);
}

/* As many as there may be, running or with an end that nobody has taken. */
static void processes_are_limited(void **state)
{
	struct spawn_ended ended;

	(void)state;
	for (int ending = 0; ending < 2; ending++) {
		struct spawner *spawner = ending ? MAKE_READY(STARTED(1), ENDED(1)) : MAKE_READY(STARTED(1));

		for (uint64_t token = 1; token <= SPAWN_PROCESSES_MAX; token++)
			assert_int_equal(start(spawner, token), 0);
		assert_int_equal(start(spawner, SPAWN_PROCESSES_MAX + 1), -EAGAIN);
		if (ending) {
			assert_int_equal(next(spawner, &ended), 1);
			assert_int_equal(start(spawner, SPAWN_PROCESSES_MAX + 1), 0);
		}
		spawner_free(spawner);
	}
}

static void hang_up_in_place_of_an_answer_is_noticed(void **state)
{
	static const struct said ready = READY;
	struct spawner *spawner;

	(void)state;
	set_script(&ready, NULL);
	script.closes = true;
	assert_int_equal(make(&spawner), 0);
	assert_int_equal(start(spawner, 5), -ECONNRESET);
	assert_broken(spawner);
	spawner_free(spawner);
}

/* Neither its answer nor its end is waited for for ever. */
static void silence_and_a_spawner_that_stays_are_ended(void **state)
{
	static const struct said ready = READY, started = STARTED(5);
	struct spawner *spawner = NULL;

	(void)state;
	shorten = true;
	set_script(NULL, NULL);
	script.stays = true;
	assert_true(make(&spawner) < 0);
	assert_null(spawner);
	set_script(&ready, NULL);
	script.stays = true;
	assert_int_equal(make(&spawner), 0);
	assert_int_equal(start(spawner, 5), -ECONNRESET);
	assert_broken(spawner);
	spawner_free(spawner);
	/* The control: the same with answers. */
	set_script(&ready, &started);
	script.stays = true;
	assert_int_equal(make(&spawner), 0);
	assert_int_equal(start(spawner, 5), 0);
	spawner_free(spawner);
	shorten = false;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_answers_are_taken),
		cmocka_unit_test(handshake_that_is_none_is_refused),
		cmocka_unit_test(answer_that_fits_no_request_is_the_last),
		cmocka_unit_test(word_that_nobody_asked_for_is_the_last),
		cmocka_unit_test(end_is_told_once),
		cmocka_unit_test(ends_that_come_before_an_answer_are_kept),
		cmocka_unit_test(failure_is_told_and_more_can_be_started),
		cmocka_unit_test(processes_are_limited),
		cmocka_unit_test(hang_up_in_place_of_an_answer_is_noticed),
		cmocka_unit_test(silence_and_a_spawner_that_stays_are_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
