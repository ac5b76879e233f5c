/* SPDX-License-Identifier: BSD-3-Clause */
/* The seam between a virtio class and its transport; see virtio.h. */
#include "core/placement/virtio.h"

#include "core/base/fd.h"
#include "core/device/vdev.h"
#include "core/virtio/mmio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Shown as the transport's VendorID; the same number as other machines have, since nobody registers them. */
#define VENDOR_ID 0x554d4551u

const struct class_range virtio_range = {
	.space = BP_MMIO,
	.widths = BP_W8 | BP_W16 | BP_W32 | BP_W64,
	.length = VIRTIO_MMIO_BYTES,
};
const struct class_irq virtio_irq = { .line_param = NULL };

static_assert(BP_VIRTIO_QUEUES_MAX <= VIRTIO_QUEUES_MAX && BP_VIRTIO_SIZE_MAX <= VIRTIO_QUEUE_SIZE_MAX &&
		  BP_VIRTIO_CONFIG_MAX <= VIRTIO_CONFIG_BYTES_MAX,
	      "every class fits into a transport");

struct virtio_seat {
	struct device *device;
	struct virtio_mmio *mmio;
	struct virtio_isr isr; /* in memory of the core; the device runs in this process */
	int call_fd;
};

/* ---- the transport calls the device ---- */

static int backend_activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	struct virtio_seat *seat = ctx;
	struct vdev_queue_setup queues[VIRTIO_QUEUES_MAX];

	for (uint32_t i = 0; i < activation->queue_count; i++)
		queues[i] = (struct vdev_queue_setup){
			.ready = activation->queues[i].ready,
			.size = activation->queues[i].size,
			.desc_gpa = activation->queues[i].desc_gpa,
			.avail_gpa = activation->queues[i].driver_gpa,
			.used_gpa = activation->queues[i].device_gpa,
			.kick_fd = activation->queues[i].kick_fd,
			.call_fd = activation->queues[i].call_fd,
		};
	return vdev_activate(seat->device,
			     &(struct vdev_setup){
				 .features = activation->features,
				 .isr = activation->isr,
				 .queue_count = activation->queue_count,
				 .queues = queues,
			     },
			     err);
}

static void backend_reset(void *ctx)
{
	struct virtio_seat *seat = ctx;

	vdev_reset(seat->device);
}

static void backend_config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	struct virtio_seat *seat = ctx;

	vdev_config_read(seat->device, offset, buf, bytes);
}

static void backend_config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct virtio_seat *seat = ctx;

	vdev_config_write(seat->device, offset, buf, bytes);
}

static const struct virtio_backend_ops backend_ops = {
	.activate = backend_activate,
	.reset = backend_reset,
	.config_read = backend_config_read,
	.config_write = backend_config_write,
};

/* ---- the device calls the transport ---- */

static void notice_needs_reset(void *ctx)
{
	struct virtio_seat *seat = ctx;

	virtio_device_needs_reset(virtio_mmio_device(seat->mmio));
}

static void notice_config_changed(void *ctx)
{
	struct virtio_seat *seat = ctx;

	virtio_device_config_changed(virtio_mmio_device(seat->mmio));
}

/* ---- seats ---- */

int virtio_seat_new(const struct virtio_seat_spec *spec, struct virtio_seat **ret, struct err *err)
{
	struct virtio_seat *seat = calloc(1, sizeof(*seat));
	struct vdev_offer offer = vdev_offer(spec->device);
	struct virtio_mmio_spec mmio = {
		.device = {
			.name = device_id(spec->device),
			.backend = {
				.ops = &backend_ops,
				.ctx = seat,
				.device_id = offer.id,
				.vendor_id = VENDOR_ID,
				.features = offer.features,
				.config_bytes = offer.config_bytes,
				.queue_count = offer.queue_count,
			},
		},
		.bus = spec->bus,
		.base = spec->base,
		.ioeventfd = machine_ioeventfd,
		.ioeventfd_ctx = spec->machine,
	};
	int r;

	if (!seat)
		return err_sys(err, -ENOMEM, "virtio");
	seat->device = spec->device;
	seat->call_fd = machine_irq_fd(spec->machine, spec->line, err);
	if (seat->call_fd < 0) {
		r = seat->call_fd;
		goto fail;
	}
	for (uint32_t i = 0; i < offer.queue_count; i++)
		mmio.device.backend.queue_sizes[i] = offer.queue_size;
	mmio.device.isr = &seat->isr;
	mmio.device.call_fd = seat->call_fd;
	r = virtio_mmio_new(&mmio, &seat->mmio, err);
	if (r < 0)
		goto fail;
	vdev_attach(spec->device, &(struct vdev_transport){
				      .needs_reset = notice_needs_reset,
				      .config_changed = notice_config_changed,
				      .ctx = seat,
				  });
	*ret = seat;
	return 0;
fail:
	fd_close(seat->call_fd);
	free(seat);
	return r;
}

void virtio_seat_free(struct virtio_seat *seat)
{
	if (!seat)
		return;
	vdev_attach(seat->device, NULL);
	virtio_mmio_free(seat->mmio);
	fd_close(seat->call_fd);
	free(seat);
}
