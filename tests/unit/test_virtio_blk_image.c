/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk plugin's configuration: which images it takes, how it locks them, what it says of itself, and how it is saved. */
#include "tests/unit/blk_fixture.h"

#include <time.h>

/* It cannot be made, and these words of the last line of the log say why. */
static void assert_refused(struct disk *disk, const struct fakehost_pair *values, int error, const char *words)
{
	struct fakehost_dev *dev;
	uint32_t before = fakehost_log_count(disk->host, "");

	assert_int_equal(disk_create(disk, "refused", values, &dev), error);
	assert_int_equal(fakehost_log_count(disk->host, ""), before + 1);
	assert_non_null(strstr(fakehost_log_line(disk->host, before, NULL), words));
}

static void assert_taken(struct disk *disk, const struct fakehost_pair *values)
{
	struct fakehost_dev *dev;

	assert_int_equal(disk_create(disk, "taken", values, &dev), 0);
	fakehost_destroy(dev);
}

/* ---- formats ---- */

static void foreign_formats_are_refused(void **state)
{
	static const struct {
		const char *name;
		int at; /* from the end where negative */
		size_t bytes;
		const char *magic;
	} cases[] = {
		{ "qcow2 or qcow", 0, 4, "QFI\xfb" },
		{ "QED", 0, 4, "QED\0" },
		{ "VMDK", 0, 4, "KDMV" },
		{ "VMDK", 0, 4, "COWD" },
		{ "VMDK", 0, 21, "# Disk DescriptorFile" },
		{ "VHDX", 0, 8, "vhdxfile" },
		{ "VHD", 0, 8, "conectix" },
		{ "VHD", -512, 8, "conectix" },
		{ "VDI", 0x40, 4, "\x7f\x10\xda\xbe" },
		{ "Parallels", 0, 16, "WithoutFreeSpace" },
		{ "Parallels", 0, 16, "WithouFreSpacExt" },
		{ "Bochs", 0, 18, "Bochs Virtual HD I" },
		{ "UDIF", -512, 4, "koly" },
	};
	static const struct fakehost_pair raw[] = { { "format", "raw" }, { NULL, NULL } };
	struct disk *disk = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		off_t at = cases[i].at < 0 ? (off_t)IMAGE_BYTES + cases[i].at : cases[i].at;
		char words[64], saved[32];

		assert_int_equal(pread(disk->fd, saved, sizeof(saved), at), sizeof(saved));
		assert_int_equal(pwrite(disk->fd, cases[i].magic, cases[i].bytes, at), cases[i].bytes);
		snprintf(words, sizeof(words), "looks like a %s image", cases[i].name);
		assert_refused(disk, NO_VALUES, -EMEDIUMTYPE, words);
		assert_taken(disk, raw);
		/* All of its magic is looked at. */
		assert_int_equal(pwrite(disk->fd, "?", 1, at + (off_t)cases[i].bytes - 1), 1);
		assert_taken(disk, NO_VALUES);
		assert_int_equal(pwrite(disk->fd, saved, sizeof(saved), at), sizeof(saved));
	}
	assert_taken(disk, NO_VALUES);
}

/* What is before the end of an image of one sector is also its beginning. */
static void one_sector_is_a_disk(void **state)
{
	struct disk *disk = *state;

	assert_int_equal(ftruncate(disk->fd, SECTOR), 0);
	assert_taken(disk, NO_VALUES);
	assert_int_equal(pwrite(disk->fd, "koly", 4, 0), 4);
	assert_refused(disk, NO_VALUES, -EMEDIUMTYPE, "looks like a UDIF image");
}

/* ---- files that are no disks ---- */

static void sizes_that_cannot_be_are_refused(void **state)
{
	static const off_t sizes[] = { 1, 511, 513, IMAGE_BYTES - 1 };
	struct disk *disk = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		assert_int_equal(ftruncate(disk->fd, sizes[i]), 0);
		assert_refused(disk, NO_VALUES, -EINVAL, "not a multiple of its block size, 512");
	}
	assert_int_equal(ftruncate(disk->fd, 0), 0);
	assert_refused(disk, NO_VALUES, -EINVAL, "is empty");
}

static void a_directory_is_refused(void **state)
{
	static const struct fakehost_pair readonly[] = { { "readonly", "true" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct disk folder = { .host = disk->host, .path = "/" };

	assert_refused(&folder, readonly, -EINVAL, "\"/\" is neither a file nor a block device");
	snprintf(folder.path, sizeof(folder.path), "/dev/null");
	assert_refused(&folder, NO_VALUES, -EINVAL, "\"/dev/null\" is neither a file nor a block device");
}

static void values_that_cannot_be_are_refused(void **state)
{
	static const struct fakehost_pair sizes[][2] = {
		{ { "block_size", "1K" }, { NULL, NULL } },
		{ { "block_size", "513" }, { NULL, NULL } },
		{ { "block_size", "2K" }, { NULL, NULL } },
	};
	static const struct fakehost_pair bounds[][2] = {
		{ { "block_size", "256" }, { NULL, NULL } }, { { "block_size", "8K" }, { NULL, NULL } },
		{ { "queues", "0" }, { NULL, NULL } },       { { "queues", "17" }, { NULL, NULL } },
		{ { "cache", "none" }, { NULL, NULL } },     { { "format", "qcow2" }, { NULL, NULL } },
		{ { "engine", "posix" }, { NULL, NULL } },
	};
	static const struct fakehost_pair serial[] = { { "serial", "0123456789abcdefghijk" }, { NULL, NULL } };
	struct disk *disk = *state;

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		assert_refused(disk, sizes[i], -EINVAL, "only 512 and 4096 can be used");
	for (size_t i = 0; i < COUNT_OF(bounds); i++)
		assert_refused(disk, bounds[i], -EINVAL, bounds[i][0].name);
	assert_refused(disk, serial, -EINVAL, "serial is longer than 20 bytes");
}

/* ---- locks ---- */

/* The pauses between attempts at a lock come here (--wrap=nanosleep) and take no time. */
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);

static struct {
	uint32_t count;
	uint64_t ns;
	uint32_t ends_at; /* the pause in which `holder` lets go; 0: never */
	int holder;
} pauses;

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
	(void)left;
	pauses.ns += (uint64_t)pause->tv_sec * 1000000000u + (uint64_t)pause->tv_nsec;
	if (++pauses.count == pauses.ends_at)
		close(pauses.holder);
	return 0;
}

/* Another open file description of the image, with a lock. */
static int hold(const struct disk *disk, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
	int fd = open(disk->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

static void a_lock_that_ends_within_a_second_is_waited_for(void **state)
{
	static const struct fakehost_pair readonly[] = { { "readonly", "true" }, { NULL, NULL } };
	static const uint32_t ends[] = { 1, 2, 50 };
	struct disk *disk = *state;

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		for (int reads = 0; reads < 2; reads++) {
			memset(&pauses, 0, sizeof(pauses));
			pauses.ends_at = ends[i];
			pauses.holder = hold(disk, F_WRLCK);
			assert_taken(disk, reads ? readonly : NO_VALUES);
			assert_int_equal(pauses.count, ends[i]);
		}
	}
	assert_int_equal(fakehost_log_count(disk->host, ""), 0);
}

static void a_lock_that_stays_is_waited_for_a_second(void **state)
{
	struct disk *disk = *state;

	memset(&pauses, 0, sizeof(pauses));
	pauses.holder = hold(disk, F_RDLCK);
	assert_refused(disk, NO_VALUES, -EBUSY, "is in use by another machine or program");
	assert_int_equal(pauses.ns, 1000000000);
	close(pauses.holder);
	/* Nobody has it, nobody waits. */
	memset(&pauses, 0, sizeof(pauses));
	assert_taken(disk, NO_VALUES);
	assert_int_equal(pauses.count, 0);
}

static void an_image_has_one_writer_or_many_readers(void **state)
{
	static const struct fakehost_pair readonly[] = { { "readonly", "true" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct fakehost_dev *first, *second;

	assert_int_equal(disk_create(disk, "writer", NO_VALUES, &first), 0);
	assert_refused(disk, NO_VALUES, -EBUSY, "is in use by another machine or program");
	assert_refused(disk, readonly, -EBUSY, "is in use by another machine or program, which writes to it");
	/* One that was refused has not taken the lock away. */
	assert_refused(disk, NO_VALUES, -EBUSY, "is in use");
	fakehost_destroy(first);
	assert_int_equal(disk_create(disk, "reader", readonly, &first), 0);
	assert_int_equal(disk_create(disk, "reader too", readonly, &second), 0);
	assert_refused(disk, NO_VALUES, -EBUSY, "is in use");
	fakehost_destroy(first);
	assert_refused(disk, NO_VALUES, -EBUSY, "is in use");
	fakehost_destroy(second);
	assert_taken(disk, NO_VALUES);
}

static void readonly_needs_no_permission_to_write(void **state)
{
	static const struct fakehost_pair readonly[] = { { "readonly", "true" }, { NULL, NULL } };
	struct disk *disk = *state;

	/* Nobody can get a descriptor for writing any more, not even root. */
	assert_int_equal(fcntl(disk->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	disk_run(disk, readonly, 0);
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
}

/* ---- what it says of itself ---- */

static struct virtio_blk_config config_of(const struct fakehost_dev *dev)
{
	struct virtio_blk_config config = { 0 };

	/* 5.2.4, up to unused1; what follows there is of features that it has not. */
	assert_int_equal(fakehost_config_read(dev, 0, &config, offsetof(struct virtio_blk_config, unused1) + 3), 0);
	assert_int_equal(fakehost_config_read(dev, 0, &config, offsetof(struct virtio_blk_config, unused1) + 4),
			 -EINVAL);
	return config;
}

static void config_space_describes_the_disk(void **state)
{
	struct disk *disk = *state;
	struct virtio_blk_config config;

	fakehost_vcpus(disk->host, 3);
	disk_open(disk, NO_VALUES);
	config = config_of(disk->dev);
	assert_int_equal(le64toh(config.capacity), SECTORS);
	assert_int_equal(le32toh(config.seg_max), 254);
	assert_int_equal(le32toh(config.blk_size), 512);
	assert_int_equal(config.physical_block_exp, 3);
	assert_int_equal(config.alignment_offset, 0);
	assert_int_equal(le16toh(config.min_io_size), 8);
	assert_int_equal(config.wce, 1);
	assert_int_equal(le16toh(config.num_queues), 3);
	assert_int_equal(le32toh(config.max_discard_seg), 16);
	assert_int_equal(le32toh(config.max_write_zeroes_seg), 16);
	assert_int_equal(le32toh(config.discard_sector_alignment), 8);
	assert_int_equal(le32toh(config.max_discard_sectors), 1u << 22);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	assert_int_equal(config.unused, 0);
	assert_int_equal(offered(disk->dev), LINUX_FEATURES & ~BIT(VIRTIO_BLK_F_RO));
}

static void blocks_of_4096_bytes_are_described(void **state)
{
	static const struct fakehost_pair values[] = { { "block_size", "4K" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct virtio_blk_config config;

	disk_open(disk, values);
	config = config_of(disk->dev);
	/* 5.2.4: always in sectors of 512 bytes. */
	assert_int_equal(le64toh(config.capacity), SECTORS);
	assert_int_equal(le32toh(config.blk_size), 4096);
	assert_int_equal(config.physical_block_exp, 0);
	assert_int_equal(le16toh(config.min_io_size), 1);
	fakehost_destroy(disk->dev);
	assert_int_equal(ftruncate(disk->fd, IMAGE_BYTES - SECTOR), 0);
	assert_refused(disk, values, -EINVAL, "not a multiple of its block size, 4096");
}

static void each_vcpu_has_a_queue(void **state)
{
	static const struct {
		const char *queues; /* configured, or NULL */
		uint32_t vcpus;
		uint32_t expected;
	} cases[] = {
		{ NULL, 1, 1 },  { NULL, 2, 2 },  { NULL, 4, 4 }, { NULL, 5, 4 },
		{ NULL, 64, 4 }, { "16", 1, 16 }, { "1", 8, 1 },
	};
	struct disk *disk = *state;
	uint32_t queues;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct fakehost_pair values[] = { { cases[i].queues ? "queues" : NULL, cases[i].queues },
							{ NULL, NULL } };

		fakehost_vcpus(disk->host, cases[i].vcpus);
		disk_open(disk, values);
		assert_int_equal(!!(fakehost_virtio_offer(disk->dev, &queues) & BIT(VIRTIO_BLK_F_MQ)),
				 cases[i].expected > 1);
		assert_int_equal(queues, cases[i].expected);
		assert_int_equal(le16toh(config_of(disk->dev).num_queues), cases[i].expected);
		fakehost_destroy(disk->dev);
	}
}

/* ---- state ---- */

static void state_makes_a_round_trip(void **state)
{
	static const char *const caches[] = { "writeback", "writethrough", "unsafe" };
	struct disk *disk = *state;

	for (size_t i = 0; i < COUNT_OF(caches); i++) {
		const struct fakehost_pair values[] = { { "cache", caches[i] }, { NULL, NULL } };

		disk_open(disk, values);
		assert_int_equal(fakehost_check_state(disk->dev), 0);
		assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev), 1), 0);
		assert_int_equal(fakehost_check_state(disk->dev), 0);
		fakehost_config_write(disk->dev, offsetof(struct virtio_blk_config, wce), "", 1);
		assert_int_equal(fakehost_check_state(disk->dev), 0);
		assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
		fakehost_destroy(disk->dev);
	}
}

/* What the guest has chosen arrives; requests that were under way have been finished. */
static void a_saved_disk_goes_on(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;
	struct fakehost_bytes saved;
	uint8_t wce = 0;

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(fakehost_config_write(disk->dev, offsetof(struct virtio_blk_config, wce), &wce, 1), 0);
	chain = ask_write(disk, 0, 5, SECTOR);
	assert_int_equal(fakehost_quiesce(disk->dev), 0);
	assert_status(chain, 0, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_save(disk->dev, &saved), 0);
	fakehost_destroy(disk->dev);
	disk_open(disk, NO_VALUES);
	assert_int_equal(config_of(disk->dev).wce, 1);
	assert_int_equal(fakehost_quiesce(disk->dev), 0);
	assert_int_equal(fakehost_restore(disk->dev, &saved), 0);
	assert_int_equal(fakehost_resume(disk->dev), 0);
	assert_int_equal(config_of(disk->dev).wce, 0);
	/* Its driver is there again, and has not changed its mind. */
	assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev), 1), 0);
	assert_int_equal(config_of(disk->dev).wce, 0);
	fakehost_bytes_free(&saved);
}

/* Tags are the plugin's own: 1 is whether there is a driver, 2 its features, 3 writeback, 4 whether that was chosen. */
static void hostile_states_are_refused(void **state)
{
	static const struct {
		uint32_t tag;
		uint64_t value;
	} cases[] = {
		{ 1, 2 }, { 1, UINT64_MAX }, { 2, UINT64_MAX }, { 2, BIT(VIRTIO_BLK_F_RO) },
		{ 3, 2 }, { 3, 256 },        { 4, 2 },
	};
	struct disk *disk = *state;
	struct fakehost_bytes saved;

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(fakehost_quiesce(disk->dev), 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(fakehost_save(disk->dev, &saved), 0);
		assert_int_equal(fakehost_bytes_uint(&saved, cases[i].tag, cases[i].value), 0);
		assert_true(fakehost_restore(disk->dev, &saved) < 0);
		fakehost_bytes_free(&saved);
	}
	assert_int_equal(config_of(disk->dev).wce, 1);
}

/* A state of another configuration does not take the deployer's writethrough away. */
static void the_deployers_choice_stands(void **state)
{
	static const struct fakehost_pair through[] = { { "cache", "writethrough" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct fakehost_bytes saved;

	disk_open(disk, NO_VALUES);
	assert_int_equal(fakehost_quiesce(disk->dev), 0);
	assert_int_equal(fakehost_save(disk->dev, &saved), 0);
	fakehost_destroy(disk->dev);
	disk_open(disk, through);
	assert_int_equal(fakehost_quiesce(disk->dev), 0);
	assert_int_equal(fakehost_restore(disk->dev, &saved), 0);
	assert_int_equal(config_of(disk->dev).wce, 0);
	fakehost_bytes_free(&saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(foreign_formats_are_refused),
		DISK_TEST(one_sector_is_a_disk),
		DISK_TEST(sizes_that_cannot_be_are_refused),
		DISK_TEST(a_directory_is_refused),
		DISK_TEST(values_that_cannot_be_are_refused),
		DISK_TEST(a_lock_that_ends_within_a_second_is_waited_for),
		DISK_TEST(a_lock_that_stays_is_waited_for_a_second),
		DISK_TEST(an_image_has_one_writer_or_many_readers),
		DISK_TEST(readonly_needs_no_permission_to_write),
		DISK_TEST(config_space_describes_the_disk),
		DISK_TEST(blocks_of_4096_bytes_are_described),
		DISK_TEST(each_vcpu_has_a_queue),
		DISK_TEST(state_makes_a_round_trip),
		DISK_TEST(a_saved_disk_goes_on),
		DISK_TEST(hostile_states_are_refused),
		DISK_TEST(the_deployers_choice_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
