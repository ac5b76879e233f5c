/* SPDX-License-Identifier: BSD-3-Clause */
/* Packed values that do not fit the reader's schema: refused, and each descriptor has one owner. */
#include "tests/unit/values_fixture.h"

/* ---- what is refused ---- */

static void expect_refusal(struct round *round, const char *sentence)
{
	struct values *values = NULL;
	struct err err = ERR_NONE;
	size_t before = count_fds(), count;
	uint8_t *bytes = pack(round, &count);

	assert_int_equal(unpack(round, bytes, count, &values, &err), -EBADMSG);
	assert_null(values);
	assert_string_equal(err.text, sentence);
	close_rest(round);
	assert_int_equal(count_fds(), before);
	free(bytes);
}

/* What is packed is as wrong as what is set here. */
static void numbers_beyond_their_bounds(void **state)
{
	static const struct {
		size_t param;
		uint64_t low, high; /* the nearest that is wrong; 0: none */
	} bounds[] = {
		{ OFFSET, (uint64_t)-6, 6 },
		{ SIZE, 511, UINT64_C(1) << 63 },
		{ MAC, 0, UINT64_C(1) << 48 },
		{ FLAG, 0, 2 },
		{ KIND, 0, 2 },
	};
	struct round *round = *state;
	char sentence[64];

	fill_all(round);
	for (size_t i = 0; i < COUNT_OF(bounds); i++) {
		struct value *value = &round->values->lists[bounds[i].param].items[0];
		uint64_t right = value->number;

		snprintf(sentence, sizeof(sentence), "bad value of \"%s\"", params[bounds[i].param].name);
		value->number = bounds[i].high;
		expect_refusal(round, sentence);
		value->number = UINT64_MAX;
		if (bounds[i].param != OFFSET)
			expect_refusal(round, sentence);
		value->number = bounds[i].low;
		if (bounds[i].low)
			expect_refusal(round, sentence);
		value->number = right;
	}
	/* Within a group. */
	round->values->lists[LIMITS].items[1].group->lists[0].items[0].number = 101;
	expect_refusal(round, "bad value of \"size\"");
	round->values->lists[LIMITS].items[1].group->lists[0].items[0].number = 100;
	expect_round(round, 5);
}

static void texts_that_are_not_there(void **state)
{
	static const size_t places[] = { TAGS, PATH, CONSOLE };
	struct round *round = *state;
	char sentence[64];

	fill_all(round);
	for (size_t i = 0; i < COUNT_OF(places); i++) {
		struct value *value = &round->values->lists[places[i]].items[0];
		char *right = take(&value->text);

		snprintf(sentence, sizeof(sentence), "bad value of \"%s\"", params[places[i]].name);
		expect_refusal(round, sentence);
		value->text = calloc(1, SCHEMA_TEXT_MAX + 2);
		memset(value->text, 'x', SCHEMA_TEXT_MAX + 1);
		expect_refusal(round, sentence);
		free(value->text);
		value->text = right;
	}
	expect_round(round, 5);
}

static void streams_that_cannot_be(void **state)
{
	struct round *round = *state;
	struct value *console;
	int in, out;

	fill_all(round);
	console = &round->values->lists[CONSOLE].items[0];
	console->stream = (enum stream_kind)3;
	expect_refusal(round, "bad value of \"console\"");
	console->stream = STREAM_LISTENER; /* and can be written to */
	expect_refusal(round, "bad value of \"console\"");
	console->stream = STREAM_PTY;
	out = fd_take(&console->fd_out);
	expect_refusal(round, "bad value of \"console\"");
	console->fd_out = out;
	in = fd_take(&console->fd);
	expect_refusal(round, "bad value of \"console\"");
	console->stream = STREAM_LISTENER;
	expect_refusal(round, "bad value of \"console\"");
	console->stream = STREAM_FIXED;
	expect_round(round, 4);
	console->fd = in;
}

static void networks_that_cannot_be(void **state)
{
	static const struct {
		uint32_t kind, flags, fd_count;
	} wrong[] = {
		{ 0, 0, 1 },
		{ BP_NETWORK_LISTENER + 1, 0, 1 },
		{ BP_NETWORK_TAP, 0, 0 },
		{ BP_NETWORK_TAP, BP_NETWORK_CONNECTS, 1 },
		{ BP_NETWORK_STREAM, 0, 0 },
		{ BP_NETWORK_STREAM, 0, 2 },
		{ BP_NETWORK_STREAM, BP_NETWORK_CONNECTS | 2, 1 },
		{ BP_NETWORK_LISTENER, 0, 0 },
		{ BP_NETWORK_LISTENER, 0, 2 },
		{ BP_NETWORK_LISTENER, BP_NETWORK_CONNECTS, 1 },
	};
	struct round *round = *state;
	struct value *value;

	fill_few(round);
	value = add(round->values, NETWORK, network(BP_NETWORK_TAP, 0, 2));
	expect_round(round, 3);
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		value_clear(value);
		*value = network(wrong[i].kind, wrong[i].flags, wrong[i].fd_count);
		expect_refusal(round, "bad value of \"network\"");
	}
	/* Without one of its descriptors. */
	value_clear(value);
	*value = network(BP_NETWORK_TAP, 0, 2);
	fd_close(fd_take(&value->network->fds[1]));
	expect_refusal(round, "bad value of \"network\"");
}

/* The text, the number that says that there is one, kind and flags: behind these stands how many descriptors it has. */
static void networks_with_too_many_descriptors(void **state)
{
	struct round *round = *state;
	struct values *values;
	struct err err = ERR_NONE;
	size_t count, at = 0;
	uint8_t *bytes;

	fill_few(round);
	add(round->values, NETWORK, network(BP_NETWORK_TAP, 0, BP_NETWORK_FDS_MAX));
	bytes = pack(round, &count);
	while (at + 16 < count && memcmp(bytes + at, "tap\1\0\0\0", 7) != 0)
		at++;
	at += 3 + 3 * sizeof(uint32_t);
	assert_int_equal(bytes[at], BP_NETWORK_FDS_MAX);
	bytes[at]++;
	assert_int_equal(unpack(round, bytes, count, &values, &err), -EBADMSG);
	assert_string_equal(err.text, "bad value of \"network\"");
	close_rest(round);
	free(bytes);
}

static void wrong_numbers_of_values(void **state)
{
	struct round *round = *state;

	add(round->values, FLAG, number(0));
	add(round->values, KIND, choice(0));
	expect_refusal(round, "bad value of \"path\""); /* required */
	add(round->values, PATH, file("disk", 4096));
	round->values->lists[KIND].count = 0;
	expect_refusal(round, "bad value of \"kind\""); /* has a default */
	round->values->lists[KIND].count = 1;
	add(round->values, FLAG, number(1));
	expect_refusal(round, "bad value of \"flag\""); /* one at most */
	round->values->lists[FLAG].count = 1;
	round->values->lists[COUNT].is_default = true;
	expect_refusal(round, "bad value of \"count\"");
	add(round->values, COUNT, number(1));
	expect_refusal(round, "bad value of \"count\""); /* has no default */
	round->values->lists[COUNT].is_default = false;
	expect_round(round, 1);
}

/* Where in the bytes the number of a descriptor stands, for values that have one file only: behind its path. */
static size_t find_index(const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i + 8 <= count; i++)
		if (!memcmp(bytes + i, "disk", 4))
			return i + 4;
	fail();
	return 0;
}

static void descriptors_that_are_not_there(void **state)
{
	static const uint8_t indices[] = { 2, 3, 0x7f, 0xfe };
	struct round *round = *state;
	struct values *values;
	struct err err = ERR_NONE;
	size_t count, at;
	uint8_t *bytes;

	fill_few(round);
	add(round->values, CONSOLE, text("file"))->fd_out = fd_memfd("out", 8192);
	for (size_t i = 0; i < COUNT_OF(indices); i++) {
		bytes = pack(round, &count);
		at = find_index(bytes, count);
		assert_memory_equal(bytes + at, "\0\0\0\0", 4);
		bytes[at] = indices[i];
		assert_int_equal(unpack(round, bytes, count, &values, &err), -EBADMSG);
		assert_string_equal(err.text, "bad value of \"path\"");
		/* None has been taken. */
		assert_true(round->fds.fds[0] >= 0 && round->fds.fds[1] >= 0);
		close_rest(round);
		free(bytes);
	}
	/* One that two values name. */
	bytes = pack(round, &count);
	bytes[find_index(bytes, count)] = 1;
	assert_int_equal(unpack(round, bytes, count, &values, &err), -EBADMSG);
	assert_string_equal(err.text, "bad value of \"console\"");
	assert_true(round->fds.fds[0] >= 0);
	assert_int_equal(round->fds.fds[1], -1);
	close_rest(round);
	free(bytes);
}

static void what_is_left_is_the_callers(void **state)
{
	struct round *round = *state;
	struct values *values;
	struct err err = ERR_NONE;
	size_t count;
	uint8_t *bytes;

	fill_few(round);
	bytes = pack(round, &count);
	round->fds.fds[round->fds.count++] = fd_memfd("more", 4096);
	assert_int_equal(unpack(round, bytes, count, &values, &err), 0);
	assert_int_equal(round->fds.fds[0], -1);
	assert_true(round->fds.fds[1] >= 0);
	close_rest(round);
	values_free(values);
	free(bytes);
}

static void values_that_are_cut(void **state)
{
	struct round *round = *state;
	struct values *values = NULL;
	struct err err = ERR_NONE;
	size_t before, count;
	uint8_t *bytes;

	fill_all(round);
	before = count_fds();
	for (size_t cut = 0, end = 1; cut < end; cut++) {
		bytes = pack(round, &count);
		end = count;
		assert_int_equal(unpack(round, bytes, cut, &values, &err), -EBADMSG);
		assert_null(values);
		assert_true(err.text[0] && !strchr(err.text, '\n'));
		close_rest(round);
		assert_int_equal(count_fds(), before);
		free(bytes);
	}
}

static void each_byte_flipped(void **state)
{
	static const uint8_t flips[] = { 0x01, 0x80, 0xff };
	struct round *round = *state;
	struct values *values = NULL;
	struct err err = ERR_NONE;
	size_t before, count, refused = 0;
	uint8_t *bytes;

	fill_all(round);
	before = count_fds();
	bytes = pack(round, &count);
	close_rest(round);
	free(bytes);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < COUNT_OF(flips); j++) {
			bytes = pack(round, &count);
			bytes[i] ^= flips[j];
			if (unpack(round, bytes, count, &values, &err) < 0)
				refused++;
			else
				values_free(values);
			close_rest(round);
			assert_int_equal(count_fds(), before);
			free(bytes);
		}
	assert_true(refused > count);
}

/* The reader decides: values of one schema are refused by another, whose groups are not as deep. */
static void values_of_another_schema(void **state)
{
	struct round *round = *state;
	struct values *values = NULL;
	struct err err = ERR_NONE;
	struct schema *own = round->schema, *other;
	size_t count;
	uint8_t *bytes;

	assert_int_equal(schema_copy(inner, sizeof(inner[0]), COUNT_OF(inner), &other, &err), 0);
	fill_all(round);
	bytes = pack(round, &count);
	round->schema = other;
	assert_int_equal(unpack(round, bytes, count, &values, &err), -EBADMSG);
	round->schema = own;
	close_rest(round);
	schema_free(other);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROUND_TEST(numbers_beyond_their_bounds),
		ROUND_TEST(texts_that_are_not_there),
		ROUND_TEST(streams_that_cannot_be),
		ROUND_TEST(networks_that_cannot_be),
		ROUND_TEST(networks_with_too_many_descriptors),
		ROUND_TEST(wrong_numbers_of_values),
		ROUND_TEST(descriptors_that_are_not_there),
		ROUND_TEST(what_is_left_is_the_callers),
		ROUND_TEST(values_that_are_cut),
		ROUND_TEST(each_byte_flipped),
		ROUND_TEST(values_of_another_schema),
	};

	return cmocka_run_group_tests_name("values_hostile", tests, NULL, NULL);
}
