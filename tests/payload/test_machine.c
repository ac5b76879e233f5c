/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine with a guest on it: CPUs and what they say of themselves, interrupts, memory, and every way to end. The guest is
 * the payload, on this machine's KVM. Latencies are not asserted: each wait has a generous bound.
 */
#include "tests/payload/fixture.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/machine/layout.h"
#include "core/machine/power.h"

#include <backplane/device.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define EDGES            1000
#define SPLIT_MEMORY     (UINT64_C(3200) << 20) /* some of it is above 4 GiB */

/* I/O APIC (Intel 82093AA): an index register and a window; each line has two registers. */
#define IOAPIC_INDEX     LAYOUT_IOAPIC
#define IOAPIC_WINDOW    (LAYOUT_IOAPIC + 0x10)
#define IOAPIC_LINE(gsi) (0x10 + 2 * (gsi))

static struct payload_op write_op(uint64_t address, uint32_t width, uint64_t value)
{
	return (struct payload_op){ .kind = PAYLOAD_OP_WRITE, .width = width, .address = address, .value = value };
}

static struct payload_op read_op(uint64_t address, uint32_t width)
{
	return (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = width, .address = address };
}

/* ---- CPUs ---- */

static void start_cpus(struct fixture *fixture, uint32_t cpus, const char *extra)
{
	char cmdline[64];

	snprintf(cmdline, sizeof(cmdline), "case=smp cpus=%u%s", cpus, extra);
	fixture_open(fixture, cpus, HARNESS_MEMORY, cmdline);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture->harness.report_count, cpus);
	for (uint32_t i = 0; i < cpus; i++)
		assert_int_equal(harness_count(&fixture->harness, PAYLOAD_SAYS_CPU + i), 1);
}

static void cpus_1(void **state)
{
	start_cpus(*state, 1, "");
}

static void cpus_2(void **state)
{
	start_cpus(*state, 2, "");
}

static void cpus_4(void **state)
{
	start_cpus(*state, 4, "");
}

static void cpus_8(void **state)
{
	start_cpus(*state, 8, "");
}

static void cpus_32(void **state)
{
	start_cpus(*state, 32, "");
}

static void cpus_8_xapic(void **state)
{
	start_cpus(*state, 8, " xapic");
}

static uint32_t bits_for(uint32_t count)
{
	uint32_t bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* One package, a thread per core, APIC ids from 0 (Intel SDM 2A, CPUID; AMD APM 3, appendix E). */
static void check_cpuid(const struct payload_cpuid *cpuid, uint32_t index, uint32_t cpus)
{
	assert_int_equal(cpuid->present, 1);
	assert_int_equal(cpuid->apic_id, index);
	assert_int_equal(cpuid->features[1] >> 24, index);
	assert_int_equal(cpuid->features[1] >> 16 & 0xff, cpus);
	if (cpus > 1)
		assert_int_equal(cpuid->features[3] >> 28 & 1, 1); /* HTT */
	assert_int_equal(cpuid->features[2] >> 21 & 1, 1);         /* x2APIC */
	assert_int_equal(cpuid->features[2] >> 31 & 1, 1);         /* hypervisor */
	if (cpuid->last_leaf >= 0xb) {
		assert_int_equal(cpuid->topology[0][0], 0);
		assert_int_equal(cpuid->topology[0][1], 1);
		assert_int_equal(cpuid->topology[0][2], 1 << 8 | 0); /* threads */
		assert_int_equal(cpuid->topology[0][3], index);
		assert_int_equal(cpuid->topology[1][0], bits_for(cpus));
		assert_int_equal(cpuid->topology[1][1], cpus);
		assert_int_equal(cpuid->topology[1][2], 2 << 8 | 1); /* cores */
		assert_int_equal(cpuid->topology[1][3], index);
		assert_int_equal(cpuid->topology[2][1], 0);
		assert_int_equal(cpuid->topology[2][2] >> 8 & 0xff, 0); /* no more */
	}
	if (!cpuid->vendor_amd)
		return;
	assert_int_equal(cpuid->sizes[2] & 0xff, cpus - 1);
	assert_int_equal(cpuid->sizes[2] >> 12 & 0xf, bits_for(cpus));
	/* Zero: this processor has no such leaf. */
	if (cpuid->last_amd_leaf >= 0x8000001e) {
		assert_int_equal(cpuid->amd_topology[0], index);
		assert_int_equal(cpuid->amd_topology[1] & 0xff, index);
		assert_int_equal(cpuid->amd_topology[1] >> 8 & 0xff, 0); /* threads per core, less one */
		assert_int_equal(cpuid->amd_topology[2] & 0x7ff, 0);
	}
}

static void topology(struct fixture *fixture, uint32_t cpus)
{
	char cmdline[64];

	snprintf(cmdline, sizeof(cmdline), "case=cpuid cpus=%u", cpus);
	fixture_open(fixture, cpus, HARNESS_MEMORY, cmdline);
	fixture_run(fixture, MACHINE_POWEROFF);
	for (uint32_t i = 0; i < PAYLOAD_CPUS_MAX; i++) {
		const struct payload_cpuid *cpuid = &harness_shared(&fixture->harness)->cpuid[i];

		if (i < cpus)
			check_cpuid(cpuid, i, cpus);
		else
			assert_int_equal(cpuid->present, 0);
	}
}

static void topology_1(void **state)
{
	topology(*state, 1);
}

static void topology_2(void **state)
{
	topology(*state, 2);
}

static void topology_3(void **state)
{
	topology(*state, 3);
}

static void topology_8(void **state)
{
	topology(*state, 8);
}

/* struct kvm_cpuid2 with room. */
struct cpuid_table {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[256];
};

/* Whether KVM lets the bit be 0: some set it behind our back. */
static bool kvm_keeps_htt_clear(void)
{
	struct cpuid_table *table = test_calloc(1, sizeof(*table));
	FD_AUTO int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	FD_AUTO int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	FD_AUTO int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	bool clear = true;

	table->nent = 256;
	assert_int_equal(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table), 0);
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 1)
			table->entries[i].edx &= ~(1u << 28);
	assert_int_equal(ioctl(vcpu, KVM_SET_CPUID2, table), 0);
	table->nent = 256;
	assert_int_equal(ioctl(vcpu, KVM_GET_CPUID2, table), 0);
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 1 && (table->entries[i].edx & (1u << 28)))
			clear = false;
	test_free(table);
	return clear;
}

static void one_cpu_has_no_htt(void **state)
{
	struct fixture *fixture = *state;

	if (!kvm_keeps_htt_clear()) {
		print_message("this host's KVM sets HTT itself\n");
		skip();
	}
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=cpuid");
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(harness_shared(&fixture->harness)->cpuid[0].features[3] >> 28 & 1, 0);
}

/* ---- interrupts ---- */

/* The line's edges become interrupts of `vector` on the first CPU. */
static void route(struct fixture *fixture, uint32_t gsi, uint32_t vector)
{
	fixture_op(fixture, write_op(IOAPIC_INDEX, 4, IOAPIC_LINE(gsi) + 1));
	fixture_op(fixture, write_op(IOAPIC_WINDOW, 4, 0));
	fixture_op(fixture, write_op(IOAPIC_INDEX, 4, IOAPIC_LINE(gsi)));
	fixture_op(fixture, write_op(IOAPIC_WINDOW, 4, vector));
}

static int line_fd(struct fixture *fixture, uint32_t gsi)
{
	struct err err = ERR_NONE;
	int fd = machine_irq_fd(fixture->harness.machine, gsi, &err);

	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* Signals the descriptors in turn, each time after the interrupt before it has been taken. */
static void raise_edges(struct fixture *fixture, const int *fds, size_t fd_count, uint32_t edges)
{
	struct harness *harness = &fixture->harness;

	fixture_start(fixture);
	for (uint32_t i = 0; i < edges; i++) {
		/* The report of readiness, and one for each interrupt. */
		if (!harness_wait_reports(harness, i + 1, GENEROUS_MS))
			fail_msg("edge %u was lost", i);
		fd_event_signal(fds[i % fd_count]);
	}
	assert_int_equal(harness_wait(harness, GENEROUS_MS), MACHINE_POWEROFF);
	assert_int_equal(harness_last(harness, PAYLOAD_SAYS_FAULT, UINT32_MAX), UINT32_MAX);
	assert_int_equal(harness->report_count, edges + 1);
}

static void edges(struct fixture *fixture, uint32_t gsi)
{
	int fd;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fd = line_fd(fixture, gsi);
	route(fixture, gsi, PAYLOAD_VECTOR);
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WAIT, .value = EDGES });
	raise_edges(fixture, &fd, 1, EDGES);
	assert_int_equal(harness_shared(&fixture->harness)->interrupts[PAYLOAD_VECTOR], EDGES);
	close(fd);
}

static void edges_line_4(void **state)
{
	edges(*state, 4);
}

static void edges_line_23(void **state)
{
	edges(*state, 23);
}

static void shared_line(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fds[0] = line_fd(fixture, 5);
	fds[1] = line_fd(fixture, 5);
	route(fixture, 5, PAYLOAD_VECTOR);
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WAIT, .value = 20 });
	raise_edges(fixture, fds, 2, 20);
	assert_int_equal(harness_shared(&fixture->harness)->interrupts[PAYLOAD_VECTOR], 20);
	close(fds[0]);
	close(fds[1]);
}

static void two_lines(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fds[0] = line_fd(fixture, 3);
	fds[1] = line_fd(fixture, 16);
	route(fixture, 3, PAYLOAD_VECTOR);
	route(fixture, 16, PAYLOAD_VECTOR + 16);
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WAIT, .value = 20 });
	raise_edges(fixture, fds, 2, 20);
	assert_int_equal(harness_shared(&fixture->harness)->interrupts[PAYLOAD_VECTOR], 10);
	assert_int_equal(harness_shared(&fixture->harness)->interrupts[PAYLOAD_VECTOR + 16], 10);
	close(fds[0]);
	close(fds[1]);
}

/* The firmware tables say that there is no 8259. KVM has one: if it had a say, its vector would be an exception's. */
static void masked_line_is_silent(void **state)
{
	struct fixture *fixture = *state;
	int fds[2];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	fds[0] = line_fd(fixture, 16);
	fds[1] = line_fd(fixture, 7);
	route(fixture, 16, PAYLOAD_VECTOR);
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_WAIT, .value = 1 });
	fixture_start(fixture);
	assert_true(harness_wait_reports(&fixture->harness, 1, GENEROUS_MS));
	fd_event_signal(fds[1]);
	fd_event_signal(fds[1]);
	fd_event_signal(fds[0]);
	assert_int_equal(harness_wait(&fixture->harness, GENEROUS_MS), MACHINE_POWEROFF);
	assert_int_equal(harness_last(&fixture->harness, PAYLOAD_SAYS_FAULT, UINT32_MAX), UINT32_MAX);
	assert_int_equal(harness_shared(&fixture->harness)->interrupts[PAYLOAD_VECTOR], 1);
	close(fds[0]);
	close(fds[1]);
}

/* ---- memory ---- */

/* Both sides write at one address, and read what the other has written. */
static void exchange(struct fixture *fixture, const uint64_t *places, size_t count)
{
	const struct gmem *mem = machine_mem(fixture->harness.machine);
	size_t reads[4];

	assert_true(count <= 4);
	for (size_t i = 0; i < count; i++) {
		uint8_t ours = (uint8_t)(0x30 + i);

		assert_int_equal(gmem_write(mem, places[i], &ours, 1), 0);
		reads[i] = fixture_op(fixture, read_op(places[i], 1));
		fixture_op(fixture, write_op(places[i], 1, 0xc0 + i));
	}
	fixture_run(fixture, MACHINE_POWEROFF);
	for (size_t i = 0; i < count; i++) {
		uint8_t theirs;

		assert_int_equal(fixture_value(fixture, reads[i]), 0x30 + i);
		assert_int_equal(gmem_read(mem, places[i], &theirs, 1), 0);
		assert_int_equal(theirs, 0xc0 + i);
	}
}

static void memory_both_ways(void **state)
{
	const uint64_t places[] = { 0, HARNESS_MEMORY - 1 };

	fixture_open(*state, 1, HARNESS_MEMORY, "case=script");
	exchange(*state, places, 2);
}

static void memory_above_4g(void **state)
{
	const uint64_t places[] = {
		0,
		LAYOUT_HOLE - 1,
		LAYOUT_HIGH_RAM,
		LAYOUT_HIGH_RAM + (SPLIT_MEMORY - LAYOUT_HOLE) - 1,
	};
	struct sysinfo info;

	assert_int_equal(sysinfo(&info), 0);
	if ((uint64_t)info.totalram * info.mem_unit < SPLIT_MEMORY) {
		print_message("this host has less than 3200 MiB of memory\n");
		skip();
	}
	fixture_open(*state, 1, SPLIT_MEMORY, "case=script");
	exchange(*state, places, 4);
}

/* The last byte of low memory, of high memory, and what follows: no RAM, and nobody who answers. */
static void memory_ends(void **state)
{
	struct fixture *fixture = *state;
	const struct gmem *mem;
	size_t read;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	mem = machine_mem(fixture->harness.machine);
	assert_int_equal(mem->count, 1);
	assert_int_equal(gmem_total(mem), HARNESS_MEMORY);
	fixture_op(fixture, write_op(HARNESS_MEMORY, 4, 5));
	read = fixture_op(fixture, read_op(HARNESS_MEMORY, 4));
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture_value(fixture, read), 0xffffffff);
}

/* What another process would map is the guest's memory, all of it, each region behind its own descriptor. */
static void memory_is_mapped_elsewhere(void **state)
{
	struct fixture *fixture = *state;
	struct machine_region regions[GMEM_REGIONS_MAX];
	const uint64_t last = HARNESS_MEMORY - 1;
	const uint8_t ours = 0x5a;
	uint8_t *elsewhere;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	assert_int_equal(machine_regions(fixture->harness.machine, regions), 1);
	assert_int_equal(regions[0].gpa, 0);
	assert_int_equal(regions[0].bytes, HARNESS_MEMORY);
	elsewhere =
	    mmap(NULL, HARNESS_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, regions[0].fd, (off_t)regions[0].offset);
	assert_true(elsewhere != MAP_FAILED);
	assert_int_equal(gmem_write(machine_mem(fixture->harness.machine), last, &ours, 1), 0);
	assert_int_equal(elsewhere[last], ours);
	fixture_op(fixture, write_op(last, 1, 0xc0));
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(elsewhere[last], 0xc0);
	munmap(elsewhere, HARNESS_MEMORY);
}

/* Whoever gets guest memory can neither shrink it under us nor make it grow. */
static void memory_is_sealed(void **state)
{
	struct dirent *entry;
	size_t found = 0;
	DIR *fds;

	fixture_open(*state, 1, HARNESS_MEMORY, "case=script");
	fds = opendir("/proc/self/fd");
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		char name[64] = "";
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (readlinkat(dirfd(fds), entry->d_name, name, sizeof(name) - 1) < 0 ||
		    strncmp(name, "/memfd:backplane-ram", 20) != 0)
			continue;
		assert_int_equal(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		assert_int_equal(ftruncate(fd, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		found++;
	}
	closedir(fds);
	assert_int_equal(found, 1);
}

/* ---- endings ---- */

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

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(cpus_1),
		CASE(cpus_2),
		CASE(cpus_4),
		CASE(cpus_8),
		CASE(cpus_32),
		CASE(cpus_8_xapic),
		CASE(topology_1),
		CASE(topology_2),
		CASE(topology_3),
		CASE(topology_8),
		CASE(one_cpu_has_no_htt),
		CASE(edges_line_4),
		CASE(edges_line_23),
		CASE(shared_line),
		CASE(two_lines),
		CASE(masked_line_is_silent),
		CASE(memory_both_ways),
		CASE(memory_above_4g),
		CASE(memory_ends),
		CASE(memory_is_mapped_elsewhere),
		CASE(memory_is_sealed),
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

	return cmocka_run_group_tests_name("payload machine", tests, NULL, NULL);
}
