/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio-mmio transport; see mmio.h. */
#include "core/virtio/mmio.h"

#include <backplane/device.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* VIRTIO 1.2, 4.2.2: offsets of the registers. */
enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_SEL = 0x0ac,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_LEN_HIGH = 0x0b4,
	REG_SHM_BASE_LOW = 0x0b8,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MAGIC   0x74726976u /* "virt" */
#define VERSION 2u

_Static_assert(REG_CONFIG + VIRTIO_CONFIG_BYTES_MAX == VIRTIO_MMIO_BYTES, "the claim holds any config space");

struct virtio_mmio {
	struct virtio_device *device;
	struct bus *bus; /* borrowed */
	uint64_t base;
	bool claimed;
	virtio_ioeventfd_fn *ioeventfd;
	void *ioeventfd_ctx;
	uint32_t ioeventfd_count; /* queues that have one */

	pthread_mutex_t lock; /* the device, and the selectors */
	uint32_t device_features_sel;
	uint32_t driver_features_sel;
	uint32_t queue_sel;
};

/* ---- registers ---- */

static int register_read(struct virtio_mmio *mmio, uint64_t offset, uint32_t *ret)
{
	const struct virtio_device *device = mmio->device;

	switch (offset) {
	case REG_MAGIC:
		*ret = MAGIC;
		return 0;
	case REG_VERSION:
		*ret = VERSION;
		return 0;
	case REG_DEVICE_ID:
		*ret = virtio_device_id(device);
		return 0;
	case REG_VENDOR_ID:
		*ret = virtio_device_vendor(device);
		return 0;
	case REG_DEVICE_FEATURES:
		*ret = virtio_device_features(device, mmio->device_features_sel);
		return 0;
	case REG_QUEUE_NUM_MAX:
		*ret = virtio_device_queue_max(device, mmio->queue_sel);
		return 0;
	case REG_QUEUE_READY:
		*ret = virtio_device_queue_ready(device, mmio->queue_sel);
		return 0;
	case REG_INTERRUPT_STATUS:
		*ret = virtio_device_interrupt_status(device);
		return 0;
	case REG_STATUS:
		*ret = virtio_device_status(device);
		return 0;
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH:
		*ret = UINT32_MAX;
		return 0;
	case REG_CONFIG_GENERATION:
		*ret = virtio_device_config_generation(device);
		return 0;
	default:
		return -ENXIO;
	}
}

static void set_status(struct virtio_mmio *mmio, uint32_t value)
{
	virtio_device_set_status(mmio->device, value);
	if (value)
		return;
	mmio->device_features_sel = 0;
	mmio->driver_features_sel = 0;
	mmio->queue_sel = 0;
}

static int register_write(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	struct virtio_device *device = mmio->device;

	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		mmio->device_features_sel = value;
		return 0;
	case REG_DRIVER_FEATURES:
		virtio_device_set_driver_features(device, mmio->driver_features_sel, value);
		return 0;
	case REG_DRIVER_FEATURES_SEL:
		mmio->driver_features_sel = value;
		return 0;
	case REG_QUEUE_SEL:
		mmio->queue_sel = value;
		return 0;
	case REG_QUEUE_NUM:
		virtio_device_set_queue_size(device, mmio->queue_sel, value);
		return 0;
	case REG_QUEUE_READY:
		virtio_device_set_queue_ready(device, mmio->queue_sel, value);
		return 0;
	case REG_QUEUE_NOTIFY:
		virtio_device_notify(device, value);
		return 0;
	case REG_INTERRUPT_ACK:
		virtio_device_interrupt_ack(device, value);
		return 0;
	case REG_STATUS:
		set_status(mmio, value);
		return 0;
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
		virtio_device_set_queue_address(device, mmio->queue_sel, VIRTIO_QUEUE_DESC,
						offset == REG_QUEUE_DESC_HIGH, value);
		return 0;
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
		virtio_device_set_queue_address(device, mmio->queue_sel, VIRTIO_QUEUE_DRIVER,
						offset == REG_QUEUE_DRIVER_HIGH, value);
		return 0;
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
		virtio_device_set_queue_address(device, mmio->queue_sel, VIRTIO_QUEUE_DEVICE,
						offset == REG_QUEUE_DEVICE_HIGH, value);
		return 0;
	case REG_SHM_SEL: /* all of them are absent */
		return 0;
	default:
		return -ENXIO;
	}
}

static int locked_access(struct virtio_mmio *mmio, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	uint32_t word;
	int r;

	if (offset >= REG_CONFIG)
		return write ? virtio_device_config_write(mmio->device, offset - REG_CONFIG, width, *value)
			     : virtio_device_config_read(mmio->device, offset - REG_CONFIG, width, value);
	/* The registers lie at multiples of 4, so no other offset is one. */
	if (width != 4)
		return -ENXIO;
	if (write)
		return register_write(mmio, offset, (uint32_t)*value);
	r = register_read(mmio, offset, &word);
	if (r == 0)
		*value = word;
	return r;
}

int virtio_mmio_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct virtio_mmio *mmio = ctx;
	int r;

	(void)cookie;
	pthread_mutex_lock(&mmio->lock);
	r = locked_access(mmio, offset, width, write, value);
	pthread_mutex_unlock(&mmio->lock);
	return r;
}

/* ---- making and ending ---- */

static int set_ioeventfd(struct virtio_mmio *mmio, uint32_t queue, bool add, struct err *err)
{
	const bool only = virtio_device_queue_count(mmio->device) == 1;
	const struct machine_ioeventfd event = {
		.gpa = mmio->base + REG_QUEUE_NOTIFY,
		.bytes = only ? 0 : 4,
		.match = !only,
		.value = queue,
		.fd = virtio_device_kick_fd(mmio->device, queue),
	};

	return mmio->ioeventfd(mmio->ioeventfd_ctx, &event, add, err);
}

int virtio_mmio_new(const struct virtio_mmio_spec *spec, struct virtio_mmio **ret, struct err *err)
{
	struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));
	struct bus_claim claim = {
		.space = BP_MMIO,
		.widths = BP_W8 | BP_W16 | BP_W32 | BP_W64,
		.base = spec->base,
		.length = VIRTIO_MMIO_BYTES,
		.access = virtio_mmio_access,
		.ctx = mmio,
	};
	int r;

	if (!mmio)
		return err_sys(err, -ENOMEM, "%s", spec->device.name);
	pthread_mutex_init(&mmio->lock, NULL);
	mmio->bus = spec->bus;
	mmio->base = spec->base;
	mmio->ioeventfd = spec->ioeventfd;
	mmio->ioeventfd_ctx = spec->ioeventfd_ctx;
	r = virtio_device_new(&spec->device, &mmio->device, err);
	if (r < 0)
		goto fail;
	snprintf(claim.owner, sizeof(claim.owner), "%s", spec->device.name);
	r = bus_insert(mmio->bus, &claim, err);
	if (r < 0)
		goto fail;
	mmio->claimed = true;
	while (mmio->ioeventfd && mmio->ioeventfd_count < virtio_device_queue_count(mmio->device)) {
		r = set_ioeventfd(mmio, mmio->ioeventfd_count, true, err);
		if (r < 0)
			goto fail;
		mmio->ioeventfd_count++;
	}
	*ret = mmio;
	return 0;
fail:
	virtio_mmio_free(mmio);
	return r;
}

void virtio_mmio_free(struct virtio_mmio *mmio)
{
	struct err ignored = ERR_NONE;

	if (!mmio)
		return;
	/* What KVM no longer takes arrives at the bus, so that goes second, and then nobody is inside. */
	while (mmio->ioeventfd_count)
		set_ioeventfd(mmio, --mmio->ioeventfd_count, false, &ignored);
	if (mmio->claimed)
		bus_remove(mmio->bus, BP_MMIO, mmio->base);
	virtio_device_free(mmio->device);
	pthread_mutex_destroy(&mmio->lock);
	free(mmio);
}

struct virtio_device *virtio_mmio_device(struct virtio_mmio *mmio)
{
	return mmio->device;
}

void virtio_mmio_reset(struct virtio_mmio *mmio)
{
	pthread_mutex_lock(&mmio->lock);
	set_status(mmio, 0);
	pthread_mutex_unlock(&mmio->lock);
}
