/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a virtio-mmio device under a guest and a backend that do whatever the bytes say; see virtio_drive.h. Each read,
 * each activation and each signal is compared with a model of the registers.
 */
#include "core/base/log.h"

#include "tests/unit/virtio_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	log_set_level(LOG_LEVEL_ERROR);
	drive_run(data, size);
	return 0;
}
