/* SPDX-License-Identifier: BSD-3-Clause */
/* How often threads have left a processor. */
#ifndef TESTS_BENCH_SWITCHES_H
#define TESTS_BENCH_SWITCHES_H

#include <stdbool.h>
#include <stdint.h>

/* Of the thread whose "status" in /proc is at `path`: whether it waited or was made to. False if that cannot be had. */
bool switches_of(const char *path, uint64_t *ret);

/* Of all threads of this process but the one that asks. */
uint64_t switches_of_others(void);

#endif
