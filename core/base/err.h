/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Errors that a person will read. A function that can fail for a reason worth telling takes a struct err, writes one line
 * into it and returns -errno; the edge (the command line, a device's start) prints it once. No allocation, so it works when
 * memory is short. Plain data, any thread.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define ERR_TEXT_MAX 1024

struct err {
	char text[ERR_TEXT_MAX]; /* NUL-terminated, without a newline; empty: no error */
};

#define ERR_NONE           \
	{                  \
		.text = "" \
	}

/* Replaces the text and returns `error` (-errno) for the caller to return. A text that is too long is cut. */
int err_set(struct err *err, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same, followed by ": " and what the system calls `error`. */
int err_sys(struct err *err, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts words before the text that is there: "devices.root: " + text. */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
