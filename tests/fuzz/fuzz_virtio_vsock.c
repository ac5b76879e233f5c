/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzz target: a vsock device on the fake host, between a guest that sends what it likes and programs of the host that do as well. The input
 * is a list of steps: packets, of which most fields are likely to fit and each may be anything; buffers, of any pieces; events; programs that come,
 * say lines or nonsense, send, take, end a half or the whole; answers to those that the guest wants; time; resets.
 *
 * Whatever happens, what the device says is a packet to its guest, no longer than the buffer; there are never more connections than
 * allowed; the device comes to rest, is never broken, and keeps the contract.
 *
 * Linked in: plugins/virtio-vsock sdk/check
 */
#include "sdk/check/fakehost.h"

#include <endian.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CID        42u
#define CONNS      6u
#define PORTS      4u  /* of the guest, and of the host's programs */
#define LOCALS     16u /* of those that come, from PORT_FIRST on */
#define PORT_FIRST UINT32_C(0x40000000)
#define CLIENTS    12u
#define BUFFERS    512u
#define MS         UINT64_C(1000000)
#define HEADER     sizeof(struct virtio_vsock_hdr)
#define RX         0u
#define TX         1u
#define EVENT      2u

extern const struct bp_plugin backplane_plugin;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	const uint8_t *data;
	size_t size;
	struct fakehost *host;
	struct fakehost_dev *dev;
	char path[64];
	int clients[CLIENTS];
	uint32_t client_count;
	struct fakehost_chain *buffers[BUFFERS];
	uint64_t buffer_bytes[BUFFERS];
	uint32_t given, seen;
	uint32_t sent[PORTS][PORTS + LOCALS]; /* bytes to the guest, by the ports of a connection */
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t next(struct fuzz *fuzz)
{
	if (!fuzz->size)
		return 0;
	fuzz->size--;
	return *fuzz->data++;
}

static uint32_t next32(struct fuzz *fuzz)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value << 8 | next(fuzz);
	return value;
}

static uint32_t host_port(uint32_t index)
{
	return index < PORTS ? index : PORT_FIRST + index - PORTS;
}

/* ---- what must always be so ---- */

static void check_packet(struct fuzz *fuzz, const struct virtio_vsock_hdr *header, uint64_t used)
{
	uint32_t port = le32toh(header->dst_port), host = le32toh(header->src_port);
	uint16_t op = le16toh(header->op);
	uint32_t len = le32toh(header->len);

	check(le64toh(header->dst_cid) == CID && used == HEADER + len);
	check(op >= VIRTIO_VSOCK_OP_REQUEST && op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	check((len > 0) == (op == VIRTIO_VSOCK_OP_RW));
	check(op != VIRTIO_VSOCK_OP_REQUEST || host >= PORT_FIRST);
	if (port < PORTS && (host < PORTS || host - PORT_FIRST < LOCALS)) {
		uint32_t *sent = &fuzz->sent[port][host < PORTS ? host : host - PORT_FIRST + PORTS];

		if (op == VIRTIO_VSOCK_OP_REQUEST || op == VIRTIO_VSOCK_OP_RESPONSE)
			*sent = 0;
		*sent += len;
	}
}

static void check_buffers(struct fuzz *fuzz)
{
	while (fuzz->seen < fuzz->given && fakehost_chain_order(fuzz->buffers[fuzz->seen])) {
		const struct fakehost_chain *chain = fuzz->buffers[fuzz->seen];
		uint64_t used = fakehost_chain_used(chain);
		struct virtio_vsock_hdr header = { 0 };

		check(used <= fuzz->buffer_bytes[fuzz->seen++]);
		if (!used)
			continue;
		check(used >= HEADER && fakehost_chain_get(chain, 0, &header, HEADER) == HEADER);
		check_packet(fuzz, &header, used);
	}
}

static void settle(struct fuzz *fuzz)
{
	uint64_t open = 0;
	int rounds = 0;

	/* No more than each connection has to do; a device that is told again and again of the same does not get there. */
	for (int idle = 0; idle < 2; rounds++) {
		idle = fakehost_poll(fuzz->host) ? 0 : idle + 1;
		fakehost_advance(fuzz->host, 0);
		check(rounds < 2000);
	}
	check_buffers(fuzz);
	check(!fakehost_metric(fuzz->dev, "connections_open", &open) && open <= CONNS);
	check(!fakehost_is_broken(fuzz->dev));
}

/* ---- the guest ---- */

static void packet(struct fuzz *fuzz)
{
	static const uint8_t zeroes[66000];
	uint8_t odd = next(fuzz), where = next(fuzz), op = next(fuzz);
	uint32_t guest = where % PORTS, index = where / PORTS % (PORTS + LOCALS);
	size_t bytes = (op & 8 ? 256u : 1u) * next(fuzz);
	uint32_t len = op % 8 == VIRTIO_VSOCK_OP_RW ? (uint32_t)bytes : 0;
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(odd & 1 && next(fuzz) & 1 ? next32(fuzz) : CID),
		.dst_cid = htole64(odd & 1 && next(fuzz) & 1 ? (uint64_t)next32(fuzz) << 32 | next32(fuzz) : 2),
		.src_port = htole32(guest),
		.dst_port = htole32(host_port(index)),
		.len = htole32(odd & 2 ? next32(fuzz) : len),
		.type = htole16(odd & 4 ? next(fuzz) : VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(odd & 8 ? next(fuzz) : op % 8),
		.flags = htole32(odd & 16 ? next32(fuzz) : (uint32_t)op >> 4),
	};
	struct fakehost_piece pieces[4] = { { &header, HEADER }, { zeroes, bytes }, { NULL, 0 } };

	/* A connection begins from nothing. */
	if (op % 8 == VIRTIO_VSOCK_OP_REQUEST || op % 8 == VIRTIO_VSOCK_OP_RESPONSE)
		fuzz->sent[guest][index] = 0;
	header.buf_alloc = htole32(odd & 32 ? next32(fuzz) : 262144);
	header.fwd_cnt = htole32(odd & 64 ? next32(fuzz) : fuzz->sent[guest][index]);
	/* Cut, or in other pieces. */
	if (odd & 128) {
		size_t cut = next(fuzz) % HEADER;

		pieces[0].count = cut ? cut : 1;
		if (next(fuzz) & 1) {
			pieces[1] = (struct fakehost_piece){ (const uint8_t *)&header + pieces[0].count,
							     HEADER - pieces[0].count };
			pieces[2] = (struct fakehost_piece){ zeroes, bytes };
		}
	}
	fakehost_chain(fuzz->dev, TX, pieces, NULL);
}

static void buffers(struct fuzz *fuzz)
{
	static const size_t sizes[] = { 1, 20, 44, 45, 64, 300, 4096, 70000 };
	uint8_t how = next(fuzz), count = next(fuzz) % 16;

	for (uint8_t i = 0; i < count && fuzz->given < BUFFERS; i++) {
		struct fakehost_piece pieces[4] = { { NULL, sizes[how & 7] }, { NULL, 0 } };

		if (how & 8)
			pieces[1].count = sizes[how >> 4 & 7];
		if (how & 128)
			pieces[pieces[1].count ? 2 : 1].count = 1 + next(fuzz) % 64u;
		fuzz->buffer_bytes[fuzz->given] = pieces[0].count + pieces[1].count + pieces[2].count;
		if (!fakehost_chain(fuzz->dev, RX, pieces, &fuzz->buffers[fuzz->given]))
			fuzz->given++;
	}
}

static void event_buffer(struct fuzz *fuzz)
{
	const struct fakehost_piece pieces[] = { { NULL, 1u + next(fuzz) % 8u }, { NULL, 0 } };

	fakehost_chain(fuzz->dev, EVENT, pieces, NULL);
}

static void reset(struct fuzz *fuzz)
{
	check(fakehost_reset(fuzz->dev) == 0);
	check(fakehost_activate(fuzz->dev, fakehost_virtio_offer(fuzz->dev, NULL), 3) == 0);
	fuzz->seen = fuzz->given;
}

/* ---- the host ---- */

static void dial(struct fuzz *fuzz)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint8_t how = next(fuzz);
	char line[64];
	int fd, count;

	if (fuzz->client_count == CLIENTS)
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	memcpy(address.sun_path, fuzz->path, sizeof(fuzz->path));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return;
	}
	fuzz->clients[fuzz->client_count++] = fd;
	if (how & 64) {
		size_t bytes = next(fuzz) % 40u;

		bytes = bytes < fuzz->size ? bytes : fuzz->size;
		check(send(fd, fuzz->data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
		fuzz->data += bytes;
		fuzz->size -= bytes;
		return;
	}
	count = snprintf(line, sizeof(line), "CONNECT %u\n%s", how % PORTS, how & 32 ? "and more" : "");
	check(send(fd, line, (size_t)count, MSG_NOSIGNAL) == count);
}

static void client(struct fuzz *fuzz)
{
	static uint8_t bytes[65536];
	uint8_t how = next(fuzz);
	uint32_t which = fuzz->client_count ? (how >> 4) % fuzz->client_count : 0;
	int fd = fuzz->clients[which];

	if (!fuzz->client_count)
		return;
	switch (how % 8) {
	case 0:
		shutdown(fd, SHUT_WR);
		break;
	case 1:
		shutdown(fd, SHUT_RD);
		break;
	case 2:
		close(fd);
		fuzz->clients[which] = fuzz->clients[--fuzz->client_count];
		break;
	case 3:
	case 4:
		(void)!recv(fd, bytes, how & 8 ? sizeof(bytes) : 1u + next(fuzz), 0);
		break;
	default:
		(void)!send(fd, bytes, how & 8 ? sizeof(bytes) : 1u + next(fuzz), MSG_NOSIGNAL);
		break;
	}
}

static void answer(struct fuzz *fuzz)
{
	static const int errors[] = { -EAGAIN, -ENOENT, -ECONNREFUSED, -EACCES };
	uint8_t how = next(fuzz);
	int fds[2];

	if (how & 1) {
		fakehost_connect_answer(fuzz->dev, errors[how >> 1 & 3]);
		return;
	}
	if (!fakehost_connects(fuzz->dev) || fuzz->client_count == CLIENTS)
		return;
	check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	if (how & 2)
		check(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){ 1 }, sizeof(int)) == 0);
	check(fakehost_connect_answer(fuzz->dev, fds[0]) == 0);
	fuzz->clients[fuzz->client_count++] = fds[1];
}

/* ---- all of it ---- */

static void step(struct fuzz *fuzz)
{
	uint8_t what = next(fuzz);

	switch (what % 16) {
	case 0:
		dial(fuzz);
		break;
	case 1:
	case 2:
	case 3:
		client(fuzz);
		break;
	case 4:
		answer(fuzz);
		break;
	case 5:
	case 6:
		buffers(fuzz);
		break;
	case 7:
		fakehost_advance(fuzz->host, (uint64_t)(what >> 4) * 200 * MS);
		break;
	case 8:
		event_buffer(fuzz);
		break;
	case 9:
		if (what >> 4 == 0)
			reset(fuzz);
		break;
	default:
		packet(fuzz);
		break;
	}
	/* Not always: things may happen at the same time. */
	if (!(what & 128))
		settle(fuzz);
}

static void make(struct fuzz *fuzz)
{
	char connections[16];
	const struct fakehost_pair values[] = {
		{ "cid", "42" },
		{ "uds_path", fuzz->path },
		{ "connections", connections },
		{ NULL, NULL },
	};

	snprintf(connections, sizeof(connections), "%u", CONNS);
	snprintf(fuzz->path, sizeof(fuzz->path), "/tmp/bp-fuzz-vsock-%d", (int)getpid());
	unlink(fuzz->path);
	check(fakehost_new(4096, &fuzz->host) == 0);
	check(fakehost_create(fuzz->host, fakehost_class(&backplane_plugin, NULL), "v", values, &fuzz->dev) == 0);
	check(fakehost_start(fuzz->dev) == 0);
	check(fakehost_activate(fuzz->dev, fakehost_virtio_offer(fuzz->dev, NULL), 3) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));

	check(fuzz != NULL);
	fuzz->data = data;
	fuzz->size = size;
	make(fuzz);
	while (fuzz->size)
		step(fuzz);
	settle(fuzz);
	fakehost_advance(fuzz->host, 10000 * MS);
	settle(fuzz);
	check(fakehost_breaches(fuzz->host) == 0);
	fakehost_destroy(fuzz->dev);
	check(fakehost_breaches(fuzz->host) == 0);
	fakehost_free(fuzz->host);
	while (fuzz->client_count)
		close(fuzz->clients[--fuzz->client_count]);
	free(fuzz);
	return 0;
}
