/* SPDX-License-Identifier: BSD-3-Clause */
/* Seats of virtio devices; see virtio.h. */
#include "core/placement/virtio.h"

#include "core/base/fd.h"
#include "core/virtio/mmio.h"

#include <errno.h>
#include <stdlib.h>

const struct class_range virtio_range = {
	.space = BP_MMIO,
	.widths = BP_W8 | BP_W16 | BP_W32 | BP_W64,
	.length = VIRTIO_MMIO_BYTES,
};
const struct class_irq virtio_irq = { .line_param = NULL };

struct virtio_seat {
	struct virtio_seat_spec spec;
	struct virtio_mmio *mmio; /* NULL: detached */
	struct virtio_isr isr;    /* for a device that has none where it runs */
	int call_fd;              /* the device's process may have it, too */
	int notice_fd;            /* that is ours alone */
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
	struct placed *device = seat->spec.device;
	struct virtio_mmio_spec mmio = {
		.device = {
			.name = device->id,
			.isr = device->isr ? device->isr : &seat->isr,
			.call_fd = seat->call_fd,
			.notice_fd = seat->notice_fd,
		},
		.bus = seat->spec.bus,
		.base = seat->spec.base,
		.ioeventfd = machine_ioeventfd,
		.ioeventfd_ctx = seat->spec.machine,
	};
	int r;

	device->ops->backend(device->ctx, &mmio.device.backend);
	r = virtio_mmio_new(&mmio, &seat->mmio, err);
	if (r < 0)
		return r;
	device->ops->attach(device->ctx, &(struct placed_notices){
					     .needs_reset = notice_needs_reset,
					     .config_changed = notice_config_changed,
					     .ctx = seat,
					 });
	return 0;
}

void virtio_seat_detach(struct virtio_seat *seat)
{
	struct placed *device = seat->spec.device;

	device->ops->attach(device->ctx, NULL);
	virtio_mmio_free(seat->mmio);
	seat->mmio = NULL;
}

static void close_fds(const struct virtio_seat *seat)
{
	fd_close(seat->call_fd);
	fd_close(seat->notice_fd);
}

int virtio_seat_new(const struct virtio_seat_spec *spec, struct virtio_seat **ret, struct err *err)
{
	struct virtio_seat *seat = calloc(1, sizeof(*seat));
	int r;

	if (!seat)
		return err_sys(err, -ENOMEM, "virtio");
	seat->spec = *spec;
	seat->notice_fd = -1;
	seat->call_fd = machine_irq_fd(spec->machine, spec->line, err);
	r = seat->call_fd;
	if (r >= 0) {
		seat->notice_fd = machine_irq_fd(spec->machine, spec->line, err);
		r = seat->notice_fd;
	}
	if (r >= 0)
		r = virtio_seat_attach(seat, err);
	if (r < 0) {
		close_fds(seat);
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
	close_fds(seat);
	free(seat);
}
