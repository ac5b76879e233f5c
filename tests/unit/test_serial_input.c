/* SPDX-License-Identifier: BSD-3-Clause */
/* What comes to a guest through the serial port: FIFOs, triggers, the time-out, and input that nobody has asked for. */
#include "tests/unit/serial_fixture.h"

static void no_fifo_is_one_character(void **state)
{
	const struct port *port = *state;

	open_port(port, 0, UART_IER_RDI);
	put(port, "abc");
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_DATA);
	assert_int_equal(fakehost_stream_left(port->stream), 2);
	expect_bytes(port, "a");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 2);
	expect_bytes(port, "b");
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 3);
	expect_bytes(port, "c");
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
}

static void trigger_level(void **state, uint32_t fcr, size_t level)
{
	const struct port *port = *state;

	open_port(port, fcr, UART_IER_RDI);
	for (size_t i = 1; i < level; i++)
		put(port, "x");
	assert_int_equal(irqs(port), 0);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	put(port, "x");
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_DATA);
	in(port, UART_RBR);
	assert_int_equal(in(port, UART_IIR), NO_INT);
}

static void trigger_1(void **state)
{
	trigger_level(state, FIFO_ON, 1);
}

static void trigger_4(void **state)
{
	trigger_level(state, FIFO_ON | 0x40, 4);
}

static void trigger_8(void **state)
{
	trigger_level(state, FIFO_8, 8);
}

static void trigger_14(void **state)
{
	trigger_level(state, FIFO_ON | 0xc0, 14);
}

static void timeout_announces_a_few_characters(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_8, UART_IER_RDI);
	put(port, "ls\n");
	fakehost_advance(port->host, 340 * US);
	assert_int_equal(irqs(port), 0);
	fakehost_advance(port->host, 10 * US);
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
}

static void timeout_starts_anew_with_each_read(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_8, UART_IER_RDI);
	put(port, "abc");
	fakehost_advance(port->host, 350 * US);
	expect_bytes(port, "a");
	assert_int_equal(in(port, UART_IIR), NO_INT);
	fakehost_advance(port->host, 200 * US);
	expect_bytes(port, "b");
	fakehost_advance(port->host, 200 * US);
	assert_int_equal(irqs(port), 1);
	fakehost_advance(port->host, 150 * US);
	assert_int_equal(irqs(port), 2);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
	expect_bytes(port, "c");
	fakehost_advance(port->host, S);
	assert_int_equal(irqs(port), 2);
}

static void raising_the_trigger_starts_the_timeout(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	put(port, "ab");
	assert_int_equal(irqs(port), 1);
	out(port, UART_FCR, FIFO_8);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 2);
	expect_bytes(port, "ab");
}

static void fcr_clears_the_receiver(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	put(port, "abc");
	out(port, UART_FCR, FIFO_ON | UART_FCR_CLEAR_RX);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	put(port, "d");
	expect_bytes(port, "d");
}

static void fcr_enable_change_clears_both(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	put(port, "abc");
	fakehost_stream_room(port->stream, 0);
	send(port, "xyz");
	assert_int_equal(in(port, UART_LSR), UART_LSR_DR);
	out(port, UART_FCR, 0);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	fakehost_stream_room(port->stream, SIZE_MAX);
	expect_output(port, "");
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
}

static void fcr_without_enable_is_ignored(void **state)
{
	const struct port *port = *state;

	open_port(port, 0, 0);
	put(port, "a");
	out(port, UART_FCR, UART_FCR_CLEAR_RX | 0xc0);
	expect_bytes(port, "a");
}

static void input_waits_for_rts(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	put(port, "abc");
	fakehost_advance(port->host, S);
	assert_int_equal(fakehost_stream_left(port->stream), 3);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2 | UART_MCR_RTS);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 1);
	expect_bytes(port, "abc");
}

static void input_comes_without_rts_for_interrupts(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_RDI);
	put(port, "ab");
	fakehost_advance(port->host, 99 * MS);
	assert_int_equal(irqs(port), 0);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 1);
	expect_bytes(port, "a");
	/* Once believed, it need not wait again. */
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 2);
	expect_bytes(port, "b");
	put(port, "c");
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 3);
	/* Until it stops. */
	out(port, UART_IER, 0);
	expect_bytes(port, "c");
	put(port, "d");
	fakehost_advance(port->host, S);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
}

static void input_comes_without_rts_for_polling(void **state)
{
	const struct port *port = *state;
	int looks = 0;

	put(port, "ab");
	for (int i = 0; i < 2; i++) {
		for (looks = 0; looks < 100 && !(in(port, UART_LSR) & UART_LSR_DR); looks++)
			fakehost_advance(port->host, 100 * US);
		assert_in_range(looks, 10, 30);
		assert_int_equal(in(port, UART_RBR), "ab"[i]);
	}
}

static void flood_stays_with_the_host(void **state)
{
	const struct port *port = *state;
	static uint8_t flood[FAKEHOST_STREAM_IN_MAX];
	size_t got = 0;

	for (size_t i = 0; i < sizeof(flood); i++)
		flood[i] = (uint8_t)(i * 31 >> 3);
	open_port(port, FIFO_8, UART_IER_RDI);
	assert_int_equal(fakehost_stream_put(port->stream, flood, sizeof(flood)), sizeof(flood));
	assert_int_equal(fakehost_stream_left(port->stream), sizeof(flood) - 16);
	fakehost_advance(port->host, S);
	assert_int_equal(fakehost_stream_left(port->stream), sizeof(flood) - 16);
	assert_int_equal(irqs(port), 1);
	while (got < sizeof(flood)) {
		uint64_t before = irqs(port);
		size_t batch = 0;

		for (; in(port, UART_LSR) & UART_LSR_DR; batch++)
			assert_int_equal(in(port, UART_RBR), flood[got++]);
		assert_int_equal(batch, 16);
		assert_int_equal(in(port, UART_IIR), NO_INT);
		fakehost_advance(port->host, 249 * US);
		assert_int_equal(irqs(port), before);
		fakehost_advance(port->host, US);
		assert_int_equal(irqs(port), before + (got < sizeof(flood)));
	}
	assert_int_equal(fakehost_stream_left(port->stream), 0);
}

/* A driver that leaves its handler before all is read: the next batch tells it again. */
static void half_read_input_is_announced_again(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON | 0x40, UART_IER_RDI);
	put(port, "0123456789abcdefghij");
	assert_int_equal(irqs(port), 1);
	expect_bytes(port, "01");
	assert_int_equal(irqs(port), 1);
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 2);
	expect_bytes(port, "23456789abcdefgh");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(no_fifo_is_one_character),
		PORT_TEST(trigger_1),
		PORT_TEST(trigger_4),
		PORT_TEST(trigger_8),
		PORT_TEST(trigger_14),
		PORT_TEST(timeout_announces_a_few_characters),
		PORT_TEST(timeout_starts_anew_with_each_read),
		PORT_TEST(raising_the_trigger_starts_the_timeout),
		PORT_TEST(fcr_clears_the_receiver),
		PORT_TEST(fcr_enable_change_clears_both),
		PORT_TEST(fcr_without_enable_is_ignored),
		PORT_TEST(input_waits_for_rts),
		PORT_TEST(input_comes_without_rts_for_interrupts),
		PORT_TEST(input_comes_without_rts_for_polling),
		PORT_TEST(flood_stays_with_the_host),
		PORT_TEST(half_read_input_is_announced_again),
	};

	return cmocka_run_group_tests_name("serial_input", tests, NULL, NULL);
}
