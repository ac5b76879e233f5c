/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two steps of loading, boot_open() and boot_place(), and what holds for every kind of kernel:
 * where segments may be. See boot.h; main thread, before the guest runs.
 */
#include "core/machine/boot/image.h"

#include "core/base/checked.h"
#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* The longest prefix of a file that tells what it is. */
#define HEAD_BYTES 0x206

/* Files that are not a kernel, but have one inside. */
struct packed_format {
	const char *name;
	const char *magic;
	size_t bytes;
};

static const struct packed_format packed_formats[] = {
	{ .name = "gzip", .magic = "\x1f\x8b", .bytes = 2 },
	{ .name = "xz", .magic = "\xfd\x37zXZ", .bytes = 5 },
	{ .name = "zstd", .magic = "\x28\xb5\x2f\xfd", .bytes = 4 },
	{ .name = "bzip2", .magic = "BZh", .bytes = 3 },
	{ .name = "lz4", .magic = "\x02\x21\x4c\x18", .bytes = 4 },
};

int boot_add_segment(struct boot_image *image, const struct boot_segment *segment, const char *what, struct err *err)
{
	const char *name = image->kernel.name;

	if (image->segment_count == BOOT_SEGMENTS_MAX)
		return err_set(err, -ENOEXEC, "\"%s\" has more than %d segments to load", name, BOOT_SEGMENTS_MAX);
	if (!segment->mem_bytes)
		return err_set(err, -ENOEXEC, "\"%s\": %s is empty", name, what);
	if (segment->gpa < LAYOUT_HIGH_START)
		return err_set(err, -ENOEXEC,
			       "\"%s\": %s is to be at 0x%" PRIx64 ", and the first MiB of memory is the loader's",
			       name, what, segment->gpa);
	if (!range_within(segment->gpa, segment->mem_bytes, image->low_ram_bytes))
		return err_set(err, -ENOSPC,
			       "\"%s\" needs more memory: %s is to be at 0x%" PRIx64 " and takes %" PRIu64
			       " KiB; the RAM there ends at 0x%" PRIx64,
			       name, what, segment->gpa, segment->mem_bytes / 1024 + (segment->mem_bytes % 1024 != 0),
			       image->low_ram_bytes);
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct boot_segment *other = &image->segments[i];

		if (range_overlap(segment->gpa, segment->mem_bytes, other->gpa, other->mem_bytes))
			return err_set(err, -ENOEXEC, "\"%s\": %s at 0x%" PRIx64 " lies over another one at 0x%" PRIx64,
				       name, what, segment->gpa, other->gpa);
	}
	image->segments[image->segment_count++] = *segment;
	return 0;
}

static int open_kernel(struct boot_image *image, struct err *err)
{
	uint8_t head[HEAD_BYTES];
	size_t bytes = image->kernel.bytes < sizeof(head) ? (size_t)image->kernel.bytes : sizeof(head);
	int r;

	r = boot_file_read(&image->kernel, 0, head, bytes, err);
	if (r < 0)
		return r;
	if (boot_is_elf(head, bytes))
		return boot_elf_open(image, err);
	if (boot_is_bzimage(head, bytes))
		return boot_bzimage_open(image, err);
	for (size_t i = 0; i < sizeof(packed_formats) / sizeof(packed_formats[0]); i++) {
		const struct packed_format *format = &packed_formats[i];

		if (bytes >= format->bytes && !memcmp(head, format->magic, format->bytes))
			return err_set(err, -ENOEXEC, "\"%s\" is compressed with %s: unpack it first",
				       image->kernel.name, format->name);
	}
	return err_set(err, -ENOEXEC, "\"%s\" is neither a bzImage nor an ELF kernel", image->kernel.name);
}

/* The kernel comes from the file that is in the image already, or else from its path. */
static int open_parts(struct boot_image *image, const struct boot_spec *spec, enum boot_blame *ret_blame,
		      struct err *err)
{
	size_t cmdline_bytes;
	int r;

	if (spec->low_ram_bytes <= LAYOUT_HIGH_START || spec->low_ram_bytes > LAYOUT_HIGH_RAM) {
		*ret_blame = BOOT_BLAME_NONE;
		return err_set(err, -EINVAL, "cannot load a kernel into %" PRIu64 " KiB of RAM",
			       spec->low_ram_bytes / LAYOUT_KIB);
	}
	image->low_ram_bytes = spec->low_ram_bytes;

	*ret_blame = BOOT_BLAME_KERNEL;
	if (image->kernel.fd < 0) {
		r = boot_file_open(spec->dir_fd, spec->kernel, &image->kernel, err);
		if (r < 0)
			return r;
	}
	r = open_kernel(image, err);
	if (r < 0)
		return r;

	*ret_blame = BOOT_BLAME_CMDLINE;
	cmdline_bytes = strlen(spec->cmdline);
	if (cmdline_bytes > image->cmdline_max)
		return err_set(err, -E2BIG, "the command line has %zu bytes, \"%s\" takes at most %" PRIu64,
			       cmdline_bytes, image->kernel.name, image->cmdline_max);
	image->cmdline = strdup(spec->cmdline);
	if (!image->cmdline) {
		*ret_blame = BOOT_BLAME_NONE;
		return err_set(err, -ENOMEM, "out of memory");
	}

	if (!spec->initrd)
		return 0;
	*ret_blame = BOOT_BLAME_INITRD;
	r = boot_file_open(spec->dir_fd, spec->initrd, &image->initrd, err);
	if (r < 0)
		return r;
	return boot_initrd_find_room(image, err);
}

int boot_open(const struct boot_spec *spec, struct boot_image **ret, enum boot_blame *ret_blame, struct err *err)
{
	return boot_open_fd(spec, -1, ret, ret_blame, err);
}

int boot_open_fd(const struct boot_spec *spec, int kernel_fd, struct boot_image **ret, enum boot_blame *ret_blame,
		 struct err *err)
{
	enum boot_blame blame = BOOT_BLAME_KERNEL;
	struct boot_image *image;
	int r = 0;

	image = calloc(1, sizeof(*image));
	if (!image) {
		fd_close(kernel_fd);
		*ret_blame = BOOT_BLAME_NONE;
		return err_set(err, -ENOMEM, "out of memory");
	}
	image->kernel.fd = -1;
	image->initrd.fd = -1;
	if (kernel_fd >= 0)
		r = boot_file_take(kernel_fd, spec->kernel, &image->kernel, err);
	if (r == 0)
		r = open_parts(image, spec, &blame, err);
	if (r < 0) {
		boot_close(image);
		*ret_blame = blame;
		return r;
	}
	*ret = image;
	return 0;
}

static int place_segments(const struct boot_image *image, const struct gmem *mem, struct err *err)
{
	int r;

	for (size_t i = 0; i < image->segment_count; i++) {
		const struct boot_segment *segment = &image->segments[i];

		r = boot_file_place(&image->kernel, segment->file_offset, mem, segment->gpa, segment->file_bytes, err);
		if (r < 0)
			return r;
		if (!segment->clear)
			continue;
		r = gmem_zero(mem, segment->gpa + segment->file_bytes, segment->mem_bytes - segment->file_bytes);
		if (r < 0)
			return err_set(err, r, "\"%s\" does not fit: no RAM at 0x%" PRIx64, image->kernel.name,
				       segment->gpa);
	}
	return 0;
}

int boot_place(struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret, struct err *err)
{
	int r;

	if (machine->map_count > BOOT_MAP_MAX)
		return err_set(err, -EINVAL, "the memory map has %zu entries, at most %d fit", machine->map_count,
			       BOOT_MAP_MAX);
	r = place_segments(image, machine->mem, err);
	if (r < 0)
		return r;
	if (image->initrd.fd >= 0) {
		r = boot_file_place(&image->initrd, 0, machine->mem, image->initrd_gpa, image->initrd.bytes, err);
		if (r < 0)
			return r;
	}
	r = gmem_write(machine->mem, LAYOUT_CMDLINE, image->cmdline, strlen(image->cmdline) + 1);
	if (r < 0)
		return err_set(err, r, "no RAM at 0x%" PRIx64 " for the command line", LAYOUT_CMDLINE);
	if (image->kind == BOOT_ELF_PVH)
		return boot_pvh_place(image, machine, ret, err);
	return boot_linux_place(image, machine, ret, err);
}

void boot_close(struct boot_image *image)
{
	if (!image)
		return;
	boot_file_close(&image->kernel);
	boot_file_close(&image->initrd);
	free(image->cmdline);
	free(image);
}

enum boot_kind boot_image_kind(const struct boot_image *image)
{
	return image->kind;
}

int boot_image_kernel_fd(const struct boot_image *image)
{
	return image->kernel.fd;
}

const char *boot_image_kernel_name(const struct boot_image *image)
{
	return image->kernel.name;
}

const char *boot_kind_name(enum boot_kind kind)
{
	static const char *const names[] = {
		[BOOT_BZIMAGE_64] = "bzImage, 64-bit entry",
		[BOOT_ELF_PVH] = "ELF, PVH entry",
		[BOOT_ELF_64] = "ELF, 64-bit entry",
	};

	static_assert(sizeof(names) / sizeof(names[0]) == (size_t)BOOT_ELF_64 + 1, "a name for every kind");
	return names[kind];
}
