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
	struct virtio_seat_spec spec;
	struct virtio_mmio *mmio; /* NULL: detached */
	struct virtio_isr isr;    /* in memory of the core; the device runs in this process */
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
	return vdev_activate(seat->spec.device,
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

	vdev_reset(seat->spec.device);
}

static void backend_config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	struct virtio_seat *seat = ctx;

	vdev_config_read(seat->spec.device, offset, buf, bytes);
}

static void backend_config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct virtio_seat *seat = ctx;

	vdev_config_write(seat->spec.device, offset, buf, bytes);
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

int virtio_seat_attach(struct virtio_seat *seat, struct err *err)
{
	struct vdev_offer offer = vdev_offer(seat->spec.device);
	struct virtio_mmio_spec mmio = {
		.device = {
			.name = device_id(seat->spec.device),
			.backend = {
				.ops = &backend_ops,
				.ctx = seat,
				.device_id = offer.id,
				.vendor_id = VENDOR_ID,
				.features = offer.features,
				.config_bytes = offer.config_bytes,
				.queue_count = offer.queue_count,
			},
			.isr = &seat->isr,
			.call_fd = seat->call_fd,
		},
		.bus = seat->spec.bus,
		.base = seat->spec.base,
		.ioeventfd = machine_ioeventfd,
		.ioeventfd_ctx = seat->spec.machine,
	};
	int r;

	for (uint32_t i = 0; i < offer.queue_count; i++)
		mmio.device.backend.queue_sizes[i] = offer.queue_size;
	r = virtio_mmio_new(&mmio, &seat->mmio, err);
	if (r < 0)
		return r;
	vdev_attach(seat->spec.device, &(struct vdev_transport){
					   .needs_reset = notice_needs_reset,
					   .config_changed = notice_config_changed,
					   .ctx = seat,
				       });
	return 0;
}

void virtio_seat_detach(struct virtio_seat *seat)
{
	vdev_attach(seat->spec.device, NULL);
	virtio_mmio_free(seat->mmio);
	seat->mmio = NULL;
}

int virtio_seat_new(const struct virtio_seat_spec *spec, struct virtio_seat **ret, struct err *err)
{
	struct virtio_seat *seat = calloc(1, sizeof(*seat));
	int r;

	if (!seat)
		return err_sys(err, -ENOMEM, "virtio");
	seat->spec = *spec;
	seat->call_fd = machine_irq_fd(spec->machine, spec->line, err);
	r = seat->call_fd < 0 ? seat->call_fd : virtio_seat_attach(seat, err);
	if (r < 0) {
		fd_close(seat->call_fd);
		free(seat);
		return r;
	}
	*ret = seat;
	return 0;
}

void virtio_seat_free(struct virtio_seat *seat)
{
	if (!seat)
		return;
	virtio_seat_detach(seat);
	fd_close(seat->call_fd);
	free(seat);
}
