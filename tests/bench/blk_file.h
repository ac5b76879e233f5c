/* SPDX-License-Identifier: BSD-3-Clause */
/* The file that the bench's disks without a VM have. What cannot be done ends the process. */
#ifndef TESTS_BENCH_BLK_FILE_H
#define TESTS_BENCH_BLK_FILE_H

#include <stdint.h>

/* Goes to $BP_BUILD/bench, and makes a file of so many blocks of blk_driver.h there, which is removed at the end of the
 * process. It is written through, so that no read meets work that is left to do. tmpfs, as /tmp may be, has no
 * O_DIRECT. */
void blk_file_make(const char *name, uint64_t blocks);

/* For reading. */
int blk_file_open(const char *name);

#endif
