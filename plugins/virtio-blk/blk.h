/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk as the files of this plugin share it: its state, the protocol's numbers, and the requests' two entrances. */
#ifndef VIRTIO_BLK_BLK_H
#define VIRTIO_BLK_BLK_H

#include "image.h"

#include <endian.h>

#define VIRTIO_ID_BLOCK    2u

/* 5.2.3 */
#define F_SEG_MAX          (UINT64_C(1) << 2)
#define F_RO               (UINT64_C(1) << 5)
#define F_BLK_SIZE         (UINT64_C(1) << 6)
#define F_FLUSH            (UINT64_C(1) << 9)
#define F_TOPOLOGY         (UINT64_C(1) << 10)
#define F_CONFIG_WCE       (UINT64_C(1) << 11)
#define F_MQ               (UINT64_C(1) << 12)
#define F_DISCARD          (UINT64_C(1) << 13)
#define F_WRITE_ZEROES     (UINT64_C(1) << 14)

/* 5.2.6 */
#define T_IN               0u
#define T_OUT              1u
#define T_FLUSH            4u
#define T_GET_ID           8u
#define T_DISCARD          11u
#define T_WRITE_ZEROES     13u

#define S_OK               0u
#define S_IOERR            1u
#define S_UNSUPP           2u

#define WZ_UNMAP           1u /* flag of a segment */

#define QUEUE_SIZE         256u
#define QUEUES_MAX         16u
#define QUEUES_DEFAULT_MAX 4u
#define SEGMENTS_MAX       16u        /* of a discard */
#define RANGE_SECTORS_MAX  (1u << 22) /* of a segment: 2 GiB */
#define ID_BYTES           20u
#define WRITEBACK_OFFSET   32u
#define DEPTH_MAX          1024u

enum cache { CACHE_WRITEBACK, CACHE_WRITETHROUGH, CACHE_UNSAFE };

/* 5.2.4, in little endian. */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};
BP_STATIC_ASSERT(sizeof(struct blk_config) == 64, "5.2.4, with the tail padding that the alignment of capacity makes");
#define CONFIG_BYTES 60u
BP_STATIC_ASSERT(offsetof(struct blk_config, writeback) == WRITEBACK_OFFSET, "5.2.4");
BP_STATIC_ASSERT(offsetof(struct blk_config, unused1) + 3 == CONFIG_BYTES, "5.2.4");

struct blk_header {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
};
BP_STATIC_ASSERT(sizeof(struct blk_header) == 16, "5.2.6");

struct blk_segment {
	uint64_t sector;
	uint32_t sectors;
	uint32_t flags;
};
BP_STATIC_ASSERT(sizeof(struct blk_segment) == 16, "5.2.6");

struct blk {
	struct bp_dev *dev;
	struct image image;
	struct bp_io *io;
	enum cache cache;
	int readonly;
	int chosen; /* the guest has written to config.writeback since the reset */
	int active; /* a driver is there, with these features */
	uint64_t features, offered;
	char serial[ID_BYTES];
	struct blk_config config;
	struct bp_chain *waiting; /* for room in the engine, in order */
	struct bp_chain **waiting_end;
	struct {
		uint64_t since_ns;
		uint32_t count, left_out;
	} told; /* failed requests in the log, in this period */
	struct {
		uint64_t *reads, *writes, *flushes, *discards, *errors, *read_bytes, *write_bytes;
	} metrics;
};

/* Whether a write is complete only after a flush: as negotiated, and chosen by deployer and guest. */
static inline int blk_writethrough(const struct blk *blk)
{
	return !blk->config.writeback;
}

/* What is next for a request. */
enum step {
	STEP_START,    /* its operation, or the next segment of several */
	STEP_FLUSH,    /* writethrough: what was written is flushed */
	STEP_FINISHED, /* only its status is missing */
};

/* A request, in its chain's scratch. */
struct request {
	struct blk *blk;
	enum step step;
	uint32_t type;
	uint32_t status;
	uint64_t offset; /* bytes */
	uint64_t bytes;
	uint32_t segment; /* the next of a discard */
	uint32_t segments;
	struct blk_segment list[SEGMENTS_MAX];
};

/* [dev] One request; see <backplane/virtio.h>. */
void blk_request(void *self, struct bp_chain *chain);

/* [dev] What kind of request begins with these bytes. */
void blk_classify(void *self, uint32_t queue, const void *head, uint32_t head_bytes, struct bp_op *op);

#endif
