/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a virtqueue and its chains. The first byte chooses features and size; then come steps, each of a 16-bit offset, a length and
 * as many bytes: the guest writes them into its memory at the offset, or, with an offset of 0xffff, the device takes its turn, and the
 * length says what it does with the chains that it finds.
 *
 * The guest's memory: two regions that touch, and one behind a hole; the rings are in the first one.
 */
#include "core/device/virtqueue.h"

#include <stdlib.h>
#include <string.h>

#define REGION    0x1000u
#define FAR       0x4000u
#define DESC      0x000u
#define AVAIL     0x400u
#define USED      0x500u
#define SIZE_BITS 5u /* sizes up to 32 */
#define KEPT_MAX  32u
#define STEP_TURN 0xffffu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct gmem mem;
	struct virtqueue queue;
	struct chain *kept[KEPT_MAX];
	size_t kept_count;
	uint8_t *memory[3];
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_chain(const struct fuzz *fuzz, const struct chain *chain)
{
	uint64_t bytes = 0;

	check(chain->index < fuzz->queue.size && chain->iov_count <= fuzz->queue.block->iov_max);
	for (uint32_t i = 0; i < chain->iov_count; i++) {
		const uint8_t *base = chain->iov[i].iov_base;
		bool inside = false;

		for (size_t j = 0; j < fuzz->mem.count; j++)
			inside |= base >= fuzz->memory[j] && base < fuzz->memory[j] + REGION &&
				  chain->iov[i].iov_len <= (size_t)(fuzz->memory[j] + REGION - base);
		check(inside && chain->iov[i].iov_len);
		bytes += chain->iov[i].iov_len;
	}
	check(bytes == chain->read.left + chain->write.left);
	for (size_t i = 0; i < fuzz->kept_count; i++)
		check(fuzz->kept[i] != chain && fuzz->kept[i]->index != chain->index);
}

/* Reads, takes and writes as `how` says; the cursors must come out where they should. */
static void use_chain(struct chain *chain, uint8_t how)
{
	uint64_t read = chain->read.left, write = chain->write.left;
	struct iovec iov[4];
	uint8_t buffer[64];
	size_t bytes = how & 63;
	int pieces;

	check(chain_read(chain, buffer, bytes) == (read < bytes ? read : bytes));
	check(chain_write(chain, buffer, bytes) == (write < bytes ? write : bytes));
	pieces = how & 128 ? chain_peek(chain, BP_CHAIN_WRITE, bytes, iov, 4)
			   : chain_take(chain, BP_CHAIN_WRITE, bytes, iov, 4);
	if (pieces >= 0) {
		uint64_t taken = 0;

		for (int i = 0; i < pieces; i++)
			taken += iov[i].iov_len;
		check(taken == bytes);
		check(!(how & 128) || chain_wrote(chain, bytes) == 0);
	}
	if (how & 64)
		(void)chain_skip(chain, BP_CHAIN_WRITE, 1);
	check(chain_used_bytes(chain) <= write && chain_written(chain) <= write);
}

static void device_turn(struct fuzz *fuzz, uint8_t how)
{
	struct chain *chain;

	virtqueue_disarm(&fuzz->queue);
	while ((chain = virtqueue_pop(&fuzz->queue))) {
		check_chain(fuzz, chain);
		use_chain(chain, how);
		if ((how & 128) && fuzz->kept_count < KEPT_MAX)
			fuzz->kept[fuzz->kept_count++] = chain;
		else
			virtqueue_push(&fuzz->queue, chain);
	}
	check(fuzz->queue.block->in_use == fuzz->kept_count);
	if (!(how & 128))
		while (fuzz->kept_count)
			virtqueue_push(&fuzz->queue, fuzz->kept[--fuzz->kept_count]);
	virtqueue_publish(&fuzz->queue);
	(void)virtqueue_arm(&fuzz->queue);
}

static void guest_write(struct fuzz *fuzz, uint64_t gpa, const uint8_t *data, size_t bytes)
{
	while (bytes) {
		uint64_t run;
		uint8_t *host = gmem_run(&fuzz->mem, gpa, &run);

		if (!host)
			return;
		if (run > bytes)
			run = bytes;
		memcpy(host, data, run);
		data += run;
		gpa += run;
		bytes -= run;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t gpas[] = { 0, REGION, FAR };
	struct virtqueue_spec spec = { .desc_gpa = DESC, .avail_gpa = AVAIL, .used_gpa = USED };
	struct fuzz fuzz = { .kept_count = 0 };

	if (!size)
		return 0;
	for (size_t i = 0; i < 3; i++) {
		/* Of their own, so that a sanitizer sees the first byte too far. */
		fuzz.memory[i] = calloc(1, REGION);
		check(fuzz.memory[i]);
		fuzz.mem.regions[fuzz.mem.count++] =
		    (struct gmem_region){ .gpa = gpas[i], .bytes = REGION, .host = fuzz.memory[i] };
	}
	spec.mem = &fuzz.mem;
	spec.size = (uint16_t)(1u << (data[0] % (SIZE_BITS + 1)));
	spec.features = (data[0] & 64 ? VIRTQUEUE_F_INDIRECT_DESC : 0) | (data[0] & 128 ? VIRTQUEUE_F_EVENT_IDX : 0);
	spec.block = chain_block_new(spec.size, 0);
	check(spec.block);
	check(virtqueue_open(&fuzz.queue, &spec) == 0);
	data++;
	size--;
	while (size >= 3) {
		uint16_t offset = (uint16_t)(data[0] | data[1] << 8);
		uint8_t length = data[2];
		size_t bytes;

		data += 3;
		size -= 3;
		if (offset == STEP_TURN) {
			device_turn(&fuzz, length);
			continue;
		}
		bytes = length < size ? length : size;
		guest_write(&fuzz, offset, data, bytes);
		data += bytes;
		size -= bytes;
	}
	device_turn(&fuzz, 0);
	check(spec.block->in_use == 0);
	chain_block_free(spec.block);
	for (size_t i = 0; i < 3; i++)
		free(fuzz.memory[i]);
	return 0;
}
