/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs: what a device has to wait for, on a thread of its own (bp_job). The thread is made with the first job, so a device
 * without jobs has none. It takes jobs in order; a job that is over is told to the event loop through an eventfd, and the loop calls
 * `done` under the device's lock.
 *
 * The ring's three indices only grow: jobs in [done, ran) are over and not told yet, those in [ran, added) wait, the first of them may be
 * running. All of it is under jobs->lock, which nobody holds while a plugin's code runs.
 */
#include "core/device/internal.h"

#include "core/base/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

void device_jobs_init(struct device_jobs *jobs)
{
	jobs->event_fd = -1;
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->changed, NULL);
}

void device_jobs_destroy(struct device_jobs *jobs)
{
	fd_close(jobs->event_fd);
	pthread_cond_destroy(&jobs->changed);
	pthread_mutex_destroy(&jobs->lock);
}

static void *job_thread(void *arg)
{
	struct device_jobs *jobs = arg;

	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct device_job *job;
		int result;

		while (!jobs->stop && jobs->ran == jobs->added)
			pthread_cond_wait(&jobs->changed, &jobs->lock);
		if (jobs->stop)
			break;
		job = &jobs->ring[jobs->ran % DEVICE_JOBS_MAX];
		pthread_mutex_unlock(&jobs->lock);
		result = job->fn(job->arg);
		pthread_mutex_lock(&jobs->lock);
		job->result = result;
		jobs->ran++;
		fd_event_signal(jobs->event_fd);
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* Makes the thread and what it tells the loop through. Under jobs->lock. */
static int jobs_begin(struct device *device)
{
	struct device_jobs *jobs = &device->jobs;
	sigset_t all, before;
	char name[16];
	int r;

	if (jobs->event_fd < 0) {
		int fd = fd_event();

		if (fd < 0)
			return fd;
		r = loop_jobs_watch(device, fd);
		if (r < 0) {
			fd_close(fd);
			return r;
		}
		jobs->event_fd = fd;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&jobs->thread, NULL, job_thread, jobs);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	snprintf(name, sizeof(name), "job:%s", device->id);
	pthread_setname_np(jobs->thread, name);
	jobs->running = true;
	return 0;
}

int host_job(struct bp_dev *dev, bp_job_fn *fn, bp_job_done_fn *done, void *arg)
{
	struct device *device = device_of(dev);
	struct device_jobs *jobs = &device->jobs;
	int r = 0;

	if (!device_on_tag(device, true, true, "bp_job"))
		return -EDEADLK;
	if (!fn || !done)
		return -EINVAL;
	pthread_mutex_lock(&jobs->lock);
	if (jobs->stop)
		r = -ESHUTDOWN;
	else if (jobs->added - jobs->done == DEVICE_JOBS_MAX)
		r = -ENOSPC;
	else if (!jobs->running)
		r = jobs_begin(device);
	if (r == 0) {
		jobs->ring[jobs->added % DEVICE_JOBS_MAX] = (struct device_job){ .fn = fn, .done = done, .arg = arg };
		jobs->added++;
		pthread_cond_broadcast(&jobs->changed);
	}
	pthread_mutex_unlock(&jobs->lock);
	return r;
}

/* The oldest job that is over and not told yet, in *ret. The callback of another may add jobs meanwhile. */
static bool take_over(struct device_jobs *jobs, struct device_job *ret)
{
	bool found;

	pthread_mutex_lock(&jobs->lock);
	found = jobs->done < jobs->ran;
	if (found)
		*ret = jobs->ring[jobs->done % DEVICE_JOBS_MAX];
	pthread_mutex_unlock(&jobs->lock);
	return found;
}

void device_jobs_tell(struct device *device)
{
	struct device_jobs *jobs = &device->jobs;
	uint64_t since = device_enter(device, "job callback");
	struct device_job job;

	fd_event_clear(jobs->event_fd);
	while (take_over(jobs, &job)) {
		job.done(job.arg, job.result);
		pthread_mutex_lock(&jobs->lock);
		jobs->done++;
		pthread_cond_broadcast(&jobs->changed);
		pthread_mutex_unlock(&jobs->lock);
	}
	device_leave(device, since);
}

void device_jobs_wait(struct device *device)
{
	struct device_jobs *jobs = &device->jobs;

	pthread_mutex_lock(&jobs->lock);
	while (jobs->done != jobs->added)
		pthread_cond_wait(&jobs->changed, &jobs->lock);
	pthread_mutex_unlock(&jobs->lock);
}

void device_jobs_stop(struct device *device)
{
	struct device_jobs *jobs = &device->jobs;

	pthread_mutex_lock(&jobs->lock);
	jobs->stop = true;
	pthread_cond_broadcast(&jobs->changed);
	pthread_mutex_unlock(&jobs->lock);
	if (!jobs->running)
		return;
	pthread_join(jobs->thread, NULL);
	jobs->running = false;
}
