/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts what a program of ours calls: system calls, where the code that is linked into it makes them (-Wl,--wrap, see
 * native.am), and allocations of all that runs in it (allocs.c). From any thread.
 */
#ifndef TESTS_BENCH_CALLS_H
#define TESTS_BENCH_CALLS_H

#include <stdbool.h>
#include <stdint.h>

/* Plain data, which may lie in memory that several processes have. */
struct calls {
	uint64_t syscalls;
	uint64_t allocations;
};

/* A thread that sets it has its system calls left out. */
extern _Thread_local bool calls_left_out;

/* From now on they are counted there. Before there are other threads. */
void calls_count_in(struct calls *to);

/* The counts as they are now. */
struct calls calls_now(void);

#endif
