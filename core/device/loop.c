/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's event loop: one thread that waits without the device's lock and calls back with it. Sources and timers change
 * under the lock only, so a callback that has been fetched but whose source is gone by then is recognised
 * (source.c) and dropped.
 */
#include "core/device/internal.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define EVENTS_PER_WAIT 16

/* What epoll hands back: a source's (source.c), or one of ours. */
#define TOKEN_WAKE      UINT64_MAX
#define TOKEN_TIMER     (UINT64_MAX - 1)
#define TOKEN_JOBS      (UINT64_MAX - 2)

static int add_own(struct device_loop *loop, int fd, uint64_t token)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = token };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int device_loop_init(struct device_loop *loop)
{
	int r;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	loop->wake_fd = fd_event();
	if (loop->epoll_fd < 0 || loop->timer_fd < 0 || loop->wake_fd < 0)
		return -EMFILE;
	r = add_own(loop, loop->wake_fd, TOKEN_WAKE);
	return r < 0 ? r : add_own(loop, loop->timer_fd, TOKEN_TIMER);
}

int loop_jobs_watch(struct device *device, int fd)
{
	return add_own(&device->loop, fd, TOKEN_JOBS);
}

void device_loop_destroy(struct device_loop *loop)
{
	fd_close(loop->wake_fd);
	fd_close(loop->timer_fd);
	fd_close(loop->epoll_fd);
	loop_sources_free(&loop->sources);
}

static uint32_t from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? BP_FD_IN : 0) | (events & EPOLLOUT ? BP_FD_OUT : 0) |
	       (events & EPOLLHUP ? BP_FD_HUP : 0) | (events & EPOLLERR ? BP_FD_ERR : 0);
}

/* ---- timers ---- */

/* Sets the timerfd to the earliest deadline, unless it is set to that moment or an earlier one: firing early costs less than
 * setting it each time a deadline moves away. */
static void timers_arm(struct device_loop *loop)
{
	struct itimerspec spec = { 0 };
	uint64_t earliest = 0;

	for (size_t i = 0; i < DEVICE_TIMERS_MAX; i++) {
		const struct device_timer *timer = &loop->timers[i];

		if (timer->used && timer->deadline_ns && (!earliest || timer->deadline_ns < earliest))
			earliest = timer->deadline_ns;
	}
	if (!earliest || (loop->armed_ns && loop->armed_ns <= earliest))
		return;
	spec.it_value.tv_sec = (time_t)(earliest / NS_PER_S);
	spec.it_value.tv_nsec = (long)(earliest % NS_PER_S);
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	loop->armed_ns = earliest;
}

static struct device_timer *timer_find(struct device *device, uint32_t timer)
{
	if (timer >= DEVICE_TIMERS_MAX || !device->loop.timers[timer].used)
		return NULL;
	return &device->loop.timers[timer];
}

/* The first free timer in [first, end). */
static int timer_take(struct device *device, uint32_t first, uint32_t end, bp_timer_fn *fn, void *arg, uint32_t *ret)
{
	for (uint32_t i = first; i < end; i++)
		if (!device->loop.timers[i].used) {
			device->loop.timers[i] = (struct device_timer){ .used = true, .fn = fn, .arg = arg };
			*ret = i;
			return 0;
		}
	return -ENOSPC;
}

int loop_timer_add(struct device *device, bp_timer_fn *fn, void *arg, uint32_t *ret_timer)
{
	return timer_take(device, DEVICE_PLUGIN_TIMERS, DEVICE_TIMERS_MAX, fn, arg, ret_timer);
}

int loop_timer_set(struct device *device, uint32_t timer, uint64_t deadline_ns)
{
	struct device_timer *found = timer_find(device, timer);

	if (!found)
		return -ENOENT;
	found->deadline_ns = deadline_ns;
	if (deadline_ns)
		timers_arm(&device->loop);
	return 0;
}

int host_timer_add(struct bp_dev *dev, bp_timer_fn *fn, void *arg, uint32_t *ret_timer)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_timer_add"))
		return -EDEADLK;
	if (!fn)
		return -EINVAL;
	return timer_take(device, 0, DEVICE_PLUGIN_TIMERS, fn, arg, ret_timer);
}

int host_timer_set(struct bp_dev *dev, uint32_t timer, uint64_t deadline_ns)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, true, true, "bp_timer_set"))
		return -EDEADLK;
	return timer < DEVICE_PLUGIN_TIMERS ? loop_timer_set(device, timer, deadline_ns) : -ENOENT;
}

int host_timer_del(struct bp_dev *dev, uint32_t timer)
{
	struct device *device = device_of(dev);
	struct device_timer *found = timer < DEVICE_PLUGIN_TIMERS ? timer_find(device, timer) : NULL;

	if (!device_on_tag(device, true, true, "bp_timer_del"))
		return -EDEADLK;
	if (!found)
		return -ENOENT;
	found->used = false;
	return 0;
}

/* ---- the thread ---- */

static bool timer_due(const struct device_timer *timer, uint64_t now)
{
	return timer->used && timer->deadline_ns && timer->deadline_ns <= now;
}

/* Those that are due, by deadline. One that is armed again meanwhile, for whatever moment, waits for its next turn, so that a
 * timer cannot keep the thread from everything else. */
static void fire_timers(struct device *device)
{
	struct device_loop *loop = &device->loop;
	uint64_t since = device_enter(device, "timer callback");
	uint64_t now = clock_now_ns();
	uint32_t due[DEVICE_TIMERS_MAX] = { 0 };
	size_t count = 0;

	fd_event_clear(loop->timer_fd);
	loop->armed_ns = 0;
	if (device->state == DEVICE_QUIET) {
		/* The loop is about to end, and finds them due when it comes back. */
		device_leave(device, since);
		return;
	}
	for (uint32_t i = 0; i < DEVICE_TIMERS_MAX; i++) {
		size_t at = count;

		if (!timer_due(&loop->timers[i], now))
			continue;
		for (; at && loop->timers[due[at - 1]].deadline_ns > loop->timers[i].deadline_ns; at--)
			due[at] = due[at - 1];
		due[at] = i;
		count++;
	}
	for (size_t i = 0; i < count; i++) {
		struct device_timer *timer = &loop->timers[due[i]];

		/* The callback of another may have disarmed or moved it. */
		if (timer_due(timer, now)) {
			timer->deadline_ns = 0;
			timer->fn(timer->arg, due[i]);
		}
	}
	timers_arm(loop);
	device_leave(device, since);
}

static void fire_source(struct device *device, uint64_t token, uint32_t events)
{
	uint64_t since = device_enter(device, "fd callback");
	const struct device_source *found = loop_source(&device->loop.sources, token);

	if (device->state != DEVICE_QUIET && found) {
		/* The callback may add others, for which the table may move. */
		struct device_source source = *found;

		/* Another callback may have changed its mind since the events were fetched. */
		events &= source.events | BP_FD_HUP | BP_FD_ERR;
		device_context.callback = source.what;
		if (events)
			source.fn(source.arg, source.fd, events);
	}
	device_leave(device, since);
}

/* Another thread has left something to do, or wants the loop to end. */
static void fire_wake(struct device *device)
{
	uint64_t since = device_enter(device, "completion");

	fd_event_clear(device->loop.wake_fd);
	vdev_woken(device);
	device_io_woken(device);
	device_connects_tell(device);
	device_leave(device, since);
}

/* The kernel has interrupted the waiting to finish io: its descriptor would say so only at the next call. */
static void fire_io(struct device *device)
{
	uint64_t since = device_enter(device, "io callback");

	device_io_reap(device);
	device_leave(device, since);
}

/* Whose loop this thread is. */
static _Thread_local const struct device *loop_device;

bool loop_is_current(const struct device *device)
{
	return loop_device == device;
}

static void *loop_thread(void *arg)
{
	struct device *device = arg;
	struct device_loop *loop = &device->loop;
	struct epoll_event events[EVENTS_PER_WAIT];

	loop_device = device;
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_WAIT, -1);

		if (count < 0 && device_io_ready(device))
			fire_io(device);
		for (int i = 0; i < count; i++) {
			if (events[i].data.u64 == TOKEN_WAKE)
				fire_wake(device);
			else if (events[i].data.u64 == TOKEN_TIMER)
				fire_timers(device);
			else if (events[i].data.u64 == TOKEN_JOBS)
				device_jobs_tell(device);
			else
				fire_source(device, events[i].data.u64, from_epoll(events[i].events));
		}
	}
	return NULL;
}

int device_loop_start(struct device *device, struct err *err)
{
	struct device_loop *loop = &device->loop;
	sigset_t all, before;
	char name[16];
	int r;

	/* Signals are for the main thread and the vCPUs. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loop->thread, NULL, loop_thread, device);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return err_sys(err, -r, "cannot start the device's thread");
	snprintf(name, sizeof(name), "%s", device->id);
	pthread_setname_np(loop->thread, name);
	loop->running = true;
	return 0;
}

void loop_look_again(struct device *device)
{
	struct device_loop *loop = &device->loop;

	loop->armed_ns = 0;
	timers_arm(loop);
	loop_sources_look_again(loop);
}

void device_loop_stop(struct device *device)
{
	struct device_loop *loop = &device->loop;

	if (!loop->running)
		return;
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	fd_event_signal(loop->wake_fd);
	pthread_join(loop->thread, NULL);
	loop->running = false;
	atomic_store_explicit(&loop->stop, false, memory_order_relaxed);
}
