/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Linux's compressed image (Linux, Documentation/x86/boot.rst): a setup part whose header tells
 * sizes and wishes, then the part that is loaded, which unpacks the kernel. We enter it in long
 * mode, at 0x200 past its start, which needs protocol 2.12. Called by boot_open().
 */
#include "core/machine/boot/image.h"

#include "core/base/checked.h"
#include "core/machine/layout.h"

#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SECTOR_BYTES    512u
#define SETUP_SECTS_OLD 4u          /* what 0 means */
#define HDRS_MAGIC      0x53726448u /* "HdrS" */
#define HDRS_OFFSET     0x202
#define BOOT_FLAG       0xaa55u
#define PROTOCOL_64     0x020cu /* 2.12 */
#define PARAGRAPH_BYTES 16u
#define ENTRY_64_OFFSET 0x200u
#define HEADER_END_MIN  0x268u /* the last field that 2.12 has is handover_offset */
#define HEADER_JUMP_END 0x202u /* the header ends here plus the byte at 0x201 */

static_assert(offsetof(struct boot_params, hdr) == BOOT_SETUP_START, "place of the setup header");
static_assert(sizeof(struct setup_header) <= BOOT_SETUP_MAX, "room for the setup header");
static_assert(BOOT_SETUP_START + offsetof(struct setup_header, header) == HDRS_OFFSET, "HdrS");
static_assert(BOOT_SETUP_START + offsetof(struct setup_header, kernel_info_offset) == HEADER_END_MIN, "fields of 2.12");

bool boot_is_bzimage(const uint8_t *head, size_t bytes)
{
	return bytes >= HDRS_OFFSET + 4 && !memcmp(head + HDRS_OFFSET, "HdrS", 4);
}

/* Keeps as much of the header as the kernel says that it has; what follows is code. */
static int read_header(struct boot_image *image, struct setup_header *ret, struct err *err)
{
	struct setup_header header;
	size_t end;
	int r;

	r = boot_file_check(&image->kernel, BOOT_SETUP_START, BOOT_SETUP_MAX, "its setup header ends", err);
	if (r < 0)
		return r;
	r = boot_file_read(&image->kernel, BOOT_SETUP_START, image->setup, BOOT_SETUP_MAX, err);
	if (r < 0)
		return r;
	memcpy(&header, image->setup, sizeof(header));
	if (header.header != HDRS_MAGIC || header.boot_flag != BOOT_FLAG)
		return err_set(err, -ENOEXEC, "\"%s\" has a damaged setup header", image->kernel.name);
	if (header.version < PROTOCOL_64 || !(header.xloadflags & XLF_KERNEL_64))
		return err_set(err, -ENOEXEC, "\"%s\" has no 64-bit entry (boot protocol %u.%02u)", image->kernel.name,
			       header.version >> 8, header.version & 0xffu);

	/* The byte at 0x201 is the offset of the jump over the header. */
	end = HEADER_JUMP_END + (header.jump >> 8);
	if (end < HEADER_END_MIN)
		return err_set(err, -ENOEXEC, "\"%s\" has a setup header that ends at 0x%zx, before 0x%x",
			       image->kernel.name, end, HEADER_END_MIN);
	image->setup_bytes = end - BOOT_SETUP_START;
	if (image->setup_bytes > BOOT_SETUP_MAX)
		image->setup_bytes = BOOT_SETUP_MAX;
	*ret = header;
	return 0;
}

/*
 * A relocatable kernel that is loaded below its preferred address moves itself up to it
 * (pref_address in boot.rst), so going lower when RAM is short would only hide the shortage: the
 * kernel would run over the end of RAM. It is loaded there, or at the next usable address above.
 */
static int choose_address(const struct boot_image *image, const struct setup_header *header, uint64_t *ret,
			  struct err *err)
{
	uint64_t address = header->pref_address;
	uint64_t align = header->kernel_alignment;

	if (!header->relocatable_kernel) {
		*ret = address;
		return 0;
	}
	if (!align || (align & (align - 1)))
		return err_set(err, -ENOEXEC,
			       "\"%s\" has the kernel alignment 0x%" PRIx64 ", which is not a power of two",
			       image->kernel.name, align);
	if (address < LAYOUT_HIGH_START)
		address = LAYOUT_HIGH_START;
	if (!align_up(address, align, &address))
		return err_set(err, -ENOEXEC, "\"%s\" has the preferred address 0x%" PRIx64, image->kernel.name,
			       address);
	*ret = address;
	return 0;
}

int boot_bzimage_open(struct boot_image *image, struct err *err)
{
	struct boot_segment kernel = { .clear = false };
	struct setup_header header = { 0 };
	int r;

	r = read_header(image, &header, err);
	if (r < 0)
		return r;

	kernel.file_offset = (uint64_t)SECTOR_BYTES * ((header.setup_sects ? header.setup_sects : SETUP_SECTS_OLD) + 1);
	kernel.file_bytes = (uint64_t)PARAGRAPH_BYTES * header.syssize;
	if (kernel.file_bytes <= ENTRY_64_OFFSET)
		return err_set(err, -ENOEXEC, "\"%s\" has only %" PRIu64 " bytes to load", image->kernel.name,
			       kernel.file_bytes);
	r = boot_file_check(&image->kernel, kernel.file_offset, kernel.file_bytes, "its kernel ends", err);
	if (r < 0)
		return r;

	/* What lies beyond the image is the kernel's to clear. */
	kernel.mem_bytes = header.init_size > kernel.file_bytes ? header.init_size : kernel.file_bytes;
	r = choose_address(image, &header, &kernel.gpa, err);
	if (r < 0)
		return r;
	r = boot_add_segment(image, &kernel, "the kernel", err);
	if (r < 0)
		return r;

	image->kind = BOOT_BZIMAGE_64;
	image->entry = kernel.gpa + ENTRY_64_OFFSET;
	image->initrd_end = (uint64_t)header.initrd_addr_max + 1;
	image->cmdline_max = header.cmdline_size;
	if (image->cmdline_max > LAYOUT_CMDLINE_MAX - 1)
		image->cmdline_max = LAYOUT_CMDLINE_MAX - 1;
	return 0;
}
