/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the payload and the program that runs it agree on. The payload (payload.c) is a small kernel without an operating
 * system; its command line says what it does, a page of guest memory says the details and takes the results, and a port
 * says how far it is.
 *
 * Words of the command line:
 *   case=NAME   script    carries out the operations in the shared page, then powers off
 *               smp       starts all CPUs; each reports its APIC id and halts; powers off when all have
 *               cpuid     the same, but each CPU writes what CPUID says into its place in the shared page
 *               spin, halt                on all CPUs, for ever
 *               poweroff, reset, triple   the last one is a page fault without handlers for it, or for what follows
 *               vector                   the second CPU jumps to the reset vector, in real mode
 *               button   waits until the power button has been pressed, then powers off
 *   presses=N   how often it has to be (1); then=reset, then=eventsDDD: what it does then instead
 *   events=DDD  before that, for each digit, raises this BP_EVENT_* on a device of tests/plugins/events.c; values count from 1
 *   cpus=N      how many CPUs there are (1)
 *   xapic       uses the local APIC's page instead of its registers in x2APIC mode
 *   uart        first prints "ready" on a serial port at 0x3f8
 */
#ifndef TESTS_PAYLOAD_PAYLOAD_H
#define TESTS_PAYLOAD_PAYLOAD_H

#include <stdint.h>

#define PAYLOAD_REPORT     0x500u    /* a port, 32 bits wide: reports are written to it */
#define PAYLOAD_EVENTS     0x510u    /* ports of tests/plugins/events.c */
#define PAYLOAD_SHARED     0x200000u /* struct payload_shared */
#define PAYLOAD_BUFFER     0x300000u /* for what string operations read and write */
#define PAYLOAD_CPUS_MAX   32
#define PAYLOAD_OPS_MAX    96

/* Reports. */
#define PAYLOAD_SAYS_READY 0x10000000u /* about to spin, to halt, or to wait for interrupts */
#define PAYLOAD_SAYS_CPU   0x20000000u /* + APIC id */
#define PAYLOAD_SAYS_IRQ   0x30000000u /* + vector: an interrupt has been taken */
#define PAYLOAD_SAYS_FAULT 0x60000000u /* + vector: an exception that nobody expected; powers off */
#define PAYLOAD_SAYS_MASK  0xf0000000u

/* Interrupt vectors that devices may use: the handler counts, reports, and signals the end of interrupt. */
#define PAYLOAD_VECTOR     0x50u

enum payload_op_kind {
	PAYLOAD_OP_END,
	PAYLOAD_OP_READ,  /* memory, or a device in memory, at `address` -> `value` */
	PAYLOAD_OP_WRITE, /* `value` -> there */
	PAYLOAD_OP_IN,    /* a port */
	PAYLOAD_OP_OUT,
	PAYLOAD_OP_INS,  /* `count` elements from a port to PAYLOAD_BUFFER + `value` */
	PAYLOAD_OP_OUTS, /* and from there to a port */
	PAYLOAD_OP_WAIT, /* reports that it is ready, and halts until `value` interrupts have come in all */
};

struct payload_op {
	uint32_t kind;
	uint32_t width;    /* 1, 2, 4, 8 */
	uint32_t count;    /* INS, OUTS */
	uint32_t backward; /* INS, OUTS: with the direction flag set */
	uint64_t address;
	uint64_t value;
};

/* What CPUID says on one CPU: eax, ebx, ecx, edx. */
struct payload_cpuid {
	uint32_t present;         /* this CPU has been here */
	uint32_t apic_id;         /* as its APIC says */
	uint32_t features[4];     /* leaf 1 */
	uint32_t topology[3][4];  /* leaf 0xb, subleaves 0 to 2 */
	uint32_t sizes[4];        /* leaf 0x80000008 */
	uint32_t amd_topology[4]; /* leaf 0x8000001e */
	uint32_t last_leaf;       /* leaf 0, eax */
	uint32_t last_amd_leaf;   /* leaf 0x80000000, eax */
	uint32_t vendor_amd;
};

struct payload_shared {
	struct payload_op ops[PAYLOAD_OPS_MAX];
	uint64_t interrupts[256];
	struct payload_cpuid cpuid[PAYLOAD_CPUS_MAX];
};

#endif
