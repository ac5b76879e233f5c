/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moments that connections wait for. There are three lengths of time, and a list for each: what is appended to one is later than all
 * that it has, so that it is in order, and one timer for the first of each is enough. The timer is not set anew when the moment that it is
 * set to is no longer waited for: it finds nothing to do then, once.
 */
#include "vsock.h"

static struct deadline *first(const struct timeline *timeline)
{
	if (list_empty(&timeline->list))
		return NULL;
	return (struct deadline *)(void *)((char *)timeline->list.next - offsetof(struct deadline, node));
}

void deadline_start(struct vsock *vsock, struct timeline *timeline, struct deadline *deadline)
{
	list_remove(&deadline->node);
	deadline->at_ns = bp_clock_ns(vsock->dev) + timeline->period_ns;
	list_append(&timeline->list, &deadline->node);
}

void deadline_arm(struct vsock *vsock)
{
	const struct timeline *const timelines[] = { &vsock->limits, &vsock->retries, &vsock->asks };
	uint64_t next = vsock->listen_at_ns;

	for (size_t i = 0; i < sizeof(timelines) / sizeof(timelines[0]); i++) {
		const struct deadline *deadline = first(timelines[i]);

		if (deadline && (!next || deadline->at_ns < next))
			next = deadline->at_ns;
	}
	if (!next || (vsock->deadline_ns && vsock->deadline_ns <= next))
		return;
	vsock->deadline_ns = next;
	bp_timer_set(vsock->dev, vsock->deadline_timer, next);
}

/* The first of a timeline, which no longer waits; NULL if it is not due yet. */
static struct deadline *due(struct timeline *timeline, uint64_t now)
{
	struct deadline *deadline = first(timeline);

	if (!deadline || deadline->at_ns > now)
		return NULL;
	list_remove(&deadline->node);
	return deadline;
}

static void on_deadline(void *arg, uint32_t timer)
{
	struct vsock *vsock = arg;
	uint64_t now = bp_clock_ns(vsock->dev);
	struct deadline *deadline;

	(void)timer;
	vsock->deadline_ns = 0;
	while ((deadline = due(&vsock->limits, now)))
		conn_expired(CONN_OF(deadline, limit));
	while ((deadline = due(&vsock->retries, now)))
		host_ask(CONN_OF(deadline, pause));
	while ((deadline = due(&vsock->asks, now)))
		conn_want(CONN_OF(deadline, pause), WANT_ROOM);
	if (vsock->listen_at_ns && vsock->listen_at_ns <= now)
		host_listen_again(vsock);
	vsock_work(vsock);
}

static void timeline_init(struct timeline *timeline, uint64_t period_ns)
{
	list_init(&timeline->list);
	timeline->period_ns = period_ns;
}

int deadline_init(struct vsock *vsock)
{
	int r = bp_timer_add(vsock->dev, on_deadline, vsock, &vsock->deadline_timer);

	timeline_init(&vsock->limits, LIMIT_NS);
	timeline_init(&vsock->retries, RETRY_NS);
	timeline_init(&vsock->asks, ASK_NS);
	return r < 0 ? r : bp_timer_add(vsock->dev, rx_turn, vsock, &vsock->turn_timer);
}
