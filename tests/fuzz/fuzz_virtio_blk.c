/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: the requests of a disk, on the fake host, with a file in memory as the image. The first byte chooses the configuration, the
 * second the driver's features; then come steps: a request made of pieces, io that is carried out, goes wrong or ends early,
 * resets, and writes to configuration space.
 *
 * Whatever the guest asks for, each operation of the host lies on the disk in whole blocks, and none writes to one that is
 * readonly; once the io is over every request has come back with a status that there is, and the contract has been kept.
 *
 * Linked in: plugins/virtio-blk sdk/check
 */
#include "sdk/check/fakehost.h"
#include "tests/fuzz/input.h"

#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMAGE_BYTES UINT64_C(65536)
#define PIECES_MAX  16u
#define CHAINS_MAX  512u

extern const struct bp_plugin backplane_plugin;

struct fuzz {
	struct input input;
	struct fakehost *host;
	struct fakehost_dev *dev;
	int fd;
	bool readonly;
	uint64_t block_bytes;
	uint8_t features; /* which of the offered the driver takes */
	struct {
		struct fakehost_chain *chain;
		uint64_t write_bytes;
	} chains[CHAINS_MAX];
	size_t chain_count;
};

/* ---- what must always be so ---- */

static void check_operations(const struct fuzz *fuzz)
{
	struct fakehost_op op;

	for (uint32_t i = 0; !fakehost_io_look(fuzz->dev, i, &op); i++) {
		if (op.op == BP_IO_FLUSH)
			continue;
		check(op.offset <= IMAGE_BYTES && op.bytes <= IMAGE_BYTES - op.offset && op.bytes);
		check(op.offset % fuzz->block_bytes == 0 && op.bytes % fuzz->block_bytes == 0);
		check(!fuzz->readonly || op.op == BP_IO_READ);
	}
}

static void check_chains(const struct fuzz *fuzz)
{
	for (size_t i = 0; i < fuzz->chain_count; i++) {
		const struct fakehost_chain *chain = fuzz->chains[i].chain;
		uint64_t write_bytes = fuzz->chains[i].write_bytes;
		uint8_t status = 0;

		check(fakehost_chain_used(chain) <= write_bytes);
		if (!fakehost_chain_order(chain))
			continue;
		check(write_bytes && fakehost_chain_get(chain, write_bytes - 1, &status, 1) == 1);
		check(status <= VIRTIO_BLK_S_UNSUPP);
	}
}

/* ---- steps ---- */

static void driver_comes(struct fuzz *fuzz)
{
	uint64_t offered = fakehost_virtio_offer(fuzz->dev, NULL), features = 0;

	for (uint32_t bit = 0, i = 0; bit < 64; bit++)
		if (offered >> bit & 1 && !(fuzz->features >> (i++ % 8) & 1))
			features |= UINT64_C(1) << bit;
	check(fakehost_activate(fuzz->dev, features, 1) == 0);
}

/* The pieces: how many of each kind, then the sizes; what the device reads comes from the input. */
static void request(struct fuzz *fuzz)
{
	struct fakehost_piece pieces[PIECES_MAX + 1] = { { NULL, 0 } };
	uint8_t kinds = next(&fuzz->input);
	size_t readable = kinds & 7, writable = kinds >> 4 & 7, count = 0;
	uint64_t write_bytes = 0;
	struct fakehost_chain *chain;

	for (size_t i = 0; i < readable; i++) {
		const uint8_t *data;
		size_t bytes = next(&fuzz->input);

		bytes = next_bytes(&fuzz->input, bytes, &data);
		if (bytes)
			pieces[count++] = (struct fakehost_piece){ data, bytes };
	}
	/* Data of a write, of which the contents do not matter. */
	if (kinds & 8) {
		static const uint8_t bytes[16 * 512];

		pieces[count++] = (struct fakehost_piece){ bytes, 512u * (1 + next(&fuzz->input) % 16u) };
	}
	for (size_t i = 0; i < writable; i++) {
		size_t bytes = next(&fuzz->input);

		bytes = bytes & 128 ? (bytes & 127) * 512 : bytes;
		if (!bytes)
			continue;
		pieces[count++] = (struct fakehost_piece){ NULL, bytes };
		write_bytes += bytes;
	}
	if (fuzz->chain_count == CHAINS_MAX || fakehost_chain(fuzz->dev, 0, pieces, &chain) < 0)
		return;
	fuzz->chains[fuzz->chain_count].chain = chain;
	fuzz->chains[fuzz->chain_count++].write_bytes = write_bytes;
	/* A request with a place for a status breaks nothing. */
	check(fakehost_is_broken(fuzz->dev) == !write_bytes);
}

static void reset(struct fuzz *fuzz)
{
	check(fakehost_reset(fuzz->dev) == 0);
	check(!fakehost_io_count(fuzz->dev) && !fakehost_chains_left(fuzz->dev, 0));
	driver_comes(fuzz);
}

static void write_config(struct fuzz *fuzz)
{
	uint8_t buf[8], before[32], after[32];
	uint32_t offset = next(&fuzz->input) % 64u, bytes = 1 + next(&fuzz->input) % 8u;

	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = next(&fuzz->input);
	check(fakehost_config_read(fuzz->dev, 0, before, sizeof(before)) == 0);
	fakehost_config_write(fuzz->dev, offset, buf, bytes);
	check(fakehost_config_read(fuzz->dev, 0, after, sizeof(after)) == 0);
	/* Nothing before writeback is the guest's. */
	check(!memcmp(before, after, sizeof(before)));
	check(fakehost_config_read(fuzz->dev, 32, after, 1) == 0 && after[0] <= 1);
}

static void step(struct fuzz *fuzz)
{
	static const int errors[] = { -EIO, -ENOSPC, -EOPNOTSUPP, -EINVAL };
	uint8_t what = next(&fuzz->input);

	switch (what & 7) {
	case 0:
		fakehost_io_run(fuzz->dev, 1u + (what >> 3));
		break;
	case 1:
		fakehost_io_run_at(fuzz->dev, what >> 3);
		break;
	case 2:
		fakehost_io_fail(fuzz->dev, errors[what >> 3 & 3]);
		break;
	case 3:
		fakehost_io_cut(fuzz->dev, (uint64_t)(what >> 3) * 100);
		break;
	case 4:
		if (fakehost_is_broken(fuzz->dev) || what & 8)
			reset(fuzz);
		else
			write_config(fuzz);
		break;
	default:
		request(fuzz);
		break;
	}
	check_operations(fuzz);
}

static void make(struct fuzz *fuzz, uint8_t how)
{
	static const char *const caches[] = { "writeback", "writethrough", "unsafe", "writeback" };
	char path[32];
	const struct fakehost_pair values[] = {
		{ "path", path },
		{ "readonly", how & 1 ? "true" : "false" },
		{ "block_size", how & 2 ? "4096" : "512" },
		{ "cache", caches[how >> 2 & 3] },
		{ "serial", "fuzz" },
		{ NULL, NULL },
	};

	fuzz->readonly = how & 1;
	fuzz->block_bytes = how & 2 ? 4096 : 512;
	fuzz->fd = memfd_create("image", MFD_CLOEXEC);
	check(fuzz->fd >= 0 && ftruncate(fuzz->fd, (off_t)IMAGE_BYTES) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fuzz->fd);
	check(fakehost_new(4096, &fuzz->host) == 0);
	check(fakehost_create(fuzz->host, fakehost_class(&backplane_plugin, NULL), "disk", values, &fuzz->dev) == 0);
	check(fakehost_start(fuzz->dev) == 0);
	driver_comes(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct stat st;
	uint8_t how;

	check(fuzz != NULL);
	fuzz->input = (struct input){ data, size };
	how = next(&fuzz->input);
	fuzz->features = next(&fuzz->input);
	make(fuzz, how);
	while (fuzz->input.size)
		step(fuzz);
	fakehost_io_run(fuzz->dev, UINT32_MAX);
	check(!fakehost_chains_left(fuzz->dev, 0));
	check_chains(fuzz);
	check(fstat(fuzz->fd, &st) == 0 && (uint64_t)st.st_size == IMAGE_BYTES);
	check(fakehost_breaches(fuzz->host) == 0);
	fakehost_free(fuzz->host);
	close(fuzz->fd);
	free(fuzz);
	return 0;
}
