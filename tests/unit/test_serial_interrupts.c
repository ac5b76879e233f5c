/* SPDX-License-Identifier: BSD-3-Clause */
/* Causes of the serial port's interrupts, its modem lines, and its loopback. */
#include "tests/unit/serial_fixture.h"

/* ---- interrupts ---- */

static void priorities(void **state)
{
	const struct port *port = *state;

	/* Loopback: an overrun, data, an empty transmitter and changed lines, all at once. */
	out(port, UART_FCR, FIFO_ON);
	out(port, UART_MCR, UART_MCR_LOOP);
	for (int i = 0; i < 17; i++)
		out(port, UART_THR, 'x');
	out(port, UART_IER, 0x0f);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_LINE);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_OE);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_DATA);
	for (int i = 0; i < 16; i++)
		in(port, UART_RBR);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_MODEM);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_MODEM);
	in(port, UART_MSR);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	/* One edge when they were enabled, and one each time that one went and others stayed. */
	assert_int_equal(irqs(port), 4);
}

static void iir_read_of_data_leaves_thre(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	put(port, "a");
	out(port, UART_IER, UART_IER_RDI | UART_IER_THRI);
	assert_int_equal(irqs(port), 2);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_DATA);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_DATA);
	expect_bytes(port, "a");
	assert_int_equal(irqs(port), 3);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	assert_int_equal(in(port, UART_IIR), NO_INT);
}

/* The driver takes note of THRE; data that came meanwhile is announced by itself. */
static void data_behind_thre_has_its_own_edge(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI | UART_IER_THRI);
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_THRE);
	put(port, "a");
	assert_int_equal(irqs(port), 2);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_DATA);
}

/* The first edge was lost to a masked line; the next byte must not be silent. */
static void new_data_is_an_edge_though_data_pends(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	put(port, "a");
	put(port, "b");
	put(port, "c");
	assert_int_equal(irqs(port), 3);
	expect_bytes(port, "abc");
	assert_int_equal(irqs(port), 3);
}

static void masked_causes_are_silent(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	put(port, "abc");
	send(port, "abc");
	out(port, UART_MCR, UART_MCR_LOOP);
	fakehost_advance(port->host, S);
	assert_int_equal(irqs(port), 0);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	out(port, UART_IER, UART_IER_RDI);
	assert_int_equal(irqs(port), 1);
}

/* ---- modem lines, loopback ---- */

static void loopback_lines_follow_mcr(void **state)
{
	const struct port *port = *state;

	for (uint32_t mcr = 0; mcr < 16; mcr++) {
		uint32_t lines = (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
				 (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);

		out(port, UART_MCR, UART_MCR_LOOP | mcr);
		assert_int_equal(in(port, UART_MSR) & 0xf0, lines);
	}
	out(port, UART_MCR, 0);
	assert_int_equal(in(port, UART_MSR) & 0xf0, 0xb0);
}

static void msr_deltas_tell_what_changed(void **state)
{
	const struct port *port = *state;

	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(port, UART_MSR), UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
	assert_int_equal(in(port, UART_MSR), 0);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	assert_int_equal(in(port, UART_MSR), UART_MSR_CTS | UART_MSR_DCTS);
	assert_int_equal(in(port, UART_MSR), UART_MSR_CTS);
	/* There and back again between two reads is a change. */
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS | UART_MCR_DTR);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	assert_int_equal(in(port, UART_MSR), UART_MSR_CTS | UART_MSR_DDSR);
	/* Changes add up until they are read. */
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	assert_int_equal(in(port, UART_MSR), UART_MSR_DCD | UART_MSR_DCTS | UART_MSR_DDCD);
}

static void msr_ring_counts_when_it_ends(void **state)
{
	const struct port *port = *state;

	out(port, UART_MCR, UART_MCR_LOOP);
	in(port, UART_MSR);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_int_equal(in(port, UART_MSR), UART_MSR_RI);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(in(port, UART_MSR), UART_MSR_TERI);
}

static void modem_interrupt_until_msr_is_read(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_MSI);
	assert_int_equal(irqs(port), 0);
	out(port, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_MODEM);
	in(port, UART_MSR);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	assert_int_equal(irqs(port), 2);
}

static void loopback_bytes_stay_inside(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, UART_IER_RDI);
	out(port, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	put(port, "from outside");
	send(port, "abc");
	assert_int_equal(fakehost_stream_left(port->stream), strlen("from outside"));
	expect_bytes(port, "abc");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	expect_output(port, "");
	out(port, UART_MCR, UART_MCR_RTS);
	fakehost_advance(port->host, MS);
	expect_bytes(port, "from outside");
}

static void loopback_interrupts_like_a_wire(void **state)
{
	const struct port *port = *state;

	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_IER, UART_IER_THRI | UART_IER_RDI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
	out(port, UART_THR, 'a');
	assert_int_equal(irqs(port), 2);
	assert_int_equal(in(port, UART_IIR), UART_IIR_DATA);
	expect_bytes(port, "a");
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
}

static void loopback_overrun_is_reported_once(void **state)
{
	const struct port *port = *state;

	out(port, UART_FCR, FIFO_ON);
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_IER, UART_IER_RLSI);
	send(port, "0123456789abcdef");
	assert_int_equal(irqs(port), 0);
	send(port, "g");
	assert_int_equal(irqs(port), 1);
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_LINE);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_OE);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY | UART_LSR_DR);
	assert_int_equal(in(port, UART_IIR), NO_INT);
	expect_bytes(port, "0123456789abcdef");
}

static void loopback_overrun_without_fifo_keeps_the_last(void **state)
{
	const struct port *port = *state;

	out(port, UART_MCR, UART_MCR_LOOP);
	send(port, "ab");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY | UART_LSR_DR | UART_LSR_OE);
	expect_bytes(port, "b");
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(priorities),
		PORT_TEST(iir_read_of_data_leaves_thre),
		PORT_TEST(data_behind_thre_has_its_own_edge),
		PORT_TEST(new_data_is_an_edge_though_data_pends),
		PORT_TEST(masked_causes_are_silent),
		PORT_TEST(loopback_lines_follow_mcr),
		PORT_TEST(msr_deltas_tell_what_changed),
		PORT_TEST(msr_ring_counts_when_it_ends),
		PORT_TEST(modem_interrupt_until_msr_is_read),
		PORT_TEST(loopback_bytes_stay_inside),
		PORT_TEST(loopback_interrupts_like_a_wire),
		PORT_TEST(loopback_overrun_is_reported_once),
		PORT_TEST(loopback_overrun_without_fifo_keeps_the_last),
	};

	return cmocka_run_group_tests_name("serial_interrupts", tests, NULL, NULL);
}
