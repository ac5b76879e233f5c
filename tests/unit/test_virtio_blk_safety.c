/* SPDX-License-Identifier: BSD-3-Clause */
/* What the disk plugin promises when: flushes in each cache mode, errors of the host, more requests than the engine takes, resets, and
 * two disks side by side. */
#include "tests/unit/blk_fixture.h"

#define WRITETHROUGH ((const struct fakehost_pair[]){ { "cache", "writethrough" }, { NULL, NULL } })
#define UNSAFE       ((const struct fakehost_pair[]){ { "cache", "unsafe" }, { NULL, NULL } })
#define WCE_AT       offsetof(struct virtio_blk_config, wce)

static uint8_t wce(const struct disk *disk)
{
	uint8_t value;

	assert_int_equal(fakehost_config_read(disk->dev, WCE_AT, &value, 1), 0);
	return value;
}

static void set_wce(struct disk *disk, uint8_t value)
{
	assert_int_equal(fakehost_config_write(disk->dev, WCE_AT, &value, 1), 0);
}

/* A write is complete when the host has it, or only after a flush. */
static void assert_writes(struct disk *disk, int through)
{
	for (int zeroes = 0; zeroes < 2; zeroes++) {
		struct fakehost_chain *chain =
		    zeroes ? ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0) : ask_write(disk, 0, 1, SECTOR);

		assert_op(disk, 0, zeroes ? BP_IO_WRITE_ZEROES : BP_IO_WRITE);
		assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
		assert_int_equal(fakehost_io_count(disk->dev), through);
		if (through) {
			assert_pending(chain);
			assert_op(disk, 0, BP_IO_FLUSH);
			assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
		}
		assert_status(chain, 0, VIRTIO_BLK_S_OK);
		assert_int_equal(fakehost_io_count(disk->dev), 0);
	}
}

static void assert_flushes(struct disk *disk, int really)
{
	struct fakehost_chain *chain = ask_flush(disk);

	assert_int_equal(fakehost_io_count(disk->dev), really);
	if (really) {
		assert_pending(chain);
		assert_op(disk, 0, BP_IO_FLUSH);
	}
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_OK);
}

/* ---- cache modes ---- */

static void writeback_flushes_when_asked(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(wce(disk), 1);
	assert_writes(disk, 0);
	assert_flushes(disk, 1);
}

static void writethrough_flushes_each_write(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, WRITETHROUGH, 0);
	/* A guest that saw it would take the cache for a write-back one. Its flushes would work all the same. */
	assert_false(offered(disk->dev) & BIT(VIRTIO_BLK_F_FLUSH));
	assert_false(offered(disk->dev) & BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_writes(disk, 1);
	assert_flushes(disk, 1);
	/* What does not write needs none. */
	ask_read(disk, 0, SECTOR);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	ask_range(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
}

static void unsafe_never_flushes(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, UNSAFE, BIT(VIRTIO_BLK_F_FLUSH));
	assert_false(offered(disk->dev) & BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_writes(disk, 0);
	assert_flushes(disk, 0);
}

/* 5.2.6.2: a driver that knows of no flush has its writes safe at once. */
static void a_driver_without_flush_gets_writethrough(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_writes(disk, 1);
	/* The next driver knows more. */
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(fakehost_activate(disk->dev, BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_WRITE_ZEROES), 1), 0);
	assert_writes(disk, 0);
}

static void a_driver_without_wce_cannot_choose(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, BIT(VIRTIO_BLK_F_CONFIG_WCE));
	set_wce(disk, 0);
	assert_int_equal(wce(disk), 1);
	assert_writes(disk, 0);
}

static void a_guest_chooses_its_cache(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	set_wce(disk, 0);
	assert_int_equal(wce(disk), 0);
	assert_writes(disk, 1);
	set_wce(disk, 1);
	assert_writes(disk, 0);
	/* What it writes itself is no news for it. */
	assert_int_equal(fakehost_config_notices(disk->dev), 0);
	set_wce(disk, 2);
	assert_int_equal(wce(disk), 1);
	set_wce(disk, 0);
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(wce(disk), 1);
}

/* 5.2.5.2: writeback begins as 0 where a driver takes CONFIG_WCE without FLUSH. */
static void wce_without_flush_begins_with_writethrough(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, BIT(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(wce(disk), 0);
	assert_writes(disk, 1);
	set_wce(disk, 1);
	assert_writes(disk, 0);
	/* The choice does not outlive the driver. */
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev) & ~BIT(VIRTIO_BLK_F_FLUSH), 1), 0);
	assert_int_equal(wce(disk), 0);
}

/* 3.1.1, step 7: configuration space may be written to before DRIVER_OK. */
static void a_choice_before_the_driver_is_ready_counts(void **state)
{
	struct disk *disk = *state;

	disk_open(disk, NO_VALUES);
	set_wce(disk, 0);
	assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev), 1), 0);
	assert_int_equal(wce(disk), 0);
	assert_writes(disk, 1);
	/* It counts for nothing where it was not negotiated, and does not outlive a reset. */
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(wce(disk), 1);
	set_wce(disk, 0);
	assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev) & ~BIT(VIRTIO_BLK_F_CONFIG_WCE), 1), 0);
	assert_writes(disk, 0);
}

static void the_rest_of_config_space_is_not_the_guests(void **state)
{
	struct disk *disk = *state;
	uint8_t before[60], after[60], junk[60];

	disk_run(disk, NO_VALUES, 0);
	memset(junk, 0xff, sizeof(junk));
	junk[WCE_AT] = 1;
	assert_int_equal(fakehost_config_read(disk->dev, 0, before, sizeof(before)), 0);
	assert_int_equal(fakehost_config_write(disk->dev, 0, junk, sizeof(junk)), 0);
	assert_int_equal(fakehost_config_read(disk->dev, 0, after, sizeof(after)), 0);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(fakehost_config_notices(disk->dev), 1);
	assert_writes(disk, 0);
}

/* ---- errors of the host ---- */

#define MINUTE_NS UINT64_C(60000000000)

static void errors_become_statuses(void **state)
{
	static const int errors[] = { -EIO, -ENOSPC, -EROFS, -EINVAL, -ENOMEM };
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		fakehost_io_fail(disk->dev, errors[i]);
		chain = ask_read(disk, 0, SECTOR);
		assert_ends(disk, chain, SECTOR, VIRTIO_BLK_S_IOERR);
		assert_int_equal(fakehost_chain_used(chain), 0);
		fakehost_io_fail(disk->dev, errors[i]);
		assert_ends(disk, ask_write(disk, 0, 1, SECTOR), 0, VIRTIO_BLK_S_IOERR);
		fakehost_io_fail(disk->dev, errors[i]);
		assert_ends(disk, ask_flush(disk), 0, VIRTIO_BLK_S_IOERR);
		fakehost_io_fail(disk->dev, errors[i]);
		assert_ends(disk, ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), 0, VIRTIO_BLK_S_IOERR);
		assert_int_equal(fakehost_log_count(disk->host, strerror(-errors[i])), 4);
		fakehost_advance(disk->host, MINUTE_NS);
	}
	assert_false(fakehost_is_broken(disk->dev));
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
}

/* A guest that rereads a bad sector for ever gets ten lines a minute, and the rest is counted. */
static void failures_do_not_fill_the_log(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	for (int i = 0; i < 25; i++) {
		fakehost_io_fail(disk->dev, -EIO);
		assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(fakehost_log_count(disk->host, strerror(EIO)), 10);
	fakehost_advance(disk->host, MINUTE_NS);
	fakehost_io_fail(disk->dev, -EIO);
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_IOERR);
	assert_int_equal(fakehost_log_count(disk->host, strerror(EIO)), 11);
	assert_int_equal(fakehost_log_count(disk->host, "15 more requests have failed"), 1);
}

static void a_failed_write_is_not_flushed(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, WRITETHROUGH, 0);
	fakehost_io_fail(disk->dev, -ENOSPC);
	chain = ask_write(disk, 0, 1, SECTOR);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	assert_status(chain, 0, VIRTIO_BLK_S_IOERR);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	/* And a write whose flush fails has failed. */
	chain = ask_write(disk, 0, 1, SECTOR);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	fakehost_io_fail(disk->dev, -EIO);
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_IOERR);
}

static void a_failed_segment_ends_the_list(void **state)
{
	const struct virtio_blk_discard_write_zeroes segments[3] = {
		{ .sector = htole64(0), .num_sectors = htole32(1) },
		{ .sector = htole64(2), .num_sectors = htole32(1) },
		{ .sector = htole64(4), .num_sectors = htole32(1) },
	};
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	chain = ask(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, segments, sizeof(segments), 0);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	fakehost_io_fail(disk->dev, -ENOSPC);
	assert_int_equal(fakehost_io_run(disk->dev, 9), 1);
	assert_status(chain, 0, VIRTIO_BLK_S_IOERR);
	assert_true(image_is(disk, 0, SECTOR, 0));
	assert_true(image_is(disk, SECTOR, IMAGE_BYTES - SECTOR, -1));
}

static void a_file_cut_short_fails_reads(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(ftruncate(disk->fd, 10 * SECTOR), 0);
	chain = ask_read(disk, 9, (size_t)2 * SECTOR);
	assert_ends(disk, chain, (size_t)2 * SECTOR, VIRTIO_BLK_S_IOERR);
	/* Only what came is said to be there. */
	assert_int_equal(fakehost_chain_used(chain), SECTOR);
	chain = ask_read(disk, 100, SECTOR);
	assert_ends(disk, chain, SECTOR, VIRTIO_BLK_S_IOERR);
	assert_int_equal(fakehost_chain_used(chain), 0);
	assert_int_equal(fakehost_log_count(disk->host, "the image is shorter than it was"), 2);
	/* It can grow again. */
	assert_ends(disk, ask_write(disk, 100, 3, SECTOR), 0, VIRTIO_BLK_S_OK);
	assert_ends(disk, ask_read(disk, 100, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
}

/* ---- more than the engine takes: 8 queues of 256 requests, 1024 at a time ---- */

#define QUEUES ((const struct fakehost_pair[]){ { "queues", "8" }, { NULL, NULL } })
#define MANY   2048u
#define ROOM   1024u

static void submit_many(struct disk *disk, const struct virtio_blk_outhdr *header, struct fakehost_chain **chains)
{
	struct fakehost_piece pieces[] = { { header, sizeof(*header) }, { NULL, SECTOR }, { NULL, 1 }, { NULL, 0 } };

	if (header->type != htole32(VIRTIO_BLK_T_IN)) {
		static const uint8_t bytes[SECTOR];

		pieces[1].bytes = bytes;
	}
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(fakehost_chain(disk->dev, i / DEPTH, pieces, &chains[i]), 0);
	assert_int_equal(fakehost_io_count(disk->dev), ROOM);
}

static void those_that_wait_are_done_in_order(void **state)
{
	const struct virtio_blk_outhdr header = { .type = htole32(VIRTIO_BLK_T_IN) };
	struct fakehost_chain *chains[MANY];
	struct disk *disk = *state;

	disk_run(disk, QUEUES, 0);
	submit_many(disk, &header, chains);
	/* One goes, one follows. */
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
		assert_int_equal(fakehost_io_count(disk->dev), ROOM);
	}
	assert_int_equal(fakehost_io_run(disk->dev, UINT32_MAX), MANY - 10);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_int_equal(fakehost_chain_order(chains[i]), i + 1);
		assert_status(chains[i], SECTOR, VIRTIO_BLK_S_OK);
	}
	/* The list is empty, and works again. */
	submit_many(disk, &header, chains);
	assert_int_equal(fakehost_io_run(disk->dev, UINT32_MAX), MANY);
	assert_int_equal(fakehost_chains_done(disk->dev), 2 * MANY);
}

/* A request that is over is not held up by others that wait for room. */
static void what_is_done_does_not_wait(void **state)
{
	const struct virtio_blk_outhdr header = { .type = htole32(VIRTIO_BLK_T_IN) };
	struct fakehost_chain *chains[MANY];
	struct disk *disk = *state;

	disk_run(disk, QUEUES, 0);
	submit_many(disk, &header, chains);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	assert_int_equal(fakehost_chain_order(chains[0]), 1);
	assert_int_equal(fakehost_io_run_at(disk->dev, ROOM / 2), 0);
	assert_int_equal(fakehost_chain_order(chains[ROOM / 2 + 1]), 2);
	assert_int_equal(fakehost_io_count(disk->dev), ROOM);
	/* Nor one that needs no room. */
	assert_int_equal(fakehost_io_run(disk->dev, ROOM), ROOM);
	assert_int_equal(fakehost_chains_done(disk->dev), ROOM + 2);
}

/* Each step of a request finds room again, whatever else waits. */
static void steps_find_room_again(void **state)
{
	const struct virtio_blk_outhdr header = { .type = htole32(VIRTIO_BLK_T_OUT) };
	const struct fakehost_pair values[] = { { "queues", "8" }, { "cache", "writethrough" }, { NULL, NULL } };
	struct fakehost_chain *chains[MANY];
	struct disk *disk = *state;

	disk_run(disk, values, 0);
	submit_many(disk, &header, chains);
	fakehost_io_fail(disk->dev, -EIO);
	assert_int_equal(fakehost_io_run(disk->dev, 2), 2);
	/* Behind those who came before. */
	assert_op(disk, ROOM - 1, BP_IO_WRITE);
	assert_int_equal(fakehost_io_run(disk->dev, UINT32_MAX), 2 * MANY - 3);
	assert_int_equal(fakehost_chains_done(disk->dev), MANY);
	assert_status(chains[0], 0, VIRTIO_BLK_S_IOERR);
	for (uint32_t i = 1; i < MANY; i++)
		assert_status(chains[i], 0, VIRTIO_BLK_S_OK);
}

/* ---- resets, and a second disk ---- */

static void a_reset_forgets_what_waits(void **state)
{
	const struct virtio_blk_outhdr header = { .type = htole32(VIRTIO_BLK_T_IN) };
	struct fakehost_chain *chains[MANY];
	struct disk *disk = *state;

	disk_run(disk, QUEUES, 0);
	submit_many(disk, &header, chains);
	assert_int_equal(fakehost_io_run(disk->dev, 3), 3);
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_int_equal(fakehost_chains_done(disk->dev), 3);
	assert_int_equal(fakehost_activate(disk->dev, 0, 8), 0);
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chains_done(disk->dev), 4);
	submit_many(disk, &header, chains);
	assert_int_equal(fakehost_io_run(disk->dev, UINT32_MAX), MANY);
}

static void a_reset_between_the_steps_of_a_write(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, WRITETHROUGH, 0);
	chain = ask_write(disk, 0, 9, SECTOR);
	assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
	assert_op(disk, 0, BP_IO_FLUSH);
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_pending(chain);
	assert_int_equal(fakehost_activate(disk->dev, LINUX_FEATURES & offered(disk->dev), 1), 0);
	assert_writes(disk, 1);
}

static void two_disks_share_nothing(void **state)
{
	struct disk *disk = *state;
	struct disk other = { .host = disk->host };
	struct fakehost_chain *mine, *its;

	image_make(&other, IMAGE_BYTES);
	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(disk_create(&other, "other", UNSAFE, &other.dev), 0);
	assert_int_equal(fakehost_start(other.dev), 0);
	assert_int_equal(fakehost_activate(other.dev, LINUX_FEATURES & offered(other.dev), 1), 0);
	mine = ask_write(disk, 0, 1, SECTOR);
	its = ask_write(&other, 1, 2, SECTOR);
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_ends(&other, its, 0, VIRTIO_BLK_S_OK);
	assert_pending(mine);
	assert_true(image_is(disk, SECTOR, SECTOR, -1));
	assert_true(image_is(&other, 0, SECTOR, -1));
	assert_true(image_is(&other, SECTOR, SECTOR, 2));
	assert_flushes(&other, 0);
	close(other.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(writeback_flushes_when_asked),
		DISK_TEST(writethrough_flushes_each_write),
		DISK_TEST(unsafe_never_flushes),
		DISK_TEST(a_driver_without_flush_gets_writethrough),
		DISK_TEST(a_driver_without_wce_cannot_choose),
		DISK_TEST(a_guest_chooses_its_cache),
		DISK_TEST(wce_without_flush_begins_with_writethrough),
		DISK_TEST(a_choice_before_the_driver_is_ready_counts),
		DISK_TEST(the_rest_of_config_space_is_not_the_guests),
		DISK_TEST(errors_become_statuses),
		DISK_TEST(failures_do_not_fill_the_log),
		DISK_TEST(a_failed_write_is_not_flushed),
		DISK_TEST(a_failed_segment_ends_the_list),
		DISK_TEST(a_file_cut_short_fails_reads),
		DISK_TEST(those_that_wait_are_done_in_order),
		DISK_TEST(what_is_done_does_not_wait),
		DISK_TEST(steps_find_room_again),
		DISK_TEST(a_reset_forgets_what_waits),
		DISK_TEST(a_reset_between_the_steps_of_a_write),
		DISK_TEST(two_disks_share_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
