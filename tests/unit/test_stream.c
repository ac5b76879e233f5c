/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams: what is read and written over everything that can be on the far side, and the escape key. */
#include "tests/unit/stream_fixture.h"

/* ---- a megabyte each way ---- */

static void input_of_a_megabyte(void **state, enum habit habit)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);
		struct player writer;

		console.goal = MEGABYTE;
		console_run(one, &console, habit, far.near, -1);
		play(&writer, play_writer, far.far, data, MEGABYTE);
		if (!event_wait(&console.got_all, 1))
			fail_msg("%s: %zu bytes have come", far.name, console.got_count);
		assert_true(thread_join(writer.thread));
		device_stop(one->device);
		assert_int_equal(console.got_count, MEGABYTE);
		assert_memory_equal(console.got, data, MEGABYTE);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
}

static void input_arrives(void **state)
{
	input_of_a_megabyte(state, READS_ALL);
}

static void input_arrives_where_the_device_reads_once(void **state)
{
	input_of_a_megabyte(state, READS_ONCE);
}

static void output_arrives(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = 0; kind < KINDS; kind++) {
		struct far far = far_make(kind, 1);
		size_t bytes = bytes_for(kind);
		struct player reader;
		uint64_t start = clock_now_ns();

		console_run(one, &console, READS_NOT, -1, far.near);
		console.send = data;
		console.send_count = bytes;
		memset(seen, 0, bytes);
		play(&reader, play_reader, far.far, seen, bytes);
		assert_int_equal(on_dev(one, deed_send), 0);
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, bytes);
		print_message("# %zu bytes to a %s took %u ms\n", bytes, far.name,
			      (unsigned int)((clock_now_ns() - start) / NS_PER_MS));
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

static void an_echo_brings_everything_back(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE);

	assert_non_null(seen);
	for (enum kind kind = KIND_SOCKET; kind < KINDS; kind++) {
		struct far far = far_make(kind, 0);
		size_t bytes = bytes_for(kind);
		struct player writer, reader;

		console_run(one, &console, ECHOES, far.near, dup(far.near));
		play(&reader, play_reader, far.far, seen, bytes);
		play(&writer, play_writer, far.far, data, bytes);
		assert_true(thread_join(writer.thread));
		assert_true(thread_join(reader.thread));
		assert_memory_equal(seen, data, bytes);
		device_stop(one->device);
		close(far.far);
		subject_end(one);
		subject_init(one, "one");
	}
	free(data);
	free(seen);
}

/* ---- files ---- */

static int file_of(const void *data, size_t bytes)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void a_file_is_read(void **state, enum habit habit)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console.goal = MEGABYTE;
	console_run(one, &console, habit, file_of(data, MEGABYTE), -1);
	assert_true(event_wait(&console.got_all, 1));
	assert_idle(one);
	device_stop(one->device);
	assert_int_equal(console.got_count, MEGABYTE);
	assert_memory_equal(console.got, data, MEGABYTE);
	free(data);
}

static void a_file_is_read_by_who_reads_all(void **state)
{
	a_file_is_read(state, READS_ALL);
}

static void a_file_is_read_by_who_reads_once(void **state)
{
	a_file_is_read(state, READS_ONCE);
}

static void a_file_is_read_by_who_does_not_listen(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(10000);

	console.deaf = true;
	console_run(one, &console, READS_NOT, file_of(data, 10000), -1);
	while (console_read(&console, 1000) > 0)
		;
	assert_int_equal(console.got_count, 10000);
	assert_memory_equal(console.got, data, 10000);
	free(data);
}

static void a_file_is_written(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE), *seen = malloc(MEGABYTE + 1);
	int file = file_of("", 0);

	assert_non_null(seen);
	console_run(one, &console, READS_NOT, -1, dup(file));
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	device_stop(one->device);
	assert_int_equal(pread(file, seen, MEGABYTE + 1, 0), MEGABYTE);
	assert_memory_equal(seen, data, MEGABYTE);
	close(file);
	free(data);
	free(seen);
}

static void nothing_is_there(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console_run(one, &console, READS_ALL, -1, -1);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_read(&console, 100), 0);
	assert_int_equal(console_write(&console, data, 0), 0);
	assert_int_equal(event_count(&console.in) + event_count(&console.out), 0);
	free(data);
}

static void dev_null(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);

	console_run(one, &console, READS_ALL, open("/dev/null", O_RDONLY | O_CLOEXEC),
		    open("/dev/null", O_WRONLY | O_CLOEXEC));
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_read(&console, 100), 0);
	assert_int_equal(event_count(&console.in), 0);
	assert_idle(one);
	free(data);
}

static void a_full_disk_does_not_hold_up(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	uint8_t *data = noise(MEGABYTE);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (full < 0)
		skip();
	log_catch(LOG_LEVEL_WARN);
	console_run(one, &console, READS_NOT, -1, full);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_int_equal(console_write(&console, data, MEGABYTE), MEGABYTE);
	assert_string_equal(log_caught(), "backplane: warning: one: its output cannot be written any more: "
					  "No space left on device\n");
	free(data);
}

/* ---- the escape key ---- */

static void the_escape_key_ends_the_vm(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console.goal = 2;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, "ab" ESCAPE "cd", 5), 5);
	assert_true(event_wait(&one->quit, 1));
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "ab", 2);
	close(far.far);
}

static void the_escape_key_alone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PTY, 0);

	console.goal = 2;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, ESCAPE, 1), 1);
	assert_true(event_wait(&one->quit, 1));
	/* The VM may take a while to end; the terminal works until then. */
	assert_int_equal(write(far.far, "xy", 2), 2);
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "xy", 2);
	close(far.far);
}

static void elsewhere_the_escape_key_is_a_byte(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far far = far_make(KIND_PIPE, 0);

	console.goal = 5;
	console_run(one, &console, READS_ALL, far.near, -1);
	assert_int_equal(write(far.far, "ab" ESCAPE "cd", 5), 5);
	assert_true(event_wait(&console.got_all, 1));
	assert_memory_equal(console.got, "ab" ESCAPE "cd", 5);
	assert_int_equal(event_count(&one->quit), 0);
	close(far.far);
}

/* ---- what is not ours ---- */

static int deed_foreign(struct subject *subject, const struct bp_access *access, uint64_t *val)
{
	uint8_t byte = 0;

	(void)access, (void)val;
	MUST(bp_stream_read(subject->dev, second_console.stream, &byte, 1) == -EINVAL);
	MUST(bp_stream_write(subject->dev, second_console.stream, &byte, 1) == -EINVAL);
	MUST(bp_stream_read(subject->dev, NULL, &byte, 1) == -EINVAL);
	MUST(bp_stream_write(subject->dev, NULL, &byte, 1) == -EINVAL);
	return 0;
}

static void a_stream_belongs_to_its_device(void **state)
{
	struct fixture *fixture = *state;

	console_run(&fixture->one, &console, READS_ALL, -1, -1);
	console_run(&fixture->two, &second_console, READS_ALL, -1, -1);
	assert_int_equal(on_dev(&fixture->one, deed_foreign), 0);
}

static void flags_of_descriptors_are_left_alone(void **state)
{
	struct subject *one = &((struct fixture *)*state)->one;
	struct far in = far_make(KIND_BLOCKING_PIPE, 0), out = far_make(KIND_BLOCKING_PTY, 1);
	int in_flags = fcntl(in.near, F_GETFL), out_flags = fcntl(out.near, F_GETFL);
	int in_copy = dup(in.near), out_copy = dup(out.near);

	console_run(one, &console, READS_ALL, in.near, out.near);
	assert_int_equal(console_write(&console, "hello", 5), 5);
	assert_int_equal(fcntl(in_copy, F_GETFL), in_flags);
	assert_int_equal(fcntl(out_copy, F_GETFL), out_flags);
	subject_end(one);
	assert_int_equal(fcntl(in_copy, F_GETFL), in_flags);
	assert_int_equal(fcntl(out_copy, F_GETFL), out_flags);
	close(in_copy);
	close(out_copy);
	close(in.far);
	close(out.far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_arrives),
		TEST(input_arrives_where_the_device_reads_once),
		TEST(output_arrives),
		TEST(an_echo_brings_everything_back),
		TEST(a_file_is_read_by_who_reads_all),
		TEST(a_file_is_read_by_who_reads_once),
		TEST(a_file_is_read_by_who_does_not_listen),
		TEST(a_file_is_written),
		TEST(nothing_is_there),
		TEST(dev_null),
		TEST(a_full_disk_does_not_hold_up),
		TEST(the_escape_key_ends_the_vm),
		TEST(the_escape_key_alone),
		TEST(elsewhere_the_escape_key_is_a_byte),
		TEST(a_stream_belongs_to_its_device),
		TEST(flags_of_descriptors_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
