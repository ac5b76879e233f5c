/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs of a device: on a thread of their own, told in order on the device, ended with it. */
#include "tests/unit/device_fixture.h"

/* What the plugin of a test keeps. */
struct jobs {
	struct subject *subject;
	struct event begun;  /* posted by each job */
	struct event gate;   /* waited for by jobs that block */
	struct event told;   /* posted by each done */
	uint64_t gate_count; /* how often it must have been posted */
	pthread_t worker;    /* of the last job */
	int order[128];
	size_t order_count;
	int results[128];
	int adding; /* result of bp_job in done */
};

struct job {
	struct jobs *jobs;
	int number;
	bool blocks;
	bool again; /* done adds it once more */
};

static int work(void *arg)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;

	jobs->worker = pthread_self();
	event_post(&jobs->begun);
	if (job->blocks)
		MUST(event_wait(&jobs->gate, jobs->gate_count));
	return job->number * 10;
}

static void done(void *arg, int result)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;

	jobs->order[jobs->order_count] = job->number;
	jobs->results[jobs->order_count++] = result;
	if (job->again) {
		job->again = false;
		jobs->adding = bp_job(jobs->subject->dev, work, done, job);
	}
	event_post(&jobs->told);
}

static struct jobs *jobs_of(struct subject *subject)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	MUST(jobs);
	*jobs = (struct jobs){
		.subject = subject, .begun = EVENT_INIT, .gate = EVENT_INIT, .told = EVENT_INIT, .gate_count = 1
	};
	subject->extra = jobs;
	return jobs;
}

/* What the access hooks add; set by the test. */
static struct job job_list[80];
static size_t job_count;
static int job_results[80];

static int add_jobs(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	for (size_t i = 0; i < job_count; i++)
		job_results[i] = bp_job(subject->dev, work, done, &job_list[i]);
	return 0;
}

static void prepare(struct jobs *jobs, size_t count)
{
	job_count = count;
	for (size_t i = 0; i < count; i++)
		job_list[i] = (struct job){ .jobs = jobs, .number = (int)i };
}

static void job_runs_elsewhere_and_is_told_on_the_device(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);

	subject_run(subject);
	prepare(jobs, 1);
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_int_equal(job_results[0], 0);
	assert_true(event_wait(&jobs->told, 1));
	assert_int_equal(jobs->results[0], 0);
	assert_false(pthread_equal(jobs->worker, pthread_self()));
	assert_false(pthread_equal(jobs->worker, subject->device->loop.thread));
	subject_end(subject);
	free(jobs);
}

static void jobs_are_told_in_order_with_their_results(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);

	subject_run(subject);
	prepare(jobs, 50);
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_true(event_wait(&jobs->told, 50));
	subject_end(subject);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(jobs->order[i], i);
		assert_int_equal(jobs->results[i], i * 10);
	}
	free(jobs);
}

static void blocking_job_does_not_hold_the_device_up(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);
	uint64_t value = 0;

	subject_run(subject);
	prepare(jobs, 1);
	job_list[0].blocks = true;
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_true(event_wait(&jobs->begun, 1));
	subject->hooks.access = NULL;
	assert_int_equal(guest_read(subject, &value), 0);
	assert_int_equal(event_count(&jobs->told), 0);
	event_post(&jobs->gate);
	assert_true(event_wait(&jobs->told, 1));
	subject_end(subject);
	free(jobs);
}

static void more_than_64_jobs_are_refused(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);

	subject_run(subject);
	prepare(jobs, 66);
	job_list[0].blocks = true;
	assert_int_equal(on_dev(subject, add_jobs), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(job_results[i], 0);
	assert_int_equal(job_results[64], -ENOSPC);
	assert_int_equal(job_results[65], -ENOSPC);
	event_post(&jobs->gate);
	assert_true(event_wait(&jobs->told, 64));
	subject_end(subject);
	free(jobs);
}

static void done_can_add_a_job(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);

	subject_run(subject);
	prepare(jobs, 1);
	job_list[0].again = true;
	jobs->adding = -1;
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_true(event_wait(&jobs->told, 2));
	assert_int_equal(jobs->adding, 0);
	subject_end(subject);
	free(jobs);
}

static int add_in_create(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	return bp_job(subject->dev, work, done, &job_list[0]);
}

static void job_of_create_is_told_once_the_device_runs(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);

	prepare(jobs, 1);
	subject->hooks.create = add_in_create;
	assert_int_equal(subject_new(subject), 0);
	assert_true(event_wait(&jobs->begun, 1));
	assert_int_equal(event_count(&jobs->told), 0);
	assert_int_equal(device_start(subject->device, &subject->err), 0);
	assert_true(event_wait(&jobs->told, 1));
	subject_end(subject);
	free(jobs);
}

static void *open_gate(void *arg)
{
	struct jobs *jobs = arg;

	/* Nobody is told before the device ends: its loop has ended, which stop waits for the job after. */
	event_post(&jobs->gate);
	return NULL;
}

static int late_result;

static void add_in_stop(struct subject *subject)
{
	late_result = bp_job(subject->dev, work, done, &job_list[0]);
}

static void stop_waits_for_the_running_job_and_drops_the_others(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);
	pthread_t opener;

	subject_run(subject);
	prepare(jobs, 3);
	job_list[0].blocks = true;
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_true(event_wait(&jobs->begun, 1));
	subject->hooks.stop = add_in_stop;
	late_result = 0;
	pthread_create(&opener, NULL, open_gate, jobs);
	device_stop(subject->device);
	pthread_join(opener, NULL);
	assert_int_equal(late_result, -ESHUTDOWN);
	subject_end(subject);
	/* Those that it may have come to before the stop are fine; nothing begins after it. */
	assert_true(event_count(&jobs->begun) <= 3);
	assert_true(event_count(&jobs->told) <= event_count(&jobs->begun));
	free(jobs);
}

static void quiesce_waits_for_jobs_and_their_telling(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct jobs *jobs = jobs_of(subject);
	pthread_t opener;

	subject_run(subject);
	prepare(jobs, 5);
	job_list[0].blocks = true;
	assert_int_equal(on_dev(subject, add_jobs), 0);
	assert_true(event_wait(&jobs->begun, 1));
	pthread_create(&opener, NULL, open_gate, jobs);
	assert_int_equal(device_quiesce(subject->device), 0);
	assert_int_equal(event_count(&jobs->told), 5);
	pthread_join(opener, NULL);
	subject_end(subject);
	free(jobs);
}

static int wrong_thread_result;

static int call_from_job(void *arg)
{
	struct subject *subject = arg;

	wrong_thread_result = bp_job(subject->dev, work, done, &job_list[0]);
	return 0;
}

static void call_from_job_done(void *arg, int result)
{
	struct subject *subject = arg;

	(void)result;
	event_post(&subject->done);
}

static int add_breach(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	job_results[1] = bp_job(subject->dev, NULL, call_from_job_done, subject);
	job_results[2] = bp_job(subject->dev, call_from_job, NULL, subject);
	job_results[0] = bp_job(subject->dev, call_from_job, call_from_job_done, subject);
	return 0;
}

static void job_cannot_call_what_belongs_to_the_device(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;

	log_catch(LOG_LEVEL_WARN);
	subject_run(subject);
	assert_int_equal(on_dev(subject, add_breach), 0);
	assert_true(event_wait(&subject->done, 1));
	assert_int_equal(wrong_thread_result, -EDEADLK);
	assert_int_equal(job_results[0], 0);
	assert_int_equal(job_results[1], -EINVAL);
	assert_int_equal(job_results[2], -EINVAL);
	assert_non_null(strstr(log_caught(), "bp_job"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(job_runs_elsewhere_and_is_told_on_the_device),
		TEST(jobs_are_told_in_order_with_their_results),
		TEST(blocking_job_does_not_hold_the_device_up),
		TEST(more_than_64_jobs_are_refused),
		TEST(done_can_add_a_job),
		TEST(job_of_create_is_told_once_the_device_runs),
		TEST(stop_waits_for_the_running_job_and_drops_the_others),
		TEST(quiesce_waits_for_jobs_and_their_telling),
		TEST(job_cannot_call_what_belongs_to_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
