/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that a device waits for; for the tests of its event loop. */
#ifndef TESTS_UNIT_LOOP_FIXTURE_H
#define TESTS_UNIT_LOOP_FIXTURE_H

#include "tests/unit/device_fixture.h"

/* One descriptor and what its callback has seen. */
struct watched {
	struct subject *subject;
	int fd;
	int other; /* the far end, or -1 */
	struct event called;
	atomic_uint events; /* of the last call */
	bool keep;          /* do not read */
};

static struct watched watched[4];
static size_t watched_count;

static inline struct watched *watch_new(struct subject *subject, int fd, int other)
{
	struct watched *watch = &watched[watched_count++];

	*watch = (struct watched){ .subject = subject, .fd = fd, .other = other, .called = EVENT_INIT };
	MUST(fd >= 0);
	return watch;
}

static inline int loop_setup(void **state)
{
	watched_count = 0;
	return setup(state);
}

static inline int loop_teardown(void **state)
{
	int r = teardown(state);

	for (size_t i = 0; i < watched_count; i++) {
		fd_close(watched[i].fd);
		fd_close(watched[i].other);
	}
	return r;
}

static inline void on_fd(void *arg, int fd, uint32_t events)
{
	struct watched *watch = arg;

	MUST(fd == watch->fd);
	atomic_store(&watch->events, events);
	if (!watch->keep)
		fd_event_clear(fd);
	event_post(&watch->called);
}

static inline int add_first(struct subject *subject)
{
	return bp_fd_add(subject->dev, watched[0].fd, BP_FD_IN, on_fd, &watched[0]);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

#endif
