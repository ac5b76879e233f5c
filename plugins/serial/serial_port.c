/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial port between the guest and its stream; see serial_port.h. Everything here runs under the instance's mutex.
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
 * Input. Bytes are read from the stream in batches, with a pause between them: see pace.h.
 *
 * Interrupts. The line is an edge and the chip's output is a level, so it matters when to raise.
 * See settle().
 */
#include "serial_port.h"

#include <inttypes.h>

#define MS            UINT64_C(1000000) /* nanoseconds */

/* 8.5: four characters of 10 bits at 115200 baud. */
#define RX_TIMEOUT_NS UINT64_C(347222)
/* How long a driver without RTS has to enable the data interrupt until it is believed. */
#define RX_HOPE_NS    (100 * MS)
/* How long a burst may keep its interrupt to itself. */
#define TX_LATE_NS    MS

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

/* Moves what has come in to the receiver, as far as there is room; if it is too early for that, the
 * timer comes back to it. */
static void rx_fill(struct serial *serial)
{
	uint8_t buf[UART_FIFO_BYTES];
	size_t room;

	if (bp_clock_ns(serial->dev) < pace_due(&serial->pace)) {
		timer_arm(serial, TIMER_RX_PAUSE, pace_due(&serial->pace));
		return;
	}
	while ((room = uart_rx_room(&serial->uart)) > 0) {
		int got = bp_stream_read(serial->dev, serial->stream, buf, room);

		if (got <= 0) {
			serial->input = false;
			break;
		}
		bp_metric_add(serial->received, (uint64_t)got);
		for (int i = 0; i < got; i++)
			uart_receive(&serial->uart, buf[i]);
		pace_filled(&serial->pace);
	}
	if (serial->uart.rx_moved)
		rx_watch(serial);
}

/* There may be input: sees to it that it is moved when the driver wants it. */
static void rx_expect(struct serial *serial)
{
	struct uart *uart = &serial->uart;

	if (uart_rx_room(uart) && !serial->armed[TIMER_RX_PAUSE])
		timer_arm(serial, TIMER_RX_PAUSE, bp_clock_ns(serial->dev) + PACE_PERIOD_NS);
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

void serial_port_timer(void *arg, uint32_t timer) /* [dev] */
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

void serial_port_stream(void *arg, uint32_t events) /* [dev] */
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

void serial_port_accessed(struct serial *serial, bool write)
{
	struct uart *uart = &serial->uart;

	/* A held transmitter that FCR has emptied is no longer held. */
	if (write && (uart->tx_count || serial->tx_state == TX_HELD))
		transmit(serial);
	if (uart->rx_moved && !write)
		pace_taken(&serial->pace, bp_clock_ns(serial->dev), !uart->rx_count);
	if (uart->rx_moved)
		rx_watch(serial);
	settle_and_expect(serial);
}

void serial_port_reset(struct serial *serial)
{
	if (serial->tx_state != TX_FLOWING)
		episode_end(serial);
	for (size_t i = 0; i < TIMER_COUNT; i++)
		timer_disarm(serial, (enum timer_use)i);
	uart_reset(&serial->uart);
	serial->told = 0;
	serial->input = true;
	serial->pace = (struct pace){ 0 };
}

void serial_port_resume(struct serial *serial)
{
	if (serial->uart.tx_count)
		transmit(serial);
	rx_watch(serial);
	settle_and_expect(serial);
}

void serial_port_stop(struct serial *serial)
{
	if (serial->tx_state != TX_FLOWING)
		episode_end(serial);
}
