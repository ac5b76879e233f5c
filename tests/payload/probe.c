/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether this host's KVM can run the payload, found out by running it with a port, a device in memory and a power-off: exit
 * status 0 and silence if it can, else 1 and one line on standard error. That takes less than a stock kernel, for which
 * `backplane doctor --probe` is to be asked.
 */
#include "tests/payload/harness.h"

#include <backplane/device.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_S      10
#define DEVICE       UINT64_C(0xd0000000)
#define DEVICE_VALUE 0x1234abcdu

static int device_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	(void)ctx;
	(void)cookie;
	(void)offset;
	(void)width;
	if (!write)
		*value = DEVICE_VALUE;
	return 0;
}

static void on_alarm(int number)
{
	static const char text[] = "probe: this host's KVM cannot run a guest: it hangs\n";

	(void)number;
	_exit(write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ? 2 : 1);
}

static int judge(struct harness *harness, enum machine_end end, struct err *err)
{
	uint32_t fault = harness_last(harness, PAYLOAD_SAYS_FAULT, UINT32_MAX);

	if (end == MACHINE_RUNNING)
		return err_set(err, -ETIMEDOUT, "no end within %d s", LIMIT_S);
	if (end == MACHINE_CRASH || end == MACHINE_KVM_ERROR)
		return err_set(err, -EIO, "%s", machine_crash_text(harness->machine));
	if (end != MACHINE_POWEROFF)
		return err_set(err, -EIO, "it did not power off");
	if (fault != UINT32_MAX)
		return err_set(err, -EIO, "exception %u", fault);
	return 0;
}

static int run(struct harness *harness, struct err *err)
{
	const struct machine_spec spec = { .vcpus = 1, .memory_bytes = HARNESS_MEMORY, .quiet = true };
	const struct bus_claim device = {
		.space = BP_MMIO,
		.widths = BP_W32,
		.base = DEVICE,
		.length = 0x1000,
		.access = device_access,
		.owner = "probe",
	};
	const struct payload_op ops[] = {
		{ .kind = PAYLOAD_OP_OUT, .width = 4, .address = PAYLOAD_REPORT, .value = PAYLOAD_SAYS_READY },
		{ .kind = PAYLOAD_OP_WRITE, .width = 4, .address = DEVICE, .value = 1 },
		{ .kind = PAYLOAD_OP_READ, .width = 4, .address = DEVICE },
	};
	struct payload_shared *shared;
	int r = harness_open(harness, &spec, "case=script", err);

	if (r == 0)
		r = bus_insert(harness->bus, &device, err);
	if (r < 0)
		return r;
	shared = harness_shared(harness);
	memcpy(shared->ops, ops, sizeof(ops));
	r = harness_start(harness, err);
	if (r < 0)
		return r;
	r = judge(harness, harness_wait(harness, LIMIT_S * 1000), err);
	if (r == 0 && (harness_count(harness, PAYLOAD_SAYS_READY) != 1 || shared->ops[2].value != DEVICE_VALUE))
		return err_set(err, -EIO, "accesses to devices got lost");
	return r;
}

int main(int argc, char **argv)
{
	static struct harness harness;
	struct err err = ERR_NONE;
	int r;

	(void)argv;
	if (argc > 1) {
		fprintf(stderr, "usage: probe\n");
		return 2;
	}
	/* If KVM itself hangs. */
	signal(SIGALRM, on_alarm);
	alarm(LIMIT_S + 5);
	r = run(&harness, &err);
	if (r < 0)
		fprintf(stderr, "probe: this host's KVM cannot run a payload: %s\n", err.text);
	harness_close(&harness);
	return r < 0;
}
