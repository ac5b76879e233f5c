/* SPDX-License-Identifier: BSD-3-Clause */
/* Opened values as bytes and descriptors: what goes in comes out. */
#include "tests/unit/values_fixture.h"

static void few_values_go_round(void **state)
{
	fill_few(*state);
	expect_round(*state, 1);
}

static void values_of_every_type_go_round(void **state)
{
	fill_all(*state);
	expect_round(*state, 5);
}

static void streams_of_every_kind_go_round(void **state)
{
	struct round *round = *state;
	struct value *console;

	fill_few(round);
	console = add(round->values, CONSOLE, text("null"));
	expect_round(round, 1);
	console->fd_out = fd_memfd("out", 8192);
	expect_round(round, 2);
	console->stream = STREAM_LISTENER;
	console->fd = fd_take(&console->fd_out);
	expect_round(round, 2);
}

static void networks_of_every_kind_go_round(void **state)
{
	static const struct {
		uint32_t kind, flags, fd_count;
	} kinds[] = {
		{ BP_NETWORK_TAP, 0, 1 },
		{ BP_NETWORK_TAP, 0, BP_NETWORK_FDS_MAX },
		{ BP_NETWORK_STREAM, 0, 1 },
		{ BP_NETWORK_STREAM, BP_NETWORK_CONNECTS, 1 },
		{ BP_NETWORK_STREAM, BP_NETWORK_CONNECTS, 0 },
		{ BP_NETWORK_LISTENER, 0, 1 },
	};
	struct round *round = *state;
	struct value *value;

	fill_few(round);
	value = add(round->values, NETWORK, text("tap"));
	expect_round(round, 1); /* not opened */
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		value_clear(value);
		*value = network(kinds[i].kind, kinds[i].flags, kinds[i].fd_count);
		expect_round(round, 1 + kinds[i].fd_count);
	}
}

static void sockets_go_round(void **state)
{
	struct round *round = *state;
	struct value *value;

	fill_few(round);
	value = add(round->values, SOCKET, text("vm.sock"));
	expect_round(round, 1);
	value->fd = fd_memfd("socket", 8192);
	expect_round(round, 2);
}

static void as_many_descriptors_as_there_may_be(void **state)
{
	struct round *round = *state;
	struct pack_writer writer;
	uint8_t *bytes;
	size_t count;

	fill_few(round);
	for (size_t i = 1; i < VALUES_FDS_MAX; i++)
		add_limit(round, 1, true);
	expect_round(round, VALUES_FDS_MAX);
	add_limit(round, 1, true);
	pack_begin(&writer, 1 << 20);
	round->fds.count = 0;
	assert_int_equal(values_pack(round->values, &writer, &round->fds), -ENOSPC);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	free(bytes);
}

static void as_many_values_as_there_may_be(void **state)
{
	struct round *round = *state;
	struct pack_writer writer;
	uint8_t *bytes;
	size_t count;

	fill_few(round);
	for (size_t i = 3; i < VALUES_TOTAL_MAX; i++)
		add(round->values, TAGS, text(""));
	expect_round(round, 1);
	add(round->values, TAGS, text(""));
	pack_begin(&writer, 1 << 20);
	round->fds.count = 0;
	assert_int_equal(values_pack(round->values, &writer, &round->fds), -E2BIG);
	assert_int_equal(pack_end(&writer, &bytes, &count), 0);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROUND_TEST(few_values_go_round),
		ROUND_TEST(values_of_every_type_go_round),
		ROUND_TEST(streams_of_every_kind_go_round),
		ROUND_TEST(networks_of_every_kind_go_round),
		ROUND_TEST(sockets_go_round),
		ROUND_TEST(as_many_descriptors_as_there_may_be),
		ROUND_TEST(as_many_values_as_there_may_be),
	};

	return cmocka_run_group_tests_name("values_pack", tests, NULL, NULL);
}
