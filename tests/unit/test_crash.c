/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The judge of crash tests on hand-made logs: what a crash may leave on a disk, and that a promise that was not kept is found. The disks here
 * have no file system: stream 0's first file lies at their beginning.
 */
#include "tests/crash/image.h"
#include "tests/crash/log.h"
#include "tests/crash/promises.h"
#include "tests/crash/records.h"

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DISK_BYTES 65536u
#define SEEDS      400u

/* A log in the making, in memory. */
struct draft {
	FILE *file;
	char *bytes;
	size_t size;
	struct crash_log log;
	uint8_t disk[DISK_BYTES];
	char folder[32];
	int folder_fd;
};

static int set_up(void **state)
{
	struct draft *draft = calloc(1, sizeof(*draft));

	MUST(draft);
	draft->file = open_memstream(&draft->bytes, &draft->size);
	MUST(draft->file && crash_log_begin(draft->file, DISK_BYTES) == 0);
	strcpy(draft->folder, "/tmp/crash-XXXXXX");
	MUST(mkdtemp(draft->folder));
	draft->folder_fd = open(draft->folder, O_RDONLY | O_DIRECTORY);
	MUST(draft->folder_fd >= 0);
	*state = draft;
	return 0;
}

static int tear_down(void **state)
{
	struct draft *draft = *state;

	unlinkat(draft->folder_fd, "s0.0", 0);
	close(draft->folder_fd);
	rmdir(draft->folder);
	crash_log_free(&draft->log);
	if (draft->file)
		fclose(draft->file);
	free(draft->bytes);
	free(draft);
	return 0;
}

static void add_write(struct draft *draft, uint64_t offset, uint64_t length, uint8_t value)
{
	uint8_t data[DISK_BYTES];

	memset(data, value, length);
	assert_int_equal(crash_log_add(draft->file, CRASH_WRITE, offset, length, data), 0);
}

static void add_flush(struct draft *draft)
{
	assert_int_equal(crash_log_add(draft->file, CRASH_FLUSH, 0, 0, NULL), 0);
}

static void add_note(struct draft *draft, const char *text)
{
	assert_int_equal(crash_log_add(draft->file, CRASH_NOTE, 0, strlen(text), text), 0);
}

static void add_record(struct draft *draft, uint32_t number)
{
	uint8_t record[CRASH_RECORD_MAX];
	uint32_t bytes = crash_record_make(0, number, record);

	assert_int_equal(crash_log_add(draft->file, CRASH_WRITE, crash_record_at(0, number), bytes, record), 0);
}

static void add_promise(struct draft *draft, uint32_t number)
{
	char text[64];

	snprintf(text, sizeof(text), CRASH_ACK " 0 %u", number);
	add_note(draft, text);
}

static const struct crash_log *finish(struct draft *draft)
{
	assert_int_equal(fclose(draft->file), 0);
	draft->file = NULL;
	assert_int_equal(crash_log_read(draft->bytes, draft->size, &draft->log), 0);
	return &draft->log;
}

/* The disk, which was full of `value`, after the crash of a seed. */
static struct crash_cut crash(struct draft *draft, size_t first, uint64_t seed, int value)
{
	struct crash_cut cut = crash_draw(&draft->log, first, seed);

	memset(draft->disk, value, sizeof(draft->disk));
	crash_apply(&draft->log, &cut, draft->disk);
	return cut;
}

/* What all bytes of a sector have, or -1. */
static int sector_value(const struct draft *draft, size_t sector)
{
	const uint8_t *bytes = draft->disk + sector * CRASH_SECTOR;

	for (size_t i = 1; i < CRASH_SECTOR; i++)
		if (bytes[i] != bytes[0])
			return -1;
	return bytes[0];
}

/* In how many of all crashes a promise is broken. */
static size_t crashes_with_broken_promises(struct draft *draft)
{
	struct crash_promises promises;
	struct crash_promise broken;
	size_t count = 0;

	assert_int_equal(crash_promises_find(&draft->log, &promises), 0);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct crash_cut cut = crash(draft, 1, seed, 0);
		int fd = openat(draft->folder_fd, "s0.0", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		assert_int_equal(write(fd, draft->disk, DISK_BYTES), DISK_BYTES);
		close(fd);
		count += crash_promises_broken(&promises, cut.at, draft->folder_fd, &broken) != 0;
	}
	free(promises.list);
	return count;
}

/* ---- the log ---- */

static void log_is_read_as_it_was_written(void **state)
{
	struct draft *draft = *state;
	const struct crash_log *log;

	add_write(draft, 1000, 3000, 7);
	assert_int_equal(crash_log_add(draft->file, CRASH_ZERO, 512, 1024, NULL), 0);
	add_flush(draft);
	add_note(draft, "a line");
	log = finish(draft);
	assert_int_equal(log->image_bytes, DISK_BYTES);
	assert_int_equal(log->count, 4);
	assert_int_equal(log->entries[0].kind, CRASH_WRITE);
	assert_int_equal(log->entries[0].offset, 1000);
	assert_int_equal(log->entries[0].length, 3000);
	assert_int_equal(log->entries[0].data[2999], 7);
	assert_int_equal(log->entries[1].kind, CRASH_ZERO);
	assert_int_equal(log->entries[1].length, 1024);
	assert_null(log->entries[1].data);
	assert_int_equal(log->entries[2].kind, CRASH_FLUSH);
	assert_int_equal(log->entries[3].kind, CRASH_NOTE);
	assert_memory_equal(log->entries[3].data, "a line", 6);
}

static void log_that_ends_in_an_entry_is_refused(void **state)
{
	struct draft *draft = *state;
	const size_t header = sizeof(struct crash_log_header), entry = sizeof(struct crash_entry_header);

	add_write(draft, 0, 40, 1);
	add_flush(draft);
	finish(draft);
	for (size_t size = 0; size < draft->size; size++) {
		struct crash_log log;
		int r = crash_log_read(draft->bytes, size, &log);

		if (size == header || size == header + entry + 40) {
			assert_int_equal(r, 0);
			crash_log_free(&log);
		} else {
			assert_int_equal(r, -EBADMSG);
		}
	}
}

static void nonsense_in_a_log_is_refused(void **state)
{
	static const struct crash_entry_header bad[] = {
		{ .kind = 0 },
		{ .kind = 5 },
		{ .kind = CRASH_WRITE, .length = 1 },
		{ .kind = CRASH_ZERO, .offset = DISK_BYTES, .length = 1 },
		{ .kind = CRASH_ZERO, .offset = UINT64_MAX, .length = 2 },
		{ .kind = CRASH_NOTE, .length = 9 },
	};
	struct crash_log log;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct {
			struct crash_log_header header;
			struct crash_entry_header entry;
		} bytes = { { CRASH_MAGIC, DISK_BYTES }, bad[i] };

		assert_int_equal(crash_log_read(&bytes, sizeof(bytes), &log), -EBADMSG);
		bytes.entry = (struct crash_entry_header){ .kind = CRASH_FLUSH };
		assert_int_equal(crash_log_read(&bytes, sizeof(bytes), &log), 0);
		crash_log_free(&log);
		bytes.header.magic++;
		assert_int_equal(crash_log_read(&bytes, sizeof(bytes), &log), -EBADMSG);
	}
}

/* ---- what a crash leaves ---- */

static void flushed_writes_survive_every_crash(void **state)
{
	struct draft *draft = *state;

	add_write(draft, 0, 4096, 1);
	add_write(draft, 300, 1000, 2);
	add_flush(draft);
	for (int i = 0; i < 20; i++)
		add_write(draft, 8192, 4096, 3);
	finish(draft);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct crash_cut cut = crash(draft, 3, seed, 9);

		assert_int_equal(cut.flushed, 3);
		for (size_t i = 0; i < 4096; i++)
			assert_int_equal(draft->disk[i], i >= 300 && i < 1300 ? 2 : 1);
	}
}

static void what_was_not_flushed_may_be_there_or_not_or_torn(void **state)
{
	struct draft *draft = *state;
	size_t whole = 0, none = 0, torn = 0;

	add_write(draft, 0, 4096, 1);
	finish(draft);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		size_t there = 0;

		crash(draft, 1, seed, 9);
		for (size_t i = 0; i < 8; i++) {
			int value = sector_value(draft, i);

			assert_true(value == 1 || value == 9);
			there += value == 1;
		}
		assert_int_equal(sector_value(draft, 8), 9);
		whole += there == 8;
		none += there == 0;
		torn += there > 0 && there < 8;
	}
	assert_true(whole > SEEDS / 10);
	assert_true(none > SEEDS / 10);
	assert_true(torn > SEEDS / 10);
}

static void later_writes_cover_earlier_ones(void **state)
{
	struct draft *draft = *state;
	size_t seen[4] = { 0 };

	add_write(draft, 0, 512, 1);
	add_flush(draft);
	add_write(draft, 0, 512, 2);
	assert_int_equal(crash_log_add(draft->file, CRASH_ZERO, 0, 512, NULL), 0);
	add_write(draft, 512, 512, 3);
	finish(draft);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct crash_cut cut = crash(draft, 5, seed, 9);
		int value = sector_value(draft, 0);

		assert_true(value >= 0 && value <= 2);
		seen[value]++;
		assert_int_equal(cut.flushed, 2);
	}
	for (size_t i = 0; i <= 2; i++)
		assert_true(seen[i] > SEEDS / 20);
}

static void a_crash_comes_at_any_time_and_the_same_for_the_same_seed(void **state)
{
	struct draft *draft = *state;
	size_t seen[13] = { 0 };

	for (int i = 0; i < 12; i++)
		add_write(draft, 0, 512, (uint8_t)i);
	finish(draft);
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct crash_cut cut = crash(draft, 4, seed, 9), again;
		uint8_t before = draft->disk[0];

		assert_true(cut.at >= 4 && cut.at <= 12);
		seen[cut.at]++;
		again = crash(draft, 4, seed, 9);
		assert_int_equal(again.seed, cut.seed);
		assert_int_equal(again.at, cut.at);
		assert_int_equal(again.flushed, cut.flushed);
		assert_int_equal(again.manner, cut.manner);
		assert_int_equal(draft->disk[0], before);
	}
	for (size_t at = 4; at <= 12; at++)
		assert_true(seen[at] > 0);
}

/* ---- promises ---- */

static void kept_promises_are_not_complained_about(void **state)
{
	struct draft *draft = *state;

	for (uint32_t i = 0; i < CRASH_PER_FILE; i++) {
		add_record(draft, i);
		add_flush(draft);
		add_promise(draft, i);
	}
	finish(draft);
	assert_int_equal(crashes_with_broken_promises(draft), 0);
}

static void a_lost_flush_is_found(void **state)
{
	struct draft *draft = *state;

	for (uint32_t i = 0; i < CRASH_PER_FILE; i++) {
		add_record(draft, i);
		if (i != 5)
			add_flush(draft);
		add_promise(draft, i);
	}
	finish(draft);
	assert_true(crashes_with_broken_promises(draft) > 0);
}

/* The write was still under way when the flush began: a disk that says so has it wrong. */
static void a_flush_before_its_write_is_found(void **state)
{
	struct draft *draft = *state;

	for (uint32_t i = 0; i < CRASH_PER_FILE; i++) {
		if (i != 3)
			add_record(draft, i);
		add_flush(draft);
		if (i == 3)
			add_record(draft, i);
		add_promise(draft, i);
	}
	finish(draft);
	assert_true(crashes_with_broken_promises(draft) > 0);
}

static void a_changed_byte_is_found(void **state)
{
	struct draft *draft = *state;

	add_record(draft, 0);
	add_write(draft, crash_record_bytes(0, 0) - 1u, 1, 0xa5);
	add_flush(draft);
	add_promise(draft, 0);
	finish(draft);
	assert_true(crashes_with_broken_promises(draft) > 0);
}

static void a_missing_file_breaks_its_promises(void **state)
{
	struct draft *draft = *state;
	struct crash_promises promises;
	struct crash_promise broken;

	add_promise(draft, 3);
	add_promise(draft, 4);
	finish(draft);
	assert_int_equal(crash_promises_find(&draft->log, &promises), 0);
	assert_int_equal(crash_promises_broken(&promises, 0, draft->folder_fd, &broken), 0);
	assert_int_equal(crash_promises_broken(&promises, 1, draft->folder_fd, &broken), 1);
	assert_int_equal(crash_promises_broken(&promises, 2, draft->folder_fd, &broken), 2);
	assert_int_equal(broken.number, 3);
	free(promises.list);
}

static void other_lines_are_no_promises(void **state)
{
	struct draft *draft = *state;
	struct crash_promises promises;

	add_note(draft, "");
	add_note(draft, "crash.ack 1");
	add_note(draft, "crash.ack 1 2 3");
	add_note(draft, "[    1.0] crash.ack 1 2");
	add_note(draft, "crash.ack 2 17");
	add_note(draft, "crash.done");
	finish(draft);
	assert_int_equal(crash_promises_find(&draft->log, &promises), 0);
	assert_int_equal(promises.count, 1);
	assert_int_equal(promises.list[0].at, 4);
	assert_int_equal(promises.list[0].stream, 2);
	assert_int_equal(promises.list[0].number, 17);
	free(promises.list);
}

static void promises_of_what_cannot_be_are_refused(void **state)
{
	struct draft *draft = *state;
	struct crash_promises promises;

	add_note(draft, "crash.ack 16 0");
	finish(draft);
	assert_int_equal(crash_promises_find(&draft->log, &promises), -EBADMSG);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(log_is_read_as_it_was_written),
		CASE(log_that_ends_in_an_entry_is_refused),
		CASE(nonsense_in_a_log_is_refused),
		CASE(flushed_writes_survive_every_crash),
		CASE(what_was_not_flushed_may_be_there_or_not_or_torn),
		CASE(later_writes_cover_earlier_ones),
		CASE(a_crash_comes_at_any_time_and_the_same_for_the_same_seed),
		CASE(kept_promises_are_not_complained_about),
		CASE(a_lost_flush_is_found),
		CASE(a_flush_before_its_write_is_found),
		CASE(a_changed_byte_is_found),
		CASE(a_missing_file_breaks_its_promises),
		CASE(other_lines_are_no_promises),
		CASE(promises_of_what_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
