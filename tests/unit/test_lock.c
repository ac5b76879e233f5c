/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock: one at a time, nobody sleeps for ever, nobody loses for ever. */
#include "core/base/lock.h"

#include "tests/unit/support.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>

#define THREADS 4
#define ROUNDS  20000

static uint32_t word_of(struct lock *lock)
{
	return atomic_load_explicit(&lock->word, memory_order_relaxed);
}

/* Until the word is another one; what it is then. */
static uint32_t word_after(struct lock *lock, uint32_t word)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (word_of(lock) == word) {
		MUST(time(NULL) < end);
		sched_yield();
	}
	return word_of(lock);
}

static void taken_and_given_alone(void **state)
{
	struct lock lock;

	(void)state;
	lock_init(&lock);
	for (unsigned int i = 0; i < 3; i++) {
		lock_take(&lock);
		assert_int_equal(word_of(&lock), LOCK_HELD);
		lock_give(&lock);
		assert_int_equal(word_of(&lock), LOCK_FREE);
	}
}

/* What the lock guards; plain on purpose, so that ThreadSanitizer looks, too. */
struct guarded {
	struct lock lock;
	uint64_t first;
	uint64_t second;
	bool yields; /* while it is held: others then have to sleep */
};

static void *count(void *arg)
{
	struct guarded *guarded = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		lock_take(&guarded->lock);
		MUST(guarded->first == guarded->second);
		guarded->first++;
		if (guarded->yields && i % 64 == 0)
			sched_yield();
		guarded->second++;
		lock_give(&guarded->lock);
	}
	return NULL;
}

static void count_together(bool yields)
{
	struct guarded guarded = { .yields = yields };
	pthread_t threads[THREADS];

	lock_init(&guarded.lock);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, &guarded), 0);
	for (unsigned int i = 0; i < THREADS; i++)
		assert_true(thread_join(threads[i]));
	assert_int_equal(guarded.first, THREADS * ROUNDS);
	assert_int_equal(guarded.second, THREADS * ROUNDS);
	assert_int_equal(word_of(&guarded.lock), LOCK_FREE);
}

static void one_at_a_time(void **state)
{
	(void)state;
	count_together(false);
}

static void one_at_a_time_with_sleepers(void **state)
{
	(void)state;
	count_together(true);
}

struct waiter {
	struct lock *lock;
	atomic_bool had_it;
};

static void *take_once(void *arg)
{
	struct waiter *waiter = arg;

	lock_take(waiter->lock);
	atomic_store(&waiter->had_it, true);
	lock_give(waiter->lock);
	return NULL;
}

static void one_give_lets_all_sleepers_through(void **state)
{
	struct lock lock;
	struct waiter waiters[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	lock_init(&lock);
	lock_take(&lock);
	for (unsigned int i = 0; i < THREADS; i++) {
		waiters[i] = (struct waiter){ .lock = &lock };
		assert_int_equal(pthread_create(&threads[i], NULL, take_once, &waiters[i]), 0);
	}
	assert_int_equal(word_after(&lock, LOCK_HELD), LOCK_WANTED);
	lock_give(&lock);
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_true(thread_join(threads[i]));
		assert_true(atomic_load(&waiters[i].had_it));
	}
}

/* The owner gives the lock, and somebody takes it before the sleeper that has been woken can look. */
static void give_and_take_back(struct lock *lock)
{
	atomic_store(&lock->word, LOCK_HELD);
	syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void who_loses_too_often_is_handed_the_lock(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 50; round++) {
		struct lock lock;
		struct waiter waiter = { .lock = &lock };
		unsigned int losses = 0;
		pthread_t thread;

		lock_init(&lock);
		lock_take(&lock);
		assert_int_equal(pthread_create(&thread, NULL, take_once, &waiter), 0);
		while (word_after(&lock, LOCK_HELD) != LOCK_STARVED) {
			give_and_take_back(&lock);
			MUST(++losses <= LOCK_LOSSES_MAX);
		}
		assert_int_equal(losses, LOCK_LOSSES_MAX);
		/* However fast we are, the other is first now. */
		lock_give(&lock);
		lock_take(&lock);
		assert_true(atomic_load(&waiter.had_it));
		lock_give(&lock);
		assert_true(thread_join(thread));
	}
}

static void a_starved_lock_is_passed_and_not_freed(void **state)
{
	struct lock lock;

	(void)state;
	lock_init(&lock);
	lock_take(&lock);
	atomic_store(&lock.word, LOCK_STARVED);
	lock_give(&lock);
	assert_int_equal(word_of(&lock), LOCK_PASSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_and_given_alone),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(one_at_a_time_with_sleepers),
		cmocka_unit_test(one_give_lets_all_sleepers_through),
		cmocka_unit_test(who_loses_too_often_is_handed_the_lock),
		cmocka_unit_test(a_starved_lock_is_passed_and_not_freed),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
