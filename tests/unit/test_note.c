/* SPDX-License-Identifier: BSD-3-Clause */
/* The ELF note of a plugin: hand-made files, right ones first, then with one thing wrong at a time. */
#include "core/device/note.h"

#include "tests/unit/support.h"

#include <elf.h>
#include <errno.h>

#ifdef __x86_64__
#define NATIVE      EM_X86_64
#define NATIVE_NAME "x86_64"
#else
#define NATIVE      EM_AARCH64
#define NATIVE_NAME "aarch64"
#endif

/* A file: an ELF header, two segments of notes, the second with ours, and room for more. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	struct {
		Elf64_Nhdr head;
		char owner[4];
		uint32_t value;
	} gnu;
	struct bp_note ours;
	uint8_t more[4096];
};

static struct image image;
static size_t image_bytes;

static int setup(void **state)
{
	(void)state;
	memset(&image, 0, sizeof(image));
	memcpy(image.header.e_ident, ELFMAG, SELFMAG);
	image.header.e_ident[EI_CLASS] = ELFCLASS64;
	image.header.e_ident[EI_DATA] = ELFDATA2LSB;
	image.header.e_ident[EI_VERSION] = EV_CURRENT;
	image.header.e_type = ET_DYN;
	image.header.e_machine = NATIVE;
	image.header.e_version = EV_CURRENT;
	image.header.e_phoff = offsetof(struct image, segments);
	image.header.e_phentsize = sizeof(Elf64_Phdr);
	image.header.e_phnum = 2;
	image.segments[0] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct image, gnu),
		.p_filesz = sizeof(image.gnu),
		.p_align = 4,
	};
	image.segments[1] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct image, ours),
		.p_filesz = sizeof(image.ours),
		.p_align = 4,
	};
	image.gnu.head = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 3 };
	memcpy(image.gnu.owner, "GNU", 4);
	image.ours = (struct bp_note){
		.owner_size = sizeof(BP_NOTE_OWNER),
		.desc_size = sizeof(struct bp_note_desc),
		.type = BP_NOTE_TYPE,
		.owner = BP_NOTE_OWNER,
		.desc = {
			.magic = BP_NOTE_MAGIC,
			.abi_major = BP_ABI_MAJOR,
			.abi_minor = BP_ABI_MINOR,
			.abi_minor_needed = BP_ABI_MINOR,
			.id = "com.acme.led",
		},
	};
	image_bytes = sizeof(image);
	return 0;
}

static int read_image(struct bp_note_desc *ret, struct err *err)
{
	int fd = memfd_create("plugin", MFD_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, &image, image_bytes), image_bytes);
	r = note_read(fd, "./led.so", ret, err);
	close(fd);
	return r;
}

static void expect_good(void)
{
	struct err err = ERR_NONE;
	struct bp_note_desc note = { .magic = 0 };

	if (read_image(&note, &err) != 0)
		fail_msg("%s", err.text);
	assert_memory_equal(&note, &image.ours.desc, sizeof(note));
}

static void expect_bad(const char *sentence)
{
	struct err err = ERR_NONE;
	struct bp_note_desc note = { .magic = 77 };

	assert_int_equal(read_image(&note, &err), -ENOEXEC);
	assert_string_equal(err.text, sentence);
	assert_int_equal(note.magic, 77);
}

#define NO_ELF     "plugin \"./led.so\" is not an ELF file"
#define NO_NOTE    "\"./led.so\" has no backplane note: it is not a backplane plugin"
#define BAD_NOTE   "plugin \"./led.so\" has a damaged backplane note"
#define BAD_HEADER "plugin \"./led.so\" has a damaged ELF header"
#define TRUNCATED  "plugin \"./led.so\" is truncated"

static void a_right_one_is_read(void **state)
{
	(void)state;
	expect_good();
}

/* ---- the ELF header ---- */

static void not_elf_at_all(void **state)
{
	(void)state;
	image_bytes = 0;
	expect_bad(NO_ELF);
	image_bytes = sizeof(image.header) - 1;
	expect_bad(NO_ELF);
	image_bytes = sizeof(image);
	for (size_t i = 0; i < SELFMAG; i++) {
		setup(NULL);
		image.header.e_ident[i] ^= 0x20;
		expect_bad(NO_ELF);
	}
}

static void another_processor(void **state)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} others[] = {
		{ EM_X86_64, "x86_64" },    { EM_AARCH64, "aarch64" }, { EM_386, "i386" },
		{ EM_ARM, "arm" },          { EM_RISCV, "riscv" },     { EM_S390, "another processor" },
		{ 0, "another processor" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		char sentence[256];

		image.header.e_machine = others[i].machine;
		if (others[i].machine == NATIVE) {
			expect_good();
			continue;
		}
		snprintf(sentence, sizeof(sentence), "plugin \"./led.so\" is built for %s, this host is " NATIVE_NAME,
			 others[i].name);
		expect_bad(sentence);
	}
}

static void another_class(void **state)
{
	(void)state;
	image.header.e_ident[EI_CLASS] = ELFCLASS32;
	expect_bad("plugin \"./led.so\" is built for 32-bit " NATIVE_NAME ", this host is " NATIVE_NAME);
	image.header.e_machine = EM_386;
	expect_bad("plugin \"./led.so\" is built for 32-bit i386, this host is " NATIVE_NAME);
}

static void another_byte_order(void **state)
{
	struct err err = ERR_NONE;
	struct bp_note_desc note;

	(void)state;
	image.header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_int_equal(read_image(&note, &err), -ENOEXEC);
	image.header.e_machine = __builtin_bswap16(EM_S390);
	expect_bad("plugin \"./led.so\" is built for another processor, this host is " NATIVE_NAME);
}

static void not_a_shared_object(void **state)
{
	static const uint16_t types[] = { ET_NONE, ET_REL, ET_EXEC, ET_CORE, 0xffff };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		image.header.e_type = types[i];
		expect_bad("plugin \"./led.so\" is not a shared object");
	}
}

static void damaged_program_headers(void **state)
{
	(void)state;
	image.header.e_phentsize = sizeof(Elf64_Phdr) - 1;
	expect_bad(BAD_HEADER);
	image.header.e_phentsize = 0;
	expect_bad(BAD_HEADER);
	setup(NULL);
	image.header.e_phnum = 65;
	expect_bad(BAD_HEADER);
	image.header.e_phnum = 0xffff;
	expect_bad(BAD_HEADER);
	image.header.e_phnum = 0;
	expect_bad(NO_NOTE);
	setup(NULL);
	image.header.e_phoff = sizeof(image) - sizeof(Elf64_Phdr) + 1;
	expect_bad(TRUNCATED);
	image.header.e_phoff = UINT64_MAX;
	expect_bad(TRUNCATED);
	image.header.e_phoff = UINT64_MAX - sizeof(Elf64_Phdr) + 1;
	expect_bad(TRUNCATED);
	image.header.e_phoff = INT64_MAX;
	expect_bad(TRUNCATED);
	setup(NULL);
	image_bytes = offsetof(struct image, segments) + 1;
	expect_bad(TRUNCATED);
}

/* ---- segments ---- */

static void segments_that_leave_the_file(void **state)
{
	(void)state;
	image.segments[1].p_offset = sizeof(image) - sizeof(image.ours) + 1;
	expect_bad(TRUNCATED);
	image.segments[1].p_offset = UINT64_MAX;
	expect_bad(TRUNCATED);
	image.segments[1].p_offset = INT64_MAX;
	expect_bad(TRUNCATED);
	setup(NULL);
	image.segments[1].p_filesz = 65536;
	expect_bad(TRUNCATED);
	/* Nobody needs that much; it is not even read. */
	image.segments[1].p_filesz = 65537;
	expect_bad(NO_NOTE);
	image.segments[1].p_filesz = UINT64_MAX;
	expect_bad(NO_NOTE);
}

static void a_file_without_our_note(void **state)
{
	(void)state;
	image.segments[1].p_type = PT_LOAD;
	expect_bad(NO_NOTE);
	setup(NULL);
	image.segments[1].p_filesz = 0;
	expect_bad(NO_NOTE);
	/* Somebody else's. */
	setup(NULL);
	memcpy(image.ours.owner, "backplanf", 10);
	expect_bad(NO_NOTE);
	memcpy(image.ours.owner, "Backplane", 10);
	expect_bad(NO_NOTE);
	setup(NULL);
	image.ours.owner_size = 11;
	expect_bad(NO_NOTE);
	image.ours.owner_size = 9;
	expect_bad(NO_NOTE);
	setup(NULL);
	image.ours.type = 2;
	expect_bad(NO_NOTE);
}

static void several_notes_in_one_segment(void **state)
{
	(void)state;
	image.segments[0].p_filesz += sizeof(image.ours);
	image.header.e_phnum = 1;
	expect_good();
	/* One that fills the rest of its segment hides what would come next. */
	image.gnu.head.n_descsz = 4 + sizeof(image.ours);
	expect_bad(NO_NOTE);
}

static void sizes_that_leave_the_segment(void **state)
{
	static const uint32_t sizes[] = {
		81, 84, 85, 4096, 0x7fffffff, 0x80000000, 0xfffffffc, 0xfffffffd, 0xffffffff
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		setup(NULL);
		image.ours.desc_size = sizes[i];
		expect_bad(NO_NOTE);
		setup(NULL);
		image.ours.owner_size = sizes[i];
		expect_bad(NO_NOTE);
		setup(NULL);
		image.gnu.head.n_namesz = sizes[i];
		image.segments[0].p_filesz += sizeof(image.ours);
		image.header.e_phnum = 1;
		expect_bad(NO_NOTE);
	}
	setup(NULL);
	image.ours.desc_size = sizeof(struct bp_note_desc) - 1;
	expect_bad(NO_NOTE);
	image.ours.desc_size = 0;
	expect_bad(NO_NOTE);
	for (size_t bytes = 1; bytes < sizeof(image.ours); bytes++) {
		setup(NULL);
		image.segments[1].p_filesz = bytes;
		expect_bad(NO_NOTE);
	}
}

/* A later minor version may append fields. */
static void a_longer_note_is_read(void **state)
{
	(void)state;
	image.ours.desc_size += 64;
	image.segments[1].p_filesz += 64;
	expect_good();
}

/* To load one that ends too early would be the end of us, by SIGBUS: a copy that was cut off, for example. */
static void a_segment_to_load_lies_in_the_file(void **state)
{
	(void)state;
	image.segments[0].p_type = PT_LOAD;
	image.segments[0].p_offset = 0;
	image.segments[0].p_filesz = sizeof(image);
	expect_good();
	image.segments[0].p_filesz++;
	expect_bad(TRUNCATED);
	image.segments[0].p_offset = UINT64_MAX;
	expect_bad(TRUNCATED);
	image.segments[0].p_offset = 1;
	image.segments[0].p_filesz = UINT64_MAX;
	expect_bad(TRUNCATED);
	/* Also where it comes after the note. */
	setup(NULL);
	image.segments[0] = image.segments[1];
	image.segments[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_filesz = sizeof(image) + 1 };
	expect_bad(TRUNCATED);
}

/* ---- the note ---- */

static void a_damaged_note(void **state)
{
	(void)state;
	image.ours.desc.magic ^= 1;
	expect_bad(BAD_NOTE);
	setup(NULL);
	memset(image.ours.desc.id, 'x', sizeof(image.ours.desc.id));
	expect_bad(BAD_NOTE);
	image.ours.desc.id[sizeof(image.ours.desc.id) - 1] = 0;
	expect_good();
	image.ours.desc.id[0] = 0;
	expect_bad(BAD_NOTE);
	for (int c = 1; c < 256; c++) {
		setup(NULL);
		image.ours.desc.id[3] = (char)c;
		if (c > 0x20 && c < 0x7f)
			expect_good();
		else
			expect_bad(BAD_NOTE);
	}
}

static void another_major_version(void **state)
{
	char sentence[256];

	(void)state;
	image.ours.desc.abi_major = BP_ABI_MAJOR + 1;
	image.ours.desc.abi_minor = 4;
	snprintf(
	    sentence, sizeof(sentence),
	    "plugin \"./led.so\" (com.acme.led) is built for plugin ABI %d.4, this backplane has ABI %d.%d: it must be "
	    "rebuilt with this SDK",
	    BP_ABI_MAJOR + 1, BP_ABI_MAJOR, BP_ABI_MINOR);
	expect_bad(sentence);
	image.ours.desc.abi_major = UINT32_MAX;
	image.ours.desc.abi_minor = UINT32_MAX;
	snprintf(
	    sentence, sizeof(sentence),
	    "plugin \"./led.so\" (com.acme.led) is built for plugin ABI 4294967295.4294967295, this backplane has ABI "
	    "%d.%d: it must be rebuilt with this SDK",
	    BP_ABI_MAJOR, BP_ABI_MINOR);
	expect_bad(sentence);
}

static void a_later_minor_version(void **state)
{
	char sentence[256];

	(void)state;
	/* Built against a later one, content with this one. */
	image.ours.desc.abi_minor = BP_ABI_MINOR + 5;
	expect_good();
	image.ours.desc.abi_minor_needed = BP_ABI_MINOR + 1;
	snprintf(
	    sentence, sizeof(sentence),
	    "plugin \"./led.so\" (com.acme.led) needs plugin ABI %d.%d or later, this backplane has ABI %d.%d: it needs a "
	    "newer backplane",
	    BP_ABI_MAJOR, BP_ABI_MINOR + 1, BP_ABI_MAJOR, BP_ABI_MINOR);
	expect_bad(sentence);
}

/* Whatever single byte is wrong: it is read, or refused with one line. */
static void any_byte_wrong(void **state)
{
	(void)state;
	for (size_t at = 0; at < offsetof(struct image, more); at++)
		for (unsigned int bit = 0; bit < 8; bit++) {
			struct bp_note_desc note;
			struct err err = ERR_NONE;
			int r;

			setup(NULL);
			((uint8_t *)&image)[at] ^= (uint8_t)(1u << bit);
			r = read_image(&note, &err);
			assert_true(r == 0 || r == -ENOEXEC);
			assert_int_equal(r == 0, !err.text[0]);
			assert_null(strchr(err.text, '\n'));
		}
}

static void any_length(void **state)
{
	(void)state;
	for (image_bytes = 0; image_bytes < offsetof(struct image, more); image_bytes++) {
		struct bp_note_desc note;
		struct err err = ERR_NONE;

		assert_int_equal(read_image(&note, &err), -ENOEXEC);
	}
	expect_good();
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_right_one_is_read),
		TEST(not_elf_at_all),
		TEST(another_processor),
		TEST(another_class),
		TEST(another_byte_order),
		TEST(not_a_shared_object),
		TEST(damaged_program_headers),
		TEST(segments_that_leave_the_file),
		TEST(a_file_without_our_note),
		TEST(several_notes_in_one_segment),
		TEST(sizes_that_leave_the_segment),
		TEST(a_longer_note_is_read),
		TEST(a_segment_to_load_lies_in_the_file),
		TEST(a_damaged_note),
		TEST(another_major_version),
		TEST(a_later_minor_version),
		TEST(any_byte_wrong),
		TEST(any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
