/* SPDX-License-Identifier: BSD-3-Clause */
/* What a device of the fake host can ask of the machine besides addresses and interrupts: clocks, events, metrics, jobs; see
 * fakehost.h. Events and jobs stay in lists of the device until the test looks at them. */
#include "fakehost_impl.h"

#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 10000 /* of jobs in one fakehost_jobs(): more is a loop */

/* ---- clocks, and what the machine is ---- */

uint64_t fakehost_clock(const struct fakehost *host, uint32_t clock)
{
	switch (clock) {
	case BP_CLOCK_MONOTONIC:
		return host->now_ns;
	case BP_CLOCK_REAL:
		return host->now_ns + host->real_ns;
	case BP_CLOCK_START:
		return host->now_ns + host->start_ns;
	default:
		return 0;
	}
}

int fakehost_clock_set(struct fakehost *host, uint32_t clock, uint64_t ns)
{
	if (clock == BP_CLOCK_REAL) {
		host->real_ns = ns - host->now_ns;
		return 0;
	}
	if ((clock != BP_CLOCK_START && clock != BP_CLOCK_MONOTONIC) || ns < fakehost_clock(host, clock))
		return -EINVAL;
	if (clock == BP_CLOCK_START)
		host->start_ns = ns - host->now_ns;
	else
		fakehost_advance(host, ns - host->now_ns);
	return 0;
}

static uint64_t host_clock(struct bp_dev *dev, uint32_t clock)
{
	return fakehost_clock(fake_dev(dev)->host, clock);
}

void fakehost_vcpus(struct fakehost *host, uint32_t vcpus)
{
	host->vcpus = vcpus;
}

/* FNV-1a. */
uint64_t fakehost_identity(const struct fakehost_dev *dev)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *c = dev->id; *c; c++)
		hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t host_info(struct bp_dev *dev, uint32_t what)
{
	switch (what) {
	case BP_INFO_VCPUS:
		return fake_dev(dev)->host->vcpus;
	case BP_INFO_IDENTITY:
		return fakehost_identity(fake_dev(dev));
	default:
		return 0;
	}
}

/* ---- events ---- */

static int host_event(struct bp_dev *dev, uint32_t event, uint64_t value)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_DEV, "bp_event");
	struct fake_event *events;

	if (r)
		return r;
	if (event < BP_EVENT_PANIC || event > BP_EVENT_MARK)
		return -EINVAL;
	if (event != BP_EVENT_MARK && value)
		fake_breach(own, "event %u has value %llu", event, (unsigned long long)value);
	events = realloc(own->events, (own->event_count + 1) * sizeof(*events));
	if (!events)
		return -ENOMEM;
	events[own->event_count++] = (struct fake_event){ .event = event, .value = value };
	own->events = events;
	return 0;
}

uint32_t fakehost_event_count(const struct fakehost_dev *dev, uint32_t event)
{
	uint32_t count = 0;

	for (size_t i = 0; i < dev->event_count; i++)
		count += !event || dev->events[i].event == event;
	return count;
}

uint32_t fakehost_event(const struct fakehost_dev *dev, uint32_t index, uint64_t *ret_value)
{
	if (index >= dev->event_count)
		return 0;
	if (ret_value)
		*ret_value = dev->events[index].value;
	return dev->events[index].event;
}

/* ---- metrics ---- */

static bool name_ok(const char *name)
{
	static const char chars[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	return name && name[0] >= 'a' && name[0] <= 'z' && strspn(name, chars) == strlen(name) &&
	       strlen(name) < sizeof(((struct fake_metric *)NULL)->name);
}

static int host_metric(struct bp_dev *dev, uint32_t kind, const char *name, const char *help, uint64_t **ret_slot)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_CREATE, "bp_metric");
	uint64_t value;

	if (r)
		return r;
	if ((kind != BP_METRIC_COUNTER && kind != BP_METRIC_GAUGE) || !name_ok(name) || !help || !*help ||
	    strchr(help, '\n'))
		return -EINVAL;
	if (!fakehost_metric(own, name, &value))
		return -EEXIST;
	if (own->metric_count == FAKE_METRICS_MAX)
		return -ENOSPC;
	memcpy(own->metrics[own->metric_count].name, name, strlen(name) + 1);
	*ret_slot = &own->metrics[own->metric_count++].slot;
	return 0;
}

int fakehost_metric(const struct fakehost_dev *dev, const char *name, uint64_t *ret)
{
	for (size_t i = 0; i < dev->metric_count; i++) {
		if (!strcmp(dev->metrics[i].name, name)) {
			*ret = __atomic_load_n(&dev->metrics[i].slot, __ATOMIC_RELAXED);
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- jobs ---- */

static int host_job(struct bp_dev *dev, bp_job_fn *fn, bp_job_done_fn *done, void *arg)
{
	struct fakehost_dev *own = fake_dev(dev);
	int r = fake_tag(own, FAKE_CREATE | FAKE_MAIN | FAKE_DEV, "bp_job");
	struct fake_job **at = &own->jobs;
	struct fake_job *job;
	uint32_t count = 0;

	if (r)
		return r;
	if (!fn || !done)
		return -EINVAL;
	if (own->state == FAKE_STOPPED)
		return -ESHUTDOWN;
	for (; *at; at = &(*at)->next)
		count++;
	if (count >= FAKE_JOBS_MAX)
		return -ENOSPC;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (struct fake_job){ .fn = fn, .done = done, .arg = arg };
	*at = job;
	return 0;
}

int fakehost_job_work(struct fakehost_dev *dev)
{
	struct fake_job *job = dev->jobs;
	struct fake_here before;

	if (!job || job->begun || dev->state != FAKE_RUNNING)
		return -EINVAL;
	job->begun = true;
	before = fake_enter(dev, FAKE_WORK);
	job->result = job->fn(job->arg);
	fake_leave(before);
	return 0;
}

int fakehost_job_done(struct fakehost_dev *dev)
{
	struct fake_here before;
	struct fake_job job;

	if (!dev->jobs || !dev->jobs->begun || dev->state != FAKE_RUNNING)
		return -EINVAL;
	/* It goes off the list first: what follows may ask for another one. */
	job = *dev->jobs;
	free(dev->jobs);
	dev->jobs = job.next;
	before = fake_enter(dev, FAKE_DEV);
	job.done(job.arg, job.result);
	fake_leave(before);
	return 0;
}

uint32_t fakehost_jobs(struct fakehost_dev *dev)
{
	uint32_t count = 0;

	while (dev->jobs && dev->state == FAKE_RUNNING) {
		if (count == RUNS_MAX) {
			fake_breach(dev, "jobs follow one another for ever");
			break;
		}
		if (!dev->jobs->begun)
			fakehost_job_work(dev);
		fakehost_job_done(dev);
		count++;
	}
	return count;
}

void fake_jobs_drop(struct fakehost_dev *dev)
{
	while (dev->jobs) {
		struct fake_job *next = dev->jobs->next;

		free(dev->jobs);
		dev->jobs = next;
	}
}

void fake_machine_fill(struct bp_host *table)
{
	table->clock = host_clock;
	table->info = host_info;
	table->event = host_event;
	table->metric = host_metric;
	table->job = host_job;
}
