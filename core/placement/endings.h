/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a VM ends or restarts: one table from what has happened and what the configuration says to what follows. Pure functions
 * on plain data, any thread.
 *
 *   cause                  key (its default)      "exit"              "restart"
 *   POWEROFF               -                      status 0            -
 *   RESET                  on_reboot (restart)    status 0            restarted
 *   CRASH_RESET            on_panic (exit)        status 1            restarted
 *   PANIC                  on_panic (exit)        status 1            restarted
 *   CRASH                  on_crash (exit)        status 1            restarted
 *   KVM_ERROR              -                      status 1            -
 *   DEVICE                 -                      status 1            -
 *   SPAWNER                -                      status 1            -
 *   ASKED                  -                      status 0            -
 *   LATE                   -                      status 0            -
 *   LOOP                   -                      status 1            -
 * A guest that has been asked to power off is never restarted: each cause is then as with "exit".
 */
#ifndef PLACEMENT_ENDINGS_H
#define PLACEMENT_ENDINGS_H

#include "core/base/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the words that the keys take. */
enum endings_choice { ENDINGS_EXIT, ENDINGS_RESTART, ENDINGS_CHOICES };

/* The keys of section `machine`. */
struct endings_config {
	enum endings_choice on_reboot;
	enum endings_choice on_panic;
	enum endings_choice on_crash;
};

enum ending_cause {
	ENDING_POWEROFF, /* the guest, by the sleep register or BP_EVENT_POWEROFF */
	ENDING_RESET, /* the guest, by the reset register, the reset vector or BP_EVENT_RESET. Without a device that tells of panics
			    this is also how most guests end after one: nobody can tell the difference. */
	/* The same after BP_EVENT_CRASH_LOADED: the crash kernel has saved what it wanted. It is the crash that on_panic was set for,
	 * with a delay. */
	ENDING_CRASH_RESET,
	ENDING_PANIC,     /* BP_EVENT_PANIC */
	ENDING_CRASH,     /* a triple fault, or a crash that KVM reports */
	ENDING_KVM_ERROR, /* KVM cannot run the guest: it could not the next time either */
	ENDING_DEVICE,    /* a device has failed whose on_failure is "stop" */
	ENDING_SPAWNER,   /* the parent of the plugins' processes has ended, and they with it */
	ENDING_ASKED,     /* the escape key, or a signal that ends at once */
	ENDING_LATE,      /* the guest was asked to power off, and has not within shutdown_timeout */
	ENDING_LOOP,      /* endings_is_loop() */
	ENDING_CAUSES
};

/* What follows. */
struct ending {
	bool restart;
	int status;           /* the program's, if it is not a restart */
	enum log_level level; /* of the line in the log */
	const char *text;     /* what has happened: "guest reset". Static */
};

/* `asked`: the guest has been asked to power off. */
struct ending endings_decide(enum ending_cause cause, const struct endings_config *config, bool asked);

#define ENDINGS_LOOP_RESTARTS 5
#define ENDINGS_LOOP_NS       UINT64_C(10000000000)

/* When the last restarts were; zeroed at first. */
struct endings_history {
	size_t count; /* all of them */
	uint64_t at_ns[ENDINGS_LOOP_RESTARTS];
};

/* A restart is due at `now_ns` (monotonic). True if it is the ENDINGS_LOOP_RESTARTS-th within ENDINGS_LOOP_NS: a guest that gets
 * nowhere, which is not to be restarted. */
bool endings_is_loop(struct endings_history *history, uint64_t now_ns);

#endif
