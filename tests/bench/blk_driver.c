/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver of a disk, without a VM; see blk_driver.h. Flags and offsets are those of VIRTIO 1.2, 2.7 and 5.2.6. */
#include "tests/bench/blk_driver.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define RING_SIZE     256u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u
#define TABLE_DESCS   3u
#define HEADER_BYTES  16u
/* INDIRECT_DESC, EVENT_IDX, VERSION_1, and FLUSH of the disk's own. */
#define FEATURES      (UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 32 | UINT64_C(1) << 9)

/* A disk that says nothing for so long says nothing any more. */
#define WAIT_MS       10000

/* Where things lie in the guest's memory. */
#define RAM_GPA       UINT64_C(0x100000)
#define RAM_BYTES     UINT64_C(0x100000)
#define DESC_AT       UINT64_C(0)
#define AVAIL_AT      UINT64_C(0x2000)
#define USED_AT       UINT64_C(0x3000)
#define TABLES_AT     UINT64_C(0x4000)
#define HEADERS_AT    UINT64_C(0x6000)
#define STATUS_AT     UINT64_C(0x7000)
#define DATA_AT       UINT64_C(0x8000)

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct blk_driver {
	struct gmem mem;
	struct blk_driver_side side;
	struct virtio_isr *isr; /* of the run */
	uint8_t *ram;
	int wait_fd; /* tells of edges of call_fd */
	uint64_t blocks;
	uint64_t seed;
	uint16_t avail_idx, kicked_idx, used_seen;
	uint64_t block_of[BLK_DRIVER_DEPTH_MAX]; /* what each slot reads */
	struct blk_run run;
};

__attribute__((noreturn)) static void give_up(const char *what)
{
	fprintf(stderr, "the disk's driver: %s\n", what);
	exit(1);
}

/* ---- making ---- */

/* Each slot's descriptors stay as they are: header, data and status in an indirect table. */
static void make_tables(struct blk_driver *driver)
{
	for (uint32_t i = 0; i < BLK_DRIVER_DEPTH_MAX; i++) {
		uint64_t table = TABLES_AT + i * TABLE_DESCS * sizeof(struct desc);
		const struct desc parts[TABLE_DESCS] = {
			{ RAM_GPA + HEADERS_AT + i * HEADER_BYTES, HEADER_BYTES, DESC_NEXT, 1 },
			{ RAM_GPA + DATA_AT + i * BLK_DRIVER_BLOCK, BLK_DRIVER_BLOCK, DESC_NEXT | DESC_WRITE, 2 },
			{ RAM_GPA + STATUS_AT + i, 1, DESC_WRITE, 0 },
		};
		const struct desc head = { RAM_GPA + table, sizeof(parts), DESC_INDIRECT, 0 };

		memcpy(driver->ram + table, parts, sizeof(parts));
		memcpy(driver->ram + DESC_AT + i * sizeof(head), &head, sizeof(head));
	}
}

struct blk_driver *blk_driver_new(uint64_t blocks)
{
	struct blk_driver *driver = calloc(1, sizeof(*driver));
	int memory_fd = fd_memfd("backplane-ram", RAM_BYTES), kick_fd = fd_event(), call_fd = fd_event();
	int wait_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event edge = { .events = EPOLLIN | EPOLLET };

	if (!driver || memory_fd < 0 || kick_fd < 0 || call_fd < 0 ||
	    epoll_ctl(wait_fd, EPOLL_CTL_ADD, call_fd, &edge) < 0)
		give_up("no memory or descriptors");
	driver->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, memory_fd, 0);
	if (driver->ram == MAP_FAILED)
		give_up("no memory");
	driver->wait_fd = wait_fd;
	driver->seed = 88172645463325252u;
	driver->blocks = blocks;
	driver->mem.regions[0] = (struct gmem_region){ .gpa = RAM_GPA, .bytes = RAM_BYTES, .host = driver->ram };
	driver->mem.count = 1;
	driver->side = (struct blk_driver_side){
		.mem = &driver->mem,
		.memory_fd = memory_fd,
		.features = FEATURES,
		.ring_size = RING_SIZE,
		.desc_gpa = RAM_GPA + DESC_AT,
		.avail_gpa = RAM_GPA + AVAIL_AT,
		.used_gpa = RAM_GPA + USED_AT,
		.kick_fd = kick_fd,
		.call_fd = call_fd,
	};
	make_tables(driver);
	return driver;
}

void blk_driver_free(struct blk_driver *driver)
{
	if (!driver)
		return;
	fd_close(driver->wait_fd);
	fd_close(driver->side.kick_fd);
	fd_close(driver->side.call_fd);
	fd_close(driver->side.memory_fd);
	munmap(driver->ram, RAM_BYTES);
	free(driver);
}

const struct blk_driver_side *blk_driver_side(const struct blk_driver *driver)
{
	return &driver->side;
}

/* ---- the rings ---- */

static uint16_t *word(struct blk_driver *driver, uint64_t at)
{
	return (uint16_t *)(void *)(driver->ram + at);
}

static void start_read(struct blk_driver *driver, uint32_t slot)
{
	uint8_t *header = driver->ram + HEADERS_AT + slot * HEADER_BYTES;
	uint64_t sector;

	/* xorshift64 */
	driver->seed ^= driver->seed << 13;
	driver->seed ^= driver->seed >> 7;
	driver->seed ^= driver->seed << 17;
	driver->block_of[slot] = driver->seed % driver->blocks;
	sector = driver->block_of[slot] * (BLK_DRIVER_BLOCK / 512);
	memcpy(header + 8, &sector, sizeof(sector));
	driver->ram[STATUS_AT + slot] = 0xff;
	*word(driver, AVAIL_AT + 4 + 2u * (driver->avail_idx++ % RING_SIZE)) = (uint16_t)slot;
	driver->run.requests++;
}

/* Shows what was added, and tells the device if it wants to know. */
static void show(struct blk_driver *driver)
{
	uint16_t before = driver->kicked_idx, now = driver->avail_idx, event;

	if (now == before)
		return;
	__atomic_store_n(word(driver, AVAIL_AT + 2), now, __ATOMIC_RELEASE);
	driver->kicked_idx = now;
	__sync_synchronize();
	event = __atomic_load_n(word(driver, USED_AT + 4 + 8u * RING_SIZE), __ATOMIC_RELAXED);
	if ((uint16_t)(now - event - 1) < (uint16_t)(now - before)) {
		driver->run.kicks++;
		fd_event_signal(driver->side.kick_fd);
	}
}

static bool used_more(struct blk_driver *driver)
{
	return __atomic_load_n(word(driver, USED_AT + 2), __ATOMIC_ACQUIRE) != driver->used_seen;
}

static uint32_t finish_read(struct blk_driver *driver)
{
	const uint8_t *entry = driver->ram + USED_AT + 4 + 8u * (driver->used_seen++ % RING_SIZE);
	uint32_t slot;
	uint64_t number;

	memcpy(&slot, entry, sizeof(slot));
	if (slot >= BLK_DRIVER_DEPTH_MAX || driver->ram[STATUS_AT + slot])
		give_up("a read failed");
	memcpy(&number, driver->ram + DATA_AT + slot * BLK_DRIVER_BLOCK, sizeof(number));
	if (number != driver->block_of[slot])
		give_up("a read brought another block");
	return slot;
}

/* Asks for an interrupt, and sleeps until one comes, unless more has been used meanwhile. */
static void wait_used(struct blk_driver *driver)
{
	struct epoll_event event;
	int woken;

	__atomic_store_n(word(driver, AVAIL_AT + 4 + 2u * RING_SIZE), driver->used_seen, __ATOMIC_RELAXED);
	__sync_synchronize();
	if (used_more(driver))
		return;
	woken = epoll_wait(driver->wait_fd, &event, 1, WAIT_MS);
	if (woken != 1)
		give_up(woken ? "waiting for an interrupt failed" : "no interrupt comes");
	driver->run.interrupts++;
	virtio_isr_ack(driver->isr, virtio_isr_read(driver->isr));
}

struct blk_run blk_driver_run(struct blk_driver *driver, struct virtio_isr *isr, uint32_t depth, uint64_t window_ns,
			      uint64_t requests)
{
	uint64_t since = clock_now_ns();
	uint32_t under_way = depth;
	bool more = true;

	driver->isr = isr;
	driver->run = (struct blk_run){ 0 };
	for (uint32_t i = 0; i < depth; i++)
		start_read(driver, i);
	show(driver);
	while (under_way) {
		wait_used(driver);
		if (window_ns)
			more = clock_now_ns() - since < window_ns;
		while (used_more(driver)) {
			uint32_t slot = finish_read(driver);

			if (more && (!requests || driver->run.requests < requests))
				start_read(driver, slot);
			else
				under_way--;
		}
		show(driver);
	}
	driver->run.ns = clock_now_ns() - since;
	return driver->run;
}
