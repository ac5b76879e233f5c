/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network card (plugins/virtio-net, linked in) on the fake host, with the test as the guest and as the other end of its network. The
 * protocol's numbers are the system's, from <linux/virtio_net.h>, so that the plugin's own are compared with them.
 *
 * The plugin's system calls go through here: they are counted, a tap's ioctls are answered (the other end of a tap is a socket, which has none),
 * and a test can make them fail or look over their shoulder.
 */
#ifndef TESTS_UNIT_NET_FIXTURE_H
#define TESTS_UNIT_NET_FIXTURE_H

#include "sdk/check/fakehost.h"

#include <endian.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

extern const struct bp_plugin backplane_plugin;

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BIT(n)          (UINT64_C(1) << (n))
#define HEADER          sizeof(struct virtio_net_hdr_v1)
#define ETHER           14u
#define LONGEST         65550u /* of the frames here */
#define MAC_TEXT        "52:54:00:12:34:56"
#define RX(pair)        (2u * (pair))
#define TX(pair)        (2u * (pair) + 1)
#define PAIRS_MAX       16u

/* What Linux's driver takes, as far as it is offered. */
#define LINUX_FEATURES                                                                                                 \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |               \
	 BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |                     \
	 BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_STATUS) |                         \
	 BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ))

static const uint8_t own_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
static const uint8_t other_mac[6] = { 0x52, 0x54, 0x00, 0x65, 0x43, 0x21 };

/* ---- the plugin's system calls ---- */

static struct {
	uint32_t readv, writev, sendmsg, recv, ioctl; /* how often */
	int ioctl_error;                              /* what the next ones give, or 0 */
	int error_at;                                 /* only the ones of this request (TUNSETQUEUE ...), if not 0 */
	int writev_error, readv_error, accept_error, send_error;
	size_t send_most;       /* what a send takes at most; 0: all */
	unsigned long offloads; /* what the tap has been told last */
	int detached[PAIRS_MAX * 2];
	uint32_t detached_count;
	void (*before_write)(const struct iovec *iov, int count); /* the header has been checked by now */
} calls;

ssize_t __real_readv(int fd, const struct iovec *iov, int count);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int count);
ssize_t __real_writev(int fd, const struct iovec *iov, int count);
ssize_t __wrap_writev(int fd, const struct iovec *iov, int count);
ssize_t __real_recv(int fd, void *buf, size_t bytes, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t bytes, int flags);
ssize_t __real_send(int fd, const void *buf, size_t bytes, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t bytes, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags);
int __wrap_ioctl(int fd, unsigned long request, ...);

static inline int fails(int error)
{
	errno = error;
	return -1;
}

ssize_t __wrap_readv(int fd, const struct iovec *iov, int count)
{
	calls.readv++;
	return calls.readv_error ? fails(calls.readv_error) : __real_readv(fd, iov, count);
}

ssize_t __wrap_writev(int fd, const struct iovec *iov, int count)
{
	calls.writev++;
	if (calls.writev_error)
		return fails(calls.writev_error);
	if (calls.before_write)
		calls.before_write(iov, count);
	return __real_writev(fd, iov, count);
}

ssize_t __wrap_recv(int fd, void *buf, size_t bytes, int flags)
{
	calls.recv++;
	return __real_recv(fd, buf, bytes, flags);
}

ssize_t __wrap_send(int fd, const void *buf, size_t bytes, int flags)
{
	if (calls.send_error)
		return fails(calls.send_error);
	if (calls.send_most && calls.send_most < bytes)
		bytes = calls.send_most;
	return __real_send(fd, buf, bytes, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct iovec cut[64];
	struct msghdr shorter = *message;
	size_t left = calls.send_most;

	calls.sendmsg++;
	if (calls.send_error)
		return fails(calls.send_error);
	if (!left || message->msg_iovlen > COUNT_OF(cut))
		return __real_sendmsg(fd, message, flags);
	memcpy(cut, message->msg_iov, message->msg_iovlen * sizeof(cut[0]));
	shorter.msg_iov = cut;
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		if (cut[i].iov_len > left)
			cut[i].iov_len = left;
		left -= cut[i].iov_len;
	}
	return __real_sendmsg(fd, &shorter, flags);
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags)
{
	return calls.accept_error ? fails(calls.accept_error) : __real_accept4(fd, address, bytes, flags);
}

static inline int detached_at(int fd)
{
	for (uint32_t i = 0; i < calls.detached_count; i++)
		if (calls.detached[i] == fd)
			return (int)i;
	return -1;
}

/* As a tap does. */
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	unsigned long arg;
	int at = detached_at(fd);

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	calls.ioctl++;
	if (calls.ioctl_error && (!calls.error_at || (unsigned int)calls.error_at == request))
		return fails(calls.ioctl_error);
	if (request == TUNSETOFFLOAD) {
		/* What else there is is of no use without checksums. */
		if ((arg & ~(unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) ||
		    (arg && !(arg & TUN_F_CSUM)))
			return fails(EINVAL);
		calls.offloads = arg;
		return 0;
	}
	assert_int_equal(request, TUNSETQUEUE);
	if (((const struct ifreq *)arg)->ifr_flags == IFF_DETACH_QUEUE) {
		if (at >= 0)
			return fails(EINVAL);
		assert_true(calls.detached_count < COUNT_OF(calls.detached));
		calls.detached[calls.detached_count++] = fd;
		return 0;
	}
	assert_int_equal(((const struct ifreq *)arg)->ifr_flags, IFF_ATTACH_QUEUE);
	if (at < 0)
		return fails(EINVAL);
	calls.detached[at] = calls.detached[--calls.detached_count];
	return 0;
}

/* ---- the card ---- */

struct card {
	struct fakehost *host;
	struct fakehost_dev *dev;
	uint64_t features; /* that the driver has taken */
	uint8_t got[HEADER + LONGEST + 64];
	uint8_t frame[LONGEST + 64];
};

static inline int card_create(struct card *card, const char *id, const char *network,
			      const struct fakehost_pair *values, struct fakehost_dev **ret)
{
	struct fakehost_pair all[16] = { { "network", network } };

	for (size_t i = 0; values && values[i].name; i++)
		all[i + 1] = values[i];
	return fakehost_create(card->host, fakehost_class(&backplane_plugin, "virtio-net"), id, all, ret);
}

static inline uint64_t offered(const struct card *card)
{
	return fakehost_virtio_offer(card->dev, NULL);
}

/* One whose address is own_mac, unless `values` say otherwise. */
static inline void card_open(struct card *card, const char *network, const struct fakehost_pair *values)
{
	struct fakehost_pair all[16] = { { "mac", MAC_TEXT } };

	for (size_t i = 0; values && values[i].name; i++)
		all[i + 1] = values[i];
	assert_int_equal(card_create(card, "net0", network, all, &card->dev), 0);
	assert_int_equal(fakehost_start(card->dev), 0);
}

static inline void card_close(struct card *card)
{
	fakehost_destroy(card->dev);
	calls.detached_count = 0;
}

/* The driver comes and takes all but some features. */
static inline void card_drive(struct card *card, uint64_t without)
{
	uint32_t queues;

	fakehost_virtio_offer(card->dev, &queues);
	card->features = offered(card) & LINUX_FEATURES & ~without;
	assert_int_equal(fakehost_activate(card->dev, card->features, queues), 0);
}

static inline void card_run(struct card *card, const char *network, const struct fakehost_pair *values,
			    uint64_t without)
{
	card_open(card, network, values);
	card_drive(card, without);
}

/* Until nothing happens any more, or as often as a busy loop would. */
static inline uint32_t settle(struct card *card)
{
	uint32_t turns = 0;

	while (fakehost_poll(card->host) > 0)
		assert_true(++turns < 10000);
	return turns;
}

static inline uint64_t metric(const struct card *card, const char *name)
{
	uint64_t value;

	assert_int_equal(fakehost_metric(card->dev, name, &value), 0);
	return value;
}

static inline bool link_is_up(const struct card *card)
{
	uint16_t status;

	assert_int_equal(fakehost_config_read(card->dev, 6, &status, sizeof(status)), 0);
	assert_true((le16toh(status) & ~VIRTIO_NET_S_LINK_UP) == 0);
	return le16toh(status) & VIRTIO_NET_S_LINK_UP;
}

static inline int far_end(const struct card *card, uint32_t pair)
{
	int fd = fakehost_network(card->dev, "network", pair);

	assert_true(fd >= 0);
	return fd;
}

static inline int card_setup(void **state)
{
	struct card *card = calloc(1, sizeof(*card));

	assert_non_null(card);
	assert_int_equal(fakehost_new(4096, &card->host), 0);
	memset(&calls, 0, sizeof(calls));
	*state = card;
	return 0;
}

/* Every test ends here: no device has broken the contract. */
static inline int card_teardown(void **state)
{
	struct card *card = *state;
	uint32_t breaches = fakehost_breaches(card->host);

	for (uint32_t i = 0; breaches && fakehost_log_line(card->host, i, NULL); i++)
		print_error("%s\n", fakehost_log_line(card->host, i, NULL));
	fakehost_free(card->host);
	free(card);
	return breaches ? -1 : 0;
}

#define NET_TEST(name) cmocka_unit_test_setup_teardown(name, card_setup, card_teardown)

/* ---- frames ---- */

static inline uint8_t pattern(uint32_t seed, size_t at)
{
	return (uint8_t)(seed * 31 + at * 7 + at / 256 * 3 + 1);
}

/* A frame from own_mac to other_mac, with a pattern of its own. In card->frame. */
static inline uint8_t *frame_make(struct card *card, uint32_t seed, size_t bytes)
{
	assert_true(bytes <= sizeof(card->frame));
	for (size_t i = 0; i < bytes; i++)
		card->frame[i] = pattern(seed, i);
	if (bytes >= ETHER) {
		memcpy(card->frame, other_mac, 6);
		memcpy(card->frame + 6, own_mac, 6);
		card->frame[12] = 0x08;
		card->frame[13] = 0x00;
	}
	return card->frame;
}

static inline void assert_frame(struct card *card, uint32_t seed, const uint8_t *frame, size_t bytes)
{
	frame_make(card, seed, bytes);
	assert_memory_equal(frame, card->frame, bytes);
}

/* ---- the guest ---- */

static const struct virtio_net_hdr_v1 no_header;

/* The guest sends what lies in these bytes: a header and a frame, in pieces of at most `piece` bytes (0: two, as Linux does). */
static inline struct fakehost_chain *send_bytes(struct card *card, uint32_t queue, const uint8_t *bytes, size_t count,
						size_t piece)
{
	struct fakehost_piece pieces[257] = { { NULL, 0 } };
	struct fakehost_chain *chain;
	size_t used = 0;

	for (size_t at = 0; at < count; used++) {
		size_t part = piece ? piece : at ? count : HEADER + 54;

		if (part > count - at || used == 255)
			part = count - at;
		pieces[used] = (struct fakehost_piece){ bytes + at, part };
		at += part;
	}
	assert_int_equal(fakehost_chain(card->dev, queue, pieces, &chain), 0);
	return chain;
}

static inline struct fakehost_chain *send_headed(struct card *card, uint32_t queue,
						 const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
						 size_t bytes)
{
	uint8_t *both = malloc(HEADER + bytes);
	struct fakehost_chain *chain;

	assert_non_null(both);
	memcpy(both, header, HEADER);
	memcpy(both + HEADER, frame, bytes);
	chain = send_bytes(card, queue, both, HEADER + bytes, 0);
	free(both);
	return chain;
}

/* A frame of a pattern. */
static inline struct fakehost_chain *send_frame(struct card *card, uint32_t queue, uint32_t seed, size_t bytes)
{
	return send_headed(card, queue, &no_header, frame_make(card, seed, bytes), bytes);
}

/* A buffer to receive into, in pieces of at most `piece` bytes; 0: one. */
static inline struct fakehost_chain *give(struct card *card, uint32_t queue, size_t bytes, size_t piece)
{
	struct fakehost_piece pieces[257] = { { NULL, 0 } };
	struct fakehost_chain *chain;
	size_t used = 0;

	for (size_t left = bytes; left; used++) {
		size_t part = piece && piece < left && used < 255 ? piece : left;

		pieces[used] = (struct fakehost_piece){ NULL, part };
		left -= part;
	}
	assert_int_equal(fakehost_chain(card->dev, queue, pieces, &chain), 0);
	return chain;
}

static inline void assert_pending(const struct fakehost_chain *chain)
{
	assert_int_equal(fakehost_chain_order(chain), 0);
}

/* Sent or not, it has come back, and nothing was written to it. */
static inline void assert_done(const struct fakehost_chain *chain)
{
	assert_int_not_equal(fakehost_chain_order(chain), 0);
	assert_int_equal(fakehost_chain_used(chain), 0);
}

/* A frame has come in these buffers, all of them and in order; its header in *ret_header unless NULL. The frame is in card->got behind
 * the header. */
static inline size_t take_frame(struct card *card, struct fakehost_chain *const *chains, uint32_t count,
				struct virtio_net_hdr_v1 *ret_header)
{
	struct virtio_net_hdr_v1 header;
	size_t total = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t used = fakehost_chain_used(chains[i]);

		assert_int_not_equal(fakehost_chain_order(chains[i]), 0);
		assert_true(!i || fakehost_chain_order(chains[i]) == fakehost_chain_order(chains[i - 1]) + 1);
		assert_true(total + used <= sizeof(card->got));
		assert_int_equal(fakehost_chain_get(chains[i], 0, card->got + total, used), used);
		total += used;
	}
	assert_true(total >= HEADER);
	memcpy(&header, card->got, HEADER);
	assert_int_equal(le16toh(header.num_buffers), count);
	if (ret_header)
		*ret_header = header;
	return total - HEADER;
}

/* ... and it is that frame. */
static inline void assert_received(struct card *card, struct fakehost_chain *const *chains, uint32_t count,
				   uint32_t seed, size_t bytes)
{
	assert_int_equal(take_frame(card, chains, count, NULL), bytes);
	assert_frame(card, seed, card->got + HEADER, bytes);
}

/* ---- the other end of a tap ---- */

/* What the card has sent: header and frame, in card->got. The frame's bytes, or -1 for none. */
static inline ssize_t far_get(struct card *card, uint32_t pair)
{
	ssize_t got = __real_recv(far_end(card, pair), card->got, sizeof(card->got), MSG_DONTWAIT);

	if (got < 0) {
		assert_int_equal(errno, EAGAIN);
		return -1;
	}
	assert_true((size_t)got >= HEADER);
	return got - (ssize_t)HEADER;
}

static inline void assert_sent(struct card *card, uint32_t pair, uint32_t seed, size_t bytes)
{
	assert_int_equal(far_get(card, pair), bytes);
	assert_frame(card, seed, card->got + HEADER, bytes);
}

static inline void assert_nothing_sent(struct card *card, uint32_t pair)
{
	assert_int_equal(far_get(card, pair), -1);
}

static inline void far_put_headed(struct card *card, uint32_t pair, const struct virtio_net_hdr_v1 *header,
				  const uint8_t *frame, size_t bytes)
{
	struct iovec iov[] = { { (void *)(uintptr_t)header, HEADER }, { (void *)(uintptr_t)frame, bytes } };

	assert_int_equal(__real_writev(far_end(card, pair), iov, 2), HEADER + bytes);
}

static inline void far_put(struct card *card, uint32_t pair, uint32_t seed, size_t bytes)
{
	far_put_headed(card, pair, &no_header, frame_make(card, seed, bytes), bytes);
}

#endif
