/* SPDX-License-Identifier: BSD-3-Clause */
/* Time: monotonic nanoseconds, since when this program runs, and the processor's counter for what is measured on a hot path. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* [any] When this program was executed, on CLOCK_MONOTONIC: stamped by the first of its own code that runs, a constructor. What
 * the kernel and the dynamic loader have done before is not in it; the kernel's own stamp of a process is only 10 ms exact. */
uint64_t clock_start_ns(void);
/* [main] Before other threads are there: a program that works for another one counts from that one's start. */
void clock_set_start(uint64_t ns);

/* A counter that runs at a constant rate, a few cycles to read; only differences mean anything. */
static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
	return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return clock_now_ns();
#endif
}

#endif
