/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small kernels made by hand, for the tests and the fuzzer of core/machine/boot. Sizes and
 * addresses are such that all of it fits into 8 MiB of RAM. Numbers are written out, not taken from
 * the loader.
 */
#ifndef TESTS_UNIT_BOOT_IMAGES_H
#define TESTS_UNIT_BOOT_IMAGES_H

#include "core/machine/boot/boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE_BYTES_MAX   16384
#define IMAGE_LOW_RAM     UINT64_C(0x800000)
#define IMAGE_CODE_BYTE   0xc3
#define IMAGE_MEMORY_BYTE 0xa5

struct image {
	size_t bytes;
	uint8_t data[IMAGE_BYTES_MAX];
};

static inline void image_put(struct image *image, size_t offset, unsigned int width, uint64_t value)
{
	memcpy(image->data + offset, &value, width);
}

/* A bzImage with 4 KiB to load at 2 MiB, which wants 64 KiB there. */
static inline void image_bzimage(struct image *image)
{
	memset(image, 0, sizeof(*image));
	image->bytes = 1024 + 4096;
	memset(image->data + 0x290, 0xee, 1024 - 0x290); /* real-mode code */
	memset(image->data + 1024, IMAGE_CODE_BYTE, 4096);
	image_put(image, 0x1ef, 1, 0xff);   /* sentinel, which must not reach the zero page */
	image_put(image, 0x1f1, 1, 1);      /* setup_sects */
	image_put(image, 0x1f4, 4, 256);    /* syssize */
	image_put(image, 0x1fe, 2, 0xaa55); /* boot_flag */
	image_put(image, 0x200, 2, 0x6aeb); /* jump: the header ends at 0x26c */
	memcpy(image->data + 0x202, "HdrS", 4);
	image_put(image, 0x206, 2, 0x020f);     /* version */
	image_put(image, 0x211, 1, 0x81);       /* loadflags */
	image_put(image, 0x22c, 4, 0x7fffffff); /* initrd_addr_max */
	image_put(image, 0x230, 4, 0x200000);   /* kernel_alignment */
	image_put(image, 0x234, 1, 1);          /* relocatable_kernel */
	image_put(image, 0x236, 2, 0x7f);       /* xloadflags */
	image_put(image, 0x238, 4, 2047);       /* cmdline_size */
	image_put(image, 0x258, 8, 0x200000);   /* pref_address */
	image_put(image, 0x260, 4, 0x10000);    /* init_size */
	image_put(image, 0x26c, 4, 0xeeeeeeee); /* code, past the header's end */
}

static inline void image_program(struct image *image, unsigned int index, uint32_t type, uint64_t offset,
				 uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
	size_t at = 64 + 56 * (size_t)index;

	image_put(image, at, 4, type);
	image_put(image, at + 4, 4, 7);
	image_put(image, at + 8, 8, offset);
	image_put(image, at + 16, 8, 0xffffffff80000000 + paddr);
	image_put(image, at + 24, 8, paddr);
	image_put(image, at + 32, 8, filesz);
	image_put(image, at + 40, 8, memsz);
	image_put(image, at + 48, 8, 4096);
}

/* An ELF kernel with segments at 1 MiB and at 4 MiB, entered at 1 MiB + 0x10; with `pvh` it has two
 * notes, the second of which tells the entry 4 MiB + 0x20. */
static inline void image_elf(struct image *image, bool pvh)
{
	memset(image, 0, sizeof(*image));
	image->bytes = 0x2000;
	memcpy(image->data, "\177ELF\2\1\1", 7);
	image_put(image, 16, 2, 2);  /* ET_EXEC */
	image_put(image, 18, 2, 62); /* EM_X86_64 */
	image_put(image, 20, 4, 1);
	image_put(image, 24, 8, 0x100010); /* e_entry */
	image_put(image, 32, 8, 64);       /* e_phoff */
	image_put(image, 52, 2, 64);       /* e_ehsize */
	image_put(image, 54, 2, 56);       /* e_phentsize */
	image_put(image, 56, 2, 3);        /* e_phnum */
	image_program(image, 0, 1, 0x1000, 0x100000, 0x800, 0x1800);
	image_program(image, 1, 1, 0x1800, 0x400000, 0x800, 0x800);
	image_program(image, 2, 4, 0x200, 0, 56, 56);
	memset(image->data + 0x1000, IMAGE_CODE_BYTE, 0x1000);
	/* GNU, type 3, a descriptor of 5 bytes and its padding */
	image_put(image, 0x200, 4, 4);
	image_put(image, 0x204, 4, 5);
	image_put(image, 0x208, 4, 3);
	memcpy(image->data + 0x20c, "GNU\0\1\2\3\4\5", 9);
	/* Xen, type 18, 8 bytes */
	image_put(image, 0x218, 4, 4);
	image_put(image, 0x21c, 4, 8);
	image_put(image, 0x220, 4, pvh ? 18 : 17);
	memcpy(image->data + 0x224, "Xen", 4);
	image_put(image, 0x228, 8, 0x400020);
}

/* An anonymous file, and a path by which it can be opened; the path is valid while the fd is. */
struct image_file {
	int fd;
	char path[32];
};

static inline bool image_file_make(struct image_file *file, const void *data, size_t bytes)
{
	file->fd = memfd_create("image", MFD_CLOEXEC);
	if (file->fd < 0)
		return false;
	snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
	return pwrite(file->fd, data, bytes, 0) == (ssize_t)bytes;
}

/* RAM from 0, with a page on each side that nobody may touch. */
struct image_ram {
	uint8_t *map;
	uint8_t *ram;
	struct gmem mem;
};

static inline bool image_ram_make(struct image_ram *ram, uint64_t bytes)
{
	ram->map = mmap(NULL, bytes + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ram->map == MAP_FAILED)
		return false;
	ram->ram = ram->map + 4096;
	ram->mem.count = 1;
	ram->mem.regions[0] = (struct gmem_region){ .gpa = 0, .bytes = bytes, .host = ram->ram };
	return !mprotect(ram->ram, bytes, PROT_READ | PROT_WRITE);
}

static inline void image_ram_free(struct image_ram *ram)
{
	munmap(ram->map, ram->mem.regions[0].bytes + 8192);
}

#endif
