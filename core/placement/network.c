/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening networks; see network.h. */
#include "core/placement/network.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/network.h"
#include "core/config/path.h"
#include "core/placement/passt.h"
#include "core/placement/tap.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A network has one peer; others may try. */
#define BACKLOG 4

int network_connect(const struct place *place, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	FREE_AUTO char *resolved = NULL;
	FD_AUTO int fd = -1;
	int r = config_resolve_path(place, path, &resolved);

	if (r < 0)
		return r;
	if (strlen(resolved) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, resolved, strlen(resolved) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd_take(&fd);
}

static void keep_one(struct network *network, uint32_t kind, int fd)
{
	network->kind = kind;
	network->fds[0] = fd;
	network->fd_count = 1;
}

/* A peer that is not there yet is no error: the device tries again. */
static int open_connect(struct value *value, const char *peer, struct err *err)
{
	struct network *network = value->network;
	int fd = network_connect(&value->place, peer);

	network->kind = BP_NETWORK_STREAM;
	network->flags = BP_NETWORK_CONNECTS;
	if (fd >= 0)
		keep_one(network, BP_NETWORK_STREAM, fd);
	else if (fd != -ENOENT && fd != -ECONNREFUSED && fd != -EAGAIN)
		return err_sys(err, fd, "cannot connect to \"%s\"", peer);
	return 0;
}

static int open_tap(struct value *value, const char *name, uint32_t pairs, const char *path, struct err *err)
{
	char chosen[IFNAMSIZ];
	int r = tap_open(name, pairs, value->network, chosen, err);

	if (r == 0 && !name)
		log_tell("%s: %s", path, chosen);
	return r;
}

/* core/config has seen that there are as many as there are queue pairs. */
static int open_given(struct value *value, const char *numbers, struct err *err)
{
	int fds[BP_NETWORK_FDS_MAX];
	int count = network_fds(numbers, fds, err);

	return count < 0 ? count : tap_take(fds, (uint32_t)count, value->network, err);
}

int network_open(struct opener *opener, struct value *value, uint32_t pairs, const char *path, struct err *err)
{
	const char *rest;
	int fd = -1, r;

	value->network = calloc(1, sizeof(*value->network));
	if (!value->network)
		return err_sys(err, -ENOMEM, "cannot open it");
	switch (network_form(value->text, &rest)) {
	case NETWORK_TAP:
		return open_tap(value, rest, pairs, path, err);
	case NETWORK_FDS:
		return open_given(value, rest, err);
	case NETWORK_PASST:
		r = passt_start(&opener->passts, rest, path, &fd, err);
		if (r == 0)
			keep_one(value->network, BP_NETWORK_STREAM, fd);
		return r;
	case NETWORK_CONNECT:
		return open_connect(value, rest, err);
	case NETWORK_LISTEN:
		r = stream_listen(&opener->made, &value->place, rest, BACKLOG, err);
		if (r < 0)
			return r;
		keep_one(value->network, BP_NETWORK_LISTENER, r);
		return 0;
	default:
		return err_set(err, -EINVAL, "\"%s\" is no network", value->text);
	}
}
