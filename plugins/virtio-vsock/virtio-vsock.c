/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets between programs of the guest and of the host: virtio-vsock (VIRTIO 1.2, 5.10), streams only. On the host they are Unix
 * sockets, with the protocol that Firecracker's users know: backplane-virtio-vsock(7) describes it.
 */
#include "vsock.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/uio.h>

#define TAG_CID    1u
/* Bytes to the guest in one callback; then others have their turn. */
#define WORK_BYTES UINT64_C(1048576)

static const struct bp_param vsock_params[] = {
	{
	    .name = "cid",
	    .type = BP_P_UINT,
	    .flags = BP_P_REQUIRED,
	    .min = CID_MIN,
	    .max = CID_MAX,
	    .help = "the guest's address; programs in it reach the host at 2",
	},
	{
	    .name = "uds_path",
	    .type = BP_P_SOCKET,
	    .flags = BP_P_REQUIRED | BP_P_LISTEN | BP_P_CONNECT,
	    .help =
		"Unix socket that leads to the guest; the guest reaches port P of the host at this path with _P behind it",
	},
	{
	    .name = "connections",
	    .type = BP_P_UINT,
	    .def = CONNECTIONS_DEFAULT,
	    .min = 1,
	    .max = CONNECTIONS_MAX,
	    .help = "how many connections there can be at a time, in both directions together",
	},
};

/* ---- virtio ---- */

/* 5.10.6.7: what a guest has to know is told once, whatever happens until there is a buffer. */
static void send_event(struct vsock *vsock)
{
	while (vsock->transport_reset && vsock->event.first) {
		const uint32_t event = htole32(EVENT_TRANSPORT_RESET);
		struct bp_chain *chain = chains_take(&vsock->event);

		if (bp_chain_left(chain, BP_CHAIN_WRITE) >= sizeof(event)) {
			bp_chain_write(chain, &event, sizeof(event));
			vsock->transport_reset = false;
		}
		bp_chain_complete(chain);
	}
}

void vsock_work(struct vsock *vsock)
{
	uint64_t budget_bytes = WORK_BYTES;

	do
		rx_pump(vsock, &budget_bytes);
	while (tx_resume(vsock));
	deadline_arm(vsock);
}

static void vsock_request(void *self, struct bp_chain *chain) /* [dev] */
{
	struct vsock *vsock = self;

	switch (chain->queue) {
	case QUEUE_RX:
		rx_request(vsock, chain);
		break;
	case QUEUE_TX:
		tx_request(vsock, chain);
		vsock_work(vsock);
		break;
	default:
		chains_put(&vsock->event, chain);
		send_event(vsock);
		break;
	}
}

static void vsock_reset(void *self) /* [dev] */
{
	struct vsock *vsock = self;

	/* What was open is interrupted, and a driver that goes on has to know. */
	if (vsock->conns_open)
		vsock->transport_reset = true;
	for (uint32_t i = 0; i < vsock->conns_fresh; i++)
		if (vsock->conns[i].state != CONN_FREE)
			conn_free(&vsock->conns[i]);
	vsock->rx = vsock->tx = vsock->event = (struct chains){ NULL, NULL, 0 };
	vsock->reset_count = 0;
}

/* ---- state ---- */

/* Connections end with the process that has their sockets: the guest is told, and makes new ones. */
static int vsock_save(void *self, struct bp_writer *writer) /* [dev] */
{
	const struct vsock *vsock = self;

	return bp_put_uint(writer, TAG_CID, vsock->cid);
}

static int vsock_load(void *self, struct bp_reader *reader, uint32_t version) /* [dev] */
{
	struct vsock *vsock = self;
	uint64_t cid;
	int r = bp_get_uint_max(reader, TAG_CID, (uint64_t)CID_MAX, &cid);

	(void)version;
	if (r < 0)
		return bp_fail(vsock->dev, r, "the saved cid is missing or wrong");
	if (cid != vsock->cid)
		return bp_fail(vsock->dev, -EINVAL, "the guest was saved with cid %" PRIu64 ", and this is %" PRIu64,
			       cid, vsock->cid);
	vsock->transport_reset = true;
	return 0;
}

/* ---- life ---- */

static void vsock_destroy(void *self) /* [main] */
{
	struct vsock *vsock = self;

	table_free(vsock);
	output_free(vsock);
	bp_fd_del(vsock->dev, vsock->listen_fd);
	free(vsock->iov);
	free(vsock);
}

static void make_metrics(struct vsock *vsock)
{
	const struct {
		uint32_t kind;
		const char *name, *help;
		uint64_t **slot;
	} metrics[] = {
		{ BP_METRIC_GAUGE, "connections_open", "connections that there are", &vsock->metrics.open },
		{ BP_METRIC_COUNTER, "connections_made", "connections that were established", &vsock->metrics.made },
		{ BP_METRIC_COUNTER, "connections_refused", "connections that were not", &vsock->metrics.refused },
		{ BP_METRIC_COUNTER, "in_bytes", "bytes to the guest", &vsock->metrics.in_bytes },
		{ BP_METRIC_COUNTER, "out_bytes", "bytes from the guest", &vsock->metrics.out_bytes },
		{ BP_METRIC_COUNTER, "in_packets", "packets to the guest", &vsock->metrics.in_packets },
		{ BP_METRIC_COUNTER, "out_packets", "packets from the guest", &vsock->metrics.out_packets },
		{ BP_METRIC_COUNTER, "dropped_packets", "packets and buffers of the guest that made no sense",
		  &vsock->metrics.dropped },
	};

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		bp_metric(vsock->dev, metrics[i].kind, metrics[i].name, metrics[i].help, metrics[i].slot);
}

static int vsock_create(struct bp_dev *dev, const struct bp_cfg *cfg, void **ret) /* [main] */
{
	struct vsock *vsock = calloc(1, sizeof(*vsock));
	uint64_t config;
	int r;

	if (!vsock)
		return bp_fail(dev, -ENOMEM, "no memory");
	vsock->dev = dev;
	vsock->cid = bp_cfg_uint(cfg, "cid");
	vsock->listen_fd = bp_cfg_fd(cfg, "uds_path");
	list_init(&vsock->ready);
	vsock->iov = calloc(BP_CHAIN_IOV_MAX, sizeof(vsock->iov[0]));
	r = table_init(vsock, (uint32_t)bp_cfg_uint(cfg, "connections"));
	if (r < 0 || !vsock->iov || output_init(vsock) < 0) {
		r = bp_fail(dev, -ENOMEM, "no memory");
		goto fail;
	}
	r = deadline_init(vsock);
	if (r < 0)
		goto fail;
	r = host_init(vsock);
	if (r < 0) {
		bp_fail(dev, r, "the socket cannot be waited for");
		goto fail;
	}
	config = htole64(vsock->cid);
	bp_virtio_config_write(dev, 0, &config, sizeof(config));
	make_metrics(vsock);
	*ret = vsock;
	return 0;
fail:
	vsock_destroy(vsock);
	return r;
}

static const struct bp_virtio_class vsock_virtio = {
	BP_VIRTIO_CLASS_INIT,
	.id = VIRTIO_ID_VSOCK,
	.queue_count = QUEUES,
	.queue_size = QUEUE_SIZE,
	.config_bytes = sizeof(uint64_t),
	.features = F_STREAM,
	.request = vsock_request,
};

static const struct bp_device_class vsock_class = {
	BP_DEVICE_CLASS_INIT,     .name = "virtio-vsock",  .summary = "sockets between guest and host",
	BP_PARAMS(vsock_params),  .create = vsock_create,  .reset = vsock_reset,
	.destroy = vsock_destroy, .virtio = &vsock_virtio, .state_version = 1,
	.save = vsock_save,       .load = vsock_load,
};
BP_PLUGIN("org.backplane.virtio-vsock", "1.0", &vsock_class)
