/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings as only a hostile guest would write them: a case for each clause, which has to end with the queue broken for the reason that
 * it is named for. This program is built with its own copy of the queue, in which each check can be left out: with any one of them
 * gone at least one case must fail, or the cases would prove nothing.
 */
#include "tests/unit/queue_fixture.h"

#include <signal.h>
#include <sys/wait.h>

uint32_t virtqueue_unchecked;

#define SIZE         8u

/* What a case may take before it counts as hanging; only cases without their check get there. */
#define CASE_SECONDS 2

static struct queue_fixture fixture;

/* A buffer to read in descriptor `index`, without a successor. */
static void set_plain(uint32_t index)
{
	ring_set(&fixture.driver, RING_DESC, index, RING_DATA, 16, 0, 0);
}

/* Descriptor 0 refers to an indirect table of `bytes`. */
static void set_table(uint64_t gpa, uint32_t bytes, unsigned int flags)
{
	ring_set(&fixture.driver, RING_DESC, 0, gpa, bytes, RING_F_INDIRECT | flags, 1);
	set_plain(1);
}

/* A table of `count` descriptors in a row. */
static void fill_table(uint64_t table, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		ring_set(&fixture.driver, table, i, RING_DATA + 16 * i, 16, i + 1 < count ? RING_F_NEXT : 0,
			 (uint16_t)(i + 1));
}

/* ---- the cases: each makes one thing wrong ---- */

static void index_one_too_far(void)
{
	for (uint16_t i = 0; i < SIZE; i++) {
		set_plain(i);
		ring_enter(&fixture.driver, i);
	}
	ring_enter(&fixture.driver, 0);
	ring_show(&fixture.driver);
}

static void index_half_way_round(void)
{
	set_plain(0);
	fixture.driver.avail_idx = 0x8000;
	ring_show(&fixture.driver);
}

static void index_goes_back(void)
{
	set_plain(0);
	fixture.driver.avail_idx = 0xffff;
	ring_show(&fixture.driver);
}

static void head_just_beyond(void)
{
	ring_offer(&fixture.driver, SIZE);
}

static void head_far_beyond(void)
{
	ring_offer(&fixture.driver, 0xffff);
}

static void same_head_in_a_batch(void)
{
	set_plain(3);
	ring_enter(&fixture.driver, 3);
	ring_offer(&fixture.driver, 3);
}

static void next_just_beyond(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_NEXT, SIZE);
	ring_offer(&fixture.driver, 0);
}

static void next_far_beyond(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_NEXT, 0xffff);
	ring_offer(&fixture.driver, 0);
}

static void next_beyond_the_table(void)
{
	fill_table(RING_TABLE, SIZE);
	set_table(RING_TABLE, 2 * 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void loop_of_one(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_NEXT, 0);
	ring_offer(&fixture.driver, 0);
}

static void loop_of_all(void)
{
	for (uint16_t i = 0; i < SIZE; i++)
		ring_set(&fixture.driver, RING_DESC, i, RING_DATA, 16, RING_F_NEXT, (uint16_t)((i + 1) % SIZE));
	ring_offer(&fixture.driver, 5);
}

static void loop_of_nothing(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, 0, 0, RING_F_NEXT, 0);
	ring_offer(&fixture.driver, 0);
}

static void loop_in_a_table(void)
{
	ring_set(&fixture.driver, RING_TABLE, 0, RING_DATA, 16, RING_F_NEXT, 1);
	ring_set(&fixture.driver, RING_TABLE, 1, RING_DATA, 16, RING_F_NEXT, 0);
	set_table(RING_TABLE, 2 * 16, 0);
	ring_offer(&fixture.driver, 0);
}

/* In all one descriptor more than the queue has. */
static void long_by_table(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_NEXT, 1);
	ring_set(&fixture.driver, RING_DESC, 1, RING_TABLE, SIZE * 16, RING_F_INDIRECT, 0);
	fill_table(RING_TABLE, SIZE);
	ring_offer(&fixture.driver, 0);
}

/* Without an order, this would be a chain like any other: all of it is RAM, as far as RAM goes. */
static void more_bytes_than_fit(void)
{
	for (uint16_t i = 0; i < 2; i++)
		ring_set(&fixture.driver, RING_DESC, i, RING_RAM, UINT32_MAX, i ? 0 : RING_F_NEXT, 1);
	/* A guest with 4 GiB and more in one region: address space of the test, never touched. */
	fixture.driver.mem.regions[0].bytes = UINT64_C(1) << 33;
	fixture.driver.mem.count = 1;
	ring_offer(&fixture.driver, 0);
}

/* Three regions that touch, and every descriptor spans all of them. */
static void more_pieces_than_fit(void)
{
	struct gmem *mem = &fixture.driver.mem;

	mem->regions[2].gpa = mem->regions[1].gpa + RING_REGION;
	for (uint16_t i = 0; i < SIZE; i++)
		ring_set(&fixture.driver, RING_DESC, i, RING_RAM_NEXT - 8, (uint32_t)RING_REGION + 16,
			 i + 1u < SIZE ? RING_F_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&fixture.driver, 0);
}

static void read_after_write(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_WRITE | RING_F_NEXT, 1);
	set_plain(1);
	ring_offer(&fixture.driver, 0);
}

static void read_after_write_in_a_table(void)
{
	ring_set(&fixture.driver, RING_TABLE, 0, RING_DATA, 16, RING_F_WRITE | RING_F_NEXT, 1);
	ring_set(&fixture.driver, RING_TABLE, 1, RING_DATA, 16, 0, 0);
	set_table(RING_TABLE, 2 * 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void read_table_after_write(void)
{
	ring_set(&fixture.driver, RING_DESC, 0, RING_DATA, 16, RING_F_WRITE | RING_F_NEXT, 1);
	ring_set(&fixture.driver, RING_DESC, 1, RING_TABLE, 16, RING_F_INDIRECT, 0);
	ring_set(&fixture.driver, RING_TABLE, 0, RING_DATA, 16, 0, 0);
	ring_offer(&fixture.driver, 0);
}

static void offer_buffer(uint64_t gpa, uint32_t len)
{
	ring_set(&fixture.driver, RING_DESC, 0, gpa, len, RING_F_WRITE, 0);
	ring_offer(&fixture.driver, 0);
}

static void buffer_in_a_hole(void)
{
	offer_buffer(RING_HOLE + 0x1000, 16);
}

static void buffer_into_a_hole(void)
{
	offer_buffer(RING_HOLE - 8, 16);
}

static void buffer_out_of_a_hole(void)
{
	offer_buffer(RING_RAM_FAR - 8, 16);
}

static void buffer_across_a_hole(void)
{
	offer_buffer(RING_HOLE - 8, (uint32_t)(RING_RAM_FAR - RING_HOLE) + 16);
}

static void buffer_beyond_all(void)
{
	offer_buffer(RING_RAM_FAR + RING_REGION - 1, 2);
}

static void buffer_that_wraps(void)
{
	offer_buffer(UINT64_MAX - 7, 16);
}

static void buffer_at_the_top(void)
{
	offer_buffer(UINT64_MAX - 15, 16);
}

static void buffer_at_zero(void)
{
	offer_buffer(0, 16);
}

static void buffer_of_a_table_in_a_hole(void)
{
	ring_set(&fixture.driver, RING_TABLE, 0, RING_HOLE, 16, 0, 0);
	set_table(RING_TABLE, 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_not_negotiated(void)
{
	struct virtqueue_spec spec = queue_spec(&fixture, 0);

	MUST(virtqueue_open(&fixture.queue, &spec) == 0);
	fill_table(RING_TABLE, 2);
	set_table(RING_TABLE, 2 * 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_in_a_table(void)
{
	ring_set(&fixture.driver, RING_TABLE, 0, RING_TABLE + 0x100, 16, RING_F_INDIRECT, 0);
	ring_set(&fixture.driver, RING_TABLE + 0x100, 0, RING_DATA, 16, 0, 0);
	set_table(RING_TABLE, 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_in_itself(void)
{
	ring_set(&fixture.driver, RING_TABLE, 0, RING_TABLE, 16, RING_F_INDIRECT, 0);
	set_table(RING_TABLE, 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_and_next(void)
{
	fill_table(RING_TABLE, 2);
	set_table(RING_TABLE, 2 * 16, RING_F_NEXT);
	ring_offer(&fixture.driver, 0);
}

static void offer_table_bytes(uint32_t bytes)
{
	fill_table(RING_TABLE, 2);
	set_table(RING_TABLE, bytes, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_of_nothing(void)
{
	offer_table_bytes(0);
}

static void table_of_a_bit(void)
{
	offer_table_bytes(15);
}

static void table_and_a_bit(void)
{
	offer_table_bytes(2 * 16 + 1);
}

static void table_too_long(void)
{
	offer_table_bytes((SIZE + 1) * 16);
}

static void table_much_too_long(void)
{
	offer_table_bytes(0x10000);
}

static void offer_table_at(uint64_t gpa)
{
	set_table(gpa, 2 * 16, 0);
	ring_offer(&fixture.driver, 0);
}

static void table_in_a_hole(void)
{
	offer_table_at(RING_HOLE);
}

static void table_into_a_hole(void)
{
	ring_set(&fixture.driver, RING_HOLE - 16, 0, RING_DATA, 16, 0, 0);
	offer_table_at(RING_HOLE - 16);
}

static void table_that_wraps(void)
{
	offer_table_at(UINT64_MAX - 15);
}

#define CASE(function, rule)                          \
	{                                             \
#function, function, VIRTQUEUE_##rule \
	}

static const struct hostile_case {
	const char *name;
	void (*make)(void);
	enum virtqueue_rule rule;
} cases[] = {
	CASE(index_one_too_far, AVAIL_JUMP),
	CASE(index_half_way_round, AVAIL_JUMP),
	CASE(index_goes_back, AVAIL_JUMP),
	CASE(head_just_beyond, HEAD_RANGE),
	CASE(head_far_beyond, HEAD_RANGE),
	CASE(same_head_in_a_batch, HEAD_IN_FLIGHT),
	CASE(next_just_beyond, NEXT_RANGE),
	CASE(next_far_beyond, NEXT_RANGE),
	CASE(next_beyond_the_table, NEXT_RANGE),
	CASE(loop_of_one, CHAIN_LENGTH),
	CASE(loop_of_all, CHAIN_LENGTH),
	CASE(loop_of_nothing, CHAIN_LENGTH),
	CASE(loop_in_a_table, CHAIN_LENGTH),
	CASE(long_by_table, CHAIN_LENGTH),
	CASE(more_bytes_than_fit, CHAIN_BYTES),
	CASE(more_pieces_than_fit, CHAIN_PIECES),
	CASE(read_after_write, ORDER),
	CASE(read_after_write_in_a_table, ORDER),
	CASE(read_table_after_write, ORDER),
	CASE(buffer_in_a_hole, BUFFER_RAM),
	CASE(buffer_into_a_hole, BUFFER_RAM),
	CASE(buffer_out_of_a_hole, BUFFER_RAM),
	CASE(buffer_across_a_hole, BUFFER_RAM),
	CASE(buffer_beyond_all, BUFFER_RAM),
	CASE(buffer_that_wraps, BUFFER_RAM),
	CASE(buffer_at_the_top, BUFFER_RAM),
	CASE(buffer_at_zero, BUFFER_RAM),
	CASE(buffer_of_a_table_in_a_hole, BUFFER_RAM),
	CASE(table_not_negotiated, INDIRECT_OFF),
	CASE(table_in_a_table, INDIRECT_AGAIN),
	CASE(table_in_itself, INDIRECT_AGAIN),
	CASE(table_and_next, INDIRECT_NEXT),
	CASE(table_of_nothing, INDIRECT_BYTES),
	CASE(table_of_a_bit, INDIRECT_BYTES),
	CASE(table_and_a_bit, INDIRECT_BYTES),
	CASE(table_too_long, INDIRECT_SIZE),
	CASE(table_much_too_long, INDIRECT_SIZE),
	CASE(table_in_a_hole, INDIRECT_RAM),
	CASE(table_into_a_hole, INDIRECT_RAM),
	CASE(table_that_wraps, INDIRECT_RAM),
};

/* Runs a case: what was wrong with how it ended, or NULL. Completes each chain that comes, unless `keep`. */
static const char *run_case(const struct hostile_case *hostile, bool keep)
{
	const char *wrong = NULL;
	struct gmem whole;
	struct chain *chain;

	queue_init(&fixture, SIZE, VIRTQUEUE_FEATURES);
	whole = fixture.driver.mem;
	hostile->make();
	for (size_t i = 0; i < 4 * SIZE && (chain = virtqueue_pop(&fixture.queue)); i++)
		if (!keep)
			virtqueue_push(&fixture.queue, chain);
	if (!fixture.queue.broken)
		wrong = "the queue is not broken";
	else if (strcmp(fixture.queue.broken, virtqueue_rule_text(hostile->rule)) != 0)
		wrong = fixture.queue.broken;
	else if (virtqueue_pop(&fixture.queue) || virtqueue_arm(&fixture.queue))
		wrong = "the broken queue goes on";
	fixture.driver.mem = whole;
	queue_end(&fixture);
	return wrong;
}

/* Chains are kept where that is what the case is about. */
static bool keeps(const struct hostile_case *hostile)
{
	return hostile->rule == VIRTQUEUE_HEAD_IN_FLIGHT;
}

static void every_case_breaks_the_queue(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const char *wrong = run_case(&cases[i], keeps(&cases[i]));

		if (wrong)
			fail_msg("%s: %s", cases[i].name, wrong);
	}
}

static void every_rule_has_a_case(void **state)
{
	uint32_t rules = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		rules |= 1u << cases[i].rule;
	assert_int_equal(rules, (1u << VIRTQUEUE_RULES) - 1);
}

/* In a process of its own, since without its check a case may crash or hang. Whether it failed. */
static bool fails_without(const struct hostile_case *hostile, enum virtqueue_rule rule)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	pid_t child = fork();
	int status = 0;

	MUST(child >= 0);
	if (!child) {
		int null = open("/dev/null", O_WRONLY);

		/* A sanitizer's report of what is expected here would only confuse; and cmocka would go on after a crash. */
		dup2(null, STDERR_FILENO);
		for (size_t i = 0; i < COUNT_OF(signals); i++)
			signal(signals[i], SIG_DFL);
		alarm(CASE_SECONDS);
		virtqueue_unchecked = 1u << rule;
		_exit(run_case(hostile, keeps(hostile)) ? 1 : 0);
	}
	MUST(waitpid(child, &status, 0) == child);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void every_check_is_missed(void **state)
{
	(void)state;
	for (unsigned int rule = 0; rule < VIRTQUEUE_RULES; rule++) {
		size_t failed = 0;

		for (size_t i = 0; i < COUNT_OF(cases); i++)
			if (cases[i].rule == rule)
				failed += fails_without(&cases[i], rule);
		if (!failed)
			fail_msg("no case misses the check that %s", virtqueue_rule_text(rule));
	}
	/* The control's control: with the check in place the same process says that all is well. */
	assert_false(fails_without(&cases[0], VIRTQUEUE_RULES));
}

/* What the guest does wrong is found before the plugin sees anything of the chain. */
static void a_broken_chain_leaves_nothing_behind(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		uint32_t in_use;

		if (cases[i].rule < VIRTQUEUE_NEXT_RANGE)
			continue;
		queue_init(&fixture, SIZE, VIRTQUEUE_FEATURES);
		struct gmem whole = fixture.driver.mem;

		cases[i].make();
		assert_null(virtqueue_pop(&fixture.queue));
		in_use = fixture.block->in_use;
		fixture.driver.mem = whole;
		queue_end(&fixture);
		assert_int_equal(in_use, 0);
	}
}

/* ---- what cannot be opened ---- */

static void expect_open(struct virtqueue_spec spec, int result)
{
	struct virtqueue queue;

	assert_int_equal(virtqueue_open(&queue, &spec), result);
}

static void rings_that_cannot_be(void **state)
{
	struct virtqueue_spec good, spec;

	(void)state;
	queue_init(&fixture, SIZE, 0);
	good = queue_spec(&fixture, 0);
	expect_open(good, 0);
#define EXPECT(field, value, result) \
	spec = good;                 \
	spec.field = (value);        \
	expect_open(spec, result)
	EXPECT(size, 0, -EINVAL);
	EXPECT(size, 7, -EINVAL);
	EXPECT(size, 2 * SIZE, -EINVAL); /* more than there is room for */
	EXPECT(size, 1, 0);
	EXPECT(desc_gpa, RING_DESC + 8, -EINVAL);
	EXPECT(avail_gpa, RING_AVAIL + 1, -EINVAL);
	EXPECT(used_gpa, RING_USED + 2, -EINVAL);
	EXPECT(desc_gpa, RING_HOLE, -EFAULT);
	EXPECT(desc_gpa, RING_HOLE - 16 * SIZE + 16, -EFAULT);
	EXPECT(desc_gpa, RING_HOLE - 16 * SIZE, 0);
	EXPECT(desc_gpa, RING_RAM_NEXT - 16, -EFAULT); /* regions that touch, but two */
	EXPECT(avail_gpa, RING_HOLE - (6 + 2 * SIZE) + 2, -EFAULT);
	EXPECT(avail_gpa, RING_HOLE - (6 + 2 * SIZE), 0);
	EXPECT(used_gpa, RING_HOLE - (4 + 8 * SIZE), -EFAULT);
	EXPECT(used_gpa, RING_HOLE - (8 + 8 * SIZE), 0);
	EXPECT(used_gpa, UINT64_MAX - 3, -EFAULT);
	EXPECT(avail_gpa, 0, -EFAULT);
	queue_end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_breaks_the_queue), cmocka_unit_test(every_rule_has_a_case),
		cmocka_unit_test(every_check_is_missed),       cmocka_unit_test(a_broken_chain_leaves_nothing_behind),
		cmocka_unit_test(rings_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
