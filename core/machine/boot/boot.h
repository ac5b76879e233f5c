/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading a kernel: what kind of image a file is, where its parts go, and what the first vCPU
 * starts with. Files are hostile: every length is checked before it is used, and a message names
 * the file. Main thread, before the guest runs.
 *
 * Two steps, so that `check` can do the first without a VM:
 *   boot_open    reads and checks headers, the initrd's size, the command line's length
 *   boot_place   copies into guest memory and fills boot_entry
 */
#ifndef MACHINE_BOOT_BOOT_H
#define MACHINE_BOOT_BOOT_H

#include "core/base/err.h"
#include "core/base/gmem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum boot_kind {
	BOOT_BZIMAGE_64, /* Linux's compressed image, 64-bit entry (boot protocol 2.12 or later) */
	BOOT_ELF_PVH,    /* ELF with a Xen PVH note: 32-bit entry, hvm_start_info */
	BOOT_ELF_64,     /* ELF without one: Linux's 64-bit entry with boot_params */
};

/* Part of the guest's physical memory map, as the kernel is told. */
enum boot_map_type { BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2, BOOT_MAP_ACPI = 3 };
struct boot_map_entry {
	uint64_t gpa;
	uint64_t bytes;
	enum boot_map_type type;
};
#define BOOT_MAP_MAX 32

/* What the caller wants booted. Paths are opened relative to `dir_fd` (AT_FDCWD is fine). */
struct boot_spec {
	int dir_fd;
	const char *kernel;
	const char *initrd;  /* NULL: none */
	const char *cmdline; /* "" is fine */
	/* RAM from address 0 up to the hole, at most 4 GiB: everything is placed in it. */
	uint64_t low_ram_bytes;
};

/* The machine that the image is placed into. */
struct boot_machine {
	const struct gmem *mem;
	size_t map_count; /* at most BOOT_MAP_MAX; by address; covers all of `mem` */
	struct boot_map_entry map[BOOT_MAP_MAX];
	uint64_t rsdp_gpa;
};

/* Registers of the first vCPU; the architecture's code turns them into KVM's structs. */
enum boot_mode { BOOT_MODE_PROTECTED_32, BOOT_MODE_LONG_64 };
struct boot_entry {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t rbx; /* PVH: address of hvm_start_info */
	uint64_t rsi; /* 64-bit protocol: address of boot_params */
	uint64_t rsp;
	uint64_t cr3;     /* LONG_64: identity-mapping page tables for the first 4 GiB */
	uint64_t gdt_gpa; /* code, data and a task segment fit for the mode, at BOOT_SELECTOR_* */
	uint16_t gdt_bytes;
};

/* Selectors into the GDT: flat segments, and a busy TSS with base 0 and limit 0x67 (two places in
 * long mode). */
#define BOOT_SELECTOR_CODE 0x10
#define BOOT_SELECTOR_DATA 0x18
#define BOOT_SELECTOR_TSS  0x20

struct boot_image; /* a checked kernel and initrd, open */

/* Which parameter of the configuration an error is about, so that the caller can name its line. */
enum boot_blame { BOOT_BLAME_NONE, BOOT_BLAME_KERNEL, BOOT_BLAME_INITRD, BOOT_BLAME_CMDLINE };

/* 0 and an image that the caller frees with boot_close(); -errno with a message such as `cannot
 * open "vmlinuz": No such file or directory`, and whom to blame: unlike other results, *ret_blame
 * is written on failure only. Strings of `spec` are copied. */
int boot_open(const struct boot_spec *spec, struct boot_image **ret, enum boot_blame *ret_blame, struct err *err);

/* The same with a kernel that is open already, for reading; the path in `spec` only names it in messages. The descriptor is
 * taken over, also on failure. */
int boot_open_fd(const struct boot_spec *spec, int kernel_fd, struct boot_image **ret, enum boot_blame *ret_blame,
		 struct err *err);

/* Copies everything; may be called again, for a guest that starts anew. Guest memory must be as
 * large as boot_open() was told (-EFAULT). 0, or -errno with a message that names the file. */
int boot_place(struct boot_image *image, const struct boot_machine *machine, struct boot_entry *ret, struct err *err);

/* Without an image: copies `bytes` of 64-bit code to `gpa`, and begins at its first byte. 0, or -errno with a message if it
 * does not fit into RAM. */
int boot_place_code(const struct gmem *mem, uint64_t gpa, const void *code, size_t bytes, struct boot_entry *ret,
		    struct err *err);

/* NULL is fine. */
void boot_close(struct boot_image *image);

enum boot_kind boot_image_kind(const struct boot_image *image);
/* The file that the kernel is read from, and its name in messages; they are the image's. */
int boot_image_kernel_fd(const struct boot_image *image);
const char *boot_image_kernel_name(const struct boot_image *image);
/* "bzImage, 64-bit entry", "ELF, PVH entry", "ELF, 64-bit entry" */
const char *boot_kind_name(enum boot_kind kind);

#endif
