/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk in this program; see blk_disk.h. */
#include "tests/bench/blk_disk.h"

#include "core/device/device.h"
#include "core/device/vdev.h"
#include "tests/bench/blk_values.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <stdlib.h>

extern const struct bp_plugin backplane_plugin;

struct blk_disk {
	struct plugin_class class;
	struct values *values; /* until the device has them */
	struct device *device;
	struct virtio_isr isr;
	struct blk_driver *driver;
};

static int claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		 uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)base, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static int activate(struct blk_disk *disk, struct err *err)
{
	const struct blk_driver_side *side = blk_driver_side(disk->driver);
	const struct vdev_queue_setup queue = {
		.ready = true,
		.size = side->ring_size,
		.desc_gpa = side->desc_gpa,
		.avail_gpa = side->avail_gpa,
		.used_gpa = side->used_gpa,
		.kick_fd = side->kick_fd,
		.call_fd = side->call_fd,
	};
	const struct vdev_setup setup = {
		.features = side->features,
		.isr = &disk->isr,
		.queue_count = 1,
		.queues = &queue,
	};
	int r = device_start(disk->device, err);

	return r ? r : vdev_activate(disk->device, &setup, err);
}

static int make(struct blk_disk *disk, const char *path, int fd, bool direct, struct err *err)
{
	struct device_spec spec = { .id = "disk", .vcpus = 1, .place = { .claim = claim } };
	uint64_t blocks;
	int r = class_copy(backplane_plugin.classes[0], &disk->class, err);

	if (r < 0) {
		fd_close(fd);
		return r;
	}
	r = blk_values_new(disk->class.decl.schema, path, fd, direct, &disk->values, &blocks);
	if (r < 0)
		return err_sys(err, r, "%s", path);
	disk->driver = blk_driver_new(blocks);
	spec.class = &disk->class;
	spec.values = disk->values;
	spec.mem = blk_driver_side(disk->driver)->mem;
	r = device_new(&spec, &disk->device, err);
	if (r < 0)
		return r;
	disk->values = NULL;
	return activate(disk, err);
}

int blk_disk_open(const char *path, int fd, bool direct, struct blk_disk **ret, struct err *err)
{
	struct blk_disk *disk = calloc(1, sizeof(*disk));
	int r;

	*err = (struct err)ERR_NONE;
	if (!disk) {
		fd_close(fd);
		return err_sys(err, -ENOMEM, "%s", path);
	}
	r = make(disk, path, fd, direct, err);
	if (r < 0) {
		blk_disk_close(disk);
		return r;
	}
	*ret = disk;
	return 0;
}

void blk_disk_close(struct blk_disk *disk)
{
	device_free(disk->device);
	values_free(disk->values);
	class_free(&disk->class);
	blk_driver_free(disk->driver);
	free(disk);
}

struct blk_run blk_disk_run(struct blk_disk *disk, uint32_t depth, uint64_t window_ns, uint64_t requests)
{
	return blk_driver_run(disk->driver, &disk->isr, depth, window_ns, requests);
}
