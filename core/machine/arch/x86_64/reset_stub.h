/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the reset stub (reset_stub.S) and the machine that places it agree on. Only constants that the assembler understands
 * as well.
 */
#ifndef MACHINE_ARCH_X86_64_RESET_STUB_H
#define MACHINE_ARCH_X86_64_RESET_STUB_H

/* The last page below 1 MiB: its last 16 bytes are where a processor in real mode begins after a reset. */
#define RESET_STUB_BASE     0xff000
#define RESET_STUB_BYTES    0x1000
#define RESET_STUB_VECTOR   0xff0 /* from its beginning */

/* layout.h and power.h have them for C. */
#define RESET_STUB_REGISTER 0xfe000002
#define RESET_STUB_VALUE    0x42

#endif
