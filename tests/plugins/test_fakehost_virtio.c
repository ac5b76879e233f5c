/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices and lists of groups on the fake host of the conformance kit: chains, resets, the config space, classes. */
#include "tests/plugins/virtio_puppet.h"

/* ---- chains ---- */

static void a_driver_takes_what_is_offered(void **state)
{
	struct fixture *fixture = *state;
	const struct fakehost_piece pieces[] = { { "e", 1 }, { NULL, 0 } };
	uint32_t queues;

	assert_int_equal(fakehost_virtio_offer(fixture->dev, &queues), FEATURE_A);
	assert_int_equal(queues, 2);
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), -EACCES);
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_B, 2), -EINVAL);
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_A, 3), -EINVAL);
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_A, 1), 0);
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_A, 1), -EINVAL);
	assert_int_equal(fixture->puppet->features, FEATURE_A);
	assert_int_equal(fixture->puppet->queues, 1);
	assert_int_equal(fakehost_chain(fixture->dev, 1, pieces, NULL), -EINVAL);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), -EACCES);
	activate(fixture);
	assert_int_equal(fakehost_chain(fixture->dev, 1, pieces, NULL), 0);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void bytes_go_through_pieces(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *chain;
	uint8_t buf[2];

	activate(fixture);
	chain = ask(fixture, "ehello world", 20);
	assert_int_equal(fakehost_chain_order(chain), 1);
	assert_int_equal(fakehost_chain_used(chain), 11);
	assert_int_equal(fakehost_chain_kind(chain), BP_OP_OTHER);
	assert_bytes(chain, 0, "hello world");
	assert_bytes(chain, 5, " world");
	assert_int_equal(fakehost_chain_get(chain, 25, buf, 2), 2);
	assert_int_equal(buf[0], 0xa5);
	assert_int_equal(fakehost_chain_get(chain, 26, buf, 2), 1);
	chain = ask(fixture, "t", 20);
	assert_int_equal(fakehost_chain_used(chain), 6);
	assert_bytes(chain, 0, "tttttt\xa5");
	chain = ask(fixture, "s", 20);
	assert_bytes(chain, 0,
		     "ab\xa5\xa5"
		     "cd\xa5");
	assert_int_equal(fakehost_chain_used(chain), 2);
	assert_int_equal(fakehost_chains_done(fixture->dev), 3);
	chain = ask(fixture, "q", 20);
	assert_int_equal(fakehost_chain_used(chain), 4);
	assert_bytes(chain, 0, "qqqqqq\xa5");
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void a_chain_that_cannot_be_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_piece pieces[10] = { { NULL, 1 }, { "e", 1 }, { NULL, 0 } };

	activate(fixture);
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), -EINVAL);
	for (size_t i = 0; i < 9; i++)
		pieces[i] = (struct fakehost_piece){ "e", 1 };
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), -EINVAL);
	pieces[8].count = 0;
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), 0);
	for (uint32_t i = 0; i < 8; i++)
		ask(fixture, "k", 1);
	assert_int_equal(fakehost_chains_left(fixture->dev, 0), 8);
	assert_int_equal(fakehost_chains_left(fixture->dev, 1), 0);
	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, NULL), -ENOSPC);
	assert_int_equal(fakehost_chain(fixture->dev, 1, pieces, NULL), 0);
}

static void completions_have_an_order(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *kept, *other;

	activate(fixture);
	kept = ask(fixture, "k", 1);
	assert_int_equal(fakehost_chain_order(kept), 0);
	other = ask(fixture, "p", 1);
	assert_int_equal(fakehost_chain_order(kept), 1);
	assert_int_equal(fakehost_chain_order(other), 2);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void a_reset_makes_chains_void(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *kept;

	activate(fixture);
	kept = ask(fixture, "k", 1);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	assert_int_equal(fixture->puppet->resets, 1);
	assert_int_equal(fakehost_chains_left(fixture->dev, 0), 0);
	activate(fixture);
	/* A completion that comes late is dropped, once; to look into the chain is wrong. */
	ask(fixture, "p", 1);
	assert_int_equal(fakehost_chain_order(kept), 0);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
	ask(fixture, "p", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 1);
	ask(fixture, "k", 1);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	activate(fixture);
	ask(fixture, "x", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 2);
	assert_int_equal(fakehost_log_count(fixture->host, "of before a reset"), 1);
	ask(fixture, "Q", 1);
	assert_int_equal(fakehost_log_count(fixture->host, "of before a reset"), 3);
}

static void wrong_use_is_a_breach(void **state)
{
	struct fixture *fixture = *state;

	activate(fixture);
	ask(fixture, "2", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 1);
	assert_int_equal(fakehost_log_count(fixture->host, "called twice"), 1);
	assert_int_equal(fakehost_chains_done(fixture->dev), 1);
	ask(fixture, "9", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 2);
	ask(fixture, "k", 1);
	ask(fixture, "p", 1);
	ask(fixture, "x", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 3);
	assert_int_equal(fakehost_log_count(fixture->host, "has been completed"), 1);
	ask(fixture, "!", 1);
	assert_int_equal(fakehost_breaches(fixture->host), 4);
	bp_chain_left(fixture->puppet->kept, BP_CHAIN_READ);
	assert_int_equal(fakehost_breaches(fixture->host), 5);
}

static void a_broken_device_gets_and_gives_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *chain;

	activate(fixture);
	chain = ask(fixture, "b", 1);
	assert_true(fakehost_is_broken(fixture->dev));
	assert_int_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(fakehost_chain(fixture->dev, 0, (struct fakehost_piece[]){ { "e", 1 }, { NULL, 0 } }, NULL),
			 -EACCES);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	activate(fixture);
	assert_int_equal(fakehost_chain_order(ask(fixture, "e", 1)), 1);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void config_space_is_the_guests_too(void **state)
{
	struct fixture *fixture = *state;
	uint8_t buf[CONFIG_BYTES];

	assert_int_equal(fakehost_config_read(fixture->dev, 1, buf, CONFIG_BYTES), -EINVAL);
	assert_int_equal(fakehost_config_write(fixture->dev, UINT32_MAX, buf, 2), -EINVAL);
	assert_int_equal(fakehost_config_write(fixture->dev, 2, "abc", 3), 0);
	assert_int_equal(fixture->puppet->config_at, 2);
	assert_int_equal(fixture->puppet->config_bytes, 3);
	assert_int_equal(fakehost_config_read(fixture->dev, 0, buf, CONFIG_BYTES), 0);
	assert_memory_equal(buf, "\0\0abc\0\0\0", CONFIG_BYTES);
	/* Nobody is told who is not there, of what has not changed, and twice of one change. */
	assert_int_equal(fakehost_config_write(fixture->dev, 7, "x", 1), 0);
	assert_int_equal(fakehost_config_notices(fixture->dev), 0);
	activate(fixture);
	assert_int_equal(fakehost_config_write(fixture->dev, 6, "x", 1), 0);
	assert_int_equal(fakehost_config_notices(fixture->dev), 0);
	assert_int_equal(fakehost_config_write(fixture->dev, 7, "x", 1), 0);
	assert_int_equal(fakehost_config_notices(fixture->dev), 1);
	ask(fixture, "b", 1);
	assert_int_equal(fakehost_config_write(fixture->dev, 7, "x", 1), -EACCES);
}

/* ---- classes and groups ---- */

static void a_wrong_class_is_a_breach(void **state)
{
	struct fixture *fixture = *state;
	struct bp_virtio_class virtio = puppet_virtio;
	struct bp_device_class wrong = puppet_class;
	struct fakehost_dev *dev;

	wrong.virtio = &virtio;
	virtio.features |= UINT64_C(1) << 28;
	assert_int_equal(fakehost_create(fixture->host, &wrong, "wrong", NULL, &dev), -EINVAL);
	virtio = puppet_virtio;
	virtio.queue_size = 7;
	assert_int_equal(fakehost_create(fixture->host, &wrong, "wrong", NULL, &dev), -EINVAL);
	virtio = puppet_virtio;
	virtio.request = NULL;
	assert_int_equal(fakehost_create(fixture->host, &wrong, "wrong", NULL, &dev), -EINVAL);
	assert_int_equal(fakehost_breaches(fixture->host), 3);
}

static int create_with(struct fixture *fixture, const struct fakehost_pair *values, uint8_t *ret_sum)
{
	struct fakehost_dev *dev;
	int r = fakehost_create(fixture->host, &puppet_class, "grouped", values, &dev);

	if (r < 0)
		return r;
	assert_int_equal(fakehost_config_read(dev, 0, ret_sum, 1), 0);
	return fakehost_stream(dev, "parts[1].stream") && !fakehost_stream(dev, "parts[0].stream");
}

static void groups_are_repeated(void **state)
{
	static const struct fakehost_pair good[] = { { "parts[1].name", "b" },
						     { "parts[1].size", "30" },
						     { "parts[0].name", "a" },
						     { "parts[1].stream", "null" },
						     { NULL, NULL } };
	static const struct fakehost_pair nameless[] = { { "parts[0].name", "a" },
							 { "parts[1].size", "1" },
							 { NULL, NULL } };
	static const struct fakehost_pair gap[] = { { "parts[0].name", "a" },
						    { "parts[2].name", "c" },
						    { NULL, NULL } };
	static const struct fakehost_pair twice[] = { { "parts[0].name", "a" },
						      { "parts[0].name", "b" },
						      { NULL, NULL } };
	static const struct fakehost_pair bare[] = { { "parts.name", "a" }, { NULL, NULL } };
	static const struct fakehost_pair spelt[] = { { "parts[00].name", "a" }, { NULL, NULL } };
	struct fixture *fixture = *state;
	uint8_t sum = 0;

	assert_int_equal(create_with(fixture, NULL, &sum), 0);
	assert_int_equal(sum, 0);
	assert_int_equal(create_with(fixture, good, &sum), 1);
	assert_int_equal(sum, 37);
	assert_string_equal(fakehost_log_line(fixture->host, 0, NULL), "grouped: part a");
	assert_string_equal(fakehost_log_line(fixture->host, 1, NULL), "grouped: part b");
	assert_int_equal(create_with(fixture, nameless, &sum), -EINVAL);
	assert_int_equal(create_with(fixture, gap, &sum), -EINVAL);
	assert_int_equal(create_with(fixture, twice, &sum), -EINVAL);
	assert_int_equal(create_with(fixture, bare, &sum), -EINVAL);
	assert_int_equal(create_with(fixture, spelt, &sum), -EINVAL);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PUPPET_TEST(a_driver_takes_what_is_offered),
		PUPPET_TEST(bytes_go_through_pieces),
		PUPPET_TEST(a_chain_that_cannot_be_is_refused),
		PUPPET_TEST(completions_have_an_order),
		PUPPET_TEST(a_reset_makes_chains_void),
		PUPPET_TEST(wrong_use_is_a_breach),
		PUPPET_TEST(a_broken_device_gets_and_gives_nothing),
		PUPPET_TEST(config_space_is_the_guests_too),
		PUPPET_TEST(a_wrong_class_is_a_breach),
		PUPPET_TEST(groups_are_repeated),
	};

	return cmocka_run_group_tests_name("fakehost_virtio", tests, NULL, NULL);
}
