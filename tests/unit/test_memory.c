/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest's memory as the host sees it: prefaulting and what it shows on a terminal, clearing, and huge
 * pages that are missing. */
#include "core/base/clock.h"
#include "core/base/progress.h"
#include "core/machine/memory.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>

#define PAGE UINT64_C(4096)
#define MIB  (UINT64_C(1) << 20)

/* How many pages of the first region are in memory. */
static uint64_t resident(const struct memory *memory)
{
	const struct gmem_region *region = &memory->map.regions[0];
	uint64_t pages = region->bytes / PAGE, count = 0;
	unsigned char *in_core = malloc(pages);

	MUST(in_core && mincore(region->host, region->bytes, in_core) == 0);
	for (uint64_t i = 0; i < pages; i++)
		count += in_core[i] & 1;
	free(in_core);
	return count;
}

static void prefault_takes_all(void **state)
{
	struct memory_spec spec = { .bytes = 40 * MIB + PAGE };
	struct memory memory;
	struct err err;

	(void)state;
	assert_int_equal(memory_create(&memory, &spec, &err), 0);
	assert_int_equal(resident(&memory), 0);
	memory_destroy(&memory);
	spec.prefault = true;
	assert_int_equal(memory_create(&memory, &spec, &err), 0);
	assert_int_equal(resident(&memory), spec.bytes / PAGE);
	assert_int_equal(memory.map.regions[0].host[12345], 0);
	memory_destroy(&memory);
}

/* A hint takes whole huge pages of what is about to be written; where the host has none, the first small one of each. */
static void what_is_expected_is_taken_in_huge_pages(void **state)
{
	const struct memory_spec spec = { .bytes = 32 * MIB };
	uint64_t huge = MEMORY_HUGE_BYTES / PAGE, taken;
	struct memory memory;
	struct err err;

	(void)state;
	assert_int_equal(memory_create(&memory, &spec, &err), 0);
	assert_int_equal((uintptr_t)memory.map.regions[0].host % MEMORY_HUGE_BYTES, 0);
	/* Less than one, wherever it lies; what is not RAM; nothing. */
	gmem_expect(&memory.map, 4 * MIB + PAGE, 2 * MIB);
	gmem_expect(&memory.map, 4 * MIB, 2 * MIB - PAGE);
	gmem_expect(&memory.map, 31 * MIB, 4 * MIB);
	gmem_expect(&memory.map, UINT64_MAX - MIB, 4 * MIB);
	gmem_expect(&memory.map, 4 * MIB, 0);
	assert_int_equal(resident(&memory), 0);
	/* Two of them, and a bit at both ends. */
	gmem_expect(&memory.map, 8 * MIB - PAGE, 4 * MIB + 2 * PAGE);
	taken = resident(&memory);
	print_message("%" PRIu64 " pages are taken, of %" PRIu64 " or 2\n", taken, 2 * huge);
	assert_true(taken == 2 || taken == 2 * huge);
	for (uint64_t i = 0; i < 4 * MIB; i += PAGE)
		assert_int_equal(memory.map.regions[0].host[8 * MIB + i], 0);
	memory_destroy(&memory);
}

static void prefault_can_be_ended(void **state)
{
	const struct memory_spec spec = { .bytes = 64 * MIB, .prefault = true };
	size_t fds = count_fds();
	struct memory memory;
	sigset_t signals;
	struct err err;

	(void)state;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &signals, NULL), 0);
	raise(SIGTERM);
	assert_int_equal(memory_create(&memory, &spec, &err), -EINTR);
	assert_non_null(strstr(err.text, "only 0 of 64 MiB: Interrupted"));
	assert_int_equal(count_fds(), fds);
	assert_int_equal(sigwaitinfo(&signals, NULL), SIGTERM);
	assert_int_equal(sigprocmask(SIG_UNBLOCK, &signals, NULL), 0);
}

/* ---- another guest ---- */

/* Nothing of the old guest is left, nothing is taken from the host before it is used, and the addresses are the same. */
static void clearing_gives_zeroes(void **state)
{
	const struct memory_spec spec = { .bytes = 40 * MIB + PAGE };
	struct memory memory;
	struct gmem before;
	struct err err;

	(void)state;
	assert_int_equal(memory_create(&memory, &spec, &err), 0);
	before = memory.map;
	memset(memory.map.regions[0].host, 0xa5, spec.bytes);
	assert_int_equal(memory_clear(&memory, &err), 0);
	assert_memory_equal(&before, &memory.map, sizeof(before));
	assert_int_equal(resident(&memory), 0);
	for (uint64_t i = 0; i < spec.bytes; i += 64)
		assert_int_equal(memory.map.regions[0].host[i], 0);
	memory_destroy(&memory);
}

static void clearing_prefaults_again(void **state)
{
	const struct memory_spec spec = { .bytes = 40 * MIB, .prefault = true };
	struct memory memory;
	struct err err;

	(void)state;
	assert_int_equal(memory_create(&memory, &spec, &err), 0);
	memset(memory.map.regions[0].host, 0xa5, spec.bytes);
	assert_int_equal(memory_clear(&memory, &err), 0);
	assert_int_equal(resident(&memory), spec.bytes / PAGE);
	assert_int_equal(memory.map.regions[0].host[12345], 0);
	memory_destroy(&memory);
}

/* ---- progress ---- */

/* Runs something with standard error on a terminal. What has been written there. */
static const char *on_terminal(void (*run)(void))
{
	static char text[65536];
	int saved = dup(STDERR_FILENO);
	int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	size_t used = 0;
	ssize_t got;
	int theirs;

	MUST(saved >= 0 && ours >= 0 && grantpt(ours) == 0 && unlockpt(ours) == 0);
	theirs = open(ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(theirs >= 0 && dup2(theirs, STDERR_FILENO) == STDERR_FILENO);
	run();
	dup2(saved, STDERR_FILENO);
	while ((got = read(ours, text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = 0;
	close(saved);
	close(theirs);
	close(ours);
	return text;
}

static void prefault_64m(void)
{
	const struct memory_spec spec = { .bytes = 64 * MIB, .prefault = true };
	struct memory memory;
	struct err err;

	MUST(memory_create(&memory, &spec, &err) == 0);
	memory_destroy(&memory);
}

static uint64_t run_ns;

/* Far more updates than may be shown. */
static void count_up(void)
{
	uint64_t start_ns = clock_now_ns();
	struct progress progress;

	progress_begin(&progress, "counting", 3000);
	for (uint64_t i = 0; i < 3000; i++) {
		progress_update(&progress, i);
		poll(NULL, 0, i % 10 ? 0 : 1);
	}
	progress_end(&progress);
	run_ns = clock_now_ns() - start_ns;
}

static void progress_on_terminal(void **state)
{
	const char *text = on_terminal(prefault_64m);
	const char *erase = "\r\033[K";
	size_t length = strlen(text), draws;

	(void)state;
	assert_non_null(strstr(text, "backplane: taking 64 MiB of memory: 0 %"));
	assert_null(strchr(text, '\n'));
	assert_true(length > strlen(erase));
	assert_string_equal(text + length - strlen(erase), erase);

	draws = count_of_text(on_terminal(count_up), "backplane: counting: ");
	assert_true(draws >= 2);
	assert_true(draws <= 1 + run_ns / (100 * NS_PER_MS));
}

static void progress_elsewhere(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_DEBUG);
	prefault_64m();
	assert_string_equal(log_caught(), "");
	log_release();
	log_set_level(LOG_LEVEL_ERROR);
	assert_string_equal(on_terminal(prefault_64m), "");
	log_set_level(LOG_LEVEL_WARN);
}

/* ---- huge pages ---- */

static void huge_pages_missing(void **state)
{
	/* More than any host has. */
	const struct memory_spec spec = { .bytes = UINT64_C(1) << 50, .hugepages = true };
	struct memory_spec odd = { .bytes = 33 * MIB, .hugepages = true };
	uint64_t missing, needed, idle, total;
	struct err err;
	int r;

	(void)state;
	r = memory_check_hugepages(&spec, &err);
	if (r == -ENODEV) {
		assert_string_equal(err.text, "this host's kernel has no huge pages of 2 MiB");
		return;
	}
	assert_int_equal(r, -ENOMEM);
	/* NOLINTNEXTLINE(cert-err34-c): the numbers are our own */
	assert_int_equal(sscanf(err.text,
				"%" SCNu64 " huge pages of 2 MiB are missing: %" SCNu64 " are needed, %" SCNu64
				" are free; as root: echo %" SCNu64
				" >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
				&missing, &needed, &idle, &total),
			 4);
	assert_int_equal(needed, spec.bytes / (2 * MIB));
	assert_int_equal(missing + idle, needed);
	assert_true(total >= missing);
	assert_int_equal(memory_check(&odd, &err), -EINVAL);
	assert_string_equal(err.text, "it is not a multiple of 2M, the size of a huge page");
	odd.hugepages = false;
	assert_int_equal(memory_check(&odd, &err), 0);
	assert_int_equal(memory_check_hugepages(&odd, &err), 0);
}

/* Mapping fails with the same words, when pages are gone between the check and then; and it works where there are some. */
static void huge_pages_made(void **state)
{
	struct memory_spec spec = { .bytes = 4 * MIB, .hugepages = true, .prefault = true };
	size_t fds = count_fds();
	struct memory memory;
	struct err err;

	(void)state;
	if (memory_check_hugepages(&spec, &err) == 0) {
		assert_int_equal(memory_create(&memory, &spec, &err), 0);
		memory.map.regions[0].host[4 * MIB - 1] = 1;
		memory_destroy(&memory);
	}
	spec.bytes = UINT64_C(1) << 40;
	assert_true(memory_create(&memory, &spec, &err) < 0);
	if (memory_check_hugepages(&spec, &err) == -ENOMEM)
		assert_non_null(strstr(err.text, "huge pages of 2 MiB are missing"));
	assert_int_equal(count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_expected_is_taken_in_huge_pages),
		cmocka_unit_test(prefault_takes_all),
		cmocka_unit_test(prefault_can_be_ended),
		cmocka_unit_test(clearing_gives_zeroes),
		cmocka_unit_test(clearing_prefaults_again),
		cmocka_unit_test(progress_on_terminal),
		cmocka_unit_test(progress_elsewhere),
		cmocka_unit_test(huge_pages_missing),
		cmocka_unit_test(huge_pages_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
