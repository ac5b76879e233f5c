/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving and loading on the fake host of the conformance kit, tried on a device that does it right and, where its mode says so, wrong: what
 * the kit does not notice, no vendor's test will. */
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A register file of four numbers, and what is wrong with its save and load. */
enum mode {
	RIGHT,
	SAVE_TWICE,    /* a tag stands twice */
	SAVE_TOO_MUCH, /* more than BP_STATE_MAX */
	SAVE_CHANGES,  /* another number each time */
	SAVE_FAILS,
	LOAD_FORGETS, /* a field is left unread */
	LOAD_WRONG,   /* a number is taken for another */
	LOAD_CRASHES, /* calls from the wrong place */
	MODES
};

#define TAG_REGS    1u
#define TAG_COUNT   2u
#define TAG_COMMENT (BP_TAG_OPTIONAL | 3u)
#define COUNT_MAX   1000000u

struct regs {
	struct bp_dev *dev;
	enum mode mode;
	uint8_t regs[4];
	uint64_t count; /* of writes */
	uint32_t resets;
	uint32_t quiesced;
	uint32_t resumed;
	struct bp_writer *writer; /* kept for longer than is allowed */
};

static const char *const mode_names[] = { "right",   "twice", "much",    "changes", "fails",
					  "forgets", "wrong", "crashes", NULL };
_Static_assert(sizeof(mode_names) / sizeof(mode_names[0]) == MODES + 1, "one name a mode");

static const struct bp_param regs_params[] = {
	{ .name = "mode", .type = BP_P_CHOICE, .choices = mode_names, .def = "right" },
	{ .name = "base", .type = BP_P_ADDRESS, .def = "0xd0000000" },
};

static const struct bp_range regs_ranges[] = {
	{ .space = BP_MMIO, .length = 4, .widths = BP_W8, .base_param = "base" },
};

static int regs_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct regs *self = calloc(1, sizeof(*self));

	if (!self)
		return -ENOMEM;
	self->dev = dev;
	self->mode = (enum mode)bp_cfg_uint(cfg, "mode");
	*ret = self;
	return 0;
}

static int regs_access(void *arg, const struct bp_access *access, uint64_t *val)
{
	struct regs *self = arg;

	if (!access->write) {
		*val = self->regs[access->offset];
		return 0;
	}
	self->regs[access->offset] = (uint8_t)*val;
	self->count++;
	return 0;
}

static void regs_reset(void *arg)
{
	struct regs *self = arg;

	memset(self->regs, 0, sizeof(self->regs));
	self->count = 0;
	self->resets++;
}

static void regs_quiesce(void *arg)
{
	((struct regs *)arg)->quiesced++;
}

static void regs_resume(void *arg)
{
	((struct regs *)arg)->resumed++;
}

static int regs_save(void *arg, struct bp_writer *writer)
{
	static const uint8_t much[BP_STATE_MAX - 16];
	struct regs *self = arg;

	self->writer = writer;
	if (self->mode == SAVE_FAILS)
		return bp_fail(self->dev, -EIO, "as told");
	if (self->mode == SAVE_CHANGES)
		self->count++;
	bp_put_bytes(writer, TAG_REGS, self->regs, sizeof(self->regs));
	bp_put_uint(writer, TAG_COUNT, self->count);
	if (self->mode == SAVE_TWICE)
		bp_put_uint(writer, TAG_REGS, 1);
	if (self->mode == SAVE_TOO_MUCH) {
		bp_put_bytes(writer, 9, much, sizeof(much));
		bp_put_uint(writer, 10, 1);
	}
	bp_put_bytes(writer, TAG_COMMENT, "why", 3);
	return 0;
}

static int regs_load(void *arg, struct bp_reader *reader, uint32_t version)
{
	struct regs *self = arg;
	uint64_t count;
	char comment[8];
	int r;

	if (version != 2)
		return bp_fail(self->dev, -EINVAL, "version %u", version);
	r = bp_get_bytes(reader, TAG_REGS, self->regs, sizeof(self->regs));
	if (r >= 0 && r != sizeof(self->regs))
		r = -EINVAL;
	if (r < 0)
		return bp_fail(self->dev, r, "no registers");
	if (self->mode == LOAD_FORGETS)
		return 0;
	if (self->mode == LOAD_CRASHES &&
	    bp_metric(self->dev, BP_METRIC_GAUGE, "late", "comes too late", NULL) != -EDEADLK)
		return -EIO;
	r = bp_get_uint_max(reader, TAG_COUNT, COUNT_MAX, &count);
	if (r < 0)
		return bp_fail(self->dev, r, "no count");
	self->count = self->mode == LOAD_WRONG ? count + 1 : count;
	return bp_get_bytes(reader, TAG_COMMENT, comment, 2) == 2 ? -EINVAL : 0; /* whatever it is */
}

/* clang-format off */
static const struct bp_device_class regs_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "regs",
	.summary = "four registers",
	BP_PARAMS(regs_params),
	BP_RANGES(regs_ranges),
	.create = regs_create,
	.access = regs_access,
	.reset = regs_reset,
	.destroy = free,
	.state_version = 2,
	.quiesce = regs_quiesce,
	.save = regs_save,
	.load = regs_load,
	.resume = regs_resume,
};
/* clang-format on */

static int setup(void **state)
{
	struct fakehost *host;

	assert_int_equal(fakehost_new(4096, &host), 0);
	*state = host;
	return 0;
}

static int teardown(void **state)
{
	fakehost_free(*state);
	return 0;
}

static struct fakehost_dev *make(struct fakehost *host, enum mode mode)
{
	const struct fakehost_pair values[] = { { "mode", mode_names[mode] }, { NULL, NULL } };
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &regs_class, "regs", values, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fakehost_write(dev, 0, i, 1, 0x11 * (i + 1)), 0);
	return dev;
}

static void good_device_passes(void **state)
{
	struct fakehost_dev *dev = make(*state, RIGHT);
	struct regs *regs = fakehost_state(dev);
	uint64_t val;

	assert_int_equal(fakehost_check_state(dev), 0);
	assert_int_equal(fakehost_breaches(*state), 0);
	assert_int_equal(regs->quiesced, 1);
	assert_int_equal(regs->resumed, 1);
	assert_int_equal(regs->resets, 0);
	assert_int_equal(fakehost_read(dev, 0, 3, 1, &val), 0);
	assert_int_equal(val, 0x44);
}

static void faults_are_found(void **state)
{
	static const struct {
		enum mode mode;
		int r;
		uint32_t breaches;
		const char *text;
	} cases[] = {
		{ SAVE_TWICE, -EEXIST, 1, "tag 0x1 is written twice" },
		{ SAVE_TOO_MUCH, -ENOSPC, 0, "it cannot be saved" },
		{ SAVE_CHANGES, -EBADMSG, 0, "saved twice, it is not the same" },
		{ SAVE_FAILS, -EIO, 0, "as told" },
		{ LOAD_FORGETS, -EBADMSG, 0, "load has not read tag 0x2" },
		{ LOAD_WRONG, -EBADMSG, 0, "what was loaded is not what was saved" },
		{ LOAD_CRASHES, -EPROTO, 0, "the second instance has broken the contract" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fakehost *host;
		struct fakehost_dev *dev;

		assert_int_equal(fakehost_new(4096, &host), 0);
		dev = make(host, cases[i].mode);
		assert_int_equal(fakehost_check_state(dev), cases[i].r);
		assert_true(fakehost_log_count(host, cases[i].text) > 0);
		if (cases[i].mode != LOAD_CRASHES)
			assert_int_equal(fakehost_breaches(host), cases[i].breaches);
		fakehost_free(host);
	}
	(void)state;
}

static void states_of_life(void **state)
{
	struct fakehost_dev *dev = make(*state, RIGHT);
	struct fakehost_bytes saved;
	uint64_t val;

	assert_int_equal(fakehost_save(dev, &saved), -EINVAL); /* not quiet */
	assert_int_equal(fakehost_resume(dev), -EINVAL);
	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_quiesce(dev), -EINVAL);
	assert_int_equal(fakehost_read(dev, 0, 0, 1, &val), -EACCES);
	assert_int_equal(fakehost_save(dev, &saved), 0);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(fakehost_restore(dev, &saved), 0);
	assert_int_equal(fakehost_resume(dev), 0);
	assert_int_equal(fakehost_restore(dev, &saved), -EINVAL);
	assert_int_equal(fakehost_read(dev, 0, 1, 1, &val), 0);
	assert_int_equal(val, 0x22);
	fakehost_bytes_free(&saved);
	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_stop(dev), 0);
	assert_int_equal(fakehost_breaches(*state), 0);
}

/* The state that is on its way, and what loading it gives; the device has been reset if that fails. */
static void expect_load(struct fakehost_dev *dev, const struct fakehost_bytes *state, int expected)
{
	struct regs *regs = fakehost_state(dev);

	assert_int_equal(fakehost_restore(dev, state), expected);
	assert_int_equal(regs->regs[0], expected ? 0 : 0x11);
}

static void hostile_states(void **state)
{
	struct fakehost_dev *dev = make(*state, RIGHT);
	struct fakehost_bytes saved;

	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_save(dev, &saved), 0);
	expect_load(dev, &saved, 0);
	assert_int_equal(fakehost_bytes_uint(&saved, BP_TAG_OPTIONAL | 77, 1), 0); /* nobody knows it, nobody has to */
	expect_load(dev, &saved, 0);
	assert_int_equal(fakehost_bytes_uint(&saved, 77, 1), 0);
	expect_load(dev, &saved, -EBADMSG);
	assert_int_equal(fakehost_log_count(*state, "load has not read tag 0x4d"), 1);
	assert_int_equal(fakehost_bytes_drop(&saved, 77), 0);
	assert_int_equal(fakehost_bytes_drop(&saved, 77), -ENOENT);
	assert_int_equal(fakehost_bytes_uint(&saved, TAG_COUNT, COUNT_MAX + 1), 0);
	expect_load(dev, &saved, -ERANGE);
	assert_int_equal(fakehost_bytes_set(&saved, TAG_COUNT, "12345678", 8), 0);
	expect_load(dev, &saved, -EINVAL);
	assert_int_equal(fakehost_bytes_drop(&saved, TAG_COUNT), 0);
	expect_load(dev, &saved, -ENOENT);
	assert_int_equal(fakehost_bytes_uint(&saved, TAG_COUNT, 4), 0);
	expect_load(dev, &saved, 0);
	assert_int_equal(fakehost_bytes_set(&saved, TAG_REGS, "12345", 5), 0);
	expect_load(dev, &saved, -EMSGSIZE);
	assert_int_equal(fakehost_bytes_set(&saved, TAG_REGS, NULL, 0), 0);
	expect_load(dev, &saved, -EINVAL);
	fakehost_bytes_free(&saved);
	assert_int_equal(fakehost_breaches(*state), 0);
}

/* A state cut anywhere is none, and no bit that is turned over makes the kit read beyond it. */
static void spoilt_bytes(void **state)
{
	struct fakehost_dev *dev = make(*state, RIGHT);
	struct regs *regs = fakehost_state(dev);
	struct fakehost_bytes saved, cut;
	uint32_t resets;

	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_save(dev, &saved), 0);
	resets = regs->resets;
	for (size_t count = 0; count < saved.count; count++) {
		if (count == 4 || count == 4 + 20 || count == 4 + 20 + 16)
			continue; /* between two fields */
		cut = (struct fakehost_bytes){ .data = malloc(count + 1), .count = count };
		assert_non_null(cut.data);
		memcpy(cut.data, saved.data, count);
		assert_int_equal(fakehost_restore(dev, &cut), -EINVAL);
		fakehost_bytes_free(&cut);
	}
	assert_int_equal(regs->resets, resets); /* none of these has reached the device */
	for (size_t bit = 0; bit < saved.count * 8; bit++) {
		saved.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_true(fakehost_restore(dev, &saved) <= 0);
		saved.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	expect_load(dev, &saved, 0);
	saved.data[0] = 3;
	assert_int_equal(fakehost_restore(dev, &saved), -ENOTSUP); /* newer than the class */
	saved.data[0] = 1;
	expect_load(dev, &saved, -EINVAL);
	fakehost_bytes_free(&saved);
	assert_int_equal(fakehost_breaches(*state), 0);
}

static void writer_ends_with_save(void **state)
{
	struct fakehost_dev *dev = make(*state, RIGHT);
	struct regs *regs = fakehost_state(dev);
	struct fakehost_bytes saved;

	assert_int_equal(fakehost_quiesce(dev), 0);
	assert_int_equal(fakehost_save(dev, &saved), 0);
	assert_int_equal(bp_put_uint(regs->writer, 5, 1), -EDEADLK);
	assert_int_equal(fakehost_breaches(*state), 1);
	fakehost_bytes_free(&saved);
}

static void class_without_version(void **state)
{
	struct bp_device_class table = regs_class;
	struct fakehost_dev *dev;

	table.state_version = 0;
	assert_int_equal(fakehost_create(*state, &table, "regs", NULL, &dev), -EINVAL);
	table = regs_class;
	table.load = NULL;
	assert_int_equal(fakehost_create(*state, &table, "regs", NULL, &dev), -EINVAL);
	assert_int_equal(fakehost_breaches(*state), 2);
	table.save = NULL;
	table.state_version = 0;
	assert_int_equal(fakehost_create(*state, &table, "regs", NULL, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	assert_int_equal(fakehost_check_state(dev), -ENOTSUP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_device_passes),    TEST(faults_are_found), TEST(states_of_life),
		TEST(hostile_states),        TEST(spoilt_bytes),     TEST(writer_ends_with_save),
		TEST(class_without_version),
	};

	return cmocka_run_group_tests_name("fakehost_state", tests, NULL, NULL);
}
