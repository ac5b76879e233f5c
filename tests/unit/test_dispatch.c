/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an access costs on its way from the bus into a plugin and back: instructions in user space, and no allocation. The
 * counts are exact, but depend on the compiler's flags: they are claimed for -O2 and -O3, and not with sanitizers.
 */
#include "tests/unit/dispatch_fixture.h"
#include "tests/unit/steps.h"
#include "tests/unit/support.h"

#define INSTRUCTIONS_MAX 150
/* For another device than the one before, of sixteen. */
#define SEARCH_MAX       250

/* TEST_CFLAGS comes from the Makefile, as it is there. */
#define TEXT_OF(...)     #__VA_ARGS__
#define TEXT(macro)      TEXT_OF(macro)

static bool counts_are_claimed(void)
{
#ifdef BP_SANITIZED
	return false;
#else
	const char *level = NULL;

	/* The last one wins. */
	for (const char *at = TEXT(TEST_CFLAGS); (at = strstr(at, "-O")); at += 2)
		level = at + 2;
	return level && (*level == '2' || *level == '3');
#endif
}

/* ---- allocations ---- */

static atomic_ulong allocations;

#ifndef BP_SANITIZED
/* The C library's own, by names that stay when a program has functions with the usual ones. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's start with underscores. */
void *malloc(size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(old, bytes);
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#endif

/* ---- one access ---- */

struct fixture {
	struct bus_reader reader; /* first: it is aligned to a cache line */
	struct dispatch dispatch;
	uint64_t address;
	uint64_t value;
	bool write;
};

static void access_once(void *arg)
{
	struct fixture *fixture = arg;

	bus_access(&fixture->reader, BP_MMIO, fixture->address, 4, fixture->write, &fixture->value);
}

static int setup(void **state)
{
	static struct fixture fixture;

	memset(&fixture, 0, sizeof(fixture));
	dispatch_open(&fixture.dispatch, DISPATCH_DEVICES_MAX);
	MUST(bus_reader_add(fixture.dispatch.bus, &fixture.reader) == 0);
	fixture.address = dispatch_address(3);
	fixture.write = true;
	fixture.value = 0x12345678;
	access_once(&fixture);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	bus_reader_remove(&fixture->reader);
	dispatch_close(&fixture->dispatch);
	return 0;
}

/* The access has to be one that is answered, or its way is a shorter one. */
static long count_instructions(struct fixture *fixture)
{
	uint64_t unclaimed = fixture->reader.unclaimed;
	long steps = steps_count((uint64_t)(uintptr_t)bus_access, access_once, fixture);

	assert_true(steps > 0);
	/* The child has counted, not we: the same access once more. */
	access_once(fixture);
	assert_int_equal(fixture->reader.unclaimed, unclaimed);
	assert_int_equal(fixture->value, 0x12345678);
	return steps;
}

/* ---- the counting itself ---- */

void ten_instructions(void);
__asm__(".text\n"
	".globl ten_instructions\n"
	".type ten_instructions, @function\n"
	"ten_instructions:\n"
	"	endbr64\n"
	"	push %rbx\n"
	"	rdtsc\n"
	"	mov %eax, %ebx\n"
	"	rdtsc\n"
	"	cmp %eax, %ebx\n"
	"	je 1f\n" /* the clock stands still */
	"	nop\n"
	"	nop\n"
	"1:	pop %rbx\n"
	"	nop\n"
	"	ret\n"
	".size ten_instructions, . - ten_instructions\n");

static void call_ten(void *arg)
{
	(void)arg;
	ten_instructions();
}

static void instructions_are_counted_exactly(void **state)
{
	(void)state;
	assert_int_equal(steps_count((uint64_t)(uintptr_t)ten_instructions, call_ten, NULL), 10);
}

static void call_nothing(void *arg)
{
	(void)arg;
}

static void what_is_not_called_has_no_count(void **state)
{
	(void)state;
	assert_true(steps_count((uint64_t)(uintptr_t)ten_instructions, call_nothing, NULL) < 0);
}

/* ---- the claims ---- */

static void within(struct fixture *fixture, long most)
{
	long steps;

	if (!counts_are_claimed())
		skip();
	steps = count_instructions(fixture);
	print_message("# %ld instructions\n", steps);
	assert_in_range(steps, 1, most);
}

static void a_read_takes_at_most_150_instructions(void **state)
{
	struct fixture *fixture = *state;

	fixture->write = false;
	within(fixture, INSTRUCTIONS_MAX);
}

static void a_write_takes_at_most_150_instructions(void **state)
{
	within(*state, INSTRUCTIONS_MAX);
}

static void a_search_of_sixteen_devices_takes_at_most_250(void **state)
{
	struct fixture *fixture = *state;

	fixture->address = dispatch_address(9);
	within(fixture, SEARCH_MAX);
}

static void an_access_allocates_nothing(void **state)
{
	struct fixture *fixture = *state;
	unsigned long before = atomic_load(&allocations);
	char *copy = strdup("counted");

	if (atomic_load(&allocations) == before) {
		free(copy);
		skip(); /* a sanitizer has the allocator */
	}
	free(copy);
	before = atomic_load(&allocations);
	for (unsigned int i = 0; i < 1000; i++) {
		fixture->write = i % 2;
		fixture->address = dispatch_address(i % DISPATCH_DEVICES_MAX);
		access_once(fixture);
	}
	assert_int_equal(atomic_load(&allocations), before);
	assert_int_equal(fixture->reader.unclaimed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_are_counted_exactly),  cmocka_unit_test(what_is_not_called_has_no_count),
		TEST(a_read_takes_at_most_150_instructions),         TEST(a_write_takes_at_most_150_instructions),
		TEST(a_search_of_sixteen_devices_takes_at_most_250), TEST(an_access_allocates_nothing),
	};

	return cmocka_run_group_tests_name("dispatch", tests, NULL, NULL);
}
