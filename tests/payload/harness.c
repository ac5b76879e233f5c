/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine that runs the payload; see harness.h. */
#include "tests/payload/harness.h"

#include "core/base/clock.h"

#include <backplane/device.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD_FILE "../payload/payload.elf"

static int report_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct harness *harness = ctx;

	(void)cookie;
	(void)offset;
	(void)width;
	if (!write) {
		*value = 0;
		return -ENODEV;
	}
	pthread_mutex_lock(&harness->lock);
	if (harness->report_count < HARNESS_REPORTS_MAX)
		harness->reports[harness->report_count] = (uint32_t)*value;
	harness->report_count++;
	pthread_cond_broadcast(&harness->reported);
	pthread_mutex_unlock(&harness->lock);
	return 0;
}

/* Where the payload is: programs that use it are in its folder, or in one beside it. */
static int payload_path(char path[PATH_MAX], struct err *err)
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof(PAYLOAD_FILE));

	if (length < 0)
		return err_sys(err, -errno, "/proc/self/exe");
	while (length && path[length - 1] != '/')
		length--;
	memcpy(path + length, PAYLOAD_FILE, sizeof(PAYLOAD_FILE));
	return 0;
}

static int load(struct harness *harness, const struct machine_spec *spec, const char *cmdline, struct err *err)
{
	char path[PATH_MAX];
	struct boot_spec boot = {
		.dir_fd = AT_FDCWD,
		.kernel = path,
		.cmdline = cmdline,
		.low_ram_bytes = machine_low_ram(spec),
	};
	struct firmware firmware = { 0 };
	enum boot_blame blame;
	int r = payload_path(path, err);

	if (r == 0)
		r = boot_open(&boot, &harness->image, &blame, err);
	if (r == 0)
		r = machine_boot(harness->machine, harness->image, &firmware, err);
	return r;
}

int harness_open(struct harness *harness, const struct machine_spec *spec, const char *cmdline, struct err *err)
{
	const struct bus_claim report = {
		.space = BP_PIO,
		.widths = BP_W32,
		.base = PAYLOAD_REPORT,
		.length = 4,
		.access = report_access,
		.ctx = harness,
		.owner = "report",
	};
	pthread_condattr_t monotonic;
	int r;

	memset(harness, 0, sizeof(*harness));
	pthread_mutex_init(&harness->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&harness->reported, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = bus_new(&harness->bus);
	if (r < 0)
		return err_sys(err, r, "bus");
	r = machine_reserve(spec, harness->bus, err);
	if (r == 0)
		r = bus_insert(harness->bus, &report, err);
	if (r == 0)
		r = machine_new(spec, harness->bus, &harness->machine, err);
	if (r == 0)
		r = load(harness, spec, cmdline, err);
	return r;
}

void harness_close(struct harness *harness)
{
	machine_free(harness->machine);
	boot_close(harness->image);
	bus_free(harness->bus);
	pthread_cond_destroy(&harness->reported);
	pthread_mutex_destroy(&harness->lock);
}

struct payload_shared *harness_shared(struct harness *harness)
{
	return gmem_slice(machine_mem(harness->machine), PAYLOAD_SHARED, sizeof(struct payload_shared));
}

int harness_start(struct harness *harness, struct err *err)
{
	return machine_start(harness->machine, err);
}

enum machine_end harness_wait(struct harness *harness, int timeout_ms)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	struct pollfd end = { .fd = machine_end_fd(harness->machine), .events = POLLIN };
	enum machine_end reason;

	for (uint64_t now = clock_now_ns(); now < deadline_ns; now = clock_now_ns())
		if (poll(&end, 1, (int)((deadline_ns - now) / NS_PER_MS) + 1) >= 0 || errno != EINTR)
			break;
	reason = machine_end_reason(harness->machine);
	machine_stop(harness->machine);
	return reason;
}

bool harness_wait_reports(struct harness *harness, size_t count, int timeout_ms)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	const struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S),
	};
	bool enough;
	int r = 0;

	pthread_mutex_lock(&harness->lock);
	while (harness->report_count < count && r == 0)
		r = pthread_cond_timedwait(&harness->reported, &harness->lock, &deadline);
	enough = harness->report_count >= count;
	pthread_mutex_unlock(&harness->lock);
	return enough;
}

static size_t kept(const struct harness *harness)
{
	return harness->report_count < HARNESS_REPORTS_MAX ? harness->report_count : HARNESS_REPORTS_MAX;
}

uint32_t harness_last(struct harness *harness, uint32_t kind, uint32_t otherwise)
{
	uint32_t last = otherwise;

	pthread_mutex_lock(&harness->lock);
	for (size_t i = 0; i < kept(harness); i++)
		if ((harness->reports[i] & PAYLOAD_SAYS_MASK) == kind)
			last = harness->reports[i] & ~PAYLOAD_SAYS_MASK;
	pthread_mutex_unlock(&harness->lock);
	return last;
}

size_t harness_count(struct harness *harness, uint32_t report)
{
	size_t count = 0;

	pthread_mutex_lock(&harness->lock);
	for (size_t i = 0; i < kept(harness); i++)
		count += harness->reports[i] == report;
	pthread_mutex_unlock(&harness->lock);
	return count;
}
