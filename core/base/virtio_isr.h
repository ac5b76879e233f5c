/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interrupt status of a virtio device (VIRTIO 1.2, 4.2.2, InterruptStatus): one word of plain memory, in a page that the
 * core owns and that the process which runs the device has mapped. That process sets bits, the transport shows them to the
 * guest and clears what the guest acknowledges. Nothing but these functions touches the word. Any thread.
 *
 * Interrupts are edges, and lines are shared. Why no event is lost, with R who runs the device and V, a vCPU in the
 * interrupt handler of its driver, which reads the status, acknowledges what it read and then looks at the rings:
 *
 *   R: (1) writes the used ring   (2) ORs the bit into the word   (3) signals, which is an edge
 *   V: (a) reads the word         (b) ANDs away what it read      (c) looks at the rings, the config space
 *
 *   - (2) before (a): V sees the bit. (1) comes before (2), so (c) finds what R has written. R's edge makes the handler run
 *     once more, in which the word may be 0: the driver says that the interrupt was not its own, which is harmless.
 *   - (2) between (a) and (b), and V read the bit because it had been set before: (b) clears both, and (c) comes after (b),
 *     so it finds what R has written. The same spare edge follows.
 *   - (2) between (a) and (b), and V did not read the bit: (b) does not clear it, since V acknowledges only what it read.
 *     (3) is still to come, and makes the handler run again, which reads the bit.
 *   - (2) after (b): the same.
 * Whoever signalled first and set the bit afterwards could have V run in between, find 0 and go away, and no edge would follow.
 * On a line that several devices share each edge makes the handlers of all of them run, and each reads its own word: the
 * story holds for each by itself. An edge that comes while handlers run is kept by the interrupt controller.
 */
#ifndef BASE_VIRTIO_ISR_H
#define BASE_VIRTIO_ISR_H

#include "core/base/fd.h"

#include <stdatomic.h>
#include <stdint.h>

#define VIRTIO_ISR_USED   1u /* buffers have been used */
#define VIRTIO_ISR_CONFIG 2u /* the config space has changed, or the device needs a reset */
#define VIRTIO_ISR_ALL    (VIRTIO_ISR_USED | VIRTIO_ISR_CONFIG)

struct virtio_isr {
	_Atomic(uint32_t) word; /* 0 at first */
};

_Static_assert(sizeof(struct virtio_isr) == 4 && ATOMIC_INT_LOCK_FREE == 2, "shared with another process");

/* Sets `bits`, then signals `call_fd`, an eventfd that raises the line; -1: bits only. Never blocks. What the interrupt
 * tells of has been written before. */
static inline void virtio_isr_raise(struct virtio_isr *isr, uint32_t bits, int call_fd)
{
	atomic_fetch_or(&isr->word, bits);
	if (call_fd >= 0)
		fd_event_signal(call_fd);
}

/* What the guest reads. The other process may have written anything, so only known bits pass. */
static inline uint32_t virtio_isr_read(const struct virtio_isr *isr)
{
	return atomic_load(&isr->word) & VIRTIO_ISR_ALL;
}

/* Clears `bits` and no others. */
static inline void virtio_isr_ack(struct virtio_isr *isr, uint32_t bits)
{
	atomic_fetch_and(&isr->word, ~bits);
}

/* For a reset, when nobody raises. */
static inline void virtio_isr_clear(struct virtio_isr *isr)
{
	atomic_store(&isr->word, 0);
}

#endif
