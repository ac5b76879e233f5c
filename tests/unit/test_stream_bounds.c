/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: nothing blocks or grows, whatever the far side does or leaves undone, and every end is noticed. */
#include "tests/unit/stream_fixture.h"

/* ---- bounds ---- */

static void a_reader_that_stops_grows_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		size_t bytes = bytes_for(kind), seen_count;

		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = bytes;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_idle(one);
		/* What the kernel keeps is its own affair, as long as it is less than what was offered. */
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_in_range(console.result, OUTPUT_BYTES, bytes - 1);
		/* As soon as somebody reads, the device hears of it and goes on where it was. */
		seen_count = 0;
		while (seen_count < bytes) {
			ssize_t count = read(far.far, seen + seen_count, bytes - seen_count);

			assert_true(count > 0);
			seen_count += (size_t)count;
		}
		assert_true(event_wait(&console.out, 1));
		assert_memory_equal(seen, data, bytes);
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

static void room_is_told_only_if_asked_for(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 1);
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);
	size_t total, taken;

	assert_non_null(seen);
	assert_true(fcntl(far.near, F_SETPIPE_SZ, 4096) >= 4096);
	console_run(one, &console, READS_NOT, -1, far.near);
	/* All of it was taken, part of it into the buffer: no event when that drains. */
	assert_int_equal(console_write(&console, data, 30000), 30000);
	for (total = 0; total < 30000; total += taken) {
		ssize_t count = read(far.far, seen + total, 30000 - total);

		assert_true(count > 0);
		taken = (size_t)count;
	}
	assert_memory_equal(seen, data, 30000);
	assert_idle(one);
	assert_int_equal(event_count(&console.out), 0);
	/* Here some was not. */
	console.send_count = 0;
	assert_in_range(console_write(&console, data, MEGABYTE), OUTPUT_BYTES, MEGABYTE - 1);
	assert_int_equal(console_write(&console, data, 10), 0);
	assert_true(drain(far.far, seen, 4096) > 0);
	assert_true(event_wait(&console.out, 1));
	assert_true(console_write(&console, data, 10) > 0);
	device_stop(one->device);
	close(far.far);
	free(data);
	free(seen);
}

static void a_flood_of_input_stays_outside(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);
	uint8_t *data = noise(MEGABYTE);
	size_t flood = 0;
	ssize_t count;

	console_run(one, &console, READS_NOT, far.near, -1);
	fcntl(far.far, F_SETFL, O_NONBLOCK);
	count = write(far.far, data, MEGABYTE);
	assert_true(count > 0);
	flood += (size_t)count;
	assert_true(event_wait(&console.in, 1));
	/* It has taken one buffer; we can fill up that much, and then it is over. */
	while ((count = write(far.far, data + flood, MEGABYTE - flood)) > 0)
		flood += (size_t)count;
	assert_idle(one);
	assert_true(write(far.far, data + flood, MEGABYTE - flood) < 0);
	assert_true(flood < MEGABYTE / 2);
	assert_int_equal(event_count(&console.in), 1);
	/* Nothing of it is lost. */
	for (uint64_t times = 1; console.got_count < flood; times++) {
		assert_true(event_wait(&console.in, times));
		assert_true(console_read(&console, INPUT_BYTES) > 0);
	}
	close(far.far);
	device_stop(one->device);
	assert_int_equal(console.got_count, flood);
	assert_memory_equal(console.got, data, flood);
	free(data);
}

static void input_is_told_once_per_change(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);

	console_run(one, &console, READS_NOT, far.near, -1);
	assert_int_equal(write(far.far, "hello", 5), 5);
	assert_true(event_wait(&console.in, 1));
	assert_int_equal(write(far.far, "world", 5), 5);
	assert_int_equal(console_read(&console, 2), 2);
	assert_idle(one);
	assert_int_equal(event_count(&console.in), 1);
	/* With the last byte of the buffer the next ones are let in. */
	assert_int_equal(console_read(&console, 100), 3);
	assert_true(event_wait(&console.in, 2));
	assert_int_equal(console_read(&console, 100), 5);
	assert_memory_equal(console.got, "helloworld", 10);
	assert_int_equal(console_read(&console, 100), 0);
	close(far.far);
}

static void whoever_does_not_listen_can_ask(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);

		console.deaf = true;
		console_run(one, &console, READS_NOT, far.near, -1);
		assert_int_equal(console_read(&console, 100), 0);
		assert_int_equal(write(far.far, "hello", 5), 5);
		/* A terminal may pass it on a moment later. */
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 5;)
			console_read(&console, 2);
		assert_int_equal(console.got_count, 5);
		assert_memory_equal(console.got, "hello", 5);
		assert_int_equal(console_read(&console, 100), 0);
		close(far.far);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		subject_end(one);
		subject_init(one, "one");
	}
}

/* ---- ends ---- */

static void the_end_comes_after_the_data(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	for (enum kind kind = 0; kind < KIND_PTY; kind++) {
		struct far far = far_make(kind, 0);

		console_run(one, &console, READS_NOT, far.near, -1);
		assert_int_equal(write(far.far, data, 10000), 10000);
		close(far.far);
		assert_true(event_wait(&console.in, 1));
		/* The sender is gone, and the device takes its time: that costs nothing. */
		assert_idle(one);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 10000;)
			console_read(&console, 100);
		assert_int_equal(console.got_count, 10000);
		assert_memory_equal(console.got, data, 10000);
		assert_int_equal(console_read(&console, 100), 0);
		assert_idle(one);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

static void a_terminal_that_is_gone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console_run(one, &console, READS_ALL, far.near, dup(far.near));
	assert_int_equal(console_write(&console, "hello", 5), 5);
	close(far.far);
	assert_idle(one);
	assert_int_equal(console_read(&console, 100), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_idle(one);
}

static void output_goes_on_when_input_has_ended(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far in = far_make(KIND_PIPE, 0), out = far_make(KIND_PIPE, 1);
	uint8_t seen[5];

	console_run(one, &console, READS_ALL, in.near, out.near);
	close(in.far);
	assert_idle(one);
	assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_int_equal(read(out.far, seen, 5), 5);
	assert_memory_equal(seen, "hello", 5);
	close(out.far);
}

static void input_goes_on_when_output_has_failed(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KIND_PTY; kind++) {
		struct far in = far_make(KIND_PIPE, 0), out = far_make(kind, 1);

		log_catch(LOG_LEVEL_ERROR);
		console.goal = 5;
		console_run(one, &console, READS_ALL, in.near, out.near);
		close(out.far);
		assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_int_equal(write(in.far, "hello", 5), 5);
		assert_true(event_wait(&console.got_all, 1));
		assert_memory_equal(console.got, "hello", 5);
		assert_idle(one);
		assert_string_equal(log_caught(), "");
		log_release();
		close(in.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

/* The device was told "no room"; when the reader goes away there is all the room in the world, and it must hear of it. */
static void room_is_told_when_the_reader_is_gone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);

		log_catch(LOG_LEVEL_ERROR);
		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_true(console.result < (int)MEGABYTE);
		close(far.far);
		assert_true(event_wait(&console.out, 1));
		assert_int_equal(on_dev(one, NULL), 0);
		assert_int_equal(console.sent, MEGABYTE);
		log_release();
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

/* ---- the end of the VM ---- */

static void what_is_left_leaves_at_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 1);
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);
	size_t seen_count;

	assert_non_null(seen);
	assert_true(fcntl(far.near, F_SETPIPE_SZ, 65536) >= 65536);
	console_run(one, &console, READS_NOT, -1, far.near);
	assert_int_equal(console_write(&console, data, 70000), 70000);
	seen_count = drain(far.far, seen, MEGABYTE);
	device_stop(one->device);
	seen_count += drain(far.far, seen + seen_count, MEGABYTE - seen_count);
	assert_int_equal(seen_count, 70000);
	assert_memory_equal(seen, data, 70000);
	close(far.far);
	free(data);
	free(seen);
}

static void a_reader_that_stopped_does_not_hold_up_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		uint64_t start;

		console_run(one, &console, READS_NOT, -1, far.near);
		assert_true(console_write(&console, data, MEGABYTE) < (int)MEGABYTE);
		start = clock_now_ns();
		device_stop(one->device);
		assert_true(clock_now_ns() - start < 10 * NS_PER_S);
		subject_end(one);
		subject_init(one, "one");
		close(far.far);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_that_stops_grows_nothing),
		TEST(room_is_told_only_if_asked_for),
		TEST(a_flood_of_input_stays_outside),
		TEST(input_is_told_once_per_change),
		TEST(whoever_does_not_listen_can_ask),
		TEST(the_end_comes_after_the_data),
		TEST(a_terminal_that_is_gone),
		TEST(output_goes_on_when_input_has_ended),
		TEST(input_goes_on_when_output_has_failed),
		TEST(room_is_told_when_the_reader_is_gone),
		TEST(what_is_left_leaves_at_the_end),
		TEST(a_reader_that_stopped_does_not_hold_up_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
