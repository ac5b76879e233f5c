/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk (plugins/virtio-blk, linked in) on the fake host, with the test as the guest and an image of a pattern behind it. The protocol's
 * numbers are the system's, from <linux/virtio_blk.h>, so that the plugin's own are compared with them.
 */
#ifndef TESTS_UNIT_BLK_FIXTURE_H
#define TESTS_UNIT_BLK_FIXTURE_H

#include "sdk/check/fakehost.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct bp_plugin backplane_plugin;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)          (UINT64_C(1) << (n))
#define SECTOR          512u
#define SECTORS         256u
#define IMAGE_BYTES     (SECTOR * SECTORS)
#define DEPTH           256u /* of a disk with one queue */
#define NO_VALUES       ((const struct fakehost_pair[]){ { NULL, NULL } })

/* What Linux's driver takes, as far as it is offered. */
#define LINUX_FEATURES                                                                                             \
	(BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_FLUSH) | \
	 BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_CONFIG_WCE) | BIT(VIRTIO_BLK_F_MQ) |                        \
	 BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES))

struct disk {
	struct fakehost *host;
	struct fakehost_dev *dev;
	char path[64];
	int fd; /* the test's own, of the file in memory that `path` opens */
};

/* ---- the image ---- */

static inline uint8_t pattern(uint64_t offset)
{
	return (uint8_t)(offset / SECTOR * 7 + offset % SECTOR * 3 + 1);
}

static inline void image_make(struct disk *disk, uint64_t bytes)
{
	uint8_t buf[IMAGE_BYTES];

	disk->fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(disk->fd >= 0);
	snprintf(disk->path, sizeof(disk->path), "/proc/self/fd/%d", disk->fd);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = pattern(i);
	for (uint64_t at = 0; at < bytes; at += sizeof(buf)) {
		size_t part = bytes - at < sizeof(buf) ? (size_t)(bytes - at) : sizeof(buf);

		assert_int_equal(pwrite(disk->fd, buf, part, (off_t)at), part);
	}
}

/* Whether [offset, offset + bytes) of the image is `byte`, or the pattern where that is negative. */
static inline int image_is(const struct disk *disk, uint64_t offset, uint32_t bytes, int byte)
{
	uint8_t buf[IMAGE_BYTES];

	assert_int_equal(pread(disk->fd, buf, bytes, (off_t)offset), bytes);
	for (uint32_t i = 0; i < bytes; i++)
		if (buf[i] != (byte < 0 ? pattern(offset + i) : (uint8_t)byte))
			return 0;
	return 1;
}

/* ---- the device ---- */

/* `values` besides the path. */
static inline int disk_create(struct disk *disk, const char *id, const struct fakehost_pair *values,
			      struct fakehost_dev **ret)
{
	struct fakehost_pair all[16] = { { "path", disk->path } };

	for (size_t i = 0; values[i].name; i++)
		all[i + 1] = values[i];
	return fakehost_create(disk->host, fakehost_class(&backplane_plugin, "virtio-blk"), id, all, ret);
}

static inline uint64_t offered(const struct fakehost_dev *dev)
{
	return fakehost_virtio_offer(dev, NULL);
}

static inline void disk_open(struct disk *disk, const struct fakehost_pair *values)
{
	assert_int_equal(disk_create(disk, "disk", values, &disk->dev), 0);
	assert_int_equal(fakehost_start(disk->dev), 0);
}

/* With a driver that takes all but some features. */
static inline void disk_run(struct disk *disk, const struct fakehost_pair *values, uint64_t without)
{
	uint32_t queues;

	disk_open(disk, values);
	fakehost_virtio_offer(disk->dev, &queues);
	assert_int_equal(fakehost_activate(disk->dev, offered(disk->dev) & LINUX_FEATURES & ~without, queues), 0);
}

static inline int disk_setup(void **state)
{
	struct disk *disk = calloc(1, sizeof(*disk));

	assert_non_null(disk);
	assert_int_equal(fakehost_new(4096, &disk->host), 0);
	image_make(disk, IMAGE_BYTES);
	*state = disk;
	return 0;
}

/* Every test ends here: no device has broken the contract. */
static inline int disk_teardown(void **state)
{
	struct disk *disk = *state;
	uint32_t breaches = fakehost_breaches(disk->host);

	for (uint32_t i = 0; breaches && fakehost_log_line(disk->host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(disk->host, i, NULL));
	fakehost_free(disk->host);
	close(disk->fd);
	free(disk);
	return breaches ? -1 : 0;
}

/* ---- requests ---- */

/* A request of `type` with `out_bytes` behind its header and room for `in_bytes` before its status. */
static inline struct fakehost_chain *ask_dev(struct fakehost_dev *dev, uint32_t type, uint64_t sector, const void *out,
					     size_t out_bytes, size_t in_bytes)
{
	const struct virtio_blk_outhdr header = { .type = htole32(type), .sector = htole64(sector) };
	struct fakehost_piece pieces[5] = { { &header, sizeof(header) } };
	struct fakehost_chain *chain;
	size_t count = 1;

	if (out_bytes)
		pieces[count++] = (struct fakehost_piece){ out, out_bytes };
	if (in_bytes)
		pieces[count++] = (struct fakehost_piece){ NULL, in_bytes };
	pieces[count++] = (struct fakehost_piece){ NULL, 1 };
	assert_int_equal(fakehost_chain(dev, 0, pieces, &chain), 0);
	return chain;
}

static inline struct fakehost_chain *ask(struct disk *disk, uint32_t type, uint64_t sector, const void *out,
					 size_t out_bytes, size_t in_bytes)
{
	return ask_dev(disk->dev, type, sector, out, out_bytes, in_bytes);
}

static inline struct fakehost_chain *ask_read(struct disk *disk, uint64_t sector, size_t bytes)
{
	return ask(disk, VIRTIO_BLK_T_IN, sector, NULL, 0, bytes);
}

/* `bytes` times `byte`. */
static inline struct fakehost_chain *ask_write(struct disk *disk, uint64_t sector, uint8_t byte, size_t bytes)
{
	uint8_t buf[IMAGE_BYTES];

	memset(buf, byte, bytes);
	return ask(disk, VIRTIO_BLK_T_OUT, sector, buf, bytes, 0);
}

static inline struct fakehost_chain *ask_flush(struct disk *disk)
{
	return ask(disk, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0);
}

static inline struct fakehost_chain *ask_range(struct disk *disk, uint32_t type, uint64_t sector, uint32_t sectors,
					       uint32_t flags)
{
	const struct virtio_blk_discard_write_zeroes segment = { .sector = htole64(sector),
								 .num_sectors = htole32(sectors),
								 .flags = htole32(flags) };

	return ask(disk, type, 0, &segment, sizeof(segment), 0);
}

/* The operation that waits at `index` is of this kind. */
static inline void assert_op(const struct disk *disk, uint32_t index, uint32_t kind)
{
	struct fakehost_op op;

	assert_int_equal(fakehost_io_look(disk->dev, index, &op), 0);
	assert_int_equal(op.op, kind);
}

static inline void assert_pending(const struct fakehost_chain *chain)
{
	assert_int_equal(fakehost_chain_order(chain), 0);
}

/* It is over, with a status behind `in_bytes` of data. */
static inline void assert_status(const struct fakehost_chain *chain, size_t in_bytes, uint8_t expected)
{
	uint8_t status[2];

	assert_int_not_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(fakehost_chain_get(chain, in_bytes, status, 2), 1);
	assert_int_equal(status[0], expected);
}

/* All that waits is carried out, then it is over. */
static inline void assert_ends(struct disk *disk, const struct fakehost_chain *chain, size_t in_bytes, uint8_t expected)
{
	fakehost_io_run(disk->dev, UINT32_MAX);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_status(chain, in_bytes, expected);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, disk_setup, disk_teardown)

#endif
