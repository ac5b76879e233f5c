/* SPDX-License-Identifier: BSD-3-Clause */
/* A device's io, from a chain to the file and back, with each engine; and what requests cost in memory: nothing. */
#include "tests/unit/vdev_fixture.h"

#include <backplane/io.h>
#include <backplane/virtio.h>

#include <sys/uio.h>

#define FILE_BYTES 8192u

static const uint32_t engines[] = { BP_IO_AUTO, BP_IO_URING, BP_IO_AIO, BP_IO_THREADS };

/* ---- allocations, counted once `counting` is set; ld's --wrap brings them here ---- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

static atomic_bool counting;
static atomic_uint allocations;

static void count_one(void)
{
	if (atomic_load(&counting))
		atomic_fetch_add(&allocations, 1);
}

void *__wrap_malloc(size_t bytes)
{
	count_one();
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	count_one();
	return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	count_one();
	return __real_realloc(old, bytes);
}

/* ---- a disk of sorts: a request is 8 bytes of offset to read, then data to read or write ---- */

struct disk_request {
	struct vsubject *subject;
	struct bp_chain *chain;
};

static void disk_done(void *arg, int64_t result)
{
	struct disk_request *request = arg;
	uint8_t status = result < 0;

	request->subject->result = result;
	/* The status is the last byte, whether the data before it was taken or not. */
	bp_chain_skip(request->chain, BP_CHAIN_WRITE, bp_chain_left(request->chain, BP_CHAIN_WRITE) - 1);
	bp_chain_write(request->chain, &status, 1);
	bp_chain_complete(request->chain);
	event_post(&request->subject->done);
}

static void disk_request(struct vsubject *subject, struct bp_chain *chain)
{
	struct disk_request *request = chain->scratch;
	struct bp_io_request io = { .size = sizeof(io), .done = disk_done, .arg = request, .chain = chain };

	request->subject = subject;
	request->chain = chain;
	bp_chain_read(chain, &io.offset, sizeof(io.offset));
	io.bytes = bp_chain_left(chain, BP_CHAIN_READ);
	io.op = BP_IO_WRITE;
	if (!io.bytes) {
		io.op = BP_IO_READ;
		io.bytes = bp_chain_left(chain, BP_CHAIN_WRITE) - 1;
	}
	if (bp_io_submit(subject->dev, subject->io, &io) < 0)
		disk_done(request, -EIO);
}

static void set_disk(struct vsubject *subject, uint32_t engine)
{
	uint8_t bytes[FILE_BYTES];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i / 16);
	subject->file_fd = memfd_create("disk", MFD_CLOEXEC);
	MUST(write(subject->file_fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes));
	subject->engine = engine;
	subject->request = disk_request;
}

/* Request `index`, of four descriptors: the offset, and two pieces of data of `half` bytes each, and the status. */
static void set_request(struct vsubject *subject, uint16_t index, uint64_t offset, uint32_t half, bool write)
{
	uint64_t at = RING_DATA + 0x1000u * index;
	uint32_t first = 4u * index;
	unsigned int direction = write ? 0 : RING_F_WRITE;

	memcpy(ring_at(&subject->driver, at), &offset, sizeof(offset));
	ring_set(&subject->driver, RING_DESC, first, at, 8, RING_F_NEXT, (uint16_t)(first + 1));
	ring_set(&subject->driver, RING_DESC, first + 1, at + 0x100, half, RING_F_NEXT | direction,
		 (uint16_t)(first + 2));
	ring_set(&subject->driver, RING_DESC, first + 2, at + 0x800, half, RING_F_NEXT | direction,
		 (uint16_t)(first + 3));
	ring_set(&subject->driver, RING_DESC, first + 3, at + 0x10, 1, RING_F_WRITE, 0);
}

static uint32_t used_len(struct vsubject *subject)
{
	uint32_t id = 0, len = 0;

	assert_true(ring_used(&subject->driver, &id, &len));
	return len;
}

static void try_transfers(struct vsubject *one)
{
	uint8_t bytes[200];

	v_activate_device(one, ALL_FEATURES);
	/* A read that is all there. */
	set_request(one, 0, 1000, 100, false);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_int_equal(one->result, 200);
	MUST(pread(one->file_fd, bytes, 200, 1000) == 200);
	assert_memory_equal(ring_at(&one->driver, RING_DATA + 0x100), bytes, 100);
	assert_memory_equal(ring_at(&one->driver, RING_DATA + 0x800), bytes + 100, 100);
	assert_int_equal(*(uint8_t *)ring_at(&one->driver, RING_DATA + 0x10), 0);
	assert_int_equal(used_len(one), 201);
	/* A write; only the status is written to the guest. */
	memset(ring_at(&one->driver, RING_DATA + 0x100), 0xaa, 50);
	memset(ring_at(&one->driver, RING_DATA + 0x800), 0xbb, 50);
	set_request(one, 0, 4000, 50, true);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 2));
	assert_int_equal(one->result, 100);
	MUST(pread(one->file_fd, bytes, 100, 4000) == 100);
	assert_int_equal(bytes[0], 0xaa);
	assert_int_equal(bytes[49], 0xaa);
	assert_int_equal(bytes[50], 0xbb);
	assert_int_equal(used_len(one), 1);
	/* A read across the file's end: what was not read is not counted, nor what comes after it. */
	set_request(one, 0, FILE_BYTES - 30, 20, false);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 3));
	assert_int_equal(one->result, 30);
	assert_int_equal(used_len(one), 30);
	/* What cannot be: refused at once. */
	set_request(one, 0, (uint64_t)INT64_MAX - 10, 20, false);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 4));
	assert_int_equal(one->result, -EIO);
}

static void every_engine_transfers(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	for (size_t i = 0; i < COUNT_OF(engines); i++) {
		set_disk(one, engines[i]);
		vsubject_run(one);
		try_transfers(one);
		vsubject_end(one);
		vsubject_init(one, "one");
	}
}

static void a_batch_is_done_together(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	set_disk(one, BP_IO_AUTO);
	vsubject_run(one);
	v_activate_device(one, ALL_FEATURES);
	/* One more than the engine takes at a time: that one is refused, and its plugin says so. */
	for (uint16_t i = 0; i < 9; i++) {
		set_request(one, i, 16u * i, 8, false);
		ring_enter(&one->driver, (uint16_t)(4 * i));
	}
	pass(one);
	uint64_t since = device_enter(one->device, "test");

	ring_show(&one->driver);
	kick(one);
	device_leave(one->device, since);
	assert_true(wait_used(one, 9));
	for (uint8_t i = 0; i < 8; i++)
		assert_int_equal(*(uint8_t *)ring_at(&one->driver, RING_DATA + 0x1000u * i + 0x100), i);
	assert_int_equal(*(uint8_t *)ring_at(&one->driver, RING_DATA + 0x8000u + 0x10), 1);
}

/* A reset with io under way, again and again: nothing is told, and the device goes on. */
static void resets_wait_for_io(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	set_disk(one, BP_IO_AUTO);
	vsubject_run(one);
	for (int life = 0; life < 50; life++) {
		uint64_t before = event_count(&one->done);

		v_activate_device(one, ALL_FEATURES);
		for (uint16_t i = 0; i < 8; i++) {
			set_request(one, i, 64u * i, 200, i % 2);
			ring_enter(&one->driver, (uint16_t)(4 * i));
		}
		ring_show(&one->driver);
		kick(one);
		if (life % 2)
			assert_true(event_wait(&one->done, before + 1));
		vdev_reset(one->device);
		/* Whatever came of them, it is over: the guest's memory is its own again. */
		v_clear_rings(one);
		memset(ring_at(&one->driver, RING_DATA), 0x5a, 0x10000);
		pass(one);
		assert_int_equal(ring_used_idx(&one->driver), 0);
		for (uint32_t i = 0; i < 0x10000; i++)
			if (*(uint8_t *)ring_at(&one->driver, RING_DATA + i) != 0x5a)
				fail_msg("byte %u was written after the reset", i);
		/* Offsets are above; rings are filled anew. */
	}
	v_activate_device(one, ALL_FEATURES);
	set_request(one, 0, 0, 16, false);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 1));
	assert_int_equal(atomic_load(&one->needs_reset), 0);
}

static void submit_nonsense(struct vsubject *subject, struct bp_chain *chain)
{
	struct iovec iov = { .iov_base = subject, .iov_len = 8 };
	struct bp_io_request good = { .size = sizeof(good),
				      .op = BP_IO_READ,
				      .bytes = 8,
				      .iov = &iov,
				      .iov_count = 1,
				      .done = disk_done },
			     bad;

#define REFUSE(field, value, error) \
	bad = good;                 \
	bad.field = (value);        \
	MUST(bp_io_submit(subject->dev, subject->io, &bad) == (error))
	REFUSE(size, 8, -EINVAL);
	REFUSE(op, 0, -EINVAL);
	REFUSE(op, 6, -EINVAL);
	REFUSE(flags, BP_IO_F_UNMAP, -EINVAL);
	REFUSE(done, NULL, -EINVAL);
	REFUSE(bytes, 9, -EINVAL);
	REFUSE(iov_count, BP_CHAIN_IOV_MAX + 1, -EINVAL);
	REFUSE(iov, NULL, -EINVAL);
	REFUSE(offset, UINT64_MAX, -EINVAL);
	bad = good;
	bad.chain = chain;
	bad.bytes = 0x101;
	MUST(bp_io_submit(subject->dev, subject->io, &bad) == -ENODATA);
	MUST(bp_chain_left(chain, BP_CHAIN_WRITE) == 0x100);
	bp_chain_complete(chain);
	bad.bytes = 1;
	MUST(bp_io_submit(subject->dev, subject->io, &bad) == -ENODATA);
}

static void nonsense_is_refused(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;

	set_disk(one, BP_IO_AUTO);
	one->request = submit_nonsense;
	vsubject_run(one);
	v_fill(one);
	v_activate_device(one, ALL_FEATURES);
	v_offer(one, 0, 1);
	kick(one);
	assert_true(wait_used(one, 1));
}

static int open_nonsense(struct vsubject *subject)
{
	struct bp_io *io;

	MUST(bp_io_open(subject->dev, -1, BP_IO_AUTO, 8, &io) == -EINVAL);
	MUST(bp_io_open(subject->dev, subject->file_fd, 4, 8, &io) == -EINVAL);
	MUST(bp_io_open(subject->dev, subject->file_fd, BP_IO_AUTO, 0, &io) == -EINVAL);
	MUST(bp_io_open(subject->dev, subject->file_fd, BP_IO_AUTO, 1025, &io) == -EINVAL);
	MUST(bp_io_open(subject->dev, subject->call_fd, BP_IO_AUTO, 8, &io) == -EINVAL); /* no file */
	for (int i = 0; i < DEVICE_IOS_MAX - 1; i++)
		MUST(bp_io_open(subject->dev, subject->file_fd, BP_IO_THREADS, 1, &io) == 0);
	return 0;
}

static void engines_are_opened_with_care(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	struct bp_io *io;

	set_disk(one, BP_IO_THREADS);
	one->create = open_nonsense;
	vsubject_run(one);
	v_activate_device(one, ALL_FEATURES);
	set_request(one, 0, 0, 16, false);
	ring_offer(&one->driver, 0);
	kick(one);
	assert_true(wait_used(one, 1));
	log_catch(LOG_LEVEL_ERROR);
	assert_int_equal(bp_io_open(one->dev, one->file_fd, BP_IO_AUTO, 8, &io), -EDEADLK);
}

/* ---- memory ---- */

static void requests_allocate_nothing(void **state)
{
	struct vsubject *one = &((struct vfixture *)*state)->one;
	void *volatile control;

	set_disk(one, BP_IO_AUTO);
	vsubject_run(one);
	v_activate_device(one, ALL_FEATURES);
	set_request(one, 0, 0, 100, false);
	set_request(one, 1, 0, 100, true);
	atomic_store(&allocations, 0);
	/* The control: the counter counts. */
	atomic_store(&counting, true);
	control = malloc(1);
	free(control);
	assert_int_equal(atomic_load(&allocations), 1);
	for (uint16_t i = 0; i < 2000; i++) {
		ring_enter(&one->driver, 0);
		ring_offer(&one->driver, 4);
		kick(one);
		MUST(wait_used(one, (uint16_t)(2 * (i + 1))));
	}
	atomic_store(&counting, false);
	assert_int_equal(atomic_load(&allocations), 1);
	assert_int_equal(event_count(&one->requests), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_engine_transfers), TEST(a_batch_is_done_together),     TEST(resets_wait_for_io),
		TEST(nonsense_is_refused),    TEST(engines_are_opened_with_care), TEST(requests_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
