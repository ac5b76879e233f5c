/* SPDX-License-Identifier: BSD-3-Clause */
/* A device for tests: it remembers every access, and answers each read with another value. Its callback runs on vCPU threads,
 * everything else while the guest does not run. */
#ifndef TESTS_PAYLOAD_DEVICE_H
#define TESTS_PAYLOAD_DEVICE_H

#include "tests/payload/harness.h"

#define DEVICE_ACCESSES_MAX 8192

struct access {
	uint32_t cookie;
	uint32_t width;
	bool write;
	uint64_t offset;
	uint64_t value; /* written, or returned */
};

struct device_log {
	pthread_mutex_t lock;
	size_t count; /* also those beyond the end of the list */
	struct access accesses[DEVICE_ACCESSES_MAX];
};

void device_log_init(struct device_log *log);

/* Adds a range to the harness's bus; `cookie` tells several apart. Fails the test if it cannot. */
void device_claim(struct device_log *log, struct harness *harness, uint32_t cookie, uint32_t space, uint64_t base,
		  uint64_t length, uint32_t widths);

/* Fails the test unless the accesses were exactly these. Of reads the value does not count. */
void device_expect(const struct device_log *log, const struct access *expected, size_t count);

#endif
