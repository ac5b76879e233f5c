/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * K1d: a disk without a VM (blk_disk.h) beside fio's io_uring engine on the same file, in turns: random reads of 4 KiB
 * at depth 1 and 32, past the page cache and, which is told only, from it.
 *
 *   depthN_ratio, cached_depthN_ratio     requests a second, in times of fio's
 *   depthN_syscalls                       system calls of the device's thread for a request; counted at link time, where they are made
 *   depthN_interrupts                     for a request, and kicks
 *   allocations                           for a million requests
 * Past the page cache the file's disk waits for most of the time, from it the two thread switches a request at depth 1,
 * which a call of the kernel does not have, are all there is.
 *
 *     native-k1d                             all of it
 *     native-k1d DEPTH REQUESTS [direct]     only so many reads, from the page cache or past it, without fio, for a profiler
 */
#include "tests/bench/blk_disk.h"
#include "tests/bench/blk_file.h"
#include "tests/bench/calls.h"
#include "tests/bench/native.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <string.h>

#define FILE_NAME      "k1d.img"
#define FILE_BLOCKS    UINT64_C(32768)
#define WINDOW_NS      (400 * NS_PER_MS)
#define WINDOW_FIO     "400ms"
#define COUNT_REQUESTS UINT64_C(20000)

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "K1D: %s: %s\n", what, why);
	exit(1);
}

/* ---- the contestants ---- */

/* 0, or -errno if the file cannot be used so. */
static int open_disk(bool direct, struct blk_disk **ret, struct err *err)
{
	return blk_disk_open(FILE_NAME, blk_file_open(FILE_NAME), direct, ret, err);
}

static double disk_rate(struct blk_disk *disk, uint32_t depth)
{
	struct blk_run run = blk_disk_run(disk, depth, WINDOW_NS, 0);

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

static void tell_counts(struct blk_disk *disk, uint32_t depth)
{
	struct calls before, after;
	struct blk_run run;
	double requests;

	blk_disk_run(disk, depth, 0, 1000);
	before = calls_now();
	run = blk_disk_run(disk, depth, 0, COUNT_REQUESTS);
	after = calls_now();
	requests = (double)run.requests;
	printf("K1D depth%" PRIu32 "_syscalls %.3f calls\n", depth,
	       (double)(after.syscalls - before.syscalls) / requests);
	printf("K1D depth%" PRIu32 "_interrupts %.3f interrupts\n", depth, (double)run.interrupts / requests);
	printf("K1D depth%" PRIu32 "_kicks %.3f kicks\n", depth, (double)run.kicks / requests);
	printf("K1D depth%" PRIu32 "_allocations %.6f allocations\n", depth,
	       (double)(after.allocations - before.allocations) / requests);
}

static void tell_ratio(struct blk_disk *disk, bool direct, uint32_t depth)
{
	double ratios[NATIVE_ROUNDS], rate = 0;
	char name[64];

	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		double first, last;

		rate = disk_rate(disk, depth);
		if (!fio_rate(direct, depth, &first) || !fio_rate(direct, depth, &last))
			give_up("fio", "it is not there, or does not do io_uring here");
		rate += disk_rate(disk, depth);
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
	struct blk_disk *disk;
	struct err err;

	if (open_disk(direct, &disk, &err) < 0) {
		if (!direct)
			give_up("no disk", err.text);
		fprintf(stderr, "K1D: nothing past the page cache: %s\n", err.text);
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		if (direct)
			tell_counts(disk, depths[i]);
		tell_ratio(disk, direct, depths[i]);
	}
	blk_disk_close(disk);
}

static void run_alone(const char *depth_text, const char *requests_text, bool direct)
{
	unsigned long depth = strtoul(depth_text, NULL, 10), requests = strtoul(requests_text, NULL, 10);
	struct blk_disk *disk;
	struct blk_run run;
	struct err err;

	if (!depth || depth > BLK_DRIVER_DEPTH_MAX || !requests)
		give_up("usage", "native-k1d [DEPTH REQUESTS [direct]]");
	if (open_disk(direct, &disk, &err) < 0)
		give_up("no disk", err.text);
	run = blk_disk_run(disk, (uint32_t)depth, 0, requests);
	printf("%" PRIu64 " requests, %" PRIu64 " kicks, %" PRIu64 " interrupts, %" PRIu64
	       " system calls, %.0f requests/s\n",
	       run.requests, run.kicks, run.interrupts, calls_now().syscalls,
	       (double)run.requests * (double)NS_PER_S / (double)run.ns);
	blk_disk_close(disk);
}

int main(int argc, char **argv)
{
	/* What the driver calls in this thread. */
	calls_left_out = true;
	blk_file_make(FILE_NAME, FILE_BLOCKS);
	if (argc == 3 || (argc == 4 && !strcmp(argv[3], "direct"))) {
		run_alone(argv[1], argv[2], argc == 4);
		return 0;
	}
	tell(true);
	tell(false);
	return 0;
}
