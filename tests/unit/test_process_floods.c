/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plugin's process, played by the test, may take of time and of the log. */
#include "tests/unit/process_fake.h"

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
		FAKE_TEST(silence_ends_with_the_deadline),
		FAKE_TEST(a_flood_of_notices_ends_with_the_deadline),
		FAKE_TEST(a_flood_of_standard_error_ends_with_the_deadline),
		FAKE_TEST(each_line_bears_its_name),
		FAKE_TEST(standard_error_is_logged_line_by_line),
		FAKE_TEST(standard_error_has_a_budget),
		FAKE_TEST(a_quit_comes_home),
		FAKE_TEST(a_status_at_the_end_is_a_warning),
	};

	return cmocka_run_group_tests_name("process_floods", tests, NULL, NULL);
}
