/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel loader with valid input: what it writes into guest memory and how the first vCPU
 * starts, for each kind of kernel; where the initrd goes; limits. See test_boot_hostile.c for
 * damaged files.
 */
#include "core/machine/boot/boot.h"
#include "tests/unit/boot_images.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MIB UINT64_C(0x100000)

/* One attempt to load: what goes in and what comes out. */
struct attempt {
	struct image kernel;
	uint64_t ram_bytes;
	size_t initrd_bytes; /* 0: none */
	const char *cmdline;

	struct image_ram ram;
	struct boot_image *image;
	struct boot_entry entry;
	enum boot_blame blame;
	struct err err;
};

static uint8_t initrd_byte(size_t at)
{
	return (uint8_t)(at * 7 + at / 251 + 1);
}

static void make_initrd(struct image_file *file, size_t bytes)
{
	uint8_t *data = malloc(bytes);

	assert_non_null(data);
	for (size_t i = 0; i < bytes; i++)
		data[i] = initrd_byte(i);
	assert_true(image_file_make(file, data, bytes));
	free(data);
}

static int load_files(struct attempt *attempt, const char *kernel, const char *initrd)
{
	struct boot_spec spec = {
		.dir_fd = AT_FDCWD,
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = attempt->cmdline ? attempt->cmdline : "",
		.low_ram_bytes = attempt->ram_bytes,
	};
	struct boot_machine machine = {
		.mem = &attempt->ram.mem,
		.map_count = 3,
		.map = { { .gpa = 0, .bytes = 0x9fc00, .type = BOOT_MAP_RAM },
			 { .gpa = 0xe0000, .bytes = 0x20000, .type = BOOT_MAP_ACPI },
			 { .gpa = MIB, .bytes = attempt->ram_bytes - MIB, .type = BOOT_MAP_RAM } },
		.rsdp_gpa = 0xe0000,
	};
	int r;

	r = boot_open(&spec, &attempt->image, &attempt->blame, &attempt->err);
	if (r < 0) {
		assert_true(attempt->err.text[0] && !strchr(attempt->err.text, '\n'));
		return r;
	}
	assert_true(image_ram_make(&attempt->ram, attempt->ram_bytes));
	if (attempt->ram_bytes <= 16 * MIB)
		memset(attempt->ram.ram, IMAGE_MEMORY_BYTE, attempt->ram_bytes);
	return boot_place(attempt->image, &machine, &attempt->entry, &attempt->err);
}

static int load(struct attempt *attempt)
{
	struct image_file kernel;
	struct image_file initrd = { .fd = -1 };
	int r;

	if (!attempt->ram_bytes)
		attempt->ram_bytes = IMAGE_LOW_RAM;
	assert_true(image_file_make(&kernel, attempt->kernel.data, attempt->kernel.bytes));
	if (attempt->initrd_bytes)
		make_initrd(&initrd, attempt->initrd_bytes);
	r = load_files(attempt, kernel.path, attempt->initrd_bytes ? initrd.path : NULL);
	close(kernel.fd);
	if (initrd.fd >= 0)
		close(initrd.fd);
	return r;
}

static void unload(struct attempt *attempt)
{
	boot_close(attempt->image);
	attempt->image = NULL;
	if (attempt->ram.map)
		image_ram_free(&attempt->ram);
	attempt->ram.map = NULL;
}

static uint64_t get(const struct attempt *attempt, uint64_t gpa, unsigned int width)
{
	uint64_t value = 0;

	assert_true(gpa + width <= attempt->ram_bytes);
	memcpy(&value, attempt->ram.ram + gpa, width);
	return value;
}

static void assert_filled(const struct attempt *attempt, uint64_t gpa, uint64_t bytes, uint8_t value)
{
	for (uint64_t i = 0; i < bytes; i++)
		assert_int_equal(attempt->ram.ram[gpa + i], value);
}

static void assert_initrd(const struct attempt *attempt, uint64_t gpa)
{
	for (size_t i = 0; i < attempt->initrd_bytes; i++)
		assert_int_equal(attempt->ram.ram[gpa + i], initrd_byte(i));
}

static void assert_map(const struct attempt *attempt, uint64_t gpa, unsigned int stride)
{
	assert_int_equal(get(attempt, gpa, 8), 0);
	assert_int_equal(get(attempt, gpa + 8, 8), 0x9fc00);
	assert_int_equal(get(attempt, gpa + 16, 4), 1);
	assert_int_equal(get(attempt, gpa + stride, 8), 0xe0000);
	assert_int_equal(get(attempt, gpa + stride + 16, 4), 3);
	assert_int_equal(get(attempt, gpa + 2 * stride, 8), MIB);
	assert_int_equal(get(attempt, gpa + 2 * stride + 8, 8), attempt->ram_bytes - MIB);
	assert_int_equal(get(attempt, gpa + 2 * stride + 16, 4), 1);
}

/* Flat segments of the right width, and page tables that map each 2 MiB below 4 GiB to itself. */
static void assert_entry_tables(const struct attempt *attempt, bool is_64)
{
	const struct boot_entry *entry = &attempt->entry;
	uint64_t pdpt;

	assert_true(entry->gdt_bytes >= BOOT_SELECTOR_TSS + (is_64 ? 16 : 8));
	assert_int_equal(get(attempt, entry->gdt_gpa, 8), 0);
	assert_int_equal(get(attempt, entry->gdt_gpa + 0x10, 8), is_64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	assert_int_equal(get(attempt, entry->gdt_gpa + 0x18, 8), 0x00cf93000000ffff);
	assert_int_equal(get(attempt, entry->gdt_gpa + 0x20, 8), 0x00008b0000000067);
	assert_true(entry->rsp > entry->gdt_gpa + entry->gdt_bytes);
	if (!is_64) {
		assert_int_equal(entry->cr3, 0);
		return;
	}
	assert_int_equal(get(attempt, entry->cr3, 8) & 0xfff, 3);
	assert_int_equal(get(attempt, entry->cr3 + 8, 8), 0);
	pdpt = get(attempt, entry->cr3, 8) & ~UINT64_C(0xfff);
	for (uint64_t address = 0; address < UINT64_C(0x100000000); address += 2 * MIB) {
		uint64_t directory = get(attempt, pdpt + 8 * (address >> 30), 8);
		uint64_t page;

		assert_int_equal(directory & 0xfff, 3);
		page = get(attempt, (directory & ~UINT64_C(0xfff)) + 8 * ((address >> 21) & 511), 8);
		assert_int_equal(page, address | 0x83);
	}
	assert_int_equal(get(attempt, pdpt + 32, 8), 0);
}

static void bzimage_is_entered_in_long_mode(void **state)
{
	struct attempt attempt = { .cmdline = "console=ttyS0", .initrd_bytes = 5000 };

	(void)state;
	image_bzimage(&attempt.kernel);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(boot_image_kind(attempt.image), BOOT_BZIMAGE_64);
	assert_int_equal(attempt.entry.mode, BOOT_MODE_LONG_64);
	assert_int_equal(attempt.entry.rip, 0x200200);
	assert_filled(&attempt, 0x200000, 4096, IMAGE_CODE_BYTE);
	assert_entry_tables(&attempt, true);
	assert_int_equal(attempt.entry.rsi, 0x7000);
	assert_int_equal(get(&attempt, 0x7070, 8), 0xe0000);           /* acpi_rsdp_addr */
	assert_int_equal(get(&attempt, 0x71e8, 1), 3);                 /* e820_entries */
	assert_int_equal(get(&attempt, 0x71ef, 1), 0);                 /* sentinel */
	assert_int_equal(get(&attempt, 0x71f1, 1), 1);                 /* the kernel's own setup_sects */
	assert_int_equal(get(&attempt, 0x7210, 1), 0xff);              /* type_of_loader */
	assert_int_equal(get(&attempt, 0x7211, 1), 1);                 /* loadflags: no heap */
	assert_int_equal(get(&attempt, 0x7214, 4), 0x200000);          /* code32_start */
	assert_int_equal(get(&attempt, 0x7218, 4), 0x800000 - 0x2000); /* ramdisk_image */
	assert_int_equal(get(&attempt, 0x721c, 4), 5000);
	assert_int_equal(get(&attempt, 0x7228, 4), 0x20000); /* cmd_line_ptr */
	assert_int_equal(get(&attempt, 0x726c, 4), 0);       /* past the header's end */
	assert_map(&attempt, 0x72d0, 20);
	assert_string_equal(attempt.ram.ram + 0x20000, "console=ttyS0");
	assert_initrd(&attempt, 0x800000 - 0x2000);
	unload(&attempt);
}

static void bzimage_of_a_newer_protocol_keeps_its_header(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };

	(void)state;
	image_bzimage(&attempt.kernel);
	image_put(&attempt.kernel, 0x200, 2, 0xffeb);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(get(&attempt, 0x726c, 4), 0xeeeeeeee);
	assert_int_equal(get(&attempt, 0x7290, 8), 0); /* and nothing beyond its place in the page */
	unload(&attempt);
}

static void rsdp_is_given_from_protocol_2_14(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };

	(void)state;
	image_bzimage(&attempt.kernel);
	image_put(&attempt.kernel, 0x206, 2, 0x020d);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(get(&attempt, 0x7070, 8), 0);
	unload(&attempt);
}

static void bzimage_below_1_mib_is_moved_up(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };

	(void)state;
	image_bzimage(&attempt.kernel);
	image_put(&attempt.kernel, 0x258, 8, 0x10000);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(attempt.entry.rip, 0x200200);
	unload(&attempt);

	/* A kernel that cannot be moved is refused. */
	image_put(&attempt.kernel, 0x234, 1, 0);
	assert_int_equal(load(&attempt), -ENOEXEC);
	assert_int_equal(attempt.blame, BOOT_BLAME_KERNEL);
}

static void bzimage_that_needs_more_memory_says_so(void **state)
{
	struct attempt attempt = { .ram_bytes = 0x20ffff };

	(void)state;
	image_bzimage(&attempt.kernel);
	assert_int_equal(load(&attempt), -ENOSPC);
	assert_non_null(strstr(attempt.err.text, "needs more memory"));
	assert_non_null(strstr(attempt.err.text, "64 KiB"));
	attempt.ram_bytes = 0x210000;
	assert_int_equal(load(&attempt), 0);
	unload(&attempt);
}

static void bzimage_without_64_bit_entry_is_refused(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };

	(void)state;
	image_bzimage(&attempt.kernel);
	image_put(&attempt.kernel, 0x206, 2, 0x020b);
	assert_int_equal(load(&attempt), -ENOEXEC);
	assert_non_null(strstr(attempt.err.text, "boot protocol 2.11"));
	image_bzimage(&attempt.kernel);
	image_put(&attempt.kernel, 0x236, 2, 0x7e);
	assert_int_equal(load(&attempt), -ENOEXEC);
}

static void elf_with_pvh_note_is_entered_in_protected_mode(void **state)
{
	struct attempt attempt = { .cmdline = "quiet", .initrd_bytes = 1 };

	(void)state;
	image_elf(&attempt.kernel, true);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(boot_image_kind(attempt.image), BOOT_ELF_PVH);
	assert_int_equal(attempt.entry.mode, BOOT_MODE_PROTECTED_32);
	assert_int_equal(attempt.entry.rip, 0x400020);
	assert_int_equal(attempt.entry.rbx, 0x6000);
	assert_entry_tables(&attempt, false);
	assert_filled(&attempt, 0x100000, 0x800, IMAGE_CODE_BYTE);
	assert_filled(&attempt, 0x100800, 0x1000, 0); /* bss */
	assert_filled(&attempt, 0x101800, 0x1000, IMAGE_MEMORY_BYTE);
	assert_filled(&attempt, 0x400000, 0x800, IMAGE_CODE_BYTE);

	assert_int_equal(get(&attempt, 0x6000, 4), 0x336ec578);
	assert_int_equal(get(&attempt, 0x6004, 4), 1);
	assert_int_equal(get(&attempt, 0x600c, 4), 1);
	assert_int_equal(get(&attempt, get(&attempt, 0x6010, 8), 8), 0x7ff000);
	assert_int_equal(get(&attempt, get(&attempt, 0x6010, 8) + 8, 8), 1);
	assert_string_equal(attempt.ram.ram + get(&attempt, 0x6018, 8), "quiet");
	assert_int_equal(get(&attempt, 0x6020, 8), 0xe0000);
	assert_int_equal(get(&attempt, 0x6030, 4), 3);
	assert_map(&attempt, get(&attempt, 0x6028, 8), 24);
	assert_initrd(&attempt, 0x7ff000);
	unload(&attempt);
}

static void pvh_note_may_have_four_bytes(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };

	(void)state;
	image_elf(&attempt.kernel, true);
	image_put(&attempt.kernel, 0x21c, 4, 4);
	image_put(&attempt.kernel, 0x22c, 4, 0xffffffff);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(attempt.entry.rip, 0x400020);
	assert_int_equal(get(&attempt, 0x600c, 4), 0); /* no initrd, no module */
	assert_int_equal(get(&attempt, 0x6010, 8), 0);
	unload(&attempt);
}

static void elf_without_note_is_entered_in_long_mode(void **state)
{
	struct attempt attempt = { .cmdline = "ro", .initrd_bytes = 4096 };

	(void)state;
	image_elf(&attempt.kernel, false);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(boot_image_kind(attempt.image), BOOT_ELF_64);
	assert_int_equal(attempt.entry.rip, 0x100010);
	assert_int_equal(attempt.entry.rsi, 0x7000);
	assert_entry_tables(&attempt, true);
	assert_int_equal(get(&attempt, 0x71fe, 2), 0xaa55);
	assert_memory_equal(attempt.ram.ram + 0x7202, "HdrS", 4);
	assert_int_equal(get(&attempt, 0x7206, 2), 0x20e);
	assert_int_equal(get(&attempt, 0x7070, 8), 0xe0000);
	assert_int_equal(get(&attempt, 0x7210, 1), 0xff);
	assert_int_equal(get(&attempt, 0x7218, 4), 0x7ff000);
	assert_int_equal(get(&attempt, 0x721c, 4), 4096);
	assert_int_equal(get(&attempt, 0x7228, 4), 0x20000);
	assert_map(&attempt, 0x72d0, 20);
	unload(&attempt);
}

static void initrd_is_as_high_as_allowed(void **state)
{
	static const size_t sizes[] = { 1, 4095, 4096, 4097, 1000003 };
	struct attempt attempt = { .ram_bytes = 128 * MIB };

	(void)state;
	image_bzimage(&attempt.kernel);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t gpa;

		attempt.initrd_bytes = sizes[i];
		assert_int_equal(load(&attempt), 0);
		gpa = get(&attempt, 0x7218, 4);
		assert_int_equal(gpa % 4096, 0);
		assert_true(gpa + sizes[i] <= 128 * MIB && gpa + sizes[i] + 4096 > 128 * MIB);
		assert_initrd(&attempt, gpa);
		unload(&attempt);
	}
	/* RAM may end in the middle of a page, and the kernel may set a lower limit. */
	attempt.initrd_bytes = 4097;
	attempt.ram_bytes = 128 * MIB - 1;
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(get(&attempt, 0x7218, 4), 128 * MIB - 0x2000);
	unload(&attempt);
	image_put(&attempt.kernel, 0x22c, 4, 0x5fffff);
	assert_int_equal(load(&attempt), 0);
	assert_int_equal(get(&attempt, 0x7218, 4), 0x600000 - 0x2000);
	unload(&attempt);
}

static void initrd_uses_the_gap_that_is_large_enough(void **state)
{
	struct attempt attempt = { .ram_bytes = 0x402000, .initrd_bytes = 0x2000 };

	(void)state;
	/* Segments at [0x100000, 0x101800) and [0x400000, 0x400800) leave a page at the top. */
	image_elf(&attempt.kernel, true);
	assert_int_equal(load(&attempt), 0);
	assert_initrd(&attempt, 0x3fe000);
	unload(&attempt);
	attempt.initrd_bytes = 0x1000;
	assert_int_equal(load(&attempt), 0);
	assert_initrd(&attempt, 0x401000);
	unload(&attempt);
	attempt.initrd_bytes = 0x400000 - 0x102000;
	assert_int_equal(load(&attempt), 0);
	assert_initrd(&attempt, 0x102000);
	unload(&attempt);
	attempt.initrd_bytes++;
	assert_int_equal(load(&attempt), -ENOSPC);
	assert_int_equal(attempt.blame, BOOT_BLAME_INITRD);
	assert_non_null(strstr(attempt.err.text, "it has 3065 KiB"));
	assert_non_null(strstr(attempt.err.text, "3064 KiB below 0x402000"));
}

static void command_line_has_a_limit(void **state)
{
	struct attempt attempt = { .ram_bytes = 0 };
	char line[2100];

	(void)state;
	attempt.cmdline = line;
	memset(line, 'x', sizeof(line));
	line[2048] = '\0';
	image_bzimage(&attempt.kernel);
	assert_int_equal(load(&attempt), -E2BIG);
	assert_int_equal(attempt.blame, BOOT_BLAME_CMDLINE);
	assert_non_null(strstr(attempt.err.text, "2048 bytes"));
	assert_non_null(strstr(attempt.err.text, "at most 2047"));
	image_elf(&attempt.kernel, true);
	assert_int_equal(load(&attempt), -E2BIG);
	line[2047] = '\0';
	assert_int_equal(load(&attempt), 0);
	assert_string_equal(attempt.ram.ram + 0x20000, line);
	unload(&attempt);
	image_bzimage(&attempt.kernel);
	assert_int_equal(load(&attempt), 0);
	unload(&attempt);
}

static void loading_again_clears_what_the_guest_left(void **state)
{
	struct attempt attempt = { .ram_bytes = IMAGE_LOW_RAM };
	struct boot_machine machine = { .mem = &attempt.ram.mem };

	(void)state;
	image_elf(&attempt.kernel, false);
	assert_int_equal(load(&attempt), 0);
	memset(attempt.ram.ram, IMAGE_MEMORY_BYTE, IMAGE_LOW_RAM);
	assert_int_equal(boot_place(attempt.image, &machine, &attempt.entry, &attempt.err), 0);
	assert_filled(&attempt, 0x100800, 0x1000, 0);
	assert_entry_tables(&attempt, true);

	/* Less RAM than was promised is an error, not a crash. */
	attempt.ram.mem.regions[0].bytes = 0x400100;
	assert_int_equal(boot_place(attempt.image, &machine, &attempt.entry, &attempt.err), -EFAULT);
	attempt.ram.mem.regions[0].bytes = IMAGE_LOW_RAM;
	unload(&attempt);
}

/* Debian's kernel, if tests/guest/fetch-kernel has been run. */
static void a_real_kernel_is_placed(void **state)
{
	const char *cache = getenv("BACKPLANE_CACHE");
	const char *home = getenv("HOME");
	struct attempt attempt = { .ram_bytes = 128 * MIB, .cmdline = "console=ttyS0" };
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s%s/kernels/cloud/vmlinuz",
		 cache  ? cache
		 : home ? home
			: "",
		 cache ? "" : "/.cache/backplane");
	if (access(path, R_OK) < 0) {
		print_message("no kernel at %s: run tests/guest/fetch-kernel cloud\n", path);
		skip();
	}
	assert_int_equal(load_files(&attempt, path, NULL), 0);
	assert_int_equal(attempt.entry.rip, 0x1000200);
	unload(&attempt);

	memcpy(path + strlen(path) - strlen("uz"), "ux", 2);
	assert_int_equal(load_files(&attempt, path, NULL), 0);
	assert_int_equal(boot_image_kind(attempt.image), BOOT_ELF_PVH);
	assert_true(attempt.entry.rip > 16 * MIB);
	unload(&attempt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bzimage_is_entered_in_long_mode),
		cmocka_unit_test(bzimage_of_a_newer_protocol_keeps_its_header),
		cmocka_unit_test(rsdp_is_given_from_protocol_2_14),
		cmocka_unit_test(bzimage_below_1_mib_is_moved_up),
		cmocka_unit_test(bzimage_that_needs_more_memory_says_so),
		cmocka_unit_test(bzimage_without_64_bit_entry_is_refused),
		cmocka_unit_test(elf_with_pvh_note_is_entered_in_protected_mode),
		cmocka_unit_test(pvh_note_may_have_four_bytes),
		cmocka_unit_test(elf_without_note_is_entered_in_long_mode),
		cmocka_unit_test(initrd_is_as_high_as_allowed),
		cmocka_unit_test(initrd_uses_the_gap_that_is_large_enough),
		cmocka_unit_test(command_line_has_a_limit),
		cmocka_unit_test(loading_again_clears_what_the_guest_left),
		cmocka_unit_test(a_real_kernel_is_placed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
