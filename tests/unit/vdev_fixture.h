/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device whose plugin is the test, with two queues, and its driver and transport, which are the test as well. What a request
 * does is a hook; without one it is completed at once, with as much written to it as its buffers take of "pong".
 */
#ifndef TESTS_UNIT_VDEV_FIXTURE_H
#define TESTS_UNIT_VDEV_FIXTURE_H

#include "core/base/fd.h"
#include "core/device/device.h"
#include "core/device/internal.h"
#include "core/device/vdev.h"

#include "tests/unit/ring_driver.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#define QUEUES       2u
#define QUEUE_SIZE   64u
#define CONFIG_BYTES 16u
#define FEATURES     UINT64_C(0x7)
#define ALL_FEATURES (FEATURES | UINT64_C(1) << 28 | UINT64_C(1) << 29 | UINT64_C(1) << 32)
#define KEPT_MAX     QUEUE_SIZE

struct vsubject {
	struct plugin_class class;
	struct device_spec spec;
	struct device *device;
	struct bp_dev *dev;
	struct ring_driver driver;
	struct virtio_isr isr;
	int kick_fds[QUEUES];
	int call_fd;
	int file_fd; /* what create opens an io engine for, or -1 */
	uint32_t engine;
	struct bp_io *io;
	struct err err;
	int (*create)(struct vsubject *subject); /* hooks; may be NULL */
	void (*request)(struct vsubject *subject, struct bp_chain *chain);
	void (*config)(struct vsubject *subject, uint32_t offset, uint32_t bytes);
	struct bp_chain *kept[KEPT_MAX]; /* by hooks, under the device's lock */
	size_t kept_count;
	struct event requests, activations, resets, done;
	uint64_t activated_features;
	uint32_t activated_queues;
	atomic_uint needs_reset, config_notices;
	int64_t result;
	void *extra;
};

static struct vsubject *vsubject_now;

/* ---- the plugin ---- */

static inline void keep(struct vsubject *subject, struct bp_chain *chain)
{
	MUST(subject->kept_count < KEPT_MAX);
	subject->kept[subject->kept_count++] = chain;
}

static int v_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret)
{
	struct vsubject *subject = vsubject_now;
	int r = 0;

	(void)cfg;
	subject->dev = dev;
	if (subject->create)
		r = subject->create(subject);
	if (r == 0 && subject->file_fd >= 0)
		r = bp_io_open(dev, subject->file_fd, subject->engine, 8, &subject->io);
	*ret = subject;
	return r;
}

static void v_reset(void *self)
{
	struct vsubject *subject = self;

	subject->kept_count = 0;
	event_post(&subject->resets);
}

static void v_destroy(void *self)
{
	(void)self;
}

static void v_activate(void *self, uint64_t features, uint32_t queues)
{
	struct vsubject *subject = self;

	subject->activated_features = features;
	subject->activated_queues = queues;
	event_post(&subject->activations);
}

static void v_request(void *self, struct bp_chain *chain)
{
	struct vsubject *subject = self;

	if (subject->request) {
		subject->request(subject, chain);
	} else {
		bp_chain_write(chain, "pong", 4);
		bp_chain_complete(chain);
	}
	event_post(&subject->requests);
}

static void v_config(void *self, uint32_t offset, uint32_t bytes)
{
	struct vsubject *subject = self;

	if (subject->config)
		subject->config(subject, offset, bytes);
}

static const struct bp_virtio_class v_virtio = {
	BP_VIRTIO_CLASS_INIT,         .id = 42,
	.queue_count = QUEUES,        .queue_size = QUEUE_SIZE,
	.config_bytes = CONFIG_BYTES, .scratch_bytes = 24,
	.features = FEATURES,         .activate = v_activate,
	.request = v_request,         .config_changed = v_config,
};

static const struct bp_device_class v_class __attribute__((unused)) = {
	BP_DEVICE_CLASS_INIT, .name = "vsubject",   .create = v_create,
	.reset = v_reset,     .destroy = v_destroy, .virtio = &v_virtio,
};

/* A test of a plugin puts the plugin's class in the place of this one. */
#ifndef VSUBJECT_CLASS
#define VSUBJECT_CLASS (&v_class)
#endif

/* ---- the transport ---- */

static void v_needs_reset(void *ctx)
{
	struct vsubject *subject = ctx;

	atomic_fetch_add(&subject->needs_reset, 1);
}

static void v_config_changed(void *ctx)
{
	struct vsubject *subject = ctx;

	atomic_fetch_add(&subject->config_notices, 1);
}

static inline struct vdev_setup v_setup(struct vsubject *subject, struct vdev_queue_setup queues[QUEUES],
					uint64_t features)
{
	for (uint32_t i = 0; i < QUEUES; i++)
		queues[i] = (struct vdev_queue_setup){
			.ready = i == 0,
			.size = subject->driver.size,
			.desc_gpa = RING_DESC,
			.avail_gpa = RING_AVAIL,
			.used_gpa = RING_USED,
			.kick_fd = subject->kick_fds[i],
			.call_fd = subject->call_fd,
		};
	return (struct vdev_setup){
		.features = features,
		.isr = &subject->isr,
		.queue_count = QUEUES,
		.queues = queues,
	};
}

/* DRIVER_OK, with the first queue. */
static inline void v_activate_device(struct vsubject *subject, uint64_t features)
{
	struct vdev_queue_setup queues[QUEUES];
	struct vdev_setup setup = v_setup(subject, queues, features);

	if (vdev_activate(subject->device, &setup, &subject->err) < 0)
		fail_msg("%s", subject->err.text);
}

/* The driver starts anew after a reset. */
static inline void v_clear_rings(struct vsubject *subject)
{
	memset(ring_at(&subject->driver, RING_AVAIL), 0, 0x4000);
	subject->driver.avail_idx = 0;
	subject->driver.used_seen = 0;
}

static inline void kick(struct vsubject *subject)
{
	fd_event_signal(subject->kick_fds[0]);
}

/* Until the device has shown `idx` used entries; false when patience ends. */
static inline bool wait_used(struct vsubject *subject, uint16_t idx)
{
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (ring_used_idx(&subject->driver) == idx)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* Until an interrupt comes; how many have, 0 when patience ends. */
static inline uint64_t wait_call(struct vsubject *subject)
{
	struct pollfd ready = { .fd = subject->call_fd, .events = POLLIN };

	return poll(&ready, 1, PATIENCE_S * 1000) == 1 ? fd_event_clear(subject->call_fd) : 0;
}

/* Waits for the callback that is under way, if one is. */
static inline void pass(struct vsubject *subject)
{
	device_leave(subject->device, device_enter(subject->device, "test"));
}

/* ---- its life ---- */

static int v_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		   uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)base, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static inline void vsubject_init(struct vsubject *subject, const char *id)
{
	struct place nowhere = { .file = "test", .line = 1 };

	memset(subject, 0, sizeof(*subject));
	ring_init(&subject->driver, QUEUE_SIZE);
	MUST(class_copy(VSUBJECT_CLASS, &subject->class, &subject->err) == 0);
	subject->spec = (struct device_spec){
		.id = id,
		.class = &subject->class,
		.mem = &subject->driver.mem,
		.place = { .claim = v_claim, .ctx = subject },
	};
	MUST(values_new(subject->class.decl.schema, "devices.test", nowhere, &subject->spec.values) == 0);
	for (uint32_t i = 0; i < QUEUES; i++)
		subject->kick_fds[i] = fd_event();
	subject->call_fd = fd_event();
	subject->file_fd = -1;
	subject->requests = (struct event)EVENT_INIT;
	subject->activations = (struct event)EVENT_INIT;
	subject->resets = (struct event)EVENT_INIT;
	subject->done = (struct event)EVENT_INIT;
}

static inline void vsubject_run(struct vsubject *subject)
{
	int r;

	vsubject_now = subject;
	r = device_new(&subject->spec, &subject->device, &subject->err);
	vsubject_now = NULL;
	if (r < 0)
		fail_msg("%s", subject->err.text);
	vdev_attach(subject->device, &(struct vdev_transport){ .needs_reset = v_needs_reset,
							       .config_changed = v_config_changed,
							       .ctx = subject });
	assert_int_equal(device_start(subject->device, &subject->err), 0);
}

static inline void vsubject_end(struct vsubject *subject)
{
	if (!subject->driver.mem.count)
		return;
	if (subject->device)
		device_free(subject->device);
	else
		values_free(subject->spec.values);
	class_free(&subject->class);
	for (uint32_t i = 0; i < QUEUES; i++)
		fd_close(subject->kick_fds[i]);
	fd_close(subject->call_fd);
	fd_close(subject->file_fd);
	ring_end(&subject->driver);
}

/* ---- requests ---- */

/* A buffer to write in each descriptor. */
static inline void v_fill(struct vsubject *subject)
{
	for (uint32_t i = 0; i < subject->driver.size; i++)
		ring_set(&subject->driver, RING_DESC, i, RING_DATA + 0x100u * i, 0x100, RING_F_WRITE, 0);
}

static inline void v_offer(struct vsubject *subject, uint16_t first, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++)
		ring_enter(&subject->driver, (uint16_t)(first + i));
	ring_show(&subject->driver);
}

/* ---- two of them for each test ---- */

struct vfixture {
	struct vsubject one, two;
};

static inline int vsetup(void **state)
{
	static struct vfixture fixture;

	vsubject_init(&fixture.one, "one");
	vsubject_init(&fixture.two, "two");
	*state = &fixture;
	return 0;
}

static inline int vteardown(void **state)
{
	struct vfixture *fixture = *state;

	log_release();
	vsubject_end(&fixture->one);
	vsubject_end(&fixture->two);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vsetup, vteardown)

#endif
