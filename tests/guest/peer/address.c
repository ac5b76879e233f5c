/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses of peers; see address.h. */
#include "address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* After <sys/socket.h>, which it needs. */
#include <linux/vm_sockets.h>

#define BACKLOG          4096
#define CONNECT_WITHIN_S 60 /* Linux's default of 2 s is little for an emulated machine */

static bool parse_u32(const char *text, char end, uint32_t *ret, const char **ret_rest)
{
	unsigned long long value;
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	value = strtoull(text, &rest, 10);
	if (*rest != end || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	*ret_rest = rest + (end ? 1 : 0);
	return true;
}

bool address_parse(const char *text, struct address *ret)
{
	const char *colon;

	*ret = (struct address){ .is_unix = !strncmp(text, "unix:", 5) };
	if (!strncmp(text, "vsock:", 6))
		return parse_u32(text + 6, ':', &ret->cid, &text) && parse_u32(text, 0, &ret->port, &text);
	if (!ret->is_unix)
		return false;
	text += 5;
	colon = strrchr(text, ':');
	if (!colon || colon == text || (size_t)(colon - text) >= sizeof(ret->path) - 12)
		return false;
	memcpy(ret->path, text, (size_t)(colon - text));
	return parse_u32(colon + 1, 0, &ret->port, &text);
}

static int open_socket(const struct address *address)
{
	int fd = socket(address->is_unix ? AF_UNIX : AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static struct sockaddr_un unix_name(const struct address *address, bool of_port)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	if (of_port)
		snprintf(name.sun_path, sizeof(name.sun_path), "%s_%u", address->path, address->port);
	else
		snprintf(name.sun_path, sizeof(name.sun_path), "%s", address->path);
	return name;
}

static struct sockaddr_vm vsock_name(const struct address *address)
{
	return (struct sockaddr_vm){ .svm_family = AF_VSOCK, .svm_cid = address->cid, .svm_port = address->port };
}

int address_listen(const struct address *address)
{
	struct sockaddr_un un = unix_name(address, true);
	struct sockaddr_vm vm = vsock_name(address);
	int fd = open_socket(address), r;

	if (fd < 0)
		return fd;
	address_unlisten(address);
	r = address->is_unix ? bind(fd, (struct sockaddr *)&un, sizeof(un))
			     : bind(fd, (struct sockaddr *)&vm, sizeof(vm));
	if (r < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

void address_unlisten(const struct address *address)
{
	struct sockaddr_un un = unix_name(address, true);

	if (address->is_unix)
		unlink(un.sun_path);
}

int address_connect(const struct address *address)
{
	struct sockaddr_un un = unix_name(address, false);
	struct sockaddr_vm vm = vsock_name(address);
	struct timeval within = { .tv_sec = CONNECT_WITHIN_S };
	int fd = open_socket(address), r;

	if (fd < 0)
		return fd;
	if (address->is_unix) {
		r = connect(fd, (struct sockaddr *)&un, sizeof(un));
	} else {
		setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &within, sizeof(within));
		r = connect(fd, (struct sockaddr *)&vm, sizeof(vm));
	}
	if (r < 0 && errno != EINPROGRESS) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

int address_ask(const struct address *address, int fd, const void *data, size_t bytes)
{
	char line[128];
	size_t length = (size_t)snprintf(line, sizeof(line), "CONNECT %u\n", address->port);

	if (!address->is_unix)
		return 0;
	if (bytes > sizeof(line) - length)
		return -EMSGSIZE;
	memcpy(line + length, data ? data : "", bytes);
	errno = EIO;
	return send(fd, line, length + bytes, MSG_NOSIGNAL) == (ssize_t)(length + bytes) ? 0 : -errno;
}
