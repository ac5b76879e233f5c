/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams whose far side comes and goes, a pseudo terminal's slave or clients of a socket: what holds for both. */
#include "tests/unit/far_fixture.h"

static void without_anybody_output_is_dropped(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		for (int i = 0; i < 3; i++)
			assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		/* Whoever comes finds what is said from then on. */
		fd = come(form);
		say(fd, "hello");
		hear(fd, "who is there?\n");
		close(fd);
		far_end(one);
	}
	free(data);
}

static void each_one_who_comes_is_served(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		far_run(one, READS_ALL, form);
		for (int i = 0; i < 20; i++) {
			int fd = come(form);
			char text[32];

			snprintf(text, sizeof(text), "client %d", i);
			say(fd, text);
			hear(fd, text);
			close(fd);
			/* With and without words for nobody in between. */
			if (i % 2) {
				assert_idle(one);
				assert_int_equal(console_write(&console, "lost\n", 5), 5);
			}
		}
		assert_idle(one);
		far_end(one);
	}
}

static void typing_is_heard_before_anything_was_said(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		far_run(one, READS_ALL, form);
		assert_idle(one);
		for (int i = 0; i < 5; i++) {
			int fd = come(form);

			say(fd, "a");
			say(fd, "b");
			close(fd);
			assert_idle(one);
		}
		far_end(one);
	}
}

static void words_before_leaving_are_heard(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_NOT, form);
		fd = come(form);
		assert_int_equal(write(fd, data, 10000), 10000);
		close(fd);
		assert_true(event_wait(&console.in, 1));
		/* The device takes its time: that costs nothing. */
		assert_idle(one);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 10000;)
			console_read(&console, 100);
		assert_int_equal(console.got_count, 10000);
		assert_memory_equal(console.got, data, 10000);
		assert_idle(one);
		far_end(one);
	}
	free(data);
}

static void one_who_does_not_read_grows_nothing(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum form form = 0; form < FORMS; form++) {
		size_t count = 0;
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_idle(one);
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_in_range(console.result, OUTPUT_BYTES, MEGABYTE - 1);
		/* He thinks better of it: nothing is lost. */
		while (count < MEGABYTE) {
			ssize_t got = read(fd, seen + count, MEGABYTE - count);

			assert_true(got > 0);
			count += (size_t)got;
		}
		assert_memory_equal(seen, data, MEGABYTE);
		close(fd);
		far_end(one);
	}
	free(data);
	free(seen);
}

static void one_who_leaves_amid_output_frees_the_device(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), seen[1000];

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		console.send = data;
		console.send_count = MEGABYTE;
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_int_equal(read(fd, seen, sizeof(seen)), sizeof(seen));
		assert_memory_equal(seen, data, sizeof(seen));
		assert_true(console.result < (int)MEGABYTE);
		close(fd);
		/* The device is told that there is room, and gets rid of everything. */
		assert_true(event_wait(&console.out, 1));
		assert_int_equal(on_dev(one, NULL), 0);
		assert_idle(one);
		assert_int_equal(console.sent, MEGABYTE);
		/* The next one gets none of it. */
		fd = come(form);
		say(fd, "hello");
		hear(fd, "welcome");
		close(fd);
		far_end(one);
	}
	free(data);
}

static void a_flood_stays_outside(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		size_t flood = 0;
		ssize_t count;
		int fd;

		far_run(one, READS_NOT, form);
		fd = come(form);
		fcntl(fd, F_SETFL, O_NONBLOCK);
		for (int settled = 0; settled < 2; settled++) {
			while ((count = write(fd, data + flood, MEGABYTE - flood)) > 0)
				flood += (size_t)count;
			assert_true(event_wait(&console.in, 1));
			assert_idle(one);
		}
		assert_true(flood < MEGABYTE / 2);
		assert_int_equal(event_count(&console.in), 1);
		/* It is ended amid the flood, which is read to the end. */
		close(fd);
		assert_idle(one);
		for (uint64_t times = 1; console.got_count < flood; times++) {
			assert_true(event_wait(&console.in, times));
			assert_true(console_read(&console, INPUT_BYTES) > 0);
		}
		assert_memory_equal(console.got, data, flood);
		assert_idle(one);
		far_end(one);
	}
	free(data);
}

static void floods_pass_both_ways(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum form form = 0; form < FORMS; form++) {
		struct player reader, writer;
		int fd;

		console.goal = MEGABYTE;
		far_run(one, ECHOES, form);
		fd = come(form);
		play(&reader, play_reader, fd, seen, MEGABYTE);
		play(&writer, play_writer, fd, data, MEGABYTE);
		assert_true(thread_join(writer.thread));
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, MEGABYTE);
		close(fd);
		far_end(one);
	}
	free(data);
	free(seen);
}

/* One who does not listen still hears what it asks for, and its output is delivered. */
static void a_device_that_does_not_listen(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		console.deaf = true;
		far_run(one, READS_NOT, form);
		fd = come(form);
		assert_int_equal(write(fd, "hello", 5), 5);
		for (time_t end = time(NULL) + PATIENCE_S; time(NULL) < end && console.got_count < 5;)
			console_read(&console, 2);
		assert_memory_equal(console.got, "hello", 5);
		hear(fd, "welcome");
		close(fd);
		assert_idle(one);
		assert_int_equal(console_read(&console, 100), 0);
		assert_idle(one);
		far_end(one);
	}
}

static void the_escape_key_is_a_key(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;

	for (enum form form = 0; form < FORMS; form++) {
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "a" ESCAPE "b");
		assert_int_equal(event_count(&one->quit), 0);
		close(fd);
		far_end(one);
	}
}

static void one_who_stopped_does_not_hold_up_the_end(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum form form = 0; form < FORMS; form++) {
		uint64_t start;
		int fd;

		far_run(one, READS_ALL, form);
		fd = come(form);
		say(fd, "hello");
		assert_true(console_write(&console, data, MEGABYTE) < (int)MEGABYTE);
		start = clock_now_ns();
		device_stop(one->device);
		assert_true(clock_now_ns() - start < 10 * NS_PER_S);
		close(fd);
		far_end(one);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAR_TEST(without_anybody_output_is_dropped),
		FAR_TEST(each_one_who_comes_is_served),
		FAR_TEST(typing_is_heard_before_anything_was_said),
		FAR_TEST(words_before_leaving_are_heard),
		FAR_TEST(one_who_does_not_read_grows_nothing),
		FAR_TEST(one_who_leaves_amid_output_frees_the_device),
		FAR_TEST(a_flood_stays_outside),
		FAR_TEST(floods_pass_both_ways),
		FAR_TEST(a_device_that_does_not_listen),
		FAR_TEST(the_escape_key_is_a_key),
		FAR_TEST(one_who_stopped_does_not_hold_up_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
