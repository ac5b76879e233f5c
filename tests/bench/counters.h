/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the bench's watcher counts of a program, from outside and without stopping it: tracepoints by perf, for the
 * process and all threads and processes that it starts; allocations by a library in it (allocs.c), through a page that
 * both share, without those of plugins in processes of their own; and switches of its main thread. What a host does not
 * give is left out. One thread.
 */
#ifndef TESTS_BENCH_COUNTERS_H
#define TESTS_BENCH_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum count { COUNT_USER_EXITS, COUNT_SYSCALLS, COUNT_ALLOCATIONS, COUNT_MAIN_SWITCHES, COUNTS };

extern const char *const counts_names[COUNTS];

struct counts {
	bool has[COUNTS];
	uint64_t values[COUNTS];
};

struct counters {
	pid_t pid;
	int tracepoints[COUNT_ALLOCATIONS]; /* perf, or -1 */
	int page_fd;                        /* or -1: allocations are not counted */
	const uint64_t *page;
};

/* Before the program's process is made. False with errno. */
bool counters_init(struct counters *counters, bool allocations);

/* In the new process: its environment names the page, and the descriptor goes through execve(). */
void counters_pass_allocations(const struct counters *counters);

/* In the watcher: counts from the process's execve() on. */
void counters_open(struct counters *counters, pid_t pid);

void counters_read(const struct counters *counters, struct counts *ret);

/* Leaves in *before what was counted since then. */
void counts_since(const struct counts *now, struct counts *before);

/* Exits of the process's guest, those that KVM dealt with itself as well (debugfs). False if they cannot be had. */
bool counters_all_exits(pid_t pid, uint64_t *ret);

#endif
