/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flow control of a connection (VIRTIO 1.2, 5.10.6.3): how many bytes each side may send. All counters are of bytes since the
 * connection began, modulo 2^32, and only their differences mean anything.
 *
 * The invariants, whatever the guest says: guest_forwarded is between its last value and `sent`, and `forwarded` between its last value
 * and `received`; received - forwarded is at most BUFFER_BYTES. So each difference is exact, over any number of wraps.
 */
#ifndef VIRTIO_VSOCK_CREDIT_H
#define VIRTIO_VSOCK_CREDIT_H

#include <stdbool.h>
#include <stdint.h>

#define BUFFER_BYTES 262144u /* that a guest may send before the host takes them: buf_alloc of all that we send */

struct credit {
	/* To the guest. */
	uint32_t guest_alloc;     /* bytes of its buffer; it may change its mind */
	uint32_t guest_forwarded; /* it has taken out of that */
	uint32_t sent;
	/* From the guest. */
	uint32_t received;
	uint32_t forwarded; /* to the host, or nowhere if nobody wants them */
	uint32_t told;      /* what the guest knows of that */
};

/* Takes over what a packet of the guest says. False if it has taken less than it said before, or more than it was sent. */
static inline bool credit_update(struct credit *credit, uint32_t alloc, uint32_t forwarded)
{
	if (forwarded - credit->guest_forwarded > credit->sent - credit->guest_forwarded)
		return false;
	credit->guest_alloc = alloc;
	credit->guest_forwarded = forwarded;
	return true;
}

/* How many bytes the guest has room for. */
static inline uint32_t credit_free(const struct credit *credit)
{
	uint32_t under_way = credit->sent - credit->guest_forwarded;

	return credit->guest_alloc > under_way ? credit->guest_alloc - under_way : 0;
}

/* The guest has sent so many. False, and nothing has changed, if that is more than it might. */
static inline bool credit_receive(struct credit *credit, uint32_t bytes)
{
	if (bytes > BUFFER_BYTES - (credit->received - credit->forwarded))
		return false;
	credit->received += bytes;
	return true;
}

/* Whether the guest has to be told of room, so that one that goes on sending does not have to wait for it. */
static inline bool credit_owed(const struct credit *credit)
{
	return credit->forwarded - credit->told >= BUFFER_BYTES / 2;
}

#endif
