/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A 16550A as its driver sees it: registers, FIFOs, interrupt causes (National Semiconductor
 * PC16550D data sheet, June 1995; section numbers below are its). No clock, no host, no threads:
 * serial.c feeds it and asks what to do next.
 *
 * The wire is infinitely fast, so the divisor is only remembered. What takes time is decided by the
 * caller: it calls uart_sent() when bytes have left the transmitter, uart_receive() when one has
 * come, and sets the character timeout.
 */
#ifndef SERIAL_UART_H
#define SERIAL_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UART_FIFO_BYTES    16
#define UART_REGISTERS     8 /* bytes of address space */

/* Registers; the first two are the divisor's while LCR.DLAB is set. */
#define UART_RBR           0u /* read */
#define UART_THR           0u /* write */
#define UART_IER           1u
#define UART_IIR           2u /* read */
#define UART_FCR           2u /* write */
#define UART_LCR           3u
#define UART_MCR           4u
#define UART_LSR           5u
#define UART_MSR           6u
#define UART_SCR           7u

/* 8.7 Interrupt enable */
#define UART_IER_RDI       0x01u /* received data */
#define UART_IER_THRI      0x02u /* transmitter empty */
#define UART_IER_RLSI      0x04u /* line status */
#define UART_IER_MSI       0x08u /* modem status */
#define UART_IER_MASK      0x0fu

/* 8.6 Interrupt identification */
#define UART_IIR_MODEM     0x00u
#define UART_IIR_NONE      0x01u
#define UART_IIR_THRE      0x02u
#define UART_IIR_DATA      0x04u
#define UART_IIR_LINE      0x06u
#define UART_IIR_TIMEOUT   0x0cu
#define UART_IIR_FIFOS     0xc0u

/* 8.5 FIFO control */
#define UART_FCR_ENABLE    0x01u
#define UART_FCR_CLEAR_RX  0x02u
#define UART_FCR_CLEAR_TX  0x04u
#define UART_FCR_KEPT      0xc9u /* enable, DMA mode, trigger */

#define UART_LCR_DLAB      0x80u

/* 8.8 Modem control */
#define UART_MCR_DTR       0x01u
#define UART_MCR_RTS       0x02u
#define UART_MCR_OUT1      0x04u
#define UART_MCR_OUT2      0x08u
#define UART_MCR_LOOP      0x10u
#define UART_MCR_MASK      0x1fu

/* 8.4 Line status */
#define UART_LSR_DR        0x01u
#define UART_LSR_OE        0x02u
#define UART_LSR_THRE      0x20u
#define UART_LSR_TEMT      0x40u

/* 8.9 Modem status */
#define UART_MSR_DCTS      0x01u
#define UART_MSR_DDSR      0x02u
#define UART_MSR_TERI      0x04u
#define UART_MSR_DDCD      0x08u
#define UART_MSR_DELTAS    0x0fu
#define UART_MSR_CTS       0x10u
#define UART_MSR_DSR       0x20u
#define UART_MSR_RI        0x40u
#define UART_MSR_DCD       0x80u

/* Why an interrupt may be pending; a mask. */
#define UART_CAUSE_LINE    (1u << 0)
#define UART_CAUSE_DATA    (1u << 1)
#define UART_CAUSE_TIMEOUT (1u << 2)
#define UART_CAUSE_THRE    (1u << 3)
#define UART_CAUSE_MODEM   (1u << 4)

/* The whole chip. The caller reads any field, and writes those that say so. */
struct uart {
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t msr;
	uint8_t scr;
	uint16_t divisor;
	bool overrun;      /* LSR.OE */
	bool thre_pending; /* the transmitter has become empty, and nobody has been told yet */
	bool timed_out;    /* characters wait below the trigger level; set by the caller */
	bool rts_used;     /* the driver has raised RTS since reset */
	bool believed;     /* it means it when it enables the data interrupt; set by the caller */
	bool sending;      /* the access before this one wrote to THR, with FIFOs */
	bool burst;        /* this one did, too */
	bool rx_moved;     /* the receiver has changed; cleared by the caller */
	uint32_t edges;    /* causes that came anew, even if they were there before; cleared by the caller */
	uint32_t polls;    /* LSR reads in a row that found nothing received */
	size_t tx_count;
	size_t rx_head;
	size_t rx_count;
	uint64_t tx_lost;            /* bytes written while the transmitter was full; cleared by the caller */
	uint8_t tx[UART_FIFO_BYTES]; /* oldest first */
	uint8_t rx[UART_FIFO_BYTES]; /* a ring */
};

/* Power-on. */
void uart_reset(struct uart *uart);

/* One register access; `reg` below UART_REGISTERS. */
uint8_t uart_read(struct uart *uart, uint32_t reg);
void uart_write(struct uart *uart, uint32_t reg, uint8_t value);

/* The first `bytes` of tx[] have left; at most tx_count. */
void uart_sent(struct uart *uart, size_t bytes);

/* How many characters may come in now. 0 while the far side is being held back: no room,
 * loopback, or a driver that is not listening yet. */
size_t uart_rx_room(const struct uart *uart);

/* Whether the driver seems to listen, but may just be looking for the chip: if it stays so, set
 * `believed`. */
bool uart_rx_hoped(const struct uart *uart);

/* A character comes in. Without room it is an overrun. */
void uart_receive(struct uart *uart, uint8_t byte);

/* Whether a character timeout is to be expected: there are characters, but too few to be
 * announced. */
bool uart_rx_waiting(const struct uart *uart);

/* Causes that are pending and enabled (UART_CAUSE_*). */
uint32_t uart_causes(const struct uart *uart);

static inline bool uart_has_fifos(const struct uart *uart)
{
	return uart->fcr & UART_FCR_ENABLE;
}

#endif
