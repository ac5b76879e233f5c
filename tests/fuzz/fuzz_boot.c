/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the kernel loader. The first byte chooses a file: the rest of the input as it is, or a
 * valid kernel into which the rest of the input is patched, four bytes a patch (offset, two new
 * bytes), so that the fuzzer need not find checks on magic numbers by itself. The second one
 * chooses the size of RAM and whether there is an initrd. Built with
 * -fsanitize=fuzzer,address,undefined.
 */
#include "tests/unit/boot_images.h"

#include <fcntl.h>

/* libFuzzer declares neither. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_kernel(struct image *image, unsigned int kind, const uint8_t *data, size_t size)
{
	switch (kind) {
	case 0:
		memset(image, 0, sizeof(*image));
		image->bytes = size < sizeof(image->data) ? size : sizeof(image->data);
		memcpy(image->data, data, image->bytes);
		return;
	case 1:
		image_bzimage(image);
		break;
	default:
		image_elf(image, kind == 2);
		break;
	}
	for (; size >= 4; data += 4, size -= 4) {
		size_t offset = (size_t)(data[0] | data[1] << 8);

		if (offset + 2 <= image->bytes)
			memcpy(image->data + offset, data + 2, 2);
	}
	/* What is left over cuts the file. */
	if (size)
		image->bytes = image->bytes * data[0] / 256;
}

/* The kernel is in low RAM and what the loader keeps to itself is outside of it. */
static void check_entry(const struct boot_entry *entry, uint64_t low_ram_bytes)
{
	if (entry->rip < 0x100000 || entry->rip >= low_ram_bytes || entry->gdt_gpa != 0x500)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = { 0x800000, 0x100001, 0x401234, 0x210000 };
	static struct image image;
	static struct image_ram ram;
	static struct image_file kernel;
	static struct image_file initrd;
	struct boot_machine machine = {
		.mem = &ram.mem,
		.map_count = 1,
		.map = { { .gpa = 0, .bytes = 0x9fc00, .type = BOOT_MAP_RAM } },
		.rsdp_gpa = 0xe0000,
	};
	struct boot_spec spec = { .dir_fd = AT_FDCWD, .cmdline = "quiet" };
	enum boot_blame blame = BOOT_BLAME_NONE;
	struct boot_image *opened = NULL;
	struct err err = ERR_NONE;
	struct boot_entry entry;

	if (size < 2)
		return 0;
	if (!ram.map && (!image_ram_make(&ram, IMAGE_LOW_RAM) || !image_file_make(&kernel, "", 0) ||
			 !image_file_make(&initrd, &image, 12345)))
		abort();
	make_kernel(&image, data[0] & 3, data + 2, size - 2);
	if (ftruncate(kernel.fd, 0) < 0 || pwrite(kernel.fd, image.data, image.bytes, 0) != (ssize_t)image.bytes)
		abort();
	spec.kernel = kernel.path;
	spec.initrd = data[1] & 4 ? initrd.path : NULL;
	spec.low_ram_bytes = sizes[data[1] & 3];

	if (boot_open(&spec, &opened, &blame, &err) < 0) {
		if (!err.text[0] || strchr(err.text, '\n'))
			abort();
		return 0;
	}
	if (boot_place(opened, &machine, &entry, &err) < 0)
		abort();
	check_entry(&entry, spec.low_ram_bytes);
	boot_close(opened);
	return 0;
}
