/* SPDX-License-Identifier: BSD-3-Clause */
/* The ELF note of a plugin; see note.h. ELF-64 Object File Format; System V ABI, "Note Section". */
#include "core/device/note.h"

#include "core/base/checked.h"
#include "core/base/fd.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM_HEADERS_MAX 64
#define NOTES_BYTES_MAX     65536
#define NOTE_ALIGN          4

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#endif

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_X86_64:
		return "x86_64";
	case EM_AARCH64:
		return "aarch64";
	case EM_386:
		return "i386";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "riscv";
	default:
		return "another processor";
	}
}

static bool read_exact(int fd, void *buf, size_t bytes, uint64_t offset)
{
	return offset <= INT64_MAX && pread(fd, buf, bytes, (off_t)offset) == (ssize_t)bytes;
}

static int check_header(const Elf64_Ehdr *header, const char *name, struct err *err)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
		return err_set(err, -ENOEXEC, "plugin \"%s\" is not an ELF file", name);
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != NATIVE_MACHINE)
		return err_set(err, -ENOEXEC, "plugin \"%s\" is built for %s%s, this host is %s", name,
			       header->e_ident[EI_CLASS] == ELFCLASS32 ? "32-bit " : "",
			       machine_name(header->e_machine), machine_name(NATIVE_MACHINE));
	if (header->e_type != ET_DYN)
		return err_set(err, -ENOEXEC, "plugin \"%s\" is not a shared object", name);
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > PROGRAM_HEADERS_MAX)
		return err_set(err, -ENOEXEC, "plugin \"%s\" has a damaged ELF header", name);
	return 0;
}

/* Looks through one PT_NOTE segment. Whether our note is there; *ret is written then. */
static bool find_note(const uint8_t *notes, size_t bytes, struct bp_note_desc *ret)
{
	size_t at = 0;

	while (range_within(at, sizeof(Elf64_Nhdr), bytes)) {
		Elf64_Nhdr head;
		uint64_t name_bytes, desc_bytes, name_at, desc_at;

		memcpy(&head, notes + at, sizeof(head));
		name_at = at + sizeof(head);
		/* Both sizes are 32 bits wide, so nothing wraps in 64. */
		name_bytes = ((uint64_t)head.n_namesz + NOTE_ALIGN - 1) & ~(uint64_t)(NOTE_ALIGN - 1);
		desc_bytes = ((uint64_t)head.n_descsz + NOTE_ALIGN - 1) & ~(uint64_t)(NOTE_ALIGN - 1);
		desc_at = name_at + name_bytes;
		if (!range_within(desc_at, desc_bytes, bytes))
			return false;
		if (head.n_type == BP_NOTE_TYPE && head.n_namesz == sizeof(BP_NOTE_OWNER) &&
		    !memcmp(notes + name_at, BP_NOTE_OWNER, sizeof(BP_NOTE_OWNER)) && head.n_descsz >= sizeof(*ret)) {
			memcpy(ret, notes + desc_at, sizeof(*ret));
			return true;
		}
		at = (size_t)(desc_at + desc_bytes);
	}
	return false;
}

static int check_note(const struct bp_note_desc *note, const char *name, struct err *err)
{
	if (note->magic != BP_NOTE_MAGIC || !memchr(note->id, 0, sizeof(note->id)) || !note->id[0])
		return err_set(err, -ENOEXEC, "plugin \"%s\" has a damaged backplane note", name);
	for (const char *c = note->id; *c; c++)
		if (*c < 0x21 || *c > 0x7e)
			return err_set(err, -ENOEXEC, "plugin \"%s\" has a damaged backplane note", name);
	if (note->abi_major != BP_ABI_MAJOR)
		return err_set(err, -ENOEXEC,
			       "plugin \"%s\" (%s) is built for plugin ABI %" PRIu32 ".%" PRIu32
			       ", this backplane has ABI %d.%d: it must be rebuilt with this SDK",
			       name, note->id, note->abi_major, note->abi_minor, BP_ABI_MAJOR, BP_ABI_MINOR);
	if (note->abi_minor_needed > BP_ABI_MINOR)
		return err_set(err, -ENOEXEC,
			       "plugin \"%s\" (%s) needs plugin ABI %" PRIu32 ".%" PRIu32
			       " or later, this backplane has ABI %d.%d: it needs a newer backplane",
			       name, note->id, note->abi_major, note->abi_minor_needed, BP_ABI_MAJOR, BP_ABI_MINOR);
	return 0;
}

int note_read(int fd, const char *name, struct bp_note_desc *ret, struct err *err)
{
	struct bp_note_desc note;
	Elf64_Ehdr header;
	bool found = false;
	struct stat st;
	int r;

	memset(&header, 0, sizeof(header));
	if (!read_exact(fd, &header, sizeof(header), 0))
		return err_set(err, -ENOEXEC, "plugin \"%s\" is not an ELF file", name);
	r = check_header(&header, name, err);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "plugin \"%s\"", name);
	for (uint16_t i = 0; i < header.e_phnum; i++) {
		FREE_AUTO uint8_t *notes = NULL;
		Elf64_Phdr segment;
		uint64_t at;

		if (__builtin_add_overflow(header.e_phoff, (uint64_t)i * sizeof(segment), &at) ||
		    !read_exact(fd, &segment, sizeof(segment), at))
			return err_set(err, -ENOEXEC, "plugin \"%s\" is truncated", name);
		/* Whoever maps more than there is dies by SIGBUS. */
		if (segment.p_type == PT_LOAD &&
		    !range_within(segment.p_offset, segment.p_filesz, (uint64_t)st.st_size))
			return err_set(err, -ENOEXEC, "plugin \"%s\" is truncated", name);
		if (found || segment.p_type != PT_NOTE || !segment.p_filesz || segment.p_filesz > NOTES_BYTES_MAX)
			continue;
		notes = malloc(segment.p_filesz);
		if (!notes)
			return err_sys(err, -ENOMEM, "plugin \"%s\"", name);
		if (!read_exact(fd, notes, segment.p_filesz, segment.p_offset))
			return err_set(err, -ENOEXEC, "plugin \"%s\" is truncated", name);
		found = find_note(notes, segment.p_filesz, &note);
	}
	if (!found)
		return err_set(err, -ENOEXEC, "\"%s\" has no backplane note: it is not a backplane plugin", name);
	r = check_note(&note, name, err);
	if (r < 0)
		return r;
	*ret = note;
	return 0;
}
