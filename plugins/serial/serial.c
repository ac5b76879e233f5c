/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serial ports: a 16550A (uart.c) between the guest and a stream of the host.
 *
 * Two classes share everything but the kind of address: "serial" is a PC's COM port, "serial-mmio"
 * the same chip in memory. Both are PNP0501: Linux's 8250_pnp takes ports or memory, one byte per
 * register, 1.8432 MHz. (Its driver for "ns16550a" wants a devicetree node, so `compatible` would
 * lead nowhere.)
 *
 * What happens between an access and the stream is in serial_port.c.
 */
#include "serial_port.h"
#include "serial_state.h"

#include <backplane/plugin.h>

#include <stdlib.h>

#define IRQ_MAX       23
#define STREAM_HELP   "what the port is connected to"
#define STALL_DEFAULT "30s"
#define STALL_MAX_NS  INT64_C(86400000000000) /* a day */
#define STALL_HELP    "how long a reader that has stopped holds up output before it is dropped"

static const struct bp_param serial_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .def = "0x3f8",
	    .help = "first of eight I/O ports",
	},
	{
	    .name = "irq",
	    .type = BP_P_UINT,
	    .def = "4",
	    .max = IRQ_MAX,
	    .help = "interrupt line",
	},
	{
	    .name = "stream",
	    .type = BP_P_STREAM,
	    .def = "terminal",
	    .help = STREAM_HELP,
	},
	{
	    .name = "stall",
	    .type = BP_P_DURATION,
	    .def = STALL_DEFAULT,
	    .max = STALL_MAX_NS,
	    .help = STALL_HELP,
	},
};

static const struct bp_param serial_mmio_params[] = {
	{
	    .name = "base",
	    .type = BP_P_ADDRESS,
	    .help = "guest physical address; chosen by the host if absent",
	},
	{
	    .name = "irq",
	    .type = BP_P_UINT,
	    .max = IRQ_MAX,
	    .help = "interrupt line; chosen by the host if absent",
	},
	{
	    .name = "stream",
	    .type = BP_P_STREAM,
	    .def = "terminal",
	    .help = STREAM_HELP,
	},
	{
	    .name = "stall",
	    .type = BP_P_DURATION,
	    .def = STALL_DEFAULT,
	    .max = STALL_MAX_NS,
	    .help = STALL_HELP,
	},
};

static const struct bp_range serial_ranges[] = {
	{ .space = BP_PIO, .length = UART_REGISTERS, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_range serial_mmio_ranges[] = {
	{ .space = BP_MMIO, .length = UART_REGISTERS, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_irq serial_irqs[] = {
	{ .line_param = "irq" },
};

static void serial_destroy(void *self) /* [main] */
{
	struct serial *serial = self;

	for (size_t i = 0; i < TIMER_COUNT; i++)
		bp_timer_del(serial->dev, serial->timers[i]);
	free(serial);
}

static int serial_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct serial *serial;
	size_t made = 0;
	int r;

	serial = calloc(1, sizeof(*serial));
	if (!serial)
		return bp_fail(dev, -ENOMEM, "no memory for a serial port");
	serial->dev = dev;
	serial->input = true;
	serial->stall_ns = bp_cfg_uint(cfg, "stall");
	serial->stream = bp_cfg_stream(cfg, "stream");
	if (!serial->stream) {
		r = bp_fail(dev, -ENOTSUP, "this host has no streams");
		goto fail_free;
	}
	for (; made < TIMER_COUNT; made++) {
		r = bp_timer_add(dev, serial_port_timer, serial, &serial->timers[made]);
		if (r < 0) {
			bp_fail(dev, r, "cannot have a timer");
			goto fail_timers;
		}
	}
	r = bp_stream_listen(dev, serial->stream, serial_port_stream, serial);
	if (r < 0) {
		bp_fail(dev, r, "cannot listen to the stream");
		goto fail_timers;
	}
	bp_metric(dev, BP_METRIC_COUNTER, "received_bytes", "bytes that the port has received", &serial->received);
	bp_metric(dev, BP_METRIC_COUNTER, "sent_bytes", "bytes that the stream has taken", &serial->sent);
	bp_metric(dev, BP_METRIC_COUNTER, "lost_bytes", "bytes of output that were dropped", &serial->lost);
	uart_reset(&serial->uart);
	*ret = serial;
	return 0;

fail_timers:
	while (made > 0)
		bp_timer_del(dev, serial->timers[--made]);
fail_free:
	free(serial);
	return r;
}

static int serial_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct serial *serial = self;
	uint32_t reg = (uint32_t)access->offset;

	if (access->write)
		uart_write(&serial->uart, reg, (uint8_t)*val);
	else
		*val = uart_read(&serial->uart, reg);
	serial_port_accessed(serial, access->write);
	return 0;
}

static void serial_reset(void *self) /* [dev] */
{
	serial_port_reset(self);
}

static void serial_stop(void *self) /* [main] */
{
	serial_port_stop(self);
}

static int serial_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct serial *serial = self;

	return serial_state_save(&serial->uart, writer);
}

static int serial_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct serial *serial = self;
	int r = serial_state_load(&serial->uart, reader);

	(void)version;
	return r < 0 ? bp_fail(serial->dev, r, "the state is not that of a serial port") : 0;
}

static void serial_resume(void *self) /* [dev] */
{
	serial_port_resume(self);
}

/* clang-format off */
static const struct bp_device_class serial_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "serial",
	.summary = "16550A serial port at I/O ports",
	.hid = "PNP0501",
	BP_PARAMS(serial_params),
	BP_RANGES(serial_ranges),
	BP_IRQS(serial_irqs),
	.create = serial_create,
	.access = serial_access,
	.reset = serial_reset,
	.stop = serial_stop,
	.destroy = serial_destroy,
	.state_version = SERIAL_STATE_VERSION,
	.save = serial_save,
	.load = serial_load,
	.resume = serial_resume,
};

static const struct bp_device_class serial_mmio_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "serial-mmio",
	.summary = "16550A serial port in memory",
	.hid = "PNP0501",
	BP_PARAMS(serial_mmio_params),
	BP_RANGES(serial_mmio_ranges),
	BP_IRQS(serial_irqs),
	.create = serial_create,
	.access = serial_access,
	.reset = serial_reset,
	.stop = serial_stop,
	.destroy = serial_destroy,
	.state_version = SERIAL_STATE_VERSION,
	.save = serial_save,
	.load = serial_load,
	.resume = serial_resume,
};
/* clang-format on */

BP_PLUGIN("org.backplane.serial", "0.1", &serial_class, &serial_mmio_class)
