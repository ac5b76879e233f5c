/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections on the fake host of the conformance kit, tried on a device that asks for them whenever it is told to. */
#include "sdk/check/fakehost.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define AT_A_TIME 64u

struct puppet {
	struct bp_dev *dev;
	const char *name;
	uint32_t index, number;
	int asked;        /* what the last bp_connect() gave */
	bool again;       /* asks for another when it is told */
	uint32_t told;    /* how often it has been */
	int fd;           /* the last time */
	uintptr_t arg;    /* of whom */
	int stop, create; /* what bp_connect() gave there */
};

static const struct bp_param puppet_group[] = {
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_CONNECT },
};

static const struct bp_param puppet_params[] = {
	{ .name = "socket", .type = BP_P_SOCKET, .flags = BP_P_CONNECT | BP_P_REPEATED },
	{ .name = "listener", .type = BP_P_SOCKET, .flags = BP_P_LISTEN },
	{ .name = "network", .type = BP_P_NETWORK },
	{ .name = "word", .type = BP_P_STRING },
	{ .name = "in", .type = BP_P_GROUP, BP_GROUP(puppet_group) },
};

static const struct bp_range puppet_ranges[] = {
	{ .space = BP_MMIO, .length = 8, .widths = BP_W64 },
};

/* At a time there is one puppet that is told. */
static struct puppet *puppet_now;

static void ask(struct puppet *puppet, uintptr_t arg);

static void on_connected(void *arg, int fd)
{
	struct puppet *puppet = puppet_now;

	puppet->told++;
	puppet->fd = fd;
	puppet->arg = (uintptr_t)arg;
	if (puppet->again)
		ask(puppet, puppet->arg + 1);
}

static void ask(struct puppet *puppet, uintptr_t arg)
{
	puppet->asked = bp_connect(puppet->dev, puppet->name, puppet->index, puppet->number, on_connected, (void *)arg);
}

static int puppet_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct puppet *puppet = calloc(1, sizeof(*puppet));

	(void)cfg;
	if (!puppet)
		return -ENOMEM;
	puppet->dev = dev;
	puppet->name = "socket";
	puppet->create = bp_connect(dev, "socket", 0, 1, on_connected, NULL);
	*ret = puppet;
	return 0;
}

static int puppet_start(void *self)
{
	struct puppet *puppet = self;

	if (puppet->again)
		ask(puppet, 1);
	return 0;
}

static int puppet_access(void *self, const struct bp_access *access, uint64_t *val)
{
	(void)access;
	ask(self, (uintptr_t)*val);
	return 0;
}

static void puppet_reset(void *self)
{
	(void)self;
}

static void puppet_stop(void *self)
{
	struct puppet *puppet = self;

	ask(puppet, 0);
	puppet->stop = puppet->asked;
}

/* clang-format off */
static const struct bp_device_class puppet_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "puppet",
	BP_PARAMS(puppet_params),
	BP_RANGES(puppet_ranges),
	.create = puppet_create,
	.start = puppet_start,
	.access = puppet_access,
	.reset = puppet_reset,
	.stop = puppet_stop,
	.destroy = free,
};
/* clang-format on */

struct fixture {
	struct fakehost *host;
	struct fakehost_dev *dev;
	struct puppet *puppet;
};

static void create(struct fixture *fix)
{
	const struct fakehost_pair values[] = {
		{ "socket", "/nowhere/a" },
		{ "socket", "/nowhere/b" },
		{ "listener", "/nowhere/c" },
		{ "network", "connect:x" },
		{ "word", "connect:x" },
		{ "in.socket", "/nowhere/d" },
		{ NULL, NULL },
	};

	assert_int_equal(fakehost_create(fix->host, &puppet_class, "puppet", values, &fix->dev), 0);
	fix->puppet = fakehost_state(fix->dev);
	puppet_now = fix->puppet;
}

static int setup(void **state)
{
	struct fixture *fix = calloc(1, sizeof(*fix));

	assert_non_null(fix);
	assert_int_equal(fakehost_new(4096, &fix->host), 0);
	create(fix);
	/* create is too early. */
	assert_int_equal(fix->puppet->create, -EDEADLK);
	assert_int_equal(fakehost_breaches(fix->host), 1);
	*state = fix;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fix = *state;

	fakehost_free(fix->host);
	free(fix);
	return 0;
}

static int have_it_ask(struct fixture *fix, const char *name, uint32_t index, uint32_t number, uint64_t arg)
{
	fix->puppet->name = name;
	fix->puppet->index = index;
	fix->puppet->number = number;
	assert_int_equal(fakehost_write(fix->dev, 0, 0, 8, arg), 0);
	return fix->puppet->asked;
}

/* ---- what can be asked for ---- */

static void what_can_be_connected_is_asked_for_in_order(void **state)
{
	struct fixture *fix = *state;
	const char *name = NULL;
	uint32_t index = 9, number = 9;

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 1, UINT32_MAX, 1), 0);
	assert_int_equal(have_it_ask(fix, "network", 0, 0, 2), 0);
	assert_int_equal(fakehost_connects(fix->dev), 2);
	assert_int_equal(fix->puppet->told, 0);
	assert_int_equal(fakehost_connect_look(fix->dev, &name, &index, &number), 0);
	assert_ptr_equal(name, puppet_params[0].name);
	assert_int_equal(index, 1);
	assert_int_equal(number, UINT32_MAX);
	assert_int_equal(fakehost_connect_answer(fix->dev, -ENOENT), 0);
	assert_int_equal(fix->puppet->told, 1);
	assert_int_equal(fix->puppet->fd, -ENOENT);
	assert_int_equal(fix->puppet->arg, 1);
	assert_int_equal(fakehost_connect_look(fix->dev, &name, &index, &number), 0);
	assert_string_equal(name, "network");
	assert_int_equal(fakehost_connect_answer(fix->dev, -ECONNREFUSED), 0);
	assert_int_equal(fix->puppet->arg, 2);
	assert_int_equal(fakehost_connects(fix->dev), 0);
	assert_int_equal(fakehost_connect_look(fix->dev, &name, &index, &number), -ENOENT);
	assert_int_equal(fakehost_connect_answer(fix->dev, -EIO), -ENOENT);
	assert_int_equal(fakehost_breaches(fix->host), 1);
}

static void nothing_else_can_be_asked_for(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 2, 1, 0), -EINVAL);   /* two are given */
	assert_int_equal(have_it_ask(fix, "listener", 0, 1, 0), -EINVAL); /* no BP_P_CONNECT */
	assert_int_equal(have_it_ask(fix, "network", 0, 1, 0), -EINVAL);  /* has no numbers */
	assert_int_equal(have_it_ask(fix, "network", 1, 0, 0), -EINVAL);
	assert_int_equal(have_it_ask(fix, "word", 0, 0, 0), -EINVAL);
	assert_int_equal(have_it_ask(fix, "in", 0, 0, 0), -EINVAL);
	assert_int_equal(have_it_ask(fix, "in.socket", 0, 0, 0), -EINVAL);
	assert_int_equal(have_it_ask(fix, "nothing", 0, 0, 0), -EINVAL);
	assert_int_equal(have_it_ask(fix, NULL, 0, 0, 0), -EINVAL);
	assert_int_equal(fakehost_connects(fix->dev), 0);
}

static void at_most_64_are_under_way(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(fakehost_start(fix->dev), 0);
	for (uint32_t i = 0; i < AT_A_TIME; i++)
		assert_int_equal(have_it_ask(fix, "socket", 0, i, i), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 0), -ENOSPC);
	assert_int_equal(fakehost_connect_answer(fix->dev, -ENOENT), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 0), 0);
	assert_int_equal(fakehost_connects(fix->dev), AT_A_TIME);
}

static void only_the_device_asks(void **state)
{
	struct fixture *fix = *state;

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(bp_connect(fix->puppet->dev, "socket", 0, 0, on_connected, NULL), -EDEADLK);
	assert_int_equal(fakehost_breaches(fix->host), 2);
}

/* ---- answers ---- */

static void an_answer_may_lead_to_another_question(void **state)
{
	struct fixture *fix = *state;

	/* From start on. */
	fix->puppet->again = true;
	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(fakehost_connects(fix->dev), 1);
	assert_int_equal(fakehost_connect_answer(fix->dev, -EAGAIN), 0);
	assert_int_equal(fix->puppet->told, 1);
	assert_int_equal(fix->puppet->asked, 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, -EAGAIN), 0);
	assert_int_equal(fix->puppet->told, 2);
	assert_int_equal(fix->puppet->arg, 2);
	assert_int_equal(fakehost_connects(fix->dev), 1);
}

static void a_descriptor_is_the_devices(void **state)
{
	struct fixture *fix = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 0), 0);
	assert_int_equal(fakehost_reset(fix->dev), 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, fd), 0);
	assert_int_equal(fix->puppet->fd, fd);
	fakehost_destroy(fix->dev);
	assert_int_equal(close(fd), 0);
}

static void a_device_at_rest_is_told_later(void **state)
{
	struct fixture *fix = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 1), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 2), 0);
	assert_int_equal(fakehost_quiesce(fix->dev), 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, -ENOENT), 0);
	assert_int_equal(fakehost_connects(fix->dev), 1);
	assert_int_equal(fakehost_connect_answer(fix->dev, fd), 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, fd), -ENOENT);
	assert_int_equal(fix->puppet->told, 0);
	assert_int_equal(fakehost_resume(fix->dev), 0);
	assert_int_equal(fix->puppet->told, 2);
	assert_int_equal(fix->puppet->arg, 2);
	assert_int_equal(fix->puppet->fd, fd);
	assert_int_equal(close(fd), 0);
}

static void what_nobody_is_told_of_is_closed(void **state)
{
	struct fixture *fix = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 1), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 2), 0);
	assert_int_equal(fakehost_quiesce(fix->dev), 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, fd), 0);
	fakehost_destroy(fix->dev);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	/* Neither that nor the one without an answer is the device's fault. */
	assert_int_equal(fakehost_breaches(fix->host), 1);
}

static void a_stop_ends_it(void **state)
{
	struct fixture *fix = *state;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(fakehost_start(fix->dev), 0);
	assert_int_equal(have_it_ask(fix, "socket", 0, 1, 1), 0);
	assert_int_equal(fakehost_stop(fix->dev), 0);
	assert_int_equal(fix->puppet->stop, -ESHUTDOWN);
	assert_int_equal(fakehost_connects(fix->dev), 0);
	assert_int_equal(fakehost_connect_answer(fix->dev, fd), -ESHUTDOWN);
	assert_int_equal(fix->puppet->told, 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(fakehost_breaches(fix->host), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_can_be_connected_is_asked_for_in_order),
		TEST(nothing_else_can_be_asked_for),
		TEST(at_most_64_are_under_way),
		TEST(only_the_device_asks),
		TEST(an_answer_may_lead_to_another_question),
		TEST(a_descriptor_is_the_devices),
		TEST(a_device_at_rest_is_told_later),
		TEST(what_nobody_is_told_of_is_closed),
		TEST(a_stop_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
