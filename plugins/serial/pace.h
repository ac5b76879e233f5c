/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When the receiver may be filled again: not while the driver reads a batch, and then not before it has had time for
 * something else. Otherwise a flood would refill the FIFO as fast as a driver can empty it, and
 * Linux's would not come out of its interrupt handler. How fast that is depends on what an access
 * costs, which differs a hundredfold between hosts, so the pause grows with the time that the
 * driver took for the batch. No clock, no host: serial_port.c says what happens, and when. Under the instance's mutex.
 *
 *   the receiver is        it may be filled
 *   empty                  `due_ns`
 *   filled, not yet read   at any time
 *   being read             PACE_QUIET_NS after the last byte that was taken: a driver that stops
 *                          amid a batch for so long is not reading it, and is told again
 */
#ifndef SERIAL_PACE_H
#define SERIAL_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* From the first byte of a batch of 16 to the next batch: 64 kB/s, five times as fast as a real
 * port. */
#define PACE_PERIOD_NS UINT64_C(250000)
/* A driver gets at least so many times as long as it took to read the batch. With two ports that
 * are flooded its system has half of its time for everything else. */
#define PACE_FACTOR    3u
/* It may have been stopped meanwhile, and that says nothing. */
#define PACE_MAX_NS    UINT64_C(50000000)
#define PACE_QUIET_NS  UINT64_C(1000000)

/* All zero: nothing has been read, and nothing is to be waited for. */
struct pace {
	uint64_t begin_ns; /* when the driver began to read what is in the receiver; 0: not yet */
	uint64_t last_ns;  /* when it did last */
	uint64_t due_ns;   /* when the receiver, once empty, may be filled */
};

/* The driver has taken a byte; `empty`: it was the last one. */
static inline void pace_taken(struct pace *pace, uint64_t now_ns, bool empty)
{
	uint64_t pause_ns;

	if (!pace->begin_ns)
		pace->begin_ns = now_ns;
	pace->last_ns = now_ns;
	if (!empty)
		return;
	pause_ns = (now_ns - pace->begin_ns) * PACE_FACTOR;
	if (pause_ns > PACE_MAX_NS)
		pause_ns = PACE_MAX_NS;
	pace->due_ns = pace->begin_ns + PACE_PERIOD_NS;
	if (pace->due_ns < now_ns + pause_ns)
		pace->due_ns = now_ns + pause_ns;
	pace->begin_ns = 0;
}

/* The receiver has been filled. */
static inline void pace_filled(struct pace *pace)
{
	pace->begin_ns = 0;
}

/* From when on it may be filled. */
static inline uint64_t pace_due(const struct pace *pace)
{
	return pace->begin_ns ? pace->last_ns + PACE_QUIET_NS : pace->due_ns;
}

#endif
