/* SPDX-License-Identifier: BSD-3-Clause */
/* The console plugin with its console alone: output and readers that stop, input, the terminal's size, and emergency writes. */
#include "tests/unit/console_fixture.h"

#define STALL ((const struct fakehost_pair[]){ { "stall", "100ms" }, { NULL, NULL } })

static void a_console_alone_has_two_queues(void **state)
{
	struct console_test *test = *state;
	struct virtio_console_config config;
	uint32_t queues;

	console_run(test, NULL, 0);
	assert_int_equal(fakehost_virtio_offer(test->dev, &queues), EMERGENCY);
	assert_int_equal(queues, 2);
	assert_int_equal(fakehost_config_read(test->dev, 0, &config, sizeof(config)), 0);
	assert_int_equal(config.cols, 0);
	assert_int_equal(config.rows, 0);
	assert_int_equal(le32toh(config.max_nr_ports), 1);
	assert_int_equal(fakehost_config_read(test->dev, sizeof(config), &config, 1), -EINVAL);
}

/* ---- output ---- */

static void output_arrives(void **state)
{
	struct console_test *test = *state;
	const struct fakehost_piece pieces[] = { { "he", 2 }, { "l", 1 }, { "lo", 2 }, { NULL, 4 }, { NULL, 0 } };
	struct fakehost_chain *chain;

	console_run(test, NULL, 0);
	assert_int_equal(fakehost_chain(test->dev, TX(0), pieces, &chain), 0);
	assert_over(chain, 0);
	assert_over(send_text(test, TX(0), " world"), 0);
	assert_output(test->stream, "hello world");
	/* A buffer that says nothing. */
	assert_over(give(test, TX(0), 16), 0);
	assert_output(test->stream, "hello world");
}

static void much_output_arrives_whole(void **state)
{
	struct console_test *test = *state;
	uint8_t bytes[5000];
	const uint8_t *output;
	size_t count;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	console_run(test, NULL, 0);
	assert_over(send_bytes(test, TX(0), bytes, sizeof(bytes)), 0);
	output = fakehost_stream_output(test->stream, &count);
	assert_int_equal(count, sizeof(bytes));
	assert_memory_equal(output, bytes, count);
}

static void output_waits_for_its_reader(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *first, *second;

	console_run(test, NULL, 0);
	fakehost_stream_room(test->stream, 3);
	first = send_text(test, TX(0), "abcde");
	second = send_text(test, TX(0), "fgh");
	assert_output(test->stream, "abc");
	assert_waits(first);
	fakehost_stream_room(test->stream, 3);
	assert_output(test->stream, "abcdef");
	assert_over(first, 0);
	assert_waits(second);
	fakehost_stream_room(test->stream, SIZE_MAX);
	assert_output(test->stream, "abcdefgh");
	assert_int_equal(fakehost_chain_order(second), 2);
	assert_lost(test, 0);
}

/* Linux waits for its console with interrupts off. */
static void a_reader_that_stops_is_not_waited_for_for_ever(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *first, *second;

	console_run(test, STALL, 0);
	fakehost_stream_room(test->stream, 2);
	first = send_text(test, TX(0), "abcde");
	second = send_text(test, TX(0), "fgh");
	fakehost_advance(test->host, 100 * MS - 1);
	assert_waits(first);
	assert_lost(test, 0);
	fakehost_advance(test->host, 1);
	assert_over(first, 0);
	assert_over(second, 0);
	assert_lost(test, 6);
	/* What follows does not wait again. */
	assert_over(send_text(test, TX(0), "ijk"), 0);
	assert_lost(test, 9);
	assert_output(test->stream, "ab");
	assert_int_equal(fakehost_log_count(test->host, "output lost"), 0);
	/* It reads again, and somebody is told. */
	fakehost_stream_room(test->stream, SIZE_MAX);
	assert_over(send_text(test, TX(0), "lm"), 0);
	assert_output(test->stream, "ablm");
	assert_int_equal(fakehost_log_count(test->host, "9 bytes of output lost: the reader had stopped"), 1);
	assert_lost(test, 9);
	/* And has its time again. */
	fakehost_stream_room(test->stream, 0);
	first = send_text(test, TX(0), "no");
	fakehost_advance(test->host, 100 * MS - 1);
	assert_waits(first);
	fakehost_advance(test->host, 1);
	assert_over(first, 0);
	fakehost_stream_room(test->stream, SIZE_MAX);
	send_text(test, TX(0), "p");
	assert_int_equal(fakehost_log_count(test->host, "2 bytes of output lost"), 1);
}

/* One that is slow has not stopped. */
static void a_slow_reader_loses_nothing(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chain;

	console_run(test, STALL, 0);
	fakehost_stream_room(test->stream, 1);
	chain = send_text(test, TX(0), "abcdefgh");
	for (int i = 0; i < 7; i++) {
		assert_waits(chain);
		fakehost_advance(test->host, 99 * MS);
		fakehost_stream_room(test->stream, 1);
	}
	assert_over(chain, 0);
	assert_output(test->stream, "abcdefgh");
	fakehost_advance(test->host, 1000 * MS);
	assert_lost(test, 0);
}

static void a_reset_ends_a_stall(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chain;

	console_run(test, STALL, 0);
	fakehost_stream_room(test->stream, 1);
	chain = send_text(test, TX(0), "abc");
	fakehost_advance(test->host, 50 * MS);
	assert_int_equal(fakehost_reset(test->dev), 0);
	fakehost_advance(test->host, 1000 * MS);
	fakehost_stream_room(test->stream, SIZE_MAX);
	assert_output(test->stream, "a");
	assert_waits(chain);
	assert_lost(test, 0);
	assert_int_equal(fakehost_activate(test->dev, 0, 2), 0);
	assert_over(send_text(test, TX(0), "xyz"), 0);
	assert_output(test->stream, "axyz");
}

/* ---- input ---- */

static void input_waits_for_buffers(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *first, *second;

	console_run(test, NULL, 0);
	type(test->stream, "hello");
	assert_int_equal(fakehost_stream_left(test->stream), 5);
	first = give(test, RX(0), 3);
	assert_got(first, "hel");
	second = give(test, RX(0), 100);
	assert_got(second, "lo");
	first = give(test, RX(0), 100);
	second = give(test, RX(0), 100);
	assert_waits(first);
	type(test->stream, "x");
	assert_got(first, "x");
	assert_waits(second);
	type(test->stream, "yz");
	assert_got(second, "yz");
}

static void much_input_takes_several_buffers(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chains[QUEUE_SIZE];
	uint8_t bytes[10000], buf[10000];
	size_t at = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 5 + i / 256);
	console_run(test, NULL, 0);
	for (size_t i = 0; i < COUNT_OF(chains); i++)
		chains[i] = give(test, RX(0), i % 2 ? 6000 : 7);
	assert_int_equal(fakehost_stream_put(test->stream, bytes, sizeof(bytes)), sizeof(bytes));
	assert_int_equal(fakehost_stream_left(test->stream), 0);
	for (size_t i = 0; i < COUNT_OF(chains) && fakehost_chain_order(chains[i]); i++) {
		size_t used = (size_t)fakehost_chain_used(chains[i]);

		assert_int_equal(fakehost_chain_order(chains[i]), i + 1);
		assert_int_equal(fakehost_chain_get(chains[i], 0, buf + at, used), used);
		at += used;
	}
	assert_int_equal(at, sizeof(bytes));
	assert_memory_equal(buf, bytes, at);
}

static void a_buffer_without_room_takes_no_input(void **state)
{
	struct console_test *test = *state;

	console_run(test, NULL, 0);
	assert_over(send_text(test, RX(0), "what for?"), 0);
	type(test->stream, "in");
	assert_over(send_text(test, RX(0), "what for?"), 0);
	assert_got(give(test, RX(0), 8), "in");
	assert_output(test->stream, "");
}

static void a_reset_forgets_buffers(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chain;

	console_run(test, NULL, 0);
	chain = give(test, RX(0), 8);
	assert_int_equal(fakehost_reset(test->dev), 0);
	type(test->stream, "in");
	assert_waits(chain);
	assert_int_equal(fakehost_activate(test->dev, 0, 2), 0);
	assert_got(give(test, RX(0), 8), "in");
	assert_waits(chain);
}

/* ---- configuration space ---- */

static void assert_size(const struct console_test *test, uint16_t cols, uint16_t rows)
{
	struct virtio_console_config config;

	assert_int_equal(fakehost_config_read(test->dev, 0, &config, sizeof(config)), 0);
	assert_int_equal(le16toh(config.cols), cols);
	assert_int_equal(le16toh(config.rows), rows);
	assert_int_equal(le32toh(config.max_nr_ports), 1);
}

static void the_terminals_size_is_in_config_space(void **state)
{
	struct console_test *test = *state;

	fakehost_terminal(test->host, 80, 25);
	console_run(test, NULL, 0);
	assert_int_equal(fakehost_virtio_offer(test->dev, NULL), EMERGENCY | SIZE_FEATURE);
	assert_size(test, 80, 25);
	fakehost_stream_resize(test->stream, 132, 50);
	assert_size(test, 132, 50);
	assert_int_equal(fakehost_config_notices(test->dev), 1);
	fakehost_stream_resize(test->stream, 132, 50);
	assert_int_equal(fakehost_config_notices(test->dev), 1);
	assert_int_equal(fakehost_reset(test->dev), 0);
	assert_size(test, 132, 50);
}

/* 5.3.5: one character, from a guest that may have no driver. */
static void emergency_writes_arrive(void **state)
{
	const uint32_t at = offsetof(struct virtio_console_config, emerg_wr);
	struct console_test *test = *state;
	uint8_t buf[12] = { 0 };

	fakehost_terminal(test->host, 80, 25);
	assert_int_equal(console_create(test, NULL, &test->dev), 0);
	assert_int_equal(fakehost_start(test->dev), 0);
	test->stream = fakehost_stream(test->dev, "stream");
	assert_int_equal(fakehost_config_write(test->dev, at, "O\0\0\0", 4), 0);
	assert_int_equal(fakehost_config_write(test->dev, at, "O", 1), 0);
	assert_int_equal(fakehost_config_write(test->dev, at, "O", 1), 0);
	assert_int_equal(fakehost_activate(test->dev, EMERGENCY | SIZE_FEATURE, 2), 0);
	assert_int_equal(fakehost_config_write(test->dev, at, "PS", 2), 0);
	assert_output(test->stream, "OOOP");
	/* Beside it nothing is the guest's: not the upper bytes, and not the size, which comes back. */
	assert_int_equal(fakehost_config_write(test->dev, at + 1, "xyz", 3), 0);
	assert_output(test->stream, "OOOP");
	assert_int_equal(fakehost_config_notices(test->dev), 0);
	assert_int_equal(fakehost_config_write(test->dev, 0, "\1\2\3\4\5\6\7\10", 8), 0);
	assert_output(test->stream, "OOOP");
	assert_size(test, 80, 25);
	assert_int_equal(fakehost_config_notices(test->dev), 1);
	buf[at] = '!';
	assert_int_equal(fakehost_config_write(test->dev, 0, buf, sizeof(buf)), 0);
	assert_output(test->stream, "OOOP!");
	assert_size(test, 80, 25);
}

static void two_consoles_share_nothing(void **state)
{
	struct console_test *test = *state;
	struct console_test other = { .host = test->host };

	console_run(test, NULL, 0);
	console_run(&other, NULL, 0);
	send_text(test, TX(0), "one");
	send_text(&other, TX(0), "two");
	type(test->stream, "x");
	assert_int_equal(fakehost_stream_left(other.stream), 0);
	assert_int_equal(fakehost_reset(test->dev), 0);
	send_text(&other, TX(0), "three");
	assert_output(test->stream, "one");
	assert_output(other.stream, "twothree");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(a_console_alone_has_two_queues),
		CONSOLE_TEST(output_arrives),
		CONSOLE_TEST(much_output_arrives_whole),
		CONSOLE_TEST(output_waits_for_its_reader),
		CONSOLE_TEST(a_reader_that_stops_is_not_waited_for_for_ever),
		CONSOLE_TEST(a_slow_reader_loses_nothing),
		CONSOLE_TEST(a_reset_ends_a_stall),
		CONSOLE_TEST(input_waits_for_buffers),
		CONSOLE_TEST(much_input_takes_several_buffers),
		CONSOLE_TEST(a_buffer_without_room_takes_no_input),
		CONSOLE_TEST(a_reset_forgets_buffers),
		CONSOLE_TEST(the_terminals_size_is_in_config_space),
		CONSOLE_TEST(emergency_writes_arrive),
		CONSOLE_TEST(two_consoles_share_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
