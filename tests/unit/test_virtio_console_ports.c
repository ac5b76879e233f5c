/* SPDX-License-Identifier: BSD-3-Clause */
/* The console plugin with ports beside its console: control messages, right and hostile, and what each port waits for. */
#include "tests/unit/console_fixture.h"

static const struct fakehost_pair two_ports[] = {
	{ "ports[0].name", "org.agent" }, { "ports[0].stream", "null" }, { "ports[1].name", "log" },
	{ "ports[1].stream", "null" },    { "stall", "100ms" },          { NULL, NULL },
};

static struct bp_stream *port_stream(const struct console_test *test, uint32_t port)
{
	struct bp_stream *stream = fakehost_stream(test->dev, port == 1 ? "ports[0].stream" : "ports[1].stream");

	assert_non_null(stream);
	return stream;
}

static struct fakehost_chain *tell(struct console_test *test, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control message = { .id = htole32(id),
							.event = htole16(event),
							.value = htole16(value) };

	return send_bytes(test, CONTROL_TX, &message, sizeof(message));
}

/* The buffer came back with this message, and `rest` behind it. */
static void assert_message(const struct fakehost_chain *chain, uint32_t id, uint16_t event, const void *rest,
			   size_t rest_bytes)
{
	struct virtio_console_control message;
	uint8_t buf[64];

	assert_over(chain, sizeof(message) + rest_bytes);
	assert_int_equal(fakehost_chain_get(chain, 0, &message, sizeof(message)), sizeof(message));
	assert_int_equal(le32toh(message.id), id);
	assert_int_equal(le16toh(message.event), event);
	assert_int_equal(le16toh(message.value), 1);
	assert_int_equal(fakehost_chain_get(chain, sizeof(message), buf, rest_bytes), rest_bytes);
	assert_true(!rest_bytes || !memcmp(buf, rest, rest_bytes));
}

static struct fakehost_chain *next_message(struct console_test *test)
{
	return give(test, CONTROL_RX, 64);
}

/* Everything has been told. */
static void assert_silence(struct console_test *test)
{
	assert_waits(next_message(test));
}

static void open_port(struct console_test *test, uint32_t port)
{
	assert_over(tell(test, port, VIRTIO_CONSOLE_PORT_OPEN, 1), 0);
}

/* ---- control messages ---- */

static void ports_have_queues(void **state)
{
	struct console_test *test = *state;
	struct virtio_console_config config;
	uint32_t queues;

	console_run(test, two_ports, 0);
	assert_int_equal(fakehost_virtio_offer(test->dev, &queues), EMERGENCY | PORTS_FEATURE);
	assert_int_equal(queues, 8);
	assert_int_equal(fakehost_config_read(test->dev, 0, &config, sizeof(config)), 0);
	assert_int_equal(le32toh(config.max_nr_ports), 3);
}

/* 5.3.6.2, as Linux does it: buffers first, then it says that it is ready, and of each port that it is. */
static void ports_are_introduced_in_order(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chains[12];

	console_run(test, two_ports, 0);
	for (size_t i = 0; i < COUNT_OF(chains); i++)
		chains[i] = next_message(test);
	assert_waits(chains[0]);
	assert_over(tell(test, 0, VIRTIO_CONSOLE_DEVICE_READY, 1), 0);
	for (uint32_t i = 0; i < 3; i++)
		assert_message(chains[i], i, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	assert_waits(chains[3]);
	tell(test, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_message(chains[3], 0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	assert_message(chains[4], 0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	assert_waits(chains[5]);
	tell(test, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_message(chains[5], 2, VIRTIO_CONSOLE_PORT_NAME, "log", 3);
	assert_message(chains[6], 2, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	tell(test, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_message(chains[7], 1, VIRTIO_CONSOLE_PORT_NAME, "org.agent", 9);
	assert_message(chains[8], 1, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	assert_waits(chains[9]);
}

static void messages_wait_for_buffers(void **state)
{
	struct console_test *test = *state;

	console_run(test, two_ports, 0);
	/* However often it asks, each is told once. */
	for (int i = 0; i < 100; i++) {
		tell(test, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		tell(test, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	assert_message(next_message(test), 1, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	assert_message(next_message(test), 1, VIRTIO_CONSOLE_PORT_NAME, "org.agent", 9);
	assert_message(next_message(test), 1, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	assert_message(next_message(test), 2, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	assert_silence(test);
}

static void the_terminals_size_is_told(void **state)
{
	static const uint16_t sizes[][2] = { { 80, 25 }, { 132, 50 } };
	struct console_test *test = *state;
	uint8_t wire[4];

	fakehost_terminal(test->host, sizes[0][0], sizes[0][1]);
	console_run(test, two_ports, 0);
	tell(test, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_CONSOLE_PORT, NULL, 0);
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_PORT_OPEN, NULL, 0);
	/* 5.3.6.2.2: columns, then rows. */
	memcpy(wire, (uint16_t[]){ htole16(sizes[0][0]), htole16(sizes[0][1]) }, sizeof(wire));
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_RESIZE, wire, sizeof(wire));
	for (uint32_t i = 0; i < 5; i++)
		fakehost_stream_resize(test->stream, 100 + i, 40);
	fakehost_stream_resize(test->stream, sizes[1][0], sizes[1][1]);
	memcpy(wire, (uint16_t[]){ htole16(sizes[1][0]), htole16(sizes[1][1]) }, sizeof(wire));
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_RESIZE, wire, sizeof(wire));
	/* The other ports have no size. */
	fakehost_stream_resize(port_stream(test, 1), 10, 10);
	assert_silence(test);
}

/* A terminal that has gone before the message left has no size to tell. */
static void no_size_is_no_message(void **state)
{
	struct console_test *test = *state;

	fakehost_terminal(test->host, 80, 25);
	console_run(test, two_ports, 0);
	fakehost_stream_resize(test->stream, 90, 25);
	fakehost_stream_resize(test->stream, 0, 0);
	assert_silence(test);
}

/* ---- ports ---- */

static void ports_carry_their_own_bytes(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *one, *two;

	console_run(test, two_ports, 0);
	for (uint32_t i = 0; i < 3; i++)
		open_port(test, i);
	one = give(test, RX(1), 64);
	two = give(test, RX(2), 64);
	type(port_stream(test, 2), "for two");
	assert_waits(one);
	assert_got(two, "for two");
	type(port_stream(test, 1), "for one");
	assert_got(one, "for one");
	send_text(test, TX(0), "zero");
	send_text(test, TX(1), "one");
	send_text(test, TX(2), "two");
	assert_output(test->stream, "zero");
	assert_output(port_stream(test, 1), "one");
	assert_output(port_stream(test, 2), "two");
}

/* Linux throws away what comes for a port that nobody has opened, the console among them. */
static void input_waits_for_the_guest_to_open(void **state)
{
	struct console_test *test = *state;

	console_run(test, two_ports, 0);
	for (uint32_t i = 0; i < 3; i += 2) {
		struct bp_stream *stream = i ? port_stream(test, i) : test->stream;
		struct fakehost_chain *chain = give(test, RX(i), 64);

		type(stream, "early");
		assert_waits(chain);
		open_port(test, i);
		assert_got(chain, "early");
		assert_over(tell(test, i, VIRTIO_CONSOLE_PORT_OPEN, 0), 0);
		chain = give(test, RX(i), 64);
		type(stream, "late");
		assert_waits(chain);
		assert_int_equal(fakehost_stream_left(stream), 4);
		open_port(test, i);
		assert_got(chain, "late");
	}
}

/* Only the console's output is dropped. */
static void a_port_waits_for_its_reader(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *chain;

	console_run(test, two_ports, 0);
	fakehost_stream_room(port_stream(test, 1), 2);
	chain = send_text(test, TX(1), "abcd");
	fakehost_advance(test->host, 3600 * 1000 * MS);
	assert_waits(chain);
	assert_lost(test, 0);
	/* Others do not wait for it. */
	assert_over(send_text(test, TX(0), "console"), 0);
	assert_over(send_text(test, TX(2), "log"), 0);
	fakehost_stream_room(port_stream(test, 1), SIZE_MAX);
	assert_over(chain, 0);
	assert_output(port_stream(test, 1), "abcd");
	/* The console's is. */
	fakehost_stream_room(test->stream, 0);
	chain = send_text(test, TX(0), "x");
	fakehost_advance(test->host, 100 * MS);
	assert_over(chain, 0);
	assert_lost(test, 1);
}

static void a_reset_closes_everything(void **state)
{
	struct console_test *test = *state;
	struct fakehost_chain *control, *input, *output;
	uint32_t queues;
	uint64_t features;

	console_run(test, two_ports, 0);
	tell(test, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	open_port(test, 1);
	input = give(test, RX(1), 8);
	fakehost_stream_room(port_stream(test, 2), 0);
	output = send_text(test, TX(2), "lost");
	features = fakehost_virtio_offer(test->dev, &queues);
	assert_int_equal(fakehost_reset(test->dev), 0);
	fakehost_stream_room(port_stream(test, 2), SIZE_MAX);
	type(port_stream(test, 1), "in");
	assert_waits(input);
	assert_waits(output);
	assert_output(port_stream(test, 2), "");
	assert_int_equal(fakehost_activate(test->dev, features, queues), 0);
	control = next_message(test);
	input = give(test, RX(1), 8);
	assert_waits(control);
	assert_waits(input);
	open_port(test, 1);
	assert_got(input, "in");
	tell(test, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_message(control, 2, VIRTIO_CONSOLE_PORT_NAME, "log", 3);
}

/* ---- guests that do it wrong ---- */

static void nonsense_is_not_answered(void **state)
{
	static const struct {
		uint32_t id;
		uint16_t event, value;
	} cases[] = {
		{ 3, VIRTIO_CONSOLE_PORT_READY, 1 },   { UINT32_MAX, VIRTIO_CONSOLE_PORT_READY, 1 },
		{ 3, VIRTIO_CONSOLE_PORT_OPEN, 1 },    { UINT32_C(0x80000000), VIRTIO_CONSOLE_PORT_OPEN, 1 },
		{ 0, VIRTIO_CONSOLE_DEVICE_READY, 0 }, { 1, VIRTIO_CONSOLE_PORT_READY, 0 },
		{ 0, VIRTIO_CONSOLE_PORT_ADD, 1 },     { 0, VIRTIO_CONSOLE_PORT_REMOVE, 1 },
		{ 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1 }, { 0, VIRTIO_CONSOLE_RESIZE, 1 },
		{ 0, VIRTIO_CONSOLE_PORT_NAME, 1 },    { 0, 8, 1 },
		{ 0, UINT16_MAX, UINT16_MAX },
	};
	struct console_test *test = *state;

	console_run(test, two_ports, 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_over(tell(test, cases[i].id, cases[i].event, cases[i].value), 0);
	assert_silence(test);
	assert_false(fakehost_is_broken(test->dev));
}

static void a_runt_message_breaks_the_device(void **state)
{
	static const uint8_t message[8];
	struct console_test *test = *state;
	uint32_t queues;
	uint64_t features;

	console_run(test, two_ports, 0);
	features = fakehost_virtio_offer(test->dev, &queues);
	for (size_t bytes = 0; bytes < sizeof(message); bytes++) {
		if (bytes)
			send_bytes(test, CONTROL_TX, message, bytes);
		else
			give(test, CONTROL_TX, 8);
		assert_true(fakehost_is_broken(test->dev));
		assert_int_equal(fakehost_reset(test->dev), 0);
		assert_int_equal(fakehost_activate(test->dev, features, queues), 0);
	}
	assert_over(send_text(test, TX(0), "alive"), 0);
	assert_output(test->stream, "alive");
}

static void a_message_with_more_behind_it_counts(void **state)
{
	struct virtio_console_control message[2] = { { .event = htole16(VIRTIO_CONSOLE_DEVICE_READY),
						       .value = htole16(1) } };
	struct console_test *test = *state;

	console_run(test, two_ports, 0);
	assert_over(send_bytes(test, CONTROL_TX, message, sizeof(message)), 0);
	assert_message(next_message(test), 0, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
}

/* Of a message that does not fit the guest gets what fits. */
static void small_buffers_cut_messages(void **state)
{
	struct console_test *test = *state;

	console_run(test, two_ports, 0);
	tell(test, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_over(give(test, CONTROL_RX, 3), 3);
	assert_over(send_text(test, CONTROL_RX, "nothing to write to"), 0);
	assert_message(next_message(test), 2, VIRTIO_CONSOLE_PORT_ADD, NULL, 0);
	tell(test, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_over(give(test, CONTROL_RX, 10), 10);
}

/* 5.3.2: without MULTIPORT there are two queues, whatever is used. */
static void without_the_feature_there_are_no_ports(void **state)
{
	struct console_test *test = *state;

	console_run(test, two_ports, PORTS_FEATURE);
	assert_over(tell(test, 0, VIRTIO_CONSOLE_DEVICE_READY, 1), 0);
	assert_over(tell(test, 0, VIRTIO_CONSOLE_PORT_OPEN, 0), 0);
	assert_over(tell(test, 1, VIRTIO_CONSOLE_PORT_OPEN, 1), 0);
	assert_over(next_message(test), 0);
	type(port_stream(test, 1), "in");
	assert_over(give(test, RX(1), 8), 0);
	assert_over(send_text(test, TX(1), "out"), 0);
	assert_output(port_stream(test, 1), "");
	type(test->stream, "console");
	assert_got(give(test, RX(0), 64), "console");
	assert_over(send_text(test, TX(0), "still there"), 0);
	assert_output(test->stream, "still there");
}

/* ---- configuration ---- */

static void names_that_cannot_be_are_refused(void **state)
{
	static const char longest[] = "123456789012345678901234567890123456789012345678901234567890123";
	static const char too_long[] = "1234567890123456789012345678901234567890123456789012345678901234";
	static const struct {
		const char *names[2];
		const char *words;
	} cases[] = {
		{ { "", NULL }, "cannot be the name of a port" },
		{ { "a/b", NULL }, "cannot be the name of a port" },
		{ { too_long, NULL }, "cannot be the name of a port" },
		{ { "a", "a" }, "there are two ports \"a\"" },
	};
	struct console_test *test = *state;
	struct fakehost_pair values[] = {
		{ "ports[0].name", longest },
		{ "ports[0].stream", "null" },
		{ "ports[1].name", "b" },
		{ "ports[1].stream", "null" },
		{ NULL, NULL },
	};
	struct fakehost_dev *dev;

	assert_int_equal(console_create(test, values, &dev), 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		values[0].value = cases[i].names[0];
		values[2].value = cases[i].names[1] ? cases[i].names[1] : "b";
		assert_int_equal(console_create(test, values, &dev), -EINVAL);
		assert_int_equal(fakehost_log_count(test->host, cases[i].words), i < 3 ? i + 1 : 1);
	}
}

static void there_are_at_most_seven_ports(void **state)
{
	char keys[8][2][24], names[8][4];
	struct fakehost_pair values[17] = { { NULL, NULL } };
	struct console_test *test = *state;
	struct fakehost_dev *dev;
	uint32_t queues;

	for (uint32_t i = 0; i < 8; i++) {
		snprintf(keys[i][0], sizeof(keys[i][0]), "ports[%u].name", i);
		snprintf(keys[i][1], sizeof(keys[i][1]), "ports[%u].stream", i);
		snprintf(names[i], sizeof(names[i]), "p%u", i);
		values[2 * i] = (struct fakehost_pair){ keys[i][0], names[i] };
		values[2 * i + 1] = (struct fakehost_pair){ keys[i][1], "null" };
	}
	assert_int_equal(console_create(test, values, &dev), -EINVAL);
	assert_int_equal(fakehost_log_count(test->host, "there are 8 ports, and at most 7 can be"), 1);
	values[14].name = NULL;
	assert_int_equal(console_create(test, values, &dev), 0);
	fakehost_virtio_offer(dev, &queues);
	assert_int_equal(queues, 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONSOLE_TEST(ports_have_queues),
		CONSOLE_TEST(ports_are_introduced_in_order),
		CONSOLE_TEST(messages_wait_for_buffers),
		CONSOLE_TEST(the_terminals_size_is_told),
		CONSOLE_TEST(no_size_is_no_message),
		CONSOLE_TEST(ports_carry_their_own_bytes),
		CONSOLE_TEST(input_waits_for_the_guest_to_open),
		CONSOLE_TEST(a_port_waits_for_its_reader),
		CONSOLE_TEST(a_reset_closes_everything),
		CONSOLE_TEST(nonsense_is_not_answered),
		CONSOLE_TEST(a_runt_message_breaks_the_device),
		CONSOLE_TEST(a_message_with_more_behind_it_counts),
		CONSOLE_TEST(small_buffers_cut_messages),
		CONSOLE_TEST(without_the_feature_there_are_no_ports),
		CONSOLE_TEST(names_that_cannot_be_are_refused),
		CONSOLE_TEST(there_are_at_most_seven_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
