/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A console (plugins/virtio-console, linked in) on the fake host, with the test as the guest and as whoever sits at the streams. The
 * protocol's numbers are the system's, from <linux/virtio_console.h>.
 */
#ifndef TESTS_UNIT_CONSOLE_FIXTURE_H
#define TESTS_UNIT_CONSOLE_FIXTURE_H

#include "sdk/check/fakehost.h"

#include <endian.h>
#include <linux/virtio_console.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct bp_plugin backplane_plugin;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)          (UINT64_C(1) << (n))
#define SIZE_FEATURE    BIT(VIRTIO_CONSOLE_F_SIZE)
#define PORTS_FEATURE   BIT(VIRTIO_CONSOLE_F_MULTIPORT)
#define EMERGENCY       BIT(VIRTIO_CONSOLE_F_EMERG_WRITE)
#define MS              UINT64_C(1000000)
#define QUEUE_SIZE      64u

/* 5.3.2 */
#define RX(port)        ((port) ? 2 * (port) + 2 : 0u)
#define TX(port)        ((port) ? 2 * (port) + 3 : 1u)
#define CONTROL_RX      2u
#define CONTROL_TX      3u

struct console_test {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct bp_stream *stream; /* of the console */
};

static inline int console_create(struct console_test *test, const struct fakehost_pair *values,
				 struct fakehost_dev **ret)
{
	return fakehost_create(test->host, fakehost_class(&backplane_plugin, "virtio-console"), "console", values, ret);
}

/* With a driver that takes all but some features. */
static inline void console_run(struct console_test *test, const struct fakehost_pair *values, uint64_t without)
{
	uint32_t queues;
	uint64_t features;

	assert_int_equal(console_create(test, values, &test->dev), 0);
	assert_int_equal(fakehost_start(test->dev), 0);
	features = fakehost_virtio_offer(test->dev, &queues);
	assert_int_equal(fakehost_activate(test->dev, features & ~without, queues), 0);
	test->stream = fakehost_stream(test->dev, "stream");
	assert_non_null(test->stream);
}

static inline int console_setup(void **state)
{
	struct console_test *test = calloc(1, sizeof(*test));

	assert_non_null(test);
	assert_int_equal(fakehost_new(4096, &test->host), 0);
	*state = test;
	return 0;
}

/* Every test ends here: no device has broken the contract. */
static inline int console_teardown(void **state)
{
	struct console_test *test = *state;
	uint32_t breaches = fakehost_breaches(test->host);

	for (uint32_t i = 0; breaches && fakehost_log_line(test->host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(test->host, i, NULL));
	fakehost_free(test->host);
	free(test);
	return breaches ? -1 : 0;
}

/* ---- what the guest does ---- */

static inline struct fakehost_chain *give(struct console_test *test, uint32_t queue, size_t bytes)
{
	const struct fakehost_piece pieces[] = { { NULL, bytes }, { NULL, 0 } };
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(test->dev, queue, pieces, &chain), 0);
	return chain;
}

static inline struct fakehost_chain *send_bytes(struct console_test *test, uint32_t queue, const void *bytes,
						size_t count)
{
	const struct fakehost_piece pieces[] = { { bytes, count }, { NULL, 0 } };
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(test->dev, queue, pieces, &chain), 0);
	return chain;
}

static inline struct fakehost_chain *send_text(struct console_test *test, uint32_t queue, const char *text)
{
	return send_bytes(test, queue, text, strlen(text));
}

static inline void assert_over(const struct fakehost_chain *chain, uint64_t used)
{
	assert_int_not_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(fakehost_chain_used(chain), used);
}

static inline void assert_waits(const struct fakehost_chain *chain)
{
	assert_int_equal(fakehost_chain_order(chain), 0);
}

/* The buffer came back with this. */
static inline void assert_got(const struct fakehost_chain *chain, const char *text)
{
	char buf[8192];

	assert_over(chain, strlen(text));
	assert_int_equal(fakehost_chain_get(chain, 0, buf, strlen(text)), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static inline void assert_lost(const struct console_test *test, uint64_t expected)
{
	uint64_t lost;

	assert_int_equal(fakehost_metric(test->dev, "lost_bytes", &lost), 0);
	assert_int_equal(lost, expected);
}

/* ---- at the streams ---- */

static inline void assert_output(const struct bp_stream *stream, const char *text)
{
	size_t count;
	const uint8_t *output = fakehost_stream_output(stream, &count);

	assert_int_equal(count, strlen(text));
	assert_true(!count || !memcmp(output, text, count));
}

static inline void type(struct bp_stream *stream, const char *text)
{
	assert_int_equal(fakehost_stream_put(stream, text, strlen(text)), strlen(text));
}

#define CONSOLE_TEST(name) cmocka_unit_test_setup_teardown(name, console_setup, console_teardown)

#endif
