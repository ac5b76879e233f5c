/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A mutex of one word, for what is taken on each access of the guest: a device's. Free and held it costs two instructions
 * that lock the bus and no call; what else there is to do is in lock.c, where its states and the reason why nobody sleeps for
 * ever are told.
 *
 * Whoever comes while it is free may have it, also before one who has waited longer: the former owner, whose cache has the
 * word and all that it guards, goes on without a switch of threads. But a thread that has lost LOCK_LOSSES_MAX times in that
 * way gets it handed over, so a vCPU that does nothing but access its device cannot keep the device's own thread out.
 *
 * Not recursive; given back by the thread that has taken it; of this process alone. Zero is a free lock.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

/* How often a thread sleeps for the lock, and finds it taken by another, until it is handed over. */
#define LOCK_LOSSES_MAX 4

/* Values of the word. */
enum lock_state {
	LOCK_FREE,
	LOCK_HELD,    /* and nobody sleeps */
	LOCK_WANTED,  /* held, and somebody may sleep */
	LOCK_STARVED, /* held, and somebody has lost too often: the owner has to hand over */
	LOCK_PASSED,  /* handed over: only who has slept may take it */
};

struct lock {
	_Atomic(uint32_t) word; /* enum lock_state */
};

/* lock.c: the rest of taking and giving; for the two functions below. */
void lock_take_slowly(struct lock *lock);
void lock_give_slowly(struct lock *lock);

static inline void lock_init(struct lock *lock)
{
	atomic_init(&lock->word, LOCK_FREE);
}

/* [any] Returns when the caller has it. What former owners wrote is seen. */
static inline void lock_take(struct lock *lock)
{
	uint32_t word = LOCK_FREE;

	if (!atomic_compare_exchange_strong_explicit(&lock->word, &word, LOCK_HELD, memory_order_acquire,
						     memory_order_relaxed))
		lock_take_slowly(lock);
}

/* [any] The caller has it, and no longer so on return. */
static inline void lock_give(struct lock *lock)
{
	uint32_t word = LOCK_HELD;

	if (!atomic_compare_exchange_strong_explicit(&lock->word, &word, LOCK_FREE, memory_order_release,
						     memory_order_relaxed))
		lock_give_slowly(lock);
}

#endif
