/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * X1: what it costs that a plugin has a process of its own. The same plugin, virtio-blk, is once in a thread of this
 * process and once behind the spawner in a device-host, with a driver in this process (blk_driver.h) whose memory both
 * have; in turns, on the same file, at depth 1 and 32, past the page cache and, which is told only, from it. This
 * process is the core: its main thread minds the plugins' processes, as that of a VM does, and the driver's thread is
 * its vCPU.
 *
 *   depthN_ratio, cached_depthN_ratio     requests a second with the process, in times of those with the thread
 *   depthN_WHO_allocations                for a request, where the plugin is; WHO is process or thread
 *   depthN_WHO_syscalls                   system calls for a request, where the plugin is: with the thread all that are not the driver's own
 *   depthN_core_switches                  context switches for a request of all threads of the core but the driver's, with the process
 *   depthN_core_syscalls                  their system calls
 *   depthN_core_allocations               and allocations
 *   depthN_WHO_interrupts, _kicks         for a request
 * The core asks each process a few times in ten seconds whether it is well: that is all that it may have to do.
 *
 * The device-host is the product's, but that it counts its calls (calls_host.c), as this program does.
 *
 *     native-x1                                       all of it
 *     native-x1 process|thread DEPTH REQUESTS [direct]   only so many reads with one of them, for a profiler
 */
#include "tests/bench/blk_file.h"
#include "tests/bench/calls.h"
#include "tests/bench/native.h"
#include "tests/bench/places.h"
#include "tests/bench/switches.h"

#include "core/base/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define FILE_NAME      "x1.img"
#define FILE_BLOCKS    UINT64_C(32768)
#define WINDOW_NS      (400 * NS_PER_MS)
#define WARM_REQUESTS  UINT64_C(1000)
#define COUNT_REQUESTS UINT64_C(20000)

__attribute__((noreturn)) static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "X1: %s: %s\n", what, why);
	exit(1);
}

/* ---- a run: the driver's thread, and the core's main thread meanwhile ---- */

/* What was counted outside of the driver's thread. */
struct seen {
	struct calls core, host;
	uint64_t switches;
};

struct job {
	struct place_disk *disk;
	uint32_t depth;
	uint64_t window_ns, requests;
	int done_fd;
	struct blk_run run;
	struct seen seen;
};

static struct calls since(struct calls now, struct calls before)
{
	return (struct calls){ now.syscalls - before.syscalls, now.allocations - before.allocations };
}

static void *drive(void *arg)
{
	struct job *job = arg;
	struct seen before;

	calls_left_out = true;
	/* So that everything is in place, and the main thread asleep. */
	place_disk_run(job->disk, job->depth, 0, WARM_REQUESTS);
	/* To count switches files are read, which may allocate. */
	before.switches = switches_of_others();
	before.core = calls_now();
	before.host = places_host_calls();
	job->run = place_disk_run(job->disk, job->depth, job->window_ns, job->requests);
	job->seen.core = since(calls_now(), before.core);
	job->seen.host = since(places_host_calls(), before.host);
	job->seen.switches = switches_of_others() - before.switches;
	fd_event_signal(job->done_fd);
	return NULL;
}

static void run(struct places *places, struct job *job)
{
	struct pollfd fds[] = {
		{ .fd = places_fd(places), .events = POLLIN },
		{ .fd = fd_event(), .events = POLLIN },
	};
	pthread_t thread;

	job->done_fd = fds[1].fd;
	if (job->done_fd < 0 || pthread_create(&thread, NULL, drive, job))
		give_up("cannot start the driver", "no descriptor or thread");
	while (!fds[1].revents) {
		poll(fds, 2, -1);
		if (fds[0].revents)
			places_mind(places);
	}
	pthread_join(thread, NULL);
	fd_close(job->done_fd);
}

static double rate(struct places *places, struct place_disk *disk, uint32_t depth)
{
	struct job job = { .disk = disk, .depth = depth, .window_ns = WINDOW_NS };

	run(places, &job);
	return (double)job.run.requests * (double)NS_PER_S / (double)job.run.ns;
}

/* ---- figures ---- */

static void tell_one(uint32_t depth, const char *what, uint64_t count, const struct blk_run *of, const char *unit)
{
	printf("X1 depth%" PRIu32 "_%s %.6f %s\n", depth, what, (double)count / (double)of->requests, unit);
}

static void tell_counts(struct places *places, struct place_disk *disks[static WHERES], uint32_t depth)
{
	struct job process = { .disk = disks[WHERE_PROCESS], .depth = depth, .requests = COUNT_REQUESTS };
	struct job thread = { .disk = disks[WHERE_THREAD], .depth = depth, .requests = COUNT_REQUESTS };

	run(places, &process);
	run(places, &thread);
	tell_one(depth, "process_allocations", process.seen.host.allocations, &process.run, "allocations");
	tell_one(depth, "thread_allocations", thread.seen.core.allocations, &thread.run, "allocations");
	tell_one(depth, "process_syscalls", process.seen.host.syscalls, &process.run, "calls");
	tell_one(depth, "thread_syscalls", thread.seen.core.syscalls, &thread.run, "calls");
	tell_one(depth, "core_switches", process.seen.switches, &process.run, "switches");
	tell_one(depth, "core_syscalls", process.seen.core.syscalls, &process.run, "calls");
	tell_one(depth, "core_allocations", process.seen.core.allocations, &process.run, "allocations");
	tell_one(depth, "process_interrupts", process.run.interrupts, &process.run, "interrupts");
	tell_one(depth, "thread_interrupts", thread.run.interrupts, &thread.run, "interrupts");
	tell_one(depth, "process_kicks", process.run.kicks, &process.run, "kicks");
	tell_one(depth, "thread_kicks", thread.run.kicks, &thread.run, "kicks");
}

static void tell_ratio(struct places *places, struct place_disk *disks[static WHERES], bool direct, uint32_t depth)
{
	double ratios[NATIVE_ROUNDS], process = 0, thread = 0;
	const char *prefix = direct ? "" : "cached_";
	char name[64];

	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		process = rate(places, disks[WHERE_PROCESS], depth);
		thread = rate(places, disks[WHERE_THREAD], depth);
		thread += rate(places, disks[WHERE_THREAD], depth);
		process += rate(places, disks[WHERE_PROCESS], depth);
		if (round >= 0)
			ratios[round] = process / thread;
	}
	snprintf(name, sizeof(name), "%sdepth%" PRIu32 "_ratio", prefix, depth);
	native_ratio("X1", name, ratios);
	printf("X1 %sdepth%" PRIu32 "_process %.0f requests/s\n", prefix, depth, process / 2);
	printf("X1 %sdepth%" PRIu32 "_thread %.0f requests/s\n", prefix, depth, thread / 2);
}

static void tell(struct places *places, bool direct)
{
	static const uint32_t depths[] = { 1, 32 };
	struct place_disk *disks[WHERES] = { NULL };
	struct err err = ERR_NONE;
	int r = 0;

	for (size_t i = 0; r == 0 && i < WHERES; i++)
		r = place_disk_open(places, (enum where)i, FILE_NAME, direct, &disks[i], &err);
	if (r < 0 && !direct)
		give_up("no disk", err.text);
	if (r < 0)
		fprintf(stderr, "X1: nothing past the page cache: %s\n", err.text);
	/* What it took until here; a sanitizer has its own malloc. */
	if (r == 0 && (!calls_now().allocations || !places_host_calls().allocations))
		give_up("allocations", "they are not counted in this build");
	for (size_t i = 0; r == 0 && i < 2; i++) {
		if (direct)
			tell_counts(places, disks, depths[i]);
		tell_ratio(places, disks, direct, depths[i]);
	}
	for (size_t i = 0; i < WHERES; i++)
		place_disk_close(disks[i]);
}

static void run_alone(struct places *places, char **words, bool direct)
{
	enum where where = strcmp(words[0], "process") ? WHERE_THREAD : WHERE_PROCESS;
	struct job job = {
		.depth = (uint32_t)strtoul(words[1], NULL, 10),
		.requests = strtoul(words[2], NULL, 10),
	};
	struct err err = ERR_NONE;

	if (!job.depth || job.depth > BLK_DRIVER_DEPTH_MAX || !job.requests ||
	    (where == WHERE_THREAD && strcmp(words[0], "thread") != 0))
		give_up("usage", "native-x1 [process|thread DEPTH REQUESTS [direct]]");
	if (place_disk_open(places, where, FILE_NAME, direct, &job.disk, &err) < 0)
		give_up("no disk", err.text);
	run(places, &job);
	printf("%" PRIu64 " requests, %" PRIu64 " kicks, %" PRIu64 " interrupts, %" PRIu64 " + %" PRIu64
	       " system calls and %" PRIu64 " switches of others, %.0f requests/s\n",
	       job.run.requests, job.run.kicks, job.run.interrupts, job.seen.core.syscalls, job.seen.host.syscalls,
	       job.seen.switches, (double)job.run.requests * (double)NS_PER_S / (double)job.run.ns);
	place_disk_close(job.disk);
}

int main(int argc, char **argv)
{
	struct places *places = places_new();

	blk_file_make(FILE_NAME, FILE_BLOCKS);
	if (argc == 4 || (argc == 5 && !strcmp(argv[4], "direct"))) {
		run_alone(places, argv + 1, argc == 5);
	} else {
		tell(places, true);
		tell(places, false);
	}
	places_free(places);
	return 0;
}
