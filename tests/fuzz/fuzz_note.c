/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a plugin's file, as it is read before any of its code is loaded. The first byte chooses: the rest is the file,
 * or it is the notes in a file that is right up to there, so that the fuzzer need not find the ELF header by itself.
 */
#include "core/device/note.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES_MAX 66000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(int fd, const void *data, size_t bytes)
{
	if (write(fd, data, bytes) != (ssize_t)bytes)
		abort();
}

static void write_head(int fd, size_t notes_bytes)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_DYN,
#ifdef __x86_64__
		.e_machine = EM_X86_64,
#else
		.e_machine = EM_AARCH64,
#endif
		.e_phoff = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	Elf64_Phdr segment = {
		.p_type = PT_NOTE,
		.p_offset = sizeof(header) + sizeof(segment),
		.p_filesz = notes_bytes,
	};

	write_all(fd, &header, sizeof(header));
	write_all(fd, &segment, sizeof(segment));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bp_note_desc note;
	struct err err = ERR_NONE;
	int fd, r;

	if (!size || size > BYTES_MAX)
		return 0;
	fd = memfd_create("plugin", MFD_CLOEXEC);
	if (fd < 0)
		abort();
	if (data[0] & 1)
		write_head(fd, size - 1);
	write_all(fd, data + 1, size - 1);
	r = note_read(fd, "x", &note, &err);
	close(fd);
	/* One sentence with each failure; what is accepted is fit to be printed and compared. */
	if ((r != 0 && r != -ENOEXEC) || (r == 0) != !err.text[0] || strchr(err.text, '\n'))
		abort();
	if (r == 0 &&
	    (note.magic != BP_NOTE_MAGIC || note.abi_major != BP_ABI_MAJOR || !memchr(note.id, 0, sizeof(note.id))))
		abort();
	return 0;
}
