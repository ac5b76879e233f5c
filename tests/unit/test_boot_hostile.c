/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel loader with damaged input. Whatever a file says, loading it either fails with a
 * message of one line or stays inside RAM: each number in a header takes every value that is worth
 * trying, files are cut at every length, and things that are no regular file are named as kernel or
 * initrd. Guest RAM has a page on each side that faults, and the sanitizers watch the rest.
 */
#include "core/machine/boot/boot.h"
#include "tests/unit/boot_images.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

struct field {
	const char *name;
	size_t offset;
	unsigned int width;
};

static const struct field bzimage_fields[] = {
	{ "setup_sects", 0x1f1, 1 },      { "syssize", 0x1f4, 4 },
	{ "boot_flag", 0x1fe, 2 },        { "jump", 0x200, 2 },
	{ "header", 0x202, 4 },           { "version", 0x206, 2 },
	{ "loadflags", 0x211, 1 },        { "initrd_addr_max", 0x22c, 4 },
	{ "kernel_alignment", 0x230, 4 }, { "relocatable_kernel", 0x234, 1 },
	{ "xloadflags", 0x236, 2 },       { "cmdline_size", 0x238, 4 },
	{ "setup_data", 0x250, 8 },       { "pref_address", 0x258, 8 },
	{ "init_size", 0x260, 4 },
};

static const struct field elf_fields[] = {
	{ "ident", 4, 1 },
	{ "data", 5, 1 },
	{ "type", 16, 2 },
	{ "machine", 18, 2 },
	{ "entry", 24, 8 },
	{ "phoff", 32, 8 },
	{ "phentsize", 54, 2 },
	{ "phnum", 56, 2 },
	{ "load.type", 64, 4 },
	{ "load.offset", 64 + 8, 8 },
	{ "load.paddr", 64 + 24, 8 },
	{ "load.filesz", 64 + 32, 8 },
	{ "load.memsz", 64 + 40, 8 },
	{ "load2.offset", 120 + 8, 8 },
	{ "load2.paddr", 120 + 24, 8 },
	{ "load2.filesz", 120 + 32, 8 },
	{ "load2.memsz", 120 + 40, 8 },
	{ "note.type", 176, 4 },
	{ "note.offset", 176 + 8, 8 },
	{ "note.filesz", 176 + 32, 8 },
	{ "note.align", 176 + 48, 8 },
	{ "gnu.namesz", 0x200, 4 },
	{ "gnu.descsz", 0x204, 4 },
	{ "gnu.type", 0x208, 4 },
	{ "xen.namesz", 0x218, 4 },
	{ "xen.descsz", 0x21c, 4 },
	{ "xen.type", 0x220, 4 },
	{ "xen.desc", 0x228, 8 },
};

/* Nothing, the edges of signed and unsigned numbers, of the file, of RAM and of its layout. */
static const uint64_t bad_values[] = { 0,
				       1,
				       2,
				       3,
				       4,
				       5,
				       7,
				       8,
				       9,
				       0x7f,
				       0x80,
				       0xff,
				       0x100,
				       0x1ff,
				       0x200,
				       0x201,
				       0x7ff,
				       0x800,
				       0x801,
				       0xfff,
				       0x1000,
				       0x1001,
				       0x13ff,
				       0x1400,
				       0x1401,
				       0x17ff,
				       0x1fff,
				       0x2000,
				       0x2001,
				       0x7fff,
				       0x8000,
				       0x9000,
				       0xfe00,
				       0xffff,
				       0x10000,
				       0x10001,
				       0x9f000,
				       0xfffff,
				       0x100000,
				       0x100001,
				       0x1017ff,
				       0x1f0000,
				       0x1fffff,
				       0x200000,
				       0x3fefff,
				       0x3ff801,
				       0x400000,
				       0x400001,
				       0x6ff000,
				       0x7effff,
				       0x7f0000,
				       0x7f0001,
				       0x7ff7ff,
				       0x7ff800,
				       0x7ff801,
				       0x7fffff,
				       0x800000,
				       0x800001,
				       0x7fffffff,
				       0x80000000,
				       0xfffff000,
				       0xffffffff,
				       0x100000000,
				       0x100100000,
				       0x7fffffffffffffff,
				       0x8000000000000000,
				       0xffffffff00000000,
				       0xffffffffffefffff,
				       0xfffffffffff00000,
				       0xffffffffffffe800,
				       0xfffffffffffff000,
				       0xffffffffffffffff };

struct bench {
	struct image_ram ram;
	struct image_file kernel;
	struct image_file initrd;
	unsigned int placed;
	unsigned int refused;
};

static int setup(void **state)
{
	static struct bench bench;
	static const uint8_t initrd[10000] = { 1 };

	memset(&bench, 0, sizeof(bench));
	*state = &bench;
	return image_ram_make(&bench.ram, IMAGE_LOW_RAM) && image_file_make(&bench.kernel, "", 0) &&
		       image_file_make(&bench.initrd, initrd, sizeof(initrd))
		   ? 0
		   : -1;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	image_ram_free(&bench->ram);
	close(bench->kernel.fd);
	close(bench->initrd.fd);
	return 0;
}

static int open_path(const char *kernel, const char *initrd, struct boot_image **image, enum boot_blame *blame,
		     struct err *err)
{
	struct boot_spec spec = {
		.dir_fd = AT_FDCWD,
		.kernel = kernel,
		.initrd = initrd,
		.cmdline = "quiet",
		.low_ram_bytes = IMAGE_LOW_RAM,
	};

	return boot_open(&spec, image, blame, err);
}

static void assert_message(const struct err *err)
{
	assert_true(err->text[0]);
	assert_null(strchr(err->text, '\n'));
}

static void write_kernel(struct bench *bench, const struct image *image)
{
	assert_int_equal(ftruncate(bench->kernel.fd, 0), 0);
	assert_int_equal(pwrite(bench->kernel.fd, image->data, image->bytes, 0), image->bytes);
}

/* Loads an image; it is refused with a message, or placed where it may be. */
static void try_image(struct bench *bench, const struct image *image)
{
	struct boot_machine machine = {
		.mem = &bench->ram.mem,
		.map_count = 1,
		.map = { { .gpa = 0, .bytes = 0x9fc00, .type = BOOT_MAP_RAM } },
	};
	enum boot_blame blame = BOOT_BLAME_NONE;
	struct boot_image *opened = NULL;
	struct err err = ERR_NONE;
	struct boot_entry entry;
	const uint8_t *low;
	int r;

	write_kernel(bench, image);
	r = open_path(bench->kernel.path, bench->initrd.path, &opened, &blame, &err);
	if (r < 0) {
		assert_message(&err);
		assert_null(opened);
		assert_int_not_equal(blame, BOOT_BLAME_NONE);
		bench->refused++;
		return;
	}
	/* No part may be where the loader's own tables or the ACPI tables are. */
	memset(bench->ram.ram + 0x30000, IMAGE_MEMORY_BYTE, 0x100000 - 0x30000);
	assert_int_equal(boot_place(opened, &machine, &entry, &err), 0);
	assert_true(entry.rip >= 0x100000 && entry.rip < IMAGE_LOW_RAM);
	low = bench->ram.ram + 0x30000;
	assert_int_equal(low[0], IMAGE_MEMORY_BYTE);
	assert_memory_equal(low, low + 1, 0x100000 - 0x30000 - 1);
	assert_string_equal(bench->ram.ram + 0x20000, "quiet");
	boot_close(opened);
	bench->placed++;
}

static void try_fields(struct bench *bench, const struct image *good, const struct field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < sizeof(bad_values) / sizeof(bad_values[0]); j++) {
			struct image image = *good;

			image_put(&image, fields[i].offset, fields[i].width, bad_values[j]);
			try_image(bench, &image);
		}
	}
	/* Both outcomes have been seen: the test tests something. */
	assert_true(bench->placed > 10);
	assert_true(bench->refused > 10);
}

static void each_field_of_a_bzimage(void **state)
{
	struct image image;

	image_bzimage(&image);
	try_fields(*state, &image, bzimage_fields, sizeof(bzimage_fields) / sizeof(bzimage_fields[0]));
}

static void each_field_of_an_elf(void **state)
{
	struct image image;

	image_elf(&image, true);
	try_fields(*state, &image, elf_fields, sizeof(elf_fields) / sizeof(elf_fields[0]));
	image_elf(&image, false);
	try_fields(*state, &image, elf_fields, sizeof(elf_fields) / sizeof(elf_fields[0]));
}

static void pairs_of_fields_of_an_elf_segment(void **state)
{
	struct image good;

	image_elf(&good, true);
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++) {
		for (size_t j = 0; j < sizeof(bad_values) / sizeof(bad_values[0]); j++) {
			struct image image = good;

			image_put(&image, 64 + 24, 8, bad_values[i]);
			image_put(&image, 64 + 40, 8, bad_values[j]);
			try_image(*state, &image);
		}
	}
}

static void random_damage(void **state)
{
	uint64_t seed = 88172645463325252;

	for (unsigned int i = 0; i < 20000; i++) {
		struct image image;

		if (i % 3)
			image_elf(&image, i % 3 == 1);
		else
			image_bzimage(&image);
		for (unsigned int j = 0; j < 4; j++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			/* Where the headers are. */
			image.data[(i % 3 ? 0 : 0x1f1) + (seed >> 8) % (i % 3 ? 0x230 : 0x80)] = (uint8_t)seed;
		}
		try_image(*state, &image);
	}
}

static void cut_at_every_length(void **state)
{
	struct image image;

	for (unsigned int kind = 0; kind < 2; kind++) {
		if (kind)
			image_elf(&image, true);
		else
			image_bzimage(&image);
		while (--image.bytes) {
			struct bench *bench = *state;
			unsigned int refused = bench->refused;

			try_image(bench, &image);
			assert_int_equal(bench->refused, refused + 1);
		}
	}
}

static void truncated_kernel_says_so(void **state)
{
	struct bench *bench = *state;
	struct boot_image *opened = NULL;
	struct err err = ERR_NONE;
	enum boot_blame blame;
	struct image image;

	image_bzimage(&image);
	image.bytes--;
	write_kernel(bench, &image);
	assert_true(open_path(bench->kernel.path, NULL, &opened, &blame, &err) < 0);
	assert_non_null(strstr(err.text, "\" is truncated: its kernel ends at byte 5120, "));
	assert_non_null(strstr(err.text, "the file at byte 5119"));
}

static void files_that_shrink_after_open(void **state)
{
	struct bench *bench = *state;
	struct boot_machine machine = { .mem = &bench->ram.mem };
	struct boot_image *opened = NULL;
	struct err err = ERR_NONE;
	struct boot_entry entry;
	enum boot_blame blame;
	struct image image;

	image_elf(&image, true);
	write_kernel(bench, &image);
	assert_int_equal(open_path(bench->kernel.path, bench->initrd.path, &opened, &blame, &err), 0);
	assert_int_equal(ftruncate(bench->kernel.fd, 0x1900), 0);
	assert_int_equal(boot_place(opened, &machine, &entry, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, bench->kernel.path));
	assert_non_null(strstr(err.text, "ended at byte 6400"));
	write_kernel(bench, &image);
	assert_int_equal(ftruncate(bench->initrd.fd, 9999), 0);
	assert_int_equal(boot_place(opened, &machine, &entry, &err), -ENOEXEC);
	assert_non_null(strstr(err.text, bench->initrd.path));
	boot_close(opened);
}

static void refused(void **state, const char *path, const char *text)
{
	struct bench *bench = *state;
	struct boot_image *opened = NULL;
	struct err err = ERR_NONE;
	enum boot_blame blame;
	struct image image;

	assert_true(open_path(path, NULL, &opened, &blame, &err) < 0);
	assert_int_equal(blame, BOOT_BLAME_KERNEL);
	assert_non_null(strstr(err.text, text));
	assert_message(&err);

	image_elf(&image, true);
	write_kernel(bench, &image);
	assert_true(open_path(bench->kernel.path, path, &opened, &blame, &err) < 0);
	assert_int_equal(blame, BOOT_BLAME_INITRD);
	assert_non_null(strstr(err.text, text));
}

static void things_that_are_no_files(void **state)
{
	char dir[] = "/tmp/test_boot.XXXXXX";
	char path[64];
	int fd;

	assert_non_null(mkdtemp(dir));
	refused(state, dir, "is a directory");
	refused(state, "/dev/null", "is a device");
	snprintf(path, sizeof(path), "%s/x", dir);
	refused(state, path, "No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	refused(state, path, "is a pipe");
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0);
	assert_true(fd >= 0);
	refused(state, path, geteuid() ? "Permission denied" : "is empty");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void files_that_are_no_kernel(void **state)
{
	static const struct {
		const char *data;
		size_t bytes;
		const char *text;
	} files[] = {
		{ "x", 1, "neither a bzImage nor an ELF kernel" },
		{ "#!/bin/sh\n", 10, "neither a bzImage nor an ELF kernel" },
		{ "\x1f\x8b\x08\x00", 4, "compressed with gzip" },
		{ "\xfd\x37zXZ\0", 6, "compressed with xz" },
		{ "\x28\xb5\x2f\xfd\x04", 5, "compressed with zstd" },
		{ "\177ELF", 4, "truncated" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct boot_image *opened = NULL;
		struct err err = ERR_NONE;
		struct image_file file;
		enum boot_blame blame;

		assert_true(image_file_make(&file, files[i].data, files[i].bytes));
		assert_true(open_path(file.path, NULL, &opened, &blame, &err) < 0);
		assert_non_null(strstr(err.text, files[i].text));
		close(file.fd);
	}
}

/* Whatever happens, an attempt leaves no file open. */
static void no_descriptor_is_left_open(void **state)
{
	struct image image;
	int before;
	int after;

	before = dup(0);
	close(before);
	image_elf(&image, true);
	try_image(*state, &image);
	image_put(&image, 0x228, 8, 5);
	try_image(*state, &image);
	image_elf(&image, true);
	image_put(&image, 64 + 24, 8, 0);
	try_image(*state, &image);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

#define HOSTILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOSTILE_TEST(each_field_of_a_bzimage),
		HOSTILE_TEST(each_field_of_an_elf),
		HOSTILE_TEST(pairs_of_fields_of_an_elf_segment),
		HOSTILE_TEST(random_damage),
		HOSTILE_TEST(cut_at_every_length),
		HOSTILE_TEST(truncated_kernel_says_so),
		HOSTILE_TEST(files_that_shrink_after_open),
		HOSTILE_TEST(things_that_are_no_files),
		HOSTILE_TEST(files_that_are_no_kernel),
		HOSTILE_TEST(no_descriptor_is_left_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
