/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The image behind a disk: whether it can be used as one, and its geometry. The descriptor is the host's.
 */
#ifndef VIRTIO_BLK_IMAGE_H
#define VIRTIO_BLK_IMAGE_H

#include <backplane/plugin.h>

#define IMAGE_SECTOR UINT64_C(512) /* of virtio-blk, whatever the disk's own are (VIRTIO 1.2, 5.2.4) */

struct image {
	int fd;
	uint64_t bytes;          /* a multiple of block_bytes */
	uint32_t block_bytes;    /* logical: 512 or 4096 */
	uint32_t physical_bytes; /* a power of two, not less */
	uint32_t optimal_bytes;  /* of a request; 0: nothing is known */
	int discard;             /* its space can be given back */
};

/* How the image is to be used. */
struct image_spec {
	int fd;
	const char *path; /* for messages */
	int readonly;
	int raw;              /* whatever its first bytes look like */
	int direct;           /* past the host's page cache */
	uint32_t block_bytes; /* 0: what the image has */
};

/*
 * [main] Locks the image (open file description locks over all of it: one writer, or any number of readers), sees to it that it is raw, and
 * measures it. -errno through bp_fail(): -EBUSY if somebody else has it and keeps it for a second, -EMEDIUMTYPE for a known format that is
 * not raw, -EINVAL for a size or block size that cannot be, -errno of the system. The locks end with the descriptor.
 */
int image_open(struct bp_dev *dev, const struct image_spec *spec, struct image *ret);

#endif
