/* SPDX-License-Identifier: BSD-3-Clause */
/* When this program was executed; see clock.h. */
#include "core/base/clock.h"

static uint64_t start_ns;

/* 101 is the earliest that programs may use. */
__attribute__((constructor(101))) static void stamp(void)
{
	start_ns = clock_now_ns();
}

void clock_set_start(uint64_t ns)
{
	start_ns = ns;
}

uint64_t clock_start_ns(void)
{
	return start_ns;
}
