/* SPDX-License-Identifier: BSD-3-Clause */
/* The serial port as Linux finds and uses it, however slow the machine is, and whatever has been done to the port before. */
#include "tests/unit/serial_fixture.h"

/* ---- its driver, step by step ---- */

/*
 * autoconfig() of Linux 6.1, drivers/tty/serial/8250/8250_port.c, for a port without
 * UPF_BUGGY_UART:
 *  - IER is there: 0 reads back as 0, 0x0f as 0x0f;
 *  - loopback: with MCR = LOOP | 0x0a the upper half of MSR is 0x90 (ports from 8250_pnp skip
 *    this);
 *  - LCR = 0xbf, register 2 = 0 (an enhanced feature register would be there), LCR = 0;
 *  - FCR = ENABLE: the upper two bits of IIR say which chip; 3 is a 16550A or better;
 *  - everything back: MCR, FIFOs cleared (1, 7, 0), RBR read, IER = 0.
 */
static void linux_autoconfig_finds_a_16550a(void **state)
{
	const struct port *port = *state;
	uint8_t ier, mcr, lcr;

	ier = in(port, UART_IER);
	out(port, UART_IER, 0);
	assert_int_equal(in(port, UART_IER) & 0x0f, 0);
	out(port, UART_IER, 0x0f);
	assert_int_equal(in(port, UART_IER) & 0x0f, 0x0f);
	out(port, UART_IER, ier);
	mcr = in(port, UART_MCR);
	lcr = in(port, UART_LCR);
	out(port, UART_MCR, UART_MCR_LOOP | 0x0a);
	assert_int_equal(in(port, UART_MSR) & 0xf0, 0x90);
	out(port, UART_MCR, mcr);
	out(port, UART_LCR, 0xbf);
	out(port, 2, 0);
	out(port, UART_LCR, 0);
	out(port, UART_FCR, UART_FCR_ENABLE);
	assert_int_equal(in(port, UART_IIR) >> 6, 3);
	out(port, UART_LCR, lcr);
	out(port, UART_MCR, mcr);
	out(port, UART_FCR, UART_FCR_ENABLE);
	out(port, UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	out(port, UART_FCR, 0);
	in(port, UART_RBR);
	out(port, UART_IER, 0);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
	expect_output(port, "");
}

/*
 * The rest of it, with CONFIG_SERIAL_8250_16550A_VARIANTS: none of the chips that are more than a
 * 16550A.
 *  - register 2 with LCR = 0x80 or 0xbf is not 0, so there is no enhanced feature register
 *    (ST16C650, TI16C752);
 *  - with LCR = 0xe0 it does not follow MCR.LOOP (National Semiconductor SuperIO);
 *  - bit 5 of IIR does not follow FCR's 64-byte bit with DLAB set (TI16750);
 *  - bit 6 of IER does not stick (XScale).
 */
static void linux_autoconfig_finds_no_variant(void **state)
{
	const struct port *port = *state;
	uint8_t mcr;

	out(port, UART_FCR, UART_FCR_ENABLE);
	out(port, UART_LCR, 0x80);
	assert_int_not_equal(in(port, 2), 0);
	out(port, UART_LCR, 0xbf);
	assert_int_not_equal(in(port, 2), 0);
	out(port, UART_LCR, 0);
	mcr = in(port, UART_MCR);
	out(port, UART_LCR, 0xe0);
	if (!((in(port, 2) ^ mcr) & UART_MCR_LOOP)) {
		out(port, UART_LCR, 0);
		out(port, UART_MCR, mcr ^ UART_MCR_LOOP);
		out(port, UART_LCR, 0xe0);
		assert_false((in(port, 2) ^ mcr) & UART_MCR_LOOP);
		out(port, UART_LCR, 0);
		out(port, UART_MCR, mcr);
	}
	out(port, UART_LCR, 0);
	out(port, UART_FCR, UART_FCR_ENABLE | 0x20);
	assert_int_equal(in(port, UART_IIR) >> 5, 6);
	out(port, UART_LCR, 0x80);
	out(port, UART_FCR, UART_FCR_ENABLE | 0x20);
	assert_int_equal(in(port, UART_IIR) >> 5, 6);
	out(port, UART_LCR, 0);
	out(port, UART_IER, 0x40);
	assert_false(in(port, UART_IER) & 0x40);
}

/* size_fifo(): 256 bytes in loopback, 16 of which are there afterwards. */
static void linux_size_fifo_counts_16(void **state)
{
	const struct port *port = *state;
	int count = 0;

	out(port, UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	out(port, UART_MCR, UART_MCR_LOOP);
	out(port, UART_LCR, 3);
	for (uint32_t i = 0; i < 256; i++)
		out(port, UART_THR, i);
	fakehost_advance(port->host, 20 * MS);
	while ((in(port, UART_LSR) & UART_LSR_DR) && count < 256)
		assert_int_equal(in(port, UART_RBR), count++);
	assert_int_equal(count, 16);
	expect_output(port, "");
}

/* serial8250_do_startup(): THRE must come again when THRI goes off and on, or Linux polls with a
 * timer; and it must be there at once, or Linux thinks that the chip does not interrupt at all. */
static void linux_startup_trusts_thre(void **state)
{
	const struct port *port = *state;
	uint8_t lsr, iir;

	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
	out(port, UART_IER, 0);
	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(in(port, UART_IIR), UART_IIR_THRE);
	out(port, UART_IER, 0);

	out(port, UART_IER, UART_IER_THRI);
	lsr = in(port, UART_LSR);
	iir = in(port, UART_IIR);
	out(port, UART_IER, 0);
	assert_int_equal(lsr & UART_LSR_TEMT, UART_LSR_TEMT);
	assert_int_equal(iir, UART_IIR_THRE);
	assert_int_equal(irqs(port), 3);
}

/*
 * Opening the port must not eat what has been piped into the console before, on a slow machine
 * neither: it is held until the driver is ready. The order is Linux's: console set-up, start-up,
 * set_termios (IER before the FIFOs!), and RTS last.
 */
static void linux_startup_loses_no_input(void **state)
{
	struct port *port = *state;

	put(port, "root\n");
	port->exit_ns = 3 * MS;
	linux_autoconfig_finds_a_16550a(state);
	fakehost_advance(port->host, S);
	out(port, UART_FCR, UART_FCR_ENABLE);
	out(port, UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	out(port, UART_FCR, 0);
	for (int i = 0; i < 2; i++) {
		in(port, UART_LSR);
		in(port, UART_RBR);
		in(port, UART_IIR);
		in(port, UART_MSR);
	}
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	out(port, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	out(port, UART_LCR, 0x93);
	out(port, 0, 12);
	out(port, 1, 0);
	out(port, UART_LCR, 0x13);
	out(port, UART_FCR, UART_FCR_ENABLE);
	out(port, UART_FCR, FIFO_8);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2 | UART_MCR_RTS);
	port->exit_ns = 0;
	fakehost_advance(port->host, MS);
	assert_int_equal(irqs(port), 2); /* THRE in the probe, and the character timeout */
	assert_int_equal(in(port, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
	expect_bytes(port, "root\n");
}

/* The handler: IIR, LSR, RBR while there is data, MSR, up to 16 bytes if the transmitter is
 * empty; until IIR says none. */
static void linux_handler(const struct port *port, const char **tx, char *rx, size_t *rx_count)
{
	for (int pass = 0; pass < 512; pass++) {
		uint8_t lsr;

		if (in(port, UART_IIR) & UART_IIR_NONE)
			return;
		for (int i = 0; (lsr = in(port, UART_LSR)) & UART_LSR_DR && i < 256; i++)
			rx[(*rx_count)++] = (char)in(port, UART_RBR);
		in(port, UART_MSR);
		if (!(lsr & UART_LSR_THRE) || !(in(port, UART_IER) & UART_IER_THRI))
			continue;
		for (int i = 0; i < 16 && **tx; i++)
			out(port, UART_THR, (uint8_t) * (*tx)++);
		if (!**tx)
			out(port, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	}
	fail_msg("the handler does not come to an end");
}

static void linux_handler_moves_both_ways(void **state)
{
	const struct port *port = *state;
	const char *tx = "the quick brown fox jumps over the lazy dog";
	char sent[4000], rx[4096];
	size_t rx_count = 0;
	uint64_t handled = 0;

	open_port(port, FIFO_8, UART_IER_RDI | UART_IER_RLSI);
	handled = irqs(port);
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (char)(i * 7);
	assert_int_equal(fakehost_stream_put(port->stream, sent, sizeof(sent)), sizeof(sent));
	out(port, UART_IER, UART_IER_RDI | UART_IER_RLSI | UART_IER_THRI);
	for (int step = 0; step < 10000 && (*tx || rx_count < sizeof(sent)); step++) {
		if (irqs(port) != handled) {
			handled = irqs(port);
			linux_handler(port, &tx, rx, &rx_count);
		}
		fakehost_advance(port->host, 10 * US);
	}
	assert_int_equal(rx_count, sizeof(sent));
	assert_memory_equal(rx, sent, sizeof(sent));
	expect_output(port, "the quick brown fox jumps over the lazy dog");
}

/* ---- floods ---- */

/* What a flood does to a driver. */
struct pressure {
	size_t most;      /* bytes in one interrupt */
	uint64_t inside;  /* time in the handler */
	uint64_t outside; /* and elsewhere */
};

/* Receives `bytes`, each access taking `exit_ns`. The sender has everything ready, or sends a byte every `trickle_ns`. */
static struct pressure flooded(struct port *port, size_t bytes, uint64_t exit_ns, uint64_t trickle_ns)
{
	static char sent[4096], rx[sizeof(sent) + 16];
	struct pressure pressure = { 0 };
	size_t put_count = 0, rx_count = 0;
	uint64_t handled, last = 0;
	const char *tx = "";

	assert_true(bytes <= sizeof(sent));
	for (size_t i = 0; i < bytes; i++)
		sent[i] = (char)(i * 31 >> 3);
	open_port(port, FIFO_8, UART_IER_RDI | UART_IER_RLSI);
	handled = irqs(port);
	port->exit_ns = exit_ns;
	if (!trickle_ns)
		put_count = fakehost_stream_put(port->stream, sent, bytes);
	while (rx_count < bytes) {
		size_t before = rx_count;
		uint64_t start = fakehost_now(port->host);

		if (irqs(port) != handled) {
			handled = irqs(port);
			linux_handler(port, &tx, rx, &rx_count);
			pressure.inside += fakehost_now(port->host) - start;
			pressure.most = rx_count - before > pressure.most ? rx_count - before : pressure.most;
		} else {
			fakehost_advance(port->host, 5 * US);
			pressure.outside += 5 * US;
		}
		for (; trickle_ns && put_count < bytes && last + trickle_ns <= fakehost_now(port->host); put_count++) {
			last = last ? last + trickle_ns : fakehost_now(port->host);
			fakehost_stream_put(port->stream, &sent[put_count], 1);
		}
	}
	port->exit_ns = 0;
	assert_int_equal(rx_count, bytes);
	assert_memory_equal(rx, sent, bytes);
	return pressure;
}

/* However slow its accesses are, a driver reads one batch, comes out of its handler, and has most of the time for the rest
 * of its system: with two ports, half of it. */
static void a_flooded_driver_comes_out_of_its_handler(void **state)
{
	static const uint64_t exits_ns[] = { 0, 500, US, 3 * US, 8 * US, 20 * US, 50 * US, 100 * US, 300 * US };

	for (size_t i = 0; i < sizeof(exits_ns) / sizeof(exits_ns[0]); i++) {
		struct pressure pressure = flooded(*state, 4000, exits_ns[i], 0);

		assert_in_range(pressure.most, 8, 16);
		assert_true(pressure.inside * 2 <= pressure.outside);
	}
}

/* The same where the stream has never more than a byte: each is announced by itself. */
static void a_driver_under_a_trickle_comes_out_of_its_handler(void **state)
{
	static const uint64_t exits_ns[] = { 3 * US, 8 * US, 50 * US };

	for (size_t i = 0; i < sizeof(exits_ns) / sizeof(exits_ns[0]); i++) {
		struct pressure pressure = flooded(*state, 2000, exits_ns[i], 5 * US);

		assert_in_range(pressure.most, 8, 32);
		assert_true(pressure.inside <= pressure.outside);
	}
}

/* On a fast host nothing is lost by that: 64 kB/s. */
static void a_fast_driver_gets_16_bytes_in_250_us(void **state)
{
	struct pressure pressure = flooded(*state, 4000, 500, 0);

	assert_in_range(pressure.inside + pressure.outside, 4000 / 16 * 250 * US, 4000 / 16 * 265 * US);
}

/* ---- anything goes ---- */

/* What must hold after every step, whatever came before. */
static void soup_check(const struct port *port, uint64_t told)
{
	const struct uart *uart = fakehost_state(port->dev); /* its first member */
	uint32_t causes = uart_causes(uart);

	assert_in_range(uart->tx_count, 0, UART_FIFO_BYTES);
	assert_in_range(uart->rx_count, 0, uart_has_fifos(uart) ? UART_FIFO_BYTES : 1);
	assert_int_equal(uart->ier & ~UART_IER_MASK, 0);
	assert_int_equal(uart->mcr & ~UART_MCR_MASK, 0);
	/* An interrupt never pends without having been announced. */
	if (causes)
		assert_true(irqs(port) > told);
}

/*
 * 100,000 random steps: accesses, input, output room, time, resets. The invariant that matters is
 * in soup_check(): `told` is the count of interrupts when the line was last low.
 */
static void register_soup(void **state)
{
	const struct port *port = *state;
	const struct uart *uart = fakehost_state(port->dev);
	uint32_t seed = 20240611;
	uint64_t told = 0;

	for (int step = 0; step < 100000; step++) {
		uint32_t what = plugin_soup(&seed) % 64;
		uint32_t reg = plugin_soup(&seed) % UART_REGISTERS;
		uint32_t value = plugin_soup(&seed) & 0xff;
		uint8_t bytes[40];

		if (what < 28) {
			out(port, reg, value);
		} else if (what < 54) {
			in(port, reg);
		} else if (what < 58) {
			memset(bytes, (int)value, sizeof(bytes));
			fakehost_stream_put(port->stream, bytes, value % sizeof(bytes));
		} else if (what < 60) {
			fakehost_stream_room(port->stream, value < 64 ? SIZE_MAX : value % 20);
		} else if (what < 63) {
			fakehost_advance(port->host, value < 4 ? 31 * S : value * 10 * US);
		} else if (value < 16) {
			assert_int_equal(fakehost_reset(port->dev), 0);
		}
		soup_check(port, told);
		if (!uart_causes(uart))
			told = irqs(port);
		if (step % 1000 == 0)
			fakehost_stream_clear(port->stream);
	}
	/* Whatever state that was: Linux can still find the chip, and use it. */
	fakehost_stream_room(port->stream, SIZE_MAX);
	assert_int_equal(fakehost_reset(port->dev), 0);
	fakehost_stream_clear(port->stream);
	linux_autoconfig_finds_a_16550a(state);
	linux_size_fifo_counts_16(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(linux_autoconfig_finds_a_16550a),
		PORT_TEST(linux_autoconfig_finds_no_variant),
		PORT_TEST(linux_size_fifo_counts_16),
		PORT_TEST(linux_startup_trusts_thre),
		PORT_TEST(linux_startup_loses_no_input),
		PORT_TEST(linux_handler_moves_both_ways),
		PORT_TEST(a_flooded_driver_comes_out_of_its_handler),
		PORT_TEST(a_driver_under_a_trickle_comes_out_of_its_handler),
		PORT_TEST(a_fast_driver_gets_16_bytes_in_250_us),
		PORT_TEST(register_soup),
	};

	return cmocka_run_group_tests_name("serial_linux", tests, NULL, NULL);
}
