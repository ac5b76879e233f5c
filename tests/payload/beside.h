/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the payload beside.c and the plugin tests/plugins/faulty.c agree on: where the devices are, and their registers.
 */
#ifndef TESTS_PAYLOAD_BESIDE_H
#define TESTS_PAYLOAD_BESIDE_H

/* Class "healthy", and its registers: */
#define BESIDE_HEALTHY        0xd2000000u
#define BESIDE_HEALTHY_VALUE  0u /* 32 bits: reads back what was written, and 0 after a reset */
#define BESIDE_HEALTHY_LIVES  4u /* 32 bits, to read: how often it has been reset */
#define BESIDE_HEALTHY_CLOCK  8u /* 64 bits, to read: nanoseconds, monotonic */

/* Class "faulty". Of its registers only the first one's accesses can be where it fails. */
#define BESIDE_FAULTY         0xd2001000u
#define BESIDE_FAULTY_VALUE   0u
#define BESIDE_FAULTY_TRIGGER 4u /* to write: enum beside_trigger */
#define BESIDE_FAULTY_COUNT   8u /* to read: how many callbacks of triggers have come */

enum beside_trigger {
	BESIDE_TIMER = 1,
	BESIDE_FD,
	BESIDE_JOB,
	BESIDE_IO,
};

/* Class "faulty-virtio", the only device whose place is chosen by the host. One queue, whose chains it fills; one word of config
 * space that can be written. */
#define BESIDE_VIRTIO 0xd0000000u

#endif
