/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands before a frame (VIRTIO 1.2, 5.1.6), looked at in both directions.
 *
 * The host's kernel checks the headers that it is given, too; what it never gets cannot find a gap in that. So a header passes only
 * if it means something: what the guest may say wrongly by the standard is corrected or cleared, everything else that does not fit the
 * frame or the negotiated features costs the guest this frame.
 */
#include "net.h"

#include <endian.h>

#define TCP_BYTES       20u
#define TCP_CSUM_OFFSET 16u
#define IPV4_BYTES      20u
#define IPV6_BYTES      40u
#define GSO_SIZE_MAX    (65535u - TCP_BYTES) /* of a packet's payload, which an IPv6 header's length can tell */

/* The feature that frames of a type need, and where TCP begins at the earliest in *ret_tcp. 0: there is no such type, or none that is
 * offered. UDP fragmentation is not, as the kernel only emulates it, nor is its segmentation, which is newer than the kernels that we run on. */
static uint64_t gso_feature(uint8_t type, uint32_t *ret_tcp)
{
	switch (type) {
	case HDR_GSO_TCPV4:
		*ret_tcp = ETHER_BYTES + IPV4_BYTES;
		return F_HOST_TSO4;
	case HDR_GSO_TCPV6:
		*ret_tcp = ETHER_BYTES + IPV6_BYTES;
		return F_HOST_TSO6;
	default:
		return 0;
	}
}

static bool gso_ok(const struct net_header *header, uint64_t features, uint64_t bytes)
{
	uint32_t start = le16toh(header->csum_start), size = le16toh(header->gso_size), tcp = 0;
	uint64_t feature = gso_feature(header->gso_type & (uint8_t)~HDR_GSO_ECN, &tcp);

	if (!(features & feature))
		return false;
	if ((header->gso_type & HDR_GSO_ECN) && !(features & F_HOST_ECN))
		return false;
	/* 5.1.6.2.1: it comes with NEEDS_CSUM, and a size. */
	return header->flags == HDR_F_NEEDS_CSUM && start >= tcp && start + TCP_BYTES <= bytes &&
	       le16toh(header->csum_offset) == TCP_CSUM_OFFSET && size && size <= GSO_SIZE_MAX;
}

bool header_send_ok(struct net_header *header, uint64_t features, uint64_t bytes)
{
	uint32_t start = le16toh(header->csum_start), offset = le16toh(header->csum_offset);

	/* 5.1.6.2.2: other flags are to be ignored, hdr_len is a hint and may be wrong, and Linux leaves num_buffers as it was without
	 * MRG_RXBUF. */
	header->flags &= HDR_F_NEEDS_CSUM;
	header->num_buffers = 0;
	if (le16toh(header->hdr_len) > bytes)
		header->hdr_len = 0;
	if (!header->flags) {
		header->csum_start = 0;
		header->csum_offset = 0;
	} else if (!(features & F_CSUM) || start < ETHER_BYTES || start + offset + sizeof(uint16_t) > bytes) {
		return false;
	}
	if (header->gso_type != HDR_GSO_NONE)
		return gso_ok(header, features, bytes);
	header->gso_size = 0;
	return true;
}

/* A tap gives what its offloads allow, but it may have taken a frame in before they were changed. */
bool header_receive_ok(struct net_header *header, uint64_t offloads)
{
	uint64_t needed;

	switch (header->gso_type & (uint8_t)~HDR_GSO_ECN) {
	case HDR_GSO_NONE:
		needed = 0;
		break;
	case HDR_GSO_TCPV4:
		needed = F_GUEST_TSO4;
		break;
	case HDR_GSO_TCPV6:
		needed = F_GUEST_TSO6;
		break;
	default:
		return false;
	}
	if (header->gso_type & HDR_GSO_ECN)
		needed |= F_GUEST_ECN;
	if (header->flags & HDR_F_NEEDS_CSUM)
		needed |= F_GUEST_CSUM;
	if (needed & ~offloads)
		return false;
	/* 5.1.6.4.1: without GUEST_CSUM flags is zero, a checksum that the kernel has looked at or not. */
	header->flags &= offloads & F_GUEST_CSUM ? HDR_F_NEEDS_CSUM | HDR_F_DATA_VALID : 0;
	return true;
}
