/* SPDX-License-Identifier: BSD-3-Clause */
/* The device of a process: made from what the core sends, and ended. Main thread. */
#include "core/base/fd.h"
#include "core/base/values_pack.h"
#include "core/device/vdev.h"
#include "core/placement/child/host.h"
#include "core/placement/child/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes one descriptor out of those of the message. */
static int next_fd(struct host *host, size_t *at)
{
	return fd_take(&host->control.fds[(*at)++]);
}

/* Whether the numbers in the message agree with the class and with one another. */
static bool is_sound(const struct host *host, const struct plugin_class *class, const struct wire_create *spec)
{
	bool virtio = class->decl.virtio.id;

	return spec->irq_count == class->decl.irq_count && spec->region_count <= (virtio ? 0 : WIRE_REGIONS) &&
	       spec->value_fds <= VALUES_FDS_MAX &&
	       host->control.fd_count == virtio + spec->irq_count + spec->region_count + spec->value_fds;
}

static int map_page(struct host *host, size_t *at, struct err *err)
{
	FD_AUTO int fd = next_fd(host, at);
	void *page;
	int r = memory_map_page(fd, &page, err);

	if (r == 0)
		host->isr = page;
	return r;
}

static int map_memory(struct host *host, const struct wire_create *spec, size_t *at, struct err *err)
{
	struct memory_region regions[WIRE_REGIONS];
	int r;

	for (size_t i = 0; i < spec->region_count; i++)
		regions[i] = (struct memory_region){
			.gpa = spec->regions[i].gpa,
			.bytes = spec->regions[i].bytes,
			.offset = spec->regions[i].offset,
		};
	r = memory_map(&host->mem, spec->region_count, regions, host->control.fds + *at, err);
	/* Mapped, or of no use: in both cases they are closed with the message. */
	*at += spec->region_count;
	return r;
}

static int unpack_values(struct host *host, const struct wire_create *spec, const struct schema *schema, size_t at,
			 struct values **ret, struct err *err)
{
	size_t bytes = 0, left = 0;
	FREE_AUTO uint8_t *blob = wire_take_blob(&host->control, &bytes);
	struct values_fds fds = { .count = spec->value_fds };
	struct pack_reader reader;
	struct values *values;
	int r;

	for (size_t i = 0; i < fds.count; i++)
		fds.fds[i] = next_fd(host, &at);
	unpack_begin(&reader, blob, bytes);
	r = values_unpack(&reader, schema, &fds, &values, err);
	for (size_t i = 0; i < fds.count; i++) {
		left += fds.fds[i] >= 0;
		fd_close(fds.fds[i]);
	}
	if (r < 0)
		return r;
	r = left ? -EBADMSG : unpack_end(&reader);
	if (r < 0) {
		values_free(values);
		return err_set(err, r, "the values of the device have something left over");
	}
	*ret = values;
	return 0;
}

static int join_backend(struct host *host, struct wire_created *ret, struct err *err)
{
	const struct vhost_backend_spec spec = {
		.device = host->device,
		.fd = WIRE_FD_VHOST,
		.isr = host->isr,
		.mem = &host->mem,
	};
	struct vdev_offer offer = vdev_offer(host->device);

	ret->features = offer.features;
	ret->queue_count = offer.queue_count;
	return vhost_backend_new(&spec, &host->backend, err);
}

int host_create(struct host *host, const struct wire_create *spec, struct wire_created *ret, struct err *err)
{
	const struct plugin_class *class = plugin_find_class(host->plugin, spec->class_name);
	struct device_spec device = {
		.id = spec->id,
		.mem = &host->mem,
		.vcpus = spec->vcpus,
		.identity = spec->identity,
		.place = host_place,
	};
	size_t at = 0, irqs;
	int r = 0;

	if (!class || !is_sound(host, class, spec))
		return err_set(err, -EPROTO, "a device was asked for that the plugin cannot have declared");
	device.class = class;
	device.place.ctx = host;
	memcpy(device.bases, spec->bases, sizeof(device.bases));
	if (class->decl.virtio.id)
		r = map_page(host, &at, err);
	for (irqs = 0; irqs < spec->irq_count; irqs++)
		device.irq_fds[irqs] = next_fd(host, &at);
	if (r == 0)
		r = map_memory(host, spec, &at, err);
	if (r == 0)
		r = unpack_values(host, spec, class->decl.schema, at, &device.values, err);
	if (r == 0)
		r = device_new(&device, &host->device, err);
	if (r < 0) {
		values_free(device.values);
		while (irqs)
			fd_close(device.irq_fds[--irqs]);
	} else if (class->decl.virtio.id) {
		r = join_backend(host, ret, err);
	}
	if (r < 0)
		host_end(host);
	return r;
}

void host_end(struct host *host)
{
	if (host->device) {
		device_stop(host->device);
		/* The plugin may still give chains back in destroy, when the memory that they lie in has gone: none of
		 * them counts any more. */
		if (host->backend)
			device_reset(host->device);
	}
	vhost_backend_free(host->backend);
	host->backend = NULL;
	device_free(host->device);
	host->device = NULL;
	memory_unmap(&host->mem);
	memory_unmap_page(host->isr);
	host->isr = NULL;
}
