/* SPDX-License-Identifier: BSD-3-Clause */
/* Input and output of virtio devices on the fake host of the conformance kit. */
#include "tests/plugins/virtio_puppet.h"

#include <sys/stat.h>

static void io_waits_for_the_test(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *reads, *writes;
	struct fakehost_op op;
	uint8_t buf[FILE_BYTES + 1];

	activate(fixture);
	writes = ask(fixture, "wDATA", 1);
	reads = ask(fixture, "r", 30);
	assert_int_equal(fakehost_chain_kind(reads), BP_OP_READ);
	assert_int_equal(fakehost_io_count(fixture->dev), 2);
	assert_int_equal(fakehost_io_look(fixture->dev, 1, &op), 0);
	assert_int_equal(op.op, BP_IO_READ);
	assert_int_equal(op.offset, 100);
	assert_int_equal(op.bytes, 36);
	assert_int_equal(fakehost_io_look(fixture->dev, 2, &op), -ENOENT);
	/* There is no room for more. */
	ask(fixture, "r", 30);
	assert_int_equal(fixture->puppet->submitted, -EBUSY);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fixture->puppet->result, 4);
	assert_int_equal(pread(fixture->fd, buf, 6, 99), 6);
	assert_memory_equal(buf,
			    "\x63"
			    "DATA"
			    "\x68",
			    6);
	assert_true(fakehost_chain_order(writes));
	assert_false(fakehost_chain_order(reads));
	assert_int_equal(fakehost_io_run(fixture->dev, 9), 1);
	assert_int_equal(fixture->puppet->result, 36);
	assert_int_equal(fakehost_chain_used(reads), 37);
	assert_bytes(reads, 0, "DATAhi");
	assert_int_equal(fakehost_chain_get(reads, 36, buf, 1), 1);
	assert_int_equal(buf[0], 0);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void io_ends_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *first, *second;

	activate(fixture);
	first = ask(fixture, "r", 30);
	second = ask(fixture, "f", 1);
	assert_int_equal(fakehost_io_run_at(fixture->dev, 2), -EINVAL);
	assert_int_equal(fakehost_io_run_at(fixture->dev, 1), 0);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fakehost_chain_order(second), 1);
	assert_int_equal(fakehost_chain_order(first), 2);
}

static void io_fails_when_told(void **state)
{
	struct fixture *fixture = *state;
	struct fakehost_chain *chain;
	uint8_t byte;

	activate(fixture);
	fakehost_io_fail(fixture->dev, -EIO);
	chain = ask(fixture, "r", 30);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fixture->puppet->result, -EIO);
	assert_int_equal(fakehost_chain_used(chain), 0);
	fakehost_io_cut(fixture->dev, 5);
	chain = ask(fixture, "r", 30);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fixture->puppet->result, 5);
	assert_int_equal(fakehost_chain_used(chain), 5);
	/* The file ends: 900 bytes are there from 100 on. */
	chain = ask(fixture, "r", 1000);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fixture->puppet->result, 900);
	assert_int_equal(fakehost_chain_used(chain), 900);
	assert_int_equal(fakehost_chain_get(chain, 900, &byte, 1), 1);
	assert_int_equal(byte, 0xa5);
	ask(fixture, "F", 1);
	assert_int_equal(fixture->puppet->submitted, -EINVAL);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void zeroes_and_discards_reach_the_file(void **state)
{
	static const uint8_t zeroes[50];
	struct fixture *fixture = *state;
	uint8_t buf[52];
	struct stat st;

	activate(fixture);
	for (int i = 0; i < 2; i++) {
		ask(fixture, i ? "d" : "z", 1);
		assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
		if (i && fixture->puppet->result == -EOPNOTSUPP)
			break;
		assert_int_equal(fixture->puppet->result, 0);
		assert_int_equal(pread(fixture->fd, buf, 52, 99), 52);
		assert_int_equal(buf[0], 99);
		assert_memory_equal(buf + 1, zeroes, 50);
		assert_int_equal(buf[51], 150);
		assert_int_equal(fstat(fixture->fd, &st), 0);
		assert_int_equal(st.st_size, FILE_BYTES);
		memset(buf, 1, sizeof(buf));
		assert_int_equal(pwrite(fixture->fd, buf, 50, 100), 50);
	}
}

static void a_reset_ends_io_untold(void **state)
{
	struct fixture *fixture = *state;
	uint8_t buf[4];

	activate(fixture);
	ask(fixture, "wDATA", 1);
	assert_int_equal(fakehost_reset(fixture->dev), 0);
	assert_int_equal(fakehost_io_count(fixture->dev), 0);
	assert_int_equal(fixture->puppet->io_done, 0);
	assert_int_equal(pread(fixture->fd, buf, 4, 100), 4);
	assert_memory_equal(buf, "DATA", 4);
	/* At rest it is told. */
	activate(fixture);
	ask(fixture, "wATAD", 1);
	assert_int_equal(fakehost_quiesce(fixture->dev), 0);
	assert_int_equal(fixture->puppet->io_done, 1);
	assert_int_equal(fakehost_chains_done(fixture->dev), 1);
	assert_int_equal(fakehost_chain(fixture->dev, 0, (struct fakehost_piece[]){ { "e", 1 }, { NULL, 0 } }, NULL),
			 -EACCES);
	assert_int_equal(fakehost_resume(fixture->dev), 0);
	assert_int_equal(fakehost_breaches(fixture->host), 0);
}

static void readonly_opens_for_reading(void **state)
{
	const struct fakehost_pair values[] = { { "path", ((struct fixture *)*state)->path },
						{ "readonly", "true" },
						{ NULL, NULL } };
	struct fixture *fixture = *state;

	fakehost_destroy(fixture->dev);
	assert_int_equal(fakehost_create(fixture->host, &puppet_class, "puppet1", values, &fixture->dev), 0);
	assert_int_equal(fakehost_start(fixture->dev), 0);
	fixture->puppet = fakehost_state(fixture->dev);
	activate(fixture);
	ask(fixture, "wDATA", 1);
	assert_int_equal(fakehost_io_run(fixture->dev, 1), 1);
	assert_int_equal(fixture->puppet->result, -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PUPPET_TEST(io_waits_for_the_test),  PUPPET_TEST(io_ends_in_any_order),
		PUPPET_TEST(io_fails_when_told),     PUPPET_TEST(zeroes_and_discards_reach_the_file),
		PUPPET_TEST(a_reset_ends_io_untold), PUPPET_TEST(readonly_opens_for_reading),
	};

	return cmocka_run_group_tests_name("fakehost_io", tests, NULL, NULL);
}
