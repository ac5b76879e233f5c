/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics of a device: made in create, counted from any thread, read by anybody. */
#include "tests/unit/device_fixture.h"

static uint64_t *slot;
static int results[80];

static int make_two(struct subject *subject, const struct bp_cfg *cfg)
{
	uint64_t *gauge = NULL;

	(void)cfg;
	MUST(bp_metric(subject->dev, BP_METRIC_COUNTER, "read_bytes", "bytes read", &slot) == 0);
	MUST(bp_metric(subject->dev, BP_METRIC_GAUGE, "depth", "requests under way", &gauge) == 0);
	bp_metric_set(gauge, 7);
	return 0;
}

static char seen[512];

static void see(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	size_t used = strlen(seen);

	(void)arg;
	snprintf(seen + used, sizeof(seen) - used, "%u %s (%s) %llu;", kind, name, help, (unsigned long long)value);
}

static void *count_much(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100000; i++)
		bp_metric_add(slot, 3);
	return NULL;
}

static void counts_of_several_threads_add_up(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	pthread_t threads[2];

	subject->hooks.create = make_two;
	assert_int_equal(subject_new(subject), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, count_much, NULL);
	for (int i = 0; i < 2; i++)
		assert_true(thread_join(threads[i]));
	seen[0] = 0;
	device_metrics_each(subject->device, see, NULL);
	assert_string_equal(seen, "1 read_bytes (bytes read) 600000;2 depth (requests under way) 7;");
}

static int make_wrong(struct subject *subject, const struct bp_cfg *cfg)
{
	uint64_t *other = NULL;
	int i = 0;

	(void)cfg;
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "good", "a help", &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "good", "a help", &other);
	results[i++] = bp_metric(subject->dev, 3, "kind", "a help", &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "Upper", "a help", &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "", "a help", &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, NULL, "a help", &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "help", NULL, &other);
	results[i++] = bp_metric(subject->dev, BP_METRIC_COUNTER, "help", "two\nlines", &other);
	results[i++] =
	    bp_metric(subject->dev, BP_METRIC_COUNTER, "a23456789012345678901234567890123", "a help", &other);
	return 0;
}

static void malformed_metrics_are_refused(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;

	subject->hooks.create = make_wrong;
	assert_int_equal(subject_new(subject), 0);
	assert_int_equal(results[0], 0);
	assert_int_equal(results[1], -EEXIST);
	for (int i = 2; i < 9; i++)
		assert_int_equal(results[i], -EINVAL);
	seen[0] = 0;
	device_metrics_each(subject->device, see, NULL);
	assert_string_equal(seen, "1 good (a help) 0;");
}

static int make_many(struct subject *subject, const struct bp_cfg *cfg)
{
	(void)cfg;
	for (int i = 0; i < 66; i++) {
		char name[16];
		uint64_t *other = NULL;

		snprintf(name, sizeof(name), "m%d", i);
		results[i] = bp_metric(subject->dev, BP_METRIC_COUNTER, name, "one of many", &other);
	}
	return 0;
}

static void at_most_64_metrics(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;

	subject->hooks.create = make_many;
	assert_int_equal(subject_new(subject), 0);
	for (int i = 0; i < 64; i++)
		assert_int_equal(results[i], 0);
	assert_int_equal(results[64], -ENOSPC);
	assert_int_equal(results[65], -ENOSPC);
}

static int make_late(struct subject *subject)
{
	uint64_t *other = NULL;

	results[0] = bp_metric(subject->dev, BP_METRIC_COUNTER, "late", "a help", &other);
	return 0;
}

static int make_on_dev(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	uint64_t *other = NULL;

	(void)access, (void)val;
	results[1] = bp_metric(subject->dev, BP_METRIC_COUNTER, "later", "a help", &other);
	return 0;
}

static void metrics_are_made_in_create_only(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;

	log_catch(LOG_LEVEL_WARN);
	subject->hooks.start = make_late;
	subject_run(subject);
	assert_int_equal(on_dev(subject, make_on_dev), 0);
	assert_int_equal(results[0], -EINVAL);
	assert_int_equal(results[1], -EDEADLK);
}

static void absent_slot_takes_no_values(void **state)
{
	(void)state;
	bp_metric_add(NULL, 1);
	bp_metric_set(NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_of_several_threads_add_up), TEST(malformed_metrics_are_refused), TEST(at_most_64_metrics),
		TEST(metrics_are_made_in_create_only),  TEST(absent_slot_takes_no_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
