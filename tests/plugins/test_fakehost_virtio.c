/* SPDX-License-Identifier: BSD-3-Clause */
/* Virtio devices, io and lists of groups on the fake host of the conformance kit, tried on a device that does what the first byte of a
 * chain says, right or wrong: what the kit does not notice, no vendor's test will. */
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
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

static const struct bp_param puppet_group[] = {
	{ .name = "name", .type = BP_P_STRING, .flags = BP_P_REQUIRED },
	{ .name = "size", .type = BP_P_UINT, .def = "7", .max = 100 },
	{ .name = "stream", .type = BP_P_STREAM },
};

static const struct bp_param puppet_params[] = {
	{ .name = "path", .type = BP_P_FILE, .flags = BP_P_WRITE, .readonly_param = "readonly" },
	{ .name = "readonly", .type = BP_P_BOOL, .def = "false" },
	{ .name = "parts", .type = BP_P_GROUP, .flags = BP_P_REPEATED, BP_GROUP(puppet_group) },
};

static int puppet_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct puppet *self = calloc(1, sizeof(*self));
	uint64_t sum = 0;
	int r;

	if (!self)
		return -ENOMEM;
	self->dev = dev;
	r = bp_virtio_offer(dev, FEATURE_A, 2);
	if (r == 0 && bp_cfg_has(cfg, "path"))
		r = bp_io_open(dev, bp_cfg_fd(cfg, "path"), BP_IO_AUTO, DEPTH, &self->io);
	for (uint32_t i = 0; i < bp_cfg_count(cfg, "parts"); i++) {
		const struct bp_cfg *part = bp_cfg_group_at(cfg, "parts", i);

		bp_log(dev, BP_LOG_INFO, "part %s", bp_cfg_string(part, "name"));
		bp_cfg_stream(part, "stream");
		sum += bp_cfg_uint(part, "size");
	}
	bp_virtio_config_write(dev, 0, &sum, sizeof(sum));
	if (r < 0) {
		free(self);
		return r;
	}
	*ret = self;
	return 0;
}

static void puppet_reset(void *arg)
{
	((struct puppet *)arg)->resets++;
}

static void puppet_activate(void *arg, uint64_t features, uint32_t queues)
{
	((struct puppet *)arg)->features = features;
	((struct puppet *)arg)->queues = queues;
}

static void puppet_classify(void *arg, uint32_t queue, const void *head, uint32_t head_bytes, struct bp_op *op)
{
	(void)arg;
	(void)queue;
	if (head_bytes && *(const char *)head == 'r')
		op->kind = BP_OP_READ;
	op->bytes = head_bytes;
}

static void puppet_config(void *arg, uint32_t offset, uint32_t bytes)
{
	struct puppet *self = arg;
	uint8_t zero = 0;

	self->config_at = offset;
	self->config_bytes = bytes;
	/* Nothing in the last byte stays, whichever way that is done. */
	bp_virtio_config_write(self->dev, CONFIG_BYTES - 1, &zero, 1);
	bp_virtio_config_write(self->dev, CONFIG_BYTES - 1, &zero, 1);
}

static void io_over(void *arg, int64_t result)
{
	struct bp_chain *chain = arg;
	struct puppet *self = *(struct puppet **)chain->scratch;
	uint8_t status = result < 0;

	self->result = result;
	self->io_done++;
	bp_chain_write(chain, &status, 1);
	bp_chain_complete(chain);
}

static void start_io(struct puppet *self, struct bp_chain *chain, char what)
{
	struct bp_io_request request = { .size = sizeof(request), .offset = 100, .done = io_over, .arg = chain };

	*(struct puppet **)chain->scratch = self;
	request.bytes = 50;
	request.op = what == 'd' ? BP_IO_DISCARD : what == 'z' ? BP_IO_WRITE_ZEROES : BP_IO_FLUSH;
	if (what == 'z')
		request.flags = BP_IO_F_UNMAP;
	if (what == 'r' || what == 'w') {
		request.op = what == 'r' ? BP_IO_READ : BP_IO_WRITE;
		request.chain = chain;
		request.bytes =
		    what == 'r' ? bp_chain_left(chain, BP_CHAIN_WRITE) - 1 : bp_chain_left(chain, BP_CHAIN_READ);
	}
	if (what == 'F')
		request.offset = INT64_MAX;
	if (what == 'F')
		request.op = BP_IO_DISCARD;
	self->submitted = bp_io_submit(self->dev, self->io, &request);
	if (self->submitted < 0)
		bp_chain_complete(chain);
}

static void puppet_request(void *arg, struct bp_chain *chain)
{
	struct puppet *self = arg;
	struct iovec iov[8];
	uint8_t buf[64];
	char what = 0;
	size_t got;
	int r;

	bp_chain_read(chain, &what, 1);
	switch (what) {
	case 'e': /* echo */
		while ((got = bp_chain_read(chain, buf, 5)))
			bp_chain_write(chain, buf, got);
		break;
	case 'k': /* keep */
		self->kept = chain;
		return;
	case 'p': /* give back what was kept */
		bp_chain_complete(self->kept);
		break;
	case 'x': /* use what was kept */
		bp_chain_left(self->kept, BP_CHAIN_READ);
		break;
	case '2':
		bp_chain_complete(chain);
		break;
	case 'b':
		bp_broken(self->dev, "as told");
		break;
	case 's': /* a gap behind two bytes */
		bp_chain_write(chain, "ab", 2);
		assert_int_equal(bp_chain_skip(chain, BP_CHAIN_WRITE, 2), 0);
		bp_chain_write(chain, "cd", 2);
		assert_int_equal(bp_chain_skip(chain, BP_CHAIN_WRITE, 1000), -ENODATA);
		break;
	case 't': /* take the rest */
		assert_int_equal(bp_chain_take(chain, BP_CHAIN_WRITE, 1000, iov, 8), -ENODATA);
		assert_int_equal(bp_chain_take(chain, BP_CHAIN_WRITE, 6, iov, 1), -EMSGSIZE);
		r = bp_chain_take(chain, BP_CHAIN_WRITE, 6, iov, 8);
		assert_int_equal(r, 2);
		for (int i = 0; i < r; i++)
			memset(iov[i].iov_base, 't', iov[i].iov_len);
		break;
	case 'q': /* fill the rest, and say how far afterwards */
		assert_int_equal(bp_chain_peek(chain, BP_CHAIN_WRITE, 1000, iov, 8), -ENODATA);
		assert_int_equal(bp_chain_peek(chain, BP_CHAIN_WRITE, 6, iov, 1), -EMSGSIZE);
		r = bp_chain_peek(chain, BP_CHAIN_WRITE, 6, iov, 8);
		assert_int_equal(r, 2);
		for (int i = 0; i < r; i++)
			memset(iov[i].iov_base, 'q', iov[i].iov_len);
		assert_int_equal(bp_chain_left(chain, BP_CHAIN_WRITE), 27);
		assert_int_equal(bp_chain_wrote(chain, 28), -ENODATA);
		assert_int_equal(bp_chain_wrote(chain, 4), 0);
		assert_int_equal(bp_chain_left(chain, BP_CHAIN_WRITE), 23);
		break;
	case 'Q': /* the same of what was kept */
		assert_int_equal(bp_chain_peek(self->kept, BP_CHAIN_WRITE, 1, iov, 1), -ENODATA);
		assert_int_equal(bp_chain_wrote(self->kept, 1), -ENODATA);
		break;
	case '9': /* a side that there is not */
		bp_chain_left(chain, 9);
		break;
	case '!': /* not the time for it */
		assert_int_equal(bp_virtio_offer(self->dev, 0, 1), -EDEADLK);
		break;
	default:
		start_io(self, chain, what);
		return;
	}
	bp_chain_complete(chain);
}

static const struct bp_virtio_class puppet_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = 5,
	.queue_count = 3,
	.queue_size = 8,
	.config_bytes = CONFIG_BYTES,
	.scratch_bytes = sizeof(void *),
	.features = FEATURE_A | FEATURE_B,
	.activate = puppet_activate,
	.classify = puppet_classify,
	.request = puppet_request,
	.config_changed = puppet_config,
};

static const struct bp_device_class puppet_class = {
	BP_DEVICE_CLASS_INIT,  .name = "puppet", BP_PARAMS(puppet_params), .create = puppet_create,
	.reset = puppet_reset, .destroy = free,  .virtio = &puppet_virtio,
};

/* ---- the fixture ---- */

struct fixture {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct puppet *puppet;
	char path[64];
	int fd;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	snprintf(fixture->path, sizeof(fixture->path), "/tmp/fakehost-XXXXXX");
	fixture->fd = mkstemp(fixture->path);
	assert_true(fixture->fd >= 0);
	for (uint32_t i = 0; i < FILE_BYTES; i++)
		assert_int_equal(write(fixture->fd, &(uint8_t){ (uint8_t)i }, 1), 1);
	assert_int_equal(fakehost_new(4096, &fixture->host), 0);
	assert_int_equal(fakehost_create(fixture->host, &puppet_class, "puppet0",
					 (struct fakehost_pair[]){ { "path", fixture->path }, { NULL, NULL } },
					 &fixture->dev),
			 0);
	assert_int_equal(fakehost_start(fixture->dev), 0);
	fixture->puppet = fakehost_state(fixture->dev);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	fakehost_free(fixture->host);
	close(fixture->fd);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

static void activate(struct fixture *fixture)
{
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_A, 2), 0);
}

/* A chain of `text`, and three pieces of 3, 4 and `more` bytes to write. */
static struct fakehost_chain *ask(struct fixture *fixture, const char *text, size_t more)
{
	const struct fakehost_piece pieces[] = {
		{ text, 1 },
		{ text[1] ? text + 1 : NULL, text[1] ? strlen(text) - 1 : 3 },
		{ NULL, text[1] ? 3 : 4 },
		{ NULL, text[1] ? 4 : more },
		{ NULL, text[1] ? more : 0 },
		{ NULL, 0 },
	};
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(fixture->dev, 0, pieces, &chain), 0);
	return chain;
}

static void assert_bytes(const struct fakehost_chain *chain, uint64_t offset, const char *expected)
{
	char buf[64] = { 0 };

	assert_int_equal(fakehost_chain_get(chain, offset, buf, strlen(expected)), strlen(expected));
	assert_string_equal(buf, expected);
}

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

/* ---- io ---- */

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_driver_takes_what_is_offered),
		TEST(bytes_go_through_pieces),
		TEST(a_chain_that_cannot_be_is_refused),
		TEST(completions_have_an_order),
		TEST(a_reset_makes_chains_void),
		TEST(wrong_use_is_a_breach),
		TEST(a_broken_device_gets_and_gives_nothing),
		TEST(config_space_is_the_guests_too),
		TEST(io_waits_for_the_test),
		TEST(io_ends_in_any_order),
		TEST(io_fails_when_told),
		TEST(zeroes_and_discards_reach_the_file),
		TEST(a_reset_ends_io_untold),
		TEST(readonly_opens_for_reading),
		TEST(a_wrong_class_is_a_breach),
		TEST(groups_are_repeated),
	};

	return cmocka_run_group_tests_name("fakehost_virtio", tests, NULL, NULL);
}
