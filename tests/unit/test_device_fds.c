/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's event loop: file descriptors. Where the order within one batch matters, everything is made ready in `start`,
 * before the loop's thread exists: its first look then finds all of it at once.
 */
#include "tests/unit/loop_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>

/* ---- descriptors ---- */

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
