/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Moving bytes between a port's stream and the guest's buffers.
 *
 * Linux's driver waits for the output of its console (the first port) in a loop, with interrupts off. So that a reader that has
 * stopped does not hang the guest, output of that port is dropped from `stall` on until the reader takes some again; other ports wait.
 *
 * A stream that takes everything would let a guest keep the device's thread busy for as long as it likes, so a port rests after
 * TURN_BYTES: the timer, which is due at once, comes behind whatever else the thread has to do, its end above all.
 */
#include "console.h"

#include <inttypes.h>

#define INPUT_BYTES 4096u

void port_input(struct port *port)
{
	uint8_t buf[INPUT_BYTES];

	while (port->open && port->rx.first) {
		struct bp_chain *chain = port->rx.first;
		uint64_t room = bp_chain_left(chain, BP_CHAIN_WRITE);
		int got = 0;

		if (room)
			got = bp_stream_read(port->console->dev, port->stream, buf,
					     room < sizeof(buf) ? (size_t)room : sizeof(buf));
		if (room && got <= 0)
			return;
		bp_chain_write(chain, buf, (size_t)got);
		bp_metric_add(port->console->metrics.in_bytes, (uint64_t)got);
		chains_take(&port->rx);
		bp_chain_complete(chain);
	}
}

static void stall_begin(struct port *port)
{
	if (port != port->console->ports || port->stalling || port->dropping)
		return;
	port->stalling = 1;
	bp_timer_set(port->console->dev, port->stall_timer, bp_clock_ns(port->console->dev) + port->console->stall_ns);
}

static void stall_end(struct port *port)
{
	if (port->stalling)
		bp_timer_set(port->console->dev, port->stall_timer, 0);
	port->stalling = 0;
	if (port->dropping)
		bp_log(port->console->dev, BP_LOG_WARN, "%" PRIu64 " bytes of output lost: the reader had stopped",
		       port->dropped);
	port->dropping = 0;
	port->dropped = 0;
}

static void drop(struct port *port, size_t count)
{
	port->dropped += count;
	bp_metric_add(port->console->metrics.lost_bytes, count);
}

/* Hands over what is held. True if nothing is held any more. */
static int push_held(struct port *port)
{
	while (port->held_count) {
		int taken =
		    bp_stream_write(port->console->dev, port->stream, port->held + port->held_at, port->held_count);

		if (taken <= 0) {
			if (!port->dropping) {
				stall_begin(port);
				return 0;
			}
			drop(port, port->held_count);
			port->held_count = 0;
			break;
		}
		bp_metric_add(port->console->metrics.out_bytes, (uint64_t)taken);
		stall_end(port);
		port->held_at += (size_t)taken;
		port->held_count -= (size_t)taken;
	}
	return 1;
}

void port_output(struct port *port)
{
	size_t moved = 0;

	while (!port->resting && push_held(port) && port->tx.first) {
		struct bp_chain *chain = port->tx.first;

		if (moved >= TURN_BYTES) {
			port->resting = 1;
			bp_timer_set(port->console->dev, port->console->turn_timer, bp_clock_ns(port->console->dev));
			return;
		}
		port->held_at = 0;
		port->held_count = bp_chain_read(chain, port->held, sizeof(port->held));
		moved += port->held_count;
		if (!port->held_count) {
			chains_take(&port->tx);
			bp_chain_complete(chain);
		}
	}
}

void port_turn(void *arg, uint32_t timer)
{
	struct console *console = arg;

	(void)timer;
	for (uint32_t i = 0; i < console->port_count; i++)
		if (console->ports[i].resting) {
			console->ports[i].resting = 0;
			port_output(&console->ports[i]);
		}
}

void port_stalled(void *arg, uint32_t timer)
{
	struct port *port = ((struct console *)arg)->ports;

	(void)timer;
	port->stalling = 0;
	port->dropping = 1;
	port_output(port);
}

void port_reset(struct port *port)
{
	if (port->stalling)
		bp_timer_set(port->console->dev, port->stall_timer, 0);
	port->rx = (struct chains){ NULL, NULL };
	port->tx = (struct chains){ NULL, NULL };
	port->held_count = 0;
	port->resting = 0;
	port->stalling = 0;
	port->dropping = 0;
	port->dropped = 0;
	port->messages = 0;
	port->open = 0;
}
