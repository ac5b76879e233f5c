/* SPDX-License-Identifier: BSD-3-Clause */
/* A network interface from its other side, and segments of TCP whose checksum is still to be made; for tests in a namespace of their own. */
#ifndef TESTS_UNIT_NET_PACKET_H
#define TESTS_UNIT_NET_PACKET_H

#include "core/base/fd.h"
#include "tests/payload/uplink.h"
#include "tests/unit/net_nic.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>

/* ---- the interface ---- */

static inline void interface_flags(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	FD_AUTO int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	MUST(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
}

/* Frames of and for the interface, behind headers without num_buffers. It says nothing of its own: no IPv6. */
static inline int packet_socket(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_IP),
				       .sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP));
	int one = 1, room = 8 << 20;

	MUST(fd >= 0 && address.sll_ifindex > 0);
	MUST(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) == 0);
	MUST(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) == 0);
	MUST(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static inline int delete_interface(const char *name)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = { .nlmsg_len = sizeof(request), .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST },
		.info = { .ifi_index = (int)if_nametoindex(name) },
	};
	FD_AUTO int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd >= 0 && send(fd, &request, sizeof(request), 0) == sizeof(request) ? 0 : -1;
}

/* ---- frames ---- */

static inline uint16_t sum(const void *bytes, size_t count, uint32_t more)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < count; i++)
		more += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (more >> 16)
		more = (more & 0xffff) + (more >> 16);
	return (uint16_t)more;
}

#define TCP_AT  (ETH_HLEN + sizeof(struct iphdr))
#define DATA_AT (TCP_AT + sizeof(struct tcphdr))

/* The sum of the pseudo header. */
static inline uint32_t pseudo_sum(const uint8_t *frame, size_t bytes)
{
	return sum(frame + ETH_HLEN + 12, 8, IPPROTO_TCP + (uint32_t)(bytes - TCP_AT));
}

/* A segment of TCP of a guest (`from_guest`) or for it, whose checksum is still to be made. */
static inline void make_tcp(uint8_t *frame, size_t bytes, bool from_guest)
{
	static const uint8_t theirs[6] = { 2, 0, 0, 0, 0, 1 };
	struct iphdr ip = { .version = 4,
			    .ihl = 5,
			    .tot_len = htons((uint16_t)(bytes - ETH_HLEN)),
			    .ttl = 64,
			    .protocol = IPPROTO_TCP,
			    .saddr = htonl(from_guest ? 0x0a000002 : 0x0a000001),
			    .daddr = htonl(from_guest ? 0x0a000001 : 0x0a000002) };
	struct tcphdr tcp = { .source = htons(1), .dest = htons(2), .doff = 5, .ack = 1 };

	memcpy(frame, from_guest ? theirs : nic_mac, 6);
	memcpy(frame + 6, from_guest ? nic_mac : theirs, 6);
	frame[12] = 8;
	frame[13] = 0;
	ip.check = htons((uint16_t)~sum(&ip, sizeof(ip), 0));
	memcpy(frame + ETH_HLEN, &ip, sizeof(ip));
	memcpy(frame + TCP_AT, &tcp, sizeof(tcp));
	for (size_t i = DATA_AT; i < bytes; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	tcp.check = htons(sum(NULL, 0, pseudo_sum(frame, bytes)));
	memcpy(frame + TCP_AT, &tcp, sizeof(tcp));
}

static inline struct virtio_net_hdr_v1 tcp_header(uint16_t gso_size)
{
	return (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .gso_type = gso_size ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_NONE,
					   .hdr_len = DATA_AT,
					   .gso_size = gso_size,
					   .csum_start = TCP_AT,
					   .csum_offset = 16 };
}

#endif
