/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests that run the payload share; see fixture.h. */
#include "tests/payload/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	if (!fixture)
		return -1;
	device_log_init(&fixture->device);
	/* If KVM itself hangs. */
	alarm(3 * GENEROUS_MS / 1000);
	*state = fixture;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->open)
		harness_close(&fixture->harness);
	free(fixture);
	alarm(0);
	return 0;
}

void fixture_open(struct fixture *fixture, uint32_t vcpus, uint64_t memory_bytes, const char *cmdline)
{
	const struct machine_spec spec = { .vcpus = vcpus, .memory_bytes = memory_bytes };
	struct err err = ERR_NONE;

	if (fixture->open)
		harness_close(&fixture->harness);
	fixture->open = true;
	fixture->op_count = 0;
	if (harness_open(&fixture->harness, &spec, cmdline, &err) < 0)
		fail_msg("%s", err.text);
}

void fixture_start(struct fixture *fixture)
{
	struct err err = ERR_NONE;

	if (harness_start(&fixture->harness, &err) < 0)
		fail_msg("%s", err.text);
}

size_t fixture_op(struct fixture *fixture, struct payload_op op)
{
	assert_true(fixture->op_count < PAYLOAD_OPS_MAX);
	harness_shared(&fixture->harness)->ops[fixture->op_count] = op;
	return fixture->op_count++;
}

void fixture_run(struct fixture *fixture, enum machine_end end)
{
	enum machine_end reason;

	fixture_start(fixture);
	reason = harness_wait(&fixture->harness, GENEROUS_MS);
	assert_int_equal(harness_last(&fixture->harness, PAYLOAD_SAYS_FAULT, UINT32_MAX), UINT32_MAX);
	assert_int_equal(reason, end);
}

uint64_t fixture_value(struct fixture *fixture, size_t op)
{
	return harness_shared(&fixture->harness)->ops[op].value;
}
