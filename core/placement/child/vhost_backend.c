/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost-user's backend for a device instance; see vhost_backend.h, and vhost_backend_impl.h for what belongs to which thread. */
#include "core/placement/child/vhost_backend_impl.h"

#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/child/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How long a frontend may take for the rest of a message that it has begun, or to make room for a reply. */
#define PEER_NS (10 * NS_PER_S)

#define PROTOCOL_FEATURES                                                                                        \
	(VHOST_PROTOCOL(MQ) | VHOST_PROTOCOL(REPLY_ACK) | VHOST_PROTOCOL(BACKEND_REQ) | VHOST_PROTOCOL(CONFIG) | \
	 VHOST_PROTOCOL(STATUS))

/* ---- notices of the device: under its lock ---- */

static void notice_needs_reset(void *ctx)
{
	vhost_backend_signal_error(ctx);
}

/* A socket that is full is full of messages that say the same: whoever reads the last of them asks for the config space
 * after this change. A frontend that has closed it does not want to know. */
static void notice_config_changed(void *ctx)
{
	struct vhost_backend *backend = ctx;
	const struct vhost_head head = { .request = VHOST_BACKEND_CONFIG_CHANGE, .flags = VHOST_FLAG_VERSION };
	int fd = atomic_load(&backend->ask_fd);

	if (fd >= 0)
		(void)msg_send(fd, &head, sizeof(head), NULL, 0);
}

/* ---- requests that are not of a queue ---- */

int vhost_backend_refuse(struct err *err, const struct vhost_message *message, const char *why)
{
	return err_set(err, -EPROTO, "vhost-user request %" PRIu32 ": %s", message->head.request, why);
}

static int set_features(struct vhost_backend *backend, const struct vhost_message *message, struct err *err)
{
	const uint64_t demanded = VHOST_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES;
	uint64_t features = message->payload.u64;

	if (backend->active)
		return vhost_backend_refuse(err, message, "the device is active");
	if ((features & ~backend->features_offered) || (features & demanded) != demanded)
		return vhost_backend_refuse(err, message, "these features cannot be had");
	backend->features = features;
	return 0;
}

static int set_protocol_features(struct vhost_backend *backend, const struct vhost_message *message, struct err *err)
{
	if (backend->protocol_set || (message->payload.u64 & ~PROTOCOL_FEATURES))
		return vhost_backend_refuse(err, message, "it came before, or these features cannot be had");
	backend->protocol_set = true;
	backend->protocol = message->payload.u64;
	return 0;
}

static int set_owner(struct vhost_backend *backend, const struct vhost_message *message, struct err *err)
{
	if (backend->owned)
		return vhost_backend_refuse(err, message, "it came before");
	backend->owned = true;
	return 0;
}

static int set_mem_table(struct vhost_backend *backend, const struct vhost_message *message, struct err *err)
{
	const struct vhost_memory *memory = &message->payload.memory;
	struct memory_region regions[VHOST_REGIONS_MAX];

	if (backend->spec.mem->count || backend->active)
		return vhost_backend_refuse(err, message, "it came before, or the device is active");
	for (uint32_t i = 0; i < memory->count; i++) {
		if (memory->regions[i].user_address != memory->regions[i].gpa)
			return vhost_backend_refuse(err, message, "user addresses are not the guest's");
		regions[i] = (struct memory_region){
			.gpa = memory->regions[i].gpa,
			.bytes = memory->regions[i].bytes,
			.offset = memory->regions[i].mmap_offset,
		};
	}
	/* Files in memory that are sealed against shrinking only: no access to them can fault, whatever the frontend does. */
	return memory_map(backend->spec.mem, memory->count, regions, message->fds.fds, err) < 0 ? -EPROTO : 0;
}

static int set_backend_req_fd(struct vhost_backend *backend, struct vhost_message *message, struct err *err)
{
	struct stat st;

	if (atomic_load(&backend->ask_fd) >= 0 || backend->active)
		return vhost_backend_refuse(err, message, "it came before, or the device is active");
	if (fstat(message->fds.fds[0], &st) < 0 || !S_ISSOCK(st.st_mode))
		return vhost_backend_refuse(err, message, "it is no socket");
	message->fds.count = 0;
	atomic_store(&backend->ask_fd, message->fds.fds[0]);
	return 0;
}

static int config(struct vhost_backend *backend, const struct vhost_message *message, struct vhost_message *reply,
		  struct err *err)
{
	const struct vhost_config *asked = &message->payload.config;
	bool within = range_within(asked->offset, asked->bytes, backend->offer.config_bytes);

	if (message->head.request == VHOST_SET_CONFIG) {
		if (!within || asked->flags)
			return vhost_backend_refuse(err, message, "it is no driver's write to the config space");
		vdev_config_write(backend->spec.device, asked->offset, asked->data, asked->bytes);
	} else if (within) {
		reply->payload.config.offset = asked->offset;
		reply->payload.config.bytes = asked->bytes;
		vdev_config_read(backend->spec.device, asked->offset, reply->payload.config.data, asked->bytes);
	}
	return 0;
}

static int set_status(struct vhost_backend *backend, const struct vhost_message *message, struct err *err)
{
	uint64_t status = message->payload.u64;
	int r;

	if (status > UINT8_MAX)
		return vhost_backend_refuse(err, message, "there are eight bits");
	if (!status) {
		vhost_backend_go_inactive(backend);
		/* The driver begins anew, at 0. */
		for (uint32_t i = 0; i < backend->offer.queue_count; i++)
			backend->queues[i].next = 0;
		return 0;
	}
	if (backend->active && !(status & VHOST_STATUS_DRIVER_OK))
		return vhost_backend_refuse(err, message, "the device is active");
	if (!backend->active && (status & VHOST_STATUS_DRIVER_OK)) {
		if (!backend->features || !backend->spec.mem->count || !vhost_backend_queues_finished(backend))
			return vhost_backend_refuse(err, message, "the set-up is not complete");
		r = vhost_backend_start(backend, message);
		if (r)
			return r;
	}
	backend->status = (uint32_t)status;
	return 0;
}

/* ---- minding ---- */

/* Which protocol feature a request belongs to; all belong to one of these, or to the protocol itself. */
static uint64_t feature_of(uint32_t request)
{
	switch (request) {
	case VHOST_GET_QUEUE_NUM:
		return VHOST_PROTOCOL(MQ);
	case VHOST_SET_BACKEND_REQ_FD:
		return VHOST_PROTOCOL(BACKEND_REQ);
	case VHOST_GET_CONFIG:
	case VHOST_SET_CONFIG:
		return VHOST_PROTOCOL(CONFIG);
	case VHOST_GET_STATUS:
	case VHOST_SET_STATUS:
		return VHOST_PROTOCOL(STATUS);
	default:
		return 0;
	}
}

static bool has_own_reply(uint32_t request)
{
	switch (request) {
	case VHOST_GET_FEATURES:
	case VHOST_GET_PROTOCOL_FEATURES:
	case VHOST_GET_QUEUE_NUM:
	case VHOST_GET_VRING_BASE:
	case VHOST_GET_CONFIG:
	case VHOST_GET_STATUS:
		return true;
	default:
		return false;
	}
}

static int handle(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply,
		  struct err *err)
{
	uint64_t feature = feature_of(message->head.request);

	if ((message->head.flags & VHOST_FLAG_NEED_REPLY) && !(backend->protocol & VHOST_PROTOCOL(REPLY_ACK)))
		return vhost_backend_refuse(err, message, "acknowledgements were not negotiated");
	if ((backend->protocol & feature) != feature)
		return vhost_backend_refuse(err, message, "its feature was not negotiated");
	switch (message->head.request) {
	case VHOST_GET_FEATURES:
		reply->payload.u64 = backend->features_offered;
		return 0;
	case VHOST_SET_FEATURES:
		return set_features(backend, message, err);
	case VHOST_SET_OWNER:
		return set_owner(backend, message, err);
	case VHOST_SET_MEM_TABLE:
		return set_mem_table(backend, message, err);
	case VHOST_GET_PROTOCOL_FEATURES:
		reply->payload.u64 = PROTOCOL_FEATURES;
		return 0;
	case VHOST_SET_PROTOCOL_FEATURES:
		return set_protocol_features(backend, message, err);
	case VHOST_GET_QUEUE_NUM:
		reply->payload.u64 = backend->offer.queue_count;
		return 0;
	case VHOST_SET_BACKEND_REQ_FD:
		return set_backend_req_fd(backend, message, err);
	case VHOST_GET_CONFIG:
	case VHOST_SET_CONFIG:
		return config(backend, message, reply, err);
	case VHOST_GET_STATUS:
		reply->payload.u64 = backend->status | (atomic_load(&backend->broken) ? VHOST_STATUS_NEEDS_RESET : 0);
		return 0;
	case VHOST_SET_STATUS:
		return set_status(backend, message, err);
	default:
		return vhost_backend_of_queue(backend, message, reply, err);
	}
}

int vhost_backend_mind(struct vhost_backend *backend, struct err *err)
{
	struct vhost_message message, reply;
	int r = backend->over ? -EPROTO : vhost_receive(backend->spec.fd, false, &message, clock_now_ns() + PEER_NS);

	if (r < 0) {
		backend->over = true;
		return err_sys(err, r, "the vhost-user connection");
	}
	memset(&reply, 0, sizeof(reply));
	reply.head.request = message.head.request;
	reply.head.flags = VHOST_FLAG_REPLY;
	r = handle(backend, &message, &reply, err);
	msg_fds_close(&message.fds);
	if (r >= 0 && (has_own_reply(message.head.request) || (message.head.flags & VHOST_FLAG_NEED_REPLY))) {
		if (!has_own_reply(message.head.request))
			reply.payload.u64 = (uint64_t)r;
		r = vhost_send(backend->spec.fd, &reply, clock_now_ns() + PEER_NS);
		if (r < 0)
			err_sys(err, r, "the vhost-user connection");
	}
	backend->over = r < 0;
	return r < 0 ? r : 0;
}

/* ---- its life ---- */

int vhost_backend_new(const struct vhost_backend_spec *spec, struct vhost_backend **ret, struct err *err)
{
	struct vhost_backend *backend = calloc(1, sizeof(*backend));

	if (!backend)
		return err_sys(err, -ENOMEM, "vhost-user");
	backend->spec = *spec;
	backend->offer = vdev_offer(spec->device);
	backend->features_offered = backend->offer.features | VHOST_F_VERSION_1 | VHOST_F_PROTOCOL_FEATURES;
	atomic_init(&backend->ask_fd, -1);
	for (uint32_t i = 0; i < BP_VIRTIO_QUEUES_MAX; i++)
		vhost_queue_init(&backend->queues[i]);
	vdev_attach(spec->device, &(struct vdev_transport){
				      .needs_reset = notice_needs_reset,
				      .config_changed = notice_config_changed,
				      .ctx = backend,
				  });
	*ret = backend;
	return 0;
}

void vhost_backend_free(struct vhost_backend *backend)
{
	if (!backend)
		return;
	vdev_attach(backend->spec.device, NULL);
	for (uint32_t i = 0; i < backend->offer.queue_count; i++)
		vhost_queue_forget(&backend->queues[i]);
	fd_close(atomic_load(&backend->ask_fd));
	memory_unmap(backend->spec.mem);
	free(backend);
}
