/* SPDX-License-Identifier: BSD-3-Clause */
/* The registers of a 16550A; see uart.h. */
#include "uart.h"

#include <string.h>

/* What a PC's firmware leaves behind: 9600 baud of 1.8432 MHz. A divisor of 0 would be one that
 * drivers divide by. */
#define DIVISOR_RESET   12

/* The far side is always there and always ready. */
#define LINES_OUTSIDE   (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)

/* So many fruitless looks at LSR in a row are those of a driver that polls for input. Linux's
 * probe and start-up make at most three. */
#define POLLS_LISTENING 16

void uart_reset(struct uart *uart)
{
	*uart = (struct uart){
		.divisor = DIVISOR_RESET,
		.msr = LINES_OUTSIDE,
	};
}

static size_t fifo_capacity(const struct uart *uart)
{
	return uart_has_fifos(uart) ? UART_FIFO_BYTES : 1;
}

/* How many characters make a data interrupt (8.5). */
static size_t rx_trigger(const struct uart *uart)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return uart_has_fifos(uart) ? levels[uart->fcr >> 6] : 1;
}

bool uart_rx_waiting(const struct uart *uart)
{
	return uart->rx_count && uart->rx_count < rx_trigger(uart) && !uart->timed_out;
}

/*
 * Whether a real terminal would be sending by now. A driver that looks for the chip, or opens it,
 * clears the receiver; what came in before would be lost, and piped input is all there from the
 * start. So the far side does hardware handshake: it waits for RTS, which drivers raise when they
 * are ready. Those that never do are believed when they keep polling, or when the data interrupt
 * stays enabled: Linux enables it for a moment to see whether the chip is there, and shortly before
 * it turns the FIFOs on, which empties them.
 */
static bool listening(const struct uart *uart)
{
	if (uart->mcr & UART_MCR_LOOP)
		return false;
	return (uart->mcr & UART_MCR_RTS) || uart->polls >= POLLS_LISTENING || (!uart->rts_used && uart->believed);
}

bool uart_rx_hoped(const struct uart *uart)
{
	return (uart->ier & UART_IER_RDI) && !uart->believed && !uart->rts_used && !(uart->mcr & UART_MCR_LOOP);
}

size_t uart_rx_room(const struct uart *uart)
{
	/* A smaller capacity than the count cannot be: changing FCR.ENABLE empties the FIFOs. */
	return listening(uart) ? fifo_capacity(uart) - uart->rx_count : 0;
}

void uart_receive(struct uart *uart, uint8_t byte)
{
	size_t capacity = fifo_capacity(uart);

	uart->rx_moved = true;
	uart->edges |= UART_CAUSE_DATA;
	if (uart->rx_count == capacity) {
		/* 8.4: what is in the FIFO stays; without FIFOs the old character is
		 * overwritten. */
		uart->overrun = true;
		if (capacity == 1)
			uart->rx[uart->rx_head] = byte;
		return;
	}
	uart->rx[(uart->rx_head + uart->rx_count) % UART_FIFO_BYTES] = byte;
	uart->rx_count++;
	uart->timed_out = false;
}

/* The transmitter is empty: an interrupt cause, and a new one even if the driver had not seen
 * the last. Inside a burst that news is not urgent; serial.c tells why. */
static void tx_emptied(struct uart *uart)
{
	uart->thre_pending = true;
	if (!uart->burst)
		uart->edges |= UART_CAUSE_THRE;
}

void uart_sent(struct uart *uart, size_t bytes)
{
	uart->tx_count -= bytes;
	if (uart->tx_count)
		memmove(uart->tx, uart->tx + bytes, uart->tx_count);
	else
		tx_emptied(uart);
}

uint32_t uart_causes(const struct uart *uart)
{
	uint32_t causes = 0;

	if ((uart->ier & UART_IER_THRI) && uart->thre_pending)
		causes |= UART_CAUSE_THRE;
	if (uart->ier & UART_IER_RDI) {
		if (uart->rx_count >= rx_trigger(uart))
			causes |= UART_CAUSE_DATA;
		else if (uart->rx_count && uart->timed_out)
			causes |= UART_CAUSE_TIMEOUT;
	}
	if ((uart->ier & UART_IER_RLSI) && uart->overrun)
		causes |= UART_CAUSE_LINE;
	if ((uart->ier & UART_IER_MSI) && (uart->msr & UART_MSR_DELTAS))
		causes |= UART_CAUSE_MODEM;
	return causes;
}

/* 8.6, table IV: highest priority first. Reading takes note of an empty transmitter, and of
 * nothing else. */
static uint8_t iir_read(struct uart *uart)
{
	uint8_t fifos = uart_has_fifos(uart) ? UART_IIR_FIFOS : 0;
	uint32_t causes = uart_causes(uart);

	if (causes & UART_CAUSE_LINE)
		return fifos | UART_IIR_LINE;
	if (causes & UART_CAUSE_DATA)
		return fifos | UART_IIR_DATA;
	if (causes & UART_CAUSE_TIMEOUT)
		return fifos | UART_IIR_TIMEOUT;
	if (causes & UART_CAUSE_THRE) {
		uart->thre_pending = false;
		return fifos | UART_IIR_THRE;
	}
	if (causes & UART_CAUSE_MODEM)
		return fifos | UART_IIR_MODEM;
	return fifos | UART_IIR_NONE;
}

static uint8_t rbr_read(struct uart *uart)
{
	uint8_t byte;

	if (!uart->rx_count)
		return 0;
	byte = uart->rx[uart->rx_head];
	uart->rx_head = (uart->rx_head + 1) % UART_FIFO_BYTES;
	uart->rx_count--;
	uart->timed_out = false;
	uart->rx_moved = true;
	return byte;
}

static uint8_t lsr_read(struct uart *uart, uint32_t polls)
{
	uint8_t lsr = 0;

	if (uart->rx_count)
		lsr |= UART_LSR_DR;
	else if (polls < POLLS_LISTENING)
		polls++;
	if (uart->overrun)
		lsr |= UART_LSR_OE;
	if (!uart->tx_count)
		lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	else
		polls = 0; /* it waits for the transmitter */
	uart->overrun = false;
	uart->polls = polls;
	return lsr;
}

static uint8_t msr_read(struct uart *uart)
{
	uint8_t msr = uart->msr;

	uart->msr &= (uint8_t)~UART_MSR_DELTAS;
	return msr;
}

uint8_t uart_read(struct uart *uart, uint32_t reg)
{
	uint32_t polls = uart->polls;

	uart->polls = 0;
	uart->sending = false;
	uart->burst = false;
	switch (reg) {
	case UART_RBR:
		if (uart->lcr & UART_LCR_DLAB)
			return (uint8_t)uart->divisor;
		return rbr_read(uart);
	case UART_IER:
		return uart->lcr & UART_LCR_DLAB ? (uint8_t)(uart->divisor >> 8) : uart->ier;
	case UART_IIR:
		return iir_read(uart);
	case UART_LCR:
		return uart->lcr;
	case UART_MCR:
		return uart->mcr;
	case UART_LSR:
		return lsr_read(uart, polls);
	case UART_MSR:
		return msr_read(uart);
	default:
		return uart->scr;
	}
}

static void thr_write(struct uart *uart, uint8_t byte)
{
	uart->burst = uart->sending;
	uart->sending = uart_has_fifos(uart);
	uart->thre_pending = false;
	if (uart->mcr & UART_MCR_LOOP) {
		uart_receive(uart, byte);
		if (!uart->tx_count)
			tx_emptied(uart);
		return;
	}
	if (uart->tx_count == fifo_capacity(uart)) {
		uart->tx_lost++;
		return;
	}
	uart->tx[uart->tx_count++] = byte;
}

static void ier_write(struct uart *uart, uint8_t value)
{
	uint8_t enabled = value & (uint8_t)~uart->ier;

	uart->ier = value & UART_IER_MASK;
	if (!(value & UART_IER_RDI))
		uart->believed = false;
	if (!(value & UART_IER_THRI))
		uart->thre_pending = false;
	else if ((enabled & UART_IER_THRI) && !uart->tx_count)
		uart->thre_pending = true;
}

static void rx_clear(struct uart *uart)
{
	uart->rx_count = 0;
	uart->timed_out = false;
}

static void tx_clear(struct uart *uart)
{
	if (!uart->tx_count)
		return;
	uart->tx_count = 0;
	tx_emptied(uart);
}

static void fcr_write(struct uart *uart, uint8_t value)
{
	/* 8.5: changing the enable bit empties both FIFOs; without it no other bit is looked at. */
	if ((value ^ uart->fcr) & UART_FCR_ENABLE)
		value |= UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX;
	else if (!(value & UART_FCR_ENABLE))
		return;
	if (value & UART_FCR_CLEAR_RX)
		rx_clear(uart);
	if (value & UART_FCR_CLEAR_TX)
		tx_clear(uart);
	uart->fcr = value & UART_FCR_ENABLE ? value & UART_FCR_KEPT : 0;
	uart->rx_moved = true;
}

/* 8.8: in loopback the four outputs are the four inputs. */
static uint8_t modem_lines(uint8_t mcr)
{
	uint8_t lines = 0;

	if (!(mcr & UART_MCR_LOOP))
		return LINES_OUTSIDE;
	if (mcr & UART_MCR_RTS)
		lines |= UART_MSR_CTS;
	if (mcr & UART_MCR_DTR)
		lines |= UART_MSR_DSR;
	if (mcr & UART_MCR_OUT1)
		lines |= UART_MSR_RI;
	if (mcr & UART_MCR_OUT2)
		lines |= UART_MSR_DCD;
	return lines;
}

static void mcr_write(struct uart *uart, uint8_t value)
{
	uint8_t lines, changed, deltas;

	uart->mcr = value & UART_MCR_MASK;
	if ((value & (UART_MCR_RTS | UART_MCR_LOOP)) == UART_MCR_RTS)
		uart->rts_used = true;
	lines = modem_lines(uart->mcr);
	changed = lines ^ (uart->msr & (uint8_t)~UART_MSR_DELTAS);
	deltas = changed >> 4;
	/* 8.9: of the ring indicator only the end counts. */
	if (lines & UART_MSR_RI)
		deltas &= (uint8_t)~UART_MSR_TERI;
	uart->msr = lines | (uart->msr & UART_MSR_DELTAS) | deltas;
}

void uart_write(struct uart *uart, uint32_t reg, uint8_t value)
{
	bool divisor = uart->lcr & UART_LCR_DLAB;

	uart->polls = 0;
	if (reg == UART_THR && !divisor) {
		thr_write(uart, value);
		return;
	}
	uart->sending = false;
	uart->burst = false;
	switch (reg) {
	case UART_THR:
		uart->divisor = (uart->divisor & 0xff00) | value;
		break;
	case UART_IER:
		if (divisor)
			uart->divisor = (uint16_t)((uart->divisor & 0xff) | value << 8);
		else
			ier_write(uart, value);
		break;
	case UART_FCR:
		fcr_write(uart, value);
		break;
	case UART_LCR:
		uart->lcr = value;
		break;
	case UART_MCR:
		mcr_write(uart, value);
		break;
	case UART_SCR:
		uart->scr = value;
		break;
	default: /* 8.4, 8.9: LSR and MSR are written in the factory only */
		break;
	}
}
