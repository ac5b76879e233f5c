/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A network card (plugins/virtio-net, linked in) on the runtime itself, with the test as its driver: up to NIC_QUEUES queues, whose
 * notifications are sent as a driver with EVENT_IDX does it.
 */
#ifndef TESTS_UNIT_NET_NIC_H
#define TESTS_UNIT_NET_NIC_H

#include "core/base/fd.h"
#include "core/config/check.h"
#include "core/device/device.h"
#include "core/device/internal.h"
#include "core/device/vdev.h"

#include "tests/unit/ring_driver.h"

#include <backplane/plugin.h>

#include <errno.h>
#include <linux/virtio_net.h>
#include <poll.h>

extern const struct bp_plugin backplane_plugin;

#define NIC_QUEUES    5u
#define NIC_SIZE      256u
#define NIC_RINGS     0x4000u /* bytes of each queue's, in which they lie at these offsets */
#define NIC_AVAIL     0x1000u
#define NIC_USED      0x2000u
#define NIC_SEND      (RING_RAM + NIC_QUEUES * NIC_RINGS) /* room for what is sent */
#define NIC_RECEIVE   RING_RAM_NEXT                       /* and received, twice RING_REGION / 2 */
#define NIC_HEADER    sizeof(struct virtio_net_hdr_v1)
#define NIC_EVENT_IDX (UINT64_C(1) << 29)
#define NIC_VERSION_1 (UINT64_C(1) << 32)
#define NIC_BIT(n)    (UINT64_C(1) << VIRTIO_NET_F_##n)

struct nic_queue {
	uint16_t avail, used, told; /* indices: shown, seen; of the last notification */
	uint32_t kicks;
	int kick_fd;
};

struct nic {
	struct plugin_class class;
	struct device_spec spec;
	struct tree_node *tree;
	struct device *device;
	struct ring_driver ram; /* for its memory */
	struct virtio_isr isr;
	int call_fd;
	struct nic_queue queues[NIC_QUEUES];
	struct err err;
	atomic_uint needs_reset, config_notices;
};

/* ---- making ---- */

static int nic_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range, uint64_t base,
		     uint64_t *ret_base, struct err *err)
{
	(void)ctx, (void)device, (void)cookie, (void)range, (void)base, (void)ret_base;
	return err_set(err, -ENOSPC, "no claims");
}

static void nic_needs_reset(void *ctx)
{
	atomic_fetch_add(&((struct nic *)ctx)->needs_reset, 1);
}

static void nic_config_changed(void *ctx)
{
	atomic_fetch_add(&((struct nic *)ctx)->config_notices, 1);
}

static inline void nic_value(struct nic *nic, const char *key, const char *text)
{
	struct tree_node *node;

	MUST(tree_node_new(TREE_TEXT, key, text, nic->tree->place, &node) == 0 && tree_append(nic->tree, node) == 0);
}

/* A card on a tap with these descriptors, which are its own from now on. */
static inline void nic_open(struct nic *nic, const struct network *network)
{
	struct place nowhere = { .file = "test", .line = 1 };
	char pairs[16];
	struct network *own = malloc(sizeof(*own));

	memset(nic, 0, sizeof(*nic));
	ring_init(&nic->ram, NIC_SIZE);
	nic->call_fd = fd_event();
	for (uint32_t i = 0; i < NIC_QUEUES; i++)
		nic->queues[i].kick_fd = fd_event();
	MUST(own && class_copy(backplane_plugin.classes[0], &nic->class, &nic->err) == 0);
	MUST(tree_node_new(TREE_GROUP, NULL, NULL, nowhere, &nic->tree) == 0);
	snprintf(pairs, sizeof(pairs), "%u", network->fd_count);
	nic_value(nic, "network", "tap");
	nic_value(nic, "mac", "52:54:00:12:34:56");
	nic_value(nic, "queues", pairs);
	nic->spec = (struct device_spec){
		.id = "net0",
		.class = &nic->class,
		.mem = &nic->ram.mem,
		.identity = 1,
		.place = { .claim = nic_claim, .ctx = nic },
	};
	if (config_check_group(nic->tree, nic->class.decl.schema, "devices.net0", NULL, &nic->spec.values, &nic->err) <
	    0)
		fail_msg("%s", nic->err.text);
	*own = *network;
	values_get(nic->spec.values, "network", 0)->network = own;
	if (device_new(&nic->spec, &nic->device, &nic->err) < 0)
		fail_msg("%s", nic->err.text);
	vdev_attach(nic->device, &(struct vdev_transport){ .needs_reset = nic_needs_reset,
							   .config_changed = nic_config_changed,
							   .ctx = nic });
	assert_int_equal(device_start(nic->device, &nic->err), 0);
}

static inline void nic_end(struct nic *nic)
{
	if (!nic->tree)
		return;
	device_free(nic->device);
	class_free(&nic->class);
	tree_node_free(nic->tree);
	nic->tree = NULL;
	fd_close(nic->call_fd);
	for (uint32_t i = 0; i < NIC_QUEUES; i++)
		fd_close(nic->queues[i].kick_fd);
	ring_end(&nic->ram);
}

static inline uint64_t nic_rings(uint32_t queue)
{
	return RING_RAM + (uint64_t)queue * NIC_RINGS;
}

/* DRIVER_OK, with all of the device's queues; `without` some features. */
static inline void nic_drive(struct nic *nic, uint64_t without)
{
	struct vdev_offer offer = vdev_offer(nic->device);
	struct vdev_queue_setup queues[NIC_QUEUES];
	struct vdev_setup setup = {
		.features = (offer.features | NIC_VERSION_1) & ~without,
		.isr = &nic->isr,
		.queue_count = offer.queue_count,
		.queues = queues,
	};

	MUST(offer.queue_count <= NIC_QUEUES && offer.queue_size == NIC_SIZE);
	for (uint32_t i = 0; i < offer.queue_count; i++) {
		memset(ring_at(&nic->ram, nic_rings(i)), 0, NIC_RINGS);
		nic->queues[i].avail = nic->queues[i].used = nic->queues[i].told = 0;
		queues[i] = (struct vdev_queue_setup){
			.ready = true,
			.size = NIC_SIZE,
			.desc_gpa = nic_rings(i),
			.avail_gpa = nic_rings(i) + NIC_AVAIL,
			.used_gpa = nic_rings(i) + NIC_USED,
			.kick_fd = nic->queues[i].kick_fd,
			.call_fd = nic->call_fd,
		};
	}
	if (vdev_activate(nic->device, &setup, &nic->err) < 0)
		fail_msg("%s", nic->err.text);
}

/* Its thread waits outside of these. */
static inline uint64_t nic_hold(struct nic *nic)
{
	return device_enter(nic->device, "test");
}

static inline void nic_let(struct nic *nic, uint64_t since)
{
	device_leave(nic->device, since);
}

/* ---- queues ---- */

/* Descriptor `index` of a queue. */
static inline void nic_set(struct nic *nic, uint32_t queue, uint16_t index, uint64_t gpa, size_t bytes,
			   unsigned int flags, uint16_t next)
{
	ring_set(&nic->ram, nic_rings(queue), index, gpa, (uint32_t)bytes, flags, next);
}

/* Makes a chain available, without telling. */
static inline void nic_offer(struct nic *nic, uint32_t queue, uint16_t head)
{
	struct nic_queue *own = &nic->queues[queue];
	uint64_t avail = nic_rings(queue) + NIC_AVAIL;

	ring_put16(&nic->ram, avail + 4 + 2u * (own->avail % NIC_SIZE), head);
	ring_put16(&nic->ram, avail + 2, ++own->avail);
}

/* Tells the device of what is new, if it wants that (2.7.10). */
static inline void nic_tell(struct nic *nic, uint32_t queue)
{
	struct nic_queue *own = &nic->queues[queue];
	uint16_t event;

	__sync_synchronize();
	event = ring_get16(&nic->ram, nic_rings(queue) + NIC_USED + 4 + 8u * NIC_SIZE);
	if ((uint16_t)(own->avail - event - 1) < (uint16_t)(own->avail - own->told)) {
		own->kicks++;
		fd_event_signal(own->kick_fd);
	}
	own->told = own->avail;
}

static inline uint16_t nic_used_idx(const struct nic *nic, uint32_t queue)
{
	return ring_get16(&nic->ram, nic_rings(queue) + NIC_USED + 2);
}

/* Wants an interrupt for the entry after the last that was seen. */
static inline void nic_want(struct nic *nic, uint32_t queue)
{
	ring_put16(&nic->ram, nic_rings(queue) + NIC_AVAIL + 4 + 2u * NIC_SIZE, nic->queues[queue].used);
}

/* Until the device has used `count` more chains than were seen; false when patience ends. */
static inline bool nic_wait(struct nic *nic, uint32_t queue, uint16_t count)
{
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if ((uint16_t)(nic_used_idx(nic, queue) - nic->queues[queue].used) >= count)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* The next chain that the device has used: its head, and how many bytes in *ret_bytes. */
static inline uint16_t nic_take(struct nic *nic, uint32_t queue, uint32_t *ret_bytes)
{
	struct nic_queue *own = &nic->queues[queue];
	uint32_t entry[2];

	assert_int_not_equal(nic_used_idx(nic, queue), own->used);
	memcpy(entry, ring_at(&nic->ram, nic_rings(queue) + NIC_USED + 4 + 8u * (own->used % NIC_SIZE)), sizeof(entry));
	own->used++;
	*ret_bytes = entry[1];
	return (uint16_t)entry[0];
}

/* `count` receive buffers of `bytes`, one after the other in memory, in descriptors of the same numbers. */
static inline void nic_receive(struct nic *nic, uint32_t queue, uint16_t first, uint16_t count, size_t bytes)
{
	for (uint16_t i = first; i < first + count; i++) {
		nic_set(nic, queue, i, NIC_RECEIVE + (uint64_t)i * bytes, bytes, RING_F_WRITE, 0);
		nic_offer(nic, queue, i);
	}
}

/* ---- frames ---- */

static const uint8_t nic_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

/* Writes a frame to be sent, behind its header, into the guest's memory and offers it as one chain of two descriptors, `index` and the
 * one after it. */
static inline void nic_send(struct nic *nic, uint32_t queue, uint16_t index, uint64_t gpa,
			    const struct virtio_net_hdr_v1 *header, const uint8_t *frame, size_t bytes)
{
	memcpy(ring_at(&nic->ram, gpa), header, NIC_HEADER);
	memcpy(ring_at(&nic->ram, gpa + NIC_HEADER), frame, bytes);
	nic_set(nic, queue, index, gpa, NIC_HEADER, RING_F_NEXT, (uint16_t)(index + 1));
	nic_set(nic, queue, (uint16_t)(index + 1), gpa + NIC_HEADER, bytes, 0, 0);
	nic_offer(nic, queue, index);
}

#endif
