/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device can tell the machine, and which clocks it has. */
#include "tests/unit/device_fixture.h"

#include "core/base/clock.h"

static int read_clocks(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	struct timespec real;
	uint64_t before_ns, start_ns, after_ns;

	(void)access;
	(void)val;
	before_ns = bp_clock_ns(subject->dev);
	MUST(bp_clock(subject->dev, BP_CLOCK_MONOTONIC) >= before_ns);
	/* The program began before, and the same moment is the origin each time. */
	start_ns = bp_clock(subject->dev, BP_CLOCK_START);
	after_ns = bp_clock_ns(subject->dev);
	MUST(start_ns && before_ns - clock_start_ns() <= start_ns && start_ns <= after_ns - clock_start_ns());
	clock_gettime(CLOCK_REALTIME, &real);
	MUST(bp_clock(subject->dev, BP_CLOCK_REAL) / NS_PER_S - (uint64_t)real.tv_sec <= 60);
	MUST(bp_clock(subject->dev, 0) == 0 && bp_clock(subject->dev, BP_CLOCK_START + 1) == 0);
	return 0;
}

static void clocks(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(on_dev(one, read_clocks), 0);
	/* From any thread, outside of every callback, too. */
	log_catch(LOG_LEVEL_DEBUG);
	assert_true(bp_clock(one->dev, BP_CLOCK_START) > 0);
	assert_string_equal(log_caught(), "");
}

static int raise_events(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access;
	(void)val;
	MUST(bp_event(subject->dev, 0, 0) == -EINVAL && bp_event(subject->dev, BP_EVENT_MARK + 1, 0) == -EINVAL);
	MUST(subject->event_count == 0);
	for (uint32_t event = BP_EVENT_PANIC; event <= BP_EVENT_MARK; event++) {
		MUST(bp_event(subject->dev, event, UINT64_MAX - event) == 0);
		MUST(subject->last_event == event && subject->last_value == UINT64_MAX - event);
	}
	return 0;
}

static void events_reach_the_place(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	log_catch(LOG_LEVEL_DEBUG);
	assert_int_equal(on_dev(one, raise_events), 0);
	assert_int_equal(one->event_count, 5);
	assert_string_equal(log_caught(), "");
}

static int event_in_create(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	MUST(bp_event(subject->dev, BP_EVENT_RESET, 0) == -EDEADLK);
	return 0;
}

static void events_are_for_dev_alone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = event_in_create;
	log_catch(LOG_LEVEL_DEBUG);
	subject_run(one);
	assert_non_null(strstr(log_caught(), "bp_event was called from create, where it is not allowed"));
	assert_int_equal(bp_event(one->dev, BP_EVENT_RESET, 0), -EDEADLK);
	assert_int_equal(one->event_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(clocks),
		TEST(events_reach_the_place),
		TEST(events_are_for_dev_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
