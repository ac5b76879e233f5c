/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several unit tests need: events that threads wait for with a generous limit, the log as a string, a count of open
 * descriptors. cmocka's assertions belong to the main thread; other threads record what they saw, or use MUST().
 */
#ifndef TESTS_UNIT_SUPPORT_H
#define TESTS_UNIT_SUPPORT_H

#include "core/base/log.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S      30

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* For threads and callbacks, which must not jump out. */
#define MUST(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* ---- events ---- */

struct event {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t count;
};

#define EVENT_INIT                                                                                 \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .count = 0 \
	}

static inline void event_post(struct event *event)
{
	pthread_mutex_lock(&event->lock);
	event->count++;
	pthread_cond_broadcast(&event->changed);
	pthread_mutex_unlock(&event->lock);
}

/* Until the event has been posted `count` times in all. False when patience ends. */
static inline bool event_wait(struct event *event, uint64_t count)
{
	struct timespec end;
	bool reached;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&event->lock);
	while (event->count < count && r == 0)
		r = pthread_cond_timedwait(&event->changed, &event->lock, &end);
	reached = event->count >= count;
	pthread_mutex_unlock(&event->lock);
	return reached;
}

static inline uint64_t event_count(struct event *event)
{
	uint64_t count;

	pthread_mutex_lock(&event->lock);
	count = event->count;
	pthread_mutex_unlock(&event->lock);
	return count;
}

/* A thread that is sure to be joined: false when it did not end in time. */
static inline bool thread_join(pthread_t thread)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	return pthread_timedjoin_np(thread, NULL, &end) == 0;
}

/* ---- the log ---- */

/* Where standard error was, and the file that it goes to meanwhile. */
static int catch_saved = -1;
static int catch_file = -1;

/* From here on log lines are kept. Ends with log_release(), which a teardown calls too. */
static inline void log_catch(enum log_level level)
{
	fflush(stderr);
	catch_file = memfd_create("log", MFD_CLOEXEC);
	catch_saved = dup(STDERR_FILENO);
	MUST(catch_file >= 0 && catch_saved >= 0);
	MUST(dup2(catch_file, STDERR_FILENO) == STDERR_FILENO);
	log_set_level(level);
}

/* What has been logged so far; valid until the next call. */
static inline const char *log_caught(void)
{
	static char text[65536];
	ssize_t got = pread(catch_file, text, sizeof(text) - 1, 0);

	text[got > 0 ? got : 0] = 0;
	return text;
}

static inline void log_release(void)
{
	if (catch_saved < 0)
		return;
	fflush(stderr);
	dup2(catch_saved, STDERR_FILENO);
	close(catch_saved);
	close(catch_file);
	catch_saved = -1;
	catch_file = -1;
	log_set_level(LOG_LEVEL_WARN);
}

static inline size_t count_of_text(const char *text, const char *part)
{
	size_t count = 0;

	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		count++;
	return count;
}

/* ---- what a process holds ---- */

static inline size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	MUST(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

#endif
