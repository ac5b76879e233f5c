/* SPDX-License-Identifier: BSD-3-Clause */
/* What a guest sends through the serial port: the transmitter, and readers that are slow or have stopped. */
#include "tests/unit/serial_fixture.h"

/* ---- transmitter ---- */

static void output_is_visible_at_once(void **state)
{
	const struct port *port = *state;

	out(port, UART_THR, 'a');
	expect_output(port, "a");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(fakehost_stream_calls(port->stream), 1);
	assert_int_equal(irqs(port), 0);
}

static void thre_raised_when_enabled(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(irqs(port), 1);
	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(irqs(port), 1);
}

static void thre_cleared_by_iir_read(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
	assert_int_equal(irqs(port), 1);
}

static void thre_comes_again_after_each_write(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	for (uint64_t i = 0; i < 10; i++) {
		assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
		out(port, UART_THR, 'a');
		assert_int_equal(irqs(port), 2 + i);
	}
}

/* A driver that never looks at IIR, without FIFOs: each byte sent is an interrupt. */
static void thre_comes_again_without_iir_read(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	for (uint64_t i = 0; i < 10; i++) {
		out(port, UART_THR, 'a');
		assert_int_equal(irqs(port), 2 + i);
	}
}

static void thre_burst_is_one_interrupt(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_8, UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	assert_int_equal(irqs(port), 1);
	send(port, "0123456789abcdef");
	assert_int_equal(irqs(port), 2);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	fakehost_advance(port->host, S);
	assert_int_equal(irqs(port), 2);
	expect_output(port, "0123456789abcdef");
}

/* A driver with FIFOs that answers each interrupt with one byte and looks at nothing gets its
 * edge, if late. */
static void thre_burst_pays_its_debt(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_8, UART_IER_THRI);
	send(port, "a");
	assert_int_equal(irqs(port), 2);
	send(port, "b");
	assert_int_equal(irqs(port), 2);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 3);
	send(port, "c");
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 4);
	fakehost_advance(port->host, S);
	assert_int_equal(irqs(port), 4);
}

/* ---- a reader that has stopped ---- */

static void stalled_reader_holds_the_transmitter(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_8, UART_IER_THRI);
	in(port, UART_IIR);
	fakehost_stream_room(port->stream, 3);
	send(port, "0123456789");
	assert_int_equal(in(port, UART_LSR), 0);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	fakehost_advance(port->host, 29 * S);
	assert_int_equal(in(port, UART_LSR), 0);
	expect_output(port, "012");
	assert_int_equal(irqs(port), 2);
	fakehost_stream_room(port->stream, SIZE_MAX);
	expect_output(port, "3456789");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(irqs(port), 3);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	fakehost_advance(port->host, 60 * S);
	assert_int_equal(fakehost_log_count(port->host, ""), 0);
}

static void slow_reader_loses_nothing(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	fakehost_stream_room(port->stream, 0);
	send(port, "0123456789abcdef");
	for (int i = 0; i < 16; i++) {
		assert_int_equal(in(port, UART_LSR), 0);
		fakehost_advance(port->host, 29 * S);
		fakehost_stream_room(port->stream, 1);
	}
	expect_output(port, "0123456789abcdef");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(fakehost_log_count(port->host, ""), 0);
}

static void dead_reader_is_given_up_after_stall(void **state)
{
	const struct port *port = *state;
	uint64_t raised;

	open_port(port, FIFO_8, UART_IER_THRI);
	in(port, UART_IIR);
	fakehost_stream_room(port->stream, 0);
	send(port, "0123");
	raised = irqs(port);
	fakehost_advance(port->host, 30 * S - 1);
	assert_int_equal(in(port, UART_LSR), 0);
	fakehost_advance(port->host, 1);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(irqs(port), raised + 1);
	for (int i = 0; i < 1000; i++) {
		out(port, UART_THR, 'x');
		assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	}
	expect_output(port, "");
	assert_int_equal(fakehost_log_count(port->host, ""), 0);
	fakehost_stream_room(port->stream, SIZE_MAX);
	assert_int_equal(fakehost_log_count(port->host, "1004 bytes of output lost"), 1);
	send(port, "back");
	expect_output(port, "back");
	assert_int_equal(fakehost_log_count(port->host, ""), 1);
}

static void each_episode_is_logged_once(void **state)
{
	const struct port *port = *state;

	for (uint32_t i = 1; i <= 3; i++) {
		fakehost_stream_room(port->stream, 0);
		send(port, "a");
		fakehost_advance(port->host, 30 * S);
		send(port, "bc");
		fakehost_stream_room(port->stream, SIZE_MAX);
		assert_int_equal(fakehost_log_count(port->host, "3 bytes of output lost"), i);
	}
	expect_output(port, "");
}

/* Linux's console waits 10 ms for the transmitter and writes all the same: that byte has no
 * place, and is counted. */
static void writes_to_a_full_transmitter_are_counted(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	fakehost_stream_room(port->stream, 0);
	send(port, "0123456789abcdefXY");
	fakehost_stream_room(port->stream, SIZE_MAX);
	expect_output(port, "0123456789abcdef");
	assert_int_equal(fakehost_log_count(port->host, "2 bytes of output lost"), 1);
}

static void fcr_clears_a_held_transmitter(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	fakehost_stream_room(port->stream, 0);
	send(port, "abc");
	out(port, UART_FCR, FIFO_ON | UART_FCR_CLEAR_TX);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	fakehost_advance(port->host, 60 * S);
	send(port, "d");
	assert_int_equal(in(port, UART_LSR), 0);
	fakehost_stream_room(port->stream, SIZE_MAX);
	expect_output(port, "d");
	assert_int_equal(fakehost_log_count(port->host, ""), 0);
}

static void stall_is_a_parameter(void **state)
{
	static const struct fakehost_pair values[] = { { "base", "0x2f8" }, { "stall", "5ms" }, { NULL, NULL } };
	const struct port *port = *state;
	struct fakehost_dev *dev = plugin_make(port->host, "serial", "second", values);

	fakehost_stream_room(fakehost_stream(dev, "stream"), 0);
	assert_int_equal(fakehost_write(dev, 0, UART_THR, 1, 'a'), 0);
	fakehost_advance(port->host, 5 * MS - 1);
	assert_int_equal(plugin_in(dev, 0, UART_LSR), 0);
	fakehost_advance(port->host, 1);
	assert_int_equal(plugin_in(dev, 0, UART_LSR), LSR_EMPTY);
	fakehost_destroy(dev);
	assert_int_equal(fakehost_log_count(port->host, "second: 1 bytes of output lost"), 1);
}

/* With random accesses, no byte is lost, doubled or out of order as long as the driver obeys
 * THRE. */
static void output_soup_keeps_every_byte(void **state)
{
	const struct port *port = *state;
	uint32_t seed = 7;
	uint8_t next_in = 0, next_out = 0;
	size_t bytes;
	const uint8_t *output;

	open_port(port, FIFO_8, UART_IER_THRI);
	for (int step = 0; step < 20000; step++) {
		uint32_t what = plugin_soup(&seed) % 8;

		if (what == 0)
			fakehost_stream_room(port->stream, plugin_soup(&seed) % 24);
		else if (what == 1)
			fakehost_advance(port->host, plugin_soup(&seed) % MS);
		else if (what == 2)
			in(port, UART_IIR);
		else if (in(port, UART_LSR) & UART_LSR_THRE)
			for (uint32_t i = plugin_soup(&seed) % 17; i > 0; i--)
				out(port, UART_THR, next_in++);
	}
	fakehost_stream_room(port->stream, SIZE_MAX);
	output = fakehost_stream_output(port->stream, &bytes);
	assert_true(bytes > 1000);
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(output[i], next_out++);
	assert_int_equal(next_out, next_in);
	assert_int_equal(fakehost_log_count(port->host, "lost"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(output_is_visible_at_once),         PORT_TEST(thre_raised_when_enabled),
		PORT_TEST(thre_cleared_by_iir_read),          PORT_TEST(thre_comes_again_after_each_write),
		PORT_TEST(thre_comes_again_without_iir_read), PORT_TEST(thre_burst_is_one_interrupt),
		PORT_TEST(thre_burst_pays_its_debt),          PORT_TEST(stalled_reader_holds_the_transmitter),
		PORT_TEST(slow_reader_loses_nothing),         PORT_TEST(dead_reader_is_given_up_after_stall),
		PORT_TEST(each_episode_is_logged_once),       PORT_TEST(writes_to_a_full_transmitter_are_counted),
		PORT_TEST(fcr_clears_a_held_transmitter),     PORT_TEST(stall_is_a_parameter),
		PORT_TEST(output_soup_keeps_every_byte),
	};

	return cmocka_run_group_tests_name("serial_output", tests, NULL, NULL);
}
