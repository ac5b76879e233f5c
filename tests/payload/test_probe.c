/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The probe's judgement (core/machine/probe.h), by guests of a few bytes that do what a KVM that lacks something would make of
 * the real one: which stage is named, that a hung guest is ended, that nothing is left.
 */
#include "core/base/clock.h"
#include "core/machine/arch/x86_64/probe_guest.h"
#include "core/machine/probe.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Nothing takes that long: it only ends a guest that should have ended by itself. */
#define GENEROUS_MS  30000

#define LOW_HIGH(n)  (n) & 0xff, (n) >> 8 & 0xff, (n) >> 16 & 0xff, (n) >> 24 & 0xff
#define REPORT(n)    0xb8, LOW_HIGH(n), 0xe7, PROBE_GUEST_PORT /* mov $n, %eax; out %eax, $port */
#define STORE(at, v) 0xbf, LOW_HIGH(at), 0xc6, 0x07, (v)       /* mov $at, %edi; movb $v, (%rdi) */
#define POWER_OFF    STORE(PROBE_GUEST_POWER, PROBE_GUEST_POWER_OFF)
#define RESET        STORE(PROBE_GUEST_POWER + 2, 0x42)
#define SPIN         0xeb, 0xfe
#define UNDEFINED    0x0f, 0x0b

static size_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void run(const uint8_t *code, size_t bytes, int limit_ms, enum probe_stage stage, int error, const char *text)
{
	size_t fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
	enum probe_stage seen = PROBE_END;
	struct err err = ERR_NONE;

	assert_int_equal(probe_run(code, bytes, limit_ms, &seen, &err), error);
	assert_string_equal(err.text, text);
	assert_int_equal(seen, stage);
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(count_entries("/proc/self/task"), threads);
}

#define RUN(limit_ms, stage, error, text, ...)                         \
	do {                                                           \
		static const uint8_t code[] = { __VA_ARGS__ };         \
		run(code, sizeof(code), limit_ms, stage, error, text); \
	} while (0)

static void reaches_the_end(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_END, 0, "", REPORT(PROBE_GUEST_END), POWER_OFF);
}

static void wrong_result(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_PAGING, -EIO, "stage 3 of 7 (a change of page tables): a wrong result",
	    REPORT(PROBE_GUEST_SSE), REPORT(PROBE_GUEST_PAGING), REPORT(PROBE_GUEST_WRONG), POWER_OFF);
}

static void exception(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_CMPXCHG16B, -EIO, "stage 2 of 7 (cmpxchg16b): exception 6",
	    REPORT(PROBE_GUEST_CMPXCHG16B), REPORT(PROBE_GUEST_FAULT + 6), POWER_OFF);
}

static void triple_fault(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_IPI, -EIO,
	    "stage 4 of 7 (an interrupt that the CPU sends to itself): vCPU 0: triple fault in the guest",
	    REPORT(PROBE_GUEST_IPI), UNDEFINED);
}

static void reset(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_TIMER, -EIO,
	    "stage 5 of 7 (an interrupt by the local APIC's timer): the guest reset itself", REPORT(PROBE_GUEST_TIMER),
	    RESET, SPIN);
}

static void early_end(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_SMP, -EIO, "stage 6 of 7 (the start of a second CPU): the guest ended too early",
	    REPORT(PROBE_GUEST_SMP), POWER_OFF, SPIN);
}

static void never_begins(void **state)
{
	(void)state;
	RUN(GENEROUS_MS, PROBE_START, -EIO, "stage 0 of 7 (the first instructions): vCPU 0: triple fault in the guest",
	    UNDEFINED);
}

static void hangs(void **state)
{
	uint64_t start_ns = clock_now_ns();

	(void)state;
	RUN(1000, PROBE_SSE, -ETIMEDOUT, "stage 1 of 7 (SSE): no end within 1 s", REPORT(PROBE_GUEST_SSE), SPIN);
	assert_true(clock_now_ns() - start_ns >= 900 * NS_PER_MS);
	assert_true(clock_now_ns() - start_ns < GENEROUS_MS * NS_PER_MS);
}

static void does_not_fit(void **state)
{
	static const uint8_t code[PROBE_GUEST_MEMORY];

	(void)state;
	run(code, sizeof(code), GENEROUS_MS, PROBE_START, -EFAULT, "no RAM for 2097152 bytes of code at 0x10000");
}

/* The real one, wherever this runs: it comes to its end, or names where it did not. */
static void real_guest(void **state)
{
	enum probe_stage stage = PROBE_START;
	struct err err = ERR_NONE;

	(void)state;
	if (machine_probe(&stage, &err) == 0) {
		assert_int_equal(stage, PROBE_END);
		return;
	}
	assert_int_not_equal(stage, PROBE_START);
	assert_memory_equal(err.text, "stage ", strlen("stage "));
	assert_non_null(strstr(err.text, probe_stage_name(stage)));
}

static int limit(void **state)
{
	(void)state;
	/* If KVM itself hangs. */
	alarm(3 * GENEROUS_MS / 1000);
	return 0;
}

#define CASE(name) cmocka_unit_test_setup(name, limit)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(reaches_the_end), CASE(wrong_result), CASE(exception), CASE(triple_fault), CASE(reset),
		CASE(early_end),       CASE(never_begins), CASE(hangs),     CASE(does_not_fit), CASE(real_guest),
	};

	return cmocka_run_group_tests_name("payload probe", tests, NULL, NULL);
}
