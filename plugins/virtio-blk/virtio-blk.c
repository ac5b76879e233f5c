/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disks: virtio-blk (VIRTIO 1.2, 5.2) on a raw image or a block device.
 *
 * A request becomes one operation of the host's io engine, or several (the segments of a discard), straight between the image and the
 * guest's memory. Whatever goes wrong ends in the request's status byte; only a request without a place for that byte breaks the
 * device. Everything runs under the instance's mutex, but for create.
 *
 * Durability. What the guest is promised depends on `cache` and on what its driver negotiated:
 *
 *   mode          a write is complete when     FLUSH                        the driver
 *   WRITEBACK     the host has it              waits for stable storage     has FLUSH, or chose writeback (CONFIG_WCE)
 *   WRITETHROUGH  it is on stable storage      the same                     has neither, or cache says so, or chose it
 *   UNSAFE        the host has it              does nothing                 cache says so
 *
 * 5.2.5.2 and 5.2.6.2: a driver that negotiates neither FLUSH nor CONFIG_WCE gets WRITETHROUGH.
 */
#include "blk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const engine_names[] = { "auto", "io_uring", "aio", "threads", NULL };
static const char *const cache_names[] = { "writeback", "writethrough", "unsafe", NULL };
static const char *const format_names[] = { "auto", "raw", NULL };
BP_STATIC_ASSERT(BP_IO_AUTO == 0 && BP_IO_URING == 1 && BP_IO_AIO == 2 && BP_IO_THREADS == 3, "order of engine_names");

static const struct bp_param blk_params[] = {
	{
	    .name = "path",
	    .type = BP_P_FILE,
	    .flags = BP_P_REQUIRED | BP_P_WRITE,
	    .help = "image or block device",
	    .readonly_param = "readonly",
	},
	{
	    .name = "readonly",
	    .type = BP_P_BOOL,
	    .def = "false",
	    .help = "the guest cannot write to it",
	},
	{
	    .name = "format",
	    .type = BP_P_CHOICE,
	    .def = "auto",
	    .choices = format_names,
	    .help = "raw takes the image as it is; auto does, too, but refuses one that looks like another format",
	},
	{
	    .name = "cache",
	    .type = BP_P_CHOICE,
	    .def = "writeback",
	    .choices = cache_names,
	    .help = "when a write is safe: after the guest's flush, at once, or whenever the host likes",
	},
	{
	    .name = "direct",
	    .type = BP_P_BOOL,
	    .def = "false",
	    .help = "past the host's page cache (O_DIRECT)",
	},
	{
	    .name = "engine",
	    .type = BP_P_CHOICE,
	    .def = "auto",
	    .choices = engine_names,
	    .help = "how the host does it; auto is io_uring, or threads where that is not allowed",
	},
	{
	    .name = "queues",
	    .type = BP_P_UINT,
	    .min = 1,
	    .max = QUEUES_MAX,
	    .help = "request queues; one for each vCPU, up to 4, if absent",
	},
	{
	    .name = "block_size",
	    .type = BP_P_SIZE,
	    .min = 512,
	    .max = 4096,
	    .help = "logical block size, 512 or 4096 bytes; that of the image if absent",
	},
	{
	    .name = "serial",
	    .type = BP_P_STRING,
	    .def = "",
	    .help = "serial number that the guest sees, at most 20 bytes",
	},
};

/* ---- configuration space and negotiation ---- */

static void config_show(struct blk *blk)
{
	bp_virtio_config_write(blk->dev, 0, &blk->config, CONFIG_BYTES);
}

static void blk_activate(void *self, uint64_t features, uint32_t queues) /* [dev] */
{
	struct blk *blk = self;

	(void)queues;
	blk->features = features;
	if (blk->cache == CACHE_WRITEBACK && !(features & F_CONFIG_WCE))
		blk->writethrough = !(features & F_FLUSH);
}

/* 5.2.5: the guest chooses between writeback and writethrough. Nothing else there is its own. */
static void blk_config_changed(void *self, uint32_t offset, uint32_t bytes) /* [dev] */
{
	struct blk *blk = self;
	uint8_t writeback = blk->config.writeback;

	(void)offset;
	(void)bytes;
	bp_virtio_config_read(blk->dev, WRITEBACK_OFFSET, &writeback, 1);
	if ((blk->features & F_CONFIG_WCE) && writeback <= 1 && writeback != blk->config.writeback) {
		blk->config.writeback = writeback;
		blk->writethrough = !writeback;
	}
	config_show(blk);
}

static void blk_reset(void *self) /* [dev] */
{
	struct blk *blk = self;

	blk->waiting = NULL;
	blk->waiting_end = &blk->waiting;
	blk->features = 0;
	blk->writethrough = blk->cache == CACHE_WRITETHROUGH;
	blk->config.writeback = !blk->writethrough;
	config_show(blk);
}

/* ---- life ---- */

static int blk_validate(struct bp_dev *dev, const struct bp_cfg *cfg) /* [main] */
{
	uint64_t block = bp_cfg_has(cfg, "block_size") ? bp_cfg_uint(cfg, "block_size") : 512;

	if (block != 512 && block != 4096)
		return bp_fail(dev, -EINVAL, "block_size is %" PRIu64 ", and only 512 and 4096 can be used", block);
	if (strlen(bp_cfg_string(cfg, "serial")) > ID_BYTES)
		return bp_fail(dev, -EINVAL, "serial is longer than %u bytes", ID_BYTES);
	return 0;
}

static uint8_t exponent(uint32_t of)
{
	return (uint8_t)__builtin_ctz(of);
}

static void describe(struct blk *blk, uint32_t queues)
{
	const struct image *image = &blk->image;

	blk->config = (struct blk_config){
		.capacity = htole64(image->bytes / IMAGE_SECTOR),
		.seg_max = htole32(QUEUE_SIZE - 2),
		.blk_size = htole32(image->block_bytes),
		.physical_block_exp = (uint8_t)(exponent(image->physical_bytes) - exponent(image->block_bytes)),
		.min_io_size = htole16((uint16_t)(image->physical_bytes / image->block_bytes)),
		.opt_io_size = htole32(image->optimal_bytes / image->block_bytes),
		.num_queues = htole16((uint16_t)queues),
		.max_discard_sectors = htole32(RANGE_SECTORS_MAX),
		.max_discard_seg = htole32(SEGMENTS_MAX),
		.discard_sector_alignment = htole32(image->physical_bytes / (uint32_t)IMAGE_SECTOR),
		.max_write_zeroes_sectors = htole32(RANGE_SECTORS_MAX),
		.max_write_zeroes_seg = htole32(SEGMENTS_MAX),
		.write_zeroes_may_unmap = (uint8_t)image->discard,
	};
}

static int offer(struct blk *blk, uint32_t queues)
{
	uint64_t features = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY;

	if (queues > 1)
		features |= F_MQ;
	if (blk->readonly)
		features |= F_RO;
	else
		features |= F_WRITE_ZEROES | (blk->image.discard ? F_DISCARD : 0);
	/* A guest that saw FLUSH would send flushes, for which there is nothing left to do after a write. */
	if (blk->cache != CACHE_WRITETHROUGH)
		features |= F_FLUSH;
	/* With the others there is nothing to choose. */
	if (blk->cache == CACHE_WRITEBACK)
		features |= F_CONFIG_WCE;
	return bp_virtio_offer(blk->dev, features, queues);
}

static void count(struct blk *blk)
{
	struct bp_dev *dev = blk->dev;

	bp_metric(dev, BP_METRIC_COUNTER, "reads", "read requests", &blk->metrics.reads);
	bp_metric(dev, BP_METRIC_COUNTER, "writes", "write requests", &blk->metrics.writes);
	bp_metric(dev, BP_METRIC_COUNTER, "flushes", "flush requests", &blk->metrics.flushes);
	bp_metric(dev, BP_METRIC_COUNTER, "discards", "discard and write-zeroes requests", &blk->metrics.discards);
	bp_metric(dev, BP_METRIC_COUNTER, "errors", "requests that failed", &blk->metrics.errors);
	bp_metric(dev, BP_METRIC_COUNTER, "read_bytes", "bytes that were asked for", &blk->metrics.read_bytes);
	bp_metric(dev, BP_METRIC_COUNTER, "write_bytes", "bytes that came", &blk->metrics.write_bytes);
}

static int blk_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct blk *blk = calloc(1, sizeof(*blk));
	uint64_t vcpus = bp_info(dev, BP_INFO_VCPUS);
	uint32_t queues = vcpus && vcpus < QUEUES_DEFAULT_MAX ? (uint32_t)vcpus : vcpus ? QUEUES_DEFAULT_MAX : 1;
	const char *serial = bp_cfg_string(cfg, "serial");
	struct image_spec spec = {
		.fd = bp_cfg_fd(cfg, "path"),
		.path = bp_cfg_string(cfg, "path"),
		.readonly = bp_cfg_uint(cfg, "readonly") != 0,
		.raw = bp_cfg_uint(cfg, "format") == 1,
		.direct = bp_cfg_uint(cfg, "direct") != 0,
		.block_bytes = bp_cfg_has(cfg, "block_size") ? (uint32_t)bp_cfg_uint(cfg, "block_size") : 0,
	};
	uint32_t depth;
	int r;

	if (!blk)
		return bp_fail(dev, -ENOMEM, "no memory");
	if (bp_cfg_has(cfg, "queues"))
		queues = (uint32_t)bp_cfg_uint(cfg, "queues");
	blk->dev = dev;
	blk->readonly = spec.readonly;
	blk->cache = (enum cache)bp_cfg_uint(cfg, "cache");
	memcpy(blk->serial, serial, strnlen(serial, ID_BYTES));
	r = image_open(dev, &spec, &blk->image);
	if (r < 0)
		goto fail;
	depth = queues * QUEUE_SIZE < DEPTH_MAX ? queues * QUEUE_SIZE : DEPTH_MAX;
	r = bp_io_open(dev, spec.fd, (uint32_t)bp_cfg_uint(cfg, "engine"), depth, &blk->io);
	if (r < 0)
		goto fail;
	r = offer(blk, queues);
	if (r < 0)
		goto fail;
	count(blk);
	describe(blk, queues);
	blk_reset(blk);
	*ret = blk;
	return 0;
fail:
	free(blk);
	return r;
}

/* ---- state: all but what the guest chose follows from the configuration ---- */

#define TAG_WRITETHROUGH 1u
#define TAG_WRITEBACK    2u
#define TAG_FEATURES     3u
#define STATE_VERSION    1u

static int blk_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct blk *blk = self;

	bp_put_uint(writer, TAG_WRITETHROUGH, (uint64_t)blk->writethrough);
	bp_put_uint(writer, TAG_WRITEBACK, blk->config.writeback);
	bp_put_uint(writer, TAG_FEATURES, blk->features);
	return 0;
}

static int blk_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct blk *blk = self;
	uint64_t writethrough, writeback, features;
	int r;

	(void)version;
	r = bp_get_uint_max(reader, TAG_WRITETHROUGH, 1, &writethrough);
	if (r == 0)
		r = bp_get_uint_max(reader, TAG_WRITEBACK, 1, &writeback);
	if (r == 0)
		r = bp_get_uint(reader, TAG_FEATURES, &features);
	if (r < 0)
		return bp_fail(blk->dev, r, "the state is not that of a disk");
	blk->writethrough = (int)writethrough;
	blk->config.writeback = (uint8_t)writeback;
	blk->features = features;
	config_show(blk);
	return 0;
}

static const struct bp_virtio_class blk_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = VIRTIO_ID_BLOCK,
	.queue_count = QUEUES_MAX,
	.queue_size = QUEUE_SIZE,
	.config_bytes = CONFIG_BYTES,
	.scratch_bytes = sizeof(struct request),
	.features =
	    F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE | F_MQ | F_DISCARD | F_WRITE_ZEROES,
	.activate = blk_activate,
	.classify = blk_classify,
	.request = blk_request,
	.config_changed = blk_config_changed,
};

static const struct bp_device_class blk_class = {
	BP_DEVICE_CLASS_INIT,
	.name = "virtio-blk",
	.summary = "a disk: a raw image or a block device",
	BP_PARAMS(blk_params),
	.validate = blk_validate,
	.create = blk_create,
	.reset = blk_reset,
	.destroy = free,
	.virtio = &blk_virtio,
	.state_version = STATE_VERSION,
	.save = blk_save,
	.load = blk_load,
};
BP_PLUGIN("org.backplane.virtio-blk", "1.0", &blk_class)
