/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The terminal that the program was started on, lent to a guest: raw mode, and its restoration in every ending that a process
 * can notice, crashes included. One terminal per process.
 */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include "core/base/err.h"

/* [main] Puts the terminal behind `fd` into raw mode; nothing if it is no terminal. Log lines end in CR LF from here on. From
 * the first call on, exit() and fatal signals restore it. */
int terminal_raw(int fd, struct err *err);

/* [any] Back to how it was. Async-signal-safe; nothing if it is not raw. */
void terminal_restore(void);

/* [main] After SIGCONT: raw again, since the shell has changed it meanwhile. */
void terminal_resume(void);

#endif
