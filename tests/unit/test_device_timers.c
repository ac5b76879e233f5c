/* SPDX-License-Identifier: BSD-3-Clause */
/* A device's event loop: timers. */
#include "core/base/clock.h"

#include "tests/unit/loop_fixture.h"

#define TIMERS_MAX 64

struct clockwork {
	struct subject *subject;
	uint32_t timers[4];
	uint64_t deadlines[4];
	struct event fired;
	char order[16];
	atomic_uint early; /* callbacks that came before their moment */
	unsigned int again;
};

static struct clockwork works;

static void note_timer(void *arg, uint32_t timer)
{
	struct clockwork *clockwork = arg;
	size_t used = strlen(clockwork->order);

	for (size_t i = 0; i < COUNT_OF(clockwork->timers); i++)
		if (clockwork->timers[i] == timer) {
			clockwork->order[used] = (char)('a' + i);
			if (bp_clock_ns(clockwork->subject->dev) < clockwork->deadlines[i])
				atomic_fetch_add(&clockwork->early, 1);
		}
	event_post(&clockwork->fired);
}

static int timers_add(struct subject *subject, bp_timer_fn *fn)
{
	works = (struct clockwork){ .subject = subject, .fired = EVENT_INIT };
	for (size_t i = 0; i < COUNT_OF(works.timers); i++)
		MUST(bp_timer_add(subject->dev, fn, &works, &works.timers[i]) == 0);
	return 0;
}

static void timer_arm(size_t index, uint64_t deadline_ns)
{
	works.deadlines[index] = deadline_ns;
	MUST(bp_timer_set(works.subject->dev, works.timers[index], deadline_ns) == 0);
}

static int create_past_timer(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	timers_add(subject, note_timer);
	timer_arm(0, 1);
	return 0;
}

static void a_past_deadline_fires_at_once(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.create = create_past_timer;
	subject_run(one);
	assert_true(event_wait(&works.fired, 1));
	assert_string_equal(works.order, "a");
}

static int start_in_disorder(struct subject *subject)
{
	uint64_t now = bp_clock_ns(subject->dev);

	timers_add(subject, note_timer);
	timer_arm(0, now + 30 * NS_PER_MS);
	timer_arm(1, now + 10 * NS_PER_MS);
	timer_arm(2, now + 20 * NS_PER_MS);
	timer_arm(3, now + 5 * NS_PER_MS);
	return 0;
}

static void timers_fire_in_order_and_not_early(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_in_disorder;
	subject_run(one);
	assert_true(event_wait(&works.fired, 4));
	assert_string_equal(works.order, "dbca");
	assert_int_equal(atomic_load(&works.early), 0);
}

static int start_late(struct subject *subject)
{
	timers_add(subject, note_timer);
	timer_arm(0, 40);
	timer_arm(1, 20);
	timer_arm(2, 30);
	timer_arm(3, 10);
	return 0;
}

/* All of them are due when the loop first looks. */
static void late_timers_fire_in_order_too(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_late;
	subject_run(one);
	assert_true(event_wait(&works.fired, 4));
	assert_string_equal(works.order, "dbca");
}

static void rearm(void *arg, uint32_t timer)
{
	struct clockwork *clockwork = arg;

	if (++clockwork->again < 10)
		MUST(bp_timer_set(clockwork->subject->dev, timer,
				  clockwork->again % 2 ? 1 : bp_clock_ns(clockwork->subject->dev) + NS_PER_MS) == 0);
	else
		event_post(&clockwork->fired);
}

static int start_rearming(struct subject *subject)
{
	timers_add(subject, rearm);
	timer_arm(0, 1);
	return 0;
}

static void a_timer_can_be_armed_by_itself(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_rearming;
	subject_run(one);
	assert_true(event_wait(&works.fired, 1));
	assert_int_equal(works.again, 10);
}

static void always_again(void *arg, uint32_t timer)
{
	struct clockwork *clockwork = arg;

	MUST(bp_timer_set(clockwork->subject->dev, timer, 1) == 0);
	event_post(&clockwork->fired);
}

static int start_greedy(struct subject *subject)
{
	timers_add(subject, always_again);
	timer_arm(0, 1);
	return add_first(subject);
}

/* One that is always due leaves time for descriptors, accesses and the end. */
static void a_greedy_timer_starves_nobody(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	one->hooks.start = start_greedy;
	subject_run(one);
	assert_true(event_wait(&works.fired, 100));
	fd_event_signal(watch->fd);
	assert_true(event_wait(&watch->called, 1));
	assert_int_equal(guest_write(one, 1), 0);
	device_stop(one->device);
}

static void disarm_others(void *arg, uint32_t timer)
{
	struct clockwork *clockwork = arg;
	struct bp_dev *dev = clockwork->subject->dev;

	note_timer(arg, timer);
	if (timer != clockwork->timers[0])
		return;
	MUST(bp_timer_set(dev, clockwork->timers[1], 0) == 0);
	MUST(bp_timer_del(dev, clockwork->timers[2]) == 0);
	MUST(bp_timer_del(dev, clockwork->timers[2]) == -ENOENT);
	MUST(bp_timer_set(dev, clockwork->timers[2], 1) == -ENOENT);
}

static int start_disarming(struct subject *subject)
{
	timers_add(subject, disarm_others);
	for (size_t i = 0; i < 4; i++)
		timer_arm(i, 1 + i);
	return 0;
}

static void a_disarmed_timer_does_not_fire(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_disarming;
	subject_run(one);
	assert_true(event_wait(&works.fired, 2));
	assert_string_equal(works.order, "ad");
}

static int start_moving(struct subject *subject)
{
	uint64_t now = bp_clock_ns(subject->dev);

	timers_add(subject, note_timer);
	timer_arm(0, now + 5 * NS_PER_MS);
	timer_arm(0, now + 40 * NS_PER_MS);
	timer_arm(1, now + 40 * NS_PER_MS);
	timer_arm(1, now + 10 * NS_PER_MS);
	timer_arm(2, UINT64_MAX);
	timer_arm(3, now + 50 * NS_PER_MS);
	return 0;
}

/* The last moment counts, whether it is later or earlier than the one before; the far future never comes. */
static void a_timer_can_be_moved(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_moving;
	subject_run(one);
	assert_true(event_wait(&works.fired, 3));
	assert_string_equal(works.order, "bad");
	assert_int_equal(atomic_load(&works.early), 0);
}

static int arm_from_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	timers_add(subject, note_timer);
	timer_arm(1, bp_clock_ns(subject->dev) + NS_PER_MS);
	return 0;
}

static void an_access_can_arm_a_timer(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	subject_run(one);
	assert_int_equal(on_dev(one, arm_from_access), 0);
	assert_true(event_wait(&works.fired, 1));
	assert_string_equal(works.order, "b");
	assert_int_equal(atomic_load(&works.early), 0);
}

static int add_all_timers(struct subject *subject)
{
	uint32_t timer = 99;

	MUST(bp_timer_add(subject->dev, NULL, NULL, &timer) == -EINVAL && timer == 99);
	for (uint32_t i = 0; i < TIMERS_MAX; i++)
		MUST(bp_timer_add(subject->dev, note_timer, NULL, &timer) == 0);
	MUST(bp_timer_add(subject->dev, note_timer, NULL, &timer) == -ENOSPC);
	MUST(bp_timer_set(subject->dev, TIMERS_MAX, 1) == -ENOENT &&
	     bp_timer_set(subject->dev, UINT32_MAX, 1) == -ENOENT);
	MUST(bp_timer_del(subject->dev, TIMERS_MAX) == -ENOENT);
	MUST(bp_timer_del(subject->dev, 5) == 0);
	MUST(bp_timer_add(subject->dev, note_timer, NULL, &timer) == 0 && timer == 5);
	return 0;
}

static void timers_are_limited(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = add_all_timers;
	subject_run(one);
}

static void slow_timer(void *arg, uint32_t timer)
{
	const struct timespec time = { .tv_nsec = 20000000 };

	(void)timer;
	nanosleep(&time, NULL);
	(void)arg;
}

static void after_slow_timer(void *arg, uint32_t timer)
{
	(void)timer;
	event_post(arg);
}

static int start_slow(struct subject *subject)
{
	uint32_t slow, after;

	MUST(bp_timer_add(subject->dev, slow_timer, NULL, &slow) == 0);
	MUST(bp_timer_set(subject->dev, slow, 1) == 0);
	MUST(bp_timer_add(subject->dev, after_slow_timer, &subject->done, &after) == 0);
	return bp_timer_set(subject->dev, after, bp_clock_ns(subject->dev) + 30 * NS_PER_MS);
}

static void a_slow_timer_is_named(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = start_slow;
	log_catch(LOG_LEVEL_INFO);
	subject_run(one);
	assert_true(event_wait(&one->done, 1));
	device_stop(one->device);
	assert_non_null(strstr(log_caught(), "one: timer callback took "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_past_deadline_fires_at_once),
		TEST(timers_fire_in_order_and_not_early),
		TEST(late_timers_fire_in_order_too),
		TEST(a_timer_can_be_armed_by_itself),
		TEST(a_greedy_timer_starves_nobody),
		TEST(a_disarmed_timer_does_not_fire),
		TEST(a_timer_can_be_moved),
		TEST(an_access_can_arm_a_timer),
		TEST(timers_are_limited),
		TEST(a_slow_timer_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
