/* SPDX-License-Identifier: BSD-3-Clause */
/* A device's life: the order of its callbacks, what a failure leaves, when it answers, and that one thread at a time is in it. */
#include "tests/unit/device_fixture.h"

/* ---- order ---- */

static void callbacks_come_in_order(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	assert_int_equal(subject_new(one), 0);
	assert_string_equal(one->trace, "validate create");
	assert_int_equal(device_start(one->device, &one->err), 0);
	assert_string_equal(one->trace, "validate create start");
	device_reset(one->device);
	device_stop(one->device);
	assert_string_equal(one->trace, "validate create start reset stop");
	device_free(one->device);
	one->device = NULL;
	one->spec.values = NULL;
	one->spec.irq_fds[0] = -1;
	assert_string_equal(one->trace, "validate create start reset stop destroy");
}

static void free_stops_what_runs(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	subject_end(one);
	assert_string_equal(one->trace, "validate create start stop destroy");
}

static void what_never_ran_is_not_stopped(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	assert_int_equal(subject_new(one), 0);
	subject_end(one);
	assert_string_equal(one->trace, "validate create destroy");
}

static void stop_comes_once(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	device_stop(one->device);
	device_stop(one->device);
	subject_end(one);
	assert_string_equal(one->trace, "validate create start stop destroy");
}

static void optional_callbacks_may_be_absent(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint64_t value = 5;

	one->class.callbacks.validate = NULL;
	one->class.callbacks.start = NULL;
	one->class.callbacks.stop = NULL;
	subject_run(one);
	assert_int_equal(guest_read(one, &value), 0);
	device_stop(one->device);
	subject_end(one);
	assert_string_equal(one->trace, "create destroy");
}

/* ---- failures ---- */

static int fail_with_text(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	return bp_fail(subject->dev, -EDOM, "sector %d past end", 7);
}

static int fail_without_text(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)subject, (void)cfg;
	return -EDOM;
}

static int start_fails(struct subject *subject)
{
	return bp_fail(subject->dev, -ENOLINK, "no link");
}

static int start_fails_without_text(struct subject *subject)
{
	(void)subject;
	return -ENOLINK;
}

static void a_failed_create_leaves_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	size_t fds = count_fds();

	one->hooks.create = fail_with_text;
	assert_int_equal(subject_new(one), -EDOM);
	assert_null(one->device);
	assert_string_equal(one->err.text, "sector 7 past end");
	assert_string_equal(one->trace, "validate create");
	assert_int_equal(count_fds(), fds);
	assert_int_equal(claims_held(one), 0);
	/* Values and interrupts are still the caller's, and a second attempt can use them. */
	one->hooks.create = NULL;
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(claims_held(one), 1);
}

static void a_failed_validate_ends_it(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	size_t fds = count_fds();

	one->hooks.validate = fail_with_text;
	assert_int_equal(subject_new(one), -EDOM);
	assert_string_equal(one->err.text, "sector 7 past end");
	assert_string_equal(one->trace, "validate");
	assert_int_equal(count_fds(), fds);
	assert_int_equal(claims_held(one), 0);
}

static void a_failure_without_words_gets_some(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = fail_without_text;
	assert_int_equal(subject_new(one), -EDOM);
	assert_string_equal(one->err.text, "the plugin cannot create the device: Numerical argument out of domain");
}

static void a_device_needs_a_state(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.no_state = true;
	assert_int_equal(subject_new(one), -EINVAL);
	assert_string_equal(one->err.text, "the plugin created the device without a state");
	assert_string_equal(one->trace, "validate create");
	assert_int_equal(claims_held(one), 0);
}

static void a_refused_claim_ends_it(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	size_t fds = count_fds();

	one->claim_error = -EEXIST;
	assert_int_equal(subject_new(one), -EEXIST);
	assert_string_equal(one->err.text, "the place refuses");
	assert_string_equal(one->trace, "");
	assert_int_equal(count_fds(), fds);
}

static void a_failed_start_can_be_freed(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint64_t value = 0;

	one->hooks.start = start_fails;
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(device_start(one->device, &one->err), -ENOLINK);
	assert_string_equal(one->err.text, "no link");
	assert_int_equal(guest_read(one, &value), -ENODEV);
	subject_end(one);
	assert_string_equal(one->trace, "validate create start destroy");
}

static int create_recovers(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	/* A first attempt fails, and the device does without. */
	bp_fail(subject->dev, -EIO, "old news");
	return 0;
}

static void old_words_do_not_explain_a_new_failure(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.validate = create_recovers;
	one->hooks.create = fail_without_text;
	assert_int_equal(subject_new(one), -EDOM);
	assert_string_equal(one->err.text, "the plugin cannot create the device: Numerical argument out of domain");
	one->hooks.create = create_recovers;
	one->hooks.start = start_fails_without_text;
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(device_start(one->device, &one->err), -ENOLINK);
	assert_string_equal(one->err.text, "the plugin cannot start the device: Link has been severed");
}

static int fail_while_running(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	return bp_fail(subject->dev, -EIO, "the disk is %s", "gone");
}

static void a_failure_of_a_callback_is_logged(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(on_dev(one, fail_while_running), -EIO);
	assert_string_equal(log_caught(), "backplane: warning: one: the disk is gone (Input/output error)\n");
}

static void everything_is_given_back(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	size_t fds = count_fds();

	/* The copy of the interrupt's eventfd goes with the device. */
	subject_run(one);
	assert_true(count_fds() > fds);
	device_free(one->device);
	assert_int_equal(count_fds(), fds - 1);
	assert_int_equal(claims_held(one), 0);
	one->device = NULL;
	one->spec.values = NULL;
	one->spec.irq_fds[0] = -1;
}

/* ---- accesses ---- */

static int keep_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct bp_access *kept = subject->extra;

	*kept = *access;
	if (!access->write)
		*val = UINT64_C(0x8877665544332211);
	return access->offset == 8 ? -EIO : 0;
}

static void an_access_arrives_as_it_was_made(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct bp_access kept = { 0 };
	uint64_t value = 0;

	one->extra = &kept;
	one->hooks.access = keep_access;
	subject_run(one);
	assert_int_equal(device_access(one->device, 3, 0x10, 8, false, &value), 0);
	assert_int_equal(kept.size, sizeof(kept));
	assert_int_equal(kept.range, 3);
	assert_int_equal(kept.offset, 0x10);
	assert_int_equal(kept.width, 8);
	assert_int_equal(kept.write, 0);
	assert_int_equal(value, UINT64_C(0x8877665544332211));
	assert_int_equal(device_access(one->device, 0, 8, 1, true, &value), -EIO);
	assert_int_equal(kept.write, 1);
}

static int count_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	unsigned int *count = subject->extra;

	(void)access, (void)val;
	++*count;
	return 0;
}

static void it_answers_only_while_it_runs(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	unsigned int count = 0;

	one->extra = &count;
	one->hooks.access = count_access;
	assert_int_equal(subject_new(one), 0);
	assert_int_equal(guest_write(one, 1), -ENODEV);
	assert_int_equal(device_start(one->device, &one->err), 0);
	assert_int_equal(guest_write(one, 1), 0);
	device_stop(one->device);
	assert_int_equal(guest_write(one, 1), -ENODEV);
	device_reset(one->device);
	assert_int_equal(guest_write(one, 1), -ENODEV);
	assert_int_equal(count, 1);
	assert_null(strstr(one->trace, "reset"));
}

static int break_it(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	bp_broken(subject->dev, "ring %u is at odds", 3);
	bp_broken(subject->dev, "again");
	return 0;
}

static void broken_until_reset(void **state)
{
	struct fixture *fixture = *state;
	struct subject *one = &fixture->one;
	unsigned int count = 0;

	subject_run(one);
	subject_run(&fixture->two);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(on_dev(one, break_it), 0);
	assert_string_equal(log_caught(),
			    "backplane: warning: one: the guest's driver broke the device: ring 3 is at odds; "
			    "it is off until it is reset\n");
	one->extra = &count;
	assert_int_equal(on_dev(one, count_access), -ENODEV);
	assert_int_equal(count, 0);
	/* Its neighbour goes on. */
	assert_int_equal(guest_write(&fixture->two, 1), 0);
	device_reset(one->device);
	assert_int_equal(on_dev(one, count_access), 0);
	assert_int_equal(count, 1);
}

static void reset_as_broken(struct subject *subject)
{
	bp_broken(subject->dev, "in reset");
}

static void reset_heals_at_last(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	one->hooks.reset = reset_as_broken;
	log_catch(LOG_LEVEL_WARN);
	device_reset(one->device);
	assert_int_equal(guest_write(one, 1), 0);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS  5000

/* Plain on purpose: only the device's own mutex protects it. */
static unsigned int plain_count;

static int count_plainly(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)subject, (void)access, (void)val;
	plain_count++;
	return 0;
}

static void *access_often(void *arg)
{
	struct subject *subject = arg;

	for (int i = 0; i < ROUNDS; i++)
		MUST(guest_write(subject, 1) == 0);
	return NULL;
}

static void one_thread_at_a_time(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	pthread_t threads[THREADS];

	plain_count = 0;
	one->hooks.access = count_plainly;
	subject_run(one);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, access_often, one), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_true(thread_join(threads[i]));
	assert_int_equal(plain_count, THREADS * ROUNDS);
}

static int meet(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct subject *other = subject->extra;

	(void)access, (void)val;
	event_post(&subject->done);
	return event_wait(&other->done, 1) ? 0 : -ETIME;
}

static void *access_once(void *arg)
{
	return (void *)(intptr_t)guest_write(arg, 1);
}

/* Each waits for the other inside of its callback: it works only if no lock is shared. */
static void two_instances_run_at_once(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	void *other;

	fixture->one.extra = &fixture->two;
	fixture->two.extra = &fixture->one;
	fixture->one.hooks.access = meet;
	fixture->two.hooks.access = meet;
	subject_run(&fixture->one);
	subject_run(&fixture->two);
	assert_int_equal(pthread_create(&thread, NULL, access_once, &fixture->one), 0);
	assert_int_equal(guest_write(&fixture->two, 1), 0);
	assert_int_equal(pthread_join(thread, &other), 0);
	assert_ptr_equal(other, NULL);
}

/* ---- a callback that takes its time ---- */

static int take_20_ms(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	const struct timespec time = { .tv_nsec = 20000000 };

	(void)subject, (void)access, (void)val;
	nanosleep(&time, NULL);
	return 0;
}

static int take_110_ms(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	const struct timespec time = { .tv_nsec = 110000000 };

	(void)subject, (void)access, (void)val;
	nanosleep(&time, NULL);
	return 0;
}

static void a_slow_callback_is_named(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	log_catch(LOG_LEVEL_INFO);
	assert_int_equal(guest_write(one, 1), 0);
	assert_string_equal(log_caught(), "");
	assert_int_equal(on_dev(one, take_20_ms), 0);
	assert_non_null(strstr(log_caught(), "one: access took "));
	assert_non_null(strstr(log_caught(), " ms; a callback must not block\n"));
}

static void a_very_slow_callback_is_warned_of(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	unsigned int took_ms = 0;

	subject_run(one);
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(on_dev(one, take_110_ms), 0);
	/* A busy host takes longer. */
	assert_int_equal(sscanf(log_caught(), "backplane: warning: one: access took %u ms", &took_ms), 1);
	assert_in_range(took_ms, 110, PATIENCE_S * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(callbacks_come_in_order),
		TEST(free_stops_what_runs),
		TEST(what_never_ran_is_not_stopped),
		TEST(stop_comes_once),
		TEST(optional_callbacks_may_be_absent),
		TEST(a_failed_create_leaves_nothing),
		TEST(a_failed_validate_ends_it),
		TEST(a_failure_without_words_gets_some),
		TEST(a_device_needs_a_state),
		TEST(a_refused_claim_ends_it),
		TEST(a_failed_start_can_be_freed),
		TEST(old_words_do_not_explain_a_new_failure),
		TEST(a_failure_of_a_callback_is_logged),
		TEST(everything_is_given_back),
		TEST(an_access_arrives_as_it_was_made),
		TEST(it_answers_only_while_it_runs),
		TEST(broken_until_reset),
		TEST(reset_heals_at_last),
		TEST(one_thread_at_a_time),
		TEST(two_instances_run_at_once),
		TEST(a_slow_callback_is_named),
		TEST(a_very_slow_callback_is_warned_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
