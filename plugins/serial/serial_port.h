/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A serial port: the chip (uart.h), the stream that it is connected to, and what takes time between the two. serial.c makes
 * it and brings the guest's accesses.
 */
#ifndef SERIAL_PORT_H
#define SERIAL_PORT_H

#include "pace.h"
#include "uart.h"

#include <backplane/plugin.h>

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
	struct pace pace;
	uint64_t *received; /* metrics */
	uint64_t *sent;
	uint64_t *lost;
};

/* [dev] Callbacks of the port's timers and its stream; `arg` is the port. */
void serial_port_timer(void *arg, uint32_t timer);
void serial_port_stream(void *arg, uint32_t events);

/* [dev] What follows an access to the chip. */
void serial_port_accessed(struct serial *serial, bool write);

/* [dev] Power-on. Input that the stream still has is the next driver's. */
void serial_port_reset(struct serial *serial);

/* [dev] Goes on with what waits in the chip; after a load that is all news. */
void serial_port_resume(struct serial *serial);

/* [main] The guest has ended: says what has been lost. */
void serial_port_stop(struct serial *serial);

#endif
