/* SPDX-License-Identifier: BSD-3-Clause */
/* Whoever never leaves a device alone does not keep others out of it: vCPUs and the device's own thread take turns. */
#include "tests/unit/loop_fixture.h"

#define TURNS 100

/* An access that takes some 10 µs, so that the device is hardly ever free while one follows the other. */
static int work(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)subject, (void)access;
	*val = 0;
	for (volatile unsigned int i = 0; i < 10000; i++)
		;
	return 0;
}

/* A vCPU that does nothing else but access the device. */
struct hammer {
	struct subject *subject;
	atomic_bool stop;
	atomic_ulong accesses;
	pthread_t thread;
};

static void *hammer_run(void *arg)
{
	struct hammer *hammer = arg;
	uint64_t value;

	while (!atomic_load(&hammer->stop)) {
		MUST(guest_read(hammer->subject, &value) == 0);
		atomic_fetch_add(&hammer->accesses, 1);
	}
	return NULL;
}

static void hammer_start(struct hammer *hammer, struct subject *subject)
{
	*hammer = (struct hammer){ .subject = subject };
	MUST(pthread_create(&hammer->thread, NULL, hammer_run, hammer) == 0);
}

/* Until it has made another access. */
static void hammer_wait(struct hammer *hammer)
{
	unsigned long before = atomic_load(&hammer->accesses);
	time_t end = time(NULL) + PATIENCE_S;

	while (atomic_load(&hammer->accesses) == before) {
		MUST(time(NULL) < end);
		sched_yield();
	}
}

static void hammer_stop(struct hammer *hammer)
{
	atomic_store(&hammer->stop, true);
	MUST(thread_join(hammer->thread));
}

static void accesses_without_end_let_the_loop_run(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);
	struct hammer hammers[2];

	one->hooks.start = add_first;
	one->hooks.access = work;
	subject_run(one);
	hammer_start(&hammers[0], one);
	hammer_start(&hammers[1], one);
	for (uint64_t i = 1; i <= TURNS; i++) {
		fd_event_signal(watch->fd);
		MUST(event_wait(&watch->called, i));
		hammer_wait(&hammers[i % 2]);
	}
	hammer_stop(&hammers[0]);
	hammer_stop(&hammers[1]);
}

static void events_without_end_let_accesses_in(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct watched *watch = watch_new(one, fd_event(), -1);
	uint64_t value;

	watch->keep = true;
	one->hooks.start = add_first;
	one->hooks.access = work;
	fd_event_signal(watch->fd);
	subject_run(one);
	for (uint64_t i = 1; i <= TURNS; i++) {
		assert_int_equal(guest_read(one, &value), 0);
		assert_true(event_wait(&watch->called, i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(accesses_without_end_let_the_loop_run),
		TEST(events_without_end_let_accesses_in),
	};

	return cmocka_run_group_tests_name("device turns", tests, NULL, NULL);
}
