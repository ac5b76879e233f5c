/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins in processes that fail while they come to rest, save, load, go on, are reset or stopped: what the core has
 * asked for fails, once, and so does all that it asks for later; nobody waits longer than the deadline. What fails
 * while a guest runs is in tests/payload. Crashes are by abort(), since sanitizers make an exit of a fault.
 */
#include "tests/unit/process_fixture.h"

#define HANG_NS (500 * NS_PER_MS)

static const struct {
	const char *name, *cause; /* as the line has it */
} ways[] = {
	{ "abort", "cause=signal signal=SIGABRT" },
	{ "exit0", "cause=exit status=0" },
	{ "exit1", "cause=exit status=1" },
	{ "hang", "cause=hang" },
	{ "freeze", "cause=hang" },
	{ "garbage", "cause=protocol" },
};

/* What is asked of a device that has failed. */
static void everything_fails(struct rig *rig)
{
	const struct placed_ops *ops = rig->placed.ops;
	void *ctx = rig->placed.ctx;
	uint8_t *bytes;
	size_t count;

	assert_int_equal(ops->quiesce(ctx, &rig->err), -ENODEV);
	assert_int_equal(ops->save(ctx, &bytes, &count, &rig->err), -ENODEV);
	assert_int_equal(ops->load(ctx, "state", 5, &rig->err), -ENODEV);
	assert_int_equal(ops->resume(ctx, &rig->err), -ENODEV);
	ops->reset(ctx);
	ops->terminal_resized(ctx);
	assert_int_equal(home_read(&rig->home, 0, 0, 4), UINT32_MAX);
	home_write(&rig->home, 0, 0, 4, 1);
	ops->stop(ctx);
}

/* One step after the other, as far as `where`: what that gives. */
static int go_to(struct rig *rig, const char *where)
{
	const struct placed_ops *ops = rig->placed.ops;
	void *ctx = rig->placed.ctx;
	uint8_t *bytes = NULL;
	size_t count = 0;
	int r = 0;

	if (!strcmp(where, "reset")) {
		ops->reset(ctx);
		return -ENODEV;
	}
	if (!strcmp(where, "stop")) {
		ops->stop(ctx);
		return -ENODEV;
	}
	r = ops->quiesce(ctx, &rig->err);
	if (!strcmp(where, "quiesce"))
		return r;
	assert_int_equal(r, 0);
	if (!strcmp(where, "resume"))
		return ops->resume(ctx, &rig->err);
	r = ops->save(ctx, &bytes, &count, &rig->err);
	if (!strcmp(where, "save"))
		return r;
	assert_int_equal(r, 0);
	r = ops->load(ctx, bytes, count, &rig->err);
	free(bytes);
	return r;
}

static void fails_once(struct rig *rig, const char *where, size_t way)
{
	char keys[128], line[256];
	bool hangs = strstr(ways[way].cause, "hang");

	log_catch(LOG_LEVEL_ERROR);
	snprintf(keys, sizeof(keys), "where = \"%s\"; how = \"%s\";", where, ways[way].name);
	memset(&rig->home, 0, sizeof(rig->home));
	rig_run(rig, "faulty", "faulty", keys);
	/* Not before: a busy machine takes its time to start a process. */
	if (hangs)
		rig->process->request_ns = HANG_NS;
	assert_true(go_to(rig, where) < 0);
	MIND_UNTIL(rig, rig->home.failures);
	everything_fails(rig);
	/* "load" is when the plugin itself is loaded. */
	snprintf(line, sizeof(line), "devices.device: failed: plugin=faulty %s while=%s action=needs_reset\n",
		 ways[way].cause, strcmp(where, "load") != 0 ? where : "restore");
	assert_string_equal(log_caught(), line);
	assert_int_equal(rig->home.failures, 1);
	rig_free_process(rig);
	log_release();
}

static void each_way(struct rig *rig, const char *where)
{
	for (size_t i = 0; i < COUNT_OF(ways); i++)
		fails_once(rig, where, i);
}

static void coming_to_rest(void **state)
{
	each_way(*state, "quiesce");
}

static void going_on(void **state)
{
	each_way(*state, "resume");
}

static void saving(void **state)
{
	each_way(*state, "save");
}

static void loading(void **state)
{
	each_way(*state, "load");
}

static void being_reset(void **state)
{
	each_way(*state, "reset");
}

static void being_stopped(void **state)
{
	each_way(*state, "stop");
}

/* The test can fail. */
static void one_that_works(void **state)
{
	struct rig *rig = *state;

	log_catch(LOG_LEVEL_ERROR);
	rig_run(rig, "faulty", "faulty", "where = \"none\";");
	assert_int_equal(go_to(rig, "load"), 0);
	assert_int_equal(rig->placed.ops->resume(rig->placed.ctx, &rig->err), 0);
	assert_int_equal(home_read(&rig->home, 0, 0, 4), 0);
	rig->placed.ops->stop(rig->placed.ctx);
	assert_string_equal(log_caught(), "");
	assert_int_equal(rig->home.failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(coming_to_rest), RIG_TEST(going_on),      RIG_TEST(saving),         RIG_TEST(loading),
		RIG_TEST(being_reset),    RIG_TEST(being_stopped), RIG_TEST(one_that_works),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
