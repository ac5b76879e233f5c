/* SPDX-License-Identifier: BSD-3-Clause */
/* device-host and the connections that its device asks for (tests/plugins/caller.c): how it asks, and what it makes of a core that answers
 * what nobody has asked for. */
#include "tests/unit/child_fixture.h"

/* Parameters of the plugin. */
#define UDS 1u

static int caller_setup(void **state)
{
	return host_setup(state, "caller", "caller", "uds = \"/nowhere/uds\";");
}

/* One whose notices have no room: a few messages, and the socket is full. */
static int cramped_setup(void **state)
{
	int r;

	control_room = 1;
	r = caller_setup(state);
	control_room = 0;
	return r;
}

static int starting_setup(void **state)
{
	return host_setup(state, "caller", "caller", "uds = \"/nowhere/uds\"; at_start = 7;");
}

#define CALLER_TEST(name)   cmocka_unit_test_setup_teardown(name, caller_setup, host_teardown)
#define CRAMPED_TEST(name)  cmocka_unit_test_setup_teardown(name, cramped_setup, host_teardown)
#define STARTING_TEST(name) cmocka_unit_test_setup_teardown(name, starting_setup, host_teardown)

/* ---- the guest ---- */

static void write_register(struct host *host, uint32_t value)
{
	const struct wire_access access = { .op = WIRE_ACCESS_WRITE, .width = 4, .value = value };

	assert_int_equal(send(host->access_fd, &access, sizeof(access), 0), sizeof(access));
}

static uint32_t read_register(struct host *host, uint64_t offset)
{
	struct wire_access access = { .op = WIRE_ACCESS_READ, .width = 4, .offset = offset };

	assert_int_equal(send(host->access_fd, &access, sizeof(access), 0), sizeof(access));
	assert_int_equal(msg_wait(host->access_fd, -1, clock_now_ns() + PATIENT_NS), 0);
	assert_int_equal(recv(host->access_fd, &access, sizeof(access), 0), sizeof(access));
	return (uint32_t)access.value;
}

/* Until the device has been told so often; what of last. */
static uint32_t wait_answers(struct host *host, uint32_t count)
{
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (read_register(host, 0) == count)
			return read_register(host, 4);
		poll(NULL, 0, 1);
	}
	fail_msg("%u answers did not come", count);
	return UINT32_MAX;
}

/* ---- the core ---- */

static uint32_t take_connect(struct host *host, uint32_t number)
{
	const struct wire_connect *connect = &host->reply.body.connect;

	take_message(host);
	assert_int_equal(host->reply.head.op, WIRE_CONNECT);
	assert_int_equal(connect->param, UDS);
	assert_int_equal(connect->index, 0);
	assert_int_equal(connect->number, number);
	return connect->token;
}

/* Has the device ask; the token. */
static uint32_t call(struct host *host, uint32_t number)
{
	write_register(host, number);
	return take_connect(host, number);
}

/* With so many times standard error. */
static void answer_with(struct host *host, uint32_t token, int result, size_t fd_count)
{
	const struct wire_connected connected = { .token = token, .result = result };
	const struct wire_head head = { .op = WIRE_CONNECTED, .fd_count = (uint32_t)fd_count };
	const int fds[] = { STDERR_FILENO, STDERR_FILENO };

	assert_int_equal(wire_send(&host->wire, &head, &connected, NULL, fds, 0), 0);
}

/* With one end of a socket; the other one. */
static int answer(struct host *host, uint32_t token)
{
	const struct wire_connected connected = { .token = token };
	const struct wire_head head = { .op = WIRE_CONNECTED, .fd_count = 1 };
	int pair[2];

	assert_int_equal(msg_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(wire_send(&host->wire, &head, &connected, NULL, &pair[0], 0), 0);
	close(pair[0]);
	return pair[1];
}

static void expect_text(int fd, const char *text)
{
	char got[32] = { 0 };

	assert_true(recv(fd, got, sizeof(got) - 1, MSG_WAITALL) >= 0);
	assert_string_equal(got, text);
	close(fd);
}

/* ---- answers ---- */

static void the_device_gets_the_descriptor(void **state)
{
	struct host *host = *state;
	int far;

	run(host);
	far = answer(host, call(host, 4294967295));
	expect_text(far, "4294967295\n");
	assert_int_equal(wait_answers(host, 1), 0);
}

static void the_device_gets_the_error(void **state)
{
	struct host *host = *state;

	run(host);
	answer_with(host, call(host, 1), -ENOTCONN, 0);
	assert_int_equal(wait_answers(host, 1), ENOTCONN);
}

static void answers_may_come_in_any_order(void **state)
{
	struct host *host = *state;
	uint32_t tokens[3];

	run(host);
	for (uint32_t i = 0; i < 3; i++)
		tokens[i] = call(host, i);
	for (uint32_t i = 3; i-- > 0;)
		expect_text(answer(host, tokens[i]), i == 0 ? "0\n" : i == 1 ? "1\n" : "2\n");
	assert_int_equal(wait_answers(host, 3), 0);
}

/* START is being carried out, and waits for its claim: the connection comes first. */
static void one_that_comes_before_the_answer_to_a_claim(void **state)
{
	struct host *host = *state;
	uint32_t token;
	int far;

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_CREATE, &host->create);
	grant(host);
	assert_int_equal(await_reply(host, WIRE_CREATE), 0);
	send_request(host, WIRE_START, NULL);
	token = take_connect(host, 7);
	far = answer(host, token);
	grant(host);
	assert_int_equal(await_reply(host, WIRE_START), 0);
	expect_text(far, "7\n");
	assert_int_equal(wait_answers(host, 1), 0);
}

static void one_that_comes_at_rest_waits(void **state)
{
	struct host *host = *state;
	uint32_t token;
	int far;

	run(host);
	token = call(host, 3);
	assert_int_equal(request(host, WIRE_QUIESCE, NULL), 0);
	far = answer(host, token);
	assert_int_equal(request(host, WIRE_PING, NULL), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = far, .events = POLLIN }, 1, 0), 0);
	assert_int_equal(request(host, WIRE_RESUME, NULL), 0);
	expect_text(far, "3\n");
}

static void one_that_comes_after_the_stop_is_closed(void **state)
{
	struct host *host = *state;
	uint32_t token;
	int far;

	run(host);
	token = call(host, 3);
	assert_int_equal(request(host, WIRE_STOP, NULL), 0);
	far = answer(host, token);
	expect_text(far, "");
	assert_int_equal(request(host, WIRE_PING, NULL), 0);
}

/* ---- no room ---- */

static void what_has_no_room_is_kept(void **state)
{
	static bool seen[WIRE_CONNECTS];
	struct host *host = *state;

	run(host);
	for (uint32_t i = 0; i < WIRE_CONNECTS; i++)
		write_register(host, i);
	/* Nobody has read any of them, and the device goes on all the same. */
	assert_int_equal(read_register(host, 8), 0);
	for (uint32_t i = 0; i < WIRE_CONNECTS; i++) {
		uint32_t token = take_connect(host, i);

		assert_false(seen[token % WIRE_CONNECTS]);
		seen[token % WIRE_CONNECTS] = true;
		answer_with(host, token, -ENOENT, 0);
	}
	assert_int_equal(wait_answers(host, WIRE_CONNECTS), ENOENT);
}

/* ---- breaches ---- */

static void an_answer_that_nobody_waits_for(void **state)
{
	struct host *host = *state;

	run(host);
	answer_with(host, 0, 0, 1);
	expect_end(host, EXIT_BREACH);
}

static void an_answer_before_there_is_a_device(void **state)
{
	struct host *host = *state;

	assert_int_equal(load(host), 0);
	answer_with(host, 64, -ENOENT, 0);
	expect_end(host, EXIT_BREACH);
}

static void an_answer_while_the_device_is_made(void **state)
{
	struct host *host = *state;

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_CREATE, &host->create);
	take_message(host);
	assert_int_equal(host->reply.head.op, WIRE_CLAIM);
	answer_with(host, 64, -ENOENT, 0);
	expect_end(host, EXIT_BREACH);
}

static void a_second_answer(void **state)
{
	struct host *host = *state;
	uint32_t token;

	run(host);
	token = call(host, 1);
	answer_with(host, token, -ENOENT, 0);
	answer_with(host, token, -ENOENT, 0);
	expect_end(host, EXIT_BREACH);
}

static void an_answer_to_another_token(void **state)
{
	struct host *host = *state;

	run(host);
	answer_with(host, call(host, 1) + 64, -ENOENT, 0);
	expect_end(host, EXIT_BREACH);
}

static void refuse_answer(struct host *host, int result, size_t fd_count)
{
	run(host);
	answer_with(host, call(host, 1), result, fd_count);
	expect_end(host, EXIT_BREACH);
}

static void a_connection_of_nothing(void **state)
{
	refuse_answer(*state, 0, 0);
}

static void a_connection_of_two(void **state)
{
	refuse_answer(*state, 0, 2);
}

static void an_error_with_a_descriptor(void **state)
{
	refuse_answer(*state, -ENOENT, 1);
}

static void a_result_that_is_none(void **state)
{
	refuse_answer(*state, 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CALLER_TEST(the_device_gets_the_descriptor),
		CALLER_TEST(the_device_gets_the_error),
		CALLER_TEST(answers_may_come_in_any_order),
		STARTING_TEST(one_that_comes_before_the_answer_to_a_claim),
		CALLER_TEST(one_that_comes_at_rest_waits),
		CALLER_TEST(one_that_comes_after_the_stop_is_closed),
		CRAMPED_TEST(what_has_no_room_is_kept),
		CALLER_TEST(an_answer_that_nobody_waits_for),
		CALLER_TEST(an_answer_before_there_is_a_device),
		CALLER_TEST(an_answer_while_the_device_is_made),
		CALLER_TEST(a_second_answer),
		CALLER_TEST(an_answer_to_another_token),
		CALLER_TEST(a_connection_of_nothing),
		CALLER_TEST(a_connection_of_two),
		CALLER_TEST(an_error_with_a_descriptor),
		CALLER_TEST(a_result_that_is_none),
	};

	return cmocka_run_group_tests_name("process_child_connect", tests, NULL, NULL);
}
