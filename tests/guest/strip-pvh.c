/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * strip-pvh: copies an ELF kernel without its PVH entry point.
 *
 * The note with the name "Xen" and the type 18 (XEN_ELFNOTE_PHYS32_ENTRY) tells a VMM where a kernel can
 * be entered by the PVH protocol. The copy has another type there, so a loader must fall back or refuse.
 * Tests call it; exit status 1 means that the input could not be read or has no such note.
 */
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18u
#define NOTE_TYPE_UNUSED         0x7fff0012u

/* Note entries and their names and descriptors are padded to four bytes here, as Linux builds them. */
static uint64_t padded(uint32_t bytes)
{
	return ((uint64_t)bytes + 3) & ~(uint64_t)3;
}

/* Changes every PVH note in one segment; returns how many there were. */
static unsigned int strip_notes(unsigned char *notes, uint64_t length)
{
	unsigned int found = 0;

	while (length >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		uint64_t size;

		memcpy(&note, notes, sizeof(note));
		size = sizeof(note) + padded(note.n_namesz) + padded(note.n_descsz);
		if (size > length)
			break;
		if (note.n_type == XEN_ELFNOTE_PHYS32_ENTRY && note.n_namesz == sizeof("Xen") &&
		    !memcmp(notes + sizeof(note), "Xen", sizeof("Xen"))) {
			note.n_type = NOTE_TYPE_UNUSED;
			memcpy(notes, &note, sizeof(note));
			found++;
		}
		notes += size;
		length -= size;
	}
	return found;
}

/* Changes the PVH notes of an ELF image in memory; returns how many there were. */
static unsigned int strip_image(unsigned char *image, uint64_t size)
{
	unsigned int found = 0;
	Elf64_Ehdr header;

	if (size < sizeof(header))
		return 0;
	memcpy(&header, image, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) || header.e_ident[EI_CLASS] != ELFCLASS64)
		return 0;
	for (unsigned int i = 0; i < header.e_phnum; i++) {
		uint64_t at = header.e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		Elf64_Phdr segment;

		if (header.e_phoff > size || at > size || size - at < sizeof(segment))
			break;
		memcpy(&segment, image + at, sizeof(segment));
		if (segment.p_type != PT_NOTE || segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
			continue;
		found += strip_notes(image + segment.p_offset, segment.p_filesz);
	}
	return found;
}

/* Reads a whole file; the caller frees it. NULL on failure, with errno. */
static unsigned char *read_file(const char *path, uint64_t *ret_size)
{
	unsigned char *data = NULL;
	FILE *file = fopen(path, "rb");
	long size;

	if (!file)
		return NULL;
	if (!fseek(file, 0, SEEK_END) && (size = ftell(file)) > 0 && !fseek(file, 0, SEEK_SET)) {
		data = malloc((size_t)size);
		if (data && fread(data, 1, (size_t)size, file) != (size_t)size) {
			free(data);
			data = NULL;
		}
		*ret_size = (uint64_t)size;
	}
	fclose(file);
	return data;
}

int main(int argc, char **argv)
{
	unsigned char *image;
	uint64_t size = 0;
	FILE *out;
	int bad;

	if (argc != 3) {
		fprintf(stderr, "usage: strip-pvh VMLINUX OUT\n");
		return 2;
	}
	image = read_file(argv[1], &size);
	if (!image) {
		fprintf(stderr, "strip-pvh: cannot read %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	if (!strip_image(image, size)) {
		fprintf(stderr, "strip-pvh: %s has no PVH entry\n", argv[1]);
		free(image);
		return 1;
	}
	out = fopen(argv[2], "wb");
	bad = !out || fwrite(image, 1, size, out) != size;
	if (out)
		bad |= fclose(out) != 0;
	if (bad)
		fprintf(stderr, "strip-pvh: cannot write %s: %s\n", argv[2], strerror(errno));
	free(image);
	return bad ? 1 : 0;
}
