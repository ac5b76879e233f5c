/* SPDX-License-Identifier: BSD-3-Clause */
/* The AML writer's resource descriptors (ACPI 6.4, 6.4); see aml.h. */
#include "core/machine/acpi/aml.h"

#include "core/base/checked.h"

#include <assert.h>
#include <errno.h>

#define PORTS_END         UINT64_C(0x10000)

#define CONSUMER_FIXED    0x0d /* the device uses the range itself, and both ends are fixed */
#define MEMORY_READ_WRITE 0x01
#define PORTS_ENTIRE      0x03 /* no ISA aliases are left out */
#define DECODE_16         0x01
#define INTERRUPT_FLAGS   0x0b /* consumer, edge, active high, shared */

struct memory32_fixed {
	uint8_t tag; /* 0x86 */
	uint16_t length;
	uint8_t flags;
	uint32_t base;
	uint32_t bytes;
} __attribute__((packed));
static_assert(sizeof(struct memory32_fixed) == 12, "6.4.3.4");

struct qword_space {
	uint8_t tag; /* 0x8a */
	uint16_t length;
	uint8_t type; /* 0: memory */
	uint8_t general_flags;
	uint8_t type_flags;
	uint64_t granularity;
	uint64_t min;
	uint64_t max;
	uint64_t translation;
	uint64_t bytes;
} __attribute__((packed));
static_assert(sizeof(struct qword_space) == 46, "6.4.3.5.1");

struct word_space {
	uint8_t tag; /* 0x88 */
	uint16_t length;
	uint8_t type; /* 1: I/O */
	uint8_t general_flags;
	uint8_t type_flags;
	uint16_t granularity;
	uint16_t min;
	uint16_t max;
	uint16_t translation;
	uint16_t bytes;
} __attribute__((packed));
static_assert(sizeof(struct word_space) == 16, "6.4.3.5.3");

struct io {
	uint8_t tag; /* 0x47 */
	uint8_t decode;
	uint16_t min;
	uint16_t max;
	uint8_t alignment;
	uint8_t bytes;
} __attribute__((packed));
static_assert(sizeof(struct io) == 8, "6.4.2.5");

struct extended_interrupt {
	uint8_t tag; /* 0x89 */
	uint16_t length;
	uint8_t flags;
	uint8_t count;
	uint32_t gsi;
} __attribute__((packed));
static_assert(sizeof(struct extended_interrupt) == 9, "6.4.3.6");

/* A large descriptor's length does not count the tag and the length. */
#define BODY_BYTES(descriptor) ((uint16_t)(sizeof(descriptor) - 3))

void aml_memory(struct aml *aml, uint64_t base, uint64_t length)
{
	if (!length || base > UINT64_MAX - (length - 1)) {
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	if (base <= UINT32_MAX && length <= UINT32_MAX && base + (length - 1) <= UINT32_MAX) {
		struct memory32_fixed memory = {
			.tag = 0x86,
			.length = BODY_BYTES(memory),
			.flags = MEMORY_READ_WRITE,
			.base = (uint32_t)base,
			.bytes = (uint32_t)length,
		};

		aml_raw(aml, &memory, sizeof(memory));
	} else {
		struct qword_space memory = {
			.tag = 0x8a,
			.length = BODY_BYTES(memory),
			.type = 0,
			.general_flags = CONSUMER_FIXED,
			.type_flags = MEMORY_READ_WRITE,
			.min = base,
			.max = base + (length - 1),
			.bytes = length,
		};

		aml_raw(aml, &memory, sizeof(memory));
	}
}

void aml_ports(struct aml *aml, uint64_t base, uint64_t length)
{
	if (!length || length > UINT16_MAX || !range_within(base, length, PORTS_END)) {
		aml->error = aml->error ? aml->error : -EINVAL;
		return;
	}
	if (length <= UINT8_MAX) {
		struct io ports = {
			.tag = 0x47,
			.decode = DECODE_16,
			.min = (uint16_t)base,
			.max = (uint16_t)base,
			.alignment = 1,
			.bytes = (uint8_t)length,
		};

		aml_raw(aml, &ports, sizeof(ports));
	} else {
		struct word_space ports = {
			.tag = 0x88,
			.length = BODY_BYTES(ports),
			.type = 1,
			.general_flags = CONSUMER_FIXED,
			.type_flags = PORTS_ENTIRE,
			.min = (uint16_t)base,
			.max = (uint16_t)(base + length - 1),
			.bytes = (uint16_t)length,
		};

		aml_raw(aml, &ports, sizeof(ports));
	}
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
	struct extended_interrupt interrupt = {
		.tag = 0x89,
		.length = BODY_BYTES(interrupt),
		.flags = INTERRUPT_FLAGS,
		.count = 1,
		.gsi = gsi,
	};

	aml_raw(aml, &interrupt, sizeof(interrupt));
}
