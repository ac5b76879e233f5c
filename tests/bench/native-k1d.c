/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * K1d: a disk without a VM (blk_driver.h) beside fio's io_uring engine on the same file, in turns: random reads of 4 KiB at depth 1 and
 * 32, past the page cache and, which is told only, from it.
 *
 *   depthN_ratio, cached_depthN_ratio     requests a second, in times of fio's
 *   depthN_syscalls                       system calls of the device's thread for a request; counted at link time, where they are made
 *   depthN_interrupts                     for a request, and kicks
 *   allocations                           for a million requests
 * Past the page cache the file's disk waits for most of the time, from it the two thread switches a request at depth 1, which a call
 * of the kernel does not have, are all there is.
 *
 *     native-k1d                             all of it
 *     native-k1d DEPTH REQUESTS [direct]     only so many reads, from the page cache or past it, without fio, for a profiler
 */
#include "tests/bench/blk_driver.h"
#include "tests/bench/native.h"

#include "core/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FILE_NAME      "k1d.img"
#define FILE_BLOCKS    UINT64_C(32768)
#define WINDOW_NS      (400 * NS_PER_MS)
#define WINDOW_FIO     "400ms"
#define COUNT_REQUESTS UINT64_C(20000)

/* ---- what is counted: -Wl,--wrap; the driver's own calls, made in the main thread, are not ---- */

static _Thread_local bool is_driver;
static atomic_ulong syscalls, allocations;

static void count_call(void)
{
	if (!is_driver)
		atomic_fetch_add_explicit(&syscalls, 1, memory_order_relaxed);
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __real_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event);
ssize_t __real_read(int fd, void *buf, size_t bytes);
ssize_t __wrap_read(int fd, void *buf, size_t bytes);
ssize_t __real_write(int fd, const void *buf, size_t bytes);
ssize_t __wrap_write(int fd, const void *buf, size_t bytes);
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

/* No caller gives more than six; reading more of them than it gave is harmless on x86-64. */
long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	count_call();
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
			      arguments[5]);
}

int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	count_call();
	return __real_epoll_wait(fd, events, max, timeout);
}

int __wrap_epoll_ctl(int fd, int op, int other, struct epoll_event *event)
{
	count_call();
	return __real_epoll_ctl(fd, op, other, event);
}

ssize_t __wrap_read(int fd, void *buf, size_t bytes)
{
	count_call();
	return __real_read(fd, buf, bytes);
}

ssize_t __wrap_write(int fd, const void *buf, size_t bytes)
{
	count_call();
	return __real_write(fd, buf, bytes);
}

void *__wrap_malloc(size_t bytes)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
	return __real_realloc(old, bytes);
}

/* ---- the file ---- */

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "K1D: %s: %s\n", what, why);
	exit(1);
}

static void remove_file(void)
{
	unlink(FILE_NAME);
}

/* In the current folder; written through, so that no read meets work that is left to do. */
static void make_file(void)
{
	static uint8_t chunk[256][BLK_DRIVER_BLOCK];
	int fd = open(FILE_NAME, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	if (fd < 0)
		give_up(FILE_NAME, strerror(errno));
	atexit(remove_file);
	for (uint64_t block = 0; block < FILE_BLOCKS; block += 256) {
		for (uint64_t i = 0; i < 256; i++) {
			uint64_t number = block + i;

			memcpy(chunk[i], &number, sizeof(number));
		}
		if (__real_write(fd, chunk, sizeof(chunk)) != (ssize_t)sizeof(chunk))
			give_up(FILE_NAME, "cannot write it");
	}
	if (fdatasync(fd) < 0)
		give_up(FILE_NAME, strerror(errno));
	close(fd);
}

/* ---- the contestants ---- */

/* 0, or -errno if the file cannot be used so. */
static int open_disk(bool direct, struct blk_driver **ret, struct err *err)
{
	int fd = open(FILE_NAME, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		give_up(FILE_NAME, strerror(errno));
	return blk_driver_open(FILE_NAME, fd, direct, ret, err);
}

static double disk_rate(struct blk_driver *driver, uint32_t depth)
{
	struct blk_run run = blk_driver_run(driver, depth, WINDOW_NS, 0);

	return (double)run.requests * (double)NS_PER_S / (double)run.ns;
}

/* Field 8 of fio's terse line is the rate of reads. False where there is no fio. */
static bool fio_rate(bool direct, uint32_t depth, double *ret)
{
	char command[512], line[8192], *at = line;
	FILE *pipe;
	bool got;

	snprintf(command, sizeof(command),
		 "exec fio --name=k1d --filename=" FILE_NAME " --readonly --rw=randread --bs=4k --norandommap"
		 " --ioengine=io_uring --iodepth=%" PRIu32 " --direct=%d --time_based --runtime=" WINDOW_FIO
		 " --output-format=terse --terse-version=3",
		 depth, direct);
	pipe = popen(command, "re");
	if (!pipe)
		return false;
	got = fgets(line, sizeof(line), pipe) != NULL;
	if (pclose(pipe) != 0 || !got)
		return false;
	for (int field = 1; field < 8; field++) {
		at = strchr(at, ';');
		if (!at++)
			return false;
	}
	*ret = strtod(at, NULL);
	return *ret > 0;
}

/* ---- figures ---- */

static void tell_counts(struct blk_driver *driver, uint32_t depth)
{
	unsigned long calls, allocated;
	struct blk_run run;
	double requests;

	blk_driver_run(driver, depth, 0, 1000);
	calls = atomic_load(&syscalls);
	allocated = atomic_load(&allocations);
	run = blk_driver_run(driver, depth, 0, COUNT_REQUESTS);
	requests = (double)run.requests;
	printf("K1D depth%" PRIu32 "_syscalls %.3f calls\n", depth,
	       (double)(atomic_load(&syscalls) - calls) / requests);
	printf("K1D depth%" PRIu32 "_interrupts %.3f interrupts\n", depth, (double)run.interrupts / requests);
	printf("K1D depth%" PRIu32 "_kicks %.3f kicks\n", depth, (double)run.kicks / requests);
	printf("K1D depth%" PRIu32 "_allocations %.6f allocations\n", depth,
	       (double)(atomic_load(&allocations) - allocated) / requests);
}

static void tell_ratio(struct blk_driver *driver, bool direct, uint32_t depth)
{
	double ratios[NATIVE_ROUNDS], rate = 0;
	char name[64];

	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		double first, last;

		rate = disk_rate(driver, depth);
		if (!fio_rate(direct, depth, &first) || !fio_rate(direct, depth, &last))
			give_up("fio", "it is not there, or does not do io_uring here");
		rate += disk_rate(driver, depth);
		if (round >= 0)
			ratios[round] = rate / (first + last);
	}
	snprintf(name, sizeof(name), "%sdepth%" PRIu32 "_ratio", direct ? "" : "cached_", depth);
	native_ratio("K1D", name, ratios);
	snprintf(name, sizeof(name), "%sdepth%" PRIu32, direct ? "" : "cached_", depth);
	printf("K1D %s %.0f requests/s\n", name, rate / 2);
}

static void tell(bool direct)
{
	static const uint32_t depths[] = { 1, 32 };
	struct blk_driver *driver;
	struct err err;

	if (open_disk(direct, &driver, &err) < 0) {
		if (!direct)
			give_up("no disk", err.text);
		fprintf(stderr, "K1D: nothing past the page cache: %s\n", err.text);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		if (direct)
			tell_counts(driver, depths[i]);
		tell_ratio(driver, direct, depths[i]);
	}
	blk_driver_close(driver);
}

static void run_alone(const char *depth_text, const char *requests_text, bool direct)
{
	unsigned long depth = strtoul(depth_text, NULL, 10), requests = strtoul(requests_text, NULL, 10);
	struct blk_driver *driver;
	struct blk_run run;
	struct err err;

	if (!depth || depth > BLK_DRIVER_DEPTH_MAX || !requests)
		give_up("usage", "native-k1d [DEPTH REQUESTS [direct]]");
	if (open_disk(direct, &driver, &err) < 0)
		give_up("no disk", err.text);
	run = blk_driver_run(driver, (uint32_t)depth, 0, requests);
	printf("%" PRIu64 " requests, %" PRIu64 " kicks, %" PRIu64 " interrupts, %lu system calls, %.0f requests/s\n",
	       run.requests, run.kicks, run.interrupts, atomic_load(&syscalls),
	       (double)run.requests * (double)NS_PER_S / (double)run.ns);
	blk_driver_close(driver);
}

int main(int argc, char **argv)
{
	const char *build = getenv("BP_BUILD");

	is_driver = true;
	/* tmpfs, as /tmp may be, has no O_DIRECT. */
	if (build && (chdir(build) < 0 || (chdir("bench") < 0 && errno != ENOENT)))
		give_up(build, strerror(errno));
	make_file();
	if (argc == 3 || (argc == 4 && !strcmp(argv[3], "direct"))) {
		run_alone(argv[1], argv[2], argc == 4);
		return 0;
	}
	tell(true);
	tell(false);
	return 0;
}
