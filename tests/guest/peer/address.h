/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a peer of the vsock tests connects to, or is connected to:
 *   vsock:CID:PORT   a socket of the family AF_VSOCK; 4294967295 is any CID
 *   unix:PATH:PORT   what virtio-vsock makes of it on the host: the Unix socket PATH, with a CONNECT line for that port; who is
 *                    connected to listens at PATH_PORT
 */
#ifndef TESTS_GUEST_PEER_ADDRESS_H
#define TESTS_GUEST_PEER_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	bool is_unix;
	uint32_t cid;
	uint32_t port;
	char path[100];
};

/* False if it is none. */
bool address_parse(const char *text, struct address *ret);

/* A listening, non-blocking socket, or -errno. What is left of another one at that path is removed. */
int address_listen(const struct address *address);

/* Removes what address_listen() has made in the file system. */
void address_unlisten(const struct address *address);

/* A non-blocking socket that connects: writable once it has. -errno; -EAGAIN: later. */
int address_connect(const struct address *address);

/* Writes the line that a Unix socket expects first, and `data` with it; nothing to others. 0 or -errno. */
int address_ask(const struct address *address, int fd, const void *data, size_t bytes);

#endif
