/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio device behind vhost-user, from its transport to its plugin, both of which are the test: the subject of
 * vdev_fixture.h with its backend on a thread of its own, a frontend and a struct virtio_device on it. Each side has
 * its own mapping of the guest's memory, as in two processes.
 */
#ifndef TESTS_UNIT_VHOST_FIXTURE_H
#define TESTS_UNIT_VHOST_FIXTURE_H

#include "core/base/clock.h"
#include "core/base/msg.h"
#include "core/placement/child/vhost_backend.h"
#include "core/placement/vhost_frontend.h"
#include "core/placement/wire/vhost.h"
#include "core/virtio/device.h"

#include "tests/unit/vdev_fixture.h"

#include <sys/socket.h>

#define VENDOR       0x1234u
#define PATIENCE_NS  (PATIENCE_S * NS_PER_S)
#define STATUS_BEGUN (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define STATUS_READY (STATUS_BEGUN | VIRTIO_STATUS_FEATURES_OK)
#define STATUS_ON    (STATUS_READY | VIRTIO_STATUS_DRIVER_OK)

/* The second queue's rings. */
#define RING2_DESC   RING_TABLE
#define RING2_AVAIL  (RING_TABLE + 0x8000)
#define RING2_USED   (RING_TABLE + 0xa000)

struct link {
	struct vsubject subject;
	struct gmem peer; /* the backend's view of memory */
	struct process_memory memory;
	int sockets[2]; /* the frontend's, the backend's */
	struct vhost_backend *backend;
	struct err backend_err;
	int backend_result; /* of the last vhost_backend_mind() */
	int stop_fd;
	bool serving;
	pthread_t server;
	struct vhost_frontend_spec spec;
	struct vhost_frontend *frontend;
	struct virtio_device *device;
	atomic_uint failures;
	int failure;
	char why[256];
	struct err err;
};

/* ---- memory ---- */

/* As ring_init(), but of files that another process could map. */
static inline void link_memory(struct link *link)
{
	static const uint64_t gpas[] = { RING_RAM, RING_RAM_NEXT, RING_RAM_FAR };
	struct ring_driver *driver = &link->subject.driver;

	ring_end(driver);
	for (size_t i = 0; i < COUNT_OF(gpas); i++) {
		int fd = fd_memfd("ram", RING_REGION);
		uint8_t *host = mmap(NULL, RING_REGION + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		MUST(fd >= 0 && host != MAP_FAILED);
		MUST(mmap(host, RING_REGION, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == host);
		driver->mem.regions[driver->mem.count++] =
		    (struct gmem_region){ .gpa = gpas[i], .bytes = RING_REGION, .host = host };
		link->memory.regions[i].gpa = gpas[i];
		link->memory.regions[i].bytes = RING_REGION;
		link->memory.regions[i].offset = 0;
		link->memory.regions[i].fd = fd;
		link->memory.count = i + 1;
	}
}

/* ---- the backend ---- */

static inline void *link_serve(void *arg)
{
	struct link *link = arg;
	struct pollfd polled[2] = { { .fd = link->sockets[1], .events = POLLIN },
				    { .fd = link->stop_fd, .events = POLLIN } };

	for (;;) {
		MUST(poll(polled, 2, -1) > 0);
		if (polled[1].revents)
			return NULL;
		link->backend_result = vhost_backend_mind(link->backend, &link->backend_err);
		if (link->backend_result < 0)
			return NULL;
	}
}

static inline void link_serve_begin(struct link *link)
{
	fd_event_clear(link->stop_fd);
	MUST(pthread_create(&link->server, NULL, link_serve, link) == 0);
	link->serving = true;
}

/* Nobody minds the backend from here on. */
static inline void link_serve_end(struct link *link)
{
	if (!link->serving)
		return;
	fd_event_signal(link->stop_fd);
	MUST(thread_join(link->server));
	link->serving = false;
}

/* The device with its backend. */
static inline void link_backend(struct link *link)
{
	struct vsubject *subject = &link->subject;
	struct vhost_backend_spec spec;

	subject->spec.mem = &link->peer;
	vsubject_now = subject;
	if (device_new(&subject->spec, &subject->device, &subject->err) < 0)
		fail_msg("%s", subject->err.text);
	vsubject_now = NULL;
	spec = (struct vhost_backend_spec){
		.device = subject->device,
		.fd = link->sockets[1],
		.isr = &subject->isr,
		.mem = &link->peer,
	};
	assert_int_equal(vhost_backend_new(&spec, &link->backend, &link->err), 0);
	assert_int_equal(device_start(subject->device, &subject->err), 0);
}

/* ---- the frontend ---- */

static inline void link_failed(void *ctx, int error, const char *why)
{
	struct link *link = ctx;

	link->failure = error;
	snprintf(link->why, sizeof(link->why), "%s", why);
	atomic_fetch_add(&link->failures, 1);
}

static inline void link_needs_reset(void *ctx)
{
	struct link *link = ctx;

	virtio_device_needs_reset(link->device);
}

static inline void link_config_changed(void *ctx)
{
	struct link *link = ctx;

	virtio_device_config_changed(link->device);
}

static inline int link_frontend(struct link *link)
{
	struct virtio_device_spec spec = { .name = "test",
					   .isr = &link->subject.isr,
					   .call_fd = link->subject.call_fd,
					   .notice_fd = link->subject.call_fd };
	int r = vhost_frontend_new(&link->spec, &link->frontend, &link->err);

	if (r < 0)
		return r;
	link->sockets[0] = -1;
	vhost_frontend_backend(link->frontend, &spec.backend);
	assert_int_equal(virtio_device_new(&spec, &link->device, &link->err), 0);
	vhost_frontend_attach(link->frontend, &(struct placed_notices){ .needs_reset = link_needs_reset,
									.config_changed = link_config_changed,
									.ctx = link });
	return 0;
}

/* Minds the frontend if there is something to mind within a while. False: there is not. */
static inline bool link_mind(struct link *link)
{
	struct pollfd polled = { .fd = vhost_frontend_fd(link->frontend), .events = POLLIN };

	if (poll(&polled, 1, PATIENCE_S * 1000) != 1)
		return false;
	vhost_frontend_mind(link->frontend);
	return true;
}

static inline bool link_quiet(const struct link *link)
{
	struct pollfd polled = { .fd = vhost_frontend_fd(link->frontend), .events = POLLIN };

	return poll(&polled, 1, 0) == 0;
}

/* ---- the driver ---- */

static inline void link_set_queue(struct link *link, uint32_t queue, const uint64_t gpas[3])
{
	virtio_device_set_queue_size(link->device, queue, QUEUE_SIZE);
	for (uint32_t i = 0; i < 3; i++) {
		virtio_device_set_queue_address(link->device, queue, (enum virtio_queue_address)i, false,
						(uint32_t)gpas[i]);
		virtio_device_set_queue_address(link->device, queue, (enum virtio_queue_address)i, true,
						(uint32_t)(gpas[i] >> 32));
	}
	virtio_device_set_queue_ready(link->device, queue, 1);
}

/* Up to the queues, with what the device offers. */
static inline void link_negotiate(struct link *link)
{
	virtio_device_set_status(link->device, VIRTIO_STATUS_ACKNOWLEDGE);
	virtio_device_set_status(link->device, STATUS_BEGUN);
	for (uint32_t word = 0; word < 2; word++)
		virtio_device_set_driver_features(link->device, word, virtio_device_features(link->device, word));
	virtio_device_set_status(link->device, STATUS_READY);
}

/* All the way, with queue 0, or both. What the status is then. */
static inline uint32_t link_start(struct link *link, bool both)
{
	static const uint64_t first[] = { RING_DESC, RING_AVAIL, RING_USED };
	static const uint64_t second[] = { RING2_DESC, RING2_AVAIL, RING2_USED };

	link_negotiate(link);
	link_set_queue(link, 0, first);
	if (both)
		link_set_queue(link, 1, second);
	virtio_device_set_status(link->device, STATUS_ON);
	return virtio_device_status(link->device);
}

static inline void link_reset(struct link *link)
{
	virtio_device_set_status(link->device, 0);
	v_clear_rings(&link->subject);
}

static inline void link_kick(struct link *link, uint32_t queue)
{
	fd_event_signal(virtio_device_kick_fd(link->device, queue));
}

/* A request of queue 0 comes back, with an interrupt. */
static inline void link_round_trip(struct link *link)
{
	struct vsubject *subject = &link->subject;
	uint16_t idx = ring_used_idx(&subject->driver);

	v_fill(subject);
	ring_set_used_event(&subject->driver, idx);
	v_offer(subject, (uint16_t)(idx % QUEUE_SIZE), 1);
	link_kick(link, 0);
	assert_true(wait_used(subject, (uint16_t)(idx + 1)));
	assert_true(wait_call(subject) > 0);
}

/* A head that is none. */
static inline void break_ring(struct link *link)
{
	ring_offer(&link->subject.driver, QUEUE_SIZE);
	link_kick(link, 0);
}

static inline uint64_t get_config(struct link *link, uint64_t offset, uint32_t bytes)
{
	uint64_t value = 0;

	assert_int_equal(virtio_device_config_read(link->device, offset, bytes, &value), 0);
	return value;
}

/* ---- for each test ---- */

/* Sockets and memory only. */
static inline int link_setup_bare(void **state)
{
	static struct link link;

	memset(&link, 0, sizeof(link));
	vsubject_init(&link.subject, "test");
	link_memory(&link);
	MUST(msg_pair(SOCK_STREAM, link.sockets) == 0);
	link.stop_fd = fd_event();
	link.spec = (struct vhost_frontend_spec){
		.id = "test",
		.fd = link.sockets[0],
		.gone_fd = -1,
		.deadline_ns = PATIENCE_NS,
		.device_id = 42,
		.vendor_id = VENDOR,
		.queue_max = QUEUES,
		.queue_size = QUEUE_SIZE,
		.config_bytes = CONFIG_BYTES,
		.config_writable = true,
		.memory = &link.memory,
		.failed = link_failed,
		.ctx = &link,
	};
	*state = &link;
	return 0;
}

static inline int link_setup(void **state)
{
	struct link *link;

	link_setup_bare(state);
	link = *state;
	link_backend(link);
	link_serve_begin(link);
	if (link_frontend(link) < 0)
		fail_msg("%s", link->err.text);
	return 0;
}

static inline int link_teardown(void **state)
{
	struct link *link = *state;

	log_release();
	if (link->frontend) {
		vhost_frontend_attach(link->frontend, NULL);
		/* A device that is active is reset, for which nobody is to wait. */
		if (!link->serving)
			vhost_frontend_fail(link->frontend);
	}
	virtio_device_free(link->device);
	link_serve_end(link);
	if (link->subject.device)
		device_stop(link->subject.device);
	vhost_backend_free(link->backend);
	vhost_frontend_free(link->frontend);
	vsubject_end(&link->subject);
	for (size_t i = 0; i < link->memory.count; i++)
		fd_close(link->memory.regions[i].fd);
	fd_close(link->sockets[0]);
	fd_close(link->sockets[1]);
	fd_close(link->stop_fd);
	return 0;
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, link_setup, link_teardown)
#define BARE_TEST(name) cmocka_unit_test_setup_teardown(name, link_setup_bare, link_teardown)

#endif
