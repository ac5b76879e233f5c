/* SPDX-License-Identifier: BSD-3-Clause */
/* The failure of a plugin's process: noted by whoever finds out, told by the main thread; see process_impl.h. */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/process_impl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

void process_fail(struct process *process, int cause, const char *during, const char *why)
{
	struct process_failure *failure = &process->failure;
	const char *doing = atomic_load(&process->doing);
	bool first;

	pthread_mutex_lock(&failure->lock);
	first = !failure->there;
	if (first) {
		failure->there = true;
		failure->cause = cause;
		failure->detail = -1;
		failure->during = during ? during : doing ? doing : "running";
		failure->since_ns = clock_now_ns();
		snprintf(failure->why, sizeof(failure->why), "%s", why);
		atomic_store_explicit(&process->failed, true, memory_order_release);
	}
	pthread_mutex_unlock(&failure->lock);
	if (!first)
		return;
	if (cause != PROCESS_GONE)
		pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
	fd_event_signal(process->set->wake_fd);
}

void process_fail_of(struct process *process, int error, const char *during, const char *why)
{
	if (error == -ETIMEDOUT)
		process_fail(process, FAILURE_HANG, during, why);
	else if (error == -ECONNRESET || error == -EPIPE)
		process_fail(process, PROCESS_GONE, during, why);
	else
		process_fail(process, FAILURE_PROTOCOL, during, why);
}

/* ---- how it has ended ---- */

/* Puts what the spawner has told in the place of PROCESS_GONE. */
static void resolve(struct process *process)
{
	struct process_failure *failure = &process->failure;

	pthread_mutex_lock(&failure->lock);
	if (failure->there && failure->cause == PROCESS_GONE && process->has_ended) {
		failure->cause = process->ended.code == CLD_EXITED ? FAILURE_EXIT : FAILURE_SIGNAL;
		failure->detail = process->ended.status;
	}
	pthread_mutex_unlock(&failure->lock);
}

static bool has_exited(const struct process *process)
{
	struct pollfd fd = { .fd = process->pidfd, .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

/* Until when it is to be known how a process ended that has gone at `since_ns`. Without the spawner's word a crash would be told as an exit. */
static uint64_t known_by(const struct process *process, uint64_t since_ns)
{
	const struct processes *set = process->set;
	bool is_coming = set->spawner && !set->spawner_gone && has_exited(process);

	return since_ns + (is_coming ? PROCESS_WORD_NS : PROCESS_GRACE_NS);
}

/* Nobody has told how it ended, and it is late. */
static void give_up(struct process *process)
{
	struct process_failure *failure = &process->failure;
	bool lives = !has_exited(process);

	resolve(process);
	pthread_mutex_lock(&failure->lock);
	if (failure->there && failure->cause == PROCESS_GONE) {
		failure->cause = lives ? FAILURE_PROTOCOL : FAILURE_EXIT;
		snprintf(failure->why, sizeof(failure->why), "it closed its socket");
	}
	pthread_mutex_unlock(&failure->lock);
	if (lives)
		pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
}

void process_find_out(struct process *process)
{
	const uint64_t since_ns = clock_now_ns();
	struct processes *set = process->set;

	for (;;) {
		struct pollfd fd = { .fd = process->pidfd, .events = POLLIN };

		processes_hear(set);
		if (process->has_ended || clock_now_ns() >= known_by(process, since_ns))
			break;
		/* First it ends, then the spawner tells. */
		if (has_exited(process)) {
			if (!set->spawner || set->spawner_gone)
				break;
			fd.fd = spawner_fd(set->spawner);
		}
		poll(&fd, 1, (int)(PROCESS_GRACE_NS / NS_PER_MS));
	}
	if (process_failed(process))
		give_up(process);
}

/* ---- words ---- */

static const char *signal_name(int number, char text[static 16])
{
	const char *name = sigabbrev_np(number);

	if (name)
		snprintf(text, 16, "SIG%s", name);
	else
		snprintf(text, 16, "%d", number);
	return text;
}

int process_sentence(struct process *process, struct err *err)
{
	struct process_failure *failure = &process->failure;
	const char *participle = "was used", *during;
	char text[16];

	process_find_out(process);
	/* It is an error of a call from here on, unless the device runs. */
	if (process->phase < PROCESS_RUNNING)
		process->told = true;
	during = failure->during;
	if (!strcmp(during, "load"))
		participle = "was loaded";
	else if (!strcmp(during, "create"))
		participle = "was created";
	else if (!strcmp(during, "start"))
		participle = "was started";
	if (process->set->spawner_gone)
		return err_set(err, -ENODEV, "plugin \"%s\": the process that starts plugins has gone", process->path);
	switch (failure->cause) {
	case FAILURE_SIGNAL:
		return err_set(err, -ENODEV, "plugin \"%s\": its process was killed by %s while it %s", process->path,
			       signal_name(failure->detail, text), participle);
	case FAILURE_HANG:
		return err_set(err, -ENODEV, "plugin \"%s\": its process did not answer for %u ms while it %s",
			       process->path, (unsigned int)(process->request_ns / NS_PER_MS), participle);
	case FAILURE_PROTOCOL:
		return err_set(err, -ENODEV, "plugin \"%s\": its process broke the protocol while it %s: %s",
			       process->path, participle, failure->why);
	default:
		if (failure->detail >= 0)
			return err_set(err, -ENODEV, "plugin \"%s\": its process exited with status %d while it %s",
				       process->path, failure->detail, participle);
		return err_set(err, -ENODEV, "plugin \"%s\": its process ended while it %s", process->path, participle);
	}
}

static void put_line(const struct process *process)
{
	static const char *const actions[] = {
		[ON_FAILURE_NEEDS_RESET] = "needs_reset",
		[ON_FAILURE_STOP] = "stop",
	};
	static const char *const causes[] = {
		[FAILURE_EXIT] = "exit",
		[FAILURE_SIGNAL] = "signal",
		[FAILURE_HANG] = "hang",
		[FAILURE_PROTOCOL] = "protocol",
	};
	const struct process_failure *failure = &process->failure;
	char detail[48] = "", text[16];

	if (failure->cause == FAILURE_EXIT && failure->detail >= 0)
		snprintf(detail, sizeof(detail), " status=%d", failure->detail);
	else if (failure->cause == FAILURE_SIGNAL)
		snprintf(detail, sizeof(detail), " signal=%s", signal_name(failure->detail, text));
	if (failure->cause == FAILURE_PROTOCOL)
		log_info("devices.%s: what its process did wrong: %s", process->id, failure->why);
	log_tell("devices.%s: failed: plugin=%s cause=%s%s while=%s action=%s", process->id, process->name,
		 causes[failure->cause], detail, failure->during, actions[process->on_failure]);
}

void process_tell(struct process *process)
{
	if (!process_failed(process) || process->told)
		return;
	process_find_out(process);
	process->told = true;
	/* The end of all of them at once is nobody's failure. */
	if (!process->set->spawner_gone)
		put_line(process);
}

uint64_t process_settle(struct process *process, uint64_t now_ns)
{
	uint64_t late_ns;

	if (process->settled)
		return 0;
	/* What it has said before comes before the line. */
	if (process->sources[SOURCE_CONTROL].fd >= 0)
		process_listen(process);
	process_read_stderr(process);
	resolve(process);
	late_ns = known_by(process, process->failure.since_ns);
	if (process->failure.cause == PROCESS_GONE && now_ns < late_ns)
		return late_ns;
	give_up(process);
	process->settled = true;
	for (size_t i = 0; i < SOURCE_KINDS; i++)
		process_unwatch(process, (enum process_source_kind)i);
	process_flush_stderr(process);
	if (process->phase < PROCESS_RUNNING)
		return 0;
	process_tell(process);
	/* Our copy of what listens is open until the end of the VM. */
	if (process->values)
		values_hang_up(process->values);
	if (process->frontend)
		vhost_frontend_fail(process->frontend);
	process->home.failed(process->home.ctx, process->id);
	return 0;
}
