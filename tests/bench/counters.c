/* SPDX-License-Identifier: BSD-3-Clause */
/* Counting what a program does; see counters.h. */
#include "tests/bench/counters.h"

#include "tests/bench/switches.h"

#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const tracepoints[COUNT_ALLOCATIONS] = {
	[COUNT_USER_EXITS] = "kvm/kvm_userspace_exit",
	[COUNT_SYSCALLS] = "raw_syscalls/sys_enter",
};

const char *const counts_names[COUNTS] = {
	[COUNT_USER_EXITS] = "user_exits",
	[COUNT_SYSCALLS] = "syscalls",
	[COUNT_ALLOCATIONS] = "allocations",
	[COUNT_MAIN_SWITCHES] = "main_switches",
};

static bool read_number(const char *path, uint64_t *ret)
{
	FILE *file = fopen(path, "re");
	bool read = file && fscanf(file, "%" SCNu64, ret) == 1;

	if (file)
		fclose(file);
	return read;
}

static int open_tracepoint(const char *name, pid_t pid)
{
	static const char *const folders[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.disabled = 1,
		.inherit = 1,
		.enable_on_exec = 1,
	};

	for (size_t i = 0; i < 2; i++) {
		char path[PATH_MAX];
		uint64_t id;

		snprintf(path, sizeof(path), "%s/events/%s/id", folders[i], name);
		if (!read_number(path, &id))
			continue;
		attr.config = id;
		return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	}
	return -1;
}

bool counters_init(struct counters *counters, bool allocations)
{
	void *page;

	*counters = (struct counters){ .tracepoints = { -1, -1 }, .page_fd = -1 };
	if (!allocations)
		return true;
	counters->page_fd = memfd_create("allocations", MFD_CLOEXEC);
	if (counters->page_fd < 0 || ftruncate(counters->page_fd, sizeof(uint64_t)) < 0)
		return false;
	page = mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, counters->page_fd, 0);
	if (page == MAP_FAILED)
		return false;
	counters->page = page;
	return true;
}

void counters_pass_allocations(const struct counters *counters)
{
	char text[32];

	snprintf(text, sizeof(text), "%d", counters->page_fd);
	setenv("BENCH_ALLOCS_FD", text, 1);
	fcntl(counters->page_fd, F_SETFD, 0);
}

void counters_open(struct counters *counters, pid_t pid)
{
	counters->pid = pid;
	for (size_t i = 0; i < COUNT_ALLOCATIONS; i++)
		counters->tracepoints[i] = open_tracepoint(tracepoints[i], pid);
}

void counters_read(const struct counters *counters, struct counts *ret)
{
	char path[64];

	*ret = (struct counts){ .has = { false } };
	for (size_t i = 0; i < COUNT_ALLOCATIONS; i++)
		ret->has[i] = counters->tracepoints[i] >= 0 &&
			      read(counters->tracepoints[i], &ret->values[i], sizeof(ret->values[i])) ==
				  (ssize_t)sizeof(ret->values[i]);
	if (counters->page) {
		ret->has[COUNT_ALLOCATIONS] = true;
		ret->values[COUNT_ALLOCATIONS] = __atomic_load_n(counters->page, __ATOMIC_RELAXED);
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)counters->pid, (int)counters->pid);
	ret->has[COUNT_MAIN_SWITCHES] = switches_of(path, &ret->values[COUNT_MAIN_SWITCHES]);
}

void counts_since(const struct counts *now, struct counts *before)
{
	for (size_t i = 0; i < COUNTS; i++) {
		before->has[i] &= now->has[i];
		before->values[i] = now->values[i] - before->values[i];
	}
}

bool counters_all_exits(pid_t pid, uint64_t *ret)
{
	char pattern[PATH_MAX];
	glob_t found;
	bool read;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/kvm/%d-*/exits", (int)pid);
	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return false;
	/* Of a program with several VMs it could not be said which is meant. */
	read = found.gl_pathc == 1 && read_number(found.gl_pathv[0], ret);
	globfree(&found);
	return read;
}
