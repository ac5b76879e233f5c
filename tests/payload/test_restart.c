/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Restarts of the machine in place: another guest in the same memory, on the same bus, with the same interrupt lines, that finds
 * nothing of the one before; and what is under way when a guest ends.
 */
#include "tests/payload/fixture.h"

#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <backplane/device.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define RESTARTS      20
#define PAGE          UINT64_C(4096)

/* Of the I/O APIC (Intel 82093AA). */
#define IOAPIC_INDEX  LAYOUT_IOAPIC
#define IOAPIC_WINDOW (LAYOUT_IOAPIC + 0x10)
#define IOAPIC_LINE   (0x10 + 2 * 5)

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* From stopped to loaded again. */
static void restart(struct fixture *fixture)
{
	struct harness *harness = &fixture->harness;
	struct pollfd end = { .fd = machine_end_fd(harness->machine), .events = POLLIN };
	struct firmware firmware = { 0 };
	struct err err = ERR_NONE;

	if (machine_restart(harness->machine, &err) < 0 ||
	    machine_boot(harness->machine, harness->image, &firmware, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(machine_end_reason(harness->machine), MACHINE_RUNNING);
	assert_int_equal(poll(&end, 1, 0), 0);
	harness->report_count = 0;
	fixture->op_count = 0;
}

/* Each life starts all CPUs, and the last is like the first. */
static void restart_often(struct fixture *fixture, uint32_t cpus)
{
	char cmdline[64];
	size_t fds;

	snprintf(cmdline, sizeof(cmdline), "case=smp cpus=%u", cpus);
	fixture_open(fixture, cpus, HARNESS_MEMORY, cmdline);
	fds = count_fds();
	for (int i = 0; i <= RESTARTS; i++) {
		if (i)
			restart(fixture);
		fixture_run(fixture, MACHINE_POWEROFF);
		assert_int_equal(fixture->harness.report_count, cpus);
		for (uint32_t cpu = 0; cpu < cpus; cpu++)
			assert_int_equal(harness_count(&fixture->harness, PAYLOAD_SAYS_CPU + cpu), 1);
	}
	assert_int_equal(count_fds(), fds);
}

static void restart_20_times_with_1_cpu(void **state)
{
	restart_often(*state, 1);
}

static void restart_20_times_with_4_cpus(void **state)
{
	restart_often(*state, 4);
}

/* CPUs that spin, or were never started, are taken out of the guest. */
static void restart_while_4_spin(void **state)
{
	struct fixture *fixture = *state;

	fixture_open(fixture, 5, HARNESS_MEMORY, "case=spin cpus=4");
	for (int i = 0; i < 3; i++) {
		fixture_start(fixture);
		assert_true(harness_wait_reports(&fixture->harness, 1, GENEROUS_MS));
		machine_end(fixture->harness.machine, MACHINE_RESET);
		assert_int_equal(harness_wait(&fixture->harness, GENEROUS_MS), MACHINE_RESET);
		restart(fixture);
	}
}

/* After a triple fault as after any other end. */
static void restart_after_a_triple_fault(void **state)
{
	struct fixture *fixture = *state;
	const struct machine_spec quiet = { .vcpus = 1, .memory_bytes = HARNESS_MEMORY, .quiet = true };
	struct err err = ERR_NONE;

	fixture->open = true;
	if (harness_open(&fixture->harness, &quiet, "case=triple", &err) < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < 2; i++) {
		if (i)
			restart(fixture);
		assert_string_equal(machine_crash_text(fixture->harness.machine), "");
		fixture_run(fixture, MACHINE_CRASH);
		assert_string_equal(machine_crash_text(fixture->harness.machine), "vCPU 0: triple fault in the guest");
	}
}

/* What the old guest has written is gone, and the memory is where it was. */
static void memory_is_clean(void **state)
{
	struct fixture *fixture = *state;
	struct payload_shared *shared;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	shared = harness_shared(&fixture->harness);
	fixture_op(fixture, (struct payload_op){
				.kind = PAYLOAD_OP_WRITE, .width = 8, .address = PAYLOAD_BUFFER, .value = UINT64_MAX });
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(*(uint64_t *)gmem_slice(machine_mem(fixture->harness.machine), PAYLOAD_BUFFER, 8), UINT64_MAX);
	restart(fixture);
	assert_ptr_equal(harness_shared(&fixture->harness), shared);
	assert_int_equal(shared->ops[0].kind, PAYLOAD_OP_END);
	fixture_op(fixture,
		   (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = 8, .address = PAYLOAD_BUFFER, .value = 1 });
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture_value(fixture, 0), 0);
}

/* A device's descriptor, which it has had from the beginning, raises its line in each life: once an edge. */
static void interrupt_lines_stay(void **state)
{
	struct fixture *fixture = *state;
	struct harness *harness = &fixture->harness;
	struct err err = ERR_NONE;
	int fd;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fd = machine_irq_fd(harness->machine, 5, &err);
	if (fd < 0)
		fail_msg("%s", err.text);
	for (int i = 0; i < 4; i++) {
		const struct payload_op ops[] = {
			{ .kind = PAYLOAD_OP_WRITE, .width = 4, .address = IOAPIC_INDEX, .value = IOAPIC_LINE + 1 },
			{ .kind = PAYLOAD_OP_WRITE, .width = 4, .address = IOAPIC_WINDOW, .value = 0 },
			{ .kind = PAYLOAD_OP_WRITE, .width = 4, .address = IOAPIC_INDEX, .value = IOAPIC_LINE },
			{ .kind = PAYLOAD_OP_WRITE, .width = 4, .address = IOAPIC_WINDOW, .value = PAYLOAD_VECTOR },
			{ .kind = PAYLOAD_OP_WAIT, .value = 3 },
		};

		if (i)
			restart(fixture);
		for (size_t op = 0; op < sizeof(ops) / sizeof(ops[0]); op++)
			fixture_op(fixture, ops[op]);
		fixture_start(fixture);
		for (size_t edge = 1; edge <= 3; edge++) {
			if (!harness_wait_reports(harness, edge, GENEROUS_MS))
				fail_msg("edge %zu of life %d was lost", edge, i);
			fd_event_signal(fd);
		}
		assert_int_equal(harness_wait(harness, GENEROUS_MS), MACHINE_POWEROFF);
		assert_int_equal(harness->report_count, 4);
		/* One that comes when nobody runs is the old guest's. */
		fd_event_signal(fd);
	}
	close(fd);
}

/* ---- what is under way ---- */

/* Two registers of four bytes with a page's end between them. The first ends the machine when it is written. */
struct halves {
	struct machine *machine;
	uint64_t values[2];
	uint32_t counts[2];
};

static int half_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct halves *halves = ctx;

	(void)offset;
	if (!write || width != 4)
		return -EINVAL;
	halves->values[cookie] = *value;
	halves->counts[cookie]++;
	if (cookie == 0)
		machine_end(halves->machine, MACHINE_RESET);
	return 0;
}

/* The guest writes both with one instruction, which KVM tells in two exits. When the machine has stopped the instruction has been
 * carried out as a whole, and nothing of it is left for the next guest. */
static void an_access_is_finished(void **state)
{
	struct fixture *fixture = *state;
	struct halves halves = { 0 };
	struct err err = ERR_NONE;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	halves.machine = fixture->harness.machine;
	for (uint32_t i = 0; i < 2; i++) {
		const struct bus_claim claim = {
			.space = BP_MMIO,
			.widths = BP_W32,
			.base = LAYOUT_MMIO + PAGE - 4 + i * 4,
			.length = 4,
			.access = half_access,
			.ctx = &halves,
			.cookie = i,
			.owner = "half",
		};

		if (bus_insert(fixture->harness.bus, &claim, &err) < 0)
			fail_msg("%s", err.text);
	}
	for (uint32_t life = 1; life <= 3; life++) {
		if (life > 1)
			restart(fixture);
		fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WRITE,
							 .width = 8,
							 .address = LAYOUT_MMIO + PAGE - 4,
							 .value = UINT64_C(0x2222222211111111) + life });
		fixture_run(fixture, MACHINE_RESET);
		assert_int_equal(halves.counts[0], life);
		assert_int_equal(halves.counts[1], life);
		assert_int_equal(halves.values[0], 0x11111111 + life);
		assert_int_equal(halves.values[1], 0x22222222);
	}
}

/* A jump to where a processor begins after a reset is a reset. */
static void the_reset_vector_resets(void **state)
{
	struct fixture *fixture = *state;

	fixture_open(fixture, 2, HARNESS_MEMORY, "case=vector cpus=2");
	for (int i = 0; i < 2; i++) {
		if (i)
			restart(fixture);
		fixture_run(fixture, MACHINE_RESET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(restart_20_times_with_1_cpu),
		CASE(restart_20_times_with_4_cpus),
		CASE(restart_while_4_spin),
		CASE(restart_after_a_triple_fault),
		CASE(memory_is_clean),
		CASE(interrupt_lines_stay),
		CASE(an_access_is_finished),
		CASE(the_reset_vector_resets),
	};

	return cmocka_run_group_tests_name("payload restart", tests, NULL, NULL);
}
