/* SPDX-License-Identifier: BSD-3-Clause */
/* The set of a VM's plugin processes: what is to be minded while the guest runs. Main thread. */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/process_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#define EVENTS_MAX 64

static int add(const struct processes *set, int fd, void *ptr)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = ptr } };

	return epoll_ctl(set->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int process_watch(struct process *process, enum process_source_kind kind, int fd)
{
	struct process_source *source = &process->sources[kind];
	int r;

	*source = (struct process_source){ .process = process, .kind = kind, .fd = -1 };
	r = add(process->set, fd, source);
	if (r == 0)
		source->fd = fd;
	return r;
}

void process_unwatch(struct process *process, enum process_source_kind kind)
{
	struct process_source *source = &process->sources[kind];

	if (source->fd >= 0)
		epoll_ctl(process->set->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
}

int processes_new_with(struct spawner *spawner, struct processes **ret, struct err *err)
{
	struct processes *set = calloc(1, sizeof(*set));
	int r = 0;

	if (!set)
		return err_sys(err, -ENOMEM, "plugin processes");
	set->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	set->wake_fd = fd_event();
	set->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (set->epoll_fd < 0 || set->wake_fd < 0 || set->timer_fd < 0)
		r = -errno;
	if (r == 0)
		r = add(set, set->wake_fd, NULL);
	if (r == 0)
		r = add(set, set->timer_fd, NULL);
	if (r == 0 && spawner)
		r = add(set, spawner_fd(spawner), NULL);
	if (r < 0) {
		processes_free(set);
		return err_sys(err, r, "plugin processes");
	}
	set->spawner = spawner;
	*ret = set;
	return 0;
}

int processes_new(struct processes **ret, struct err *err)
{
	struct spawner *spawner;
	int r = spawner_new(&spawner, err);

	if (r < 0)
		return r;
	/* The processes have their own: the spawner has begun before. */
	fd_raise_limit(UINT64_MAX);
	r = processes_new_with(spawner, ret, err);
	if (r < 0)
		spawner_free(spawner);
	return r;
}

void processes_free(struct processes *set)
{
	if (!set)
		return;
	spawner_free(set->spawner);
	fd_close(set->epoll_fd);
	fd_close(set->wake_fd);
	fd_close(set->timer_fd);
	free(set);
}

int processes_fd(const struct processes *set)
{
	return set->epoll_fd;
}

void processes_note_ended(struct processes *set, const struct spawn_ended *ended)
{
	for (struct process *process = set->first; process; process = process->next)
		if (process->token == ended->token) {
			process->ended = *ended;
			process->has_ended = true;
		}
}

void processes_hear(struct processes *set)
{
	struct spawn_ended ended;
	int r = 1;

	while (set->spawner && !set->spawner_gone && r == 1) {
		r = spawner_next(set->spawner, &ended);
		if (r == 1)
			processes_note_ended(set, &ended);
		else if (r < 0)
			set->spawner_gone = true;
	}
}

/* ---- time ---- */

/* When something is to be done for the process without anything having come. */
static uint64_t due(const struct process *process)
{
	uint64_t judge_ns = process->ping_since_ns + process->request_ns;

	if (process->phase != PROCESS_RUNNING || process_failed(process))
		return 0;
	return process->ping_since_ns && judge_ns < process->ping_next_ns ? judge_ns : process->ping_next_ns;
}

static uint64_t sooner(uint64_t one_ns, uint64_t other_ns)
{
	return one_ns && (!other_ns || one_ns < other_ns) ? one_ns : other_ns;
}

static void arm(struct processes *set, uint64_t ns)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(ns / NS_PER_S),
						 .tv_nsec = (long)(ns % NS_PER_S) } };

	if (ns == set->timer_ns)
		return;
	set->timer_ns = ns;
	timerfd_settime(set->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void rearm(struct processes *set, uint64_t next_ns)
{
	for (const struct process *process = set->first; process; process = process->next)
		next_ns = sooner(next_ns, due(process));
	arm(set, next_ns);
}

void processes_rearm(struct processes *set)
{
	rearm(set, set->timer_ns);
}

/* ---- minding ---- */

static void mind_source(const struct process_source *source)
{
	struct process *process = source->process;

	switch (source->kind) {
	case SOURCE_CONTROL:
		process_listen(process);
		break;
	case SOURCE_PIDFD:
		/* What it has sent before counts, too: its end on the control socket says the rest, unless somebody
		 * else holds that. */
		process_listen(process);
		process_fail(process, PROCESS_GONE, NULL, "");
		process_unwatch(process, SOURCE_PIDFD);
		break;
	case SOURCE_STDERR:
		process_read_stderr(process);
		break;
	default:
		vhost_frontend_mind(process->frontend);
		break;
	}
}

int processes_mind(struct processes *set, struct err *err)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(set->epoll_fd, events, EVENTS_MAX, 0);
	uint64_t ticks, now_ns, next_ns = 0;

	fd_event_clear(set->wake_fd);
	if (read(set->timer_fd, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
		set->timer_ns = 0;
	processes_hear(set);
	if (set->spawner_gone)
		return err_set(err, -ECONNRESET, "the process that starts plugins has gone, and all of them with it");
	for (int i = 0; i < count; i++) {
		const struct process_source *source = events[i].data.ptr;

		/* It may have been taken out by one before it. */
		if (source && source->fd >= 0)
			mind_source(source);
	}
	now_ns = clock_now_ns();
	for (struct process *process = set->first; process; process = process->next) {
		process_mind_ping(process, now_ns);
		if (process_failed(process))
			next_ns = sooner(next_ns, process_settle(process, now_ns));
	}
	rearm(set, next_ns);
	return 0;
}
