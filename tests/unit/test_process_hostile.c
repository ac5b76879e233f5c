/* SPDX-License-Identifier: BSD-3-Clause */
/* A plugin's process that does not do as it should, played by the test: each breach of wire.h's rules is found and ends
 * the process, and nothing of it is left. */
#include "tests/unit/process_fake.h"

static void no_metric(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	(void)kind, (void)name, (void)help, (void)value;
	++*(size_t *)arg;
}

/* Has the process asked for what its script waits for. */
static void ask(struct fake *fake)
{
	struct rig *rig = &fake->rig;
	const struct placed_ops *ops = rig->placed.ops;
	uint8_t *bytes = NULL;
	size_t count = 0;

	switch (fake->at) {
	case WIRE_RESET:
		ops->reset(rig->placed.ctx);
		break;
	case WIRE_METRICS:
		ops->metrics_each(rig->placed.ctx, no_metric, &count);
		assert_int_equal(count, 0);
		break;
	case WIRE_SAVE:
		must(ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
		assert_int_equal(ops->save(rig->placed.ctx, &bytes, &count, &rig->err), -ENODEV);
		break;
	default:
		assert_int_equal(home_read(&rig->home, 0, 0, 4), UINT32_MAX);
		break;
	}
}

/* The device runs, the script has its turn, and the process is not believed any more. */
static void breach(struct fake *fake, uint32_t at, script_fn *script)
{
	size_t fds;

	fake->at = at;
	fake_run(fake, at, script);
	fds = count_fds();
	ask(fake);
	MIND_UNTIL(&fake->rig, fake->rig.home.failures);
	assert_non_null(strstr(log_caught(), "devices.device: failed: plugin=faulty cause=protocol while="));
	assert_int_equal(count_of_text(log_caught(), "\n"), 1);
	assert_true(count_fds() <= fds);
}

#define BREACH(name, at, ...)                                                            \
	static bool name##_script(struct fake *fake, const struct wire_message *message) \
	{                                                                                \
		(void)message;                                                           \
		__VA_ARGS__;                                                             \
		return true;                                                             \
	}                                                                                \
	static void name(void **state)                                                   \
	{                                                                                \
		breach(*state, at, name##_script);                                       \
	}

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

/* ---- claims ---- */

BREACH(a_claim_out_of_turn, WIRE_RESET, {
	const struct wire_claim claim = fake_claim(1);
	fake_ask(fake, WIRE_CLAIM, &claim);
})
BREACH(a_release_out_of_turn, WIRE_RESET, {
	const struct wire_release release = { .space = BP_MMIO, .base = UINT64_C(0xd2001000) };
	fake_ask(fake, WIRE_RELEASE, &release);
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

/* ---- before there is a device ---- */

static bool nonsense(struct fake *fake, const struct wire_message *message)
{
	fake_reply(fake, message, NULL, "nonsense", 8);
	return true;
}

static void a_declaration_of_nonsense_is_refused(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_LOAD, nonsense);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -EINVAL);
}

static bool nothing(struct fake *fake, const struct wire_message *message)
{
	fake_reply(fake, message, NULL, NULL, 0);
	return true;
}

static void a_declaration_of_nothing_is_refused(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_LOAD, nothing);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -EINVAL);
}

static void refuse_load(struct fake *fake, script_fn *script, const char *why)
{
	fake_begin(fake, WIRE_LOAD, script);
	assert_int_equal(process_load(fake->rig.process, &fake->rig.err), -ENODEV);
	assert_non_null(strstr(fake->rig.err.text, "its process broke the protocol while it was loaded: "));
	assert_non_null(strstr(fake->rig.err.text, why));
}

static bool early_event(struct fake *fake, const struct wire_message *message)
{
	const struct wire_event event = { .event = BP_EVENT_PANIC };

	fake_notice(fake, WIRE_EVENT, &event);
	return !message;
}

static void an_event_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_event, "an event that there is not");
}

static bool early_quit(struct fake *fake, const struct wire_message *message)
{
	fake_notice(fake, WIRE_QUIT, NULL);
	return !message;
}

static void a_quit_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_quit, "a notice before there is a device");
}

static bool early_claim(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(0);

	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_before_there_is_a_device(void **state)
{
	refuse_load(*state, early_claim, "a claim that is not its own to make");
}

static void a_claim_of_one_that_never_was_a_device(void **state)
{
	struct fake *fake = *state;

	fake_begin(fake, WIRE_END, early_claim);
	must(process_load(fake->rig.process, &fake->rig.err), &fake->rig.err);
	process_ask_plain(fake->rig.process, WIRE_END, &fake->rig.err);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_PROTOCOL);
}

static _Noreturn bool closes(struct fake *fake, const struct wire_message *message)
{
	(void)message;
	close(fake->wire.fd);
	for (;;)
		pause();
}

static void one_that_closes_its_socket_and_lives_on(void **state)
{
	refuse_load(*state, closes, "it closed its socket");
}

static void refuse_create(struct fake *fake, script_fn *script)
{
	struct rig *rig = &fake->rig;

	fake_begin(fake, WIRE_CREATE, script);
	must(process_load(rig->process, &rig->err), &rig->err);
	assert_int_equal(rig_create(rig, "faulty", ""), -ENODEV);
	assert_non_null(strstr(rig->err.text, "its process broke the protocol while it was created: "));
	assert_int_equal(claims_held(&rig->home), 0);
}

static bool far_cookie(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.cookie = CLASS_RANGES_MAX;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_with_a_foreign_cookie(void **state)
{
	refuse_create(*state, far_cookie);
}

static bool other_length(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.length *= 2;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_that_is_not_what_was_declared(void **state)
{
	refuse_create(*state, other_length);
}

static bool elsewhere(struct fake *fake, const struct wire_message *message)
{
	struct wire_claim claim = fake_claim(0);

	claim.base += 0x100000;
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_claim_that_is_not_where_it_was_planned(void **state)
{
	refuse_create(*state, elsewhere);
}

static bool claims_twice(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(0);

	fake_ask(fake, WIRE_CLAIM, &claim);
	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_range_that_is_claimed_twice(void **state)
{
	refuse_create(*state, claims_twice);
}

static bool foreign_release(struct fake *fake, const struct wire_message *message)
{
	const struct wire_release release = { .space = BP_MMIO, .base = 0x1000 };

	fake_ask(fake, WIRE_RELEASE, &release);
	return !message;
}

static void a_release_of_what_is_not_its_own(void **state)
{
	refuse_create(*state, foreign_release);
}

static bool offers_queues(struct fake *fake, const struct wire_message *message)
{
	const struct wire_created created = { .queue_count = 1 };

	fake_reply(fake, message, &created, NULL, 0);
	return true;
}

static void queues_of_a_device_that_has_none(void **state)
{
	refuse_create(*state, offers_queues);
}

static bool dynamic(struct fake *fake, const struct wire_message *message)
{
	const struct wire_claim claim = fake_claim(1);

	fake_ask(fake, WIRE_CLAIM, &claim);
	return !message;
}

static void a_range_beyond_those_declared_is_fine(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_CREATE, dynamic);
	assert_int_equal(claims_held(&fake->rig.home), 2);
	assert_int_equal(home_read(&fake->rig.home, 1, 0, 4), 0x1234);
}

/* ---- time ---- */

static bool silent(struct fake *fake, const struct wire_message *message)
{
	(void)fake;
	return message;
}

static void silence_ends_with_the_deadline(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_RESET, silent);
	fake->rig.process->request_ns = IMPATIENT_NS;
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_HANG);
}

static _Noreturn bool floods(struct fake *fake, const struct wire_message *message)
{
	const struct wire_log line = { .level = LOG_LEVEL_DEBUG, .text = "flood" };

	(void)message;
	for (;;)
		fake_notice(fake, WIRE_LOG, &line);
}

static void a_flood_of_notices_ends_with_the_deadline(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_RESET, floods);
	fake->rig.process->request_ns = IMPATIENT_NS;
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_HANG);
}

/* There is always something to be read. */
static void a_flood_of_standard_error_ends_with_the_deadline(void **state)
{
	struct fake *fake = *state;
	FD_AUTO int endless = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	fake_run(fake, WIRE_RESET, silent);
	assert_true(dup3(endless, fake->rig.process->stderr_fd, O_CLOEXEC) >= 0);
	fake->rig.process->request_ns = IMPATIENT_NS;
	alarm(PATIENCE_S);
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	alarm(0);
	assert_int_equal(fake->rig.process->failure.cause, FAILURE_HANG);
}

/* ---- what it says ---- */

static bool speaks(struct fake *fake, const struct wire_message *message)
{
	static const char *const texts[] = { "device: its own", "other: not its own", "devices.other: failed: x" };
	struct wire_log line = { .level = LOG_LEVEL_WARN };

	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		snprintf(line.text, sizeof(line.text), "%s", texts[i]);
		fake_notice(fake, WIRE_LOG, &line);
	}
	return !message;
}

static void each_line_bears_its_name(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_RESET, speaks);
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	assert_string_equal(log_caught(), "backplane: warning: device: its own\n"
					  "backplane: warning: device: other: not its own\n"
					  "backplane: warning: device: devices.other: failed: x\n");
}

static bool writes(struct fake *fake, const struct wire_message *message)
{
	char bytes[2000];

	memset(bytes, 'x', sizeof(bytes));
	(void)!write(fake->stderr_fd, "one\ntw", 6);
	(void)!write(fake->stderr_fd, "o\n\033[2J\n\n", 8);
	(void)!write(fake->stderr_fd, bytes, sizeof(bytes));
	(void)!write(fake->stderr_fd, "\nlast", 5);
	return !message;
}

static void standard_error_is_logged_line_by_line(void **state)
{
	static const char expected[] = "backplane: info: devices.device: stderr: one\n"
				       "backplane: info: devices.device: stderr: two\n"
				       "backplane: info: devices.device: stderr: ?[2J\n"
				       "backplane: info: devices.device: stderr: xxx";
	struct fake *fake = *state;
	const char *text;

	log_set_level(LOG_LEVEL_INFO);
	fake_run(fake, WIRE_RESET, writes);
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	rig_free_process(&fake->rig);
	text = log_caught();
	assert_memory_equal(text, expected, strlen(expected));
	assert_non_null(strstr(text, "x\nbackplane: info: devices.device: stderr: last\n"));
	assert_true(strlen(text) < strlen(expected) + PROCESS_LINE_MAX + 64);
}

static bool writes_much(struct fake *fake, const struct wire_message *message)
{
	for (int i = 0; i < 10000; i++)
		(void)!write(fake->stderr_fd, "line\n", 5);
	return !message;
}

static void standard_error_has_a_budget(void **state)
{
	struct fake *fake = *state;

	log_set_level(LOG_LEVEL_INFO);
	fake_run(fake, WIRE_RESET, writes_much);
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	rig_free_process(&fake->rig);
	assert_true(count_of_text(log_caught(), "\n") <= 128);
}

static bool quits(struct fake *fake, const struct wire_message *message)
{
	fake_notice(fake, WIRE_QUIT, NULL);
	return !message;
}

static void a_quit_comes_home(void **state)
{
	struct fake *fake = *state;

	fake_run(fake, WIRE_RESET, quits);
	fake->rig.placed.ops->reset(fake->rig.placed.ctx);
	assert_int_equal(fake->rig.home.quits, 1);
}

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

static bool ends_badly(struct fake *fake, const struct wire_message *message)
{
	fake_reply(fake, message, NULL, NULL, 0);
	_exit(23);
}

static void a_status_at_the_end_is_a_warning(void **state)
{
	struct fake *fake = *state;
	const struct spawn_ended ended = { .token = 1, .code = CLD_EXITED, .status = 23 };

	fake_run(fake, WIRE_END, ends_badly);
	/* What the spawner will tell. */
	processes_note_ended(fake->rig.set, &ended);
	fake->rig.placed.ops->stop(fake->rig.placed.ctx);
	rig_free_process(&fake->rig);
	assert_string_equal(log_caught(), "backplane: warning: devices.device: its process ended with status 23\n");
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
		FAKE_TEST(a_claim_out_of_turn),
		FAKE_TEST(a_release_out_of_turn),
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
		FAKE_TEST(a_declaration_of_nonsense_is_refused),
		FAKE_TEST(a_declaration_of_nothing_is_refused),
		FAKE_TEST(an_event_before_there_is_a_device),
		FAKE_TEST(a_quit_before_there_is_a_device),
		FAKE_TEST(a_claim_before_there_is_a_device),
		FAKE_TEST(a_claim_of_one_that_never_was_a_device),
		FAKE_TEST(one_that_closes_its_socket_and_lives_on),
		FAKE_TEST(a_claim_with_a_foreign_cookie),
		FAKE_TEST(a_claim_that_is_not_what_was_declared),
		FAKE_TEST(a_claim_that_is_not_where_it_was_planned),
		FAKE_TEST(a_range_that_is_claimed_twice),
		FAKE_TEST(a_release_of_what_is_not_its_own),
		FAKE_TEST(queues_of_a_device_that_has_none),
		FAKE_TEST(a_range_beyond_those_declared_is_fine),
		FAKE_TEST(silence_ends_with_the_deadline),
		FAKE_TEST(a_flood_of_notices_ends_with_the_deadline),
		FAKE_TEST(a_flood_of_standard_error_ends_with_the_deadline),
		FAKE_TEST(each_line_bears_its_name),
		FAKE_TEST(standard_error_is_logged_line_by_line),
		FAKE_TEST(standard_error_has_a_budget),
		FAKE_TEST(a_quit_comes_home),
		FAKE_TEST(metrics_that_are_right_are_taken),
		FAKE_TEST(a_status_at_the_end_is_a_warning),
	};

	return cmocka_run_group_tests_name("process_hostile", tests, NULL, NULL);
}
