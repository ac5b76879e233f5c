/* SPDX-License-Identifier: BSD-3-Clause */
/* The disk plugin's requests, one by one: what each does, and what becomes of those that cannot be. */
#include "tests/unit/blk_fixture.h"

/* ---- reading and writing ---- */

static void a_read_gives_what_is_there(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;
	uint8_t buf[4096];

	disk_run(disk, NO_VALUES, 0);
	chain = ask_read(disk, 3, sizeof(buf));
	assert_op(disk, 0, BP_IO_READ);
	assert_pending(chain);
	assert_ends(disk, chain, sizeof(buf), VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_used(chain), sizeof(buf) + 1);
	assert_int_equal(fakehost_chain_get(chain, 0, buf, sizeof(buf)), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], pattern((uint64_t)3 * SECTOR + i));
}

static void a_write_arrives(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	chain = ask_write(disk, 5, 0xee, 1024);
	assert_op(disk, 0, BP_IO_WRITE);
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_used(chain), 1);
	assert_true(image_is(disk, 0, 5 * SECTOR, -1));
	assert_true(image_is(disk, 5 * SECTOR, 1024, 0xee));
	assert_true(image_is(disk, 7 * SECTOR, IMAGE_BYTES - 7 * SECTOR, -1));
}

/* 2.7.4.3: where a descriptor ends means nothing; the status may share one with data. */
static void pieces_can_be_cut_anywhere(void **state)
{
	struct disk *disk = *state;
	const struct virtio_blk_outhdr header = { .sector = htole64(9) };
	const uint8_t *bytes = (const uint8_t *)&header;
	const struct fakehost_piece reads[] = { { bytes, 1 },  { bytes + 1, 14 }, { bytes + 15, 1 }, { NULL, 1 },
						{ NULL, 300 }, { NULL, 212 },     { NULL, 0 } };
	uint8_t write[16 + SECTOR] = { VIRTIO_BLK_T_OUT, 0, 0, 0, 0, 0, 0, 0, 20 };
	const struct fakehost_piece writes[] = { { write, 17 }, { write + 17, SECTOR - 1 }, { NULL, 1 }, { NULL, 0 } };
	struct fakehost_chain *chain;
	uint8_t buf[SECTOR];

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(fakehost_chain(disk->dev, 0, reads, &chain), 0);
	assert_ends(disk, chain, SECTOR, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_used(chain), SECTOR + 1);
	assert_int_equal(fakehost_chain_get(chain, 0, buf, SECTOR), SECTOR);
	for (size_t i = 0; i < SECTOR; i++)
		assert_int_equal(buf[i], pattern((uint64_t)9 * SECTOR + i));
	memset(write + 16, 0xdd, SECTOR);
	assert_int_equal(fakehost_chain(disk->dev, 0, writes, &chain), 0);
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_OK);
	assert_true(image_is(disk, 20 * SECTOR, SECTOR, 0xdd));
}

static void filters_learn_what_it_is(void **state)
{
	static const struct {
		uint32_t type, kind;
	} cases[] = {
		{ VIRTIO_BLK_T_IN, BP_OP_READ },
		{ VIRTIO_BLK_T_OUT, BP_OP_WRITE },
		{ VIRTIO_BLK_T_FLUSH, BP_OP_FLUSH },
		{ VIRTIO_BLK_T_DISCARD, BP_OP_DISCARD },
		{ VIRTIO_BLK_T_GET_ID, BP_OP_OTHER },
		{ VIRTIO_BLK_T_WRITE_ZEROES, BP_OP_DISCARD },
		{ 77, BP_OP_OTHER },
	};
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(fakehost_chain_kind(ask(disk, cases[i].type, 0, NULL, 0, 0)), cases[i].kind);
}

static void metrics_count(void **state)
{
	static const struct {
		const char *name;
		uint64_t value;
	} cases[] = {
		{ "reads", 2 },
		{ "writes", 1 },
		{ "flushes", 1 },
		{ "discards", 2 },
		{ "errors", 1 },
		{ "read_bytes", 3 * SECTOR },
		{ "write_bytes", SECTOR },
	};
	struct disk *disk = *state;
	uint64_t value;

	disk_run(disk, NO_VALUES, 0);
	ask_read(disk, 0, SECTOR);
	ask_read(disk, 0, (size_t)2 * SECTOR);
	ask_write(disk, 0, 1, SECTOR);
	ask_flush(disk);
	ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0);
	ask_range(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0);
	ask_read(disk, SECTORS, SECTOR);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(fakehost_metric(disk->dev, cases[i].name, &value), 0);
		assert_int_equal(value, cases[i].value);
	}
}

/* ---- identity ---- */

static void the_id_is_the_serial(void **state)
{
	static const struct fakehost_pair values[] = { { "serial", "0123456789abcdefghij" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct fakehost_chain *chain;
	char id[21] = "";

	disk_run(disk, values, 0);
	chain = ask(disk, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, VIRTIO_BLK_ID_BYTES);
	assert_status(chain, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_used(chain), VIRTIO_BLK_ID_BYTES + 1);
	assert_int_equal(fakehost_chain_get(chain, 0, id, VIRTIO_BLK_ID_BYTES), VIRTIO_BLK_ID_BYTES);
	assert_string_equal(id, "0123456789abcdefghij");
	/* More room than it needs: the guest is told of no more than was written without a gap. */
	chain = ask(disk, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, 64);
	assert_status(chain, 64, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_used(chain), VIRTIO_BLK_ID_BYTES);
}

static void an_id_without_room_is_refused(void **state)
{
	static const struct fakehost_pair values[] = { { "serial", "s" }, { NULL, NULL } };
	struct disk *disk = *state;
	struct fakehost_chain *chain;
	uint8_t byte;

	disk_run(disk, values, 0);
	for (size_t bytes = 0; bytes < VIRTIO_BLK_ID_BYTES; bytes++) {
		chain = ask(disk, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, bytes);
		assert_status(chain, bytes, VIRTIO_BLK_S_IOERR);
		assert_int_equal(fakehost_chain_used(chain), bytes ? 0 : 1);
		assert_true(!bytes || (fakehost_chain_get(chain, 0, &byte, 1) == 1 && byte == 0xa5));
	}
	/* A short serial number ends with zeroes. */
	chain = ask(disk, VIRTIO_BLK_T_GET_ID, 0, NULL, 0, VIRTIO_BLK_ID_BYTES);
	assert_int_equal(fakehost_chain_get(chain, 1, &byte, 1), 1);
	assert_int_equal(byte, 0);
}

/* ---- requests that cannot be ---- */

static void a_runt_header_fails(void **state)
{
	static const uint8_t header[16];
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	for (size_t bytes = 0; bytes < sizeof(header); bytes++) {
		const struct fakehost_piece without[] = { { NULL, SECTOR + 1 }, { NULL, 0 } };
		const struct fakehost_piece with[] = { { header, bytes }, { NULL, SECTOR + 1 }, { NULL, 0 } };

		assert_int_equal(fakehost_chain(disk->dev, 0, bytes ? with : without, &chain), 0);
		assert_status(chain, SECTOR, VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_false(fakehost_is_broken(disk->dev));
}

static void without_a_status_byte_the_device_is_broken(void **state)
{
	static const uint8_t header[16 + SECTOR] = { VIRTIO_BLK_T_OUT };
	const struct fakehost_piece pieces[] = { { header, sizeof(header) }, { NULL, 0 } };
	const struct fakehost_piece nothing[] = { { NULL, 0 } };
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	assert_int_equal(fakehost_chain(disk->dev, 0, pieces, &chain), 0);
	assert_true(fakehost_is_broken(disk->dev));
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_int_equal(fakehost_chains_left(disk->dev, 0), 0);
	/* A reset brings it back. */
	assert_int_equal(fakehost_reset(disk->dev), 0);
	assert_int_equal(fakehost_activate(disk->dev, 0, 1), 0);
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain(disk->dev, 0, nothing, &chain), 0);
	assert_true(fakehost_is_broken(disk->dev));
}

static void ranges_beyond_the_end_fail(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t bytes;
	} cases[] = {
		{ SECTORS, SECTOR },
		{ SECTORS - 1, 2 * SECTOR },
		{ SECTORS + 1, SECTOR },
		{ UINT64_MAX, SECTOR },
		{ UINT64_MAX / SECTOR, SECTOR },
		{ UINT64_MAX / SECTOR + 1, SECTOR },
		{ UINT64_MAX - 1, 4 * SECTOR },
		{ 0, IMAGE_BYTES + SECTOR },
		{ INT64_MAX, SECTOR },
		{ INT64_MAX / SECTOR, SECTOR },
		{ SECTORS + 1, 0 },
	};
	struct disk *disk = *state;
	uint8_t *bytes = calloc(1, IMAGE_BYTES + SECTOR);
	struct fakehost_chain *chain;

	assert_non_null(bytes);
	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		chain = ask_read(disk, cases[i].sector, cases[i].bytes);
		assert_status(chain, cases[i].bytes, VIRTIO_BLK_S_IOERR);
		chain = ask(disk, VIRTIO_BLK_T_OUT, cases[i].sector, bytes, cases[i].bytes, 0);
		assert_status(chain, 0, VIRTIO_BLK_S_IOERR);
		assert_int_equal(fakehost_io_count(disk->dev), 0);
	}
	free(bytes);
	/* And up to the end they do not. */
	assert_ends(disk, ask_read(disk, SECTORS - 1, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
	assert_ends(disk, ask_read(disk, 0, IMAGE_BYTES), IMAGE_BYTES, VIRTIO_BLK_S_OK);
}

static void parts_of_blocks_fail(void **state)
{
	static const uint32_t sizes[] = { 1, 511, 513, 1023, SECTOR + 16 };
	struct disk *disk = *state;
	uint8_t bytes[2 * SECTOR] = { 0 };

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		assert_status(ask_read(disk, 0, sizes[i]), sizes[i], VIRTIO_BLK_S_IOERR);
		assert_status(ask(disk, VIRTIO_BLK_T_OUT, 0, bytes, sizes[i], 0), 0, VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_true(image_is(disk, 0, IMAGE_BYTES, -1));
}

static void blocks_of_4096_bytes_are_whole(void **state)
{
	static const struct fakehost_pair values[] = { { "block_size", "4K" }, { NULL, NULL } };
	struct disk *disk = *state;

	disk_run(disk, values, 0);
	assert_status(ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_IOERR);
	assert_status(ask_read(disk, 1, 4096), 4096, VIRTIO_BLK_S_IOERR);
	assert_status(ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 8, 1, 0), 0, VIRTIO_BLK_S_IOERR);
	assert_status(ask_range(disk, VIRTIO_BLK_T_DISCARD, 1, 8, 0), 0, VIRTIO_BLK_S_IOERR);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_ends(disk, ask_read(disk, 8, 4096), 4096, VIRTIO_BLK_S_OK);
	assert_ends(disk, ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8, 0), 0, VIRTIO_BLK_S_OK);
}

static void nothing_to_move_is_done_at_once(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	assert_status(ask_read(disk, 0, 0), 0, VIRTIO_BLK_S_OK);
	assert_status(ask_read(disk, SECTORS, 0), 0, VIRTIO_BLK_S_OK);
	assert_status(ask(disk, VIRTIO_BLK_T_OUT, 0, NULL, 0, 0), 0, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
}

static void unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {
		2, 3, 5, 6, 7, 9, 10, 12, 14, 15, 18, 26, 128, 256, UINT32_C(0x80000000), UINT32_MAX
	};
	struct disk *disk = *state;
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		chain = ask(disk, types[i], 0, "payload", 7, 100);
		assert_status(chain, 100, VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(fakehost_chain_used(chain), 0);
	}
	assert_int_equal(fakehost_io_count(disk->dev), 0);
}

static void data_on_the_wrong_side_moves_nothing(void **state)
{
	struct disk *disk = *state;
	struct fakehost_chain *chain;
	uint8_t byte;

	disk_run(disk, NO_VALUES, 0);
	/* A read with data to read and none to write, and a write with room to write. */
	assert_status(ask(disk, VIRTIO_BLK_T_IN, 0, "0123456789", 10, 0), 0, VIRTIO_BLK_S_OK);
	chain = ask(disk, VIRTIO_BLK_T_OUT, 0, NULL, 0, SECTOR);
	assert_status(chain, SECTOR, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_chain_get(chain, 0, &byte, 1), 1);
	assert_int_equal(byte, 0xa5);
	assert_int_equal(fakehost_chain_used(chain), 0);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_true(image_is(disk, 0, IMAGE_BYTES, -1));
}

/* ---- discard and write zeroes ---- */

static void zeroes_are_written(void **state)
{
	struct disk *disk = *state;
	struct fakehost_op op;

	disk_run(disk, NO_VALUES, 0);
	ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 4, 3, 0);
	assert_int_equal(fakehost_io_look(disk->dev, 0, &op), 0);
	assert_int_equal(op.op, BP_IO_WRITE_ZEROES);
	assert_int_equal(op.flags, 0);
	assert_int_equal(op.offset, 4 * SECTOR);
	assert_int_equal(op.bytes, 3 * SECTOR);
	assert_ends(disk, ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 10, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), 0,
		    VIRTIO_BLK_S_OK);
	assert_true(image_is(disk, 4 * SECTOR, 3 * SECTOR, 0));
	assert_true(image_is(disk, 7 * SECTOR, 3 * SECTOR, -1));
	assert_true(image_is(disk, 10 * SECTOR, SECTOR, 0));
	ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	assert_int_equal(fakehost_io_look(disk->dev, 0, &op), 0);
	assert_int_equal(op.flags, BP_IO_F_UNMAP);
}

static void segments_are_done_one_by_one(void **state)
{
	struct disk *disk = *state;
	struct virtio_blk_discard_write_zeroes segments[16];
	struct fakehost_chain *chain;
	struct fakehost_op op;

	disk_run(disk, NO_VALUES, 0);
	for (uint32_t i = 0; i < 16; i++)
		segments[i] =
		    (struct virtio_blk_discard_write_zeroes){ .sector = htole64(2 * i), .num_sectors = htole32(1) };
	for (int discard = 0; discard < 2; discard++) {
		chain = ask(disk, discard ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES, 0, segments,
			    sizeof(segments), 0);
		for (uint32_t i = 0; i < 16; i++) {
			assert_int_equal(fakehost_io_count(disk->dev), 1);
			assert_int_equal(fakehost_io_look(disk->dev, 0, &op), 0);
			assert_int_equal(op.op, discard ? BP_IO_DISCARD : BP_IO_WRITE_ZEROES);
			assert_int_equal(op.offset, (uint64_t)2 * i * SECTOR);
			assert_int_equal(op.bytes, SECTOR);
			assert_pending(chain);
			assert_int_equal(fakehost_io_run(disk->dev, 1), 1);
			assert_true(discard || image_is(disk, (uint64_t)2 * i * SECTOR, SECTOR, 0));
			assert_true(image_is(disk, (uint64_t)(2 * i + 1) * SECTOR, SECTOR, -1));
		}
		assert_status(chain, 0, VIRTIO_BLK_S_OK);
	}
}

/* All segments are looked at before the first is done. */
static void wrong_segments_fail(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t sectors, flags;
		int discard;
		uint8_t status;
	} cases[] = {
		{ SECTORS, 1, 0, 0, VIRTIO_BLK_S_IOERR },
		{ SECTORS - 1, 2, 0, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX, 1, 0, 1, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX - 1, 2, 0, 0, VIRTIO_BLK_S_IOERR },
		{ UINT64_MAX / SECTOR + 1, 1, 0, 1, VIRTIO_BLK_S_IOERR },
		{ 0, UINT32_MAX, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 0, SECTORS + 1, 0, 1, VIRTIO_BLK_S_IOERR },
		{ 0, 0, 0, 0, VIRTIO_BLK_S_IOERR },
		{ 0, 1, 2, 0, VIRTIO_BLK_S_UNSUPP },
		{ 0, 1, UINT32_C(0x80000001), 0, VIRTIO_BLK_S_UNSUPP },
		{ 0, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, 1, VIRTIO_BLK_S_UNSUPP },
	};
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct virtio_blk_discard_write_zeroes segments[2] = {
			{ .sector = htole64(1), .num_sectors = htole32(1) },
			{ .sector = htole64(cases[i].sector),
			  .num_sectors = htole32(cases[i].sectors),
			  .flags = htole32(cases[i].flags) },
		};
		uint32_t type = cases[i].discard ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES;

		assert_status(ask(disk, type, 0, segments, sizeof(segments), 0), 0, cases[i].status);
		assert_int_equal(fakehost_io_count(disk->dev), 0);
	}
	assert_true(image_is(disk, 0, IMAGE_BYTES, -1));
}

static void lists_of_a_wrong_size_fail(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 17, 31, 17 * 16, 4096 };
	struct disk *disk = *state;
	struct virtio_blk_discard_write_zeroes segments[256];

	disk_run(disk, NO_VALUES, 0);
	for (size_t i = 0; i < COUNT_OF(segments); i++)
		segments[i] = (struct virtio_blk_discard_write_zeroes){ .num_sectors = htole32(1) };
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		assert_status(ask(disk, VIRTIO_BLK_T_DISCARD, 0, segments, sizes[i], 0), 0, VIRTIO_BLK_S_IOERR);
		assert_status(ask(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, segments, sizes[i], 0), 0, VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(fakehost_io_count(disk->dev), 0);
}

/* 5.2.6.1: a driver that has not negotiated them sends none. */
static void what_was_not_negotiated_is_unsupported(void **state)
{
	struct disk *disk = *state;

	disk_run(disk, NO_VALUES, BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_status(ask_range(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0), 0, VIRTIO_BLK_S_UNSUPP);
	assert_status(ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), 0, VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
}

/* A discard is a hint: a host that cannot take it changes nothing. */
static void a_discard_that_the_host_cannot_do_is_none(void **state)
{
	struct disk *disk = *state;
	struct virtio_blk_discard_write_zeroes segments[2] = {
		{ .sector = htole64(1), .num_sectors = htole32(1) },
		{ .sector = htole64(3), .num_sectors = htole32(1) },
	};
	struct fakehost_chain *chain;

	disk_run(disk, NO_VALUES, 0);
	fakehost_io_fail(disk->dev, -EOPNOTSUPP);
	chain = ask(disk, VIRTIO_BLK_T_DISCARD, 0, segments, sizeof(segments), 0);
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_OK);
	assert_true(image_is(disk, SECTOR, SECTOR, -1));
	fakehost_io_fail(disk->dev, -EIO);
	chain = ask(disk, VIRTIO_BLK_T_DISCARD, 0, segments, sizeof(segments), 0);
	assert_ends(disk, chain, 0, VIRTIO_BLK_S_IOERR);
	fakehost_io_fail(disk->dev, -EOPNOTSUPP);
	assert_ends(disk, ask_flush(disk), 0, VIRTIO_BLK_S_IOERR);
}

/* ---- a disk that cannot be written to ---- */

static void readonly_takes_no_writes(void **state)
{
	static const struct fakehost_pair values[] = { { "readonly", "true" }, { NULL, NULL } };
	struct disk *disk = *state;

	disk_run(disk, values, 0);
	assert_true(offered(disk->dev) & BIT(VIRTIO_BLK_F_RO));
	assert_false(offered(disk->dev) & (BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES)));
	assert_status(ask_write(disk, 0, 1, SECTOR), 0, VIRTIO_BLK_S_IOERR);
	assert_status(ask(disk, VIRTIO_BLK_T_OUT, 0, NULL, 0, 0), 0, VIRTIO_BLK_S_IOERR);
	assert_status(ask_range(disk, VIRTIO_BLK_T_DISCARD, 0, 1, 0), 0, VIRTIO_BLK_S_UNSUPP);
	assert_status(ask_range(disk, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), 0, VIRTIO_BLK_S_UNSUPP);
	assert_status(ask_flush(disk), 0, VIRTIO_BLK_S_OK);
	assert_int_equal(fakehost_io_count(disk->dev), 0);
	assert_ends(disk, ask_read(disk, 0, SECTOR), SECTOR, VIRTIO_BLK_S_OK);
	assert_true(image_is(disk, 0, IMAGE_BYTES, -1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(a_read_gives_what_is_there),
		DISK_TEST(a_write_arrives),
		DISK_TEST(pieces_can_be_cut_anywhere),
		DISK_TEST(filters_learn_what_it_is),
		DISK_TEST(metrics_count),
		DISK_TEST(the_id_is_the_serial),
		DISK_TEST(an_id_without_room_is_refused),
		DISK_TEST(a_runt_header_fails),
		DISK_TEST(without_a_status_byte_the_device_is_broken),
		DISK_TEST(ranges_beyond_the_end_fail),
		DISK_TEST(parts_of_blocks_fail),
		DISK_TEST(blocks_of_4096_bytes_are_whole),
		DISK_TEST(nothing_to_move_is_done_at_once),
		DISK_TEST(unknown_types_are_unsupported),
		DISK_TEST(data_on_the_wrong_side_moves_nothing),
		DISK_TEST(zeroes_are_written),
		DISK_TEST(segments_are_done_one_by_one),
		DISK_TEST(wrong_segments_fail),
		DISK_TEST(lists_of_a_wrong_size_fail),
		DISK_TEST(what_was_not_negotiated_is_unsupported),
		DISK_TEST(a_discard_that_the_host_cannot_do_is_none),
		DISK_TEST(readonly_takes_no_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
