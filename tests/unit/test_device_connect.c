/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections of a device (bp_connect): what may be asked for, when the plugin is told, and what becomes of answers that nobody waits for. */
#include "tests/unit/loop_fixture.h"

#include <backplane/network.h>

#define ROUNDS 1000

/* What the place was asked for, in order, and what the plugin was told. */
static struct {
	struct device_connect asks[ROUNDS * 2];
	atomic_size_t ask_count;
	int answer; /* of a place that answers at once */
	int inside; /* how deep in bp_connect() */
	bool told_inside;
	uintptr_t args[ROUNDS * 2];
	int fds[ROUNDS * 2];
	struct event told;
	bool again;
	int result; /* of the last bp_connect() */
} the;

static int connect_setup(void **state)
{
	int r = loop_setup(state);
	struct subject *one = &((struct fixture *)*state)->one;

	memset(&the, 0, sizeof(the));
	the.told = (struct event)EVENT_INIT;
	subject_set(one, "socket", (struct value){ .text = strdup("vm.sock"), .fd = -1, .fd_out = -1 });
	return r;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, connect_setup, loop_teardown)

/* ---- the plugin ---- */

static int connect_socket(struct subject *subject, uint32_t number, uintptr_t arg);

static void on_connected(void *arg, int fd)
{
	uint64_t index = event_count(&the.told);

	MUST(device_context.tag == DEVICE_TAG_DEV);
	the.told_inside |= the.inside > 0;
	if (index < COUNT_OF(the.fds)) {
		the.args[index] = (uintptr_t)arg;
		the.fds[index] = fd;
	}
	event_post(&the.told);
	if (the.again)
		the.result = connect_socket(subject_now, 0, 0);
}

static int call_connect(struct subject *subject, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done,
			uintptr_t arg)
{
	int r;

	the.inside++;
	r = bp_connect(subject->dev, name, index, number, done, (void *)arg);
	the.inside--;
	return r;
}

static int connect_socket(struct subject *subject, uint32_t number, uintptr_t arg)
{
	return call_connect(subject, "socket", 0, number, on_connected, arg);
}

static int connect_in_start(struct subject *subject)
{
	return connect_socket(subject, 7, 1);
}

static int connect_in_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access;
	return connect_socket(subject, (uint32_t)*val, *val);
}

/* From within an access. */
static int ask(struct subject *subject, uint32_t number)
{
	uint64_t value = number;

	subject->hooks.access = connect_in_access;
	return device_access(subject->device, 0, 0, 4, true, &value);
}

/* ---- the place ---- */

static int note(struct subject *subject, const struct device_connect *asked)
{
	size_t index = atomic_load(&the.ask_count);

	(void)subject;
	if (index < COUNT_OF(the.asks))
		the.asks[index] = *asked;
	/* Afterwards: who sees the count looks at the entry. */
	atomic_store(&the.ask_count, index + 1);
	return 0;
}

static int answer_at_once(struct subject *subject, const struct device_connect *asked)
{
	note(subject, asked);
	MUST(device_connected(device_of(subject->dev), asked->token, the.answer));
	return 0;
}

/* A descriptor, and whether it is still open. */
static int some_fd(void)
{
	int fd = fd_event();

	assert_true(fd >= 0);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* ---- answers ---- */

static void an_answer_comes_on_the_device(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int param = schema_find(one->class.decl.schema, "socket");
	int fd = some_fd();

	one->connect = note;
	subject_run(one);
	assert_int_equal(ask(one, 4000000000), 0);
	assert_int_equal(the.ask_count, 1);
	assert_int_equal(the.asks[0].param, param);
	assert_int_equal(the.asks[0].index, 0);
	assert_int_equal(the.asks[0].number, 4000000000);
	assert_int_equal(event_count(&the.told), 0);
	assert_true(device_connected(one->device, the.asks[0].token, fd));
	assert_true(event_wait(&the.told, 1));
	assert_int_equal(the.args[0], 4000000000);
	assert_int_equal(the.fds[0], fd);
	assert_true(is_open(fd));
	close(fd);
}

static void an_answer_at_once_is_not_told_from_within(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = answer_at_once;
	the.answer = -ECONNREFUSED;
	subject_run(one);
	assert_int_equal(ask(one, 1), 0);
	assert_true(event_wait(&the.told, 1));
	assert_int_equal(the.fds[0], -ECONNREFUSED);
	assert_false(the.told_inside);
}

static void what_start_asks_for_is_told_once_it_runs(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = answer_at_once;
	one->hooks.start = connect_in_start;
	the.answer = -ENOENT;
	subject_run(one);
	assert_true(event_wait(&the.told, 1));
	assert_int_equal(the.asks[0].number, 7);
	assert_int_equal(the.args[0], 1);
}

static void a_reset_does_not_end_it(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	subject_run(one);
	assert_int_equal(ask(one, 1), 0);
	device_reset(one->device);
	assert_true(device_connected(one->device, the.asks[0].token, -ENOENT));
	assert_true(event_wait(&the.told, 1));
}

static void a_device_at_rest_is_told_when_it_goes_on(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	subject_run(one);
	assert_int_equal(ask(one, 1), 0);
	assert_int_equal(ask(one, 2), 0);
	assert_int_equal(device_quiesce(one->device), 0);
	/* The loop has ended: nobody could tell. */
	assert_true(device_connected(one->device, the.asks[1].token, -ENOENT));
	assert_true(device_connected(one->device, the.asks[0].token, -EAGAIN));
	assert_int_equal(event_count(&the.told), 0);
	assert_int_equal(device_resume(one->device, &one->err), 0);
	assert_true(event_wait(&the.told, 2));
	/* In the order of the answers. */
	assert_int_equal(the.args[0], 2);
	assert_int_equal(the.args[1], 1);
}

/* The loop is still there, but finds the device at rest. */
static void answer_in_quiesce(struct subject *subject)
{
	MUST(device_connected(subject->device, the.asks[0].token, -ENOENT));
}

static void an_answer_during_quiesce_is_not_lost(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	one->hooks.quiesce = answer_in_quiesce;
	subject_run(one);
	assert_int_equal(ask(one, 1), 0);
	assert_int_equal(device_quiesce(one->device), 0);
	assert_int_equal(device_resume(one->device, &one->err), 0);
	assert_true(event_wait(&the.told, 1));
}

static void *answer_all(void *arg)
{
	struct subject *subject = arg;

	for (size_t i = 0; i < ROUNDS; i++) {
		while (atomic_load(&the.ask_count) <= i)
			sched_yield();
		MUST(device_connected(subject->device, the.asks[i].token, -(int)i - 1));
	}
	return NULL;
}

static void another_thread_answers(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	pthread_t thread;

	one->connect = note;
	subject_run(one);
	MUST(pthread_create(&thread, NULL, answer_all, one) == 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		int r = ask(one, i);

		for (; r == -ENOSPC; r = ask(one, i))
			assert_true(event_wait(&the.told, i - DEVICE_CONNECTS_MAX + 1));
		assert_int_equal(r, 0);
	}
	assert_true(thread_join(thread));
	assert_true(event_wait(&the.told, ROUNDS));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		assert_int_equal(the.args[i], i);
		assert_int_equal(the.fds[i], -(int)i - 1);
	}
}

static int start_again(struct subject *subject)
{
	MUST(add_first(subject) == 0);
	return connect_in_start(subject);
}

static void answers_that_lead_to_questions_keep_nobody_away(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	one->connect = answer_at_once;
	one->hooks.start = start_again;
	the.answer = -ENOENT;
	the.again = true;
	assert_int_equal(subject_new(one), 0);
	subject_now = one;
	assert_int_equal(device_start(one->device, &one->err), 0);
	for (uint64_t i = 1; i <= 10; i++) {
		fd_event_signal(watch->fd);
		assert_true(event_wait(&watch->called, i));
	}
	assert_true(event_wait(&the.told, 10));
	device_stop(one->device);
	subject_now = NULL;
}

/* ---- tokens ---- */

static void an_answer_that_is_not_due_stays_the_callers(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int fd = some_fd();
	uint32_t token;

	one->connect = note;
	subject_run(one);
	assert_false(device_connected(one->device, 0, fd));
	assert_int_equal(ask(one, 1), 0);
	token = the.asks[0].token;
	for (uint32_t i = 1; i <= 2 * DEVICE_CONNECTS_MAX; i++) {
		assert_false(device_connected(one->device, token + i, fd));
		assert_false(device_connected(one->device, token - i, fd));
	}
	assert_true(device_connected(one->device, token, -ENOENT));
	assert_false(device_connected(one->device, token, fd));
	assert_true(event_wait(&the.told, 1));
	assert_false(device_connected(one->device, token, fd));
	/* Nor is it the next one's, which has its slot. */
	assert_int_equal(ask(one, 1), 0);
	assert_false(device_connected(one->device, token, fd));
	assert_true(is_open(fd));
	close(fd);
}

static void tokens_are_not_used_twice(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	subject_run(one);
	/* The first waits all the time. */
	assert_int_equal(ask(one, 0), 0);
	for (uint32_t i = 1; i <= 200; i++) {
		assert_int_equal(ask(one, i), 0);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(the.asks[i].token, the.asks[j].token);
		assert_true(device_connected(one->device, the.asks[i].token, -ENOENT));
		assert_true(event_wait(&the.told, i));
	}
	assert_true(device_connected(one->device, the.asks[0].token, -EIO));
	assert_true(event_wait(&the.told, 201));
	assert_int_equal(the.fds[200], -EIO);
}

static void at_most_64_are_under_way(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	subject_run(one);
	for (uint32_t i = 0; i < DEVICE_CONNECTS_MAX; i++)
		assert_int_equal(ask(one, i), 0);
	assert_int_equal(ask(one, 99), -ENOSPC);
	assert_int_equal(the.ask_count, DEVICE_CONNECTS_MAX);
	assert_true(device_connected(one->device, the.asks[5].token, -ENOENT));
	assert_true(event_wait(&the.told, 1));
	assert_int_equal(ask(one, 99), 0);
	assert_int_equal(ask(one, 99), -ENOSPC);
}

/* ---- what is refused ---- */

static int ask_wrongly(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	MUST(call_connect(subject, "socket", 0, 1, NULL, 0) == -EINVAL);
	MUST(call_connect(subject, "socket", 1, 1, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, "socket", UINT32_MAX, 1, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, NULL, 0, 1, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, "nothing", 0, 1, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, "word", 0, 0, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, "absent", 0, 0, on_connected, 0) == -EINVAL);
	MUST(call_connect(subject, "network", 0, 1, on_connected, 0) == -EINVAL);
	return call_connect(subject, "network", 0, 0, on_connected, 0);
}

static void give_network(struct subject *subject, uint32_t flags)
{
	struct value value = value_text("network");

	value.network = calloc(1, sizeof(*value.network));
	MUST(value.network);
	value.network->kind = BP_NETWORK_STREAM;
	value.network->flags = flags;
	subject_set(subject, "network", value);
}

static void only_what_can_be_connected(void **state)
{
	struct fixture *fixture = *state;

	fixture->one.connect = note;
	fixture->two.connect = note;
	give_network(&fixture->one, BP_NETWORK_CONNECTS);
	give_network(&fixture->two, 0);
	subject_set(&fixture->one, "word", value_text("word"));
	subject_set(&fixture->two, "word", value_text("word"));
	subject_run(&fixture->one);
	subject_run(&fixture->two);
	assert_int_equal(on_dev(&fixture->one, ask_wrongly), 0);
	assert_int_equal(the.ask_count, 1);
	assert_int_equal(the.asks[0].param, schema_find(fixture->one.class.decl.schema, "network"));
	assert_int_equal(on_dev(&fixture->two, ask_wrongly), -EINVAL);
	/* That one has no socket, either. */
	assert_int_equal(ask(&fixture->two, 1), -EINVAL);
	assert_int_equal(the.ask_count, 1);
}

static int refuse(struct subject *subject, const struct device_connect *asked)
{
	note(subject, asked);
	return -EIO;
}

static void what_the_place_refuses_leaves_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = refuse;
	subject_run(one);
	for (uint32_t i = 0; i < 2 * DEVICE_CONNECTS_MAX; i++) {
		assert_int_equal(ask(one, i), -EIO);
		assert_false(device_connected(one->device, the.asks[i].token, -EIO));
	}
}

static int connect_in_create(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	the.result = connect_socket(subject, 1, 0);
	return 0;
}

static void create_is_too_early(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = note;
	one->hooks.create = connect_in_create;
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(the.result, -EDEADLK);
	assert_string_equal(log_caught(),
			    "backplane: error: one: plugin error: bp_connect was called from create, where "
			    "it is not allowed\n");
}

/* ---- the end ---- */

static void connect_in_stop(struct subject *subject)
{
	the.result = connect_socket(subject, 1, 0);
}

static void a_stop_closes_what_was_not_told(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int early = some_fd(), late = some_fd();

	one->connect = note;
	one->hooks.stop = connect_in_stop;
	subject_run(one);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(ask(one, i), 0);
	assert_int_equal(device_quiesce(one->device), 0);
	assert_true(device_connected(one->device, the.asks[0].token, early));
	device_stop(one->device);
	assert_int_equal(the.result, -ESHUTDOWN);
	assert_false(is_open(early));
	assert_true(device_connected(one->device, the.asks[1].token, late));
	assert_false(is_open(late));
	assert_false(device_connected(one->device, the.asks[1].token, -EIO));
	assert_int_equal(event_count(&the.told), 0);
}

static int fail_to_start(struct subject *subject)
{
	MUST(connect_in_start(subject) == 0);
	return -EIO;
}

static void a_start_that_fails_closes_it(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->connect = answer_at_once;
	one->hooks.start = fail_to_start;
	the.answer = some_fd();
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(device_start(one->device, &one->err), -EIO);
	assert_false(is_open(the.answer));
	assert_int_equal(event_count(&the.told), 0);
}

static void the_end_of_a_device_closes_it(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	size_t fds = count_fds();

	one->connect = note;
	subject_run(one);
	assert_int_equal(ask(one, 1), 0);
	assert_int_equal(ask(one, 2), 0);
	assert_int_equal(device_quiesce(one->device), 0);
	assert_true(device_connected(one->device, the.asks[0].token, some_fd()));
	subject_end(one);
	/* The subject has had two before. */
	assert_int_equal(count_fds(), fds - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_comes_on_the_device),
		TEST(an_answer_at_once_is_not_told_from_within),
		TEST(what_start_asks_for_is_told_once_it_runs),
		TEST(a_reset_does_not_end_it),
		TEST(a_device_at_rest_is_told_when_it_goes_on),
		TEST(an_answer_during_quiesce_is_not_lost),
		TEST(another_thread_answers),
		TEST(answers_that_lead_to_questions_keep_nobody_away),
		TEST(an_answer_that_is_not_due_stays_the_callers),
		TEST(tokens_are_not_used_twice),
		TEST(at_most_64_are_under_way),
		TEST(only_what_can_be_connected),
		TEST(what_the_place_refuses_leaves_nothing),
		TEST(create_is_too_early),
		TEST(a_stop_closes_what_was_not_told),
		TEST(a_start_that_fails_closes_it),
		TEST(the_end_of_a_device_closes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
