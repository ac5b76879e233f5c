/* SPDX-License-Identifier: BSD-3-Clause */
/* How a VM ends: every cause with every configuration, and the restarts that are too many, on a clock of the test's own. */
#include "core/placement/endings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

/* The table once more, by another way of writing it: which of the three keys decides, and the status. */
static const struct {
	const char *name;
	size_t key; /* offset of an enum endings_choice, or NO_KEY */
	int status;
	const char *text;
} expected[ENDING_CAUSES] = {
#define NO_KEY SIZE_MAX
	[ENDING_POWEROFF] = { "power-off", NO_KEY, 0, "the guest powered off" },
	[ENDING_RESET] = { "reset", offsetof(struct endings_config, on_reboot), 0, "guest reset" },
	[ENDING_CRASH_RESET] = { "reset after a crash", offsetof(struct endings_config, on_panic), 1,
				 "guest reset after a crash" },
	[ENDING_PANIC] = { "panic", offsetof(struct endings_config, on_panic), 1, "the guest has panicked" },
	[ENDING_CRASH] = { "crash", offsetof(struct endings_config, on_crash), 1, "the guest has crashed" },
	[ENDING_KVM_ERROR] = { "KVM", NO_KEY, 1, "KVM cannot run the guest any further" },
	[ENDING_DEVICE] = { "device", NO_KEY, 1, "a device has failed, and its on_failure is \"stop\"" },
	[ENDING_SPAWNER] = { "spawner", NO_KEY, 1, "the processes of plugins are gone" },
	[ENDING_ASKED] = { "asked", NO_KEY, 0, "the VM was ended from outside" },
	[ENDING_LATE] = { "late", NO_KEY, 0,
			  "the guest has not powered off within shutdown_timeout: the VM was ended" },
	[ENDING_LOOP] = { "loop", NO_KEY, 1, "5 restarts within 10 s are a loop: the guest is not restarted again" },
};

static void every_cause_with_every_configuration(void **state)
{
	(void)state;
	for (unsigned int cause = 0; cause < ENDING_CAUSES; cause++)
		for (unsigned int bits = 0; bits < 16; bits++) {
			const struct endings_config config = {
				.on_reboot = bits & 1 ? ENDINGS_RESTART : ENDINGS_EXIT,
				.on_panic = bits & 2 ? ENDINGS_RESTART : ENDINGS_EXIT,
				.on_crash = bits & 4 ? ENDINGS_RESTART : ENDINGS_EXIT,
			};
			bool asked = bits & 8;
			struct ending ending = endings_decide((enum ending_cause)cause, &config, asked);
			bool restart = false;

			if (expected[cause].key != NO_KEY && !asked)
				restart = *(const enum endings_choice *)(const void *)((const char *)&config +
										       expected[cause].key) ==
					  ENDINGS_RESTART;
			if (ending.restart != restart || ending.status != expected[cause].status)
				fail_msg("%s with configuration %u: restart %d, status %d", expected[cause].name, bits,
					 ending.restart, ending.status);
			assert_string_equal(ending.text, expected[cause].text);
		}
}

/* An ending with a status that is not 0 is told at the default level, unless it has been told with its registers, or by
 * whoever failed. */
static void failures_are_told(void **state)
{
	const struct endings_config config = { 0 };

	(void)state;
	for (unsigned int cause = 0; cause < ENDING_CAUSES; cause++) {
		struct ending ending = endings_decide((enum ending_cause)cause, &config, false);
		bool told_before = cause == ENDING_CRASH || cause == ENDING_KVM_ERROR || cause == ENDING_DEVICE ||
				   cause == ENDING_SPAWNER;

		assert_int_equal(ending.level == LOG_LEVEL_ERROR, ending.status && !told_before);
	}
}

static void the_fifth_in_ten_seconds_is_a_loop(void **state)
{
	struct endings_history history = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_false(endings_is_loop(&history, 100 * SECOND + i));
	assert_true(endings_is_loop(&history, 110 * SECOND - 1));
}

static void the_fifth_after_ten_seconds_is_none(void **state)
{
	struct endings_history history = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_false(endings_is_loop(&history, 100 * SECOND + i));
	assert_false(endings_is_loop(&history, 110 * SECOND));
	/* The window slides: the first has left it, so the second counts now. */
	assert_true(endings_is_loop(&history, 110 * SECOND));
}

/* Five of them every 10 s and a nanosecond, for ever. */
static void slow_restarts_are_none(void **state)
{
	struct endings_history history = { 0 };
	uint64_t now_ns = SECOND;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_false(endings_is_loop(&history, now_ns));
		now_ns += 5 * SECOND / 2;
	}
}

/* Many slow ones, then a loop: it is found at its fifth restart and not before. */
static void a_loop_after_a_long_life(void **state)
{
	struct endings_history history = { 0 };
	uint64_t now_ns = 0;

	(void)state;
	for (int i = 0; i < 103; i++) {
		now_ns += 60 * SECOND;
		assert_false(endings_is_loop(&history, now_ns));
	}
	for (int i = 0; i < 3; i++) {
		now_ns += SECOND;
		assert_false(endings_is_loop(&history, now_ns));
	}
	assert_true(endings_is_loop(&history, now_ns + SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cause_with_every_configuration),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(the_fifth_in_ten_seconds_is_a_loop),
		cmocka_unit_test(the_fifth_after_ten_seconds_is_none),
		cmocka_unit_test(slow_restarts_are_none),
		cmocka_unit_test(a_loop_after_a_long_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
