/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's event loop: file descriptors and timers. Where the order within one batch matters, everything is made ready in
 * `start`, before the loop's thread exists: its first look then finds all of it at once.
 */
#include "tests/unit/device_fixture.h"

#include "core/base/clock.h"

#include <fcntl.h>
#include <sys/socket.h>

#define FDS_MAX	   64
#define TIMERS_MAX 64

/* One descriptor and what its callback has seen. */
struct watched {
	struct subject *subject;
	int fd;
	int other; /* the far end, or -1 */
	struct event called;
	atomic_uint events; /* of the last call */
	bool keep; /* do not read */
};

static struct watched watched[4];
static size_t watched_count;

static struct watched *watch_new(struct subject *subject, int fd, int other)
{
	struct watched *watch = &watched[watched_count++];

	*watch = (struct watched){ .subject = subject, .fd = fd, .other = other, .called = EVENT_INIT };
	MUST(fd >= 0);
	return watch;
}

static int loop_setup(void **state)
{
	watched_count = 0;
	return setup(state);
}

static int loop_teardown(void **state)
{
	int r = teardown(state);

	for (size_t i = 0; i < watched_count; i++) {
		fd_close(watched[i].fd);
		fd_close(watched[i].other);
	}
	return r;
}

static void on_fd(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;

	MUST(fd == watch->fd);
	atomic_store(&watch->events, events);
	if (!watch->keep)
		fd_event_clear(fd);
	event_post(&watch->called);
}

/* ---- descriptors ---- */

static int add_first(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, BP_FD_IN, on_fd, &watched[0]);
}

static void a_ready_fd_is_told(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	one->hooks.start = add_first;
	subject_run(one);
	for (uint64_t i = 1; i <= 3; i++) {
		fd_event_signal(watch->fd);
		assert_true(event_wait(&watch->called, i));
		assert_int_equal(atomic_load(&watch->events), BP_FD_IN);
	}
}

static int add_from_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	return add_first(subject);
}

static void an_fd_can_be_added_while_running(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	subject_run(one);
	fd_event_signal(watch->fd);
	assert_int_equal(on_dev(one, add_from_access), 0);
	assert_true(event_wait(&watch->called, 1));
}

static void readiness_is_told_again_until_it_ends(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	watch->keep = true;
	one->hooks.start = add_first;
	fd_event_signal(watch->fd);
	subject_run(one);
	assert_true(event_wait(&watch->called, 5));
}

static int set_first_none(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	return bp_fd_set(subject->dev, watched[0].fd, 0);
}

static int set_first_in(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	return bp_fd_set(subject->dev, watched[0].fd, BP_FD_IN);
}

static int add_first_and_second(struct subject *subject)
{
	MUST(bp_fd_add(subject->dev, watched[1].fd, BP_FD_IN, on_fd, &watched[1]) == 0);
	return add_first(subject);
}

/* Whether the loop has looked at everything that was ready: an event of another descriptor has come through, twice, since
 * the first might have been fetched along with what we wait for. */
static void pass_through(struct watched *watch)
{
	for (int i = 0; i < 2; i++) {
		uint64_t before = event_count(&watch->called);

		fd_event_signal(watch->fd);
		assert_true(event_wait(&watch->called, before + 1));
	}
}

static void interest_can_be_changed(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);
	struct watched *marker = watch_new(one, fd_event(), -1);

	one->hooks.start = add_first_and_second;
	subject_run(one);
	assert_int_equal(on_dev(one, set_first_none), 0);
	fd_event_signal(watch->fd);
	pass_through(marker);
	assert_int_equal(event_count(&watch->called), 0);
	assert_int_equal(on_dev(one, set_first_in), 0);
	assert_true(event_wait(&watch->called, 1));
}

static int del_first(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	MUST(bp_fd_del(subject->dev, watched[0].fd) == 0);
	MUST(bp_fd_del(subject->dev, watched[0].fd) == -ENOENT);
	MUST(bp_fd_set(subject->dev, watched[0].fd, 0) == -ENOENT);
	return 0;
}

static void no_callback_follows_a_removal(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);
	struct watched *marker = watch_new(one, fd_event(), -1);
	uint64_t calls;

	watch->keep = true;
	one->hooks.start = add_first_and_second;
	fd_event_signal(watch->fd);
	subject_run(one);
	assert_true(event_wait(&watch->called, 1));
	assert_int_equal(on_dev(one, del_first), 0);
	calls = event_count(&watch->called);
	pass_through(marker);
	assert_int_equal(event_count(&watch->called), calls);
}

/* ---- one batch ---- */

enum batch_deed { BATCH_DELETE, BATCH_REPLACE, BATCH_SILENCE };
static enum batch_deed batch_deed;

static void never(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)fd, (void)events;
	abort(); /* the callback of a source that is gone */
}

/* Whichever of the first two comes first does something to the other, whose event has been fetched along with its own. */
static void on_rival(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;
	struct watched *other = watch == &watched[0] ? &watched[1] : &watched[0];
	struct bp_dev *dev = watch->subject->dev;

	(void)events;
	fd_event_clear(fd);
	event_post(&watch->called);
	switch (batch_deed) {
	case BATCH_DELETE:
		MUST(bp_fd_del(dev, other->fd) == 0);
		break;
	case BATCH_REPLACE:
		/* Another descriptor, which is not ready, takes the place. */
		MUST(bp_fd_del(dev, other->fd) == 0);
		MUST(bp_fd_add(dev, watched[3].fd, BP_FD_IN, never, NULL) == 0);
		break;
	case BATCH_SILENCE:
		MUST(bp_fd_set(dev, other->fd, 0) == 0);
		break;
	}
}

static int add_rivals(struct subject *subject)
{
	for (size_t i = 0; i < 2; i++) {
		MUST(bp_fd_add(subject->dev, watched[i].fd, BP_FD_IN, on_rival, &watched[i]) == 0);
		fd_event_signal(watched[i].fd);
	}
	return bp_fd_add(subject->dev, watched[2].fd, BP_FD_IN, on_fd, &watched[2]);
}

static void in_one_batch(void **state, enum batch_deed deed)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (size_t i = 0; i < 4; i++)
		watch_new(one, fd_event(), -1);
	batch_deed = deed;
	one->hooks.start = add_rivals;
	subject_run(one);
	pass_through(&watched[2]);
	assert_int_equal(event_count(&watched[0].called) + event_count(&watched[1].called), 1);
}

static void a_removal_holds_within_a_batch(void **state)
{
	in_one_batch(state, BATCH_DELETE);
}

static void a_successor_does_not_inherit_an_event(void **state)
{
	in_one_batch(state, BATCH_REPLACE);
}

static void silence_holds_within_a_batch(void **state)
{
	in_one_batch(state, BATCH_SILENCE);
}

static void on_last(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;

	(void)events;
	MUST(bp_fd_del(watch->subject->dev, fd) == 0);
	close(fd);
	watch->fd = -1;
	event_post(&watch->called);
}

static int add_last(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, BP_FD_IN, on_last, &watched[0]);
}

static void a_callback_can_remove_itself(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	one->hooks.start = add_last;
	fd_event_signal(watch->fd);
	subject_run(one);
	assert_true(event_wait(&watch->called, 1));
}

/* ---- hang-ups ---- */

static void on_hangup(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;

	atomic_store(&watch->events, events);
	MUST(bp_fd_del(watch->subject->dev, fd) == 0);
	event_post(&watch->called);
}

static int add_for_nothing(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, 0, on_hangup, &watched[0]);
}

static void a_hangup_is_always_told(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	watch_new(one, ends[0], -1);
	one->hooks.start = add_for_nothing;
	subject_run(one);
	close(ends[1]);
	assert_true(event_wait(&watched[0].called, 1));
	assert_int_equal(atomic_load(&watched[0].events), BP_FD_HUP);
}

static void an_error_is_always_told(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	watch_new(one, ends[1], -1);
	one->hooks.start = add_for_nothing;
	subject_run(one);
	close(ends[0]);
	assert_true(event_wait(&watched[0].called, 1));
	assert_int_equal(atomic_load(&watched[0].events), BP_FD_ERR);
}

static int add_for_both(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, BP_FD_IN | BP_FD_OUT, on_hangup, &watched[0]);
}

static void both_directions_at_once(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	watch_new(one, ends[0], ends[1]);
	assert_int_equal(write(ends[1], "x", 1), 1);
	one->hooks.start = add_for_both;
	subject_run(one);
	assert_true(event_wait(&watched[0].called, 1));
	assert_int_equal(atomic_load(&watched[0].events), BP_FD_IN | BP_FD_OUT);
}

/* ---- what is refused ---- */

static int add_wrongly(struct subject *subject)
{
	struct bp_dev *dev = subject->dev;
	int fds[FDS_MAX + 1];
	int file = memfd_create("file", MFD_CLOEXEC);

	MUST(bp_fd_add(dev, watched[0].fd, BP_FD_IN, NULL, NULL) == -EINVAL);
	MUST(bp_fd_add(dev, watched[0].fd, BP_FD_HUP, on_fd, NULL) == -EINVAL);
	MUST(bp_fd_add(dev, watched[0].fd, 1u << 4, on_fd, NULL) == -EINVAL);
	MUST(bp_fd_add(dev, -1, BP_FD_IN, on_fd, NULL) == -EBADF);
	MUST(bp_fd_add(dev, file, BP_FD_IN, on_fd, NULL) == -EPERM);
	MUST(bp_fd_set(dev, watched[0].fd, 0) == -ENOENT && bp_fd_del(dev, watched[0].fd) == -ENOENT);
	MUST(bp_fd_add(dev, watched[0].fd, BP_FD_IN, on_fd, &watched[0]) == 0);
	MUST(bp_fd_add(dev, watched[0].fd, BP_FD_IN, on_fd, &watched[0]) == -EEXIST);
	MUST(bp_fd_set(dev, watched[0].fd, BP_FD_ERR) == -EINVAL);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		fds[i] = fd_event();
	for (size_t i = 0; i < FDS_MAX - 1; i++)
		MUST(bp_fd_add(dev, fds[i], BP_FD_IN, on_fd, &watched[0]) == 0);
	MUST(bp_fd_add(dev, fds[FDS_MAX - 1], BP_FD_IN, on_fd, &watched[0]) == -ENOSPC);
	MUST(bp_fd_del(dev, fds[3]) == 0);
	MUST(bp_fd_add(dev, fds[FDS_MAX - 1], BP_FD_IN, on_fd, &watched[0]) == 0);
	for (size_t i = 0; i < FDS_MAX; i++)
		MUST(bp_fd_del(dev, fds[i]) == (i == 3 ? -ENOENT : 0));
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		close(fds[i]);
	close(file);
	return 0;
}

static void wrong_descriptors_are_refused(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	watch_new(one, fd_event(), -1);
	one->hooks.start = add_wrongly;
	subject_run(one);
	fd_event_signal(watched[0].fd);
	assert_true(event_wait(&watched[0].called, 1));
}

static void a_stop_ends_the_callbacks(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);
	uint64_t calls;

	watch->keep = true;
	one->hooks.start = add_first;
	fd_event_signal(watch->fd);
	subject_run(one);
	assert_true(event_wait(&watch->called, 1));
	device_stop(one->device);
	/* Its thread has been joined, so nobody could call. */
	calls = event_count(&watch->called);
	assert_string_equal(one->trace, "validate create start stop");
	assert_int_equal(event_count(&watch->called), calls);
}

/* ---- timers ---- */

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
		MUST(bp_timer_set(clockwork->subject->dev, timer, clockwork->again % 2 ? 1 : bp_clock_ns(clockwork->subject->dev) + NS_PER_MS) == 0);
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
	MUST(bp_timer_set(subject->dev, TIMERS_MAX, 1) == -ENOENT && bp_timer_set(subject->dev, UINT32_MAX, 1) == -ENOENT);
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

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ready_fd_is_told),
		TEST(an_fd_can_be_added_while_running),
		TEST(readiness_is_told_again_until_it_ends),
		TEST(interest_can_be_changed),
		TEST(no_callback_follows_a_removal),
		TEST(a_removal_holds_within_a_batch),
		TEST(a_successor_does_not_inherit_an_event),
		TEST(silence_holds_within_a_batch),
		TEST(a_callback_can_remove_itself),
		TEST(a_hangup_is_always_told),
		TEST(an_error_is_always_told),
		TEST(both_directions_at_once),
		TEST(wrong_descriptors_are_refused),
		TEST(a_stop_ends_the_callbacks),
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
