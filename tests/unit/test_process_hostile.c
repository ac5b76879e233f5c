/* SPDX-License-Identifier: BSD-3-Clause */
/* A plugin's process that does not do as it should, played by the test: each breach of wire.h's rules is found and ends
 * the process, and nothing of it is left. */
#include "tests/unit/breach_fixture.h"

/* ---- messages ---- */

static void send_head(const struct fake *fake, struct wire_head head, size_t body_bytes)
{
	struct wire_message message = { .head = head };

	fake_raw(fake, &message, sizeof(head) + body_bytes);
}

static struct wire_head right(const struct wire_message *message)
{
	return (struct wire_head){
		.version = WIRE_VERSION,
		.op = message->head.op | WIRE_REPLY,
		.sequence = message->head.sequence,
	};
}

static void send_fds(const struct fake *fake, uint32_t op, size_t count)
{
	const struct wire_head head = { .version = WIRE_VERSION, .op = op };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 64)];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)&head, .iov_len = sizeof(head) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room };
	int fds[64];

	for (size_t i = 0; i < count; i++)
		fds[i] = fake->stderr_fd;
	memset(&control, 0, sizeof(control));
	message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * count);
	(void)sendmsg(fake->wire.fd, &message, MSG_NOSIGNAL);
}

static void send_piece(struct fake *fake, uint32_t bytes)
{
	static struct {
		struct wire_head head;
		struct wire_piece piece;
	} message;

	message.head = (struct wire_head){ .version = WIRE_VERSION, .op = WIRE_BLOB };
	message.piece.bytes = bytes;
	fake_raw(fake, &message, sizeof(message.head) + offsetof(struct wire_piece, data) + bytes);
}

static struct wire_head with(struct wire_head head, uint32_t version, uint32_t op, uint32_t ahead, int result)
{
	head.version = version ? version : head.version;
	head.op = op ? op : head.op;
	head.sequence += ahead;
	head.result = result;
	return head;
}

BREACH(a_short_message, WIRE_RESET, fake_raw(fake, "short", 5))
BREACH(a_long_message, WIRE_RESET, {
	static char bytes[sizeof(struct wire_message) + 1];
	fake_raw(fake, bytes, sizeof(bytes));
})
BREACH(another_version, WIRE_RESET, send_head(fake, with(right(message), 2, 0, 0, 0), 0))
BREACH(an_op_that_there_is_not, WIRE_RESET, send_head(fake, with(right(message), 0, 99, 0, 0), 0))
BREACH(an_answer_to_another_request, WIRE_RESET, send_head(fake, with(right(message), 0, 0, 1, 0), 0))
BREACH(an_answer_of_another_kind, WIRE_RESET, send_head(fake, with(right(message), 0, WIRE_STOP | WIRE_REPLY, 0, 0), 0))
BREACH(a_result_above_zero, WIRE_RESET, send_head(fake, with(right(message), 0, 0, 0, 1), 0))
BREACH(an_answer_that_is_too_long, WIRE_RESET, send_head(fake, right(message), 8))
BREACH(a_second_answer, WIRE_RESET, {
	fake_answer(fake, message);
	fake_answer(fake, message);
})
BREACH(an_answer_to_a_ping_that_was_not_sent, WIRE_RESET,
       send_head(fake, with(right(message), 0, WIRE_PING | WIRE_REPLY, 0, 0), 0))
BREACH(a_request_that_is_the_cores, WIRE_RESET, send_head(fake, with(right(message), 0, WIRE_STOP, 0, 0), 0))
BREACH(a_blob_that_does_not_belong_there, WIRE_RESET, {
	struct wire_head head = right(message);
	send_piece(fake, 8);
	head.blob_bytes = 8;
	send_head(fake, head, 0);
})
BREACH(a_blob_of_another_length, WIRE_METRICS, {
	struct wire_head head = right(message);
	send_piece(fake, 8);
	head.blob_bytes = 9;
	send_head(fake, head, 0);
})
BREACH(a_blob_without_end, WIRE_METRICS, for (;;) send_piece(fake, WIRE_PIECE_MAX))
/* Nothing of it is kept, not even one. */
BREACH(a_piece_that_nobody_asked_for, WIRE_RESET, send_piece(fake, WIRE_PIECE_MAX))
BREACH(descriptors, WIRE_RESET, send_fds(fake, WIRE_FDS, 8))
BREACH(more_descriptors_than_a_message_has, WIRE_RESET, send_fds(fake, WIRE_FDS, 64))
BREACH(descriptors_with_a_notice, WIRE_RESET, send_fds(fake, WIRE_QUIT, 1))

/* ---- notices ---- */

BREACH(an_event_beyond_the_last, WIRE_RESET, {
	const struct wire_event event = { .event = BP_EVENT_MARK + 1 };
	fake_notice(fake, WIRE_EVENT, &event);
})
BREACH(an_event_before_the_first, WIRE_RESET, {
	const struct wire_event event = { .event = 0 };
	fake_notice(fake, WIRE_EVENT, &event);
})
BREACH(a_line_without_end, WIRE_RESET, {
	struct wire_log line = { .level = LOG_LEVEL_WARN };
	memset(line.text, 'x', sizeof(line.text));
	fake_notice(fake, WIRE_LOG, &line);
})
BREACH(a_line_of_no_level, WIRE_RESET, {
	const struct wire_log line = { .level = LOG_LEVEL_DEBUG + 1 };
	fake_notice(fake, WIRE_LOG, &line);
})

/* ---- metrics ---- */

static void put_metric(struct pack_writer *writer, uint32_t kind, const char *name, const char *help)
{
	pack_u32(writer, kind);
	pack_text(writer, name);
	pack_text(writer, help);
	pack_u64(writer, 7);
}

static void send_metrics(struct fake *fake, const struct wire_message *message, struct pack_writer *writer)
{
	size_t count;
	uint8_t *bytes;

	if (pack_end(writer, &bytes, &count) < 0)
		abort();
	fake_reply(fake, message, NULL, bytes, count);
}

#define METRICS(name, ...)                            \
	BREACH(name, WIRE_METRICS, {                  \
		struct pack_writer writer;            \
		pack_begin(&writer, 1 << 20);         \
		__VA_ARGS__;                          \
		send_metrics(fake, message, &writer); \
	})

METRICS(a_metric_with_no_name, put_metric(&writer, BP_METRIC_COUNTER, NULL, "help"))
METRICS(a_metric_with_a_bad_name, put_metric(&writer, BP_METRIC_COUNTER, "a{b=\"c\"}", "help"))
METRICS(a_metric_with_unprintable_help, put_metric(&writer, BP_METRIC_COUNTER, "name", "a\nb"))
METRICS(a_metric_of_no_kind, put_metric(&writer, 99, "name", "help"))
METRICS(a_metric_that_is_cut_off, pack_u32(&writer, BP_METRIC_COUNTER))
METRICS(two_metrics_of_a_name, {
	put_metric(&writer, BP_METRIC_COUNTER, "name", "help");
	put_metric(&writer, BP_METRIC_GAUGE, "name", "help");
})
METRICS(
    too_many_metrics, for (int i = 0; i < 65; i++) {
	    char name[16];

	    snprintf(name, sizeof(name), "m%d", i);
	    put_metric(&writer, BP_METRIC_COUNTER, name, "help");
    })

/* ---- state ---- */

BREACH(a_state_of_nothing, WIRE_SAVE, fake_answer(fake, message))
BREACH(a_state_that_is_too_long, WIRE_SAVE, {
	static uint8_t bytes[(1 << 20) + 1];
	fake_reply(fake, message, NULL, bytes, sizeof(bytes));
})

/* ---- values of registers ---- */

BREACH(a_value_for_another_read, AT_ACCESS, {
	fake->access.sequence++;
	fake_send_value(fake, &fake->access, sizeof(fake->access));
})
BREACH(a_value_of_another_kind, AT_ACCESS, {
	fake->access.op = WIRE_ACCESS_READ;
	fake_send_value(fake, &fake->access, sizeof(fake->access));
})
BREACH(a_value_that_is_short, AT_ACCESS, fake_send_value(fake, &fake->access, sizeof(fake->access) - 1))
BREACH(a_value_that_is_long, AT_ACCESS, {
	struct wire_access both[2] = { fake->access, fake->access };
	fake_send_value(fake, both, sizeof(both));
})
BREACH(a_value_with_a_result_above_zero, AT_ACCESS, {
	fake->access.result = 1;
	fake_send_value(fake, &fake->access, sizeof(fake->access));
})

static bool two_values(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	fake_send_value(fake, &fake->access, sizeof(fake->access));
	return false;
}

static void a_value_too_many_is_found_by_the_next_read(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, AT_ACCESS, two_values);
	assert_int_equal(home_read(&fake->rig.home, 0, 0, 4), 0x1234);
	assert_int_equal(home_read(&fake->rig.home, 0, 0, 4), UINT32_MAX);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_PROTOCOL);
}

static bool an_error(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	fake->access.result = -EIO;
	return false;
}

static void an_error_of_the_device_is_no_failure(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, AT_ACCESS, an_error);
	assert_int_equal(home_read(&fake->rig.home, 0, 0, 4), UINT32_MAX);
	assert_false(process_failed(fake->rig.process));
}

/* ---- metrics that are fine ---- */

static bool gives_metrics(struct fake *fake, const struct wire_message *message)
{
	struct pack_writer writer;

	pack_begin(&writer, WIRE_METRICS_BYTES);
	put_metric(&writer, BP_METRIC_COUNTER, "name", "help");
	put_metric(&writer, BP_METRIC_GAUGE, "other_name", "help");
	send_metrics(fake, message, &writer);
	return true;
}

static void metrics_that_are_right_are_taken(void **state)
{
	struct fake *fake = *state;
	size_t count = 0;

	fake_run(fake, WIRE_METRICS, gives_metrics);
	fake->rig.placed.ops->metrics_each(fake->rig.placed.ctx, no_metric, &count);
	assert_int_equal(count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE_TEST(a_short_message),
		FAKE_TEST(a_long_message),
		FAKE_TEST(another_version),
		FAKE_TEST(an_op_that_there_is_not),
		FAKE_TEST(an_answer_to_another_request),
		FAKE_TEST(an_answer_of_another_kind),
		FAKE_TEST(a_result_above_zero),
		FAKE_TEST(an_answer_that_is_too_long),
		FAKE_TEST(a_second_answer),
		FAKE_TEST(an_answer_to_a_ping_that_was_not_sent),
		FAKE_TEST(a_request_that_is_the_cores),
		FAKE_TEST(a_blob_that_does_not_belong_there),
		FAKE_TEST(a_blob_of_another_length),
		FAKE_TEST(a_blob_without_end),
		FAKE_TEST(a_piece_that_nobody_asked_for),
		FAKE_TEST(descriptors),
		FAKE_TEST(more_descriptors_than_a_message_has),
		FAKE_TEST(descriptors_with_a_notice),
		FAKE_TEST(an_event_beyond_the_last),
		FAKE_TEST(an_event_before_the_first),
		FAKE_TEST(a_line_without_end),
		FAKE_TEST(a_line_of_no_level),
		FAKE_TEST(a_metric_with_no_name),
		FAKE_TEST(a_metric_with_a_bad_name),
		FAKE_TEST(a_metric_with_unprintable_help),
		FAKE_TEST(a_metric_of_no_kind),
		FAKE_TEST(a_metric_that_is_cut_off),
		FAKE_TEST(two_metrics_of_a_name),
		FAKE_TEST(too_many_metrics),
		FAKE_TEST(a_state_of_nothing),
		FAKE_TEST(a_state_that_is_too_long),
		FAKE_TEST(a_value_for_another_read),
		FAKE_TEST(a_value_of_another_kind),
		FAKE_TEST(a_value_that_is_short),
		FAKE_TEST(a_value_that_is_long),
		FAKE_TEST(a_value_with_a_result_above_zero),
		FAKE_TEST(a_value_too_many_is_found_by_the_next_read),
		FAKE_TEST(an_error_of_the_device_is_no_failure),
		FAKE_TEST(metrics_that_are_right_are_taken),
	};

	return cmocka_run_group_tests_name("process_hostile", tests, NULL, NULL);
}
