/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The serial port (plugins/serial, linked in) on the fake host: no virtual machine, a virtual clock. The test is the guest,
 * and what is behind the port's stream.
 */
#ifndef UNIT_SERIAL_FIXTURE_H
#define UNIT_SERIAL_FIXTURE_H

#include "plugins/serial/uart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugin_fixture.h"

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

static inline int port_setup(void **state)
{
	struct port *port = calloc(1, sizeof(*port));
	void *host;

	assert_non_null(port);
	assert_int_equal(plugin_setup(&host), 0);
	port->host = host;
	port->dev = plugin_make(port->host, "serial", "console", NULL);
	port->stream = fakehost_stream(port->dev, "stream");
	assert_non_null(port->stream);
	*state = port;
	return 0;
}

/* Every test ends here: the device has never broken the contract. */
static inline int port_teardown(void **state)
{
	struct port *port = *state;
	void *host = port->host;

	fakehost_destroy(port->dev);
	free(port);
	return plugin_teardown(&host);
}

#define PORT_TEST(name) cmocka_unit_test_setup_teardown(name, port_setup, port_teardown)

static inline uint8_t in(const struct port *port, uint32_t reg)
{
	fakehost_advance(port->host, port->exit_ns);
	return plugin_in(port->dev, 0, reg);
}

static inline void out(const struct port *port, uint32_t reg, uint32_t value)
{
	fakehost_advance(port->host, port->exit_ns);
	plugin_out(port->dev, 0, reg, (uint8_t)value);
}

static inline uint64_t irqs(const struct port *port)
{
	return fakehost_irqs(port->dev, 0);
}

/* What has come out since the last time is exactly `text`. */
static inline void expect_output(const struct port *port, const char *text)
{
	size_t bytes;
	const uint8_t *output = fakehost_stream_output(port->stream, &bytes);

	assert_int_equal(bytes, strlen(text));
	if (bytes)
		assert_memory_equal(output, text, bytes);
	fakehost_stream_clear(port->stream);
}

static inline void put(const struct port *port, const char *text)
{
	assert_int_equal(fakehost_stream_put(port->stream, text, strlen(text)), strlen(text));
}

static inline void send(const struct port *port, const char *text)
{
	for (; *text; text++)
		out(port, UART_THR, (uint8_t)*text);
}

/* A driver that is open: FIFOs with trigger `fcr`, RTS, these interrupts. What that raises is
 * not counted. */
static inline void open_port(const struct port *port, uint32_t fcr, uint32_t ier)
{
	out(port, UART_FCR, fcr);
	out(port, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	out(port, UART_IER, ier);
	fakehost_advance(port->host, MS);
}

static inline void expect_bytes(const struct port *port, const char *text)
{
	for (; *text; text++) {
		assert_int_equal(in(port, UART_LSR) & UART_LSR_DR, UART_LSR_DR);
		assert_int_equal(in(port, UART_RBR), *text);
	}
}

#endif
