/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A library for LD_PRELOAD that says when a VMM gets where: it looks at ioctl() and pread() on their way to the kernel, and ends
 * the process at its first KVM_RUN, so that nothing of the guest is in the figures. Used by tests/bench/watch --start.
 *
 * BENCH_START_NS is CLOCK_MONOTONIC just before the program was executed, and BENCH_STAMPS_FD takes a line KEY=VALUE for each of
 *   linked_us       its libraries are loaded and linked
 *   vm_us           KVM_CREATE_VM has returned
 *   vcpu_us         the last KVM_CREATE_VCPU has returned
 *   run_us          the first KVM_RUN begins
 *   cpu_us          processor time of all its threads until then
 *   pread_us        of it, time spent in pread(), with pread_bytes; other ways to read a file are not seen
 *   minor_faults    page faults that needed no disk
 * Without both of these it does nothing. Any thread may be the one that runs the guest; the first one reports.
 */
/* It has the functions that fortified calls end in, and cannot be made of such calls itself. */
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static uint64_t start_ns;
static uint64_t linked_ns;
static int report_fd = -1;
static _Atomic uint64_t vm_ns, vcpu_ns, pread_ns, pread_bytes;
static atomic_flag reported = ATOMIC_FLAG_INIT;

EXPORT ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t room);
EXPORT ssize_t __pread64_chk(int fd, void *data, size_t bytes, off64_t offset, size_t room);

static uint64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

__attribute__((constructor)) static void begin(void)
{
	const char *start = getenv("BENCH_START_NS");
	const char *fd = getenv("BENCH_STAMPS_FD");

	if (!start || !fd)
		return;
	start_ns = strtoull(start, NULL, 10);
	report_fd = (int)strtol(fd, NULL, 10);
	linked_ns = read_clock(CLOCK_MONOTONIC);
}

static void stamp(const char *name, uint64_t ns)
{
	dprintf(report_fd, "%s=%" PRIu64 "\n", name, ns ? (ns - start_ns) / 1000 : 0);
}

static void report(void)
{
	uint64_t now = read_clock(CLOCK_MONOTONIC);
	uint64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	struct rusage usage;

	/* Another thread does it, and ends this one. */
	if (atomic_flag_test_and_set(&reported))
		for (;;)
			pause();
	getrusage(RUSAGE_SELF, &usage);
	stamp("linked_us", linked_ns);
	stamp("vm_us", vm_ns);
	stamp("vcpu_us", vcpu_ns);
	stamp("run_us", now);
	dprintf(report_fd, "cpu_us=%" PRIu64 "\npread_us=%" PRIu64 "\npread_bytes=%" PRIu64 "\nminor_faults=%ld\n",
		cpu / 1000, pread_ns / 1000, (uint64_t)pread_bytes, usage.ru_minflt);
	_exit(0);
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;
	int r;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	if (report_fd >= 0 && request == KVM_RUN)
		report();
	r = (int)syscall(SYS_ioctl, fd, request, argument);
	if (report_fd >= 0 && (request == KVM_CREATE_VM || request == KVM_CREATE_VCPU)) {
		int saved = errno;

		*(request == KVM_CREATE_VM ? &vm_ns : &vcpu_ns) = read_clock(CLOCK_MONOTONIC);
		errno = saved;
	}
	return r;
}

static ssize_t timed_pread(int fd, void *data, size_t bytes, off_t offset)
{
	uint64_t before = read_clock(CLOCK_MONOTONIC);
	ssize_t r = syscall(SYS_pread64, fd, data, bytes, offset);
	int saved = errno;

	pread_ns += read_clock(CLOCK_MONOTONIC) - before;
	if (r > 0)
		pread_bytes += (uint64_t)r;
	errno = saved;
	return r;
}

EXPORT ssize_t pread(int fd, void *buf, size_t nbytes, off_t offset)
{
	return timed_pread(fd, buf, nbytes, offset);
}

EXPORT ssize_t pread64(int fd, void *buf, size_t nbytes, off64_t offset)
{
	return timed_pread(fd, buf, nbytes, offset);
}

EXPORT ssize_t __pread_chk(int fd, void *data, size_t bytes, off_t offset, size_t room)
{
	if (bytes > room)
		abort();
	return timed_pread(fd, data, bytes, offset);
}

EXPORT ssize_t __pread64_chk(int fd, void *data, size_t bytes, off64_t offset, size_t room)
{
	return __pread_chk(fd, data, bytes, offset, room);
}
