/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether this host's KVM can run guests, found out by running one: exit status 0 and silence if it can, else 1 and one line
 * on standard error. A version number does not tell: some KVMs interpret what a kernel does, and lack instructions.
 *
 *   probe                  a small payload: ports, a device in memory, power-off
 *   probe --stock-kernel   also what every stock kernel does, see enum payload_stage
 */
#include "tests/payload/harness.h"

#include "core/base/fd.h"

#include <backplane/device.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_S      10
#define DEVICE       UINT64_C(0xd0000000)
#define DEVICE_VALUE 0x1234abcdu

static const char *const stages[] = {
	[PAYLOAD_STAGE_NONE] = "the first instructions",
	[PAYLOAD_STAGE_SSE] = "SSE",
	[PAYLOAD_STAGE_CMPXCHG16B] = "cmpxchg16b",
	[PAYLOAD_STAGE_PAGING] = "a change of page tables",
	[PAYLOAD_STAGE_IPI] = "an interrupt that the CPU sends to itself",
	[PAYLOAD_STAGE_TIMER] = "an interrupt by the local APIC's timer",
	[PAYLOAD_STAGE_SMP] = "the start of a second CPU",
	[PAYLOAD_STAGE_END] = "power-off",
};

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

/* Where messages go, also while run_quietly() has turned them off. */
static int messages = STDERR_FILENO;

static void on_alarm(int number)
{
	static const char text[] = "probe: this host's KVM cannot run a guest: it hangs\n";

	(void)number;
	_exit(write(messages, text, sizeof(text) - 1) < 0 ? 2 : 1);
}

/* A dead guest's registers are not for whoever asks only whether there is a way. */
static enum machine_end run_quietly(struct harness *harness)
{
	FD_AUTO int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	enum machine_end end;

	if (null >= 0)
		dup2(null, STDERR_FILENO);
	end = harness_wait(harness, LIMIT_S * 1000);
	dup2(messages, STDERR_FILENO);
	return end;
}

static int judge(struct harness *harness, enum machine_end end, struct err *err)
{
	uint32_t stage = harness_last(harness, PAYLOAD_SAYS_STAGE, PAYLOAD_STAGE_NONE);
	uint32_t fault = harness_last(harness, PAYLOAD_SAYS_FAULT, UINT32_MAX);
	const char *at = stages[stage <= PAYLOAD_STAGE_END ? stage : PAYLOAD_STAGE_NONE];

	if (end == MACHINE_RUNNING)
		return err_set(err, -ETIMEDOUT, "no end within %d s, at: %s", LIMIT_S, at);
	if (end != MACHINE_POWEROFF)
		return err_set(err, -EIO, "it gave up at: %s", at);
	if (fault != UINT32_MAX)
		return err_set(err, -EIO, "exception %u at: %s", fault, at);
	if (harness_last(harness, PAYLOAD_SAYS_WRONG, UINT32_MAX) != UINT32_MAX)
		return err_set(err, -EIO, "a wrong result of: %s", at);
	return 0;
}

static int run_stock(struct harness *harness, struct err *err)
{
	const struct machine_spec spec = { .vcpus = 2, .memory_bytes = HARNESS_MEMORY };
	int r = harness_open(harness, &spec, "case=stock cpus=2", err);

	if (r == 0)
		r = harness_start(harness, err);
	if (r < 0)
		return r;
	r = judge(harness, run_quietly(harness), err);
	if (r == 0 && harness_last(harness, PAYLOAD_SAYS_STAGE, PAYLOAD_STAGE_NONE) != PAYLOAD_STAGE_END)
		return err_set(err, -EIO, "the payload did not reach its end");
	return r;
}

static int run_small(struct harness *harness, struct err *err)
{
	const struct machine_spec spec = { .vcpus = 1, .memory_bytes = HARNESS_MEMORY };
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
	r = judge(harness, run_quietly(harness), err);
	if (r == 0 && (harness_count(harness, PAYLOAD_SAYS_READY) != 1 || shared->ops[2].value != DEVICE_VALUE))
		return err_set(err, -EIO, "accesses to devices got lost");
	return r;
}

int main(int argc, char **argv)
{
	static struct harness harness;
	struct err err = ERR_NONE;
	bool stock = argc == 2 && !strcmp(argv[1], "--stock-kernel");
	int r;

	if (argc > 1 && !stock) {
		fprintf(stderr, "usage: probe [--stock-kernel]\n");
		return 2;
	}
	messages = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (messages < 0)
		messages = STDERR_FILENO;
	/* If KVM itself hangs. */
	signal(SIGALRM, on_alarm);
	alarm(LIMIT_S + 5);
	r = stock ? run_stock(&harness, &err) : run_small(&harness, &err);
	if (r < 0)
		fprintf(stderr, "probe: this host's KVM cannot run %s: %s\n", stock ? "a stock kernel" : "a payload",
			err.text);
	harness_close(&harness);
	return r < 0;
}
