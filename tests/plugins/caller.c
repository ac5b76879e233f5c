/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that connects when its guest says so, and writes the number that it was told into each connection.
 *
 *   register  written                            read
 *   0         a number: connects to PATH_NUMBER  how many answers there were
 *   4         anything: connects to the network  the last one: 0, or an errno
 *   8         -                                  what bp_connect() gave last, or an errno
 */
#include <backplane/plugin.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALLS_MAX 64

struct caller;

struct call {
	struct caller *caller; /* NULL: free */
	uint32_t number;
};

struct caller {
	struct bp_dev *dev;
	bool keep;
	uint32_t at_start, answers, last, asked;
	struct call calls[CALLS_MAX];
};

static const struct bp_param caller_params[] = {
	{ .name = "base", .type = BP_P_ADDRESS, .def = "0xd2001000", .help = "guest physical address" },
	{ .name = "uds", .type = BP_P_SOCKET, .flags = BP_P_CONNECT, .help = "path of the sockets" },
	{ .name = "network", .type = BP_P_NETWORK, .help = "network" },
	{ .name = "at_start", .type = BP_P_UINT, .def = "0", .help = "number that start connects to, 0 for none" },
	{ .name = "keep", .type = BP_P_BOOL, .def = "false", .help = "whether connections stay open" },
};

static const struct bp_range caller_ranges[] = {
	{ .space = BP_MMIO, .length = 16, .widths = BP_W32 | BP_W64, .base_param = "base" },
};

static void connected(void *arg, int fd) /* [dev] */
{
	struct call *call = arg;
	struct caller *caller = call->caller;
	char text[16];
	int count = snprintf(text, sizeof(text), "%u\n", (unsigned int)call->number);

	call->caller = NULL;
	caller->answers++;
	caller->last = fd < 0 ? (uint32_t)-fd : 0;
	if (fd < 0)
		return;
	if (send(fd, text, (size_t)count, MSG_NOSIGNAL) != count)
		caller->last = EIO;
	if (!caller->keep)
		close(fd);
}

static int connect_to(struct caller *caller, const char *name, uint32_t number)
{
	struct call *call = caller->calls;
	int r;

	while (call < caller->calls + CALLS_MAX - 1 && call->caller)
		call++;
	if (call->caller)
		return -ENOSPC;
	*call = (struct call){ .caller = caller, .number = number };
	r = bp_connect(caller->dev, name, 0, number, connected, call);
	if (r < 0)
		call->caller = NULL;
	caller->asked = (uint32_t)-r;
	return r;
}

static int caller_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct caller *caller = calloc(1, sizeof(*caller));

	if (!caller)
		return bp_fail(dev, -ENOMEM, "no memory");
	caller->dev = dev;
	caller->at_start = (uint32_t)bp_cfg_uint(cfg, "at_start");
	caller->keep = bp_cfg_uint(cfg, "keep");
	*ret = caller;
	return 0;
}

/* The answer to the claim comes behind that to the connection. */
static int caller_start(void *self) /* [main] */
{
	const struct bp_range range = { .space = BP_MMIO, .length = 16, .widths = BP_W32 };
	struct caller *caller = self;
	uint32_t index;
	int r;

	if (!caller->at_start)
		return 0;
	r = connect_to(caller, "uds", caller->at_start);
	return r < 0 ? r : bp_claim(caller->dev, &range, UINT64_C(0xd2002000), &index);
}

static int caller_access(void *self, const struct bp_access *access, uint64_t *val) /* [dev] */
{
	struct caller *caller = self;

	if (!access->write)
		*val = access->offset == 0 ? caller->answers : access->offset == 4 ? caller->last : caller->asked;
	else if (access->offset == 4)
		connect_to(caller, "network", 0);
	else
		connect_to(caller, "uds", (uint32_t)*val);
	return 0;
}

static void caller_reset(void *self) /* [dev] */
{
	(void)self;
}

/* clang-format off */
static const struct bp_device_class caller_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "caller",
	BP_PARAMS(caller_params),
	BP_RANGES(caller_ranges),
	.create = caller_create,
	.start = caller_start,
	.access = caller_access,
	.reset = caller_reset,
	.destroy = free,
};
/* clang-format on */

BP_PLUGIN("org.backplane.test.caller", "1", &caller_class)
