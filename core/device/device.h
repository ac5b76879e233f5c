/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device instance: a plugin's class brought to life, with the mutex, the event loop and the host table that its code sees.
 * The same object code serves in the VMM and in a process of its own; where it lives is behind struct device_place.
 *
 *   state     entered by           allowed then
 *   created   device_new           device_start, device_free
 *   running   device_start         device_access, device_reset, device_quiesce, device_stop
 *   quiet     device_quiesce       device_save, device_load, device_reset, device_resume, device_stop
 *   stopped   device_stop          device_free
 * device_access, _reset, _metrics_each, _wait_free, _connected: any thread. All others: main thread.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include "core/base/gmem.h"
#include "core/base/values.h"
#include "core/device/plugin.h"

struct device;

#define DEVICE_CONNECTS_MAX 64 /* of a device at a time, that its plugin has not been told of */

/* What bp_connect() asks for: value `index` of parameter `param` of the device's own table, and the number behind its path. */
struct device_connect {
	uint32_t token; /* the device's name for it, of no other that has not been answered */
	uint32_t param;
	uint32_t index;
	uint32_t number;
};

/* What the runtime asks of the place that it runs in. Main thread, but for quit, event and connect. */
struct device_place {
	/* Claims a range whose accesses come back through device_access() with `cookie`. `base` may be BP_BASE_ANY. */
	int (*claim)(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		     uint64_t *ret_base, struct err *err);
	/* Gives it back; on return no access to it is under way. */
	int (*release)(void *ctx, uint32_t space, uint64_t base);
	/* [any] The user asked on the device's terminal that the VM ends. */
	void (*quit)(void *ctx);
	/* [any] The device, whose lock is held, tells of a BP_EVENT_*. Returns at once; what follows happens later, on another
	 * thread. -EINVAL for an event that is not known. */
	int (*event)(void *ctx, struct device *device, uint32_t event, uint64_t value);
	/* [any] The device wants a connection that its values allow (broker.h looks once more). Its lock is held, but in the plugin's start.
	 * Returns at once: 0, and device_connected() is called with the token, once, from within this call or later; or -errno. */
	int (*connect)(void *ctx, struct device *device, const struct device_connect *ask);
	void *ctx;
};

struct device_spec {
	const char *id;                   /* copied */
	const struct plugin_class *class; /* borrowed; outlives the device */
	struct values *values;     /* checked and opened; owned by the device from a successful device_new() on */
	const struct gmem *mem;    /* borrowed */
	uint32_t vcpus;            /* of the machine */
	uint64_t identity;         /* BP_INFO_IDENTITY */
	struct device_place place; /* copied */
	uint64_t bases[CLASS_RANGES_MAX]; /* of the declared ranges, which device_new() claims */
	int irq_fds[CLASS_IRQS_MAX];      /* eventfds; owned by the device from a successful device_new() on */
};

/* validate, create, and the claims of the declared ranges. -errno with one line; nothing is left behind then. */
int device_new(const struct device_spec *spec, struct device **ret, struct err *err);
void device_free(struct device *device); /* NULL is fine */

/* The plugin's start, then its event loop's thread. */
int device_start(struct device *device, struct err *err);
/* Ends the loop, then the plugin's stop. No callback but destroy follows. */
void device_stop(struct device *device);

/* One access; a bus_access_fn with the device as ctx. -ENODEV unless it runs and is not broken. */
int device_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value);

/* The plugin's reset; heals a broken device. */
void device_reset(struct device *device);

/* Brings the device to rest: what it has under way ends, its loop stops; accesses fail with -ENODEV from then on. -EINVAL unless it
 * runs. */
int device_quiesce(struct device *device);
/* Goes on from there. */
int device_resume(struct device *device, struct err *err);

/* The state of a device at rest, as bytes that the caller frees. -ENOTSUP for a class that cannot be saved. */
int device_save(struct device *device, uint8_t **ret, size_t *ret_count, struct err *err);
/* Resets the device and gives it that state; the bytes are hostile. After a failure it is reset, except where nothing of it was
 * touched (-ENOTSUP, and bytes that are no state of this class). */
int device_load(struct device *device, const void *bytes, size_t count, struct err *err);

/* Returns when the device's lock could be had: no callback is stuck in it. Any thread. */
void device_wait_free(struct device *device);

/* The answer to a device_connect: `fd` passes to the device, or is -errno. The plugin is told on its loop, once it runs; a device that
 * is stopped closes it. False, and the fd is the caller's still, if no such answer is due. Any thread. */
bool device_connected(struct device *device, uint32_t token, int fd);

/* The user's terminal has another size: streams that are on it tell the plugin. */
void device_terminal_resized(struct device *device);

/* Calls fn for each metric of the device, with its present value. Any thread, while the device exists. */
typedef void device_metric_fn(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg);
void device_metrics_each(struct device *device, device_metric_fn *fn, void *arg);

const char *device_id(const struct device *device);

#endif
