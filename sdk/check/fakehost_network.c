/* SPDX-License-Identifier: BSD-3-Clause */
/* Networks and sockets of the fake host: socket pairs, and real sockets where something has to be found by its path; see fakehost.h. */
#include "fakehost_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

static bool begins(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix)) && text[strlen(prefix)];
}

static bool is_tap(const char *text)
{
	return !strcmp(text, "tap") || begins(text, "tap:") || begins(text, "fd:");
}

static bool is_passt(const char *text)
{
	return !strcmp(text, "passt") || begins(text, "passt ");
}

bool fake_network_ok(const char *text)
{
	return is_tap(text) || is_passt(text) || begins(text, "connect:") || begins(text, "listen:");
}

bool fake_network_connects(const char *text)
{
	return begins(text, "connect:");
}

int fake_listen(const char *path, char **ret_made)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_made = strdup(path);
	if (*ret_made && listen(fd, BACKLOG) == 0)
		return fd;
	r = *ret_made ? -errno : -ENOMEM;
	unlink(path);
	close(fd);
	free(*ret_made);
	*ret_made = NULL;
	return r;
}

static void network_close(struct fake_network *network)
{
	for (uint32_t i = 0; i < BP_NETWORK_FDS_MAX; i++) {
		if (i < network->near.fd_count)
			close(network->near.fds[i]);
		if (network->far[i] >= 0)
			close(network->far[i]);
	}
	if (network->made)
		unlink(network->made);
	free(network->made);
}

static int add_pair(struct fake_network *network, int type)
{
	uint32_t pair = network->near.fd_count;
	int fds[2];

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	network->near.fds[pair] = fds[0];
	network->far[pair] = fds[1];
	network->near.fd_count++;
	return 0;
}

static int network_make(struct fake_network *network, const char *text, uint32_t pairs)
{
	int r = 0;

	network->near.kind = BP_NETWORK_STREAM;
	if (is_tap(text)) {
		network->near.kind = BP_NETWORK_TAP;
		while (r == 0 && network->near.fd_count < pairs)
			r = add_pair(network, SOCK_SEQPACKET);
		return r;
	}
	if (is_passt(text))
		return add_pair(network, SOCK_STREAM);
	if (fake_network_connects(text)) {
		network->near.flags = BP_NETWORK_CONNECTS;
		return 0;
	}
	r = fake_listen(text + strlen("listen:"), &network->made);
	if (r < 0)
		return r;
	network->near.kind = BP_NETWORK_LISTENER;
	network->near.fds[0] = r;
	network->near.fd_count = 1;
	return 0;
}

static struct fake_network *network_find(struct fakehost_dev *dev, const char *name, uint32_t index)
{
	for (size_t i = 0; i < dev->network_count; i++)
		if (!strcmp(dev->networks[i].name, name) && dev->networks[i].index == index)
			return &dev->networks[i];
	return NULL;
}

/* What another device has in the same place, whose far end stays that one's. */
static int network_borrow(struct fake_network *network, const struct fake_network *from)
{
	network->near = from->near;
	network->near.fd_count = 0;
	while (network->near.fd_count < from->near.fd_count) {
		int fd = fcntl(from->near.fds[network->near.fd_count], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		network->near.fds[network->near.fd_count++] = fd;
	}
	return 0;
}

static int network_new(struct fakehost_dev *dev, const char *name, uint32_t index, const char *text, uint32_t pairs,
		       struct fake_network **ret)
{
	struct fakehost_dev *lender = dev->host->lender;
	const struct fake_network *from = lender ? network_find(lender, name, index) : NULL;
	struct fake_network network = { .index = index };
	int r;

	if (dev->network_count == FAKE_NETS_MAX)
		return -ENOSPC;
	snprintf(network.name, sizeof(network.name), "%s", name);
	for (uint32_t i = 0; i < BP_NETWORK_FDS_MAX; i++)
		network.far[i] = -1;
	r = from ? network_borrow(&network, from) : network_make(&network, text, pairs);
	if (r < 0) {
		fake_log(dev->host, dev, BP_LOG_ERROR, "%s: %s", text, strerror(-r));
		network_close(&network);
		return r;
	}
	*ret = &dev->networks[dev->network_count++];
	**ret = network;
	return 0;
}

int fake_network_get(struct fakehost_dev *dev, const char *name, uint32_t index, const char *text, uint32_t pairs,
		     struct bp_network *ret)
{
	struct fake_network *network = network_find(dev, name, index);
	struct bp_network own;
	uint32_t size = ret->size;
	int r;

	if (size < offsetof(struct bp_network, fds) + sizeof(own.fds[0])) {
		fake_breach(dev, "bp_cfg_network called with a size of %u", size);
		return -EINVAL;
	}
	if (!network) {
		r = network_new(dev, name, index, text, pairs, &network);
		if (r < 0)
			return r;
	}
	own = network->near;
	own.size = size;
	memset(ret, 0, size);
	memcpy(ret, &own, size < sizeof(own) ? size : sizeof(own));
	return 0;
}

int fakehost_network(const struct fakehost_dev *dev, const char *name, uint32_t pair)
{
	const struct fake_network *network = network_find((struct fakehost_dev *)(uintptr_t)dev, name, 0);

	if (!network || pair >= BP_NETWORK_FDS_MAX || network->far[pair] < 0)
		return -ENOENT;
	return network->far[pair];
}

void fake_networks_free(struct fakehost_dev *dev)
{
	for (size_t i = 0; i < dev->network_count; i++)
		network_close(&dev->networks[i]);
	dev->network_count = 0;
}
