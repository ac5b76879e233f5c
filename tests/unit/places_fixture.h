/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the test of thread tags: every place that a plugin's code can be in, and a call that is made there. The device that makes
 * it has in `tools` what the called functions work on.
 */
#ifndef UNIT_PLACES_FIXTURE_H
#define UNIT_PLACES_FIXTURE_H

#include "tests/unit/device_fixture.h"

/* Places. */
#define MAIN_CREATE (1u << 0)
#define MAIN_START  (1u << 1)
#define MAIN_STOP   (1u << 2)
#define DEV_ACCESS  (1u << 3)
#define DEV_RESET   (1u << 4)
#define DEV_TIMER   (1u << 5)
#define DEV_FD      (1u << 6)
#define OWN_THREAD  (1u << 7)  /* while the device runs */
#define NEW_THREAD  (1u << 8)  /* made and joined in create */
#define OTHER_DEV   (1u << 9)  /* another device's access */
#define OTHER_MAIN  (1u << 10) /* another device's start */
#define PLACES      11

#define MAIN        (MAIN_CREATE | MAIN_START | MAIN_STOP)
#define DEV         (DEV_ACCESS | DEV_RESET | DEV_TIMER | DEV_FD)
#define ANY         ((1u << PLACES) - 1)

/* What the probes work on; made in create, where everything is allowed that they need. */
struct tools {
	const struct bp_cfg *cfg; /* only while create runs */
	struct bp_stream *stream;
	int fd;
	uint32_t timer;
	uint32_t range;
};

static struct tools tools;

/* The call under test, and what it gave. */
static struct {
	int (*probe)(struct bp_dev *dev);
	bool asks_stream; /* of the values */
	unsigned int place;
	struct bp_dev *dev;
	int result;
	struct event done;
} call;

static inline void make_call(void)
{
	call.result = call.probe(call.dev);
	event_post(&call.done);
}

static inline void *call_in_thread(void *arg)
{
	(void)arg;
	make_call();
	return NULL;
}

static inline void call_and_join(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, call_in_thread, NULL) == 0);
	MUST(thread_join(thread));
}

static inline void call_from_timer(void *arg, uint32_t timer)
{
	(void)arg, (void)timer;
	make_call();
}

static inline void call_from_fd(void *arg, int fd, uint32_t events)
{
	(void)arg, (void)events;
	fd_event_clear(fd);
	if (call.place == DEV_FD)
		make_call();
}

static inline void tools_timer(void *arg, uint32_t timer)
{
	(void)arg, (void)timer;
}

static inline int tools_create(struct subject *subject, const struct bp_cfg *cfg)
{
	static const struct bp_range what = { .space = BP_MMIO, .length = 8, .widths = BP_W32 };
	uint32_t timer;

	tools.cfg = cfg;
	/* The stream is asked for once only, as the contract says. */
	tools.stream = call.asks_stream ? NULL : bp_cfg_stream(cfg, "stream");
	tools.fd = fd_event();
	MUST(tools.fd >= 0);
	MUST(bp_timer_add(subject->dev, tools_timer, NULL, &tools.timer) == 0);
	MUST(bp_timer_add(subject->dev, call_from_timer, NULL, &timer) == 0);
	MUST(bp_fd_add(subject->dev, tools.fd, BP_FD_IN, call_from_fd, NULL) == 0);
	MUST(bp_claim(subject->dev, &what, MMIO_BASE + 0x10000, &tools.range) == 0);
	call.dev = subject->dev;
	if (call.place == MAIN_CREATE)
		make_call();
	else if (call.place == NEW_THREAD)
		call_and_join();
	else if (call.place == DEV_TIMER)
		MUST(bp_timer_set(subject->dev, timer, 1) == 0);
	else if (call.place == DEV_FD)
		fd_event_signal(tools.fd);
	return 0;
}

static inline int tools_start(struct subject *subject)
{
	(void)subject;
	if (call.place == MAIN_START)
		make_call();
	return 0;
}

static inline int other_start(struct subject *subject)
{
	(void)subject;
	if (call.place == OTHER_MAIN)
		make_call();
	return 0;
}

static inline int any_access(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)subject, (void)access, (void)val;
	make_call();
	return 0;
}

static inline void any_reset(struct subject *subject)
{
	(void)subject;
	if (call.place == DEV_RESET)
		make_call();
}

static inline void any_stop(struct subject *subject)
{
	(void)subject;
	if (call.place == MAIN_STOP)
		make_call();
}

static inline void tools_destroy(struct subject *subject)
{
	(void)subject;
	close(tools.fd);
}

/* Brings the first of two devices that are not made yet to the place, has it call, and ends both; call.result tells what came of it. */
static inline void call_from(unsigned int place, struct fixture *fixture)
{
	struct subject *one = &fixture->one, *two = &fixture->two;

	call.place = place;
	call.result = 1;
	call.done.count = 0;
	one->hooks = (struct hooks){
		.create = tools_create,
		.start = tools_start,
		.reset = any_reset,
		.stop = any_stop,
		.destroy = tools_destroy,
	};
	two->hooks.start = other_start;
	subject_run(one);
	subject_run(two);
	if (place == DEV_ACCESS)
		on_dev(one, any_access);
	else if (place == OTHER_DEV)
		on_dev(two, any_access);
	else if (place == DEV_RESET)
		device_reset(one->device);
	else if (place == OWN_THREAD)
		call_and_join();
	else if (place == MAIN_STOP)
		device_stop(one->device);
	assert_true(event_wait(&call.done, 1));
	subject_end(one);
	subject_end(two);
}

#endif
