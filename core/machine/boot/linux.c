/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux's 64-bit boot protocol (Documentation/x86/boot.rst): struct boot_params, the "zero page",
 * for a bzImage and for an ELF kernel that has no PVH entry. Called by boot_place().
 */
#include "core/machine/boot/image.h"

#include "core/machine/layout.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <string.h>

#define LOADER_UNDEFINED 0xffu       /* type_of_loader: no number has been assigned to us */
#define PROTOCOL_RSDP    0x020eu     /* 2.14 has acpi_rsdp_addr */
#define HDRS_MAGIC       0x53726448u /* "HdrS" */
#define BOOT_FLAG        0xaa55u

static_assert(sizeof(struct boot_params) == 4096, "boot_params is a page");
static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "e820 table");
static_assert(sizeof(struct boot_e820_entry) == 20, "e820 entry");
static_assert(BOOT_MAP_MAX <= E820_MAX_ENTRIES_ZEROPAGE, "the whole map fits");
static_assert((int)BOOT_MAP_RAM == 1 && (int)BOOT_MAP_RESERVED == 2 && (int)BOOT_MAP_ACPI == 3,
	      "our map types are e820's");

/* What a vmlinux finds in a header that nobody compiled in: the protocol that we follow. */
static void make_header(struct setup_header *header)
{
	header->boot_flag = BOOT_FLAG;
	header->header = HDRS_MAGIC;
	header->version = PROTOCOL_RSDP;
	header->loadflags = LOADED_HIGH;
	header->cmdline_size = BOOT_CMDLINE_LINUX_MAX;
	header->initrd_addr_max = UINT32_MAX;
}

int boot_linux_place(const struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret,
		     struct err *err)
{
	struct boot_params params;
	struct setup_header *header = &params.hdr;
	struct boot_entry entry;
	int r;

	memset(&params, 0, sizeof(params));
	/* A newer kernel's header is longer than the struct; its place in the page is known. All
	 * addresses and sizes below are those of low RAM, so they fit 32 bits. */
	if (image->kind == BOOT_BZIMAGE_64) {
		memcpy((uint8_t *)&params + BOOT_SETUP_START, image->setup, image->setup_bytes);
		header->code32_start = (__u32)image->segments[0].gpa;
	} else {
		make_header(header);
	}
	header->type_of_loader = LOADER_UNDEFINED;
	header->loadflags &= (__u8) ~(CAN_USE_HEAP | KASLR_FLAG);
	header->cmd_line_ptr = (__u32)LAYOUT_CMDLINE;
	header->setup_data = 0;
	if (image->initrd.fd >= 0) {
		header->ramdisk_image = (__u32)image->initrd_gpa;
		header->ramdisk_size = (__u32)image->initrd.bytes;
	}
	/* Before 2.14 this was padding, and the kernel scans for the RSDP. */
	if (header->version >= PROTOCOL_RSDP)
		params.acpi_rsdp_addr = machine->rsdp_gpa;
	for (size_t i = 0; i < machine->map_count; i++)
		params.e820_table[i] = (struct boot_e820_entry){
			.addr = machine->map[i].gpa,
			.size = machine->map[i].bytes,
			.type = machine->map[i].type,
		};
	params.e820_entries = (__u8)machine->map_count;

	r = gmem_write(machine->mem, LAYOUT_ZERO_PAGE, &params, sizeof(params));
	if (r < 0)
		return err_set(err, r, "no RAM below 1 MiB for boot parameters");
	r = boot_entry_place(machine->mem, BOOT_MODE_LONG_64, &entry, err);
	if (r < 0)
		return r;
	entry.rip = image->entry;
	entry.rsi = LAYOUT_ZERO_PAGE;
	*ret = entry;
	return 0;
}
