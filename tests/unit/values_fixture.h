/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of packed values: a schema with everything in it, values of it, and the way to another process and back. */
#ifndef UNIT_VALUES_FIXTURE_H
#define UNIT_VALUES_FIXTURE_H

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
	{ .name = "network", .type = BP_P_NETWORK },
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT },
};

enum { FLAG, OFFSET, SIZE, COUNT, TAGS, KIND, MAC, PATH, CONSOLE, LIMITS, NETWORK, SOCKET };

struct round {
	struct schema *schema;
	struct values *values;
	struct values_fds fds;
	size_t fds_before;
};

static inline int round_setup(void **state)
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
static inline int round_teardown(void **state)
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

static inline struct value *add(struct values *values, size_t param, struct value value)
{
	assert_int_equal(values_add(values, param, &value), 0);
	return &values->lists[param].items[values->lists[param].count - 1];
}

static inline struct value number(uint64_t of)
{
	return (struct value){ .number = of, .fd = -1, .fd_out = -1 };
}

static inline struct value text(const char *of)
{
	struct value value = number(0);

	value.text = strdup(of);
	return value;
}

static inline struct value file(const char *path, uint64_t bytes)
{
	struct value value = text(path);

	value.fd = fd_memfd("file", bytes);
	assert_true(value.fd >= 0);
	return value;
}

static inline struct value choice(uint64_t index)
{
	struct value value = text(choices[index]);

	value.number = index;
	return value;
}

static inline struct value network(uint32_t kind, uint32_t flags, uint32_t fd_count)
{
	struct value value = text("tap");

	value.network = calloc(1, sizeof(*value.network));
	assert_non_null(value.network);
	*value.network = (struct network){ .kind = kind, .flags = flags, .fd_count = fd_count };
	for (uint32_t i = 0; i < fd_count; i++) {
		value.network->fds[i] = fd_memfd("network", 4096 * (i + 1));
		assert_true(value.network->fds[i] >= 0);
	}
	return value;
}

static inline void add_limit(struct round *round, uint64_t size, bool with_log)
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
static inline void fill_few(struct round *round)
{
	add(round->values, FLAG, number(0));
	add(round->values, KIND, choice(1));
	add(round->values, PATH, file("disk", 4096));
}

static inline void fill_all(struct round *round)
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

static inline uint8_t *pack(struct round *round, size_t *ret_count)
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

static inline void close_rest(struct round *round)
{
	for (size_t i = 0; i < round->fds.count; i++)
		fd_close(round->fds.fds[i]);
	round->fds.count = 0;
}

static inline int unpack(struct round *round, const uint8_t *bytes, size_t count, struct values **ret, struct err *err)
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

static inline void expect_same_file(int a, int b)
{
	assert_int_equal(a < 0, b < 0);
	if (a >= 0) {
		assert_int_not_equal(a, b);
		assert_int_equal(lseek(a, 0, SEEK_END), lseek(b, 0, SEEK_END));
	}
}

static inline void expect_network(const struct network *a, const struct network *b)
{
	assert_int_equal(!a, !b);
	if (!a || !b)
		return;
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->fd_count, b->fd_count);
	for (uint32_t i = 0; i < a->fd_count; i++)
		expect_same_file(a->fds[i], b->fds[i]);
}

static inline void expect_values(const struct values *a, const struct values *b)
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
			expect_network(x->network, y->network);
			assert_int_equal(!x->group, !y->group);
			if (x->group && y->group)
				expect_values(x->group, y->group);
		}
	}
}

static inline void expect_round(struct round *round, size_t fd_count)
{
	struct values *values = NULL;
	struct err err = ERR_NONE;
	size_t count;
	uint8_t *bytes = pack(round, &count);

	assert_int_equal(round->fds.count, fd_count);
	if (unpack(round, bytes, count, &values, &err) < 0 || !values) {
		fail_msg("%s", err.text);
		return;
	}
	expect_values(round->values, values);
	/* The values have taken all. */
	for (size_t i = 0; i < fd_count; i++)
		assert_int_equal(round->fds.fds[i], -1);
	values_free(values);
	free(bytes);
}

#endif
