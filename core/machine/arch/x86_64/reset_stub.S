/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reset stub: what is at the address where a processor begins after a reset, for guests that reset themselves by jumping
 * there in real mode as if there were firmware. It writes the machine's reset register. That is how Linux reboots by default
 * here: on a hardware-reduced ACPI machine it asks EFI, of which there is none, and then jumps (reboot=b does so at once).
 * machine_boot() copies this page to RESET_STUB_BASE; it is data here.
 *
 * The register is far above what real mode can reach, so a flat data segment is loaded in protected mode.
 */
#include "core/machine/arch/x86_64/reset_stub.h"

#define SEGMENT		0xf000
#define IN_SEGMENT(label) (RESET_STUB_BASE - (SEGMENT << 4) + label - reset_stub)
#define CR0_PE		1
#define SELECTOR_CODE	0x08
#define SELECTOR_DATA	0x10

	.section .rodata
	.globl reset_stub
	.balign 16
	.code16
reset_stub:
	cli
	lgdtl %cs:IN_SEGMENT(pointer)
	movl %cr0, %eax
	orb $CR0_PE, %al
	movl %eax, %cr0
	ljmpw $SELECTOR_CODE, $IN_SEGMENT(protected)
protected:
	movw $SELECTOR_DATA, %ax
	movw %ax, %ds
	movl $RESET_STUB_REGISTER, %ebx /* clang's assembler knows no 32-bit address without a register here */
	movb $RESET_STUB_VALUE, (%ebx)
1:	hlt
	jmp 1b

	.balign 8
table:
	.quad 0
	.quad 0x00009b0f0000ffff /* 16-bit code at SEGMENT << 4 */
	.quad 0x00cf93000000ffff /* all 4 GiB */
pointer:
	.word . - table - 1
	.long RESET_STUB_BASE + table - reset_stub

	.org reset_stub + RESET_STUB_VECTOR
	ljmpw $SEGMENT, $IN_SEGMENT(reset_stub)
	.org reset_stub + RESET_STUB_BYTES
	.section .note.GNU-stack, "", @progbits
