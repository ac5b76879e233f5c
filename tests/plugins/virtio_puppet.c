/* SPDX-License-Identifier: BSD-3-Clause */
/* The device itself, and a test's set-up with it. */
#include "tests/plugins/virtio_puppet.h"

#include <sys/uio.h>

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

const struct bp_virtio_class puppet_virtio = {
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

const struct bp_device_class puppet_class = {
	BP_DEVICE_CLASS_INIT,  .name = "puppet", BP_PARAMS(puppet_params), .create = puppet_create,
	.reset = puppet_reset, .destroy = free,  .virtio = &puppet_virtio,
};

/* ---- the fixture ---- */

int puppet_setup(void **state)
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

int puppet_teardown(void **state)
{
	struct fixture *fixture = *state;

	fakehost_free(fixture->host);
	close(fixture->fd);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

void activate(struct fixture *fixture)
{
	assert_int_equal(fakehost_activate(fixture->dev, FEATURE_A, 2), 0);
}

struct fakehost_chain *ask(struct fixture *fixture, const char *text, size_t more)
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

void assert_bytes(const struct fakehost_chain *chain, uint64_t offset, const char *expected)
{
	char buf[64] = { 0 };

	assert_int_equal(fakehost_chain_get(chain, offset, buf, strlen(expected)), strlen(expected));
	assert_string_equal(buf, expected);
}
