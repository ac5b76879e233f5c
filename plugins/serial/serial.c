/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Serial ports: a 16550A (uart.c) between the guest and a stream of the host.
 *
 * Two classes share everything but the kind of address: "serial" is a PC's COM port, "serial-mmio"
 * the same chip in memory. Both are PNP0501: Linux's 8250_pnp takes ports or memory, one byte per
 * register, 1.8432 MHz. (Its driver for "ns16550a" wants a devicetree node, so `compatible` would
 * lead nowhere.)
 *
 * Everything here runs under the instance's mutex, except create, stop and destroy.
 *
 * Output. A byte goes to the stream in the very access that brings it: nothing is batched, and the
 * transmitter is empty again when the guest looks. If the stream takes nothing, bytes stay in the
 * transmitter:
 *
 *   state        the guest sees                entered                      ended by
 *   TX_FLOWING   an empty transmitter          create, reset                a write that the stream does not take
 *   TX_HELD      a busy one, up to 16 bytes    the stream takes nothing     the stream takes all; `stall` without any taken
 *   TX_DROPPING  an empty one                  `stall` has passed           the stream takes a byte
 *
 * Input. Bytes are read from the stream when the receiver has room, in batches with a pause between
 * them. Without the pause a flood would refill the FIFO as fast as a driver can empty it, and
 * Linux's would not come out of its interrupt handler.
 *
 * Interrupts. The line is an edge and the chip's output is a level, so it matters when to raise.
 * See settle().
 */
#include "serial_state.h"
#include "uart.h"

#include <backplane/plugin.h>

#include <inttypes.h>
#include <stdlib.h>

#define MS            UINT64_C(1000000) /* nanoseconds */

/* 8.5: four characters of 10 bits at 115200 baud. */
#define RX_TIMEOUT_NS UINT64_C(347222)
/* Between two batches of 16 bytes: 64 kB/s, five times as fast as a real port. */
#define RX_PAUSE_NS   UINT64_C(250000)
/* How long a driver without RTS has to enable the data interrupt until it is believed. */
#define RX_HOPE_NS    (100 * MS)
/* How long a burst may keep its interrupt to itself. */
#define TX_LATE_NS    MS

#define IRQ_MAX       23
#define STALL_MAX_NS  INT64_C(86400000000000) /* a day */

enum tx_state { TX_FLOWING, TX_HELD, TX_DROPPING };

enum timer_use { TIMER_RX_PAUSE, TIMER_RX_HOPE, TIMER_RX_TIMEOUT, TIMER_TX_LATE, TIMER_TX_STALL, TIMER_COUNT };

struct serial {
	struct uart uart;
	struct bp_dev *dev;
	struct bp_stream *stream;
	uint64_t stall_ns;
	uint32_t timers[TIMER_COUNT];
	bool armed[TIMER_COUNT];
	uint32_t told; /* causes at the last settle() */
	bool input;    /* the stream may have some: it has not said otherwise */
	enum tx_state tx_state;
	uint64_t held_since_ns;
	uint64_t dropped;        /* bytes, in this episode */
	uint64_t rx_deadline_ns; /* when the character timeout is due */
	uint64_t *received;      /* metrics */
	uint64_t *sent;
	uint64_t *lost;
};

#define SHARED_PARAMS                                                                              \
	{                                                                                          \
		.name = "stream",                                                                  \
		.type = BP_P_STREAM,                                                               \
		.def = "terminal",                                                                 \
		.help = "what the port is connected to",                                           \
	},                                                                                         \
	{                                                                                          \
		.name = "stall", .type = BP_P_DURATION, .def = "30s", .max = STALL_MAX_NS,         \
		.help = "how long a reader that has stopped holds up output before it is dropped", \
	}

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
	SHARED_PARAMS,
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
	SHARED_PARAMS,
};

static const struct bp_range serial_ranges[] = {
	{ .space = BP_PIO, .length = UART_REGISTERS, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_range serial_mmio_ranges[] = {
	{ .space = BP_MMIO, .length = UART_REGISTERS, .widths = BP_W8, .base_param = "base" },
};

static const struct bp_irq serial_irqs[] = { { .line_param = "irq" } };

/* Both can only fail for a timer that does not exist. */
static void timer_arm(struct serial *serial, enum timer_use use, uint64_t deadline_ns)
{
	serial->armed[use] = true;
	bp_timer_set(serial->dev, serial->timers[use], deadline_ns);
}

static void timer_disarm(struct serial *serial, enum timer_use use)
{
	if (!serial->armed[use])
		return;
	serial->armed[use] = false;
	bp_timer_set(serial->dev, serial->timers[use], 0);
}

/*
 * Raises the line if the driver has to look.
 *
 * The chip's output is high while any cause is pending; on an edge line only the rise counts. A
 * driver that reads IIR until it says "none" needs nothing else. But with a real chip, whatever
 * leaves the output high without a rise is silence for ever, and our chip, which transmits in no
 * time, gets there more easily. So there is an edge whenever the set of causes changes to something
 * that is not empty, and whenever a cause that is still there has come anew. Three stories:
 *
 *  - Thread A, the vCPU, takes the interrupt for received data. Before it reads IIR, thread B, our
 *    loop, empties the transmitter. A's driver handles one cause per interrupt: it reads RBR,
 *    leaves, and never hears of the transmitter, as the output has been high all the time. So the
 *    removal of one cause announces those that remain. The same holds for a modem change that waits
 *    behind the IIR read that takes note of THRE.
 *  - A's driver was not there yet when the edge came: the line was masked, the edge is gone, the
 *    cause pends. B brings the next byte. The set stays as it was, but the news is news: without an
 *    edge here the console would be dead.
 *  - A's driver answers "transmitter empty" by writing the next byte, without a look at IIR. The
 *    byte is gone before the access ends, so the set before and after is the same; but it has been
 *    served, and has come anew.
 *
 * The third has a price: a driver with FIFOs writes 16 bytes in a row, and needs one edge for them,
 * not 16. Therefore a write to THR right after another makes no edge, but is remembered; if nobody
 * has asked after a millisecond, the edge comes.
 */
static void settle(struct serial *serial)
{
	struct uart *uart = &serial->uart;
	uint32_t causes = uart_causes(uart);

	if (causes) {
		if (causes != serial->told || (causes & uart->edges))
			bp_irq_raise(serial->dev, 0);
		else if (uart->burst && (causes & UART_CAUSE_THRE) && !serial->armed[TIMER_TX_LATE])
			timer_arm(serial, TIMER_TX_LATE, bp_clock_ns(serial->dev) + TX_LATE_NS);
	}
	serial->told = causes;
	uart->edges = 0;
}

/* The stream takes bytes again, or it is too late for those that are held: says what has been
 * lost. */
static void episode_end(struct serial *serial)
{
	uint64_t lost = serial->dropped + serial->uart.tx_lost + serial->uart.tx_count;

	bp_metric_add(serial->lost, serial->uart.tx_lost + serial->uart.tx_count);
	if (lost)
		bp_log(serial->dev, BP_LOG_WARN,
		       "%" PRIu64 " bytes of output lost: the reader had stopped %" PRIu64 " ms ago", lost,
		       (bp_clock_ns(serial->dev) - serial->held_since_ns) / MS);
	serial->uart.tx_lost = 0;
	serial->dropped = 0;
	serial->tx_state = TX_FLOWING;
	timer_disarm(serial, TIMER_TX_STALL);
}

/* The stream takes nothing, and no longer holds up the guest. */
static void drop(struct serial *serial)
{
	bp_metric_add(serial->lost, serial->uart.tx_count);
	serial->dropped += serial->uart.tx_count;
	uart_sent(&serial->uart, serial->uart.tx_count);
}

/* The transmitter has bytes, or had some, and the stream may take them. */
static void transmit(struct serial *serial)
{
	struct uart *uart = &serial->uart;
	int taken = 0;

	if (uart->tx_count)
		taken = bp_stream_write(serial->dev, serial->stream, uart->tx, uart->tx_count);
	if (taken > 0) {
		bp_metric_add(serial->sent, (uint64_t)taken);
		uart_sent(uart, (size_t)taken);
	}
	if (serial->tx_state == TX_DROPPING && taken <= 0) {
		drop(serial);
		return;
	}
	if (uart->tx_count) {
		uint64_t now_ns = bp_clock_ns(serial->dev);
		bool begins = serial->tx_state == TX_FLOWING;

		if (begins) {
			serial->tx_state = TX_HELD;
			serial->held_since_ns = now_ns;
		}
		if (begins || taken > 0)
			timer_arm(serial, TIMER_TX_STALL, now_ns + serial->stall_ns);
	} else if (serial->tx_state != TX_FLOWING) {
		episode_end(serial);
	}
}

/* Starts the time after which a few characters are announced although they are few. The timer is
 * set once and looks at the deadline when it fires: a driver that reads byte by byte moves only
 * the deadline. */
static void rx_watch(struct serial *serial)
{
	serial->uart.rx_moved = false;
	if (!uart_rx_waiting(&serial->uart))
		return;
	serial->rx_deadline_ns = bp_clock_ns(serial->dev) + RX_TIMEOUT_NS;
	if (!serial->armed[TIMER_RX_TIMEOUT])
		timer_arm(serial, TIMER_RX_TIMEOUT, serial->rx_deadline_ns);
}

static void rx_timeout(struct serial *serial)
{
	if (!uart_rx_waiting(&serial->uart))
		return;
	if (bp_clock_ns(serial->dev) < serial->rx_deadline_ns)
		timer_arm(serial, TIMER_RX_TIMEOUT, serial->rx_deadline_ns);
	else
		serial->uart.timed_out = true;
}

/* Moves what has come in to the receiver, as far as there is room. */
static void rx_fill(struct serial *serial)
{
	uint8_t buf[UART_FIFO_BYTES];
	size_t room;

	while ((room = uart_rx_room(&serial->uart)) > 0) {
		int got = bp_stream_read(serial->dev, serial->stream, buf, room);

		if (got <= 0) {
			serial->input = false;
			break;
		}
		bp_metric_add(serial->received, (uint64_t)got);
		for (int i = 0; i < got; i++)
			uart_receive(&serial->uart, buf[i]);
	}
	if (serial->uart.rx_moved)
		rx_watch(serial);
}

/* There may be input: sees to it that it is moved when the driver wants it. */
static void rx_expect(struct serial *serial)
{
	struct uart *uart = &serial->uart;

	if (uart_rx_room(uart) && !serial->armed[TIMER_RX_PAUSE])
		timer_arm(serial, TIMER_RX_PAUSE, bp_clock_ns(serial->dev) + RX_PAUSE_NS);
	if (!uart_rx_hoped(uart))
		timer_disarm(serial, TIMER_RX_HOPE);
	else if (!serial->armed[TIMER_RX_HOPE])
		timer_arm(serial, TIMER_RX_HOPE, bp_clock_ns(serial->dev) + RX_HOPE_NS);
}

static void settle_and_expect(struct serial *serial)
{
	settle(serial);
	if (serial->input)
		rx_expect(serial);
}

static void serial_timer(void *arg, uint32_t timer) /* [dev] */
{
	struct serial *serial = arg;
	size_t use = 0;

	while (use < TIMER_COUNT && serial->timers[use] != timer)
		use++;
	if (use == TIMER_COUNT)
		return;
	serial->armed[use] = false;
	switch (use) {
	case TIMER_RX_PAUSE:
		rx_fill(serial);
		break;
	case TIMER_RX_HOPE:
		serial->uart.believed = true;
		rx_fill(serial);
		break;
	case TIMER_RX_TIMEOUT:
		rx_timeout(serial);
		break;
	case TIMER_TX_LATE:
		serial->uart.edges |= UART_CAUSE_THRE;
		break;
	default: /* `stall` has passed without a byte taken */
		serial->tx_state = TX_DROPPING;
		drop(serial);
		break;
	}
	settle(serial);
}

static void serial_stream(void *arg, uint32_t events) /* [dev] */
{
	struct serial *serial = arg;

	if ((events & BP_STREAM_OUT) && serial->tx_state != TX_FLOWING) {
		if (serial->uart.tx_count)
			transmit(serial);
		else
			episode_end(serial);
	}
	if (events & BP_STREAM_IN) {
		serial->input = true;
		if (!serial->armed[TIMER_RX_PAUSE])
			rx_fill(serial);
	}
	settle_and_expect(serial);
}

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
		r = bp_timer_add(dev, serial_timer, serial, &serial->timers[made]);
		if (r < 0) {
			bp_fail(dev, r, "cannot have a timer");
			goto fail_timers;
		}
	}
	r = bp_stream_listen(dev, serial->stream, serial_stream, serial);
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
	struct uart *uart = &serial->uart;
	uint32_t reg = (uint32_t)access->offset;

	if (access->write) {
		uart_write(uart, reg, (uint8_t)*val);
		/* A held transmitter that FCR has emptied is no longer held. */
		if (uart->tx_count || serial->tx_state == TX_HELD)
			transmit(serial);
	} else {
		*val = uart_read(uart, reg);
	}
	if (uart->rx_moved)
		rx_watch(serial);
	settle_and_expect(serial);
	return 0;
}

static void serial_reset(void *self) /* [dev] */
{
	struct serial *serial = self;

	if (serial->tx_state != TX_FLOWING)
		episode_end(serial);
	for (size_t i = 0; i < TIMER_COUNT; i++)
		timer_disarm(serial, (enum timer_use)i);
	uart_reset(&serial->uart);
	serial->told = 0;
	serial->input = true;
}

static void serial_stop(void *self) /* [main] */
{
	struct serial *serial = self;

	if (serial->tx_state != TX_FLOWING)
		episode_end(serial);
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

/* Goes on with what waits in the chip; after a load that is all news. */
static void serial_resume(void *self) /* [dev] */
{
	struct serial *serial = self;

	if (serial->uart.tx_count)
		transmit(serial);
	rx_watch(serial);
	settle_and_expect(serial);
}

/* clang-format off */
#define SERIAL_CLASS(symbol, title, text, param_table, range_table) \
	static const struct bp_device_class symbol = { \
		BP_DEVICE_CLASS_INIT, \
		.name = (title), \
		.summary = (text), \
		.hid = "PNP0501", \
		BP_PARAMS(param_table), \
		BP_RANGES(range_table), \
		BP_IRQS(serial_irqs), \
		.create = serial_create, \
		.access = serial_access, \
		.reset = serial_reset, \
		.stop = serial_stop, \
		.destroy = serial_destroy, \
		.state_version = SERIAL_STATE_VERSION, \
		.save = serial_save, \
		.load = serial_load, \
		.resume = serial_resume, \
	}
/* clang-format on */

SERIAL_CLASS(serial_class, "serial", "16550A serial port at I/O ports", serial_params, serial_ranges);
SERIAL_CLASS(serial_mmio_class, "serial-mmio", "16550A serial port in memory", serial_mmio_params, serial_mmio_ranges);

BP_PLUGIN("org.backplane.serial", "0.1", &serial_class, &serial_mmio_class)
