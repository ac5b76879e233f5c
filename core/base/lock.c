/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The slow half of the lock; see lock.h. Any thread.
 *
 *   from             to        by
 *   FREE             HELD      a newcomer
 *   FREE, PASSED     WANTED    a thread that has slept: others may sleep still
 *   HELD             WANTED    a thread, before it sleeps
 *   HELD, WANTED     STARVED   the same, when it has lost LOCK_LOSSES_MAX times
 *   HELD             FREE      the owner
 *   WANTED           FREE      the owner, who then wakes one
 *   STARVED          PASSED    the owner, who then wakes one
 *
 * Nobody sleeps for ever. A thread sleeps only while the word is the WANTED, STARVED or PASSED that it has seen; the kernel
 * compares once more. Say A owns the lock and B sleeps. A's give finds WANTED, frees the lock and wakes B. Meanwhile C may
 * take it, as HELD, and give it back without a system call; that is no loss for others who sleep, because B is awake, has
 * slept, and so either takes the lock as WANTED or marks it before it sleeps again: the next give wakes the next. If A's
 * wake finds nobody, whoever it was meant for has not slept yet, and the kernel's comparison sends it back.
 *
 * Nobody loses for ever. Say A takes the lock again each time before B, which A's give has woken, has run. After
 * LOCK_LOSSES_MAX times B marks it STARVED. A cannot free such a lock, only pass it, and cannot take it then, as it has not
 * slept for it. STARVED becomes another state by this pass only, so when PASSED is seen, B is still waiting, and looks at
 * the word whenever it has been woken or has not been put to sleep: there is one who takes what has been passed. It may be
 * another sleeper that the kernel wakes first, but the kernel wakes in the order in which they went to sleep, and who comes
 * back has to sleep behind B to be passed a lock again.
 *
 * The owner touches the word's address, not its content, after it has given the lock: if the lock is no more by then, the
 * worst is a wake-up for nothing, which every user of a futex has to stand.
 */
#include "core/base/lock.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Before it sleeps, a thread looks again after PAUSE_FIRST, then twice as many pauses and so on, up to PAUSE_LAST: a few
 * microseconds in all, of the order of a sleep and a wake. Fewer looks leave the owner its cache line for longer. */
#define PAUSE_FIRST 16u
#define PAUSE_LAST  64u

static void pause_briefly(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static bool try_take(struct lock *lock, bool slept)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	return (word == LOCK_FREE || (word == LOCK_PASSED && slept)) &&
	       atomic_compare_exchange_strong_explicit(&lock->word, &word, slept ? LOCK_WANTED : LOCK_HELD,
						       memory_order_acquire, memory_order_relaxed);
}

static bool spin(struct lock *lock, bool slept)
{
	for (uint32_t pauses = PAUSE_FIRST; pauses <= PAUSE_LAST; pauses *= 2) {
		if (try_take(lock, slept))
			return true;
		for (uint32_t i = 0; i < pauses; i++)
			pause_briefly();
	}
	return try_take(lock, slept);
}

/* Marks the lock, so that its owner will wake us, and sleeps. Returns for any reason; at once if the lock can be had. */
static void sleep_for(struct lock *lock, uint32_t losses)
{
	bool starved = losses >= LOCK_LOSSES_MAX;
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
	uint32_t mark = starved ? LOCK_STARVED : LOCK_WANTED;

	/* Not on a lock that has been passed, maybe to us: its former owner's wake may have been before. */
	if (word == LOCK_FREE || (word == LOCK_PASSED && losses))
		return;
	if (word == LOCK_HELD || (word == LOCK_WANTED && starved)) {
		if (!atomic_compare_exchange_strong_explicit(&lock->word, &word, mark, memory_order_relaxed,
							     memory_order_relaxed))
			return;
		word = mark;
	}
	syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, word, NULL, NULL, 0);
}

void lock_take_slowly(struct lock *lock)
{
	uint32_t losses = 0;

	while (!spin(lock, losses > 0)) {
		sleep_for(lock, losses);
		if (losses < LOCK_LOSSES_MAX)
			losses++;
	}
}

void lock_give_slowly(struct lock *lock)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&lock->word, &word,
						      word == LOCK_STARVED ? LOCK_PASSED : LOCK_FREE,
						      memory_order_release, memory_order_relaxed))
		;
	syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
