/* SPDX-License-Identifier: BSD-3-Clause */
/* A device's event loop: thousands of descriptors. */
#include "tests/unit/loop_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#define FDS_MAX 4096
/* As high as a descriptor gets here. */
#define FD_HIGH 10000

/* Each is an eventfd, or -1. */
static struct many {
	int fds[FDS_MAX + 1];
	atomic_uint calls[FDS_MAX + 1];
	struct event called;
	struct subject *subject;
} many;

static int many_setup(void **state)
{
	struct rlimit limit;
	int r = loop_setup(state);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max <= FD_HIGH)
		fail_msg("this needs descriptors up to %d: raise the hard limit (ulimit -Hn)", FD_HIGH);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	memset(&many, 0, sizeof(many));
	many.called = (struct event)EVENT_INIT;
	many.subject = &((struct fixture *)*state)->one;
	for (size_t i = 0; i < COUNT_OF(many.fds); i++) {
		many.fds[i] = fd_event();
		assert_true(many.fds[i] >= 0);
	}
	return r;
}

static int many_teardown(void **state)
{
	int r = loop_teardown(state);

	for (size_t i = 0; i < COUNT_OF(many.fds); i++)
		fd_close(many.fds[i]);
	return r;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, many_setup, many_teardown)

static void on_many(void *arg, int fd, uint32_t events)
{
	size_t index = (uintptr_t)arg;

	MUST(many.fds[index] == fd && events == BP_FD_IN);
	fd_event_clear(fd);
	atomic_fetch_add(&many.calls[index], 1);
	event_post(&many.called);
}

static int add_one(size_t index)
{
	return bp_fd_add(many.subject->dev, many.fds[index], BP_FD_IN, on_many, (void *)(uintptr_t)index);
}

/* ---- how many ---- */

static int add_all(struct subject *subject)
{
	(void)subject;
	for (size_t i = 0; i < FDS_MAX; i++)
		MUST(add_one(i) == 0);
	MUST(add_one(FDS_MAX) == -ENOSPC);
	MUST(bp_fd_del(many.subject->dev, many.fds[3]) == 0);
	MUST(add_one(FDS_MAX) == 0);
	MUST(add_one(3) == -ENOSPC);
	return 0;
}

static void each_of_4096_is_told(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = add_all;
	subject_run(one);
	for (size_t i = 0; i < COUNT_OF(many.fds); i++)
		fd_event_signal(many.fds[i]);
	assert_true(event_wait(&many.called, FDS_MAX));
	for (size_t i = 0; i < COUNT_OF(many.fds); i++)
		assert_int_equal(atomic_load(&many.calls[i]), i == 3 ? 0 : 1);
}

static int add_high(struct subject *subject)
{
	(void)subject;
	return add_one(0);
}

static void a_descriptor_with_a_large_number(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	int high = fcntl(many.fds[0], F_DUPFD_CLOEXEC, FD_HIGH);

	assert_int_equal(high, FD_HIGH);
	close(many.fds[0]);
	many.fds[0] = high;
	one->hooks.start = add_high;
	subject_run(one);
	fd_event_signal(high);
	assert_true(event_wait(&many.called, 1));
}

/* ---- as they come and go ---- */

/* Adds as many as there can be, which has the table move under the feet of its own callback, and removes itself. */
static void on_grower(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;

	(void)events;
	for (size_t i = 0; i < FDS_MAX - 1; i++)
		MUST(add_one(i) == 0);
	MUST(bp_fd_del(watch->subject->dev, fd) == 0);
	MUST(add_one(FDS_MAX) == 0);
	event_post(&watch->called);
}

static int add_grower(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, BP_FD_IN, on_grower, &watched[0]);
}

static void a_callback_may_add_thousands(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);

	one->hooks.start = add_grower;
	fd_event_signal(watch->fd);
	subject_run(one);
	assert_true(event_wait(&watch->called, 1));
	fd_event_signal(many.fds[0]);
	fd_event_signal(many.fds[FDS_MAX - 2]);
	fd_event_signal(many.fds[FDS_MAX]);
	assert_true(event_wait(&many.called, 3));
	assert_int_equal(atomic_load(&many.calls[FDS_MAX]), 1);
}

/* Whoever of the first half is called first removes all of that half and lets the second half, which is not ready, take the places. */
static void on_half(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)fd, (void)events;
	for (size_t i = 0; i < FDS_MAX / 2; i++)
		MUST(bp_fd_del(many.subject->dev, many.fds[i]) == 0);
	for (size_t i = FDS_MAX / 2; i < FDS_MAX; i++)
		MUST(add_one(i) == 0);
	event_post(&many.called);
}

static int add_half(struct subject *subject)
{
	for (size_t i = 0; i < FDS_MAX / 2; i++) {
		fd_event_signal(many.fds[i]);
		MUST(bp_fd_add(subject->dev, many.fds[i], BP_FD_IN, on_half, NULL) == 0);
	}
	return 0;
}

static void successors_do_not_inherit_events(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	one->hooks.start = add_half;
	subject_run(one);
	assert_true(event_wait(&many.called, 1));
	for (size_t i = FDS_MAX / 2; i < FDS_MAX; i++)
		fd_event_signal(many.fds[i]);
	assert_true(event_wait(&many.called, 1 + FDS_MAX / 2));
	for (size_t i = FDS_MAX / 2; i < FDS_MAX; i++)
		assert_int_equal(atomic_load(&many.calls[i]), 1);
}

/* A list of which are there, beside the device's. */
static int come_and_go(struct subject *subject)
{
	static bool there[FDS_MAX];
	uint32_t random = 1;

	for (size_t i = 0; i < 100000; i++) {
		size_t index;

		random = random * 1664525 + 1013904223;
		index = (random >> 8) % FDS_MAX;
		if (random >> 30 == 0)
			MUST(bp_fd_set(subject->dev, many.fds[index], random >> 29 & 1 ? BP_FD_IN : 0) ==
			     (there[index] ? 0 : -ENOENT));
		else if (random >> 30 == 1)
			MUST(bp_fd_del(subject->dev, many.fds[index]) == (there[index] ? 0 : -ENOENT));
		else
			MUST(add_one(index) == (there[index] ? -EEXIST : 0));
		if (random >> 30)
			there[index] = random >> 30 != 1;
	}
	for (size_t i = 0; i < FDS_MAX; i++) {
		MUST(bp_fd_set(subject->dev, many.fds[i], BP_FD_IN) == (there[i] ? 0 : -ENOENT));
		fd_event_signal(many.fds[i]);
		if (there[i])
			event_post(&subject->done);
	}
	return 0;
}

static void they_come_and_go_at_random(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint64_t expected;

	one->hooks.start = come_and_go;
	subject_run(one);
	expected = event_count(&one->done);
	assert_true(expected > FDS_MAX / 2 && expected < FDS_MAX);
	assert_true(event_wait(&many.called, expected));
	device_stop(one->device);
	assert_int_equal(event_count(&many.called), expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_of_4096_is_told),         TEST(a_descriptor_with_a_large_number),
		TEST(a_callback_may_add_thousands), TEST(successors_do_not_inherit_events),
		TEST(they_come_and_go_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
