/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device of a VM, wherever its plugin runs: in a thread of this process (placed_thread.c) or in a process of its own
 * (process.h). What the VM does with a device and what a device wants of the VM goes through here, so that neither
 * knows of the other's place.
 *
 *   state     entered by                         allowed then
 *   made      placed_thread_new, process_create  start, reset, free; attach and backend of a virtio device
 *   running   start                              reset, quiesce, stop, settle, terminal_resized, metrics; accesses
 *   quiet     quiesce                            save, load, reset, resume, stop
 *   stopped   stop                               free
 *   failed    see below                          free
 *
 * A process that ended, hung or talked nonsense has failed, a thread never has. Every call returns -ENODEV or nothing
 * at once, register reads are all-ones, a virtio device needs a reset, and its activation fails; so until free.
 *
 * Main thread, but for accesses and what `backend` gives.
 */
#ifndef PLACEMENT_PLACED_H
#define PLACEMENT_PLACED_H

#include "core/device/device.h"
#include "core/machine/bus.h"
#include "core/virtio/backend.h"

/* What becomes of the VM when a device has failed; in the order of the words that the key takes. */
enum on_failure { ON_FAILURE_NEEDS_RESET, ON_FAILURE_STOP };

/* Why a device has failed. */
enum failure_cause {
	FAILURE_EXIT,     /* the process ended by itself; `detail` is its status */
	FAILURE_SIGNAL,   /* by a signal; `detail` is its number */
	FAILURE_HANG,     /* it did not answer in time */
	FAILURE_PROTOCOL, /* it broke the rules of wire.h or of vhost-user */
};

/* What a device asks of the VM. */
struct placed_home {
	/* As struct device_place's, with the function that answers accesses. */
	int (*claim)(void *ctx, const char *id, const struct class_range *range, uint64_t base, bus_access_fn *access,
		     void *access_ctx, uint32_t cookie, uint64_t *ret_base, struct err *err);
	int (*release)(void *ctx, uint32_t space, uint64_t base);
	/* [any] */
	void (*quit)(void *ctx);
	/* [any] */
	int (*event)(void *ctx, const char *id, uint32_t event, uint64_t value);
	/* [main] The device has failed, and is in that state already; told once, after the line in the log. */
	void (*failed)(void *ctx, const char *id);
	void *ctx;
};

/* What a virtio device tells its transport; as struct vdev_transport. Any thread. */
struct placed_notices {
	void (*needs_reset)(void *ctx);
	void (*config_changed)(void *ctx);
	void *ctx;
};

struct placed_ops {
	int (*start)(void *ctx, struct err *err);
	void (*stop)(void *ctx);
	void (*reset)(void *ctx);
	int (*quiesce)(void *ctx, struct err *err);
	int (*resume)(void *ctx, struct err *err);
	int (*save)(void *ctx, uint8_t **ret, size_t *ret_count, struct err *err);
	int (*load)(void *ctx, const void *bytes, size_t count, struct err *err);
	/* No vCPU runs: returns when what the guest has written to registers before has been done, and home->event has
	 * been told of what came of it. */
	void (*settle)(void *ctx);
	void (*terminal_resized)(void *ctx);
	void (*metrics_each)(void *ctx, device_metric_fn *fn, void *arg);
	/* Virtio devices: what its transport is made of. Valid until free; the ops may be called until then, also in
	 * the state failed. */
	void (*backend)(void *ctx, struct virtio_backend *ret);
	/* Virtio devices: where notices go; NULL: nowhere. As vdev_attach(). */
	void (*attach)(void *ctx, const struct placed_notices *notices);
	void (*free)(void *ctx);
};

struct placed {
	const struct placed_ops *ops;
	void *ctx;
	const char *id;         /* borrowed from the device */
	struct virtio_isr *isr; /* virtio: its interrupt status, where the device's process can set it; else NULL */
};

/* A device in this process: device_new() with its place made of `home` (copied). `spec->place` is not looked at. */
int placed_thread_new(const struct device_spec *spec, const struct placed_home *home, struct placed *ret,
		      struct err *err);

#endif
