/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections on the fake host: what a device asks for waits until the test answers it, and an answer that comes while the device is
 * at rest waits until it is not. See fakehost.h. */
#include "fakehost_impl.h"

#include <stdlib.h>
#include <unistd.h>

static bool value_connects(const struct bp_param *param, const char *text, uint32_t number)
{
	if (param->type == BP_P_SOCKET)
		return param->flags & BP_P_CONNECT;
	return param->type == BP_P_NETWORK && !number && fake_network_connects(text);
}

static int host_connect(struct bp_dev *dev, const char *name, uint32_t index, uint32_t number, bp_connect_fn *done,
			void *arg)
{
	struct fakehost_dev *own = fake_dev(dev);
	struct fake_connect **at = &own->connects, *connect;
	int r = fake_tag(own, FAKE_MAIN | FAKE_DEV, "bp_connect");
	struct bp_param param;
	const char *text;
	uint32_t count = 0;

	if (r)
		return r;
	if (own->state == FAKE_STOPPED)
		return -ESHUTDOWN;
	text = name && done ? fake_cfg_text(own, name, index, &param) : NULL;
	if (!text || !value_connects(&param, text, number))
		return -EINVAL;
	for (; *at; at = &(*at)->next)
		count++;
	if (count >= FAKE_CONNECT_MAX)
		return -ENOSPC;
	connect = calloc(1, sizeof(*connect));
	if (!connect)
		return -ENOMEM;
	*connect = (struct fake_connect){
		.name = param.name,
		.index = index,
		.number = number,
		.done = done,
		.arg = arg,
	};
	*at = connect;
	return 0;
}

/* The oldest that has no answer. NULL for none. */
static struct fake_connect *unanswered(const struct fakehost_dev *dev)
{
	struct fake_connect *connect = dev->connects;

	while (connect && connect->answered)
		connect = connect->next;
	return connect;
}

void fake_connects_tell(struct fakehost_dev *dev)
{
	while (dev->connects && dev->connects->answered && dev->state == FAKE_RUNNING) {
		struct fake_connect connect = *dev->connects;
		struct fake_here before;

		/* It goes off the list first: what follows may ask for another one. */
		free(dev->connects);
		dev->connects = connect.next;
		before = fake_enter(dev, FAKE_DEV);
		connect.done(connect.arg, connect.fd);
		fake_leave(before);
	}
}

void fake_connects_drop(struct fakehost_dev *dev)
{
	while (dev->connects) {
		struct fake_connect *next = dev->connects->next;

		if (dev->connects->answered && dev->connects->fd >= 0)
			close(dev->connects->fd);
		free(dev->connects);
		dev->connects = next;
	}
}

/* ---- the test ---- */

uint32_t fakehost_connects(const struct fakehost_dev *dev)
{
	uint32_t count = 0;

	for (const struct fake_connect *connect = unanswered(dev); connect; connect = connect->next)
		count++;
	return count;
}

int fakehost_connect_look(const struct fakehost_dev *dev, const char **ret_name, uint32_t *ret_index,
			  uint32_t *ret_number)
{
	const struct fake_connect *connect = unanswered(dev);

	if (!connect)
		return -ENOENT;
	*ret_name = connect->name;
	*ret_index = connect->index;
	*ret_number = connect->number;
	return 0;
}

int fakehost_connect_answer(struct fakehost_dev *dev, int fd)
{
	struct fake_connect *connect = unanswered(dev);

	if (dev->state == FAKE_STOPPED)
		return -ESHUTDOWN;
	if (!connect)
		return -ENOENT;
	connect->answered = true;
	connect->fd = fd;
	fake_connects_tell(dev);
	return 0;
}

void fake_connect_fill(struct bp_host *table)
{
	table->connect = host_connect;
}
