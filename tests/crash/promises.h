/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest was promised: the records (records.h) that its notes say are safe, and whether they are in the files that were got out of a
 * disk.
 */
#ifndef TESTS_CRASH_PROMISES_H
#define TESTS_CRASH_PROMISES_H

#include "log.h"

#include <stdbool.h>

struct crash_promise {
	size_t at; /* the entry that says so */
	uint32_t stream, number;
};

struct crash_promises {
	size_t count;
	struct crash_promise *list; /* in the order in which they were given */
};

/* Finds them. Notes that say something else are passed over. 0, -EBADMSG for a record that cannot be, or -ENOMEM. Given back by free(ret->list). */
int crash_promises_find(const struct crash_log *log, struct crash_promises *ret);

/* Looks for all that were given within the first `at` entries, in the files of a folder. The number of those that are not there or have other
 * bytes; the first of them in *ret_broken. */
size_t crash_promises_broken(const struct crash_promises *promises, size_t at, int folder,
			     struct crash_promise *ret_broken);

#endif
