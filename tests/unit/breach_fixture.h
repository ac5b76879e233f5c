/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests of a plugin's process that does not do as it should, played by the test: has it asked for something, and sees that its
 * breach is found and nothing of it is left. */
#ifndef TESTS_UNIT_BREACH_FIXTURE_H
#define TESTS_UNIT_BREACH_FIXTURE_H

#include "tests/unit/process_fake.h"

static inline void no_metric(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	(void)kind, (void)name, (void)help, (void)value;
	++*(size_t *)arg;
}

/* Has the process asked for what its script waits for. */
static inline void ask(struct fake *fake)
{
	struct rig *rig = &fake->rig;
	const struct placed_ops *ops = rig->placed.ops;
	uint8_t *bytes = NULL;
	size_t count = 0;

	switch (fake->at) {
	case WIRE_RESET:
		ops->reset(rig->placed.ctx);
		break;
	case WIRE_METRICS:
		ops->metrics_each(rig->placed.ctx, no_metric, &count);
		assert_int_equal(count, 0);
		break;
	case WIRE_SAVE:
		must(ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
		assert_int_equal(ops->save(rig->placed.ctx, &bytes, &count, &rig->err), -ENODEV);
		break;
	default:
		assert_int_equal(home_read(&rig->home, 0, 0, 4), UINT32_MAX);
		break;
	}
}

/* The device runs, the script has its turn, and the process is not believed any more. */
static inline void breach(struct fake *fake, uint32_t at, script_fn *script)
{
	char line[128];
	size_t fds;

	fake->at = at;
	fake_run(fake, at, script);
	fds = count_fds();
	ask(fake);
	MIND_UNTIL(&fake->rig, fake->rig.home.failures);
	snprintf(line, sizeof(line), "devices.device: failed: plugin=%s cause=protocol while=", fake->plugin);
	assert_non_null(strstr(log_caught(), line));
	assert_int_equal(count_of_text(log_caught(), "\n"), 1);
	assert_true(count_fds() <= fds);
}

#define BREACH(name, at, ...)                                                            \
	static bool name##_script(struct fake *fake, const struct wire_message *message) \
	{                                                                                \
		(void)message;                                                           \
		__VA_ARGS__;                                                             \
		return true;                                                             \
	}                                                                                \
	static void name(void **state)                                                   \
	{                                                                                \
		breach(*state, at, name##_script);                                       \
	}

#endif
