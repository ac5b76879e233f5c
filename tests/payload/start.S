/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The payload's entries: of the first CPU (Linux's 64-bit boot protocol), of the others (a start-up interrupt, real mode),
 * and of interrupts.
 */
#define STACK_BYTES 4096
#define CPUS	    33 /* the first, and at most 32 more */

#define CR0_PE	   (1 << 0)
#define CR0_ET	   (1 << 4)
#define CR0_NE	   (1 << 5)
#define CR0_PG	   (1 << 31)
#define CR4_PAE	   (1 << 5)
#define EFER	   0xc0000080
#define EFER_LME   (1 << 8)

	.text
	.code64
	.globl payload_start
payload_start:
	cld
	leaq stacks + STACK_BYTES(%rip), %rsp
	xorl %ebp, %ebp
	movq %rsi, %rdi
	call payload_main
1:	cli
	hlt
	jmp 1b

/*
 * Where the other CPUs begin, after it has been copied to a page below 1 MiB: straight from real to long mode, with the
 * first CPU's page tables (which are below 4 GiB). Its own page is at %cs << 4.
 */
	.code16
	.globl trampoline, trampoline_end, trampoline_gdt, trampoline_jump, trampoline_cr3
	.balign 16
trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt_pointer - trampoline
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl trampoline_cr3 - trampoline, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl $(CR0_PE | CR0_ET | CR0_NE | CR0_PG), %eax
	movl %eax, %cr0
	ljmpl *trampoline_jump - trampoline
	.balign 8
trampoline_jump:
	.long payload_other
	.word 0x10
	.balign 8
trampoline_cr3:
	.long 0
	.balign 8
trampoline_gdt_pointer:
	.word 0x1f
trampoline_gdt:
	.long 0 /* filled in: where the table below has been copied to */
	.balign 8
	.globl trampoline_table
trampoline_table:
	.quad 0
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
trampoline_end:

/* Each takes the next stack. */
	.code64
payload_other:
	movl $0x18, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $1, %eax
	lock xaddl %eax, next_stack(%rip)
	incl %eax
	imull $STACK_BYTES, %eax, %eax
	leaq stacks(%rip), %rsp
	addq %rax, %rsp
	xorl %ebp, %ebp
	call payload_cpu
1:	cli
	hlt
	jmp 1b

/* One stub per vector, 16 bytes each: pushes the vector and goes on below. */
	.globl interrupt_stubs
	.balign 16
interrupt_stubs:
	.set vector, 0
	.rept 256
	.balign 16
	.byte 0x68 /* pushq $imm32 */
	.long vector
	jmp interrupt
	.set vector, vector + 1
	.endr

/* Exceptions do not return, so that some of them push an error code does not matter here. */
interrupt:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	movq 72(%rsp), %rdi
	subq $8, %rsp
	cld
	call payload_interrupt
	addq $8, %rsp
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $8, %rsp
	iretq

	.data
	.balign 4
next_stack:
	.long 1

	.bss
	.balign 4096
stacks:
	.skip CPUS * STACK_BYTES
	.section .note.GNU-stack, "", @progbits
