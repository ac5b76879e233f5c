/* SPDX-License-Identifier: BSD-3-Clause */
/* What the io engines make of a system call's result, without any: short transfers, interruptions, missing operations. */
#include "core/device/io/internal.h"

#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>

static struct io_engine engine;
static struct io_step step;
static struct io_request request;

static int setup(void **state)
{
	(void)state;
	memset(&engine, 0, sizeof(engine));
	engine.file_count = 1;
	engine.files[0].fd = 42;
	for (size_t i = 0; i < IO_ZERO_SEGMENTS; i++)
		engine.zero_iov[i].iov_len = IO_ZERO_BYTES;
	return 0;
}

static void begin(struct io_request what)
{
	request = what;
	request.method = request.flags & IO_MAY_UNMAP ? IO_ZERO_UNMAP : IO_ZERO_RANGE;
}

/* Gives a step its result; the next one is in `step` if there is one. */
static bool feed(int64_t result)
{
	return io_step_done(&engine, &request, result) || !io_step_next(&engine, &request, &step);
}

static uint8_t memory[64];

static void begin_transfer(enum io_op op)
{
	static const struct iovec iov[4] = { { .iov_base = memory, .iov_len = 10 },
					     { .iov_base = memory + 10, .iov_len = 0 },
					     { .iov_base = memory + 20, .iov_len = 20 },
					     { .iov_base = memory + 40, .iov_len = 5 } };

	begin((struct io_request){ .op = (uint8_t)op, .offset = 1000, .iov = iov, .iov_count = 4 });
	assert_true(io_step_next(&engine, &request, &step));
}

static void expect(const void *base, size_t bytes, unsigned int count, uint64_t offset)
{
	assert_int_equal(step.fd, 42);
	assert_ptr_equal(step.iov[0].iov_base, base);
	assert_int_equal(step.iov[0].iov_len, bytes);
	assert_int_equal(step.iov_count, count);
	assert_int_equal(step.offset, offset);
}

static void a_cancelled_engine_begins_no_step(void **state)
{
	(void)state;
	begin_transfer(IO_WRITEV);
	atomic_store(&engine.canceling, true);
	assert_true(feed(10));
	assert_int_equal(request.result, -ECANCELED);
	/* One whose last step is over has its result. */
	atomic_store(&engine.canceling, false);
	begin_transfer(IO_READV);
	atomic_store(&engine.canceling, true);
	assert_true(feed(35));
	assert_int_equal(request.result, 35);
	/* What was interrupted is not tried again. */
	begin((struct io_request){ .op = IO_FLUSH });
	assert_true(feed(-EINTR));
	assert_int_equal(request.result, -ECANCELED);
}

static void short_transfers_go_on_where_they_stopped(void **state)
{
	static const enum io_op ops[] = { IO_READV, IO_WRITEV };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		begin_transfer(ops[i]);
		expect(memory, 10, 4, 1000);
		assert_false(feed(4));
		expect(memory + 4, 6, 1, 1004);
		assert_false(feed(5));
		expect(memory + 9, 1, 1, 1009);
		assert_false(feed(1));
		expect(memory + 20, 20, 2, 1010);
		assert_false(feed(20));
		expect(memory + 40, 5, 1, 1030);
		assert_true(feed(5));
		assert_int_equal(request.result, 35);
	}
	/* Across segments, into the middle of one. */
	begin_transfer(IO_READV);
	assert_false(feed(13));
	expect(memory + 23, 17, 1, 1013);
	assert_false(feed(17));
	expect(memory + 40, 5, 1, 1030);
	assert_true(feed(0));
	assert_int_equal(request.result, 30);
}

static void interruptions_are_not_errors(void **state)
{
	static const int errors[] = { EINTR, EAGAIN, ECANCELED };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		begin_transfer(IO_WRITEV);
		assert_false(feed(3));
		assert_false(feed(-errors[i]));
		expect(memory + 3, 7, 1, 1003);
		begin((struct io_request){ .op = IO_FLUSH });
		assert_false(feed(-errors[i]));
		assert_int_equal(step.kind, IO_STEP_FDATASYNC);
		for (unsigned int n = 1; n < IO_RETRIES_MAX; n++)
			assert_false(feed(-errors[i]));
		assert_true(feed(-errors[i]));
		assert_int_equal(request.result, -EIO);
	}
}

static void errors_end_a_request(void **state)
{
	(void)state;
	begin_transfer(IO_WRITEV);
	assert_false(feed(10));
	assert_true(feed(-ENOSPC));
	assert_int_equal(request.result, -ENOSPC);
	begin_transfer(IO_WRITEV);
	assert_true(feed(0));
	assert_int_equal(request.result, -EIO);
	begin_transfer(IO_READV);
	assert_false(feed(10));
	assert_true(feed(-EIO));
	assert_int_equal(request.result, -EIO);
	begin_transfer(IO_READV);
	assert_true(feed(-EINVAL));
	assert_int_equal(request.result, -EINVAL);
	/* Direct I/O: the file ended in the middle of a sector, and one cannot read on from there. */
	begin_transfer(IO_READV);
	assert_false(feed(13));
	assert_true(feed(-EINVAL));
	assert_int_equal(request.result, 13);
	/* A discard is not replaced by anything. */
	begin((struct io_request){ .op = IO_DISCARD, .bytes = 4096 });
	assert_true(feed(-EOPNOTSUPP));
	assert_int_equal(request.result, -EOPNOTSUPP);
}

/* From a hole to zeroed blocks to plain writing, and what has been found out is remembered. */
static void zeroes_are_tried_in_turn(void **state)
{
	const struct io_request what = {
		.op = IO_WRITE_ZEROES, .flags = IO_MAY_UNMAP, .offset = 512, .bytes = 64 * IO_ZERO_BYTES + 70000
	};
	uint64_t done = 0;

	(void)state;
	begin(what);
	assert_true(io_step_next(&engine, &request, &step));
	assert_int_equal(step.kind, IO_STEP_FALLOCATE);
	assert_int_equal(step.mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
	assert_int_equal(step.offset, 512);
	assert_int_equal(step.bytes, what.bytes);
	assert_false(feed(-EOPNOTSUPP));
	assert_int_equal(step.kind, IO_STEP_FALLOCATE);
	assert_int_equal(step.mode, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);
	assert_false(feed(-EOPNOTSUPP));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(step.kind, IO_STEP_WRITEV);
		assert_int_equal(step.iov_count, IO_ZERO_SEGMENTS);
		assert_int_equal(step.offset, 512 + done);
		/* A short write in the middle, and one that leaves less than what is written at once. */
		done += i ? 64 * IO_ZERO_BYTES - 100 : 100;
		assert_false(feed(i ? 64 * IO_ZERO_BYTES - 100 : 100));
	}
	assert_int_equal(step.iov_count, 1);
	assert_int_equal(step.iov[0].iov_len, IO_ZERO_BYTES);
	assert_false(feed(IO_ZERO_BYTES));
	assert_int_equal(step.iov_count, 1);
	assert_int_equal(step.iov[0].iov_len, 70000 - IO_ZERO_BYTES);
	assert_int_equal(step.offset, 512 + what.bytes - (70000 - IO_ZERO_BYTES));
	assert_true(feed(70000 - IO_ZERO_BYTES));
	assert_int_equal(request.result, 0);
	begin(what);
	assert_true(io_step_next(&engine, &request, &step));
	assert_int_equal(step.kind, IO_STEP_WRITEV);
	assert_true(feed(-EOPNOTSUPP));
	assert_int_equal(request.result, -EOPNOTSUPP);
	begin(what);
	assert_true(io_step_next(&engine, &request, &step));
	assert_true(feed(0));
	assert_int_equal(request.result, -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_cancelled_engine_begins_no_step, setup),
		cmocka_unit_test_setup(short_transfers_go_on_where_they_stopped, setup),
		cmocka_unit_test_setup(interruptions_are_not_errors, setup),
		cmocka_unit_test_setup(errors_end_a_request, setup),
		cmocka_unit_test_setup(zeroes_are_tried_in_turn, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
