/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interrupt status of a virtio device: no event is lost, in any order of the steps of who raises and who handles; and with
 * real threads. A device that signals before it sets the bit, and a transport that clears too much, are seen to lose events.
 */
#include "core/base/virtio_isr.h"

#include "tests/unit/support.h"

#include <poll.h>

/* ---- every order ---- */

/* Two devices' threads, or two queues of one: one raises for used buffers, one for changes of the config space, a few times
 * each. Every round is: publish, set the bit, signal. */
#define RAISERS 2
#define ROUNDS  3
#define STEPS   3

enum raiser_step { PUBLISH, SET, SIGNAL };
enum handler_step { IDLE, READ, ACK, LOOK };

struct world {
	uint32_t word;
	unsigned int published[RAISERS];
	unsigned int raiser_steps[RAISERS]; /* done */
	bool edge;                          /* pending in the interrupt controller, which keeps one */
	enum handler_step handler;          /* the next step */
	uint32_t status;                    /* what it read */
	unsigned int seen[RAISERS];
};

static const enum raiser_step right_order[STEPS] = { PUBLISH, SET, SIGNAL };
static const enum raiser_step signal_first[STEPS] = { PUBLISH, SIGNAL, SET };

struct search {
	const enum raiser_step *order;
	bool clear_all; /* the transport forgets which bits were read */
	unsigned long states;
	unsigned long ends;
	unsigned long losses;
	bool visited[1u << 19];
};

static void set_word(struct virtio_isr *isr, uint32_t word)
{
	virtio_isr_clear(isr);
	virtio_isr_raise(isr, word, -1);
}

static void raiser_does(const struct search *search, struct world *world, unsigned int raiser)
{
	struct virtio_isr isr;

	switch (search->order[world->raiser_steps[raiser]++ % STEPS]) {
	case PUBLISH:
		world->published[raiser]++;
		return;
	case SET:
		set_word(&isr, world->word);
		virtio_isr_raise(&isr, raiser ? VIRTIO_ISR_CONFIG : VIRTIO_ISR_USED, -1);
		world->word = virtio_isr_read(&isr);
		return;
	default:
		world->edge = true;
	}
}

/* What Linux does: it reads, acknowledges what it read, looks at what the bits tell of; nothing if there are none. */
static void handler_does(const struct search *search, struct world *world)
{
	struct virtio_isr isr;

	set_word(&isr, world->word);
	switch (world->handler) {
	case IDLE:
		world->edge = false;
		world->handler = READ;
		return;
	case READ:
		world->status = virtio_isr_read(&isr);
		world->handler = world->status ? ACK : IDLE;
		return;
	case ACK:
		virtio_isr_ack(&isr, search->clear_all ? VIRTIO_ISR_ALL : world->status);
		world->word = virtio_isr_read(&isr);
		world->handler = LOOK;
		return;
	default:
		for (unsigned int i = 0; i < RAISERS; i++)
			if (world->status & (i ? VIRTIO_ISR_CONFIG : VIRTIO_ISR_USED))
				world->seen[i] = world->published[i];
		world->handler = IDLE;
	}
}

/* All that tells one state from another; what is published follows from the steps that have been done. */
static bool visit(struct search *search, const struct world *world)
{
	const uint32_t parts[][2] = {
		{ world->word, 2 },    { world->raiser_steps[0], 4 }, { world->raiser_steps[1], 4 },
		{ world->edge, 1 },    { world->handler, 2 },         { world->status, 2 },
		{ world->seen[0], 2 }, { world->seen[1], 2 },
	};
	uint32_t key = 0;

	for (size_t i = 0; i < COUNT_OF(parts); i++)
		key = key << parts[i][1] | parts[i][0];
	if (search->visited[key])
		return false;
	search->visited[key] = true;
	search->states++;
	return true;
}

static void explore(struct search *search, const struct world *world)
{
	bool end = true;

	if (!visit(search, world))
		return;
	for (unsigned int i = 0; i < RAISERS; i++)
		if (world->raiser_steps[i] < ROUNDS * STEPS) {
			struct world next = *world;

			raiser_does(search, &next, i);
			explore(search, &next);
			end = false;
		}
	if (world->handler != IDLE || world->edge) {
		struct world next = *world;

		handler_does(search, &next);
		explore(search, &next);
		end = false;
	}
	if (!end)
		return;
	search->ends++;
	for (unsigned int i = 0; i < RAISERS; i++)
		search->losses += world->seen[i] != world->published[i];
}

static const struct search *explored(const enum raiser_step *order, bool clear_all)
{
	static struct search search;
	const struct world world = { .handler = IDLE };

	memset(&search, 0, sizeof(search));
	search.order = order;
	search.clear_all = clear_all;
	explore(&search, &world);
	return &search;
}

static void no_order_loses_an_event(void **state)
{
	const struct search *search = explored(right_order, false);

	(void)state;
	/* Each round of one raiser can meet each step of the handler and of the other. */
	assert_true(search->states > ROUNDS * STEPS * ROUNDS * STEPS * 4);
	assert_true(search->ends > 0);
	assert_int_equal(search->losses, 0);
}

static void a_signal_before_the_bit_loses_events(void **state)
{
	(void)state;
	assert_true(explored(signal_first, false)->losses > 0);
}

static void clearing_more_than_was_read_loses_events(void **state)
{
	(void)state;
	assert_true(explored(right_order, true)->losses > 0);
}

/* ---- threads ---- */

#define EVENTS 20000

struct line {
	struct virtio_isr isr;
	int call_fd;
	_Atomic(uint64_t) published[RAISERS];
	_Atomic(uint64_t) seen[RAISERS];
	atomic_bool end;
};

struct raiser {
	struct line *line;
	unsigned int number;
	bool lost;
};

/* Raises in bursts, and waits now and then until everything has been seen: that never ends if an event was lost. */
static void *raise_events(void *arg)
{
	struct raiser *raiser = arg;
	struct line *line = raiser->line;
	unsigned int seed = raiser->number;

	for (uint64_t i = 1; i <= EVENTS && !raiser->lost; i++) {
		time_t end = time(NULL) + PATIENCE_S;

		atomic_store_explicit(&line->published[raiser->number], i, memory_order_relaxed);
		virtio_isr_raise(&line->isr, raiser->number ? VIRTIO_ISR_CONFIG : VIRTIO_ISR_USED, line->call_fd);
		if (rand_r(&seed) % 4 && i != EVENTS)
			continue;
		while (atomic_load(&line->seen[raiser->number]) != i && !raiser->lost)
			raiser->lost = time(NULL) > end;
	}
	return NULL;
}

static void *handle_events(void *arg)
{
	struct line *line = arg;
	struct pollfd poll_fd = { .fd = line->call_fd, .events = POLLIN };

	for (;;) {
		uint32_t status;

		MUST(poll(&poll_fd, 1, PATIENCE_S * 1000) == 1);
		fd_event_clear(line->call_fd);
		if (atomic_load(&line->end))
			return NULL;
		status = virtio_isr_read(&line->isr);
		virtio_isr_ack(&line->isr, status);
		for (unsigned int i = 0; i < RAISERS; i++)
			if (status & (i ? VIRTIO_ISR_CONFIG : VIRTIO_ISR_USED))
				atomic_store(&line->seen[i],
					     atomic_load_explicit(&line->published[i], memory_order_relaxed));
	}
}

static void no_event_is_lost_between_threads(void **state)
{
	struct line line = { .call_fd = fd_event() };
	struct raiser raisers[RAISERS];
	pthread_t threads[RAISERS], handler;

	(void)state;
	assert_true(line.call_fd >= 0);
	assert_int_equal(pthread_create(&handler, NULL, handle_events, &line), 0);
	for (unsigned int i = 0; i < RAISERS; i++) {
		raisers[i] = (struct raiser){ .line = &line, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, raise_events, &raisers[i]), 0);
	}
	for (unsigned int i = 0; i < RAISERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	atomic_store(&line.end, true);
	fd_event_signal(line.call_fd);
	assert_true(thread_join(handler));
	fd_close(line.call_fd);
	for (unsigned int i = 0; i < RAISERS; i++) {
		assert_false(raisers[i].lost);
		assert_int_equal(line.seen[i], EVENTS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_order_loses_an_event),
		cmocka_unit_test(a_signal_before_the_bit_loses_events),
		cmocka_unit_test(clearing_more_than_was_read_loses_events),
		cmocka_unit_test(no_event_is_lost_between_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
