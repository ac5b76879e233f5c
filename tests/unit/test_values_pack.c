/* SPDX-License-Identifier: BSD-3-Clause */
/* Opened values as bytes and descriptors: what goes in comes out, what does not fit the reader's schema is refused, and each descriptor has one owner. */
#include "core/base/values_pack.h"

#include "core/base/fd.h"
#include "tests/unit/support.h"

#include <backplane/device.h>

#include <errno.h>
#include <fcntl.h>

static const char *const choices[] = { "one", "two", NULL };

static const struct bp_param inner[] = {
	{ .name = "size", .type = BP_P_SIZE, .flags = BP_P_REQUIRED, .min = 1, .max = 100 },
	{ .name = "log", .type = BP_P_FILE },
};

static const struct bp_param params[] = {
	{ .name = "flag", .type = BP_P_BOOL, .def = "false" },
	{ .name = "offset", .type = BP_P_INT, .min = -5, .max = 5 },
	{ .name = "size", .type = BP_P_SIZE, .min = 512, .max = INT64_MAX },
	{ .name = "count", .type = BP_P_UINT },
	{ .name = "tags", .type = BP_P_STRING, .flags = BP_P_REPEATED },
	{ .name = "kind", .type = BP_P_CHOICE, .def = "two", .choices = choices },
	{ .name = "mac", .type = BP_P_MAC },
	{ .name = "path", .type = BP_P_FILE, .flags = BP_P_REQUIRED },
	{ .name = "console", .type = BP_P_STREAM },
	{ .name = "limits", .type = BP_P_GROUP, .flags = BP_P_REPEATED, BP_GROUP(inner) },
};

enum { FLAG, OFFSET, SIZE, COUNT, TAGS, KIND, MAC, PATH, CONSOLE, LIMITS };

struct round {
	struct schema *schema;
	struct values *values;
	struct values_fds fds;
	size_t fds_before;
};

static int round_setup(void **state)
{
	struct round *round = calloc(1, sizeof(*round));
	struct err err = ERR_NONE;

	assert_non_null(round);
	round->fds_before = count_fds();
	assert_int_equal(schema_copy(params, sizeof(params[0]), COUNT_OF(params), &round->schema, &err), 0);
	assert_int_equal(values_new(round->schema, "devices.root", (struct place){ .line = 7 }, &round->values), 0);
	*state = round;
	return 0;
}

/* Every test ends here: no descriptor is left. */
static int round_teardown(void **state)
{
	struct round *round = *state;
	size_t before = round->fds_before, after;

	values_free(round->values);
	schema_free(round->schema);
	free(round);
	after = count_fds();
	if (after != before)
		print_error("%zu descriptors were open, %zu are\n", before, after);
	return after == before ? 0 : -1;
}

#define ROUND_TEST(name) cmocka_unit_test_setup_teardown(name, round_setup, round_teardown)

/* ---- values ---- */

static struct value *add(struct values *values, size_t param, struct value value)
{
	assert_int_equal(values_add(values, param, &value), 0);
	return &values->lists[param].items[values->lists[param].count - 1];
}

static struct value number(uint64_t of)
{
	return (struct value){ .number = of, .fd = -1, .fd_out = -1 };
}

static struct value text(const char *of)
{
	struct value value = number(0);

	value.text = strdup(of);
	return value;
}

static struct value file(const char *path, uint64_t bytes)
{
	struct value value = text(path);

	value.fd = fd_memfd("file", bytes);
	assert_true(value.fd >= 0);
	return value;
}

static struct value choice(uint64_t index)
{
	struct value value = text(choices[index]);

	value.number = index;
	return value;
}

static void add_limit(struct round *round, uint64_t size, bool with_log)
{
	struct value value = number(0);
	const struct schema *schema = round->schema->params[LIMITS].group;

	assert_int_equal(values_new(schema, "devices.root.limits[0]", (struct place){ .line = 8 }, &value.group), 0);
	add(value.group, 0, number(size));
	if (with_log)
		add(value.group, 1, file("limit.log", 4096 * size));
	add(round->values, LIMITS, value);
}

/* The fewest that are allowed. */
static void fill_few(struct round *round)
{
	add(round->values, FLAG, number(0));
	add(round->values, KIND, choice(1));
	add(round->values, PATH, file("disk", 4096));
}

static void fill_all(struct round *round)
{
	struct value console = text("pty");

	fill_few(round);
	round->values->lists[KIND].is_default = true;
	add(round->values, OFFSET, number((uint64_t)-5));
	add(round->values, SIZE, number(INT64_MAX));
	add(round->values, COUNT, number(UINT64_MAX));
	add(round->values, TAGS, text("a"));
	add(round->values, TAGS, text(""));
	add(round->values, MAC, number(UINT64_C(0xffffffffffff)));
	console.stream = STREAM_PTY;
	console.fd = fd_memfd("in", 8192);
	console.fd_out = fd_memfd("out", 12288);
	add(round->values, CONSOLE, console);
	add_limit(round, 4, true);
	add_limit(round, 100, false);
	add_limit(round, 5, true);
}

/* ---- packing them, and what another process would get ---- */

static uint8_t *pack(struct round *round, size_t *ret_count)
{
	struct pack_writer writer;
	uint8_t *bytes;

	pack_begin(&writer, 1 << 20);
	round->fds.count = 0;
	assert_int_equal(values_pack(round->values, &writer, &round->fds), 0);
	assert_int_equal(pack_end(&writer, &bytes, ret_count), 0);
	/* A socket would do that. */
	for (size_t i = 0; i < round->fds.count; i++)
		round->fds.fds[i] = fcntl(round->fds.fds[i], F_DUPFD_CLOEXEC, 3);
	return bytes;
}

static void close_rest(struct round *round)
{
	for (size_t i = 0; i < round->fds.count; i++)
		fd_close(round->fds.fds[i]);
	round->fds.count = 0;
}

static int unpack(struct round *round, const uint8_t *bytes, size_t count, struct values **ret, struct err *err)
{
	/* Of exactly its size, so that a sanitizer sees each byte too far. */
	uint8_t *exact = malloc(count ? count : 1);
	struct pack_reader reader;
	int r;

	assert_non_null(exact);
	memcpy(exact, bytes, count);
	unpack_begin(&reader, exact, count);
	r = values_unpack(&reader, round->schema, &round->fds, ret, err);
	if (r == 0 && unpack_end(&reader) < 0) {
		values_free(*ret);
		*ret = NULL;
		r = unpack_end(&reader);
	}
	free(exact);
	return r;
}

/* ---- what goes round ---- */

static void expect_same_file(int a, int b)
{
	assert_int_equal(a < 0, b < 0);
	if (a >= 0) {
		assert_int_not_equal(a, b);
		assert_int_equal(lseek(a, 0, SEEK_END), lseek(b, 0, SEEK_END));
	}
}

static void expect_values(const struct values *a, const struct values *b)
{
	assert_string_equal(a->path, b->path);
	assert_ptr_equal(a->schema, b->schema);
	for (size_t i = 0; i < a->schema->count; i++) {
		assert_int_equal(a->lists[i].count, b->lists[i].count);
		assert_int_equal(a->lists[i].is_default, b->lists[i].is_default);
		for (uint32_t j = 0; j < a->lists[i].count; j++) {
			const struct value *x = &a->lists[i].items[j], *y = &b->lists[i].items[j];

			assert_int_equal(x->number, y->number);
			assert_int_equal(!x->text, !y->text);
			if (x->text)
				assert_string_equal(x->text, y->text);
			assert_int_equal(x->stream, y->stream);
			expect_same_file(x->fd, y->fd);
			expect_same_file(x->fd_out, y->fd_out);
			assert_int_equal(!x->group, !y->group);
			if (x->group)
				expect_values(x->group, y->group);
		}
	}
}

static void expect_round(struct round *round, size_t fd_count)
{
	struct values *values = NULL;
	struct err err = ERR_NONE;
	size_t count;
	uint8_t *bytes = pack(round, &count);

	assert_int_equal(round->fds.count, fd_count);
	if (unpack(round, bytes, count, &values, &err) < 0)
		fail_msg("%s", err.text);
	expect_values(round->values, values);
	/* The values have taken all. */
	for (size_t i = 0; i < fd_count; i++)
		assert_int_equal(round->fds.fds[i], -1);
	values_free(values);
	free(bytes);
}

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
		ROUND_TEST(few_values_go_round),
		ROUND_TEST(values_of_every_type_go_round),
		ROUND_TEST(streams_of_every_kind_go_round),
		ROUND_TEST(as_many_descriptors_as_there_may_be),
		ROUND_TEST(as_many_values_as_there_may_be),
		ROUND_TEST(numbers_beyond_their_bounds),
		ROUND_TEST(texts_that_are_not_there),
		ROUND_TEST(streams_that_cannot_be),
		ROUND_TEST(wrong_numbers_of_values),
		ROUND_TEST(descriptors_that_are_not_there),
		ROUND_TEST(what_is_left_is_the_callers),
		ROUND_TEST(values_that_are_cut),
		ROUND_TEST(each_byte_flipped),
		ROUND_TEST(values_of_another_schema),
	};

	return cmocka_run_group_tests_name("values_pack", tests, NULL, NULL);
}
