/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the first vCPU needs in memory whichever protocol the kernel uses: a GDT, and for long mode
 * page tables that map the first 4 GiB to themselves. Called by linux.c and pvh.c. Code without a
 * kernel around it needs no more.
 */
#include "core/machine/boot/image.h"

#include "core/machine/layout.h"

#include <errno.h>
#include <inttypes.h>

/* Intel SDM, volume 3, 3.4.5: flat, present, and marked as accessed, so that the processor has no
 * reason to write into the table. */
#define SEGMENT_CODE_32  UINT64_C(0x00cf9b000000ffff)
#define SEGMENT_CODE_64  UINT64_C(0x00af9b000000ffff)
#define SEGMENT_DATA     UINT64_C(0x00cf93000000ffff)
#define SEGMENT_TSS      UINT64_C(0x00008b0000000067) /* busy, base 0, limit 0x67 */

/* Intel SDM, volume 3, 4.5. */
#define PAGE_PRESENT     UINT64_C(1)
#define PAGE_WRITE       UINT64_C(2)
#define PAGE_LARGE       UINT64_C(0x80)

#define PAGE_BYTES       4096u
#define PAGE_ENTRIES     512u
#define LARGE_PAGE_BYTES (2 * LAYOUT_MIB)
#define MAPPED_GIB       4u

/* PML4, PDPT, then a page directory for each GiB. */
static int write_page_tables(const struct gmem *mem)
{
	uint64_t page[PAGE_ENTRIES] = { 0 };
	uint64_t pdpt = LAYOUT_PAGE_TABLES + PAGE_BYTES;
	uint64_t directories = pdpt + PAGE_BYTES;
	int r;

	page[0] = pdpt | PAGE_WRITE | PAGE_PRESENT;
	r = gmem_write(mem, LAYOUT_PAGE_TABLES, page, sizeof(page));
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		page[i] = (directories + i * PAGE_BYTES) | PAGE_WRITE | PAGE_PRESENT;
	r = gmem_write(mem, pdpt, page, sizeof(page));
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < MAPPED_GIB; i++) {
		for (uint64_t j = 0; j < PAGE_ENTRIES; j++)
			page[j] = (i * LAYOUT_GIB + j * LARGE_PAGE_BYTES) | PAGE_LARGE | PAGE_WRITE | PAGE_PRESENT;
		r = gmem_write(mem, directories + i * PAGE_BYTES, page, sizeof(page));
		if (r < 0)
			return r;
	}
	return 0;
}

int boot_entry_place(const struct gmem *mem, enum boot_mode mode, struct boot_entry *ret, struct err *err)
{
	/* In long mode a TSS descriptor takes two places: the second has the base's upper half. */
	uint64_t gdt[BOOT_SELECTOR_TSS / 8 + 2] = {
		[BOOT_SELECTOR_CODE / 8] = mode == BOOT_MODE_LONG_64 ? SEGMENT_CODE_64 : SEGMENT_CODE_32,
		[BOOT_SELECTOR_DATA / 8] = SEGMENT_DATA,
		[BOOT_SELECTOR_TSS / 8] = SEGMENT_TSS,
	};
	int r;

	r = gmem_write(mem, LAYOUT_GDT, gdt, sizeof(gdt));
	if (r >= 0 && mode == BOOT_MODE_LONG_64)
		r = write_page_tables(mem);
	if (r < 0)
		return err_set(err, r, "no RAM below 1 MiB for descriptor and page tables");

	*ret = (struct boot_entry){
		.mode = mode,
		.rsp = LAYOUT_BOOT_STACK,
		.cr3 = mode == BOOT_MODE_LONG_64 ? LAYOUT_PAGE_TABLES : 0,
		.gdt_gpa = LAYOUT_GDT,
		.gdt_bytes = sizeof(gdt),
	};
	return 0;
}

int boot_place_code(const struct gmem *mem, uint64_t gpa, const void *code, size_t bytes, struct boot_entry *ret,
		    struct err *err)
{
	struct boot_entry entry;
	int r = boot_entry_place(mem, BOOT_MODE_LONG_64, &entry, err);

	if (r < 0)
		return r;
	r = gmem_write(mem, gpa, code, bytes);
	if (r < 0)
		return err_set(err, r, "no RAM for %zu bytes of code at 0x%" PRIx64, bytes, gpa);
	entry.rip = gpa;
	*ret = entry;
	return 0;
}
