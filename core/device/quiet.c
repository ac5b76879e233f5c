/* SPDX-License-Identifier: BSD-3-Clause */
/* A device at rest: quiesce, save, load, resume; see device.h. Main thread. */
#include "core/device/internal.h"

#include "core/device/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

int device_quiesce(struct device *device)
{
	uint64_t since = device_enter(device, "quiesce");
	int r = device->state == DEVICE_RUNNING ? 0 : -EINVAL;

	if (r == 0) {
		if (device->class->callbacks.quiesce)
			device->class->callbacks.quiesce(device->self);
		device->state = DEVICE_QUIET;
	}
	device_leave(device, since);
	if (r < 0)
		return r;
	/* What is under way ends with the loop still there to tell of it. */
	device_jobs_wait(device);
	since = device_enter(device, "io callback");
	device_io_finish(device);
	device_leave(device, since);
	device_loop_stop(device);
	return 0;
}

int device_resume(struct device *device, struct err *err)
{
	uint64_t since;
	int r;

	if (device->state != DEVICE_QUIET)
		return err_set(err, -EINVAL, "the device is not at rest");
	r = device_loop_start(device, err);
	if (r < 0)
		return r;
	since = device_enter(device, "resume");
	device->state = DEVICE_RUNNING;
	loop_look_again(device);
	device_connects_look_again(device);
	if (device->class->callbacks.resume)
		device->class->callbacks.resume(device->self);
	if (device->vdev)
		vdev_resume(device);
	device_leave(device, since);
	return 0;
}

int device_save(struct device *device, uint8_t **ret, size_t *ret_count, struct err *err)
{
	const struct bp_device_class *callbacks = &device->class->callbacks;
	struct state_writer writer;
	uint64_t since;
	int r, written;

	if (!callbacks->save)
		return err_set(err, -ENOTSUP, "devices of class \"%s\" cannot be saved", device->class->decl.name);
	if (device->state != DEVICE_QUIET)
		return err_set(err, -EINVAL, "the device is not at rest");
	r = state_writer_begin(&writer, &device_host, device->class->decl.state_version);
	if (r < 0)
		return err_sys(err, r, "state");
	since = device_enter(device, "save");
	r = callbacks->save(device->self, &writer.head);
	device_leave(device, since);
	written = state_writer_end(&writer, ret, ret_count);
	if (r >= 0 && written >= 0)
		return 0;
	if (written >= 0) {
		free(*ret);
		*ret = NULL;
	}
	return err_sys(err, r < 0 ? r : written, "the plugin cannot save its state");
}

/* The plugin's part of a load. */
static int load(struct device *device, struct state_reader *reader, struct err *err)
{
	uint64_t since = device_enter(device, "load");
	int r;

	device_reset_entered(device);
	r = device->class->callbacks.load(device->self, &reader->head, reader->version);
	device_leave(device, since);
	if (r < 0)
		return err_sys(err, r, "the plugin cannot load its state");
	return state_reader_end(reader, err);
}

int device_load(struct device *device, const void *bytes, size_t count, struct err *err)
{
	const struct bp_device_class *callbacks = &device->class->callbacks;
	struct state_reader *reader;
	int r;

	if (!callbacks->load)
		return err_set(err, -ENOTSUP, "devices of class \"%s\" cannot be loaded", device->class->decl.name);
	if (device->state != DEVICE_QUIET)
		return err_set(err, -EINVAL, "the device is not at rest");
	reader = malloc(sizeof(*reader));
	if (!reader)
		return err_sys(err, -ENOMEM, "state");
	r = state_reader_begin(reader, &device_host, bytes, count, err);
	if (r == 0 && (!reader->version || reader->version > device->class->decl.state_version))
		r = err_set(err, -EINVAL,
			    "the state is of version %" PRIu32 ", this plugin knows versions up to %" PRIu32,
			    reader->version, device->class->decl.state_version);
	if (r == 0) {
		r = load(device, reader, err);
		if (r < 0)
			device_reset(device);
	}
	free(reader);
	return r;
}
