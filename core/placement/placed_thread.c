/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices in this process; see placed.h. Joins an instance (core/device) to the VM, and one of a virtio class also to
 * the seam of core/virtio. */
#include "core/placement/placed.h"

#include "core/base/fd.h"
#include "core/device/vdev.h"
#include "core/placement/broker.h"
#include "core/placement/virtio.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

static_assert(BP_VIRTIO_QUEUES_MAX <= VIRTIO_QUEUES_MAX && BP_VIRTIO_SIZE_MAX <= VIRTIO_QUEUE_SIZE_MAX &&
		  BP_VIRTIO_CONFIG_MAX <= VIRTIO_CONFIG_BYTES_MAX,
	      "every class fits into a transport");

struct here {
	struct device *device;
	const struct values *values; /* the device's */
	struct placed_home home;
	struct placed_notices notices; /* constant while the device can tell anything */
};

/* ---- the device asks the VM ---- */

static int place_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range,
		       uint64_t base, uint64_t *ret_base, struct err *err)
{
	const struct here *here = ctx;

	return here->home.claim(here->home.ctx, device_id(device), range, base, device_access, device, cookie, ret_base,
				err);
}

static int place_release(void *ctx, uint32_t space, uint64_t base)
{
	const struct here *here = ctx;

	return here->home.release(here->home.ctx, space, base);
}

static void place_quit(void *ctx)
{
	const struct here *here = ctx;

	here->home.quit(here->home.ctx);
}

static int place_event(void *ctx, struct device *device, uint32_t event, uint64_t value)
{
	const struct here *here = ctx;

	return here->home.event(here->home.ctx, device_id(device), event, value);
}

static int place_connect(void *ctx, struct device *device, const struct device_connect *ask)
{
	const struct here *here = ctx;
	int fd = broker_connect(here->values, ask);

	if (!device_connected(device, ask->token, fd))
		fd_close(fd);
	return 0;
}

/* ---- the VM calls the device ---- */

static int here_start(void *ctx, struct err *err)
{
	const struct here *here = ctx;

	return device_start(here->device, err);
}

static void here_stop(void *ctx)
{
	const struct here *here = ctx;

	device_stop(here->device);
}

static void here_reset(void *ctx)
{
	const struct here *here = ctx;

	device_reset(here->device);
}

static int here_quiesce(void *ctx, struct err *err)
{
	const struct here *here = ctx;
	int r = device_quiesce(here->device);

	return r < 0 ? err_sys(err, r, "cannot be brought to rest") : 0;
}

static int here_resume(void *ctx, struct err *err)
{
	const struct here *here = ctx;

	return device_resume(here->device, err);
}

static int here_save(void *ctx, uint8_t **ret, size_t *ret_count, struct err *err)
{
	const struct here *here = ctx;

	return device_save(here->device, ret, ret_count, err);
}

static int here_load(void *ctx, const void *bytes, size_t count, struct err *err)
{
	const struct here *here = ctx;

	return device_load(here->device, bytes, count, err);
}

static void here_settle(void *ctx)
{
	/* An access returns when it has been done. */
	(void)ctx;
}

static void here_terminal_resized(void *ctx)
{
	const struct here *here = ctx;

	device_terminal_resized(here->device);
}

static void here_metrics_each(void *ctx, device_metric_fn *fn, void *arg)
{
	const struct here *here = ctx;

	device_metrics_each(here->device, fn, arg);
}

static void here_free(void *ctx)
{
	struct here *here = ctx;

	device_free(here->device);
	free(here);
}

/* ---- the transport calls a virtio device ---- */

static int backend_activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	const struct here *here = ctx;
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
	return vdev_activate(here->device,
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
	const struct here *here = ctx;

	vdev_reset(here->device);
}

static void backend_config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	const struct here *here = ctx;

	vdev_config_read(here->device, offset, buf, bytes);
}

static void backend_config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	const struct here *here = ctx;

	vdev_config_write(here->device, offset, buf, bytes);
}

static const struct virtio_backend_ops backend_ops = {
	.activate = backend_activate,
	.reset = backend_reset,
	.config_read = backend_config_read,
	.config_write = backend_config_write,
};

static void here_backend(void *ctx, struct virtio_backend *ret)
{
	const struct here *here = ctx;
	struct vdev_offer offer = vdev_offer(here->device);

	*ret = (struct virtio_backend){
		.ops = &backend_ops,
		.ctx = ctx,
		.device_id = offer.id,
		.vendor_id = VIRTIO_VENDOR_ID,
		.features = offer.features,
		.config_bytes = offer.config_bytes,
		.queue_count = offer.queue_count,
	};
	for (uint32_t i = 0; i < offer.queue_count; i++)
		ret->queue_sizes[i] = offer.queue_size;
}

/* ---- a virtio device tells its transport ---- */

static void notice_needs_reset(void *ctx)
{
	const struct here *here = ctx;

	here->notices.needs_reset(here->notices.ctx);
}

static void notice_config_changed(void *ctx)
{
	const struct here *here = ctx;

	here->notices.config_changed(here->notices.ctx);
}

static void here_attach(void *ctx, const struct placed_notices *notices)
{
	struct here *here = ctx;

	/* First nobody is told any more, which the device's lock sees to: then this may change. */
	vdev_attach(here->device, NULL);
	if (!notices)
		return;
	here->notices = *notices;
	vdev_attach(here->device, &(struct vdev_transport){
				      .needs_reset = notice_needs_reset,
				      .config_changed = notice_config_changed,
				      .ctx = here,
				  });
}

static const struct placed_ops here_ops = {
	.start = here_start,
	.stop = here_stop,
	.reset = here_reset,
	.quiesce = here_quiesce,
	.resume = here_resume,
	.save = here_save,
	.load = here_load,
	.settle = here_settle,
	.terminal_resized = here_terminal_resized,
	.metrics_each = here_metrics_each,
	.backend = here_backend,
	.attach = here_attach,
	.free = here_free,
};

int placed_thread_new(const struct device_spec *spec, const struct placed_home *home, struct placed *ret,
		      struct err *err)
{
	struct here *here = calloc(1, sizeof(*here));
	struct device_spec own = *spec;
	int r;

	if (!here)
		return err_sys(err, -ENOMEM, "device");
	here->home = *home;
	here->values = spec->values;
	/* A device here has its descriptors out of this process's. */
	fd_raise_limit(UINT64_MAX);
	own.place = (struct device_place){
		.claim = place_claim,
		.release = place_release,
		.quit = place_quit,
		.event = place_event,
		.connect = place_connect,
		.ctx = here,
	};
	r = device_new(&own, &here->device, err);
	if (r < 0) {
		free(here);
		return r;
	}
	*ret = (struct placed){ .ops = &here_ops, .ctx = here, .id = device_id(here->device) };
	return 0;
}
