/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest whose second vCPU rewrites rings, descriptors and indirect tables while the device works on them. Whatever it writes, each
 * chain that comes out lies in RAM, is no longer than may be, and can be read and written to its end; this is looked at for each one,
 * and a sanitizer looks at the rest. BP_RACE_SECONDS makes it last longer than a moment.
 */
#include "tests/unit/queue_fixture.h"

#include "core/base/clock.h"

#include <signal.h>
#include <sys/wait.h>

uint32_t virtqueue_unchecked;

#define SIZE   16u
#define ROUNDS 20000u /* of the device, and as many of the other thread, without BP_RACE_SECONDS */

static struct queue_fixture fixture;
static atomic_bool stop;
static _Atomic(uint64_t) writes;

/* ---- the guest's second vCPU ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static const uint64_t addresses[] = {
	RING_DATA,       RING_DATA + 0x1000, RING_RAM_NEXT - 8, RING_HOLE - 8,  RING_HOLE,
	RING_RAM_FAR,    RING_TABLE,         RING_TABLE + 0x40, RING_TABLE + 4, 0,
	UINT64_MAX - 15, RING_DATA + 3,
};
static const uint32_t lengths[] = { 0, 1, 15, 16, 32, 64, 128, 256, 4096, UINT32_MAX, 0x80000000u, 48 };

/* For place `index` of a table. Most of what it writes is right, so that the device comes far: buffers to read stand in the lower half of
 * a table, and chains lead upwards. */
static struct ring_desc any_desc(uint64_t *random, uint32_t index)
{
	uint64_t bits = next_random(random), more = next_random(random);

	if (!(bits & 63))
		return (struct ring_desc){
			.addr = addresses[more % COUNT_OF(addresses)],
			.len = lengths[(more >> 16) % COUNT_OF(lengths)],
			.flags = (uint16_t)(more >> 32 & 7),
			.next = (uint16_t)((more >> 40) % (2 * SIZE)),
		};
	if (!(bits >> 8 & 15))
		return (struct ring_desc){ .addr = RING_TABLE, .len = SIZE * 16, .flags = RING_F_INDIRECT };
	return (struct ring_desc){
		.addr = RING_DATA + (more & 0xfff0),
		.len = (uint32_t)(more >> 16 & 0xff),
		.flags = (uint16_t)((index >= SIZE / 2 ? RING_F_WRITE : 0) |
				    (index + 1 < SIZE && (more >> 24 & 1) ? RING_F_NEXT : 0)),
		.next = (uint16_t)(index + 1 + (more >> 32) % SIZE / 2),
	};
}

/* Word by word, as a vCPU would: the device sees halves of old and new ones. */
static void put_desc(uint64_t gpa, const struct ring_desc *desc)
{
	uint64_t words[2], *at = ring_at(&fixture.driver, gpa);

	memcpy(words, desc, sizeof(words));
	__atomic_store_n(at, words[0], __ATOMIC_RELAXED);
	__atomic_store_n(at + 1, words[1], __ATOMIC_RELAXED);
}

static void *rewrite(void *arg)
{
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)arg;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint64_t bits = next_random(&random);
		uint32_t index = bits % SIZE, entry = bits >> 8 & 15, slot = bits >> 16 & (SIZE - 1);
		struct ring_desc desc = any_desc(&random, index);

		put_desc(RING_DESC + 16 * index, &desc);
		desc = any_desc(&random, entry);
		put_desc(RING_TABLE + 16 * entry, &desc);
		atomic_fetch_add_explicit(&writes, 1, memory_order_relaxed);
		/* Each head in its own place, now and then another one, or none at all. */
		ring_put16(&fixture.driver, RING_AVAIL + 4 + 2 * slot,
			   (uint16_t)(bits >> 40 & 63 ? slot : (bits >> 24) % (SIZE + 1)));
		if (bits >> 48 & 1)
			ring_set_used_event(&fixture.driver, (uint16_t)(bits >> 50));
	}
	return NULL;
}

/* ---- the device ---- */

static void inside(const struct iovec *iov)
{
	const uint8_t *base = iov->iov_base;

	for (size_t i = 0; i < fixture.driver.mem.count; i++) {
		const struct gmem_region *region = &fixture.driver.mem.regions[i];

		if (base >= region->host && base < region->host + region->bytes) {
			MUST(iov->iov_len <= (size_t)(region->host + region->bytes - base));
			return;
		}
	}
	MUST(false); /* a piece is outside of memory */
}

static void use_chain(struct chain *chain, bool have[SIZE])
{
	static uint8_t buffer[4096];
	uint64_t read = 0, write = 0;
	size_t got;

	MUST(chain->index < SIZE && !have[chain->index]);
	MUST(chain->iov_count <= fixture.block->iov_max);
	for (uint32_t i = 0; i < chain->iov_count; i++) {
		inside(&chain->iov[i]);
		MUST(chain->iov[i].iov_len);
		if (i < chain->read.end)
			read += chain->iov[i].iov_len;
		else
			write += chain->iov[i].iov_len;
	}
	MUST(read == chain->read.left && write == chain->write.left && read + write <= UINT64_C(1) << 32);
	for (got = sizeof(buffer); got == sizeof(buffer) && read < 0x40000;)
		got = chain_read(chain, buffer, sizeof(buffer));
	/* Not what the other thread writes, or it would have nothing to race with. */
	if (write)
		chain_skip(chain, BP_CHAIN_WRITE, write);
}

struct counts {
	uint64_t rounds, chains, broken;
};

static struct counts run_device(uint64_t rounds, uint64_t ns)
{
	const struct virtqueue_spec spec = queue_spec(&fixture, VIRTQUEUE_FEATURES);
	uint64_t end = clock_now_ns() + ns;
	struct counts counts = { 0 };

	while (ns ? clock_now_ns() < end : counts.rounds < rounds || atomic_load(&writes) < rounds) {
		struct chain *kept[SIZE], *chain;
		bool have[SIZE] = { false };
		size_t keeps = 0;

		MUST(virtqueue_open(&fixture.queue, &spec) == 0);
		/* The index goes on as it should, most of the time. */
		for (uint16_t idx = SIZE; !fixture.queue.broken && idx < 64 * SIZE; idx = (uint16_t)(idx + SIZE)) {
			ring_put16(&fixture.driver, RING_AVAIL + 2, idx);
			while ((chain = virtqueue_pop(&fixture.queue))) {
				use_chain(chain, have);
				counts.chains++;
				have[chain->index] = true;
				kept[keeps++] = chain;
				/* They come back in another order, and some of them later. */
				if (keeps < SIZE / 2)
					continue;
				size_t which = chain->index % keeps;

				chain = kept[which];
				kept[which] = kept[--keeps];
				have[chain->index] = false;
				virtqueue_push(&fixture.queue, chain);
			}
			virtqueue_publish(&fixture.queue);
			virtqueue_arm(&fixture.queue);
		}
		while (keeps)
			virtqueue_push(&fixture.queue, kept[--keeps]);
		MUST(fixture.block->in_use == 0);
		counts.broken += fixture.queue.broken != NULL;
		counts.rounds++;
	}
	return counts;
}

static struct counts race(uint64_t rounds, uint64_t ns)
{
	struct counts counts;
	pthread_t thread;

	queue_init(&fixture, SIZE, VIRTQUEUE_FEATURES);
	atomic_store(&stop, false);
	atomic_store(&writes, 0);
	MUST(pthread_create(&thread, NULL, rewrite, NULL) == 0);
	counts = run_device(rounds, ns);
	atomic_store(&stop, true);
	MUST(thread_join(thread));
	queue_end(&fixture);
	return counts;
}

static void rewriting_finds_nothing(void **state)
{
	const char *seconds = getenv("BP_RACE_SECONDS");
	struct counts counts = race(ROUNDS, seconds ? strtoull(seconds, NULL, 10) * NS_PER_S : 0);

	(void)state;
	print_message("%llu lives, %llu chains, %llu broken\n", (unsigned long long)counts.rounds,
		      (unsigned long long)counts.chains, (unsigned long long)counts.broken);
	/* Both ends were reached, often. */
	assert_true(counts.chains > counts.rounds / 100 + 10);
	assert_true(counts.broken > counts.rounds / 100 + 10);
}

/* With a check left out the same race finds something. */
static void a_missing_check_is_found(void **state)
{
	static const enum virtqueue_rule rules[] = { VIRTQUEUE_HEAD_RANGE, VIRTQUEUE_HEAD_IN_FLIGHT, VIRTQUEUE_ORDER,
						     VIRTQUEUE_INDIRECT_RAM };
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rules); i++) {
		pid_t child = fork();
		int status;

		MUST(child >= 0);
		if (!child) {
			dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
			for (size_t j = 0; j < COUNT_OF(signals); j++)
				signal(signals[j], SIG_DFL);
			virtqueue_unchecked = 1u << rules[i];
			race(0, PATIENCE_S * NS_PER_S);
			_exit(0);
		}
		MUST(waitpid(child, &status, 0) == child);
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			fail_msg("nothing was found without the check that %s", virtqueue_rule_text(rules[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rewriting_finds_nothing),
		cmocka_unit_test(a_missing_check_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
