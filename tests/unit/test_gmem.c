/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: what lies in RAM is reached, nothing else is, however addresses and lengths wrap. */
#include "core/base/gmem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LOW_BYTES  0x1000
#define HIGH_BYTES 0x2000
#define HIGH       UINT64_C(0x100000000)
#define LAST       (UINT64_MAX - 0xff) /* a region that ends where addresses do, less one byte */
#define LAST_BYTES 0xff

struct ram {
	uint8_t low[LOW_BYTES];
	uint8_t high[HIGH_BYTES];
	uint8_t last[LAST_BYTES];
	struct gmem mem;
};

static int setup(void **state)
{
	static struct ram ram;

	memset(&ram, 0xa5, sizeof(ram));
	ram.mem = (struct gmem){
		.count = 3,
		.regions = { { .gpa = 0, .bytes = LOW_BYTES, .host = ram.low },
			     { .gpa = HIGH, .bytes = HIGH_BYTES, .host = ram.high },
			     { .gpa = LAST, .bytes = LAST_BYTES, .host = ram.last } },
	};
	*state = &ram;
	return 0;
}

static void slices_inside_a_region(void **state)
{
	struct ram *ram = *state;

	assert_ptr_equal(gmem_slice(&ram->mem, 0, 1), ram->low);
	assert_ptr_equal(gmem_slice(&ram->mem, 0, LOW_BYTES), ram->low);
	assert_ptr_equal(gmem_slice(&ram->mem, LOW_BYTES - 1, 1), ram->low + LOW_BYTES - 1);
	assert_ptr_equal(gmem_slice(&ram->mem, HIGH, HIGH_BYTES), ram->high);
	assert_ptr_equal(gmem_slice(&ram->mem, HIGH + 5, 7), ram->high + 5);
	assert_ptr_equal(gmem_slice(&ram->mem, LAST + LAST_BYTES - 1, 1), ram->last + LAST_BYTES - 1);
}

static void slices_outside_of_every_region(void **state)
{
	static const struct {
		uint64_t gpa;
		uint64_t bytes;
	} bad[] = {
		{ 0, 0 },
		{ 0, LOW_BYTES + 1 },
		{ 0, UINT64_MAX },
		{ 1, UINT64_MAX },
		{ LOW_BYTES - 1, 2 },
		{ LOW_BYTES, 1 },
		{ HIGH - 1, 1 },
		{ HIGH - 1, 2 },
		{ HIGH - 1, HIGH_BYTES },
		{ HIGH, HIGH_BYTES + 1 },
		{ HIGH, UINT64_MAX - HIGH + 1 },
		{ HIGH + HIGH_BYTES, 1 },
		{ HIGH + HIGH_BYTES - 1, UINT64_MAX },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 },
		{ UINT64_MAX, UINT64_MAX },
		{ LAST, LAST_BYTES + 1 },
		{ LAST, LAST_BYTES + 2 },
		{ LAST + LAST_BYTES - 1, 2 },
	};
	struct ram *ram = *state;
	uint8_t byte = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(gmem_slice(&ram->mem, bad[i].gpa, bad[i].bytes));
		if (!bad[i].bytes)
			continue;
		assert_int_equal(gmem_zero(&ram->mem, bad[i].gpa, bad[i].bytes), -EFAULT);
		assert_int_equal(gmem_read(&ram->mem, bad[i].gpa, &byte, bad[i].bytes), -EFAULT);
		assert_int_equal(gmem_write(&ram->mem, bad[i].gpa, &byte, bad[i].bytes), -EFAULT);
		assert_int_equal(gmem_copy(&ram->mem, 0, bad[i].gpa, bad[i].bytes), -EFAULT);
		assert_int_equal(gmem_copy(&ram->mem, bad[i].gpa, 0, bad[i].bytes), -EFAULT);
	}
	/* And nothing has been written. */
	for (size_t i = 0; i < LOW_BYTES; i++)
		assert_int_equal(ram->low[i], 0xa5);
	for (size_t i = 0; i < HIGH_BYTES; i++)
		assert_int_equal(ram->high[i], 0xa5);
}

static void nothing_at_any_address_is_fine(void **state)
{
	struct ram *ram = *state;
	uint8_t byte = 7;

	assert_int_equal(gmem_read(&ram->mem, UINT64_MAX, &byte, 0), 0);
	assert_int_equal(gmem_write(&ram->mem, LOW_BYTES + 1, &byte, 0), 0);
	assert_int_equal(gmem_copy(&ram->mem, LOW_BYTES + 1, UINT64_MAX, 0), 0);
	assert_int_equal(gmem_zero(&ram->mem, UINT64_MAX, 0), 0);
	assert_int_equal(byte, 7);
}

static void bytes_arrive(void **state)
{
	struct ram *ram = *state;
	char text[8] = "";

	assert_int_equal(gmem_write(&ram->mem, HIGH + HIGH_BYTES - 8, "abcdefg", 8), 0);
	assert_int_equal(gmem_copy(&ram->mem, LOW_BYTES - 8, HIGH + HIGH_BYTES - 8, 8), 0);
	/* An overlapping copy, as if by way of a third place. */
	assert_int_equal(gmem_copy(&ram->mem, LOW_BYTES - 9, LOW_BYTES - 8, 8), 0);
	assert_int_equal(gmem_read(&ram->mem, LOW_BYTES - 9, text, 8), 0);
	assert_string_equal(text, "abcdefg");
	assert_int_equal(gmem_zero(&ram->mem, LOW_BYTES - 8, 3), 0);
	assert_memory_equal(ram->low + LOW_BYTES - 9, "a\0\0\0efg", 8);
}

static void total_is_the_sum(void **state)
{
	struct ram *ram = *state;
	struct gmem none = { .count = 0 };

	assert_int_equal(gmem_total(&ram->mem), LOW_BYTES + HIGH_BYTES + LAST_BYTES);
	assert_int_equal(gmem_total(&none), 0);
	assert_null(gmem_slice(&none, 0, 1));
}

static void runs_end_with_their_region(void **state)
{
	static const uint64_t outside[] = { LOW_BYTES, HIGH - 1, HIGH + HIGH_BYTES, LAST - 1, UINT64_MAX };
	struct ram *ram = *state;
	uint64_t run = 0;

	assert_ptr_equal(gmem_run(&ram->mem, 0, &run), ram->low);
	assert_int_equal(run, LOW_BYTES);
	assert_ptr_equal(gmem_run(&ram->mem, HIGH + HIGH_BYTES - 1, &run), ram->high + HIGH_BYTES - 1);
	assert_int_equal(run, 1);
	assert_ptr_equal(gmem_run(&ram->mem, LAST + 4, &run), ram->last + 4);
	assert_int_equal(run, LAST_BYTES - 4);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		assert_null(gmem_run(&ram->mem, outside[i], &run));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(slices_inside_a_region, setup),
		cmocka_unit_test_setup(runs_end_with_their_region, setup),
		cmocka_unit_test_setup(slices_outside_of_every_region, setup),
		cmocka_unit_test_setup(nothing_at_any_address_is_fine, setup),
		cmocka_unit_test_setup(bytes_arrive, setup),
		cmocka_unit_test_setup(total_is_the_sum, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
