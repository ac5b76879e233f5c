/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * D2: what two CPUs that access devices get done, in times of what one does: on different devices, and on the same one.
 *
 *   different_devices, same_device     two vCPUs of a guest that loops, on this host's KVM; not given where it cannot
 *   different_syscall, same_syscall    two threads on the bus, with a system call per access in the place of KVM_RUN
 *   different_bare, same_bare          the same with nothing between two accesses, which no guest can do: the lock alone
 *   same_..._share                     what the slower of the two threads got on the same device, of one half
 *   same_..._futex                     system calls of the lock for a million accesses there
 * It takes two CPUs: with one, the ratios mean nothing, and it says so and measures nothing.
 */
#include "core/base/clock.h"
#include "tests/bench/guest_loops.h"
#include "tests/bench/native.h"
#include "tests/unit/dispatch_fixture.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS   2
#define SKIPPED   77
#define WINDOW_NS (150 * NS_PER_MS)

enum where { ONE, DIFFERENT, SAME, WHERES };

/* ---- the lock's system calls: syscall() is wrapped at link time ---- */

static atomic_ulong futex_calls;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

/* The lock gives six; reading more of them than a caller gave is harmless on x86-64. */
long __wrap_syscall(long number, ...)
{
	long arguments[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		arguments[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex)
		atomic_fetch_add_explicit(&futex_calls, 1, memory_order_relaxed);
	return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
			      arguments[5]);
}

/* ---- threads on the bus ---- */

static struct dispatch dispatch;
static bool with_syscall; /* changes while no thread runs */
static atomic_uint arrived;
static atomic_bool begin, stop;

struct runner {
	struct bus_reader reader;
	uint64_t address;
	size_t cpu;
	unsigned long accesses;
	pthread_t thread;
};

static void *runner_run(void *arg)
{
	struct runner *runner = arg;
	unsigned long accesses = 0;
	cpu_set_t cpu;
	uint64_t value;

	CPU_ZERO(&cpu);
	CPU_SET(runner->cpu, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	atomic_fetch_add(&arrived, 1);
	while (!atomic_load(&begin))
		sched_yield();
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		if (with_syscall)
			__real_syscall(SYS_getppid);
		bus_access(&runner->reader, BP_MMIO, runner->address, 4, false, &value);
		accesses++;
	}
	runner->accesses = accesses;
	return NULL;
}

/* What a run has shown. */
struct result {
	double rate;  /* accesses a second, of all threads */
	double share; /* of the slower thread, in times of its fair part */
	double futex; /* calls for a million accesses */
};

static struct result run_threads(enum where where, const size_t cpus[THREADS])
{
	static struct runner runners[THREADS];
	const struct timespec window = { .tv_nsec = WINDOW_NS };
	size_t count = where == ONE ? 1 : THREADS;
	unsigned long all = 0, least = ULONG_MAX, calls;
	uint64_t since;

	atomic_store(&arrived, 0);
	atomic_store(&begin, false);
	atomic_store(&stop, false);
	for (size_t i = 0; i < count; i++) {
		runners[i] = (struct runner){
			.address = dispatch_address(where == DIFFERENT ? i : 0),
			.cpu = cpus[i],
		};
		DISPATCH_MUST(bus_reader_add(dispatch.bus, &runners[i].reader) == 0);
		DISPATCH_MUST(pthread_create(&runners[i].thread, NULL, runner_run, &runners[i]) == 0);
	}
	while (atomic_load(&arrived) < count)
		sched_yield();
	calls = atomic_load(&futex_calls);
	since = clock_now_ns();
	atomic_store(&begin, true);
	nanosleep(&window, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < count; i++) {
		DISPATCH_MUST(pthread_join(runners[i].thread, NULL) == 0);
		bus_reader_remove(&runners[i].reader);
		all += runners[i].accesses;
		least = runners[i].accesses < least ? runners[i].accesses : least;
	}
	calls = atomic_load(&futex_calls) - calls;
	return (struct result){
		.rate = (double)all * (double)NS_PER_S / (double)(clock_now_ns() - since),
		.share = (double)least * (double)count / (double)all,
		.futex = (double)calls * 1e6 / (double)all,
	};
}

static void tell_threads(bool syscalls, const size_t cpus[THREADS], const char *name)
{
	static const enum where order[] = { ONE, DIFFERENT, SAME, SAME, DIFFERENT, ONE };
	double different[NATIVE_ROUNDS], same[NATIVE_ROUNDS], share[NATIVE_ROUNDS], futex[NATIVE_ROUNDS];
	char text[64];

	with_syscall = syscalls;
	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		struct result sums[WHERES] = { { 0 } };

		for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
			struct result result = run_threads(order[i], cpus);

			sums[order[i]].rate += result.rate;
			sums[order[i]].share += result.share / 2;
			sums[order[i]].futex += result.futex / 2;
		}
		if (round < 0)
			continue;
		different[round] = sums[DIFFERENT].rate / sums[ONE].rate;
		same[round] = sums[SAME].rate / sums[ONE].rate;
		share[round] = sums[SAME].share;
		futex[round] = sums[SAME].futex;
	}
	snprintf(text, sizeof(text), "different_%s", name);
	native_ratio("D2", text, different);
	snprintf(text, sizeof(text), "same_%s", name);
	native_ratio("D2", text, same);
	printf("D2 same_%s_share %.2f x\n", name, native_median(share));
	printf("D2 same_%s_futex %.0f calls\n", name, native_median(futex));
}

/* ---- vCPUs ---- */

static double guest_rate(enum where where, uint32_t accesses)
{
	const struct guest_loops loops = {
		.cpus = where == ONE ? 1 : 2,
		.same = where == SAME,
		.accesses = accesses,
	};
	struct err err;
	double rate;

	if (guest_loops_run(&loops, &rate, &err) < 0) {
		fprintf(stderr, "D2: %s\n", err.text);
		exit(1);
	}
	return rate;
}

static void tell_guests(void)
{
	double different[NATIVE_ROUNDS], same[NATIVE_ROUNDS];
	uint32_t accesses;
	struct err err;

	if (guest_loops_calibrate(&accesses, &err) < 0) {
		fprintf(stderr, "D2: nothing about vCPUs, since no payload runs here: %s\n", err.text);
		return;
	}
	for (int round = -1; round < NATIVE_ROUNDS; round++) {
		double one = guest_rate(ONE, accesses), two = guest_rate(DIFFERENT, accesses);
		double both = guest_rate(SAME, accesses);

		both += guest_rate(SAME, accesses);
		two += guest_rate(DIFFERENT, accesses);
		one += guest_rate(ONE, accesses);
		if (round < 0)
			continue;
		different[round] = two / one;
		same[round] = both / one;
	}
	native_ratio("D2", "different_devices", different);
	native_ratio("D2", "same_device", same);
}

int main(void)
{
	size_t cpus[THREADS], found = 0;
	cpu_set_t allowed;

	DISPATCH_MUST(sched_getaffinity(0, sizeof(allowed), &allowed) == 0);
	for (size_t i = 0; i < CPU_SETSIZE && found < THREADS; i++)
		if (CPU_ISSET(i, &allowed))
			cpus[found++] = i;
	if (found < THREADS) {
		fprintf(stderr, "there is one CPU only: two threads take turns on it, so a ratio would mean nothing\n");
		return SKIPPED;
	}
	dispatch_open(&dispatch, THREADS);
	tell_threads(false, cpus, "bare");
	tell_threads(true, cpus, "syscall");
	dispatch_close(&dispatch);
	tell_guests();
	return 0;
}
