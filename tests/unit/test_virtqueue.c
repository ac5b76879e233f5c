/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtqueues with a driver that keeps to the rules: what a chain becomes, what is said to the driver, and when. */
#include "tests/unit/queue_fixture.h"

#define SIZE 8u

static struct queue_fixture fixture;

static struct queue_fixture *with(uint16_t size, uint64_t features)
{
	queue_init(&fixture, size, features);
	return &fixture;
}

static int end(void **state)
{
	(void)state;
	if (fixture.driver.mem.count)
		queue_end(&fixture);
	return 0;
}

static void set(uint32_t index, uint64_t gpa, uint32_t len, unsigned int flags)
{
	ring_set(&fixture.driver, RING_DESC, index, gpa, len, flags, (uint16_t)(index + 1));
}

/* One chain with a header to read and a buffer to write, in descriptors `index` and the next. */
static void set_request(uint32_t index)
{
	set(index, RING_DATA, 16, RING_F_NEXT);
	set(index + 1, RING_DATA + 0x100, 100, RING_F_WRITE);
}

static void a_chain_is_what_the_driver_wrote(void **state)
{
	struct chain *chain;

	(void)state;
	with(SIZE, 0);
	set(4, RING_DATA, 16, RING_F_NEXT);
	set(5, RING_DATA + 0x100, 32, RING_F_NEXT);
	set(6, RING_DATA + 0x200, 64, RING_F_NEXT | RING_F_WRITE);
	set(7, RING_DATA + 0x300, 1, RING_F_WRITE);
	ring_offer(&fixture.driver, 4);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->index, 4);
	assert_int_equal(chain->read.left, 48);
	assert_int_equal(chain->write.left, 65);
	assert_int_equal(chain->iov_count, 4);
	assert_ptr_equal(chain->iov[2].iov_base, ring_at(&fixture.driver, RING_DATA + 0x200));
	assert_null(virtqueue_pop(&fixture.queue));
	assert_null(fixture.queue.broken);
}

static void a_table_is_a_chain(void **state)
{
	struct chain *chain;

	(void)state;
	with(SIZE, VIRTQUEUE_F_INDIRECT_DESC);
	/* At an address that is not aligned, and with the WRITE flag, which is to be ignored. */
	ring_set(&fixture.driver, RING_TABLE + 4, 0, RING_DATA, 16, RING_F_NEXT, 2);
	ring_set(&fixture.driver, RING_TABLE + 4, 2, RING_DATA + 0x100, 20, RING_F_WRITE, 0);
	set(1, RING_TABLE + 4, 3 * 16, RING_F_INDIRECT | RING_F_WRITE);
	ring_offer(&fixture.driver, 1);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->index, 1);
	assert_int_equal(chain->read.left, 16);
	assert_int_equal(chain->write.left, 20);
}

/* 2.7.5.3.2: normal descriptors may come before the one that refers to a table. */
static void a_table_may_come_last(void **state)
{
	struct chain *chain;

	(void)state;
	with(SIZE, VIRTQUEUE_F_INDIRECT_DESC);
	set(0, RING_DATA, 16, RING_F_NEXT);
	set(1, RING_TABLE, 16, RING_F_INDIRECT);
	ring_set(&fixture.driver, RING_TABLE, 0, RING_DATA + 0x100, 20, RING_F_WRITE, 0);
	ring_offer(&fixture.driver, 0);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->read.left, 16);
	assert_int_equal(chain->write.left, 20);
}

static void a_chain_may_be_as_long_as_the_queue(void **state)
{
	struct chain *chain;

	(void)state;
	with(256, VIRTQUEUE_F_INDIRECT_DESC);
	for (uint32_t i = 0; i < 256; i++)
		ring_set(&fixture.driver, RING_TABLE, i, RING_DATA + 16 * i, 16,
			 (i < 255 ? RING_F_NEXT : 0) | (i >= 100 ? RING_F_WRITE : 0), (uint16_t)(i + 1));
	set(0, RING_TABLE, 256 * 16, RING_F_INDIRECT);
	ring_offer(&fixture.driver, 0);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->iov_count, 256);
	assert_int_equal(chain->read.left, 1600);
	assert_int_equal(chain->write.left, 156 * 16);
	for (uint32_t i = 0; i < 256; i++)
		assert_ptr_equal(chain->iov[i].iov_base, ring_at(&fixture.driver, RING_DATA + 16 * i));
}

static void a_buffer_may_span_regions(void **state)
{
	struct chain *chain;
	uint8_t bytes[32], seen[32];

	(void)state;
	with(SIZE, 0);
	for (uint8_t i = 0; i < 32; i++)
		bytes[i] = i;
	memcpy(ring_at(&fixture.driver, RING_RAM_NEXT - 10), bytes, 10);
	memcpy(ring_at(&fixture.driver, RING_RAM_NEXT), bytes + 10, 22);
	set(0, RING_RAM_NEXT - 10, 32, 0);
	ring_offer(&fixture.driver, 0);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->iov_count, 2);
	assert_int_equal(chain_read(chain, seen, sizeof(seen)), 32);
	assert_memory_equal(seen, bytes, 32);
}

static void nothing_is_no_piece(void **state)
{
	struct chain *chain;

	(void)state;
	with(SIZE, 0);
	set(0, UINT64_MAX, 0, RING_F_NEXT);
	set(1, RING_DATA, 4, RING_F_NEXT);
	set(2, RING_HOLE, 0, RING_F_WRITE);
	ring_offer(&fixture.driver, 0);
	chain = virtqueue_pop(&fixture.queue);
	assert_non_null(chain);
	assert_int_equal(chain->iov_count, 1);
	assert_int_equal(chain->read.left, 4);
	assert_int_equal(chain->write.left, 0);
}

/* ---- cursors and used.len ---- */

static void cursors_go_through_pieces(void **state)
{
	uint8_t bytes[64], seen[64] = { 0 };
	struct iovec iov[4];
	struct chain *chain;

	(void)state;
	with(SIZE, 0);
	for (uint8_t i = 0; i < 64; i++)
		bytes[i] = (uint8_t)(i * 3);
	memcpy(ring_at(&fixture.driver, RING_DATA), bytes, 10);
	memcpy(ring_at(&fixture.driver, RING_DATA + 0x100), bytes + 10, 10);
	set(0, RING_DATA, 10, RING_F_NEXT);
	set(1, RING_DATA + 0x100, 10, RING_F_NEXT);
	set(2, RING_DATA + 0x200, 10, RING_F_NEXT | RING_F_WRITE);
	set(3, RING_DATA + 0x300, 10, RING_F_WRITE);
	ring_offer(&fixture.driver, 0);
	chain = virtqueue_pop(&fixture.queue);
	assert_int_equal(chain_read(chain, seen, 3), 3);
	assert_int_equal(chain_take(chain, BP_CHAIN_READ, 18, iov, 4), -ENODATA);
	assert_int_equal(chain_take(chain, BP_CHAIN_READ, 8, iov, 1), -EMSGSIZE);
	assert_int_equal(chain->read.left, 17);
	assert_int_equal(chain_take(chain, BP_CHAIN_READ, 8, iov, 4), 2);
	assert_int_equal(iov[0].iov_len, 7);
	assert_int_equal(iov[1].iov_len, 1);
	assert_memory_equal(iov[0].iov_base, bytes + 3, 7);
	assert_int_equal(chain_read(chain, seen, 64), 9);
	assert_memory_equal(seen, bytes + 11, 9);
	assert_int_equal(chain_read(chain, seen, 64), 0);

	assert_int_equal(chain_write(chain, bytes, 12), 12);
	assert_memory_equal(ring_at(&fixture.driver, RING_DATA + 0x200), bytes, 10);
	assert_memory_equal(ring_at(&fixture.driver, RING_DATA + 0x300), bytes + 10, 2);
	assert_int_equal(chain_take(chain, BP_CHAIN_WRITE, 0, iov, 0), 0);
	assert_int_equal(chain_take(chain, BP_CHAIN_WRITE, 3, iov, 1), 1);
	assert_int_equal(chain_used_bytes(chain), 15);
	assert_int_equal(chain_write(chain, bytes, 64), 5);
	assert_int_equal(chain_used_bytes(chain), 20);
	chain_wrote_only(chain, 12, 1);
	assert_int_equal(chain_used_bytes(chain), 13);
	chain_wrote_only(chain, 15, 3);
	assert_int_equal(chain_used_bytes(chain), 13);
}

static void completions_come_in_any_order(void **state)
{
	struct chain *first, *second;
	uint32_t id = 0, len = 0;

	(void)state;
	with(SIZE, 0);
	set_request(0);
	set_request(2);
	ring_enter(&fixture.driver, 0);
	ring_offer(&fixture.driver, 2);
	first = virtqueue_pop(&fixture.queue);
	second = virtqueue_pop(&fixture.queue);
	chain_write(second, "abc", 3);
	virtqueue_push(&fixture.queue, second);
	assert_false(ring_used(&fixture.driver, &id, &len)); /* not published yet */
	virtqueue_push(&fixture.queue, first);
	virtqueue_publish(&fixture.queue);
	assert_true(ring_used(&fixture.driver, &id, &len));
	assert_int_equal(id, 2);
	assert_int_equal(len, 3);
	assert_true(ring_used(&fixture.driver, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, 0);
	assert_false(ring_used(&fixture.driver, &id, &len));
	assert_int_equal(fixture.block->in_use, 0);
}

/* The indices are 16 bits wide and run on for ever. */
static void indices_wrap(void **state)
{
	(void)state;
	for (uint16_t size = 1; size <= 1024; size = (uint16_t)(size * 4)) {
		uint32_t id = 0, len = 0;

		with(size, 0);
		set(0, RING_DATA, 16, RING_F_WRITE);
		if (size > 1)
			set(size - 1u, RING_DATA, 16, RING_F_WRITE);
		for (uint32_t i = 0; i < 70000; i++) {
			uint16_t head = (uint16_t)(i % 2 ? 0 : size - 1);

			ring_offer(&fixture.driver, head);
			MUST(queue_drain(&fixture) == 1);
			MUST(virtqueue_publish(&fixture.queue));
			MUST(ring_used(&fixture.driver, &id, &len) && id == head);
		}
		assert_null(fixture.queue.broken);
		end(NULL);
	}
}

/* ---- interrupts ---- */

static void interrupts_by_flag(void **state)
{
	(void)state;
	with(SIZE, 0);
	set_request(0);
	ring_offer(&fixture.driver, 0);
	queue_drain(&fixture);
	assert_true(virtqueue_publish(&fixture.queue));
	assert_false(virtqueue_publish(&fixture.queue)); /* nothing new */
	ring_set_avail_flags(&fixture.driver, 1);
	ring_offer(&fixture.driver, 0);
	queue_drain(&fixture);
	assert_false(virtqueue_publish(&fixture.queue));
	assert_int_equal(ring_used_idx(&fixture.driver), 2);
}

/* Whether used.idx going from `before` to `now` is an interrupt for a driver that waits for `event`. */
static bool interrupt_for(uint16_t before, uint16_t now, uint16_t event)
{
	bool wanted;

	with(SIZE, VIRTQUEUE_F_EVENT_IDX);
	fixture.queue.used_published = before;
	fixture.queue.used_next = now;
	ring_set_used_event(&fixture.driver, event);
	ring_set_avail_flags(&fixture.driver, 1); /* is not looked at (2.7.7.2) */
	wanted = virtqueue_publish(&fixture.queue);
	end(NULL);
	return wanted;
}

static void interrupts_by_index(void **state)
{
	(void)state;
	assert_true(interrupt_for(0, 1, 0));
	assert_false(interrupt_for(0, 1, 1));
	assert_true(interrupt_for(0, 2, 1));
	assert_false(interrupt_for(1, 2, 0)); /* passed before */
	assert_false(interrupt_for(5, 5, 4)); /* nothing new */
	assert_false(interrupt_for(5, 5, 5));
	assert_true(interrupt_for(3, 8, 3));
	assert_true(interrupt_for(3, 8, 7));
	assert_false(interrupt_for(3, 8, 8));
	assert_false(interrupt_for(3, 8, 2));
	assert_true(interrupt_for(0xfffe, 2, 0xffff));
	assert_true(interrupt_for(0xfffe, 2, 0));
	assert_true(interrupt_for(0xfffe, 2, 1));
	assert_false(interrupt_for(0xfffe, 2, 2));
	assert_false(interrupt_for(0xfffe, 2, 0xfffd));
	assert_true(interrupt_for(0xffff, 0, 0xffff));
	assert_false(interrupt_for(0xffff, 0, 0));
	assert_false(interrupt_for(0x7fff, 0x8000, 0x8000));
	assert_true(interrupt_for(0x7fff, 0x8000, 0x7fff));
}

/* ---- notifications ---- */

static void notifications_by_flag(void **state)
{
	(void)state;
	with(SIZE, 0);
	ring_put16(&fixture.driver, RING_USED, 0xffff);
	assert_false(virtqueue_arm(&fixture.queue));
	assert_int_equal(ring_used_flags(&fixture.driver), 0); /* whatever was there */
	virtqueue_disarm(&fixture.queue);
	assert_int_equal(ring_used_flags(&fixture.driver), 1);
	set_request(0);
	ring_offer(&fixture.driver, 0);
	assert_true(virtqueue_arm(&fixture.queue)); /* it came between the last look and this */
	assert_int_equal(ring_used_flags(&fixture.driver), 0);
	assert_int_equal(queue_drain(&fixture), 1);
	assert_false(virtqueue_arm(&fixture.queue));
}

static void notifications_by_index(void **state)
{
	(void)state;
	with(SIZE, VIRTQUEUE_F_EVENT_IDX);
	set_request(0);
	for (uint16_t i = 1; i < 4; i++) {
		virtqueue_disarm(&fixture.queue);
		ring_offer(&fixture.driver, 0);
		assert_int_equal(queue_drain(&fixture), 1);
		assert_int_equal(ring_avail_event(&fixture.driver), i - 1); /* not yet: no notification before */
		assert_false(virtqueue_arm(&fixture.queue));
		assert_int_equal(ring_avail_event(&fixture.driver), i);
	}
	assert_int_equal(ring_used_flags(&fixture.driver), 0);
	ring_offer(&fixture.driver, 0);
	assert_true(virtqueue_arm(&fixture.queue));
}

/* ---- memory ---- */

static void slots_are_used_again(void **state)
{
	(void)state;
	with(256, 0);
	set_request(0);
	for (int i = 0; i < 1000; i++) {
		ring_offer(&fixture.driver, 0);
		assert_int_equal(queue_drain(&fixture), 1);
	}
	/* A queue of depth 1 touches one slot. */
	assert_int_equal(fixture.block->fresh, 1);
}

static void scratch_is_zeroed_each_time(void **state)
{
	struct chain_block *block = chain_block_new(4, 33);

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct chain *chain = chain_get(block);

		assert_int_equal((uintptr_t)chain->head.scratch % 16, 0);
		for (size_t j = 0; j < 33; j++)
			assert_int_equal(((uint8_t *)chain->head.scratch)[j], 0);
		memset(chain->head.scratch, 0xa5, 33);
		chain_put(chain);
	}
	chain_block_free(block);
}

static void a_chain_is_claimed_once(void **state)
{
	struct chain_block *block = chain_block_new(4, 0);
	struct chain *chain = chain_get(block);

	(void)state;
	assert_null(chain->head.scratch);
	assert_true(chain_claim(chain));
	assert_false(chain_claim(chain));
	chain_put(chain);
	assert_false(chain_claim(chain));
	chain_block_free(block);
}

/* Memory of the pieces, in pages. */
static size_t area_pages(const struct chain_block *block)
{
	static unsigned char resident[64];
	size_t bytes = (size_t)block->capacity * block->iov_max * sizeof(struct iovec), count = 0;

	MUST(bytes / 4096 <= sizeof(resident) && mincore(block->area, bytes, resident) == 0);
	for (size_t i = 0; i < bytes / 4096; i++)
		count += resident[i] & 1;
	return count;
}

static void a_life_that_has_ended_keeps_no_pieces(void **state)
{
	struct chain_store store;
	struct chain_block *block;
	uint8_t byte;

	(void)state;
	MUST(chain_store_init(&store, 0, 64, 0) == 0);
	block = store.block;
	for (uint32_t i = 0; i < 64; i++) {
		struct chain *chain = chain_get(block);

		while (chain_add(chain, &byte, 1, false))
			;
	}
	assert_in_range(area_pages(block), 1, 64);
	chain_store_end(&store);
	assert_ptr_equal(store.retired, block);
	assert_int_equal(area_pages(block), 0);
	chain_store_free(&store);
}

#define CASE(name) cmocka_unit_test_teardown(name, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_chain_is_what_the_driver_wrote),
		CASE(a_table_is_a_chain),
		CASE(a_table_may_come_last),
		CASE(a_chain_may_be_as_long_as_the_queue),
		CASE(a_buffer_may_span_regions),
		CASE(nothing_is_no_piece),
		CASE(cursors_go_through_pieces),
		CASE(completions_come_in_any_order),
		CASE(indices_wrap),
		CASE(interrupts_by_flag),
		CASE(interrupts_by_index),
		CASE(notifications_by_flag),
		CASE(notifications_by_index),
		CASE(slots_are_used_again),
		CASE(scratch_is_zeroed_each_time),
		CASE(a_chain_is_claimed_once),
		CASE(a_life_that_has_ended_keeps_no_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
