/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-host under a core that does not do as it should, played by the test: what breaks a rule of wire.h ends the
 * process with a status of its own, and what is wrong only in what it says is an error.
 */
#include "tests/unit/child_fixture.h"

static int setup(void **state)
{
	return host_setup(state, "faulty", "healthy", "");
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)

/* ---- messages ---- */

static void the_core_may_go_at_any_time(void **state)
{
	struct host *host = *state;

	run(host);
	close(host->control_fd);
	host->control_fd = -1;
	expect_end(host, 0);
}

static void the_core_may_go_at_once(void **state)
{
	struct host *host = *state;

	close(host->control_fd);
	host->control_fd = -1;
	expect_end(host, 0);
}

static void a_short_message_is_a_breach(void **state)
{
	struct host *host = *state;

	assert_int_equal(send(host->control_fd, "short", 5, 0), 5);
	expect_end(host, EXIT_BREACH);
}

static void a_notice_of_the_core_is_a_breach(void **state)
{
	struct host *host = *state;

	send_request(host, WIRE_QUIT, NULL);
	expect_end(host, EXIT_BREACH);
}

static void a_request_that_is_the_processs_is_a_breach(void **state)
{
	const struct wire_claim claim = { .cookie = 0 };
	struct host *host = *state;

	send_request(host, WIRE_CLAIM, &claim);
	expect_end(host, EXIT_BREACH);
}

/* ---- turns ---- */

static void nothing_comes_before_load(void **state)
{
	struct host *host = *state;

	send_request(host, WIRE_CREATE, &host->create);
	expect_end(host, EXIT_BREACH);
}

static void no_start_before_create(void **state)
{
	struct host *host = *state;

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_START, NULL);
	expect_end(host, EXIT_BREACH);
}

static void no_second_load(void **state)
{
	struct host *host = *state;
	const struct wire_load body = load_of(host);

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_LOAD, &body);
	expect_end(host, EXIT_BREACH);
}

static void no_second_start(void **state)
{
	struct host *host = *state;

	run(host);
	send_request(host, WIRE_START, NULL);
	expect_end(host, EXIT_BREACH);
}

static void no_save_while_it_runs(void **state)
{
	struct host *host = *state;

	run(host);
	send_request(host, WIRE_SAVE, NULL);
	expect_end(host, EXIT_BREACH);
}

static void the_end_is_allowed_at_any_time(void **state)
{
	struct host *host = *state;

	run(host);
	send_request(host, WIRE_END, NULL);
	grant(host);
	assert_int_equal(await_reply(host, WIRE_END), 0);
	expect_end(host, 0);
}

static void the_end_may_be_the_first_request(void **state)
{
	struct host *host = *state;

	assert_int_equal(request(host, WIRE_END, NULL), 0);
	expect_end(host, 0);
}

static void a_failed_load_leaves_the_end_alone(void **state)
{
	struct host *host = *state;
	struct wire_load body = load_of(host);

	snprintf(body.path, sizeof(body.path), "/nonexistent.so");
	assert_int_equal(request(host, WIRE_LOAD, &body), -ENOENT);
	assert_non_null(strstr(host->reply.body.text.text, "/nonexistent.so"));
	body = load_of(host);
	send_request(host, WIRE_LOAD, &body);
	expect_end(host, EXIT_BREACH);
}

/* ---- create ---- */

static void refuse_create(struct host *host, int expected)
{
	assert_int_equal(load(host), 0);
	assert_int_equal(request(host, WIRE_CREATE, &host->create), expected);
	assert_true(host->reply.body.text.text[0]);
	assert_int_equal(request(host, WIRE_END, NULL), 0);
	expect_end(host, 0);
}

static void a_class_that_there_is_not(void **state)
{
	struct host *host = *state;

	snprintf(host->create.class_name, sizeof(host->create.class_name), "other");
	refuse_create(host, -EPROTO);
}

static void interrupts_that_were_not_declared(void **state)
{
	struct host *host = *state;

	host->create.irq_count = 1;
	host->fds[host->fd_count++] = host->stderr_fd;
	refuse_create(host, -EPROTO);
}

static void fewer_descriptors_than_are_counted(void **state)
{
	struct host *host = *state;

	host->create.region_count = 1;
	refuse_create(host, -EPROTO);
}

static void more_descriptors_than_are_counted(void **state)
{
	struct host *host = *state;

	host->fds[host->fd_count++] = host->stderr_fd;
	refuse_create(host, -EPROTO);
}

static void descriptors_that_no_value_has(void **state)
{
	struct host *host = *state;

	host->create.value_fds = 1;
	host->fds[host->fd_count++] = host->stderr_fd;
	refuse_create(host, -EBADMSG);
}

static void values_of_nonsense(void **state)
{
	struct host *host = *state;

	memset(host->blob, 0xff, host->blob_bytes);
	refuse_create(host, -EBADMSG);
}

static void no_values_at_all(void **state)
{
	struct host *host = *state;

	host->blob_bytes = 0;
	refuse_create(host, -EBADMSG);
}

static void memory_that_can_shrink(void **state)
{
	struct host *host = *state;
	int fd = memfd_create("ram", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 4096), 0);
	host->create.region_count = 1;
	host->create.regions[0].bytes = 4096;
	host->fds[host->fd_count++] = fd;
	refuse_create(host, -EINVAL);
	close(fd);
}

static void memory_beyond_its_file(void **state)
{
	struct host *host = *state;
	int fd = fd_memfd("ram", 4096);

	host->create.region_count = 1;
	host->create.regions[0].bytes = 4096;
	host->create.regions[0].offset = 4096;
	host->fds[host->fd_count++] = fd;
	refuse_create(host, -EINVAL);
	close(fd);
}

static void a_claim_that_is_refused(void **state)
{
	const struct wire_text text = { .text = "no room" };
	struct host *host = *state;
	struct wire_head head;

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_CREATE, &host->create);
	take_message(host);
	head = (struct wire_head){
		.op = WIRE_CLAIM | WIRE_REPLY,
		.sequence = host->reply.head.sequence,
		.result = -EEXIST,
	};
	assert_int_equal(wire_send(&host->wire, &head, &text, NULL, NULL, 0), 0);
	assert_int_equal(await_reply(host, WIRE_CREATE), -EEXIST);
	assert_string_equal(host->reply.body.text.text, "no room");
}

static void an_answer_to_another_claim(void **state)
{
	const struct wire_claimed claimed = { .base = BASE };
	struct host *host = *state;
	struct wire_head head;

	assert_int_equal(load(host), 0);
	send_request(host, WIRE_CREATE, &host->create);
	take_message(host);
	head = (struct wire_head){ .op = WIRE_CLAIM | WIRE_REPLY, .sequence = host->reply.head.sequence + 1 };
	assert_int_equal(wire_send(&host->wire, &head, &claimed, NULL, NULL, 0), 0);
	expect_end(host, EXIT_BREACH);
}

/* ---- accesses ---- */

static struct wire_access read_of(uint32_t range, uint64_t offset, uint32_t width)
{
	return (struct wire_access){
		.op = WIRE_ACCESS_READ,
		.sequence = 1,
		.range = range,
		.offset = offset,
		.width = width,
	};
}

static void refuse_access(struct host *host, struct wire_access access, size_t bytes)
{
	run(host);
	assert_int_equal(send(host->access_fd, &access, bytes, 0), bytes);
	expect_end(host, EXIT_BREACH);
}

static void an_access_is_answered(void **state)
{
	struct host *host = *state;
	struct wire_access access = read_of(0, 0, 4);

	run(host);
	assert_int_equal(send(host->access_fd, &access, sizeof(access), 0), sizeof(access));
	assert_int_equal(recv(host->access_fd, &access, sizeof(access), 0), sizeof(access));
	assert_int_equal(access.op, WIRE_ACCESS_VALUE);
	assert_int_equal(access.sequence, 1);
	assert_int_equal(access.result, 0);
}

static void an_access_that_is_short(void **state)
{
	refuse_access(*state, read_of(0, 0, 4), sizeof(struct wire_access) - 1);
}

static void an_access_to_no_range(void **state)
{
	refuse_access(*state, read_of(1, 0, 4), sizeof(struct wire_access));
}

static void an_access_to_a_range_beyond_all(void **state)
{
	refuse_access(*state, read_of(UINT32_MAX, 0, 4), sizeof(struct wire_access));
}

static void an_access_beyond_its_range(void **state)
{
	refuse_access(*state, read_of(0, 13, 4), sizeof(struct wire_access));
}

static void an_access_that_wraps(void **state)
{
	refuse_access(*state, read_of(0, UINT64_MAX - 1, 4), sizeof(struct wire_access));
}

static void an_access_of_no_width(void **state)
{
	refuse_access(*state, read_of(0, 0, 3), sizeof(struct wire_access));
}

static void an_access_of_no_kind(void **state)
{
	struct wire_access access = read_of(0, 0, 4);

	access.op = WIRE_ACCESS_VALUE;
	refuse_access(*state, access, sizeof(access));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOST_TEST(the_core_may_go_at_any_time),
		HOST_TEST(the_core_may_go_at_once),
		HOST_TEST(a_short_message_is_a_breach),
		HOST_TEST(a_notice_of_the_core_is_a_breach),
		HOST_TEST(a_request_that_is_the_processs_is_a_breach),
		HOST_TEST(nothing_comes_before_load),
		HOST_TEST(no_start_before_create),
		HOST_TEST(no_second_load),
		HOST_TEST(no_second_start),
		HOST_TEST(no_save_while_it_runs),
		HOST_TEST(the_end_is_allowed_at_any_time),
		HOST_TEST(the_end_may_be_the_first_request),
		HOST_TEST(a_failed_load_leaves_the_end_alone),
		HOST_TEST(a_class_that_there_is_not),
		HOST_TEST(interrupts_that_were_not_declared),
		HOST_TEST(fewer_descriptors_than_are_counted),
		HOST_TEST(more_descriptors_than_are_counted),
		HOST_TEST(descriptors_that_no_value_has),
		HOST_TEST(values_of_nonsense),
		HOST_TEST(no_values_at_all),
		HOST_TEST(memory_that_can_shrink),
		HOST_TEST(memory_beyond_its_file),
		HOST_TEST(a_claim_that_is_refused),
		HOST_TEST(an_answer_to_another_claim),
		HOST_TEST(an_access_is_answered),
		HOST_TEST(an_access_that_is_short),
		HOST_TEST(an_access_to_no_range),
		HOST_TEST(an_access_to_a_range_beyond_all),
		HOST_TEST(an_access_beyond_its_range),
		HOST_TEST(an_access_that_wraps),
		HOST_TEST(an_access_of_no_width),
		HOST_TEST(an_access_of_no_kind),
	};

	return cmocka_run_group_tests_name("process_child", tests, NULL, NULL);
}
