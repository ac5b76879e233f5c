/* SPDX-License-Identifier: BSD-3-Clause */
/* For programs that are linked with allocs.c. */
#ifndef TESTS_BENCH_ALLOCS_H
#define TESTS_BENCH_ALLOCS_H

#include <stdint.h>

/* Where allocations are counted; NULL: nowhere. Set before there are threads. */
extern uint64_t *allocs_page;

#endif
