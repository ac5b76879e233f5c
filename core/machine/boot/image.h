/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the loaders share: a checked image, and the steps that make and place one. Private to this
 * folder. boot_open() (load.c) opens the files (file.c), lets one of bzimage.c and elf.c fill in
 * the segments and the entry, then initrd.c finds room for the initrd. boot_place() copies, and
 * lets linux.c or pvh.c write what the kernel reads first and entry.c what the processor needs.
 */
#ifndef MACHINE_BOOT_IMAGE_H
#define MACHINE_BOOT_IMAGE_H

#include "core/machine/boot/boot.h"

#define BOOT_SEGMENTS_MAX      32

/* Bytes of a bzImage's setup header that are kept: from 0x1f1 to the end of its place in
 * boot_params. */
#define BOOT_SETUP_START       0x1f1
#define BOOT_SETUP_MAX         (0x290 - BOOT_SETUP_START)

/* What Linux on x86 reads of a command line if nothing says otherwise (COMMAND_LINE_SIZE - 1). */
#define BOOT_CMDLINE_LINUX_MAX 2047

/* A regular file, open for reading. */
struct boot_file {
	int fd;         /* -1: none */
	char *name;     /* as the user wrote it, for messages */
	uint64_t bytes; /* when it was opened; it may have shrunk since */
};

/* A part of the kernel, in RAM at or above 1 MiB and apart from all others; memory beyond what the
 * file has is zeroed if `clear`, or else the kernel's own business. */
struct boot_segment {
	uint64_t gpa;
	uint64_t mem_bytes; /* not 0 */
	uint64_t file_offset;
	uint64_t file_bytes; /* at most mem_bytes */
	bool clear;
};

struct boot_image {
	enum boot_kind kind;
	struct boot_file kernel;
	struct boot_file initrd;
	char *cmdline;
	uint64_t low_ram_bytes;

	/* The kernel's loader fills these in. */
	uint64_t entry; /* in one of the segments */
	size_t segment_count;
	struct boot_segment segments[BOOT_SEGMENTS_MAX];
	uint64_t cmdline_max; /* bytes of text, without the NUL */
	uint64_t initrd_end;  /* the initrd must end at or below this */
	size_t setup_bytes;   /* bzImage: how much of `setup` the kernel's header has */
	uint8_t setup[BOOT_SETUP_MAX];

	uint64_t initrd_gpa; /* if there is an initrd */
};

/* file.c */

/* 0 and a file to be closed with boot_file_close(), or -errno with a message: missing, unreadable,
 * not a regular file, empty. */
int boot_file_open(int dir_fd, const char *path, struct boot_file *ret, struct err *err);
/* The same with a descriptor that is open; `path` only names it. It is taken over, also on failure. */
int boot_file_take(int fd, const char *path, struct boot_file *ret, struct err *err);
void boot_file_close(struct boot_file *file);
/* Whether the file had [offset, offset + bytes) when it was opened: 0, or -ENOEXEC with a message
 * in which `what` ("its setup header ends") is what goes beyond it. */
int boot_file_check(const struct boot_file *file, uint64_t offset, uint64_t bytes, const char *what, struct err *err);
/* Reads exactly that much, or fails with a message: -ENOEXEC if the file ends before. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buf, uint64_t bytes, struct err *err);
/* The same, straight into guest memory: -EFAULT if any byte is outside RAM. */
int boot_file_place(const struct boot_file *file, uint64_t offset, const struct gmem *mem, uint64_t gpa, uint64_t bytes,
		    struct err *err);

/* load.c */

/* Adds a segment after checking that its memory is not empty, is in low RAM at or above 1 MiB, and
 * is shared with no other segment. 0, or -errno with a message in which it is called `what`. */
int boot_add_segment(struct boot_image *image, const struct boot_segment *segment, const char *what, struct err *err);

/* bzimage.c, elf.c: whether a file is such a kernel, by its first bytes; then its headers are read
 * and checked. 0, or -errno with a message. */
bool boot_is_bzimage(const uint8_t *head, size_t bytes);
bool boot_is_elf(const uint8_t *head, size_t bytes);
int boot_bzimage_open(struct boot_image *image, struct err *err);
int boot_elf_open(struct boot_image *image, struct err *err);

/* initrd.c: the highest page-aligned room. 0, or -ENOSPC with a message that gives sizes. */
int boot_initrd_find_room(struct boot_image *image, struct err *err);

/* linux.c, pvh.c, entry.c: write low memory and the entry state. 0, or -errno with a message. */
int boot_linux_place(const struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret,
		     struct err *err);
int boot_pvh_place(const struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret,
		   struct err *err);
/* Writes the GDT and, for long mode, the page tables; *ret gets everything but rip, rbx and rsi. */
int boot_entry_place(const struct gmem *mem, enum boot_mode mode, struct boot_entry *ret, struct err *err);

#endif
