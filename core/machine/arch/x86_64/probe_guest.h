/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the probe guest (probe_guest.S) and the probe that runs it (probe.c) agree on. Only constants that the assembler
 * understands as well.
 */
#ifndef MACHINE_ARCH_X86_64_PROBE_GUEST_H
#define MACHINE_ARCH_X86_64_PROBE_GUEST_H

/* Where it is in memory: below 1 MiB, as its second CPU begins in real mode, and with the low 16 bits clear, so that offsets
 * into it are the low halves of its addresses. Behind it is RAM, full of zeroes, up to PROBE_GUEST_MEMORY. */
#define PROBE_GUEST_BASE       0x10000
#define PROBE_GUEST_MAX        0x10000
#define PROBE_GUEST_MEMORY     0x200000
#define PROBE_GUEST_CPUS       2

/* A port, 32 bits wide, that takes reports: the number of the stage that begins (1 and up), or one of these, after which the
 * guest powers off. */
#define PROBE_GUEST_PORT       0xe0
#define PROBE_GUEST_WRONG      0x100 /* the stage had a wrong result */
#define PROBE_GUEST_FAULT      0x200 /* + vector: an exception */

/* enum probe_stage */
#define PROBE_GUEST_SSE        1
#define PROBE_GUEST_CMPXCHG16B 2
#define PROBE_GUEST_PAGING     3
#define PROBE_GUEST_IPI        4
#define PROBE_GUEST_TIMER      5
#define PROBE_GUEST_SMP        6
#define PROBE_GUEST_END        7

/* layout.h and power.h have them for C. */
#define PROBE_GUEST_POWER      0xfe000000
#define PROBE_GUEST_POWER_OFF  0x34 /* sleep enable, type 5 */

#endif
