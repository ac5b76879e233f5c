/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests that run the payload share: a harness and a device for each test, made and taken down around it. */
#ifndef TESTS_PAYLOAD_FIXTURE_H
#define TESTS_PAYLOAD_FIXTURE_H

#include "tests/payload/device.h"

/* Nothing takes that long: it only ends a test that hangs. */
#define GENEROUS_MS 30000

struct fixture {
	struct harness harness;
	struct device_log device;
	bool open;
	size_t op_count;
};

/* Setup and teardown of cmocka. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Each fails the test if it cannot. */
void fixture_open(struct fixture *fixture, uint32_t vcpus, uint64_t memory_bytes, const char *cmdline);
void fixture_start(struct fixture *fixture);

/* Operations of a script. */
static inline struct payload_op write_op(uint64_t address, uint32_t width, uint64_t value)
{
	return (struct payload_op){ .kind = PAYLOAD_OP_WRITE, .width = width, .address = address, .value = value };
}

static inline struct payload_op read_op(uint64_t address, uint32_t width)
{
	return (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = width, .address = address };
}

/* Adds an operation to the payload's script; its place is the result. */
size_t fixture_op(struct fixture *fixture, struct payload_op op);

/* Starts and waits; the guest has to end in this way, and to have met no exception. */
void fixture_run(struct fixture *fixture, enum machine_end end);

/* What an operation of the script has read. */
uint64_t fixture_value(struct fixture *fixture, size_t op);

#define ALL_WIDTHS (BP_W8 | BP_W16 | BP_W32 | BP_W64)

/* A case of a test program. */
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
