/* SPDX-License-Identifier: BSD-3-Clause */
/* Events, clocks, metrics, jobs and sizes of terminals on the fake host of the conformance kit. The device is one that does at an access what
 * its test has put into it. */
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

struct puppet {
	struct bp_dev *dev;
	struct bp_stream *stream;
	uint64_t *metrics[2];
	int (*act)(struct puppet *puppet, uint64_t val); /* at a write */
	uint32_t stream_events;
	/* Jobs: what has happened, one letter each. */
	char story[256];
	bool again;
};

static void tell(struct puppet *puppet, char what)
{
	size_t length = strlen(puppet->story);

	if (length + 1 < sizeof(puppet->story))
		puppet->story[length] = what;
}

static const struct bp_param puppet_params[] = {
	{ .name = "stream", .type = BP_P_STREAM, .def = "null" },
};

static const struct bp_range puppet_ranges[] = {
	{ .space = BP_MMIO, .length = 8, .widths = BP_W64 },
};

static void puppet_stream(void *arg, uint32_t events)
{
	((struct puppet *)arg)->stream_events |= events;
}

static int puppet_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct puppet *puppet = calloc(1, sizeof(*puppet));
	uint64_t *slot = NULL;

	if (!puppet)
		return -ENOMEM;
	puppet->dev = dev;
	puppet->stream = bp_cfg_stream(cfg, "stream");
	assert_int_equal(bp_stream_listen(dev, puppet->stream, puppet_stream, puppet), 0);
	assert_int_equal(bp_metric(dev, BP_METRIC_COUNTER, "read_bytes", "bytes read", &puppet->metrics[0]), 0);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "level", "how full it is", &puppet->metrics[1]), 0);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "level", "how full it is", &slot), -EEXIST);
	assert_int_equal(bp_metric(dev, 3, "other", "help", &slot), -EINVAL);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "Other", "help", &slot), -EINVAL);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "", "help", &slot), -EINVAL);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "a2345678901234567890123456789012", "help", &slot), -EINVAL);
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "other", "two\nlines", &slot), -EINVAL);
	assert_null(slot);
	for (unsigned int i = 2; i < 64; i++) {
		char name[16];

		snprintf(name, sizeof(name), "metric%u", i);
		assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, name, "one of many", &slot), 0);
	}
	assert_int_equal(bp_metric(dev, BP_METRIC_GAUGE, "other", "help", &slot), -ENOSPC);
	*ret = puppet;
	return 0;
}

static int puppet_access(void *self, const struct bp_access *access, uint64_t *val)
{
	struct puppet *puppet = self;

	if (access->write)
		return puppet->act(puppet, *val);
	*val = bp_clock(puppet->dev, BP_CLOCK_START);
	return 0;
}

static void puppet_reset(void *self)
{
	tell(self, 'R');
}

static int start_job(struct puppet *puppet, uint64_t val);

static void puppet_stop(void *self)
{
	struct puppet *puppet = self;

	tell(puppet, 'S');
	if (puppet->again)
		assert_int_equal(start_job(puppet, 0), -ESHUTDOWN);
}

/* clang-format off */
static const struct bp_device_class puppet_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "puppet",
	.summary = "does what it is told",
	BP_PARAMS(puppet_params),
	BP_RANGES(puppet_ranges),
	.create = puppet_create,
	.access = puppet_access,
	.reset = puppet_reset,
	.stop = puppet_stop,
	.destroy = free,
};
/* clang-format on */

struct fixture {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct puppet *puppet;
};

static int setup(void **state)
{
	struct fixture *fix = calloc(1, sizeof(*fix));

	assert_non_null(fix);
	assert_int_equal(fakehost_new(4096, &fix->host), 0);
	assert_int_equal(fakehost_create(fix->host, &puppet_class, "puppet", NULL, &fix->dev), 0);
	assert_int_equal(fakehost_start(fix->dev), 0);
	fix->puppet = fakehost_state(fix->dev);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fix = *state;

	fakehost_free(fix->host);
	free(fix);
	return 0;
}

static int act(struct fixture *fix, int (*what)(struct puppet *puppet, uint64_t val), uint64_t val)
{
	fix->puppet->act = what;
	return fakehost_write(fix->dev, 0, 0, 8, val);
}

/* ---- clocks ---- */

static void clocks_go_and_are_set(void **state)
{
	struct fixture *fix = *state;
	struct bp_dev *dev = fix->puppet->dev;
	uint64_t val;

	assert_int_equal(bp_clock(dev, BP_CLOCK_MONOTONIC), FAKEHOST_EPOCH_NS);
	assert_int_equal(bp_clock_ns(dev), FAKEHOST_EPOCH_NS);
	assert_int_equal(bp_clock(dev, BP_CLOCK_REAL), FAKEHOST_REAL_NS);
	assert_int_equal(bp_clock(dev, BP_CLOCK_START), 0);
	assert_int_equal(bp_clock(dev, 4), 0);
	fakehost_advance(fix->host, 500);
	assert_int_equal(bp_clock(dev, BP_CLOCK_REAL), FAKEHOST_REAL_NS + 500);
	assert_int_equal(fakehost_read(fix->dev, 0, 0, 8, &val), 0);
	assert_int_equal(val, 500);
	/* Real time jumps, alone. */
	assert_int_equal(fakehost_clock_set(fix->host, BP_CLOCK_REAL, 1000), 0);
	assert_int_equal(bp_clock(dev, BP_CLOCK_REAL), 1000);
	assert_int_equal(bp_clock(dev, BP_CLOCK_MONOTONIC), FAKEHOST_EPOCH_NS + 500);
	/* The others do not go back. */
	assert_int_equal(fakehost_clock_set(fix->host, BP_CLOCK_START, 499), -EINVAL);
	assert_int_equal(fakehost_clock_set(fix->host, BP_CLOCK_START, 7000), 0);
	assert_int_equal(fakehost_clock_set(fix->host, BP_CLOCK_MONOTONIC, 0), -EINVAL);
	assert_int_equal(fakehost_clock_set(fix->host, BP_CLOCK_MONOTONIC, FAKEHOST_EPOCH_NS + 600), 0);
	assert_int_equal(fakehost_clock_set(fix->host, 4, 1), -EINVAL);
	assert_int_equal(fakehost_clock(fix->host, BP_CLOCK_START), 7100);
	assert_int_equal(fakehost_clock(fix->host, BP_CLOCK_REAL), 1100);
	assert_int_equal(bp_info(dev, BP_INFO_VCPUS), 1);
	fakehost_vcpus(fix->host, 4);
	assert_int_equal(bp_info(dev, BP_INFO_VCPUS), 4);
	assert_int_equal(bp_info(dev, 0), 0);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

/* ---- events ---- */

static int raise_event(struct puppet *puppet, uint64_t val)
{
	return bp_event(puppet->dev, (uint32_t)val, val == BP_EVENT_MARK ? 1234 : 0);
}

static int raise_with_value(struct puppet *puppet, uint64_t val)
{
	return bp_event(puppet->dev, BP_EVENT_RESET, val);
}

static void events_are_kept(void **state)
{
	struct fixture *fix = *state;
	uint64_t val = 9;

	assert_int_equal(fakehost_event_count(fix->dev, 0), 0);
	assert_int_equal(fakehost_event(fix->dev, 0, &val), 0);
	assert_int_equal(val, 9);
	assert_int_equal(act(fix, raise_event, BP_EVENT_MARK), 0);
	assert_int_equal(act(fix, raise_event, BP_EVENT_RESET), 0);
	assert_int_equal(act(fix, raise_event, BP_EVENT_MARK), 0);
	assert_int_equal(act(fix, raise_event, BP_EVENT_MARK + 1), -EINVAL);
	assert_int_equal(act(fix, raise_event, 0), -EINVAL);
	assert_int_equal(fakehost_event_count(fix->dev, 0), 3);
	assert_int_equal(fakehost_event_count(fix->dev, BP_EVENT_MARK), 2);
	assert_int_equal(fakehost_event(fix->dev, 1, NULL), BP_EVENT_RESET);
	assert_int_equal(fakehost_event(fix->dev, 2, &val), BP_EVENT_MARK);
	assert_int_equal(val, 1234);
	assert_int_equal(fakehost_breaches(fix->host), 0);
	assert_int_equal(act(fix, raise_with_value, 1), 0);
	assert_int_equal(bp_event(fix->puppet->dev, BP_EVENT_RESET, 0), -EDEADLK);
	assert_int_equal(fakehost_breaches(fix->host), 2);
}

/* ---- metrics ---- */

static int late_metric(struct puppet *puppet, uint64_t val)
{
	(void)val;
	return bp_metric(puppet->dev, BP_METRIC_GAUGE, "late", "comes too late", &puppet->metrics[0]);
}

static void metrics_are_read(void **state)
{
	struct fixture *fix = *state;
	uint64_t val;

	assert_int_equal(fakehost_metric(fix->dev, "read_bytes", &val), 0);
	assert_int_equal(val, 0);
	bp_metric_add(fix->puppet->metrics[0], 5);
	bp_metric_add(fix->puppet->metrics[0], 6);
	bp_metric_set(fix->puppet->metrics[1], 7);
	bp_metric_add(NULL, 1);
	assert_int_equal(fakehost_metric(fix->dev, "read_bytes", &val), 0);
	assert_int_equal(val, 11);
	assert_int_equal(fakehost_metric(fix->dev, "level", &val), 0);
	assert_int_equal(val, 7);
	assert_int_equal(fakehost_metric(fix->dev, "other", &val), -ENOENT);
	assert_int_equal(fakehost_breaches(fix->host), 0);
	assert_int_equal(act(fix, late_metric, 0), -EDEADLK);
	assert_int_equal(fakehost_breaches(fix->host), 1);
}

/* ---- jobs ---- */

static int work(void *arg)
{
	tell(arg, 'w');
	return 7;
}

static int work_and_sin(void *arg)
{
	struct puppet *puppet = arg;

	return bp_event(puppet->dev, BP_EVENT_RESET, 0);
}

static void work_done(void *arg, int result)
{
	struct puppet *puppet = arg;

	tell(puppet, result == 7 ? 'd' : '?');
	if (puppet->again)
		start_job(puppet, 0);
}

static int start_job(struct puppet *puppet, uint64_t val)
{
	return bp_job(puppet->dev, val ? work_and_sin : work, work_done, puppet);
}

static void jobs_run_in_order(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(fakehost_job_work(fix->dev), -EINVAL);
	assert_int_equal(fakehost_job_done(fix->dev), -EINVAL);
	assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(act(fix, start_job, 0), 0);
	assert_string_equal(fix->puppet->story, ""); /* nothing happens by itself */
	assert_int_equal(fakehost_job_done(fix->dev), -EINVAL);
	assert_int_equal(fakehost_job_work(fix->dev), 0);
	assert_int_equal(fakehost_job_work(fix->dev), -EINVAL);
	assert_int_equal(fakehost_reset(fix->dev), 0); /* in between, and it ends no job */
	assert_int_equal(fakehost_job_done(fix->dev), 0);
	assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(fakehost_jobs(fix->dev), 2);
	assert_string_equal(fix->puppet->story, "wRdwdwd");
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

static void jobs_have_bounds(void **state)
{
	struct fixture *fix = *state;

	for (unsigned int i = 0; i < 64; i++)
		assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(act(fix, start_job, 0), -ENOSPC);
	assert_int_equal(fakehost_job_work(fix->dev), 0);
	assert_int_equal(act(fix, start_job, 0), -ENOSPC); /* until the device has been told */
	assert_int_equal(fakehost_job_done(fix->dev), 0);
	assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(fakehost_jobs(fix->dev), 64);
	assert_int_equal(fakehost_breaches(fix->host), 0);
	fix->puppet->again = true;
	assert_int_equal(act(fix, start_job, 0), 0);
	fakehost_jobs(fix->dev);
	assert_int_equal(fakehost_log_count(fix->host, "jobs follow one another for ever"), 1);
}

static void job_touches_nothing_else(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(act(fix, start_job, 1), 0);
	assert_int_equal(fakehost_jobs(fix->dev), 1);
	assert_int_equal(fakehost_log_count(fix->host, "bp_event called from a job"), 1);
	assert_int_equal(fakehost_event_count(fix->dev, 0), 0);
}

/* What the device has not been told by then is dropped. */
static void stop_ends_jobs(void **state)
{
	struct fixture *fix = *state;

	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(fakehost_job_work(fix->dev), 0);
	fix->puppet->again = true;
	assert_int_equal(fakehost_stop(fix->dev), 0);
	assert_string_equal(fix->puppet->story, "wS");
	assert_int_equal(fakehost_jobs(fix->dev), 0);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

static void quiesce_waits_for_jobs(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(fakehost_job_work(fix->dev), 0);
	assert_int_equal(act(fix, start_job, 0), 0);
	assert_int_equal(fakehost_quiesce(fix->dev), 0);
	assert_string_equal(fix->puppet->story, "wdwd");
	assert_int_equal(fakehost_resume(fix->dev), 0);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

/* ---- streams ---- */

static int ask_size(struct puppet *puppet, uint64_t val)
{
	uint32_t columns = 1, rows = 2;
	int r = bp_stream_size(puppet->dev, puppet->stream, &columns, &rows);

	return r < 0 ? r : (columns << 16 | rows) == val ? 0 : -ERANGE;
}

static void terminals_have_a_size(void **state)
{
	struct fixture *fix = *state;
	struct bp_stream *stream = fakehost_stream(fix->dev, "stream");

	assert_int_equal(act(fix, ask_size, 0), -ENOTTY);
	fakehost_stream_resize(stream, 80, 25);
	assert_int_equal(fix->puppet->stream_events, BP_STREAM_SIZE);
	assert_int_equal(act(fix, ask_size, 80 << 16 | 25), 0);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

/* Nothing comes while the device is quiet, and nothing is lost. */
static void quiet_streams_and_clocks(void **state)
{
	struct fixture *fix = *state;
	struct bp_stream *stream = fakehost_stream(fix->dev, "stream");

	assert_int_equal(fakehost_quiesce(fix->dev), 0);
	assert_int_equal(fakehost_stream_put(stream, "x", 1), 1);
	fakehost_stream_resize(stream, 80, 25);
	assert_int_equal(fix->puppet->stream_events, 0);
	assert_int_equal(fakehost_resume(fix->dev), 0);
	assert_int_equal(fix->puppet->stream_events, BP_STREAM_IN | BP_STREAM_SIZE);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

/* ---- descriptors ---- */

#define FDS_MAX 4096

static int many[FDS_MAX + 1];
static uint32_t many_calls;

static void on_many(void *arg, int fd, uint32_t events)
{
	struct puppet *puppet = arg;

	assert_int_equal(events, BP_FD_IN);
	/* The first of them brings another one, ready as well. */
	if (!many_calls++)
		assert_int_equal(bp_fd_add(puppet->dev, many[FDS_MAX - 1], BP_FD_IN, on_many, puppet), 0);
	(void)fd;
}

static int add_many(struct puppet *puppet, uint64_t val)
{
	for (uint64_t i = 0; i < val; i++)
		assert_int_equal(bp_fd_add(puppet->dev, many[i], BP_FD_IN, on_many, puppet), 0);
	assert_int_equal(bp_fd_add(puppet->dev, many[0], BP_FD_IN, on_many, puppet), -EEXIST);
	return 0;
}

static int remove_many(struct puppet *puppet, uint64_t val)
{
	assert_int_equal(bp_fd_add(puppet->dev, many[val], BP_FD_IN, on_many, puppet), -ENOSPC);
	for (uint64_t i = 0; i < val; i++)
		assert_int_equal(bp_fd_del(puppet->dev, many[i]), 0);
	return 0;
}

static void descriptors_by_the_thousand(void **state)
{
	struct fixture *fix = *state;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (size_t i = 0; i <= FDS_MAX; i++) {
		many[i] = eventfd(1, EFD_CLOEXEC);
		assert_true(many[i] >= 0);
	}
	assert_int_equal(act(fix, add_many, FDS_MAX - 1), 0);
	assert_int_equal(fakehost_poll(fix->host), FDS_MAX);
	assert_int_equal(many_calls, FDS_MAX);
	assert_int_equal(act(fix, remove_many, FDS_MAX), 0);
	assert_int_equal(fakehost_poll(fix->host), 0);
	for (size_t i = 0; i <= FDS_MAX; i++)
		close(many[i]);
	assert_int_equal(fakehost_breaches(fix->host), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(clocks_go_and_are_set),
		TEST(events_are_kept),
		TEST(metrics_are_read),
		TEST(jobs_run_in_order),
		TEST(jobs_have_bounds),
		TEST(job_touches_nothing_else),
		TEST(stop_ends_jobs),
		TEST(quiesce_waits_for_jobs),
		TEST(terminals_have_a_size),
		TEST(quiet_streams_and_clocks),
		TEST(descriptors_by_the_thousand),
	};

	return cmocka_run_group_tests_name("fakehost_machine", tests, NULL, NULL);
}
