/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving and loading a device: the round trip, rest and return, and bytes that are hostile. */
#include "core/device/state.h"

#include "tests/unit/device_fixture.h"

struct numbers {
	uint64_t number;
	uint8_t text[8];
};

static int save_numbers(struct subject *subject, struct bp_writer *writer)
{
	const struct numbers *numbers = subject->extra;

	bp_put_uint(writer, 1, numbers->number);
	bp_put_bytes(writer, 2, numbers->text, sizeof(numbers->text));
	bp_put_uint(writer, 3 | BP_TAG_OPTIONAL, 99);
	bp_put_bytes(writer, 4, NULL, 0);
	return 0;
}

static uint32_t loaded_version;

static int load_numbers(struct subject *subject, struct bp_reader *reader, uint32_t version)
{
	struct numbers *numbers = subject->extra;
	struct numbers loaded;
	int r = bp_get_uint_max(reader, 1, 1000, &loaded.number);

	loaded_version = version;
	if (r == 0)
		r = bp_get_bytes(reader, 2, loaded.text, sizeof(loaded.text));
	if (r >= 0)
		r = bp_get_bytes(reader, 4, NULL, 0);
	if (r < 0)
		return bp_fail(subject->dev, r, "bad state");
	MUST(bp_get_uint(reader, 77, &loaded.number) == -ENOENT);
	*numbers = loaded;
	return 0;
}

static void prepare(struct subject *subject, struct numbers *numbers)
{
	subject->extra = numbers;
	subject->hooks.save = save_numbers;
	subject->hooks.load = load_numbers;
	subject_run(subject);
}

static void save(struct subject *subject, uint8_t **ret, size_t *ret_count)
{
	if (device_save(subject->device, ret, ret_count, &subject->err) < 0)
		fail_msg("%s", subject->err.text);
}

static void state_goes_from_one_instance_to_another(void **state)
{
	struct fixture *fixture = *state;
	struct numbers one = { 42, "hello" }, two = { 0 };
	uint8_t *bytes, *again;
	size_t count, again_count;

	prepare(&fixture->one, &one);
	prepare(&fixture->two, &two);
	assert_int_equal(device_quiesce(fixture->one.device), 0);
	assert_int_equal(device_quiesce(fixture->two.device), 0);
	save(&fixture->one, &bytes, &count);
	save(&fixture->one, &again, &again_count);
	assert_int_equal(count, again_count);
	assert_memory_equal(bytes, again, count);
	free(again);
	assert_int_equal(device_load(fixture->two.device, bytes, count, &fixture->two.err), 0);
	assert_int_equal(loaded_version, 3);
	assert_memory_equal(&one, &two, sizeof(one));
	save(&fixture->two, &again, &again_count);
	assert_int_equal(count, again_count);
	assert_memory_equal(bytes, again, count);
	free(again);
	free(bytes);
	assert_string_equal(fixture->two.trace, "validate create start quiesce reset load");
}

static void device_at_rest_answers_nothing_and_comes_back(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { 0 };
	uint64_t value = 0;

	prepare(subject, &numbers);
	assert_int_equal(guest_read(subject, &value), 0);
	assert_int_equal(device_quiesce(subject->device), 0);
	assert_int_equal(guest_read(subject, &value), -ENODEV);
	assert_int_equal(device_quiesce(subject->device), -EINVAL);
	assert_int_equal(device_resume(subject->device, &subject->err), 0);
	assert_int_equal(guest_read(subject, &value), 0);
	assert_int_equal(device_resume(subject->device, &subject->err), -EINVAL);
	subject_end(subject);
	assert_string_equal(subject->trace, "validate create start quiesce resume stop destroy");
}

static void count_timer(void *arg, uint32_t timer)
{
	struct subject *subject = arg;

	(void)timer;
	event_post(&subject->done);
}

static uint32_t timer;

static int arm_now(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	(void)access, (void)val;
	MUST(bp_timer_add(subject->dev, count_timer, subject, &timer) == 0);
	return 0;
}

static void arm_in_quiesce(struct subject *subject)
{
	MUST(bp_timer_set(subject->dev, timer, 1) == 0);
}

static void timer_that_is_due_at_rest_waits_for_resume(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;

	subject_run(subject);
	assert_int_equal(on_dev(subject, arm_now), 0);
	subject->hooks.quiesce = arm_in_quiesce;
	assert_int_equal(device_quiesce(subject->device), 0);
	/* The loop has ended: whatever it was going to do, it has done. */
	assert_int_equal(event_count(&subject->done), 0);
	assert_int_equal(device_resume(subject->device, &subject->err), 0);
	assert_true(event_wait(&subject->done, 1));
}

static void only_a_device_at_rest_is_saved_and_loaded(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { 0 };
	uint8_t *bytes = NULL;
	size_t count;

	prepare(subject, &numbers);
	assert_int_equal(device_save(subject->device, &bytes, &count, &subject->err), -EINVAL);
	assert_int_equal(device_load(subject->device, "x", 1, &subject->err), -EINVAL);
	assert_null(bytes);
}

static int save_twice(struct subject *subject, struct bp_writer *writer)
{
	(void)subject;
	bp_put_uint(writer, 1, 1);
	bp_put_uint(writer, 1, 2);
	return 0;
}

static int save_too_much(struct subject *subject, struct bp_writer *writer)
{
	void *much = calloc(1, BP_STATE_MAX);

	(void)subject;
	MUST(much);
	MUST(bp_put_bytes(writer, 1, much, BP_STATE_MAX) == -ENOSPC);
	MUST(bp_put_bytes(writer, 2, much, BP_STATE_MAX / 2) == 0);
	MUST(bp_put_bytes(writer, 3, much, BP_STATE_MAX / 2) == -ENOSPC);
	free(much);
	return 0;
}

static int save_fails(struct subject *subject, struct bp_writer *writer)
{
	(void)writer;
	return bp_fail(subject->dev, -EIO, "no");
}

static void save_that_went_wrong_fails(void **state)
{
	static int (*const saves[])(struct subject *, struct bp_writer *) = { save_twice, save_too_much, save_fails };
	static const int errors[] = { -EEXIST, -ENOSPC, -EIO };
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { 0 };

	log_catch(LOG_LEVEL_ERROR);
	prepare(subject, &numbers);
	assert_int_equal(device_quiesce(subject->device), 0);
	for (size_t i = 0; i < COUNT_OF(saves); i++) {
		uint8_t *bytes = NULL;
		size_t count;

		subject->hooks.save = saves[i];
		assert_int_equal(device_save(subject->device, &bytes, &count, &subject->err), errors[i]);
		assert_null(bytes);
	}
}

static int load_little(struct subject *subject, struct bp_reader *reader, uint32_t version)
{
	uint64_t number;

	(void)subject, (void)version;
	return bp_get_uint(reader, 1, &number);
}

static void field_that_load_does_not_know_fails_it(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { .number = 5 };
	uint8_t *bytes;
	size_t count;

	prepare(subject, &numbers);
	assert_int_equal(device_quiesce(subject->device), 0);
	save(subject, &bytes, &count);
	subject->hooks.load = load_little;
	assert_int_equal(device_load(subject->device, bytes, count, &subject->err), -EINVAL);
	assert_string_equal(subject->err.text, "the plugin does not know field 0x2 of the state");
	free(bytes);
	assert_string_equal(subject->trace, "validate create start quiesce reset load reset");
}

static void load_of_a_bad_value_fails_and_resets(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { .number = 1001 };
	uint8_t *bytes;
	size_t count;

	log_catch(LOG_LEVEL_ERROR);
	prepare(subject, &numbers);
	assert_int_equal(device_quiesce(subject->device), 0);
	save(subject, &bytes, &count);
	assert_int_equal(device_load(subject->device, bytes, count, &subject->err), -ERANGE);
	free(bytes);
	assert_string_equal(subject->trace, "validate create start quiesce reset load reset");
}

static void newer_version_is_refused(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { 0 };
	uint8_t *bytes;
	size_t count;

	prepare(subject, &numbers);
	assert_int_equal(device_quiesce(subject->device), 0);
	save(subject, &bytes, &count);
	bytes[8] = 4;
	assert_int_equal(device_load(subject->device, bytes, count, &subject->err), -EINVAL);
	assert_string_equal(subject->err.text, "the state is of version 4, this plugin knows versions up to 3");
	bytes[8] = 0;
	assert_int_equal(device_load(subject->device, bytes, count, &subject->err), -EINVAL);
	bytes[8] = 1;
	assert_int_equal(device_load(subject->device, bytes, count, &subject->err), 0);
	assert_int_equal(loaded_version, 1);
	free(bytes);
}

/* Every byte changed in every way, and every length: refused, or loaded with values that load itself accepts. */
static void damaged_states_are_refused_or_harmless(void **state)
{
	struct subject *subject = &((struct fixture *)*state)->one;
	struct numbers numbers = { .number = 7 };
	uint8_t *bytes, *copy;
	size_t count, accepted = 0;

	log_catch(LOG_LEVEL_ERROR);
	prepare(subject, &numbers);
	assert_int_equal(device_quiesce(subject->device), 0);
	save(subject, &bytes, &count);
	for (size_t length = 0; length < count; length++) {
		copy = malloc(length ? length : 1); /* so that a sanitizer sees what lies outside */
		assert_non_null(copy);
		memcpy(copy, bytes, length);
		assert_true(device_load(subject->device, copy, length, &subject->err) < 0);
		free(copy);
	}
	MUST(count);
	copy = malloc(count);
	assert_non_null(copy);
	for (size_t at = 0; at < count; at++)
		for (unsigned int bit = 0; bit < 8; bit++) {
			memcpy(copy, bytes, count);
			copy[at] ^= (uint8_t)(1u << bit);
			accepted += device_load(subject->device, copy, count, &subject->err) == 0;
			assert_true(numbers.number <= 1000);
		}
	free(copy);
	free(bytes);
	/* Those that only change what a field says. */
	assert_true(accepted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(state_goes_from_one_instance_to_another),
		TEST(device_at_rest_answers_nothing_and_comes_back),
		TEST(timer_that_is_due_at_rest_waits_for_resume),
		TEST(only_a_device_at_rest_is_saved_and_loaded),
		TEST(save_that_went_wrong_fails),
		TEST(field_that_load_does_not_know_fails_it),
		TEST(load_of_a_bad_value_fails_and_resets),
		TEST(newer_version_is_refused),
		TEST(damaged_states_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
