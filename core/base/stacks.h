/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of threads. Main thread, while it is the only one. */
#ifndef BASE_STACKS_H
#define BASE_STACKS_H

/* Each thread that does not ask for another stack, a plugin's too, gets one of 1 MiB from now on. Linux puts a huge
 * page into one of the usual 8 MiB where it happens to fit: 2 MiB of memory for a few KiB that are used. */
void stacks_limit(void);

#endif
