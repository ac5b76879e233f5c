/* SPDX-License-Identifier: BSD-3-Clause */
/* The serial port: its registers, its parameters, and its life. */
#include "tests/unit/serial_fixture.h"

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
	struct port two = { .host = one->host, .dev = plugin_make(one->host, "serial", "second", values) };

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
	struct port mmio = { .host = port->host, .dev = plugin_make(port->host, "serial-mmio", "mmio", NULL) };
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		PORT_TEST(power_on_state),
		PORT_TEST(scratch_keeps_its_byte),
		PORT_TEST(dlab_switches_to_the_divisor),
		PORT_TEST(dlab_leaves_the_receiver_alone),
		PORT_TEST(ier_keeps_four_bits),
		PORT_TEST(mcr_keeps_five_bits),
		PORT_TEST(status_registers_ignore_writes),
		PORT_TEST(every_offset_and_width),
		PORT_TEST(reset_is_power_on),
		PORT_TEST(reset_forgets_what_was_announced),
		PORT_TEST(two_instances_share_nothing),
		PORT_TEST(two_instances_at_one_address_are_refused),
		PORT_TEST(mmio_is_the_same_chip),
		PORT_TEST(wrong_values_are_refused),
	};

	return cmocka_run_group_tests_name("serial", tests, NULL, NULL);
}
