/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The probe guest: does once what every stock kernel does all the time, in stages that it reports before each. probe.c
 * copies it to PROBE_GUEST_BASE and starts the first CPU at its first byte, in long mode, with the first 4 GiB mapped to
 * themselves and interrupts off. It is data here, and so is not executable in the program itself.
 */
#include "core/machine/arch/x86_64/probe_guest.h"

#define AT(label)	PROBE_GUEST_BASE + label - probe_guest
#define OTHER_CPU	0x1000 /* where in here the second CPU begins: a page */

/* RAM that it uses, one page each. */
#define PML4		0x20000
#define PDPT		0x21000
#define DIRECTORY	0x22000
#define TABLE		0x23000
#define FIRST		0x24000
#define SECOND		0x25000
#define STACK_OTHER	0x27000 /* grows down to 0x26000 */

#define PRESENT_WRITE	3
#define NOWHERE		0x8000000000 /* an address that the first page tables do not have */

#define SELECTOR_CODE	0x10
#define SELECTOR_DATA	0x18
#define GATE_INTERRUPT	0x8e00
#define VECTOR_IPI	0x50
#define VECTOR_TIMER	0x51
#define VECTOR_SPURIOUS	0x5f

#define CR0_PE		(1 << 0)
#define CR0_ET		(1 << 4)
#define CR0_NE		(1 << 5)
#define CR0_PG		(1 << 31)
#define CR4_PAE		(1 << 5)
#define CR4_OSFXSR	(1 << 9)
#define CR4_OSXMMEXCPT	(1 << 10)
#define EFER		0xc0000080
#define EFER_LME	(1 << 8)

#define APIC_BASE	0x1b
#define APIC_X2_ENABLE	0xc00
/* Registers of the local APIC in x2APIC mode. */
#define APIC_EOI	0x80b
#define APIC_SPURIOUS	0x80f
#define APIC_ICR	0x830
#define APIC_TIMER	0x832
#define APIC_COUNT	0x838
#define APIC_DIVIDE	0x83e
#define SPURIOUS_ENABLE	0x100
#define ICR_SELF	0x44000 /* edge, assert */
#define ICR_INIT	0xc4500 /* to all but this CPU */
#define ICR_STARTUP	0xc4600 /* the same; + the number of a page */
#define ICR_STARTUP_OTHER (ICR_STARTUP + ((PROBE_GUEST_BASE + OTHER_CPU) >> 12))
#define DIVIDE_BY_1	0xb

	.macro stage number
	movl $\number, %eax
	outl %eax, $PROBE_GUEST_PORT
	.endm

	.macro write_msr number /* from %eax */
	movl $\number, %ecx
	xorl %edx, %edx
	wrmsr
	.endm

	/* Halts until the word has become 1: an interrupt after sti is taken behind the instruction that follows it, so none
	 * is slept over. */
	.macro wait_for word
1:	cmpl $1, \word(%rip)
	je 2f
	sti
	hlt
	cli
	jmp 1b
2:
	.endm

	.section .rodata
	.globl probe_guest, probe_guest_bytes
	.balign 4096
	.code64
probe_guest:
	cld
	lidt idt_pointer(%rip)

	stage PROBE_GUEST_SSE
	movq %cr4, %rax
	orl $(CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
	movq %rax, %cr4
	movdqa numbers(%rip), %xmm0
	paddd %xmm0, %xmm0
	movdqa %xmm0, sums(%rip)
	movabsq $0x0000000400000002, %rax
	cmpq %rax, sums(%rip)
	jne wrong
	movabsq $0x00000008fffffffe, %rax
	cmpq %rax, sums + 8(%rip)
	jne wrong

	stage PROBE_GUEST_CMPXCHG16B
	movl $1, %eax
	movl $2, %edx
	movl $3, %ebx
	movl $4, %ecx
	lock cmpxchg16b pair(%rip)
	jne wrong
	cmpq $3, pair(%rip)
	jne wrong
	cmpq $4, pair + 8(%rip)
	jne wrong

	/* New page tables, with a page where there was none, which is at one address first and then at another. */
	stage PROBE_GUEST_PAGING
	movq $111, FIRST
	movq $222, SECOND
	movq %cr3, %rsi
	movq (%rsi), %rax
	movq %rax, PML4
	movq $(PDPT | PRESENT_WRITE), PML4 + 8
	movq $(DIRECTORY | PRESENT_WRITE), PDPT
	movq $(TABLE | PRESENT_WRITE), DIRECTORY
	movq $(FIRST | PRESENT_WRITE), TABLE
	movl $PML4, %eax
	movq %rax, %cr3
	movabsq $NOWHERE, %rdi
	cmpq $111, (%rdi)
	jne wrong
	movq $(SECOND | PRESENT_WRITE), TABLE
	invlpg (%rdi)
	cmpq $222, (%rdi)
	jne wrong

	stage PROBE_GUEST_IPI
	movl $APIC_BASE, %ecx
	rdmsr
	orl $APIC_X2_ENABLE, %eax
	wrmsr
	movl $(SPURIOUS_ENABLE | VECTOR_SPURIOUS), %eax
	write_msr APIC_SPURIOUS
	movl $(ICR_SELF | VECTOR_IPI), %eax
	write_msr APIC_ICR
	wait_for ipi_seen

	stage PROBE_GUEST_TIMER
	movl $DIVIDE_BY_1, %eax
	write_msr APIC_DIVIDE
	movl $VECTOR_TIMER, %eax
	write_msr APIC_TIMER
	movl $100000, %eax
	write_msr APIC_COUNT
	wait_for timer_seen

	stage PROBE_GUEST_SMP
	movl $ICR_INIT, %eax
	write_msr APIC_ICR
	movl $ICR_STARTUP_OTHER, %eax
	write_msr APIC_ICR
1:	pause
	cmpl $1, other_seen(%rip)
	jne 1b

	stage PROBE_GUEST_END
power_off:
	movl $PROBE_GUEST_POWER, %edi
	movb $PROBE_GUEST_POWER_OFF, (%rdi)
stop:
	cli
	hlt
	jmp stop

wrong:
	movl $PROBE_GUEST_WRONG, %eax
	outl %eax, $PROBE_GUEST_PORT
	jmp power_off

	/* Each of 16 bytes. No exception returns, so that some push an error code does not matter. */
	.balign 16
exceptions:
	.set vector, 0
	.rept 32
	.balign 16
	movl $(PROBE_GUEST_FAULT + vector), %eax
	outl %eax, $PROBE_GUEST_PORT
	jmp power_off
	.set vector, vector + 1
	.endr

ipi:
	movl $1, ipi_seen(%rip)
	jmp end_of_interrupt
timer:
	movl $1, timer_seen(%rip)
end_of_interrupt:
	pushq %rax
	pushq %rcx
	pushq %rdx
	movl $0, %eax
	write_msr APIC_EOI
	popq %rdx
	popq %rcx
	popq %rax
spurious:
	iretq

/*
 * The second CPU: from real mode straight to long mode, with the page tables that are new above. Its page is at %cs << 4.
 */
	.org probe_guest + OTHER_CPU
	.code16
other_cpu:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl gdt_pointer - other_cpu
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PML4, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $(CR0_PE | CR0_ET | CR0_NE | CR0_PG), %eax
	movl %eax, %cr0
	ljmpl *other_jump - other_cpu
	.code64
other_cpu_long:
	movl $SELECTOR_DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $STACK_OTHER, %esp
	movl $1, other_seen(%rip)
	jmp stop

	.balign 8
other_jump:
	.long AT(other_cpu_long)
	.word SELECTOR_CODE
	.balign 8
gdt_pointer:
	.word gdt_end - gdt - 1
	.long AT(gdt)
	.balign 8
gdt:
	.quad 0
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
gdt_end:

	.macro gate label, offset=0
	.word \label - probe_guest + \offset
	.word SELECTOR_CODE
	.word GATE_INTERRUPT
	.word PROBE_GUEST_BASE >> 16
	.quad 0
	.endm

	.balign 16
idt:
	.set vector, 0
	.rept 32
	gate exceptions, "vector * 16"
	.set vector, vector + 1
	.endr
	.fill (VECTOR_IPI - 32) * 2, 8, 0
	gate ipi
	gate timer
	.fill (VECTOR_SPURIOUS - VECTOR_TIMER - 1) * 2, 8, 0
	gate spurious
idt_end:
	.balign 8
idt_pointer:
	.word idt_end - idt - 1
	.quad AT(idt)

	.balign 16
numbers:
	.long 1, 2, 0xffffffff, 4
sums:
	.long 0, 0, 0, 0
pair:
	.quad 1, 2
ipi_seen:
	.long 0
timer_seen:
	.long 0
other_seen:
	.long 0
probe_guest_end:
	.balign 8
probe_guest_bytes:
	.quad probe_guest_end - probe_guest

	.section .note.GNU-stack, "", @progbits
#ifdef __CET__
#include <cet.h>
#endif
