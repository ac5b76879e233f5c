/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of endings; see endings.h. */
#include "core/placement/endings.h"

#include <assert.h>

/* Which key a cause asks. */
enum key { KEY_NONE, KEY_REBOOT, KEY_PANIC, KEY_CRASH };

struct row {
	enum key key;
	int status;
	enum log_level level;
	const char *text;
};

/* What is told by whoever saw it first, as an error with registers, a cause, or a name, is not an error again. */
static const struct row rows[] = {
	[ENDING_POWEROFF] = { KEY_NONE, 0, LOG_LEVEL_INFO, "the guest powered off" },
	[ENDING_RESET] = { KEY_REBOOT, 0, LOG_LEVEL_INFO, "guest reset" },
	[ENDING_CRASH_RESET] = { KEY_PANIC, 1, LOG_LEVEL_ERROR, "guest reset after a crash" },
	[ENDING_PANIC] = { KEY_PANIC, 1, LOG_LEVEL_ERROR, "the guest has panicked" },
	[ENDING_CRASH] = { KEY_CRASH, 1, LOG_LEVEL_INFO, "the guest has crashed" },
	[ENDING_KVM_ERROR] = { KEY_NONE, 1, LOG_LEVEL_INFO, "KVM cannot run the guest any further" },
	[ENDING_DEVICE] = { KEY_NONE, 1, LOG_LEVEL_INFO, "a device has failed, and its on_failure is \"stop\"" },
	[ENDING_SPAWNER] = { KEY_NONE, 1, LOG_LEVEL_INFO, "the processes of plugins are gone" },
	[ENDING_ASKED] = { KEY_NONE, 0, LOG_LEVEL_INFO, "the VM was ended from outside" },
	[ENDING_LATE] = { KEY_NONE, 0, LOG_LEVEL_WARN,
			  "the guest has not powered off within shutdown_timeout: the VM was ended" },
	[ENDING_LOOP] = { KEY_NONE, 1, LOG_LEVEL_ERROR,
			  "5 restarts within 10 s are a loop: the guest is not restarted again" },
};
static_assert(sizeof(rows) / sizeof(rows[0]) == ENDING_CAUSES, "a row for each cause");
static_assert(ENDINGS_LOOP_RESTARTS == 5 && ENDINGS_LOOP_NS == UINT64_C(10000000000), "ENDING_LOOP says so");

static enum endings_choice choice_of(enum key key, const struct endings_config *config)
{
	switch (key) {
	case KEY_REBOOT:
		return config->on_reboot;
	case KEY_PANIC:
		return config->on_panic;
	case KEY_CRASH:
		return config->on_crash;
	default:
		return ENDINGS_EXIT;
	}
}

struct ending endings_decide(enum ending_cause cause, const struct endings_config *config, bool asked)
{
	const struct row *row = &rows[cause];

	return (struct ending){
		.restart = !asked && choice_of(row->key, config) == ENDINGS_RESTART,
		.status = row->status,
		.level = row->level,
		.text = row->text,
	};
}

bool endings_is_loop(struct endings_history *history, uint64_t now_ns)
{
	size_t place = history->count++ % ENDINGS_LOOP_RESTARTS;
	uint64_t first_ns;

	history->at_ns[place] = now_ns;
	if (history->count < ENDINGS_LOOP_RESTARTS)
		return false;
	/* The one that is overwritten next is the oldest of the last five, this one included. */
	first_ns = history->at_ns[history->count % ENDINGS_LOOP_RESTARTS];
	return now_ns - first_ns < ENDINGS_LOOP_NS;
}
