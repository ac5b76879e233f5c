/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The smallest kernel that backplane and QEMU both load: an ELF file with a PVH entry (Xen, docs/misc/pvh.pandoc) that halts. B1
 * takes it to see what starting a VMM takes without the loading of a kernel.
 */
	.code32
	.text
	.globl start
start:
	cli
1:	hlt
	jmp 1b

	.section .note.Xen, "a", @note
	.long 4, 4, 18 /* bytes of the name and of the entry; XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start
	.section .note.GNU-stack, "", @progbits
