/* SPDX-License-Identifier: BSD-3-Clause */
/* The serial port (plugins/serial), driven by the fake host of the conformance kit: no virtual
 * machine, a virtual clock. */
#include "plugins/serial/uart.h"
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct bp_plugin backplane_plugin; /* plugins/serial is linked in */

#define US        UINT64_C(1000)
#define MS        (1000 * US)
#define S         (1000 * MS)

#define NO_INT    (UART_IIR_FIFOS | UART_IIR_NONE)
#define FIFO_ON   UART_FCR_ENABLE
#define FIFO_8    (UART_FCR_ENABLE | 0x80u) /* what Linux uses */
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)

struct port {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct bp_stream *stream;
	uint64_t exit_ns; /* how long each access of the guest takes */
};

static struct fakehost_dev *make(struct fakehost *host, const char *class_name, const char *id,
				 const struct fakehost_pair *values)
{
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, fakehost_class(&backplane_plugin, class_name), id, values, &dev), 0);
	assert_int_equal(fakehost_start(dev), 0);
	return dev;
}

static struct port *port_new(const struct fakehost_pair *values)
{
	struct port *port = calloc(1, sizeof(*port));

	assert_non_null(port);
	assert_int_equal(fakehost_new(4096, &port->host), 0);
	port->dev = make(port->host, "serial", "console", values);
	port->stream = fakehost_stream(port->dev, "stream");
	assert_non_null(port->stream);
	return port;
}

static int setup(void **state)
{
	*state = port_new(NULL);
	return 0;
}

/* Every test ends here: the device has never broken the contract. */
static int teardown(void **state)
{
	struct port *port = *state;
	uint32_t breaches;

	fakehost_destroy(port->dev);
	breaches = fakehost_breaches(port->host);
	for (uint32_t i = 0; breaches && fakehost_log_line(port->host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(port->host, i, NULL));
	fakehost_free(port->host);
	free(port);
	return breaches ? -1 : 0;
}

static uint8_t dev_in(struct fakehost_dev *dev, uint32_t reg)
{
	uint64_t val;

	assert_int_equal(fakehost_read(dev, 0, reg, 1, &val), 0);
	return (uint8_t)val;
}

static uint8_t in(const struct port *port, uint32_t reg)
{
	fakehost_advance(port->host, port->exit_ns);
	return dev_in(port->dev, reg);
}

static void out(const struct port *port, uint32_t reg, uint32_t value)
{
	fakehost_advance(port->host, port->exit_ns);
	assert_int_equal(fakehost_write(port->dev, 0, reg, 1, value), 0);
}

static uint64_t irqs(const struct port *port)
{
	return fakehost_irqs(port->dev, 0);
}

/* What has come out since the last time is exactly `text`. */
static void expect_output(const struct port *port, const char *text)
{
	size_t bytes;
	const uint8_t *output = fakehost_stream_output(port->stream, &bytes);

	assert_int_equal(bytes, strlen(text));
	if (bytes)
		assert_memory_equal(output, text, bytes);
	fakehost_stream_clear(port->stream);
}

static void put(const struct port *port, const char *text)
{
	assert_int_equal(fakehost_stream_put(port->stream, text, strlen(text)), strlen(text));
}

static void send(const struct port *port, const char *text)
{
	for (; *text; text++)
		out(port, UART_THR, (uint8_t)*text);
}

/* A driver that is open: FIFOs with trigger `fcr`, RTS, these interrupts. What that raises is
 * not counted. */
static void open_port(const struct port *port, uint32_t fcr, uint32_t ier)
{
	out(port, UART_FCR, fcr);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(port, UART_IER, ier);
	fakehost_advance(port->host, MS);
}

static void expect_bytes(const struct port *port, const char *text)
{
	for (; *text; text++) {
		assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, UART_LSR_DR);
		assert_int_equal(in(port, UART_RBR), *text);
	}
}

/* ---- power-on, registers ---- */

static void power_on_state(void **state)
{
	const struct port *port = *state;

	assert_int_equal(in(port, UART_IER), 0);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
	assert_int_equal(in(port, UART_LCR), 0);
	assert_int_equal(in(port, UART_MCR), 0);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(in(port, UART_MSR), UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
	assert_int_equal(in(port, UART_SCR), 0);
	assert_int_equal(in(port, UART_RBR), 0);
	assert_int_equal(irqs(port), 0);
}

static void scratch_keeps_its_byte(void **state)
{
	const struct port *port = *state;

	for (uint32_t value = 0; value < 256; value++) {
		out(port, UART_SCR, value);
		assert_int_equal(in(port, UART_SCR), value);
	}
}

static void dlab_switches_to_the_divisor(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_RDI);
	out(port, UART_LCR, UART_LCR_DLAB | 3);
	assert_int_equal(in(port, 0), 12);
	assert_int_equal(in(port, 1), 0);
	out(port, 0, 0x34);
	out(port, 1, 0x12);
	assert_int_equal(in(port, 0), 0x34);
	assert_int_equal(in(port, 1), 0x12);
	out(port, UART_LCR, 3);
	assert_int_equal(in(port, UART_IER), UART_IER_RDI);
	expect_output(port, "");
}

static void dlab_leaves_the_receiver_alone(void **state)
{
	const struct port *port = *state;

	open_port(port, FIFO_ON, 0);
	put(port, "x");
	out(port, UART_LCR, UART_LCR_DLAB);
	in(port, 0);
	out(port, UART_LCR, 0);
	expect_bytes(port, "x");
}

static void ier_keeps_four_bits(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, 0xff);
	assert_int_equal(in(port, UART_IER), 0x0f);
}

static void mcr_keeps_five_bits(void **state)
{
	const struct port *port = *state;

	out(port, UART_MCR, 0xff);
	assert_int_equal(in(port, UART_MCR), 0x1f);
}

static void status_registers_ignore_writes(void **state)
{
	const struct port *port = *state;

	out(port, UART_LSR, 0xff);
	out(port, UART_MSR, 0xff);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(in(port, UART_MSR), 0xb0);
}

static void every_offset_and_width(void **state)
{
	const struct port *port = *state;

	for (uint64_t offset = 0; offset < 16; offset++) {
		for (uint32_t width = 1; width <= 8; width++) {
			bool taken = width == 1 && offset < UART_REGISTERS;
			uint64_t ones = width == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
			uint64_t val;

			assert_int_equal(fakehost_read(port->dev, 0, offset, width, &val), taken ? 0 : -EACCES);
			if (!taken)
				assert_int_equal(val, ones);
			assert_int_equal(fakehost_write(port->dev, 0, offset, width, 0), taken ? 0 : -EACCES);
		}
	}
	assert_int_equal(fakehost_write(port->dev, 1, 0, 1, 0), -EACCES);
	assert_int_equal(fakehost_write(port->dev, 0, UINT64_MAX, 1, 0), -EACCES);
}

/* ---- what Linux does ---- */

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

/* ---- receiver ---- */

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
	struct fakehost_dev *dev = make(port->host, "serial", "second", values);

	fakehost_stream_room(fakehost_stream(dev, "stream"), 0);
	assert_int_equal(fakehost_write(dev, 0, UART_THR, 1, 'a'), 0);
	fakehost_advance(port->host, 5 * MS - 1);
	assert_int_equal(dev_in(dev, UART_LSR), 0);
	fakehost_advance(port->host, 1);
	assert_int_equal(dev_in(dev, UART_LSR), LSR_EMPTY);
	fakehost_destroy(dev);
	assert_int_equal(fakehost_log_count(port->host, "second: 1 bytes of output lost"), 1);
}

/* ---- life ---- */

static void reset_is_power_on(void **state)
{
	const struct port *port = *state;
	uint64_t raised;

	open_port(port, FIFO_8, 0x0f);
	out(port, UART_LCR, UART_LCR_DLAB | 3);
	out(port, 0, 1);
	out(port, UART_LCR, 3);
	out(port, UART_SCR, 0x55);
	put(port, "0123456789abcdefghij");
	fakehost_stream_room(port->stream, 0);
	send(port, "held");
	assert_int_equal(fakehost_reset(port->dev), 0);
	raised = irqs(port);
	assert_int_equal(fakehost_log_count(port->host, "4 bytes of output lost"), 1);
	fakehost_advance(port->host, 60 * S);
	assert_int_equal(irqs(port), raised);
	assert_int_equal(fakehost_stream_left(port->stream), 4);
	assert_int_equal(in(port, UART_IER), 0);
	assert_int_equal(in(port, UART_IIR), UART_IIR_NONE);
	assert_int_equal(in(port, UART_LCR), 0);
	assert_int_equal(in(port, UART_MCR), 0);
	assert_int_equal(in(port, UART_LSR), LSR_EMPTY);
	assert_int_equal(in(port, UART_MSR), 0xb0);
	assert_int_equal(in(port, UART_SCR), 0);
	out(port, UART_LCR, UART_LCR_DLAB);
	assert_int_equal(in(port, 0), 12);
	out(port, UART_LCR, 0);
	send(port, "x");
	assert_int_equal(in(port, UART_LSR), 0); /* held anew, not dropped */
	/* Input that the host still had is not lost to the next driver. */
	open_port(port, FIFO_ON, 0);
	expect_bytes(port, "ghij");
}

/* The same cause before and after: the new driver has not been told of it. */
static void reset_forgets_what_was_announced(void **state)
{
	const struct port *port = *state;

	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(irqs(port), 1);
	assert_int_equal(fakehost_reset(port->dev), 0);
	assert_int_equal(irqs(port), 1);
	out(port, UART_IER, UART_IER_THRI);
	assert_int_equal(irqs(port), 2);
}

static void two_instances_share_nothing(void **state)
{
	static const struct fakehost_pair values[] = { { "base", "0x2f8" }, { "irq", "3" }, { NULL, NULL } };
	const struct port *one = *state;
	struct port two = { .host = one->host, .dev = make(one->host, "serial", "second", values) };

	two.stream = fakehost_stream(two.dev, "stream");
	open_port(one, FIFO_ON, UART_IER_RDI);
	open_port(&two, FIFO_8, UART_IER_RDI);
	put(one, "one");
	send(&two, "two");
	assert_int_equal(irqs(one), 1);
	assert_int_equal(irqs(&two), 0);
	assert_int_equal(in(&two, UART_LSR), LSR_EMPTY);
	expect_bytes(one, "one");
	expect_output(one, "");
	expect_output(&two, "two");
	out(one, UART_SCR, 1);
	assert_int_equal(fakehost_reset(two.dev), 0);
	assert_int_equal(in(one, UART_SCR), 1);
	fakehost_destroy(two.dev);
	send(one, "still here");
	expect_output(one, "still here");
}

static void two_instances_at_one_address_are_refused(void **state)
{
	const struct port *port = *state;
	struct fakehost_dev *dev;
	int r = fakehost_create(port->host, fakehost_class(&backplane_plugin, "serial"), "second", NULL, &dev);

	assert_int_equal(r, -EEXIST);
}

static void mmio_is_the_same_chip(void **state)
{
	const struct port *port = *state;
	struct port mmio = { .host = port->host, .dev = make(port->host, "serial-mmio", "mmio", NULL) };
	uint64_t base;

	mmio.stream = fakehost_stream(mmio.dev, "stream");
	assert_int_equal(fakehost_range_base(mmio.dev, 0, &base), 0);
	assert_int_equal(base % 4096, 0);
	send(&mmio, "hello");
	expect_output(&mmio, "hello");
	expect_output(port, "");
	fakehost_destroy(mmio.dev);
}

static void wrong_values_are_refused(void **state)
{
	static const struct fakehost_pair wrong[][2] = {
		{ { "irq", "24" }, { NULL, NULL } },    { { "irq", "four" }, { NULL, NULL } },
		{ { "base", "com1" }, { NULL, NULL } }, { { "base", "0xfffc" }, { NULL, NULL } },
		{ { "stall", "30" }, { NULL, NULL } },  { { "stall", "25h" }, { NULL, NULL } },
		{ { "baud", "9600" }, { NULL, NULL } },
	};
	const struct port *port = *state;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fakehost_dev *dev;

		assert_int_equal(fakehost_create(port->host, fakehost_class(&backplane_plugin, "serial"), "wrong",
						 wrong[i], &dev),
				 -EINVAL);
	}
}

/* ---- anything goes ---- */

static uint32_t soup_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

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
		uint32_t what = soup_next(&seed) % 64;
		uint32_t reg = soup_next(&seed) % UART_REGISTERS;
		uint32_t value = soup_next(&seed) & 0xff;
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
		uint32_t what = soup_next(&seed) % 8;

		if (what == 0)
			fakehost_stream_room(port->stream, soup_next(&seed) % 24);
		else if (what == 1)
			fakehost_advance(port->host, soup_next(&seed) % MS);
		else if (what == 2)
			in(port, UART_IIR);
		else if (in(port, UART_LSR) & UART_LSR_THRE)
			for (uint32_t i = soup_next(&seed) % 17; i > 0; i--)
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(power_on_state),
		TEST(scratch_keeps_its_byte),
		TEST(dlab_switches_to_the_divisor),
		TEST(dlab_leaves_the_receiver_alone),
		TEST(ier_keeps_four_bits),
		TEST(mcr_keeps_five_bits),
		TEST(status_registers_ignore_writes),
		TEST(every_offset_and_width),
		TEST(linux_autoconfig_finds_a_16550a),
		TEST(linux_autoconfig_finds_no_variant),
		TEST(linux_size_fifo_counts_16),
		TEST(linux_startup_trusts_thre),
		TEST(linux_startup_loses_no_input),
		TEST(linux_handler_moves_both_ways),
		TEST(output_is_visible_at_once),
		TEST(thre_raised_when_enabled),
		TEST(thre_cleared_by_iir_read),
		TEST(thre_comes_again_after_each_write),
		TEST(thre_comes_again_without_iir_read),
		TEST(thre_burst_is_one_interrupt),
		TEST(thre_burst_pays_its_debt),
		TEST(no_fifo_is_one_character),
		TEST(trigger_1),
		TEST(trigger_4),
		TEST(trigger_8),
		TEST(trigger_14),
		TEST(timeout_announces_a_few_characters),
		TEST(timeout_starts_anew_with_each_read),
		TEST(raising_the_trigger_starts_the_timeout),
		TEST(fcr_clears_the_receiver),
		TEST(fcr_enable_change_clears_both),
		TEST(fcr_without_enable_is_ignored),
		TEST(input_waits_for_rts),
		TEST(input_comes_without_rts_for_interrupts),
		TEST(input_comes_without_rts_for_polling),
		TEST(flood_stays_with_the_host),
		TEST(a_flooded_driver_comes_out_of_its_handler),
		TEST(a_driver_under_a_trickle_comes_out_of_its_handler),
		TEST(a_fast_driver_gets_16_bytes_in_250_us),
		TEST(half_read_input_is_announced_again),
		TEST(priorities),
		TEST(iir_read_of_data_leaves_thre),
		TEST(data_behind_thre_has_its_own_edge),
		TEST(new_data_is_an_edge_though_data_pends),
		TEST(masked_causes_are_silent),
		TEST(loopback_lines_follow_mcr),
		TEST(msr_deltas_tell_what_changed),
		TEST(msr_ring_counts_when_it_ends),
		TEST(modem_interrupt_until_msr_is_read),
		TEST(loopback_bytes_stay_inside),
		TEST(loopback_interrupts_like_a_wire),
		TEST(loopback_overrun_is_reported_once),
		TEST(loopback_overrun_without_fifo_keeps_the_last),
		TEST(stalled_reader_holds_the_transmitter),
		TEST(slow_reader_loses_nothing),
		TEST(dead_reader_is_given_up_after_stall),
		TEST(each_episode_is_logged_once),
		TEST(writes_to_a_full_transmitter_are_counted),
		TEST(fcr_clears_a_held_transmitter),
		TEST(stall_is_a_parameter),
		TEST(reset_is_power_on),
		TEST(reset_forgets_what_was_announced),
		TEST(two_instances_share_nothing),
		TEST(two_instances_at_one_address_are_refused),
		TEST(mmio_is_the_same_chip),
		TEST(wrong_values_are_refused),
		TEST(register_soup),
		TEST(output_soup_keeps_every_byte),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
