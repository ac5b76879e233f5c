/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fake host of the conformance kit, tried on the plugins of this folder and on devices that
 * break the contract: what it does not notice, no vendor's test will. The folder with led.so and
 * dma.so is the first argument.
 */
#include "sdk/check/fakehost.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *folder = ".";

static const struct bp_plugin *load(struct fakehost *host, const char *name)
{
	const struct bp_plugin *plugin;
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	plugin = fakehost_load(host, path);
	assert_non_null(plugin);
	return plugin;
}

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

static void led_keeps_its_value(void **state)
{
	static const struct fakehost_pair values[] = { { "base", "0xd0001000" }, { NULL, NULL } };
	struct fakehost *host = *state;
	struct fakehost_dev *dev;
	uint64_t val;

	assert_int_equal(fakehost_create(host, fakehost_class(load(host, "led.so"), "led"), "led0", values, &dev), 0);
	assert_int_equal(fakehost_range_base(dev, 0, &val), 0);
	assert_int_equal(val, 0xd0001000);
	assert_int_equal(fakehost_read(dev, 0, 0, 4, &val), -EACCES); /* not running yet */
	assert_int_equal(fakehost_start(dev), 0);
	assert_int_equal(fakehost_write(dev, 0, 0, 4, UINT64_C(0x123456789)), 0);
	assert_int_equal(fakehost_read(dev, 0, 0, 4, &val), 0);
	assert_int_equal(val, 0x23456789);
	assert_int_equal(fakehost_read(dev, 0, 0, 2, &val), -EACCES);
	assert_int_equal(val, 0xffff);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(fakehost_read(dev, 0, 0, 4, &val), 0);
	assert_int_equal(val, 0);
	assert_int_equal(fakehost_breaches(host), 0);
}

/* Registers of dma.c. */
static void dma_start(struct fakehost_dev *dev, uint64_t src, uint64_t dst, uint32_t len, uint32_t delay_us)
{
	const uint64_t values[][2] = {
		{ 0x00, src }, { 0x04, src >> 32 }, { 0x08, dst },         { 0x0c, dst >> 32 },
		{ 0x10, len }, { 0x1c, delay_us },  { 0x20, 1 /* ACK */ }, { 0x14, 1 /* CMD */ }
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(fakehost_write(dev, 0, values[i][0], 4, values[i][1]), 0);
}

static uint64_t dma_status(struct fakehost_dev *dev)
{
	uint64_t val;

	assert_int_equal(fakehost_read(dev, 0, 0x18, 4, &val), 0);
	return val;
}

static void dma_copies_after_its_delay(void **state)
{
	struct fakehost *host = *state;
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, fakehost_class(load(host, "dma.so"), NULL), "dma0", NULL, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	memcpy(fakehost_ram(host) + 100, "payload", 8);
	dma_start(dev, 100, 200, 8, 50);
	fakehost_advance(host, 49999);
	assert_int_equal(dma_status(dev), 0);
	assert_int_equal(fakehost_irqs(dev, 0), 0);
	fakehost_advance(host, 1);
	assert_int_equal(dma_status(dev), 1);
	assert_int_equal(fakehost_irqs(dev, 0), 1);
	assert_string_equal((const char *)fakehost_ram(host) + 200, "payload");
	dma_start(dev, 4090, 0, 7, 0); /* one byte too far */
	fakehost_advance(host, 0);
	assert_int_equal(dma_status(dev), 2);
	dma_start(dev, UINT64_MAX, 0, 7, 0);
	fakehost_advance(host, 0);
	assert_int_equal(dma_status(dev), 2);
	assert_int_equal(fakehost_irqs(dev, 0), 3);
	dma_start(dev, 0, 8, 4, 10);
	assert_int_equal(fakehost_reset(dev), 0);
	fakehost_advance(host, 1000000);
	assert_int_equal(dma_status(dev), 0);
	assert_int_equal(fakehost_irqs(dev, 0), 3);
	assert_int_equal(fakehost_breaches(host), 0);
}

static void missing_symbol_is_an_error(void **state)
{
	struct fakehost *host = *state;
	char path[4096];

	snprintf(path, sizeof(path), "%s/bad_undefined.so", folder);
	assert_null(fakehost_load(host, path));
	assert_int_equal(fakehost_log_count(host, "bp_test_nobody_has_this"), 1);
}

/* ---- a device that does what it is told, wrongly ---- */

/* Written to the register: what to do wrong. */
enum sin {
	SIN_NONE,
	SIN_CLAIM,  /* [main] from [dev] */
	SIN_OTHER,  /* through another instance's bp_dev */
	SIN_GETTER, /* a parameter after create */
	SIN_STREAM_IN_STOP,
	SIN_LEAVE_FD,
	SIN_LEAVE_PIN,
	SIN_CREATE_WRITES,
	SIN_CREATE_UNKNOWN,
	SIN_CREATE_WRONG_TYPE,
	SIN_CREATE_NO_STATE,
	SIN_CREATE_LEAVES_TIMER,
	SIN_BROKEN,
};

struct sinner {
	struct bp_dev *dev;
	const struct bp_cfg *cfg;
	struct bp_stream *stream;
	struct sinner *other;
	int fds[2];
	uint64_t later;
	uint64_t fd_calls;
};

static const char *const sinner_modes[] = { "slow", "fast", NULL };

static const struct bp_param sinner_group[] = {
	{ .name = "rate", .type = BP_P_SIZE, .help = "bytes a second" },
};

static const struct bp_param sinner_params[] = {
	{ .name = "sin", .type = BP_P_UINT, .def = "0", .help = "what create does wrong" },
	{ .name = "stream", .type = BP_P_STREAM, .def = "null", .help = "a stream" },
	{ .name = "mode", .type = BP_P_CHOICE, .def = "fast", .choices = sinner_modes, .help = "how fast" },
	{ .name = "mac", .type = BP_P_MAC, .help = "address" },
	{ .name = "offset", .type = BP_P_INT, .min = -5, .max = 5, .help = "a small number" },
	{ .name = "name", .type = BP_P_STRING, .flags = BP_P_REPEATED, .help = "names" },
	{ .name = "limits", .type = BP_P_GROUP, BP_GROUP(sinner_group), .help = "bounds" },
};

static const struct bp_range sinner_ranges[] = {
	{ .space = BP_MMIO, .length = 8, .widths = BP_W8 },
};

static void sinner_timer(void *arg, uint32_t timer)
{
	(void)arg;
	(void)timer;
}

static void sinner_fd(void *arg, int fd, uint32_t events)
{
	struct sinner *sinner = arg;
	char byte;

	assert_int_equal(events, BP_FD_IN);
	assert_int_equal(read(fd, &byte, 1), 1);
	sinner->fd_calls++;
}

static void check_values(const struct bp_cfg *cfg)
{
	const struct bp_cfg *limits = bp_cfg_group(cfg, "limits");

	if (!bp_cfg_has(cfg, "mac"))
		return;
	assert_int_equal(bp_cfg_uint(cfg, "mac"), 0x563412005452);
	assert_int_equal(bp_cfg_uint(cfg, "mode"), 0);
	assert_string_equal(bp_cfg_string(cfg, "mode"), "slow");
	assert_int_equal(bp_cfg_int(cfg, "offset"), -3);
	assert_int_equal(bp_cfg_count(cfg, "name"), 2);
	assert_string_equal(bp_cfg_string_at(cfg, "name", 0), "one");
	assert_string_equal(bp_cfg_string_at(cfg, "name", 1), "two");
	assert_non_null(limits);
	assert_int_equal(bp_cfg_uint(limits, "rate"), 5 << 20);
}

static int sinner_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct sinner *sinner = calloc(1, sizeof(*sinner));
	uint32_t timer;

	assert_non_null(sinner);
	sinner->dev = dev;
	sinner->cfg = cfg;
	sinner->stream = bp_cfg_stream(cfg, "stream");
	check_values(cfg);
	switch (bp_cfg_uint(cfg, "sin")) {
	case SIN_CREATE_WRITES:
		assert_int_equal(bp_stream_write(dev, sinner->stream, "x", 1), -EDEADLK);
		break;
	case SIN_CREATE_UNKNOWN:
		assert_int_equal(bp_cfg_uint(cfg, "sins"), 0);
		break;
	case SIN_CREATE_WRONG_TYPE:
		assert_string_equal(bp_cfg_string(cfg, "sin"), "");
		break;
	case SIN_CREATE_NO_STATE:
		free(sinner);
		return 0;
	case SIN_CREATE_LEAVES_TIMER:
		assert_int_equal(bp_timer_add(dev, sinner_timer, sinner, &timer), 0);
		free(sinner);
		return bp_fail(dev, -EIO, "as told");
	default:
		break;
	}
	*ret = sinner;
	return 0;
}

static int sinner_access(void *self, const struct bp_access *access, uint64_t *val)
{
	struct sinner *sinner = self;
	uint32_t range;
	void *slice;

	if (!access->write) {
		*val = UINT64_MAX;
		return 0;
	}
	switch (*val) {
	case SIN_CLAIM:
		return bp_claim(sinner->dev, &sinner_ranges[0], BP_BASE_ANY, &range);
	case SIN_OTHER:
		return bp_timer_set(sinner->other->dev, 0, 0);
	case SIN_GETTER:
		return bp_cfg_uint(sinner->cfg, "sin") ? -EINVAL : 0;
	case SIN_LEAVE_FD:
		assert_int_equal(pipe(sinner->fds), 0);
		return bp_fd_add(sinner->dev, sinner->fds[0], BP_FD_IN, sinner_fd, sinner);
	case SIN_LEAVE_PIN:
		return bp_mem_slice(sinner->dev, 0, 4096, BP_SLICE_WRITE | BP_SLICE_PIN, &slice);
	case SIN_BROKEN:
		bp_broken(sinner->dev, "as told");
		return 0;
	default:
		sinner->later = *val;
		return 0;
	}
}

static void sinner_reset(void *self)
{
	(void)self;
}

static void sinner_stop(void *self)
{
	struct sinner *sinner = self;

	if (sinner->later == SIN_STREAM_IN_STOP)
		assert_int_equal(bp_stream_write(sinner->dev, sinner->stream, "x", 1), -EDEADLK);
	if (sinner->fds[0]) {
		close(sinner->fds[0]);
		close(sinner->fds[1]);
	}
}

/* clang-format off */
static const struct bp_device_class sinner_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "sinner",
	.summary = "device that breaks rules",
	BP_PARAMS(sinner_params),
	BP_RANGES(sinner_ranges),
	.create = sinner_create,
	.access = sinner_access,
	.reset = sinner_reset,
	.stop = sinner_stop,
	.destroy = free,
};
/* clang-format on */

static struct fakehost_dev *sinner_new(struct fakehost *host, const char *id)
{
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &sinner_class, id, NULL, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	return dev;
}

static void values_of_each_type(void **state)
{
	static const struct fakehost_pair values[] = {
		{ "mac", "52:54:00:12:34:56" }, { "mode", "slow" }, { "offset", "-3" }, { "name", "one" },
		{ "limits.rate", "5M" },        { "name", "two" },  { NULL, NULL },
	};
	struct fakehost *host = *state;
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &sinner_class, "sinner", values, &dev), 0);
	fakehost_destroy(dev);
	assert_int_equal(fakehost_breaches(host), 0);
}

static void wrong_values(void **state)
{
	static const struct fakehost_pair wrong[] = {
		{ "mac", "52:54:00:12:34" },
		{ "mac", "52:54:00:12:34:56:" },
		{ "mode", "warp" },
		{ "offset", "6" },
		{ "offset", "" },
		{ "limits.rate", "5X" },
		{ "limits.speed", "5" },
		{ "limit.rate", "5" },
		{ "sin", "-1" },
		{ "sin", "18446744073709551616" },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fakehost_pair values[2] = { wrong[i], { NULL, NULL } };
		struct fakehost_dev *dev;

		assert_int_equal(fakehost_create(*state, &sinner_class, "sinner", values, &dev), -EINVAL);
	}
}

static void create_breaches(void **state)
{
	static const struct {
		uint32_t sin;
		int r;
		const char *text;
	} cases[] = {
		{ SIN_CREATE_WRITES, 0, "bp_stream_write called from create" },
		{ SIN_CREATE_UNKNOWN, 0, "parameter 'sins' does not exist" },
		{ SIN_CREATE_WRONG_TYPE, 0, "parameter 'sin' does not exist or has another type" },
		{ SIN_CREATE_LEAVES_TIMER, -EIO, "create has failed and left timer 0" },
	};
	struct fakehost *host = *state;

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char sin[16];
		struct fakehost_pair values[2] = { { "sin", sin }, { NULL, NULL } };
		struct fakehost_dev *dev;

		snprintf(sin, sizeof(sin), "%u", cases[i].sin);
		assert_int_equal(fakehost_create(host, &sinner_class, "sinner", values, &dev), cases[i].r);
		assert_int_equal(fakehost_breaches(host), i + 1);
		assert_int_equal(fakehost_log_count(host, cases[i].text), 1);
	}
}

static_assert(SIN_CREATE_NO_STATE == 10, "the value below");

static void state_of_null_is_a_breach(void **state)
{
	static const struct fakehost_pair values[] = { { "sin", "10" }, { NULL, NULL } };
	struct fakehost *host = *state;
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &sinner_class, "sinner", values, &dev), -EINVAL);
	assert_int_equal(fakehost_breaches(host), 1);
}

static void running_breaches(void **state)
{
	struct fakehost *host = *state;
	struct fakehost_dev *dev = sinner_new(host, "sinner"), *other = sinner_new(host, "other");
	struct sinner *sinner = fakehost_state(dev);

	sinner->other = fakehost_state(other);
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_CLAIM), -EDEADLK);
	assert_int_equal(fakehost_log_count(host, "bp_claim called from a [dev] callback"), 1);
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_OTHER), -EDEADLK);
	assert_int_equal(fakehost_log_count(host, "bp_timer_set called from another instance, sinner"), 1);
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_GETTER), 0);
	assert_int_equal(fakehost_log_count(host, "a getter of parameters called from a [dev] callback"), 1);
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_STREAM_IN_STOP), 0);
	fakehost_destroy(dev);
	assert_int_equal(fakehost_log_count(host, "bp_stream_write called from start, stop or destroy"), 1);
	sinner = fakehost_state(other);
	assert_int_equal(bp_timer_set(sinner->dev, 0, 0), -EDEADLK);
	assert_int_equal(fakehost_log_count(host, "bp_timer_set called from outside of the device"), 1);
	assert_int_equal(fakehost_breaches(host), 5);
}

static void leftovers_are_breaches(void **state)
{
	struct fakehost *host = *state;
	struct fakehost_dev *dev = sinner_new(host, "sinner");
	struct sinner *sinner = fakehost_state(dev);

	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_LEAVE_FD), 0);
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_LEAVE_PIN), 0);
	assert_int_equal(fakehost_poll(host), 0);
	assert_int_equal(write(sinner->fds[1], "x", 1), 1);
	assert_int_equal(fakehost_poll(host), 1);
	assert_int_equal(sinner->fd_calls, 1);
	assert_int_equal(fakehost_poll(host), 0);
	fakehost_destroy(dev);
	assert_int_equal(fakehost_log_count(host, "is still registered"), 1);
	assert_int_equal(fakehost_log_count(host, "is still pinned"), 1);
	assert_int_equal(fakehost_breaches(host), 2);
}

static void broken_until_reset(void **state)
{
	struct fakehost *host = *state;
	struct fakehost_dev *dev = sinner_new(host, "sinner");
	uint64_t val;

	assert_int_equal(fakehost_read(dev, 0, 0, 1, &val), 0);
	assert_int_equal(val, 0xff); /* cut */
	assert_int_equal(fakehost_write(dev, 0, 0, 1, SIN_BROKEN), 0);
	assert_true(fakehost_is_broken(dev));
	assert_int_equal(fakehost_read(dev, 0, 0, 1, &val), -EACCES);
	assert_int_equal(fakehost_reset(dev), 0);
	assert_int_equal(fakehost_read(dev, 0, 0, 1, &val), 0);
	assert_int_equal(fakehost_breaches(host), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(led_keeps_its_value),
		TEST(dma_copies_after_its_delay),
		TEST(missing_symbol_is_an_error),
		TEST(values_of_each_type),
		TEST(wrong_values),
		TEST(create_breaches),
		TEST(state_of_null_is_a_breach),
		TEST(running_breaches),
		TEST(leftovers_are_breaches),
		TEST(broken_until_reset),
	};

	if (argc > 1) {
		folder = argv[1];
	} else if (getenv("BP_BUILD")) {
		static char built[4096];

		snprintf(built, sizeof(built), "%s/tests/plugins/.libs", getenv("BP_BUILD"));
		folder = built;
	}
	return cmocka_run_group_tests_name("fakehost", tests, NULL, NULL);
}
