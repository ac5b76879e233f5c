/* SPDX-License-Identifier: BSD-3-Clause */
/* What the virtio-blk plugin is told of a file, for the bench's disks without a VM. */
#ifndef TESTS_BENCH_BLK_VALUES_H
#define TESTS_BENCH_BLK_VALUES_H

#include "core/base/values.h"

#include <stdbool.h>
#include <stdint.h>

/* The values of a disk that is only read. `fd` is taken, also by a failure; *ret_blocks is how many whole blocks of
 * blk_driver.h the file has. -errno. */
int blk_values_new(const struct schema *schema, const char *path, int fd, bool direct, struct values **ret,
		   uint64_t *ret_blocks);

#endif
