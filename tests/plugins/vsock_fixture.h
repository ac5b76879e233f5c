/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A vsock device (plugins/virtio-vsock, linked in) on the fake host, with the test as the guest's driver and as the programs of the
 * host, at real Unix sockets. The protocol's numbers are the system's, from <linux/virtio_vsock.h>, so that the plugin's own are
 * compared with them.
 */
#ifndef TESTS_PLUGINS_VSOCK_FIXTURE_H
#define TESTS_PLUGINS_VSOCK_FIXTURE_H

#include "sdk/check/fakehost.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_vsock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct bp_plugin backplane_plugin;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define HEADER          sizeof(struct virtio_vsock_hdr)
#define RX              0u
#define TX              1u
#define EVENT           2u
#define CID             42u
#define HOST            2u
#define MS              UINT64_C(1000000)
#define LIMIT           (2000 * MS)
#define QUEUE_SIZE      256u
#define FIRST_PORT      1073741824u
#define BUF_ALLOC       262144u /* of the device, and of the guests here */
#define PACKET_BYTES    65536u  /* what a test sends or gets at a time */
#define CHAINS_MAX      65536u

struct vsock_test {
	struct fakehost *host;
	struct fakehost_dev *dev;
	char dir[32];
	char path[48];
	struct fakehost_chain *rx[CHAINS_MAX]; /* buffers in the order in which they were given */
	size_t given, seen;
	uint8_t data[PACKET_BYTES]; /* of the packet that was looked at last */
};

/* What the guest knows of a connection. */
struct peer {
	uint32_t guest_port, host_port;
	uint32_t buf_alloc, fwd_cnt;
};

/* ---- life ---- */

static inline int vsock_setup(void **state)
{
	struct vsock_test *test = calloc(1, sizeof(*test));
	struct rlimit limit;

	assert_non_null(test);
	/* Both ends of more than 1,023 connections are here. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	snprintf(test->dir, sizeof(test->dir), "/tmp/bp-vsock-XXXXXX");
	assert_non_null(mkdtemp(test->dir));
	snprintf(test->path, sizeof(test->path), "%s/v.sock", test->dir);
	assert_int_equal(fakehost_new(4096, &test->host), 0);
	*state = test;
	return 0;
}

/* Every test ends here: no device has broken the contract. */
static inline int vsock_teardown(void **state)
{
	struct vsock_test *test = *state;
	uint32_t breaches = fakehost_breaches(test->host);

	for (uint32_t i = 0; breaches && fakehost_log_line(test->host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(test->host, i, NULL));
	fakehost_free(test->host);
	rmdir(test->dir);
	free(test);
	return breaches ? -1 : 0;
}

/* Running, without a driver. */
static inline void vsock_power(struct vsock_test *test, const char *connections)
{
	const struct fakehost_pair values[] = {
		{ "cid", "42" },
		{ "uds_path", test->path },
		{ "connections", connections },
		{ NULL, NULL },
	};

	assert_int_equal(fakehost_create(test->host, fakehost_class(&backplane_plugin, NULL), "vsock", values,
					 &test->dev),
			 0);
	assert_int_equal(fakehost_start(test->dev), 0);
}

static inline void vsock_drive(struct vsock_test *test)
{
	assert_int_equal(fakehost_activate(test->dev, fakehost_virtio_offer(test->dev, NULL), 3), 0);
}

static inline void vsock_run(struct vsock_test *test)
{
	vsock_power(test, "1023");
	vsock_drive(test);
}

/* Lets the device do all that it can do now. That it comes to an end is what "no busy loop" means: whatever a socket says, it is
 * not told of again and again. How many callbacks of descriptors it took. */
static inline int settle(struct vsock_test *test)
{
	int calls = 0, idle = 0;

	for (int round = 0; idle < 2; round++) {
		int r = fakehost_poll(test->host);

		assert_true(r >= 0);
		assert_true(round < 20000);
		fakehost_advance(test->host, 0);
		calls += r;
		idle = r ? 0 : idle + 1;
	}
	return calls;
}

static inline void pass(struct vsock_test *test, uint64_t ns)
{
	fakehost_advance(test->host, ns);
	settle(test);
}

/* From the start, without a trace of what was. */
static inline void vsock_reset(struct vsock_test *test)
{
	assert_int_equal(fakehost_reset(test->dev), 0);
	test->seen = test->given;
}

static inline uint64_t metric(const struct vsock_test *test, const char *name)
{
	uint64_t value;

	assert_int_equal(fakehost_metric(test->dev, name, &value), 0);
	return value;
}

/* ---- the guest ---- */

/* Buffers of a header and this many bytes behind it, as Linux gives them: in two pieces. */
static inline void give(struct vsock_test *test, size_t count, size_t bytes)
{
	const struct fakehost_piece pieces[] = { { NULL, HEADER }, { NULL, bytes }, { NULL, 0 } };

	for (size_t i = 0; i < count; i++) {
		assert_true(test->given < CHAINS_MAX);
		assert_int_equal(fakehost_chain(test->dev, RX, pieces, &test->rx[test->given]), 0);
		test->given++;
	}
}

/* The next packet of the device: its header, in the order of this machine, and its data in test->data. False if there is none. */
static inline bool next_packet(struct vsock_test *test, struct virtio_vsock_hdr *ret)
{
	struct virtio_vsock_hdr raw;
	struct fakehost_chain *chain;

	/* Buffers that were given back without anything are not packets. */
	while (test->seen < test->given && fakehost_chain_order(test->rx[test->seen]) &&
	       !fakehost_chain_used(test->rx[test->seen]))
		test->seen++;
	if (test->seen == test->given || !fakehost_chain_order(test->rx[test->seen]))
		return false;
	chain = test->rx[test->seen++];
	assert_true(fakehost_chain_used(chain) >= HEADER);
	assert_int_equal(fakehost_chain_get(chain, 0, &raw, HEADER), HEADER);
	*ret = (struct virtio_vsock_hdr){
		.src_cid = le64toh(raw.src_cid),
		.dst_cid = le64toh(raw.dst_cid),
		.src_port = le32toh(raw.src_port),
		.dst_port = le32toh(raw.dst_port),
		.len = le32toh(raw.len),
		.type = le16toh(raw.type),
		.op = le16toh(raw.op),
		.flags = le32toh(raw.flags),
		.buf_alloc = le32toh(raw.buf_alloc),
		.fwd_cnt = le32toh(raw.fwd_cnt),
	};
	assert_int_equal(fakehost_chain_used(chain), HEADER + ret->len);
	assert_true(ret->len <= PACKET_BYTES);
	assert_int_equal(fakehost_chain_get(chain, HEADER, test->data, ret->len), ret->len);
	return true;
}

/* The next packet is this, and addressed as 5.10.6.4 wants it. */
static inline struct virtio_vsock_hdr gets(struct vsock_test *test, uint16_t op)
{
	struct virtio_vsock_hdr header = { 0 };

	assert_true(next_packet(test, &header));
	assert_int_equal(header.op, op);
	assert_int_equal(header.src_cid, HOST);
	assert_int_equal(header.dst_cid, CID);
	assert_int_equal(header.type, VIRTIO_VSOCK_TYPE_STREAM);
	if (op != VIRTIO_VSOCK_OP_RW)
		assert_int_equal(header.len, 0);
	if (op != VIRTIO_VSOCK_OP_SHUTDOWN)
		assert_int_equal(header.flags, 0);
	if (op != VIRTIO_VSOCK_OP_RST)
		assert_int_equal(header.buf_alloc, BUF_ALLOC);
	return header;
}

/* The same of this connection. */
static inline struct virtio_vsock_hdr gets_of(struct vsock_test *test, const struct peer *peer, uint16_t op)
{
	struct virtio_vsock_hdr header = gets(test, op);

	assert_int_equal(header.src_port, peer->host_port);
	assert_int_equal(header.dst_port, peer->guest_port);
	return header;
}

static inline void gets_nothing(struct vsock_test *test)
{
	struct virtio_vsock_hdr header = { 0 };

	assert_false(next_packet(test, &header));
}

/* Buffers come, and there is nothing for them; they stay. */
static inline void gets_nothing_more(struct vsock_test *test)
{
	give(test, 1, 64);
	settle(test);
	gets_nothing(test);
}

/* A packet as it is, in little endian, and its data. The chain, which the device may keep for a while. */
static inline struct fakehost_chain *send_raw(struct vsock_test *test, const struct virtio_vsock_hdr *header,
					      const void *data, size_t bytes)
{
	const struct fakehost_piece pieces[] = { { header, HEADER }, { data, bytes }, { NULL, 0 } };
	struct fakehost_chain *chain;

	assert_int_equal(fakehost_chain(test->dev, TX, pieces, &chain), 0);
	return chain;
}

static inline struct virtio_vsock_hdr make_header(const struct peer *peer, uint16_t op, uint32_t len, uint32_t flags)
{
	return (struct virtio_vsock_hdr){
		.src_cid = htole64(CID),
		.dst_cid = htole64(HOST),
		.src_port = htole32(peer->guest_port),
		.dst_port = htole32(peer->host_port),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.flags = htole32(flags),
		.buf_alloc = htole32(peer->buf_alloc),
		.fwd_cnt = htole32(peer->fwd_cnt),
	};
}

/* A good packet, which the device has dealt with on return. */
static inline void sends(struct vsock_test *test, const struct peer *peer, uint16_t op)
{
	struct virtio_vsock_hdr header = make_header(peer, op, 0, 0);

	assert_int_not_equal(fakehost_chain_order(send_raw(test, &header, NULL, 0)), 0);
	settle(test);
}

static inline void sends_shutdown(struct vsock_test *test, const struct peer *peer, uint32_t flags)
{
	struct virtio_vsock_hdr header = make_header(peer, VIRTIO_VSOCK_OP_SHUTDOWN, 0, flags);

	assert_int_not_equal(fakehost_chain_order(send_raw(test, &header, NULL, 0)), 0);
	settle(test);
}

static inline void sends_data(struct vsock_test *test, const struct peer *peer, const void *data, size_t bytes)
{
	struct virtio_vsock_hdr header = make_header(peer, VIRTIO_VSOCK_OP_RW, (uint32_t)bytes, 0);

	assert_int_not_equal(fakehost_chain_order(send_raw(test, &header, data, bytes)), 0);
	settle(test);
}

static inline void sends_text(struct vsock_test *test, const struct peer *peer, const char *text)
{
	sends_data(test, peer, text, strlen(text));
}

/* The next packets have this data. */
static inline void gets_text(struct vsock_test *test, struct peer *peer, const char *text)
{
	while (*text) {
		struct virtio_vsock_hdr header = gets_of(test, peer, VIRTIO_VSOCK_OP_RW);

		assert_true(header.len && header.len <= strlen(text));
		assert_memory_equal(test->data, text, header.len);
		peer->fwd_cnt += header.len;
		text += header.len;
	}
}

/* ---- programs of the host ---- */

static inline int dial(const struct vsock_test *test)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* That is what is there, and no more. */
static inline void hears(int fd, const char *text)
{
	char buf[4096];
	ssize_t n = recv(fd, buf, sizeof(buf), 0);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static inline void hears_nothing(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

static inline void hears_end(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), 0);
}

/* The other side has closed, and had not read everything. */
static inline void hears_reset(int fd)
{
	char c;

	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Nobody would read it. */
static inline void cannot_say(int fd)
{
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
}

/* ---- connections ---- */

/* A program of the host asks for a port of the guest, which has a buffer for that. */
static inline int ask_guest(struct vsock_test *test, uint32_t port, struct peer *ret)
{
	int fd = dial(test);
	struct virtio_vsock_hdr header = { 0 };
	char line[32];

	snprintf(line, sizeof(line), "CONNECT %" PRIu32 "\n", port);
	say(fd, line);
	give(test, 1, 64);
	settle(test);
	header = gets(test, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(header.dst_port, port);
	*ret = (struct peer){ .guest_port = port, .host_port = header.src_port, .buf_alloc = BUF_ALLOC };
	return fd;
}

/* And is let in. The program's end. */
static inline int open_to_guest(struct vsock_test *test, uint32_t port, struct peer *ret)
{
	int fd = ask_guest(test, port, ret);
	char line[32];

	sends(test, ret, VIRTIO_VSOCK_OP_RESPONSE);
	snprintf(line, sizeof(line), "OK %" PRIu32 "\n", ret->host_port);
	hears(fd, line);
	return fd;
}

/* The next that the device wants to reach is this, and is there: the other end. */
static inline int let_in(struct vsock_test *test, uint32_t port)
{
	const char *name;
	uint32_t index, number;
	int fds[2];

	assert_int_equal(fakehost_connect_look(test->dev, &name, &index, &number), 0);
	assert_string_equal(name, "uds_path");
	assert_int_equal(index, 0);
	assert_int_equal(number, port);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fakehost_connect_answer(test->dev, fds[0]), 0);
	settle(test);
	return fds[1];
}

/* A program of the guest reaches one of the host; the other's end. */
static inline int open_to_host(struct vsock_test *test, uint32_t guest_port, uint32_t host_port, struct peer *ret)
{
	int fd;

	*ret = (struct peer){ .guest_port = guest_port, .host_port = host_port, .buf_alloc = BUF_ALLOC };
	sends(test, ret, VIRTIO_VSOCK_OP_REQUEST);
	fd = let_in(test, host_port);
	give(test, 1, 64);
	settle(test);
	gets_of(test, ret, VIRTIO_VSOCK_OP_RESPONSE);
	return fd;
}

/* Byte `at` of what is sent to see whether it arrives. */
static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + at / 251 + at / 65521);
}

#define VSOCK_TEST(name) cmocka_unit_test_setup_teardown(name, vsock_setup, vsock_teardown)

#endif
