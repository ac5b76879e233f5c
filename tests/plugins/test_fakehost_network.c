/* SPDX-License-Identifier: BSD-3-Clause */
/* Networks, sockets and identities on the fake host of the conformance kit. The device keeps what create gets. */
#include "sdk/check/fakehost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

struct card {
	struct bp_network network;
	struct bp_network longer[2]; /* as a later version of the headers would have it */
	int r;
	int listener;
	char text[64];
	uint64_t identity;
};

static const struct bp_param card_params[] = {
	{ .name = "network", .type = BP_P_NETWORK, .pairs_param = "pairs" },
	{ .name = "pairs", .type = BP_P_UINT, .def = "1", .min = 1, .max = 16 },
	{ .name = "uds", .type = BP_P_SOCKET, .flags = BP_P_LISTEN | BP_P_CONNECT },
	{ .name = "out", .type = BP_P_SOCKET, .flags = BP_P_CONNECT },
	{ .name = "size", .type = BP_P_UINT, .def = "0" },
};

static int card_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	uint64_t size = bp_cfg_uint(cfg, "size");
	struct card *card = calloc(1, sizeof(*card));

	if (!card)
		return -ENOMEM;
	card->network.size = size ? (uint32_t)size : sizeof(card->network);
	card->r = bp_cfg_network(cfg, "network", &card->network);
	if (!card->r) {
		memset(card->longer, 0xa5, sizeof(card->longer));
		card->longer[0].size = sizeof(card->longer);
		assert_int_equal(bp_cfg_network(cfg, "network", &card->longer[0]), 0);
	}
	card->listener = bp_cfg_fd(cfg, "uds");
	assert_int_equal(bp_cfg_fd(cfg, "out"), -1);
	snprintf(card->text, sizeof(card->text), "%s %s", bp_cfg_string(cfg, "network"), bp_cfg_string(cfg, "uds"));
	card->identity = bp_info(dev, BP_INFO_IDENTITY);
	*ret = card;
	return 0;
}

static void card_reset(void *self)
{
	(void)self;
}

/* clang-format off */
static const struct bp_device_class card_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "card",
	.summary = "device that keeps what it gets",
	BP_PARAMS(card_params),
	.create = card_create,
	.reset = card_reset,
	.destroy = free,
};
/* clang-format on */

static struct fakehost_dev *make(struct fakehost *host, const char *network, const char *pairs)
{
	const struct fakehost_pair values[] = { { "network", network }, { "pairs", pairs }, { NULL, NULL } };
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &card_class, "card", values, &dev), 0);
	return dev;
}

static const struct card *card_of(struct fakehost_dev *dev)
{
	return fakehost_state(dev);
}

static void refuse(struct fakehost *host, const char *name, const char *value)
{
	const struct fakehost_pair values[] = { { name, value }, { NULL, NULL } };
	struct fakehost_dev *dev;

	assert_int_equal(fakehost_create(host, &card_class, "card", values, &dev), -EINVAL);
}

static int setup(void **state)
{
	return fakehost_new(4096, (struct fakehost **)state);
}

static int teardown(void **state)
{
	uint32_t breaches = fakehost_breaches(*state);

	fakehost_free(*state);
	return breaches ? -1 : 0;
}

/* What one end sends is what the other gets, in pieces of its own. */
static void carry(int from, int to, bool in_frames)
{
	char buf[64];

	assert_int_equal(write(from, "frame", 5), 5);
	assert_int_equal(write(from, "other", 5), 5);
	assert_int_equal(read(to, buf, sizeof(buf)), in_frames ? 5 : 10);
	assert_memory_equal(buf, in_frames ? "frame" : "frameother", in_frames ? 5 : 10);
	if (in_frames)
		assert_int_equal(read(to, buf, sizeof(buf)), 5);
	assert_int_equal(read(to, buf, sizeof(buf)), -1);
	assert_int_equal(errno, EAGAIN);
}

static void a_tap_has_a_far_end_for_each_pair(void **state)
{
	static const char *const texts[] = { "tap", "tap:tap0", "fd:3,4,5" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fakehost_dev *dev = make(*state, texts[i], "3");
		const struct bp_network *network = &card_of(dev)->network;

		assert_int_equal(network->size, sizeof(*network));
		assert_int_equal(network->kind, BP_NETWORK_TAP);
		assert_int_equal(network->flags, 0);
		assert_int_equal(network->fd_count, 3);
		for (uint32_t pair = 0; pair < 3; pair++) {
			carry(network->fds[pair], fakehost_network(dev, "network", pair), true);
			carry(fakehost_network(dev, "network", pair), network->fds[pair], true);
		}
		assert_int_equal(fakehost_network(dev, "network", 3), -ENOENT);
		assert_int_equal(fakehost_network(dev, "network", UINT32_MAX), -ENOENT);
		assert_int_equal(fakehost_network(dev, "other", 0), -ENOENT);
		fakehost_destroy(dev);
	}
}

static void passt_is_a_stream(void **state)
{
	struct fakehost_dev *dev = make(*state, "passt -t 2222:22", "1");
	const struct card *card = card_of(dev);
	int far = fakehost_network(dev, "network", 0);

	assert_int_equal(card->network.kind, BP_NETWORK_STREAM);
	assert_int_equal(card->network.flags, 0);
	assert_int_equal(card->network.fd_count, 1);
	assert_string_equal(card->text, "passt -t 2222:22 ");
	carry(card->network.fds[0], far, false);
	carry(far, card->network.fds[0], false);
}

static void what_connects_has_nothing_yet(void **state)
{
	struct fakehost_dev *dev = make(*state, "connect:peer.sock", "1");
	const struct card *card = card_of(dev);

	assert_int_equal(card->network.kind, BP_NETWORK_STREAM);
	assert_int_equal(card->network.flags, BP_NETWORK_CONNECTS);
	assert_int_equal(card->network.fd_count, 0);
	assert_int_equal(fakehost_network(dev, "network", 0), -ENOENT);
}

/* A socket that can be connected to, and is gone with its device. */
static void listens(struct fakehost_dev *dev, int listener, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int near, far;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(connect(far, (const struct sockaddr *)&address, sizeof(address)), 0);
	near = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(near >= 0);
	carry(near, far, false);
	close(near);
	close(far);
	fakehost_destroy(dev);
	assert_int_equal(lstat(path, &st), -1);
}

static void sockets_that_listen(void **state)
{
	char directory[] = "/tmp/test_fakehost.XXXXXX", path[64], value[128];
	const struct fakehost_pair values[] = { { "uds", path }, { "out", "elsewhere" }, { NULL, NULL } };
	struct fakehost_dev *dev, *other;

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	snprintf(value, sizeof(value), "listen:%s", path);
	dev = make(*state, value, "1");
	assert_int_equal(card_of(dev)->network.kind, BP_NETWORK_LISTENER);
	assert_int_equal(card_of(dev)->network.fd_count, 1);
	assert_int_equal(fakehost_network(dev, "network", 0), -ENOENT);
	/* In the way of the next one. */
	other = make(*state, value, "1");
	assert_int_equal(card_of(other)->r, -EADDRINUSE);
	fakehost_destroy(other);
	listens(dev, card_of(dev)->network.fds[0], path);
	assert_int_equal(fakehost_create(*state, &card_class, "card", values, &dev), 0);
	assert_int_equal(card_of(dev)->r, -ENOENT);
	listens(dev, card_of(dev)->listener, path);
	assert_int_equal(rmdir(directory), 0);
}

static void a_caller_of_another_size(void **state)
{
	static const struct fakehost_pair values[] = { { "network", "tap" }, { "size", "20" }, { NULL, NULL } };
	const struct bp_network none = { 0 };
	struct fakehost_dev *dev;
	const struct card *card;

	assert_int_equal(fakehost_create(*state, &card_class, "card", values, &dev), 0);
	card = card_of(dev);
	assert_int_equal(card->r, 0);
	assert_int_equal(card->network.size, 20);
	assert_int_equal(card->network.fd_count, 1);
	assert_true(card->network.fds[0] > 0);
	assert_int_equal(card->network.fds[1], 0);
	assert_int_equal(card->longer[0].size, sizeof(card->longer));
	assert_int_equal(card->longer[0].fds[0], card->network.fds[0]);
	assert_memory_equal(&card->longer[1], &none, sizeof(none));
}

static void a_size_that_cannot_be_is_a_breach(void **state)
{
	static const struct fakehost_pair values[] = { { "network", "tap" }, { "size", "19" }, { NULL, NULL } };
	struct fakehost *host;
	struct fakehost_dev *dev;

	(void)state;
	assert_int_equal(fakehost_new(4096, &host), 0);
	assert_int_equal(fakehost_create(host, &card_class, "card", values, &dev), 0);
	assert_int_equal(card_of(dev)->r, -EINVAL);
	assert_int_equal(fakehost_breaches(host), 1);
	fakehost_free(host);
}

static void texts_that_are_no_network(void **state)
{
	static const char *const texts[] = { "",       "tap:",     "tap0",    "fd:",   "passt-t",
					     "passt ", "connect:", "listen:", "unix:a" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		refuse(*state, "network", texts[i]);
	refuse(*state, "uds", "");
	refuse(*state, "pairs", "17");
}

static void each_device_has_an_identity_of_its_own(void **state)
{
	struct fakehost_dev *one, *other;
	uint64_t identity;

	assert_int_equal(fakehost_create(*state, &card_class, "one", NULL, &one), 0);
	assert_int_equal(fakehost_create(*state, &card_class, "other", NULL, &other), 0);
	identity = card_of(one)->identity;
	assert_true(identity && identity == fakehost_identity(one));
	assert_true(identity != card_of(other)->identity);
	fakehost_destroy(one);
	assert_int_equal(fakehost_create(*state, &card_class, "one", NULL, &one), 0);
	assert_true(card_of(one)->identity == identity);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_tap_has_a_far_end_for_each_pair, setup, teardown),
		cmocka_unit_test_setup_teardown(passt_is_a_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(what_connects_has_nothing_yet, setup, teardown),
		cmocka_unit_test_setup_teardown(sockets_that_listen, setup, teardown),
		cmocka_unit_test_setup_teardown(a_caller_of_another_size, setup, teardown),
		cmocka_unit_test(a_size_that_cannot_be_is_a_breach),
		cmocka_unit_test_setup_teardown(texts_that_are_no_network, setup, teardown),
		cmocka_unit_test_setup_teardown(each_device_has_an_identity_of_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
