/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VM's metrics as a text file in the format that Prometheus reads: for each metric of a device a line such as
 *   backplane_serial_sent_bytes{device="console"} 1234
 * named by class and metric, and a few of the machine. Main thread.
 */
#ifndef PLACEMENT_METRICS_H
#define PLACEMENT_METRICS_H

#include "core/placement/instance.h"

/* Writes all of them to `path`, which changes from one whole file to another. -errno with the message. */
int metrics_write(const struct vm *vm, const char *path, struct err *err);

#endif
