/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving, loading and metrics of the serial port (plugins/serial) on the fake host. */
#include "plugins/serial/uart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/plugin_fixture.h"

#define MS UINT64_C(1000000)

/* A driver with FIFOs, RTS and all interrupts. */
static struct fakehost_dev *open_port(struct fakehost *host, uint8_t fcr)
{
	struct fakehost_dev *dev = plugin_make(host, "serial", "console", NULL);

	plugin_out(dev, 0, UART_FCR, fcr);
	plugin_out(dev, 0, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	plugin_out(dev, 0, UART_IER, UART_IER_MASK);
	fakehost_advance(host, MS);
	return dev;
}

/* Both FIFOs have something in them, and the divisor and the scratch register are not what they are after a reset. */
static void fill(struct fakehost *host, struct fakehost_dev *dev)
{
	struct bp_stream *stream = fakehost_stream(dev, "stream");

	plugin_out(dev, 0, UART_LCR, UART_LCR_DLAB | 3);
	plugin_out(dev, 0, 0, 0x34);
	plugin_out(dev, 0, 1, 0x12);
	plugin_out(dev, 0, UART_LCR, 3);
	plugin_out(dev, 0, UART_SCR, 0x5a);
	fakehost_stream_room(stream, 0);
	for (const char *text = "output"; *text; text++)
		plugin_out(dev, 0, UART_THR, (uint8_t)*text);
	assert_int_equal(fakehost_stream_put(stream, "in", 2), 2);
	fakehost_advance(host, MS);
}

static void state_goes_round(void **state)
{
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE | 0x80);
	struct fakehost_bytes saved;
	struct bp_stream *stream = fakehost_stream(dev, "stream");
	const uint8_t *output;
	size_t bytes;
	uint64_t irqs;

	plugin_check_state(*state, dev);
	fill(*state, dev);
	plugin_check_state(*state, dev);
	saved = plugin_save(dev);
	assert_int_equal(fakehost_reset(dev), 0);
	irqs = fakehost_irqs(dev, 0);
	assert_int_equal(plugin_load(dev, &saved), 0);
	/* The driver is told of what is there, and finds it. */
	assert_int_equal(fakehost_irqs(dev, 0), irqs + 1);
	assert_int_equal(plugin_in(dev, 0, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
	assert_int_equal(plugin_in(dev, 0, UART_LSR), UART_LSR_DR);
	assert_int_equal(plugin_in(dev, 0, UART_RBR), 'i');
	assert_int_equal(plugin_in(dev, 0, UART_RBR), 'n');
	assert_int_equal(plugin_in(dev, 0, UART_SCR), 0x5a);
	plugin_out(dev, 0, UART_LCR, UART_LCR_DLAB);
	assert_int_equal(plugin_in(dev, 0, 0), 0x34);
	assert_int_equal(plugin_in(dev, 0, 1), 0x12);
	plugin_out(dev, 0, UART_LCR, 3);
	fakehost_stream_room(stream, SIZE_MAX);
	output = fakehost_stream_output(stream, &bytes);
	assert_int_equal(bytes, 6);
	assert_memory_equal(output, "output", 6);
	assert_int_equal(plugin_in(dev, 0, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	fakehost_bytes_free(&saved);
}

/* What is held goes out as soon as the loaded port goes on, if its stream takes it. */
static void held_output_leaves_after_load(void **state)
{
	static const struct fakehost_pair values[] = { { "base", "0x2f8" }, { NULL, NULL } };
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE), *other;
	struct fakehost_bytes saved;
	size_t bytes;

	fill(*state, dev);
	saved = plugin_save(dev);
	other = plugin_make(*state, "serial", "other", values);
	assert_int_equal(plugin_load(other, &saved), 0);
	fakehost_stream_output(fakehost_stream(other, "stream"), &bytes);
	assert_int_equal(bytes, 6);
	assert_int_equal(plugin_in(other, 0, UART_LSR), UART_LSR_DR | UART_LSR_THRE | UART_LSR_TEMT);
	fakehost_bytes_free(&saved);
}

/* A few characters that were not announced yet are after the time that this takes. */
static void timeout_goes_on_after_load(void **state)
{
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE | 0x80);
	struct fakehost_bytes saved;

	assert_int_equal(fakehost_stream_put(fakehost_stream(dev, "stream"), "x", 1), 1);
	saved = plugin_save(dev);
	assert_int_equal(plugin_load(dev, &saved), 0);
	plugin_in(dev, 0, UART_IIR); /* the transmitter */
	assert_int_equal(plugin_in(dev, 0, UART_IIR), UART_IIR_FIFOS | UART_IIR_NONE);
	fakehost_advance(*state, MS);
	assert_int_equal(plugin_in(dev, 0, UART_IIR), UART_IIR_FIFOS | UART_IIR_TIMEOUT);
	fakehost_bytes_free(&saved);
}

static void mmio_has_the_same_state(void **state)
{
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE),
			    *mmio = plugin_make(*state, "serial-mmio", "mmio", NULL);
	struct fakehost_bytes saved;

	plugin_check_state(*state, mmio);
	fill(*state, dev);
	saved = plugin_save(dev);
	assert_int_equal(plugin_load(mmio, &saved), 0);
	assert_int_equal(plugin_in(mmio, 0, UART_SCR), 0x5a);
	fakehost_bytes_free(&saved);
}

static void hostile_states(void **state)
{
	static const uint8_t fifo[UART_FIFO_BYTES + 1];
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE);
	struct fakehost_bytes saved = plugin_save(dev);

	plugin_refuses(dev, &saved, 1, 0x10, -ERANGE);
	plugin_refuses(dev, &saved, 2, 0x02, -ERANGE);
	plugin_refuses(dev, &saved, 2, 0x80, -ERANGE); /* a trigger without FIFOs */
	plugin_refuses(dev, &saved, 3, 0x100, -ERANGE);
	plugin_refuses(dev, &saved, 4, 0x20, -ERANGE);
	plugin_refuses(dev, &saved, 7, 0x10000, -ERANGE);
	plugin_refuses(dev, &saved, 8, 0x80, -ERANGE);
	plugin_refuses(dev, &saved, 9, UINT32_MAX, -ERANGE);
	plugin_refuses(dev, &saved, 10, 0, -EINVAL);
	for (uint32_t tag = 10; tag <= 11; tag++) {
		assert_int_equal(fakehost_bytes_set(&saved, tag, fifo, sizeof(fifo)), 0);
		assert_int_equal(plugin_load(dev, &saved), -EMSGSIZE);
		assert_int_equal(fakehost_bytes_set(&saved, tag, fifo, 2), 0);
		assert_int_equal(plugin_load(dev, &saved), 0);
	}
	/* Without FIFOs there is room for one. */
	plugin_refuses(dev, &saved, 2, 0, -EMSGSIZE);
	assert_int_equal(plugin_in(dev, 0, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT); /* reset */
	fakehost_bytes_free(&saved);
}

static void soup_goes_round(void **state)
{
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE);
	struct bp_stream *stream = fakehost_stream(dev, "stream");
	uint32_t seed = 3;

	for (unsigned int i = 0; i < 20000; i++) {
		uint32_t what = plugin_soup(&seed);

		if (what % 7 == 0)
			fakehost_stream_put(stream, "flood", what >> 8 & 3);
		else if (what % 7 == 1)
			fakehost_stream_room(stream, what >> 8 & 31);
		else if (what % 7 == 2)
			fakehost_advance(*state, what % MS);
		else if (what % 7 < 5)
			plugin_in(dev, 0, what >> 8 & 7);
		else
			plugin_out(dev, 0, what >> 8 & 7, (uint8_t)(what >> 12));
		if (i % 500 == 0)
			plugin_check_state(*state, dev);
	}
}

static void metrics_count_bytes(void **state)
{
	struct fakehost_dev *dev = open_port(*state, UART_FCR_ENABLE);
	struct bp_stream *stream = fakehost_stream(dev, "stream");

	for (unsigned int i = 0; i < 100; i++)
		plugin_out(dev, 0, UART_THR, 'x');
	assert_int_equal(fakehost_stream_put(stream, "input", 5), 5);
	fakehost_advance(*state, MS);
	assert_int_equal(plugin_metric(dev, "sent_bytes"), 100);
	assert_int_equal(plugin_metric(dev, "received_bytes"), 5);
	assert_int_equal(plugin_metric(dev, "lost_bytes"), 0);
	/* The reader stops: 16 bytes are held, three have no room, and after the stall more is dropped. */
	fakehost_stream_room(stream, 0);
	for (unsigned int i = 0; i < 19; i++)
		plugin_out(dev, 0, UART_THR, 'x');
	assert_int_equal(plugin_metric(dev, "lost_bytes"), 0);
	fakehost_advance(*state, 31000 * MS);
	assert_int_equal(plugin_metric(dev, "lost_bytes"), 16);
	for (unsigned int i = 0; i < 10; i++)
		plugin_out(dev, 0, UART_THR, 'x');
	assert_int_equal(plugin_metric(dev, "lost_bytes"), 26);
	fakehost_stream_room(stream, SIZE_MAX);
	plugin_out(dev, 0, UART_THR, 'x');
	assert_int_equal(plugin_metric(dev, "lost_bytes"), 29);
	assert_int_equal(plugin_metric(dev, "sent_bytes"), 101);
	assert_int_equal(fakehost_log_count(*state, "29 bytes of output lost"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLUGIN_TEST(state_goes_round),
		PLUGIN_TEST(held_output_leaves_after_load),
		PLUGIN_TEST(timeout_goes_on_after_load),
		PLUGIN_TEST(mmio_has_the_same_state),
		PLUGIN_TEST(hostile_states),
		PLUGIN_TEST(soup_goes_round),
		PLUGIN_TEST(metrics_count_bytes),
	};

	return cmocka_run_group_tests_name("serial_state", tests, NULL, NULL);
}
