/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that a plugin's process asks for which does not do as it should, played by the test: what its device's values do not
 * allow, when there is nothing to ask for, or without taking what it gets.
 */
#include "tests/unit/breach_fixture.h"

#include <sys/un.h>

/* Parameters of tests/plugins/caller.c. */
enum { BASE, UDS, NETWORK, PARAMS = 5 };

static char folder[] = "/tmp/bp-test-connect.XXXXXX";

static int caller_setup(void **state)
{
	static char keys[256];
	int r = fake_setup_of(state, "caller");

	snprintf(keys, sizeof(keys), "uds = \"%s/uds\"; network = \"connect:%s/network\";", folder, folder);
	((struct fake *)*state)->keys = keys;
	return r;
}

#undef FAKE_TEST
#define FAKE_TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, fake_teardown)

static void connect_to(struct fake *fake, uint32_t token, uint32_t param, uint32_t index, uint32_t number)
{
	const struct wire_connect connect = { .token = token, .param = param, .index = index, .number = number };

	fake_notice(fake, WIRE_CONNECT, &connect);
}

/* A listener at the end that "uds" with this number names. */
static int serve(uint32_t number)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/uds_%u", folder, number);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	return fd;
}

static void serve_no_more(int listener, uint32_t number)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/uds_%u", folder, number);
	unlink(path);
	close(listener);
}

static size_t callers_of(int listener)
{
	size_t count = 0;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		close(fd);
		count++;
	}
	return count;
}

/* ---- what is not its own ---- */

BREACH(a_value_beyond_the_last, WIRE_RESET, connect_to(fake, 1, UDS, 1, 7))
BREACH(a_value_far_beyond, WIRE_RESET, connect_to(fake, 1, UDS, UINT32_MAX, 7))
BREACH(a_parameter_of_another_type, WIRE_RESET, connect_to(fake, 1, BASE, 0, 0))
BREACH(a_parameter_beyond_the_last, WIRE_RESET, connect_to(fake, 1, PARAMS, 0, 0))
BREACH(a_parameter_far_beyond, WIRE_RESET, connect_to(fake, 1, UINT32_MAX, UINT32_MAX, UINT32_MAX))
BREACH(a_network_with_a_number, WIRE_RESET, connect_to(fake, 1, NETWORK, 0, 1))
BREACH(an_answer_that_is_the_cores, WIRE_RESET, {
	const struct wire_connected connected = { .token = 1, .result = -ENOENT };
	fake_notice(fake, WIRE_CONNECTED, &connected);
})

static bool to_a_network(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	connect_to(fake, 1, NETWORK, 0, 0);
	return true;
}

static void a_network_that_listens(void **state)
{
	static char keys[128];
	struct fake *fake = *state;

	snprintf(keys, sizeof(keys), "network = \"listen:%s/network\";", folder);
	fake->keys = keys;
	breach(fake, WIRE_RESET, to_a_network);
}

static void a_network_that_there_is_not(void **state)
{
	struct fake *fake = *state;

	fake->keys = "";
	breach(fake, WIRE_RESET, to_a_network);
}

/* ---- too early, too late ---- */

static bool early(struct fake *fake, const struct wire_message *message)
{
	connect_to(fake, 1, UDS, 0, 1);
	return !message;
}

static void before_there_is_a_device(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_LOAD, early);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -ENODEV);
	assert_non_null(strstr(fake->rig.err.text, "was loaded: a connection before its device was started"));
}

static void before_the_device_is_made(void **state)
{
	struct fake *fake = *state;
	struct rig *rig = &fake->rig;

	fake_begin(fake, WIRE_CREATE, early);
	must(process_load(rig->process, &rig->err), &rig->err);
	assert_int_equal(rig_create(rig, fake->plugin, fake->keys), -ENODEV);
	assert_non_null(strstr(rig->err.text, "was created: a connection before its device was started"));
}

/* Between CREATE and START. */
static void before_the_device_is_started(void **state)
{
	struct fake *fake = *state;
	struct rig *rig = &fake->rig;

	fake_begin(fake, WIRE_RESET, early);
	must(process_load(rig->process, &rig->err), &rig->err);
	must(rig_create(rig, fake->plugin, fake->keys), &rig->err);
	rig->placed.ops->reset(rig->placed.ctx);
	assert_int_equal(rig->process->failure.cause, FAILURE_PROTOCOL);
	assert_string_equal(rig->process->failure.why, "a connection before its device was started");
}

/* Before the answer to STOP, and behind it: it may have waited for room. */
static bool late(struct fake *fake, const struct wire_message *message)
{
	connect_to(fake, 1, UDS, 0, 1);
	fake_answer(fake, message);
	connect_to(fake, 2, UDS, 0, 1);
	return true;
}

static void what_comes_after_the_stop_is_nothing(void **state)
{
	struct fake *fake = *state;
	struct rig *rig = &fake->rig;
	int listener = serve(1);

	fake_run(fake, WIRE_STOP, late);
	rig->placed.ops->stop(rig->placed.ctx);
	assert_false(process_failed(rig->process));
	/* What it says when it is asked for the end comes behind all of that. */
	rig_free_process(rig);
	assert_int_equal(callers_of(listener), 0);
	assert_string_equal(log_caught(), "");
	serve_no_more(listener, 1);
}

/* ---- too many ---- */

BREACH(answers_that_are_not_taken, WIRE_RESET, for (uint32_t i = 1;; i++) connect_to(fake, i, UDS, 0, 7))

static bool asks_without_end(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	for (uint32_t i = 1;; i++)
		connect_to(fake, i, UDS, 0, 1);
	return true;
}

static void descriptors_that_are_not_taken(void **state)
{
	struct fake *fake = *state;
	int listener = serve(1);
	size_t count;

	breach(fake, WIRE_RESET, asks_without_end);
	/* It has not got many. */
	count = callers_of(listener);
	assert_true(count > WIRE_CONNECTS && count < 1000);
	serve_no_more(listener, 1);
}

/* The first time it asks for as many as it may before it looks at any answer; the second time each has to be there. */
static bool asks_for_all(struct fake *fake, const struct wire_message *message)
{
	if (!fake->connected_count) {
		for (uint32_t i = 0; i < WIRE_CONNECTS; i++)
			connect_to(fake, 1000 + i, UDS, 0, 1 + i % 2);
		return !message;
	}
	if (fake->connected_count != WIRE_CONNECTS || fake->connected_fds != WIRE_CONNECTS / 2)
		_exit(1);
	for (uint32_t i = 0; i < WIRE_CONNECTS; i++)
		if (fake->connected[i].token != 1000 + i || fake->connected[i].result != (i % 2 ? -ENOENT : 0))
			_exit(1);
	return !message;
}

static void as_many_as_it_may_are_answered(void **state)
{
	struct fake *fake = *state;
	struct rig *rig = &fake->rig;
	int listener = serve(1);

	fake_run(fake, WIRE_RESET, asks_for_all);
	/* All of them come before its reply. */
	rig->placed.ops->reset(rig->placed.ctx);
	assert_false(process_failed(rig->process));
	assert_int_equal(callers_of(listener), WIRE_CONNECTS / 2);
	rig->placed.ops->reset(rig->placed.ctx);
	assert_false(process_failed(rig->process));
	serve_no_more(listener, 1);
}

/* It may call them what it likes. */
static bool asks_twice(struct fake *fake, const struct wire_message *message)
{
	if (!fake->connected_count) {
		connect_to(fake, 5, UDS, 0, 7);
		connect_to(fake, 5, UDS, 0, 7);
	} else if (fake->connected_count != 2 || fake->connected[0].token != 5 || fake->connected[1].token != 5) {
		_exit(1);
	}
	return !message;
}

static void a_token_that_is_used_twice_is_answered_twice(void **state)
{
	struct fake *fake = *state;
	struct rig *rig = &fake->rig;

	fake_run(fake, WIRE_RESET, asks_twice);
	for (int i = 0; i < 2; i++)
		rig->placed.ops->reset(rig->placed.ctx);
	assert_false(process_failed(rig->process));
}

static int group_setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_value_beyond_the_last),
		FAKE_TEST(a_value_far_beyond),
		FAKE_TEST(a_parameter_of_another_type),
		FAKE_TEST(a_parameter_beyond_the_last),
		FAKE_TEST(a_parameter_far_beyond),
		FAKE_TEST(a_network_with_a_number),
		FAKE_TEST(an_answer_that_is_the_cores),
		FAKE_TEST(a_network_that_listens),
		FAKE_TEST(a_network_that_there_is_not),
		FAKE_TEST(before_there_is_a_device),
		FAKE_TEST(before_the_device_is_made),
		FAKE_TEST(before_the_device_is_started),
		FAKE_TEST(what_comes_after_the_stop_is_nothing),
		FAKE_TEST(answers_that_are_not_taken),
		FAKE_TEST(descriptors_that_are_not_taken),
		FAKE_TEST(as_many_as_it_may_are_answered),
		FAKE_TEST(a_token_that_is_used_twice_is_answered_twice),
	};

	return cmocka_run_group_tests_name("process_connect_hostile", tests, group_setup, group_teardown);
}
