/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device on the fake host of the conformance kit that does what the first byte of a chain says, right or wrong: what the kit
 * does not notice, no vendor's test will.
 */
#ifndef TESTS_PLUGINS_VIRTIO_PUPPET_H
#define TESTS_PLUGINS_VIRTIO_PUPPET_H

#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FEATURE_A    (UINT64_C(1) << 3)
#define FEATURE_B    (UINT64_C(1) << 50)
#define CONFIG_BYTES 8u
#define DEPTH        2u
#define FILE_BYTES   1000u

struct puppet {
	struct bp_dev *dev;
	struct bp_io *io;
	struct bp_chain *kept;
	uint64_t features;
	uint32_t queues;
	uint32_t resets;
	int64_t result; /* of the last io */
	uint32_t io_done;
	int submitted; /* what the last bp_io_submit() gave */
	uint32_t config_at, config_bytes;
};

extern const struct bp_virtio_class puppet_virtio;
extern const struct bp_device_class puppet_class;

/* One that runs, with a file of FILE_BYTES as its `path`: byte n is n. */
struct fixture {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct puppet *puppet;
	char path[64];
	int fd;
};

/* Setup and teardown of cmocka. */
int puppet_setup(void **state);
int puppet_teardown(void **state);

#define PUPPET_TEST(name) cmocka_unit_test_setup_teardown(name, puppet_setup, puppet_teardown)

/* A driver takes FEATURE_A and two queues. */
void activate(struct fixture *fixture);

/* A chain of `text`, and three pieces of 3, 4 and `more` bytes to write. */
struct fakehost_chain *ask(struct fixture *fixture, const char *text, size_t more);

/* What the device has written from `offset` on begins with `expected`. */
void assert_bytes(const struct fakehost_chain *chain, uint64_t offset, const char *expected);

#endif
