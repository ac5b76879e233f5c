/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ELF kernels for x86_64: Linux's vmlinux, and anything else with a PVH entry. Segments go to their
 * physical addresses. A note of the owner "Xen" and the type 18 gives the 32-bit PVH entry (Xen,
 * docs/misc/pvh.pandoc); without one the kernel is entered at e_entry, which is physical in a
 * vmlinux, as Linux's 64-bit boot protocol says. Called by boot_open().
 */
#include "core/machine/boot/image.h"

#include "core/base/checked.h"
#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRAM_HEADERS_MAX 128u
#define NOTES_BYTES_MAX     (64 * LAYOUT_KIB)
#define NOTE_ALIGN          4u /* of names and descriptors, in Xen's notes and in Linux's */
#define XEN_PHYS32_ENTRY    18u

static_assert(sizeof(Elf64_Ehdr) == 64, "ELF header");
static_assert(sizeof(Elf64_Phdr) == 56, "ELF program header");
static_assert(sizeof(Elf64_Nhdr) == 12, "ELF note header");

bool boot_is_elf(const uint8_t *head, size_t bytes)
{
	return bytes >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static int read_header(const struct boot_image *image, Elf64_Ehdr *ret, struct err *err)
{
	const char *name = image->kernel.name;
	Elf64_Ehdr header;
	int r;

	r = boot_file_check(&image->kernel, 0, sizeof(header), "its ELF header ends", err);
	if (r < 0)
		return r;
	r = boot_file_read(&image->kernel, 0, &header, sizeof(header), err);
	if (r < 0)
		return r;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_X86_64)
		return err_set(err, -ENOEXEC, "\"%s\" is an ELF file, but not for x86_64", name);
	if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
		return err_set(err, -ENOEXEC, "\"%s\" is an ELF file of type %u, which cannot be started", name,
			       header.e_type);
	if (!header.e_phnum)
		return err_set(err, -ENOEXEC, "\"%s\" has no program headers", name);
	if (header.e_phnum > PROGRAM_HEADERS_MAX)
		return err_set(err, -ENOEXEC, "\"%s\" has %u program headers, more than %u", name, header.e_phnum,
			       PROGRAM_HEADERS_MAX);
	if (header.e_phentsize != sizeof(Elf64_Phdr))
		return err_set(err, -ENOEXEC, "\"%s\" has program headers of %u bytes, not %zu", name,
			       header.e_phentsize, sizeof(Elf64_Phdr));
	*ret = header;
	return 0;
}

static int add_load(struct boot_image *image, unsigned int index, const Elf64_Phdr *program, struct err *err)
{
	struct boot_segment segment = {
		.gpa = program->p_paddr,
		.mem_bytes = program->p_memsz,
		.file_offset = program->p_offset,
		.file_bytes = program->p_filesz,
		.clear = true,
	};
	char what[64];
	int r;

	if (segment.file_bytes > segment.mem_bytes)
		return err_set(err, -ENOEXEC,
			       "\"%s\": program header %u has %" PRIu64 " bytes for %" PRIu64 " bytes of memory",
			       image->kernel.name, index, segment.file_bytes, segment.mem_bytes);
	if (!segment.mem_bytes)
		return 0;
	snprintf(what, sizeof(what), "segment %u of it ends", index);
	r = boot_file_check(&image->kernel, segment.file_offset, segment.file_bytes, what, err);
	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "segment %u", index);
	return boot_add_segment(image, &segment, what, err);
}

/* Looks for the PVH entry in one segment of notes: 1 and the address, 0 if it has none, -errno. */
static int find_pvh_note(const struct boot_image *image, const uint8_t *notes, uint64_t bytes, uint64_t *ret_entry,
			 struct err *err)
{
	uint64_t at = 0;

	while (bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t name_at;
		uint64_t desc_at;
		uint64_t entry = 0;

		memcpy(&note, notes + at, sizeof(note));
		name_at = at + sizeof(note);
		/* Sums of a number below 64 KiB and 32-bit sizes. */
		desc_at = name_at + (((uint64_t)note.n_namesz + NOTE_ALIGN - 1) & ~(uint64_t)(NOTE_ALIGN - 1));
		if (!range_within(desc_at, note.n_descsz, bytes))
			return err_set(err, -ENOEXEC, "\"%s\" has a note that goes beyond its segment",
				       image->kernel.name);
		if (note.n_type == XEN_PHYS32_ENTRY && note.n_namesz == sizeof("Xen") &&
		    !memcmp(notes + name_at, "Xen", sizeof("Xen"))) {
			if (note.n_descsz != 4 && note.n_descsz != 8)
				return err_set(err, -ENOEXEC, "\"%s\" has a PVH entry of %u bytes, not 4 or 8",
					       image->kernel.name, note.n_descsz);
			memcpy(&entry, notes + desc_at, note.n_descsz);
			*ret_entry = entry;
			return 1;
		}
		at = desc_at + (((uint64_t)note.n_descsz + NOTE_ALIGN - 1) & ~(uint64_t)(NOTE_ALIGN - 1));
		/* The last descriptor may be without its padding. */
		if (at > bytes)
			break;
	}
	return 0;
}

static int read_notes(const struct boot_image *image, const Elf64_Phdr *program, uint64_t *ret_entry, struct err *err)
{
	FREE_AUTO uint8_t *notes = NULL;
	uint64_t bytes = program->p_filesz;
	int r;

	if (!bytes)
		return 0;
	r = boot_file_check(&image->kernel, program->p_offset, bytes, "a segment of notes ends", err);
	if (r < 0)
		return r;
	if (bytes > NOTES_BYTES_MAX)
		return err_set(err, -ENOEXEC,
			       "\"%s\" has a segment of notes with %" PRIu64 " bytes, more than %" PRIu64,
			       image->kernel.name, bytes, NOTES_BYTES_MAX);
	notes = malloc(bytes);
	if (!notes)
		return err_set(err, -ENOMEM, "out of memory");
	r = boot_file_read(&image->kernel, program->p_offset, notes, bytes, err);
	if (r < 0)
		return r;
	return find_pvh_note(image, notes, bytes, ret_entry, err);
}

static int check_entry(const struct boot_image *image, struct err *err)
{
	if (image->kind == BOOT_ELF_PVH && image->entry > UINT32_MAX)
		return err_set(err, -ENOEXEC, "\"%s\" has the PVH entry 0x%" PRIx64 ", which is not a 32-bit address",
			       image->kernel.name, image->entry);
	for (size_t i = 0; i < image->segment_count; i++) {
		const struct boot_segment *segment = &image->segments[i];

		/* An address below the segment wraps to a huge offset. */
		if (image->entry - segment->gpa < segment->mem_bytes)
			return 0;
	}
	return err_set(err, -ENOEXEC, "\"%s\" has the entry 0x%" PRIx64 ", outside all its segments",
		       image->kernel.name, image->entry);
}

int boot_elf_open(struct boot_image *image, struct err *err)
{
	Elf64_Phdr programs[PROGRAM_HEADERS_MAX];
	uint64_t entry = 0;
	bool pvh = false;
	Elf64_Ehdr header = { 0 };
	int r;

	r = read_header(image, &header, err);
	if (r < 0)
		return r;
	r = boot_file_check(&image->kernel, header.e_phoff, header.e_phnum * sizeof(programs[0]),
			    "its program headers end", err);
	if (r < 0)
		return r;
	r = boot_file_read(&image->kernel, header.e_phoff, programs, header.e_phnum * sizeof(programs[0]), err);
	if (r < 0)
		return r;

	for (unsigned int i = 0; i < header.e_phnum; i++) {
		if (programs[i].p_type == PT_LOAD) {
			r = add_load(image, i, &programs[i], err);
			if (r < 0)
				return r;
		} else if (programs[i].p_type == PT_NOTE && !pvh) {
			r = read_notes(image, &programs[i], &entry, err);
			if (r < 0)
				return r;
			pvh = r > 0;
		}
	}
	if (!image->segment_count)
		return err_set(err, -ENOEXEC, "\"%s\" has no segment to load", image->kernel.name);

	image->kind = pvh ? BOOT_ELF_PVH : BOOT_ELF_64;
	image->entry = pvh ? entry : header.e_entry;
	image->initrd_end = image->low_ram_bytes;
	/* The file does not say. This is Linux's figure for x86; it cuts longer lines silently. */
	image->cmdline_max = BOOT_CMDLINE_LINUX_MAX;
	return check_entry(image, err);
}
