/* SPDX-License-Identifier: BSD-3-Clause */
/* A device that remembers every access; see device.h. */
#include "tests/payload/device.h"

#include <backplane/device.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* All bits of the value change from read to read. */
static uint64_t next_value(size_t count)
{
	return (count + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static int device_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct device_log *log = ctx;

	pthread_mutex_lock(&log->lock);
	if (!write)
		*value = next_value(log->count);
	if (log->count < DEVICE_ACCESSES_MAX)
		log->accesses[log->count] = (struct access){
			.cookie = cookie,
			.width = width,
			.write = write,
			.offset = offset,
			.value = *value,
		};
	log->count++;
	pthread_mutex_unlock(&log->lock);
	return 0;
}

void device_log_init(struct device_log *log)
{
	memset(log, 0, sizeof(*log));
	pthread_mutex_init(&log->lock, NULL);
}

void device_claim(struct device_log *log, struct harness *harness, uint32_t cookie, uint32_t space, uint64_t base,
		  uint64_t length, uint32_t widths)
{
	struct bus_claim claim = {
		.space = space,
		.widths = widths,
		.base = base,
		.length = length,
		.access = device_access,
		.ctx = log,
		.cookie = cookie,
		.owner = "test",
	};
	struct err err = ERR_NONE;

	if (bus_insert(harness->bus, &claim, &err) < 0)
		fail_msg("%s", err.text);
}

static void print(const char *what, size_t index, const struct access *access)
{
	print_message("%s %zu: range %" PRIu32 ": %s of %" PRIu32 " bytes at 0x%" PRIx64 ", 0x%" PRIx64 "\n", what,
		      index, access->cookie, access->write ? "write" : "read", access->width, access->offset,
		      access->value);
}

void device_expect(const struct device_log *log, const struct access *expected, size_t count)
{
	for (size_t i = 0; i < count && i < log->count; i++) {
		const struct access *seen = &log->accesses[i];

		if (seen->cookie == expected[i].cookie && seen->width == expected[i].width &&
		    seen->write == expected[i].write && seen->offset == expected[i].offset &&
		    (!seen->write || seen->value == expected[i].value))
			continue;
		print("expected", i, &expected[i]);
		print("seen", i, seen);
		fail();
	}
	assert_int_equal(log->count, count);
}
