/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices that look into a queue by themselves, on the fake host of the conformance kit. */
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A device that completes what it gets, and looks when the first byte of a chain says so: into which queue, and whether it is to be told. */
struct puppet {
	struct bp_dev *dev;
	int result;
	uint32_t requests;
};

static int puppet_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct puppet *self = calloc(1, sizeof(*self));

	(void)cfg;
	if (!self)
		return -ENOMEM;
	self->dev = dev;
	*ret = self;
	return 0;
}

static void puppet_reset(void *arg)
{
	((struct puppet *)arg)->requests = 0;
}

static void puppet_request(void *arg, struct bp_chain *chain)
{
	struct puppet *self = arg;
	char what[2] = { 0 };

	self->requests++;
	if (bp_chain_read(chain, what, 2) == 2)
		self->result = bp_virtio_look(self->dev, (uint32_t)(what[0] - '0'), what[1] == 't');
	bp_chain_complete(chain);
}

/* clang-format off */
static const struct bp_virtio_class puppet_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = 42,
	.queue_count = 3,
	.queue_size = 8,
	.request = puppet_request,
};

static const struct bp_device_class puppet_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "puppet",
	.summary = "device that looks when it is told to",
	.create = puppet_create,
	.reset = puppet_reset,
	.destroy = free,
	.virtio = &puppet_virtio,
};
/* clang-format on */

struct fixture {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct puppet *puppet;
};

static int setup(void **state)
{
	static struct fixture fixture;

	assert_int_equal(fakehost_new(4096, &fixture.host), 0);
	assert_int_equal(fakehost_create(fixture.host, &puppet_class, "puppet", NULL, &fixture.dev), 0);
	assert_int_equal(fakehost_start(fixture.dev), 0);
	assert_int_equal(fakehost_activate(fixture.dev, 0, 2), 0);
	fixture.puppet = fakehost_state(fixture.dev);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	uint32_t breaches = fakehost_breaches(fixture->host);

	fakehost_free(fixture->host);
	return breaches ? -1 : 0;
}

/* What the device does on queue 0, of which it is always told. */
static int say(struct fixture *fixture, const char *what)
{
	const struct fakehost_piece pieces[] = { { what, 2 }, { NULL, 0 } };

	fixture->puppet->result = 0;
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), 0);
	return fixture->puppet->result;
}

static struct fakehost_chain *offer(struct fixture *fixture)
{
	const struct fakehost_piece pieces[] = { { NULL, 16 }, { NULL, 0 } };
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(fixture->dev, 1, pieces, &chain), 0);
	return chain;
}

static void it_is_told_at_first(void **state)
{
	struct fixture *fixture = *state;

	assert_true(fakehost_queue_tells(fixture->dev, 1));
	assert_int_not_equal(fakehost_chain_order(offer(fixture)), 0);
}

static void chains_wait_until_it_looks(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *chains[3];

	assert_int_equal(say(fixture, "1-"), 0);
	assert_false(fakehost_queue_tells(fixture->dev, 1));
	for (uint32_t i = 0; i < 3; i++) {
		chains[i] = offer(fixture);
		assert_int_equal(fakehost_chain_order(chains[i]), 0);
	}
	assert_int_equal(fakehost_chains_left(fixture->dev, 1), 3);
	assert_int_equal(say(fixture, "1-"), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(fakehost_chain_order(chains[i]), 2 + i);
	assert_int_equal(say(fixture, "1-"), 0);
}

static void it_is_told_again_when_it_says_so(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(say(fixture, "1-"), 0);
	offer(fixture);
	assert_int_equal(say(fixture, "1t"), 1);
	assert_true(fakehost_queue_tells(fixture->dev, 1));
	assert_int_not_equal(fakehost_chain_order(offer(fixture)), 0);
}

static void a_reset_ends_it(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *chain;

	assert_int_equal(say(fixture, "1-"), 0);
	chain = offer(fixture);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	assert_true(fakehost_queue_tells(fixture->dev, 1));
	assert_int_equal(fakehost_activate(fixture->dev, 0, 2), 0);
	/* A chain of before is nobody's. */
	assert_int_equal(say(fixture, "1t"), 0);
	assert_int_equal(fakehost_chain_order(chain), 0);
	assert_int_not_equal(fakehost_chain_order(offer(fixture)), 0);
}

static void what_cannot_be_looked_into(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(say(fixture, "2t"), -EINVAL);
	assert_int_equal(say(fixture, "9t"), -EINVAL);
	assert_int_equal(say(fixture, "0t"), -EBUSY);
	assert_true(fakehost_queue_tells(fixture->dev, 0));
	assert_false(fakehost_queue_tells(fixture->dev, UINT32_MAX));
}

static void it_belongs_to_callbacks(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost *host;
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_new(4096, &host), 0);
	assert_int_equal(fakehost_create(host, &puppet_class, "other", NULL, &dev), 0);
	assert_int_equal(bp_virtio_look(((struct puppet *)fakehost_state(dev))->dev, 0, 0), -EDEADLK);
	assert_int_equal(fakehost_breaches(host), 1);
	fakehost_free(host);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_told_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(chains_wait_until_it_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_told_again_when_it_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_looked_into, setup, teardown),
		cmocka_unit_test_setup_teardown(it_belongs_to_callbacks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
