/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's physical address space on x86_64. RAM lies below the hole and above 4 GiB; devices, and what the processor
 * itself answers, lie in the hole.
 */
#ifndef MACHINE_LAYOUT_H
#define MACHINE_LAYOUT_H

#include <stdint.h>

#define LAYOUT_KIB         UINT64_C(1024)
#define LAYOUT_MIB         (1024 * LAYOUT_KIB)
#define LAYOUT_GIB         (1024 * LAYOUT_MIB)

/* Below 1 MiB: what the loader leaves for the kernel. All of it is RAM. */
#define LAYOUT_GDT         UINT64_C(0x500)   /* boot GDT */
#define LAYOUT_START_INFO  UINT64_C(0x6000)  /* hvm_start_info, its module list and memory map: 4 KiB */
#define LAYOUT_ZERO_PAGE   UINT64_C(0x7000)  /* struct boot_params: 4 KiB */
#define LAYOUT_BOOT_STACK  UINT64_C(0x8ff0)  /* grows down to 0x8000 */
#define LAYOUT_PAGE_TABLES UINT64_C(0x9000)  /* PML4, PDPT, four page directories: 24 KiB */
#define LAYOUT_CMDLINE     UINT64_C(0x20000) /* at most LAYOUT_CMDLINE_MAX with its NUL */
#define LAYOUT_CMDLINE_MAX UINT64_C(0x10000)
#define LAYOUT_LOW_END     UINT64_C(0x9fc00) /* usable RAM ends here, and goes on at 1 MiB */
#define LAYOUT_ACPI        UINT64_C(0xe0000) /* ACPI tables; the RSDP is found here by scanning, too */
#define LAYOUT_ACPI_MAX    UINT64_C(0x1f000)
#define LAYOUT_RESET       UINT64_C(0xff000) /* code that resets, up to where a processor begins: 4 KiB */
#define LAYOUT_HIGH_START  UINT64_C(0x100000)

/* The hole. */
#define LAYOUT_HOLE        (3 * LAYOUT_GIB)
#define LAYOUT_MMIO        UINT64_C(0xd0000000) /* addresses that the core chooses for devices */
#define LAYOUT_MMIO_END    UINT64_C(0xfe000000)
#define LAYOUT_POWER       UINT64_C(0xfe000000) /* the core's sleep and reset registers */
#define LAYOUT_IOAPIC      UINT64_C(0xfec00000)
#define LAYOUT_LAPIC       UINT64_C(0xfee00000)
#define LAYOUT_IDENTITY    UINT64_C(0xfeffc000) /* KVM_SET_IDENTITY_MAP_ADDR: one page */
#define LAYOUT_TSS         UINT64_C(0xfeffd000) /* KVM_SET_TSS_ADDR: three pages */
#define LAYOUT_HIGH_RAM    (4 * LAYOUT_GIB)

/* Interrupt lines that are the machine's own: where PCs have ACPI's interrupt. */
#define LAYOUT_BUTTON_GSI  9u

#endif
