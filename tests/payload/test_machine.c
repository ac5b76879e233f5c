/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine with a guest on it: interrupts and memory. The guest is the payload, on this machine's KVM. Latencies are not
 * asserted: each wait has a generous bound.
 */
#include "tests/payload/fixture.h"

#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cmocka.h>

#define EDGES            1000
#define SPLIT_MEMORY     (UINT64_C(3200) << 20) /* some of it is above 4 GiB */

/* I/O APIC (Intel 82093AA): an index register and a window; each line has two registers. */
#define IOAPIC_INDEX     LAYOUT_IOAPIC
#define IOAPIC_WINDOW    (LAYOUT_IOAPIC + 0x10)
#define IOAPIC_LINE(gsi) (0x10 + 2 * (gsi))

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(edges_line_4),     CASE(edges_line_23),         CASE(shared_line),
		CASE(two_lines),        CASE(masked_line_is_silent), CASE(memory_both_ways),
		CASE(memory_above_4g),  CASE(memory_ends),           CASE(memory_is_mapped_elsewhere),
		CASE(memory_is_sealed),
	};

	return cmocka_run_group_tests_name("payload machine", tests, NULL, NULL);
}
