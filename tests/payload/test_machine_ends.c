/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every way to end a machine with a guest on it: the guest's own, and another thread's while CPUs are busy, halted or not started.
 * The guest is the payload, on this machine's KVM.
 */
#include "tests/payload/fixture.h"

#include "core/base/clock.h"
#include "core/machine/layout.h"
#include "core/machine/power.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static size_t vcpu_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && !strncmp(name, "vcpu", 4))
			count++;
		fclose(file);
	}
	closedir(tasks);
	return count;
}

/* A thread that has been joined is seen there for a moment still. */
static bool vcpu_threads_are_gone(void)
{
	const uint64_t deadline_ns = clock_now_ns() + GENEROUS_MS * NS_PER_MS;
	const struct timespec pause = { .tv_nsec = 1000000 };

	while (vcpu_threads()) {
		if (clock_now_ns() > deadline_ns)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static void poweroff(void **state)
{
	fixture_open(*state, 1, HARNESS_MEMORY, "case=poweroff");
	fixture_run(*state, MACHINE_POWEROFF);
}

static void reset(void **state)
{
	fixture_open(*state, 1, HARNESS_MEMORY, "case=reset");
	fixture_run(*state, MACHINE_RESET);
}

/* Runs the guest and drops what a crash logs. */
static void run_quietly(struct fixture *fixture, enum machine_end end)
{
	int before = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	enum machine_end reason;

	fixture_start(fixture);
	dup2(null, STDERR_FILENO);
	reason = harness_wait(&fixture->harness, GENEROUS_MS);
	dup2(before, STDERR_FILENO);
	close(null);
	close(before);
	assert_int_equal(reason, end);
}

static void triple_fault(void **state)
{
	fixture_open(*state, 1, HARNESS_MEMORY, "case=triple");
	run_quietly(*state, MACHINE_CRASH);
}

/* Of the power registers only the right values do anything. */
static void power_registers_are_exact(void **state)
{
	static const struct {
		uint32_t offset;
		uint32_t width;
		uint32_t value;
	} harmless[] = {
		{ POWER_SLEEP_CONTROL, 1, 0 },
		{ POWER_SLEEP_CONTROL, 1, POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT },
		{ POWER_SLEEP_CONTROL, 1, POWER_SLP_EN },
		{ POWER_SLEEP_CONTROL, 1, POWER_SLP_EN | 3 << POWER_SLP_TYP_SHIFT },
		{ POWER_SLEEP_CONTROL, 2, POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT },
		{ POWER_SLEEP_STATUS, 1, POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT },
		{ POWER_RESET, 1, 0 },
		{ POWER_RESET, 1, POWER_RESET_VALUE + 1 },
		{ POWER_RESET, 2, POWER_RESET_VALUE },
		{ POWER_RESET + 1, 1, POWER_RESET_VALUE },
	};
	struct fixture *fixture = *state;
	size_t read;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		fixture_op(fixture, write_op(LAYOUT_POWER + harmless[i].offset, harmless[i].width, harmless[i].value));
	read = fixture_op(fixture, read_op(LAYOUT_POWER + POWER_SLEEP_STATUS, 1));
	fixture_op(fixture,
		   (struct payload_op){
		       .kind = PAYLOAD_OP_OUT, .width = 4, .address = PAYLOAD_REPORT, .value = PAYLOAD_SAYS_READY });
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(harness_count(&fixture->harness, PAYLOAD_SAYS_READY), 1);
	assert_int_equal(fixture_value(fixture, read), 0);
}

static void *end_machine(void *arg)
{
	struct fixture *fixture = arg;

	machine_end(fixture->harness.machine, MACHINE_REQUESTED);
	return NULL;
}

/* Another thread ends the machine while the guest is busy with `cmdline`. */
static void end_from_outside(struct fixture *fixture, uint32_t vcpus, const char *cmdline)
{
	uint64_t before_ns;
	pthread_t thread;

	fixture_open(fixture, vcpus, HARNESS_MEMORY, cmdline);
	fixture_start(fixture);
	assert_true(harness_wait_reports(&fixture->harness, 1, GENEROUS_MS));
	assert_int_equal(vcpu_threads(), vcpus);
	before_ns = clock_now_ns();
	assert_int_equal(pthread_create(&thread, NULL, end_machine, fixture), 0);
	assert_int_equal(harness_wait(&fixture->harness, GENEROUS_MS), MACHINE_REQUESTED);
	assert_true(clock_now_ns() - before_ns < GENEROUS_MS * NS_PER_MS);
	pthread_join(thread, NULL);
	assert_true(vcpu_threads_are_gone());
}

static void end_while_spinning(void **state)
{
	end_from_outside(*state, 1, "case=spin");
}

static void end_while_4_spin(void **state)
{
	end_from_outside(*state, 4, "case=spin cpus=4");
}

static void end_while_halted(void **state)
{
	end_from_outside(*state, 1, "case=halt");
}

static void end_while_4_are_halted(void **state)
{
	end_from_outside(*state, 4, "case=halt cpus=4");
}

/* CPUs that have never been started are inside of KVM, too. */
static void end_before_cpus_start(void **state)
{
	end_from_outside(*state, 4, "case=halt cpus=1");
}

static void end_while_waiting_for_interrupts(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WAIT, .value = 1 });
	fixture_start(fixture);
	assert_true(harness_wait_reports(&fixture->harness, 1, GENEROUS_MS));
	assert_int_equal(pthread_create(&thread, NULL, end_machine, fixture), 0);
	assert_int_equal(harness_wait(&fixture->harness, GENEROUS_MS), MACHINE_REQUESTED);
	pthread_join(thread, NULL);
}

/* The first reason stays. */
static void end_twice(void **state)
{
	struct fixture *fixture = *state;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=poweroff");
	fixture_run(fixture, MACHINE_POWEROFF);
	machine_end(fixture->harness.machine, MACHINE_REQUESTED);
	assert_int_equal(machine_end_reason(fixture->harness.machine), MACHINE_POWEROFF);
}

/* Made, loaded, and taken down: nothing has run. */
static void never_started(void **state)
{
	struct fixture *fixture = *state;

	fixture_open(fixture, 4, HARNESS_MEMORY, "case=spin cpus=4");
	assert_true(vcpu_threads_are_gone());
	machine_stop(fixture->harness.machine);
	assert_int_equal(machine_end_reason(fixture->harness.machine), MACHINE_REQUESTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(poweroff),
		CASE(reset),
		CASE(triple_fault),
		CASE(power_registers_are_exact),
		CASE(end_while_spinning),
		CASE(end_while_4_spin),
		CASE(end_while_halted),
		CASE(end_while_4_are_halted),
		CASE(end_before_cpus_start),
		CASE(end_while_waiting_for_interrupts),
		CASE(end_twice),
		CASE(never_started),
	};

	return cmocka_run_group_tests_name("payload machine ends", tests, NULL, NULL);
}
