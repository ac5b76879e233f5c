/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A command and all processes that come from it, also those whose parents have ended: this process becomes the one that
 * orphans go to. One command at a time. Single-threaded programs, which have no other children.
 */
#ifndef TESTS_PAYLOAD_FAMILY_H
#define TESTS_PAYLOAD_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Once, first. Ends the program if that cannot be. */
void family_begin(void);

/* Starts it, with SIGKILL when this process ends; standard error goes to `error_fd` unless that is -1. */
pid_t family_start(char *const command[], int error_fd);

/* Waits until `pid` has ended, but no longer than that: its exit status, or 128 + a signal's number; -1: it has not
 * ended. Orphans that end meanwhile are forgotten. */
int family_wait(pid_t pid, int limit_ms);

/* How many processes are left of the family when its first has ended, zombies included; waits for as long as `limit_ms`
 * until there are none. Those that are left are told of on standard error and killed. */
size_t family_left(int limit_ms);

/* The children of `pid` that are no zombies; at most `max`. */
size_t family_children(pid_t pid, pid_t *children, size_t max);

#endif
