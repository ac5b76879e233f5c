/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances: lifecycle, accesses, tags; see device.h. */
#include "core/device/internal.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Callbacks on [dev] that took longer than SLOW are told at info level, than VERY_SLOW as a warning. */
#define SLOW_NS      (10 * NS_PER_MS)
#define VERY_SLOW_NS (100 * NS_PER_MS)
/* Fewer ticks than this are never SLOW, on any processor's counter: they need no closer look. */
#define QUICK_TICKS  UINT64_C(200000)

_Thread_local struct device_context device_context;

/* A moment on both clocks, from which ticks are turned into time. */
static struct {
	pthread_once_t once;
	uint64_t ticks;
	uint64_t ns;
} epoch = { .once = PTHREAD_ONCE_INIT };

static void epoch_set(void)
{
	epoch.ticks = clock_ticks();
	epoch.ns = clock_now_ns();
}

struct device_context device_enter_main(struct device *device, const char *callback)
{
	struct device_context before = device_context;

	device_context = (struct device_context){ .device = device, .callback = callback, .tag = DEVICE_TAG_MAIN };
	return before;
}

void device_leave_main(struct device_context before)
{
	device_context = before;
}

uint64_t device_enter(struct device *device, const char *callback)
{
	lock_take(&device->lock);
	/* `lap` is 0: whoever sets it has leave_settling() put it back. */
	device_context.device = device;
	device_context.callback = callback;
	device_context.tag = DEVICE_TAG_DEV;
	return clock_ticks();
}

/* Out of the way of callbacks that do not take long. */
static __attribute__((cold, noinline)) void look_closer(struct device *device, const char *callback, uint64_t ticks)
{
	uint64_t ns = clock_now_ns() - epoch.ns, all_ticks = clock_ticks() - epoch.ticks, took_ns;

	if (!all_ticks)
		return;
	took_ns = (uint64_t)((__uint128_t)ticks * ns / all_ticks);
	if (took_ns >= SLOW_NS)
		device_log(device, took_ns >= VERY_SLOW_NS ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
			   "%s took %" PRIu64 " ms; a callback must not block", callback, took_ns / NS_PER_MS);
}

/* Gives the lock, and looks how long the callback took. */
static __attribute__((cold, noinline)) void leave_late(struct device *device, uint64_t ticks)
{
	const char *callback = device_context.callback;

	lock_give(&device->lock);
	look_closer(device, callback, ticks);
}

void device_lap(struct device *device)
{
	uint64_t now = clock_ticks(), since = device_context.lap;

	device_context.lap = now;
	device->settle = true;
	if (since && now - since >= QUICK_TICKS)
		look_closer(device, device_context.callback, now - since);
}

/* What was started in the callback begins, what was finished in it is told. */
static void settle(struct device *device)
{
	/* io first: what it completes at once is published with the rest. */
	device->settle = false;
	device_io_settle(device);
	if (device->vdev)
		vdev_settle(device);
	device->settle = false;
}

/* The end of a callback that has left something to do, or that had parts. */
static __attribute__((noinline)) void leave_settling(struct device *device, uint64_t since)
{
	uint64_t ticks;

	settle(device);
	ticks = clock_ticks() - (device_context.lap ? device_context.lap : since);
	device_context.lap = 0;
	device_context.device = NULL;
	if (ticks >= QUICK_TICKS)
		leave_late(device, ticks);
	else
		lock_give(&device->lock);
}

void device_leave(struct device *device, uint64_t since)
{
	uint64_t ticks;

	if (device->settle) {
		leave_settling(device, since);
		return;
	}
	ticks = clock_ticks() - since;
	/* The rest says nothing without a device, but for the name, for a closer look. */
	device_context.device = NULL;
	if (ticks >= QUICK_TICKS)
		leave_late(device, ticks);
	else
		lock_give(&device->lock);
}

bool device_on_tag(struct device *device, bool main, bool dev, const char *function)
{
	const struct device_context *context = &device_context;

	if (context->device == device &&
	    ((main && context->tag == DEVICE_TAG_MAIN) || (dev && context->tag == DEVICE_TAG_DEV)))
		return true;
	device_log(device, LOG_LEVEL_ERROR, "plugin error: %s was called from %s, where it is not allowed", function,
		   context->device == device ? context->callback
					     : "a thread of the plugin's own or for another device");
	return false;
}

void device_broken(struct device *device, const char *what)
{
	if (device->broken)
		return;
	device_log(device, LOG_LEVEL_WARN, "the guest's driver broke the device: %s; it is off until it is reset",
		   what);
	device->broken = true;
	device->settle = true;
}

void device_log(struct device *device, enum log_level level, const char *format, ...)
{
	char text[BP_TEXT_MAX];
	uint32_t dropped;
	va_list ap;

	if (level > log_get_level() || !log_limit_pass(&device->log_limit, &dropped))
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (dropped)
		log_line(level, "%s: %s (%" PRIu32 " lines of this device left out before)", device->id, text, dropped);
	else
		log_line(level, "%s: %s", device->id, text);
}

const char *device_id(const struct device *device)
{
	return device->id;
}

static int claim_declared(struct device *device, const uint64_t *bases, struct err *err)
{
	const struct class_decl *decl = &device->class->decl;

	for (uint32_t i = 0; i < decl->range_count; i++) {
		struct device_range *range = &device->ranges[i];
		uint64_t base;
		int r = device->place.claim(device->place.ctx, device, i, &decl->ranges[i], bases[i], &base, err);

		if (r < 0)
			return r;
		*range = (struct device_range){ .claimed = true, .what = decl->ranges[i], .base = base };
	}
	return 0;
}

static void release_all(struct device *device)
{
	for (uint32_t i = 0; i < DEVICE_RANGES_MAX; i++)
		if (device->ranges[i].claimed) {
			device->place.release(device->place.ctx, device->ranges[i].what.space, device->ranges[i].base);
			device->ranges[i].claimed = false;
		}
}

/* Runs validate and create with one view of the values. */
static int create(struct device *device, struct err *err)
{
	const struct bp_device_class *callbacks = &device->class->callbacks;
	const struct bp_cfg *cfg = device_cfg_open(device, device->values);
	struct device_context before;
	void *self = NULL;
	int r = 0;

	if (!cfg)
		return err_sys(err, -ENOMEM, "cannot create the device");
	/* What a callback reports and then copes with does not explain why the next one fails. */
	device->error.text[0] = '\0';
	if (callbacks->validate) {
		before = device_enter_main(device, "validate");
		r = callbacks->validate(&device->head, cfg);
		device_leave_main(before);
	}
	if (r >= 0) {
		device->error.text[0] = '\0';
		before = device_enter_main(device, "create");
		r = callbacks->create(&device->head, cfg, &self);
		device_leave_main(before);
	}
	if (r < 0) {
		if (device->error.text[0])
			return err_set(err, r, "%s", device->error.text);
		return err_sys(err, r, "the plugin cannot create the device");
	}
	if (!self)
		return err_set(err, -EINVAL, "the plugin created the device without a state");
	device->self = self;
	return 0;
}

static void destroy(struct device *device)
{
	struct device_context before = device_enter_main(device, "destroy");

	device->class->callbacks.destroy(device->self);
	device_leave_main(before);
}

/* Frees everything but what the caller of device_new() keeps on failure: values and irq_fds. */
static void dismantle(struct device *device)
{
	for (size_t i = 0; i < DEVICE_STREAMS_MAX; i++)
		stream_free(device->streams[i]);
	device_io_free(device);
	device_cfg_close(device);
	vdev_free(device);
	device_metrics_free(device);
	device_jobs_stop(device);
	device_jobs_destroy(&device->jobs);
	device_connects_end(device);
	device_connects_destroy(&device->connects);
	device_loop_destroy(&device->loop);
	pthread_mutex_destroy(&device->pin_lock);
	free(device->id);
	free(device);
}

int device_new(const struct device_spec *spec, struct device **ret, struct err *err)
{
	struct device *device = calloc(1, sizeof(*device));
	int r;

	if (!device)
		return err_sys(err, -ENOMEM, "cannot create the device");
	pthread_once(&epoch.once, epoch_set);
	lock_init(&device->lock);
	pthread_mutex_init(&device->pin_lock, NULL);
	device_jobs_init(&device->jobs);
	device_connects_init(&device->connects);
	device->head.host = &device_host;
	device->class = spec->class;
	device->values = spec->values;
	device->mem = spec->mem;
	device->vcpus = spec->vcpus;
	device->identity = spec->identity;
	device->place = spec->place;
	memcpy(device->irq_fds, spec->irq_fds, sizeof(device->irq_fds));
	device->id = strdup(spec->id);
	r = device_loop_init(&device->loop);
	if (r < 0 || !device->id) {
		r = err_sys(err, r < 0 ? r : -ENOMEM, "cannot create the device");
		goto fail;
	}
	r = device->class->decl.virtio.id ? vdev_new(device) : 0;
	if (r < 0) {
		err_sys(err, r, "cannot create the device");
		goto fail;
	}
	r = claim_declared(device, spec->bases, err);
	if (r < 0)
		goto fail;
	r = create(device, err);
	if (r < 0)
		goto fail;
	r = device->vdev ? vdev_make_queues(device) : 0;
	if (r < 0) {
		err_sys(err, r, "cannot create the device");
		/* Jobs that create has begun are over before the plugin's state is. */
		device_jobs_stop(device);
		destroy(device);
		goto fail;
	}
	device->state = DEVICE_CREATED;
	*ret = device;
	return 0;
fail:
	release_all(device);
	dismantle(device);
	return r;
}

void device_free(struct device *device)
{
	struct values *values;

	if (!device)
		return;
	device_stop(device);
	release_all(device);
	destroy(device);
	if (device->pin_count)
		device_log(device, LOG_LEVEL_WARN, "plugin error: %zu slices of guest memory were never unpinned",
			   device->pin_count);
	for (size_t i = 0; i < device->class->decl.irq_count; i++)
		fd_close(device->irq_fds[i]);
	values = device->values;
	dismantle(device);
	values_free(values);
}

/* The counterpart of a start that was fine. */
static void call_stop(struct device *device)
{
	struct device_context before = device_enter_main(device, "stop");

	if (device->class->callbacks.stop)
		device->class->callbacks.stop(device->self);
	device_leave_main(before);
}

int device_start(struct device *device, struct err *err)
{
	const struct bp_device_class *callbacks = &device->class->callbacks;
	uint64_t since;
	int r = 0;

	device->error.text[0] = '\0';
	if (callbacks->start) {
		struct device_context before = device_enter_main(device, "start");

		r = callbacks->start(device->self);
		device_leave_main(before);
	}
	if (r < 0) {
		device_connects_end(device);
		if (device->error.text[0])
			return err_set(err, r, "%s", device->error.text);
		return err_sys(err, r, "the plugin cannot start the device");
	}
	r = device_loop_start(device, err);
	if (r < 0) {
		device_connects_end(device);
		device_jobs_stop(device);
		call_stop(device);
		return r;
	}
	since = device_enter(device, "stream callback");
	device->state = DEVICE_RUNNING;
	device_connects_look_again(device);
	for (size_t i = 0; i < DEVICE_STREAMS_MAX; i++)
		if (device->streams[i])
			stream_start(device->streams[i]);
	device_leave(device, since);
	return 0;
}

void device_stop(struct device *device)
{
	bool ran;

	device_loop_stop(device);
	device_jobs_stop(device);
	device_connects_end(device);
	lock_take(&device->lock);
	ran = device->state == DEVICE_RUNNING || device->state == DEVICE_QUIET;
	device->state = DEVICE_STOPPED;
	device_io_end(device);
	lock_give(&device->lock);
	if (!ran)
		return;
	call_stop(device);
	for (size_t i = 0; i < DEVICE_STREAMS_MAX; i++)
		if (device->streams[i])
			stream_flush_last(device->streams[i]);
}

int device_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct device *device = ctx;
	struct bp_access access = {
		.size = sizeof(access),
		.range = cookie,
		.offset = offset,
		.width = width,
		.write = write,
	};
	uint64_t since = device_enter(device, "access");
	int r = -ENODEV;

	if (device->state == DEVICE_RUNNING && !device->broken)
		r = device->class->callbacks.access(device->self, &access, value);
	device_leave(device, since);
	return r;
}

void device_reset_entered(struct device *device)
{
	device_io_end(device);
	if (device->state == DEVICE_RUNNING || device->state == DEVICE_CREATED || device->state == DEVICE_QUIET)
		device->class->callbacks.reset(device->self);
	/* Behind the plugin's reset, in which it may still give chains back. */
	if (device->vdev)
		vdev_close(device);
	device->broken = false;
}

void device_reset(struct device *device)
{
	uint64_t since = device_enter(device, "reset");

	device_reset_entered(device);
	device_leave(device, since);
}

void device_wait_free(struct device *device)
{
	lock_take(&device->lock);
	lock_give(&device->lock);
}
