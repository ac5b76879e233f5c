/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The PVH boot protocol (Xen, docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h): one page
 * with hvm_start_info, the list of modules and the memory map. Called by boot_place().
 */
#include "core/machine/boot/image.h"

#include "core/machine/layout.h"

#include <assert.h>
#include <errno.h>

#define START_INFO_MAGIC   0x336ec578u
#define START_INFO_VERSION 1u /* the first one with a memory map */

struct start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};
static_assert(sizeof(struct start_info) == 56, "hvm_start_info of version 1");

struct module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};
static_assert(sizeof(struct module) == 32, "hvm_modlist_entry");

struct map_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};
static_assert(sizeof(struct map_entry) == 24, "hvm_memmap_table_entry");
static_assert((int)BOOT_MAP_RAM == 1 && (int)BOOT_MAP_RESERVED == 2 && (int)BOOT_MAP_ACPI == 3,
	      "our map types are those of XEN_HVM_MEMMAP_TYPE");

struct start_page {
	struct start_info info;
	uint8_t pad[8];
	struct module module;
	struct map_entry map[BOOT_MAP_MAX];
};
static_assert(LAYOUT_START_INFO + sizeof(struct start_page) <= LAYOUT_ZERO_PAGE, "one page");

int boot_pvh_place(const struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret,
		   struct err *err)
{
	struct start_page page = {
		.info = {
			.magic = START_INFO_MAGIC,
			.version = START_INFO_VERSION,
			.cmdline_paddr = LAYOUT_CMDLINE,
			.rsdp_paddr = machine->rsdp_gpa,
			.memmap_paddr = LAYOUT_START_INFO + offsetof(struct start_page, map),
			.memmap_entries = (uint32_t)machine->map_count,
		},
	};
	struct boot_entry entry;
	int r;

	if (image->initrd.fd >= 0) {
		page.info.nr_modules = 1;
		page.info.modlist_paddr = LAYOUT_START_INFO + offsetof(struct start_page, module);
		page.module.paddr = image->initrd_gpa;
		page.module.size = image->initrd.bytes;
	}
	for (size_t i = 0; i < machine->map_count; i++)
		page.map[i] = (struct map_entry){
			.addr = machine->map[i].gpa,
			.size = machine->map[i].bytes,
			.type = machine->map[i].type,
		};

	r = gmem_write(machine->mem, LAYOUT_START_INFO, &page, sizeof(page));
	if (r < 0)
		return err_set(err, r, "no RAM below 1 MiB for boot information");
	r = boot_entry_place(machine->mem, BOOT_MODE_PROTECTED_32, &entry, err);
	if (r < 0)
		return r;
	entry.rip = image->entry;
	entry.rbx = LAYOUT_START_INFO;
	*ret = entry;
	return 0;
}
