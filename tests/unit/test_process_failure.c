/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins in processes of their own that fail: real processes with tests/plugins/faulty.c, which does where and how it
 * is told. What is waited for in vain has a short deadline, all else a long one. Crashes are by abort(), since
 * sanitizers make an exit of a fault.
 */
#include "tests/unit/process_fixture.h"

#include "tests/payload/beside.h"

#define ONES UINT32_MAX

static const char *fault(const char *where, const char *how)
{
	static char keys[128];

	snprintf(keys, sizeof(keys), "where = \"%s\"; how = \"%s\";", where, how);
	return keys;
}

static void run_faulty(struct rig *rig, const char *where, const char *how)
{
	log_catch(LOG_LEVEL_WARN);
	rig_run(rig, "faulty", "faulty", fault(where, how));
}

/* The line has come once, and nothing beside it. */
static void expect_told(struct rig *rig, const char *how)
{
	char line[256];

	MIND_UNTIL(rig, rig->home.failures);
	snprintf(line, sizeof(line), "devices.device: failed: plugin=faulty %s action=needs_reset\n", how);
	assert_string_equal(log_caught(), line);
	/* And stays so. */
	rig_mind(rig);
	assert_string_equal(log_caught(), line);
	assert_int_equal(rig->home.failures, 1);
}

/* ---- while the guest runs ---- */

static void a_process_that_is_killed_is_told(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "none", "segv");
	pidfd_send_signal(rig->process->pidfd, SIGKILL, NULL, 0);
	expect_told(rig, "cause=signal signal=SIGKILL while=running");
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
}

static void the_action_is_in_the_line(void **state)
{
	struct rig *rig = *state;

	rig->spec.on_failure = ON_FAILURE_STOP;
	run_faulty(rig, "none", "segv");
	pidfd_send_signal(rig->process->pidfd, SIGKILL, NULL, 0);
	MIND_UNTIL(rig, rig->home.failures);
	assert_string_equal(log_caught(), "devices.device: failed: plugin=faulty cause=signal signal=SIGKILL "
					  "while=running action=stop\n");
}

static void a_crash_in_a_read_gives_ones(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "read", "abort");
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
	expect_told(rig, "cause=signal signal=SIGABRT while=access");
}

static void an_exit_is_told_with_its_status(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "read", "exit1");
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
	expect_told(rig, "cause=exit status=1 while=access");
}

static void a_read_that_hangs_ends_with_its_deadline(void **state)
{
	struct rig *rig = *state;
	uint64_t since_ns;

	rig->spec.read_ns = IMPATIENT_NS;
	run_faulty(rig, "read", "hang");
	since_ns = clock_now_ns();
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
	assert_true(clock_now_ns() - since_ns >= IMPATIENT_NS);
	/* No access waits once more. */
	rig->process->read_ns = PATIENT_NS;
	home_write(&rig->home, 0, 0, 4, 1);
	assert_int_equal(home_read(&rig->home, 0, 0, 4), ONES);
	expect_told(rig, "cause=hang while=access");
}

static void writes_that_nobody_takes_end_with_their_deadline(void **state)
{
	struct rig *rig = *state;

	rig->spec.read_ns = IMPATIENT_NS;
	run_faulty(rig, "write", "hang");
	while (!process_failed(rig->process))
		home_write(&rig->home, 0, 0, 4, 1);
	expect_told(rig, "cause=hang while=access");
}

static void *read_once(void *arg)
{
	struct rig *rig = arg;

	MUST(home_read(&rig->home, 0, 0, 4) == ONES);
	return NULL;
}

static void all_that_wait_are_released_together(void **state)
{
	struct rig *rig = *state;
	const uint64_t deadline_ns = 2 * NS_PER_S;
	pthread_t threads[4];
	uint64_t since_ns;

	rig->spec.read_ns = deadline_ns;
	run_faulty(rig, "read", "hang");
	since_ns = clock_now_ns();
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_once, rig), 0);
	for (size_t i = 0; i < COUNT_OF(threads); i++)
		assert_true(thread_join(threads[i]));
	/* Not one deadline after the other. */
	assert_true(clock_now_ns() - since_ns < 2 * deadline_ns);
	expect_told(rig, "cause=hang while=access");
}

static void a_hang_that_nobody_waits_for_is_found(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "timer", "hang");
	rig_hurry(rig, IMPATIENT_NS);
	home_write(&rig->home, 0, BESIDE_FAULTY_TRIGGER, 4, BESIDE_TIMER);
	expect_told(rig, "cause=hang while=running");
}

static void a_process_that_was_stopped_is_found(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "none", "segv");
	rig_hurry(rig, IMPATIENT_NS);
	pidfd_send_signal(rig->process->pidfd, SIGSTOP, NULL, 0);
	expect_told(rig, "cause=hang while=running");
}

static void one_that_answers_is_left_alone(void **state)
{
	struct rig *rig = *state;
	uint32_t first;

	run_faulty(rig, "none", "segv");
	rig_hurry(rig, PATIENT_NS / 15);
	first = rig->process->sequence;
	MIND_UNTIL(rig, rig->process->sequence >= first + 4);
	assert_false(process_failed(rig->process));
	assert_string_equal(log_caught(), "");
}

static void a_device_at_rest_is_not_asked(void **state)
{
	struct rig *rig = *state;
	uint64_t end_ns;
	uint32_t first;

	run_faulty(rig, "none", "segv");
	must(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	rig->process->request_ns = IMPATIENT_NS;
	first = rig->process->sequence;
	end_ns = clock_now_ns() + 2 * IMPATIENT_NS;
	while (clock_now_ns() < end_ns)
		rig_mind(rig);
	assert_int_equal(rig->process->sequence, first);
}

static void we_may_have_been_away(void **state)
{
	struct rig *rig = *state;
	struct timespec away = { .tv_nsec = (long)(2 * IMPATIENT_NS) };
	struct pollfd answer;

	run_faulty(rig, "none", "segv");
	rig_hurry(rig, IMPATIENT_NS);
	MIND_UNTIL(rig, rig->process->ping_sent);
	/* The time that passes is what is tested: the answer lies there when we come back. */
	answer = (struct pollfd){ .fd = rig->process->control.fd, .events = POLLIN };
	assert_int_equal(poll(&answer, 1, PATIENCE_S * 1000), 1);
	nanosleep(&away, NULL);
	process_mind_ping(rig->process, clock_now_ns());
	assert_false(process_failed(rig->process));
}

static void nonsense_is_told(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "timer", "garbage");
	home_write(&rig->home, 0, BESIDE_FAULTY_TRIGGER, 4, BESIDE_TIMER);
	expect_told(rig, "cause=protocol while=running");
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	struct rig *rig = *state;
	size_t fds;

	run_faulty(rig, "timer", "bomb");
	fds = count_fds();
	home_write(&rig->home, 0, BESIDE_FAULTY_TRIGGER, 4, BESIDE_TIMER);
	expect_told(rig, "cause=protocol while=running");
	assert_true(count_fds() <= fds);
}

static void a_flood_of_lines_does_not_keep_us(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "read", "flood");
	assert_int_equal(home_read(&rig->home, 0, 0, 4), 0);
	/* Each time we come back, and have taken no more than a turn of them. */
	while (rig->process->log_limit.dropped < 1000) {
		uint32_t before = rig->process->log_limit.dropped;

		rig_mind(rig);
		assert_true(rig->process->log_limit.dropped <= before + PROCESS_TURN_MESSAGES);
	}
	rig->placed.ops->reset(rig->placed.ctx);
	assert_false(process_failed(rig->process));
	/* The budget, and what was left out of it. */
	assert_true(count_of_text(log_caught(), "\n") <= 42);
	assert_int_equal(count_of_text(log_caught(), "\n"), count_of_text(log_caught(), "backplane: error: device: "));
}

static void a_vm_that_ends_tells_of_a_failure(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "stop", "abort");
	rig->placed.ops->stop(rig->placed.ctx);
	rig_free_process(rig);
	assert_string_equal(log_caught(),
			    "devices.device: failed: plugin=faulty cause=signal signal=SIGABRT while=stop "
			    "action=needs_reset\n");
}

static void a_crash_at_the_very_end_is_told(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "destroy", "abort");
	rig->placed.ops->stop(rig->placed.ctx);
	rig_free_process(rig);
	assert_string_equal(log_caught(), "devices.device: failed: plugin=faulty cause=signal signal=SIGABRT "
					  "while=destroy action=needs_reset\n");
}

/* ---- requests ---- */

static void a_crash_in_a_reset_names_it(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "reset", "abort");
	rig->placed.ops->reset(rig->placed.ctx);
	expect_told(rig, "cause=signal signal=SIGABRT while=reset");
}

static void a_hang_in_quiesce_is_an_error_and_a_failure(void **state)
{
	struct rig *rig = *state;

	run_faulty(rig, "quiesce", "hang");
	rig->process->request_ns = IMPATIENT_NS;
	assert_int_equal(rig->placed.ops->quiesce(rig->placed.ctx, &rig->err), -ENODEV);
	assert_non_null(strstr(rig->err.text, "did not answer for 300 ms"));
	expect_told(rig, "cause=hang while=quiesce");
}

static void nothing_can_be_asked_of_one_that_failed(void **state)
{
	struct rig *rig = *state;
	const struct placed_ops *ops;
	uint8_t *bytes;
	size_t count;

	run_faulty(rig, "reset", "abort");
	ops = rig->placed.ops;
	ops->reset(rig->placed.ctx);
	assert_int_equal(ops->quiesce(rig->placed.ctx, &rig->err), -ENODEV);
	assert_int_equal(ops->resume(rig->placed.ctx, &rig->err), -ENODEV);
	assert_int_equal(ops->save(rig->placed.ctx, &bytes, &count, &rig->err), -ENODEV);
	assert_int_equal(ops->load(rig->placed.ctx, "", 0, &rig->err), -ENODEV);
	ops->reset(rig->placed.ctx);
	ops->terminal_resized(rig->placed.ctx);
	ops->stop(rig->placed.ctx);
}

/* ---- before anything runs ---- */

static void expect_sentence(struct rig *rig, const char *end)
{
	char sentence[PATH_MAX + 128];

	snprintf(sentence, sizeof(sentence), "plugin \"%s\": its process %s", rig->path, end);
	assert_string_equal(rig->err.text, sentence);
	/* It is an error of the call, so that there is no line. */
	rig_free_process(rig);
	assert_string_equal(log_caught(), "");
}

static void constructor(struct rig *rig, const char *how)
{
	log_catch(LOG_LEVEL_WARN);
	snprintf(rig->path, sizeof(rig->path), "%s/tests/plugins/constructors/%s.so", build_folder(), how);
	assert_true(process_new(rig->set, &rig->spec, &rig->process, &rig->err) < 0);
	assert_null(rig->process);
}

static void a_crash_in_a_constructor_is_the_error_of_loading(void **state)
{
	struct rig *rig = *state;

	constructor(rig, "ABORT");
	expect_sentence(rig, "was killed by SIGABRT while it was loaded");
}

static void an_exit_in_a_constructor_is_the_error_of_loading(void **state)
{
	struct rig *rig = *state;

	constructor(rig, "EXIT0");
	expect_sentence(rig, "exited with status 0 while it was loaded");
}

static void a_hang_in_a_constructor_is_the_error_of_loading(void **state)
{
	struct rig *rig = *state;

	rig->spec.request_ns = IMPATIENT_NS;
	constructor(rig, "HANG");
	expect_sentence(rig, "did not answer for 300 ms while it was loaded");
}

static void a_crash_in_create_is_its_error(void **state)
{
	struct rig *rig = *state;

	log_catch(LOG_LEVEL_WARN);
	must(rig_load(rig, "faulty"), &rig->err);
	assert_int_equal(rig_create(rig, "faulty", fault("create", "abort")), -ENODEV);
	expect_sentence(rig, "was killed by SIGABRT while it was created");
}

static void a_crash_in_start_is_its_error(void **state)
{
	struct rig *rig = *state;

	log_catch(LOG_LEVEL_WARN);
	must(rig_load(rig, "faulty"), &rig->err);
	must(rig_create(rig, "faulty", fault("start", "abort")), &rig->err);
	assert_int_equal(rig->placed.ops->start(rig->placed.ctx, &rig->err), -ENODEV);
	expect_sentence(rig, "was killed by SIGABRT while it was started");
}

static void one_that_died_unnoticed_is_the_error_of_what_comes_next(void **state)
{
	struct rig *rig = *state;

	log_catch(LOG_LEVEL_WARN);
	must(rig_load(rig, "faulty"), &rig->err);
	must(rig_create(rig, "faulty", ""), &rig->err);
	pidfd_send_signal(rig->process->pidfd, SIGKILL, NULL, 0);
	assert_int_equal(rig->placed.ops->start(rig->placed.ctx, &rig->err), -ENODEV);
	expect_sentence(rig, "was killed by SIGKILL while it was started");
}

static void minding_one_that_died_before_it_was_started_leaves_the_error_to_start(void **state)
{
	struct rig *rig = *state;

	log_catch(LOG_LEVEL_WARN);
	must(rig_load(rig, "faulty"), &rig->err);
	must(rig_create(rig, "faulty", ""), &rig->err);
	pidfd_send_signal(rig->process->pidfd, SIGKILL, NULL, 0);
	MIND_UNTIL(rig, rig->process->settled);
	assert_int_equal(rig->home.failures, 0);
	assert_int_equal(rig->placed.ops->start(rig->placed.ctx, &rig->err), -ENODEV);
	expect_sentence(rig, "was killed by SIGKILL while it was used");
}

static void nothing_is_left_of_many_failures(void **state)
{
	static const char *const ways[] = { "segv", "exit1", "abort", "close", "garbage" };
	struct rig *rig = *state;
	size_t fds = 0;

	log_catch(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < 50; i++) {
		int pidfd;

		rig_run(rig, "faulty", "faulty", fault("read", ways[i % COUNT_OF(ways)]));
		pidfd = dup(rig->process->pidfd);
		home_read(&rig->home, 0, 0, 4);
		rig_free_process(rig);
		assert_int_equal(pidfd_send_signal(pidfd, 0, NULL, 0), -1);
		close(pidfd);
		if (!fds)
			fds = count_fds();
		assert_int_equal(count_fds(), fds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_process_that_is_killed_is_told),
		RIG_TEST(the_action_is_in_the_line),
		RIG_TEST(a_crash_in_a_read_gives_ones),
		RIG_TEST(an_exit_is_told_with_its_status),
		RIG_TEST(a_read_that_hangs_ends_with_its_deadline),
		RIG_TEST(writes_that_nobody_takes_end_with_their_deadline),
		RIG_TEST(all_that_wait_are_released_together),
		RIG_TEST(a_hang_that_nobody_waits_for_is_found),
		RIG_TEST(a_process_that_was_stopped_is_found),
		RIG_TEST(one_that_answers_is_left_alone),
		RIG_TEST(a_device_at_rest_is_not_asked),
		RIG_TEST(we_may_have_been_away),
		RIG_TEST(nonsense_is_told),
		RIG_TEST(descriptors_that_nobody_asked_for_are_closed),
		RIG_TEST(a_flood_of_lines_does_not_keep_us),
		RIG_TEST(a_vm_that_ends_tells_of_a_failure),
		RIG_TEST(a_crash_at_the_very_end_is_told),
		RIG_TEST(a_crash_in_a_reset_names_it),
		RIG_TEST(a_hang_in_quiesce_is_an_error_and_a_failure),
		RIG_TEST(nothing_can_be_asked_of_one_that_failed),
		RIG_TEST(a_crash_in_a_constructor_is_the_error_of_loading),
		RIG_TEST(an_exit_in_a_constructor_is_the_error_of_loading),
		RIG_TEST(a_hang_in_a_constructor_is_the_error_of_loading),
		RIG_TEST(a_crash_in_create_is_its_error),
		RIG_TEST(a_crash_in_start_is_its_error),
		RIG_TEST(one_that_died_unnoticed_is_the_error_of_what_comes_next),
		RIG_TEST(minding_one_that_died_before_it_was_started_leaves_the_error_to_start),
		RIG_TEST(nothing_is_left_of_many_failures),
	};

	return cmocka_run_group_tests_name("process_failure", tests, NULL, NULL);
}
