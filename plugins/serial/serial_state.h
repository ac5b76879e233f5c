/* SPDX-License-Identifier: BSD-3-Clause */
/* The saved state of a serial port: the chip, as fields of <backplane/state.h>. What the stream holds, and what it has lost, stays with the
 * stream. */
#ifndef SERIAL_STATE_H
#define SERIAL_STATE_H

#include "uart.h"

#include <backplane/plugin.h>

#define SERIAL_STATE_VERSION 1u

/* [dev] Writes the chip. 0: an error is remembered by the writer. */
int serial_state_save(const struct uart *uart, struct bp_writer *writer);

/* [dev] Reads a chip, which has been reset, and checks it: what comes out is one that a driver can have made. 0 or -errno; the
 * chip may be half changed then. */
int serial_state_load(struct uart *uart, struct bp_reader *reader);

#endif
