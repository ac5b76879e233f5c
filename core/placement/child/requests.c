/* SPDX-License-Identifier: BSD-3-Clause */
/* The requests of the core, which come in the order that host.h allows. Main thread. */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/device/decl.h"
#include "core/placement/child/host.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define ERRNO_MAX 4095

/* What goes into a reply. */
struct reply {
	const void *body;
	uint8_t *blob; /* owned */
	size_t blob_bytes;
	union {
		struct wire_created created;
		struct wire_text text;
	} room;
};

typedef int request_fn(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err);

static int do_load(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	const struct wire_load *load = &message->body.load;
	struct pack_writer writer;
	int r;

	if (load->log_level > LOG_LEVEL_DEBUG)
		return err_set(err, -EPROTO, "there is no such log level");
	log_set_level((enum log_level)load->log_level);
	clock_set_start(load->start_ns);
	r = plugin_load(load->path, &host->plugin, err);
	if (r < 0)
		return r;
	pack_begin(&writer, DECL_BYTES_MAX);
	decl_pack(host->plugin, &writer);
	r = pack_end(&writer, &reply->blob, &reply->blob_bytes);
	return r < 0 ? err_sys(err, r, "the declaration of plugin \"%s\"", load->path) : 0;
}

static int do_create(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	reply->body = &reply->room.created;
	return host_create(host, &message->body.create, &reply->room.created, err);
}

static int do_start(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply;
	/* What the device asks to be connected from now on comes with a descriptor, and it may have as many already as it can. */
	host->control.may_lose_fd = true;
	return device_start(host->device, err);
}

static int do_reset(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply, (void)err;
	device_reset(host->device);
	return 0;
}

static int do_quiesce(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	int r = device_quiesce(host->device);

	(void)message, (void)reply;
	return r < 0 ? err_sys(err, r, "cannot be brought to rest") : 0;
}

static int do_resume(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply;
	return device_resume(host->device, err);
}

static int do_save(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message;
	return device_save(host->device, &reply->blob, &reply->blob_bytes, err);
}

static int do_restore(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply;
	return device_load(host->device, host->control.blob, host->control.blob_bytes, err);
}

struct metrics {
	struct pack_writer list;
	uint32_t count;
};

static void add_metric(uint32_t kind, const char *name, const char *help, uint64_t value, void *arg)
{
	struct metrics *metrics = arg;

	pack_u32(&metrics->list, kind);
	pack_text(&metrics->list, name);
	pack_text(&metrics->list, help);
	pack_u64(&metrics->list, value);
	metrics->count++;
}

static int do_metrics(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	struct metrics metrics = { .count = 0 };
	int r;

	(void)message;
	pack_begin(&metrics.list, WIRE_METRICS_BYTES);
	device_metrics_each(host->device, add_metric, &metrics);
	r = pack_end(&metrics.list, &reply->blob, &reply->blob_bytes);
	return r < 0 ? err_sys(err, r, "metrics") : 0;
}

static int do_ping(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply, (void)err;
	device_wait_free(host->device);
	return 0;
}

static int do_stop(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply, (void)err;
	device_stop(host->device);
	return 0;
}

static int do_end(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply, (void)err;
	host_end(host);
	plugin_free(host->plugin);
	host->plugin = NULL;
	return 0;
}

static int do_resized(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	(void)message, (void)reply, (void)err;
	device_terminal_resized(host->device);
	return 0;
}

/* What settling is for comes before: accesses. What they made the device tell, and had no room, goes before the reply. */
static int do_settle(struct host *host, const struct wire_message *message, struct reply *reply, struct err *err)
{
	const uint64_t deadline_ns = host_patience();
	struct pollfd room = { .fd = WIRE_FD_CONTROL, .events = POLLOUT };

	(void)host, (void)message, (void)reply, (void)err;
	while (notices_flush()) {
		if (clock_now_ns() >= deadline_ns)
			host_die("the core does not take a notice");
		poll(&room, 1, 1);
	}
	return 0;
}

#define IN(life)   (1u << (life))
#define ANY        (IN(LIFE_SPOILT + 1) - 1)
#define HAS_DEVICE (IN(LIFE_CREATED) | IN(LIFE_RUNNING) | IN(LIFE_QUIET) | IN(LIFE_STOPPED))
#define STARTED    (IN(LIFE_RUNNING) | IN(LIFE_QUIET))
#define SAME       (-1)

static const struct request {
	request_fn *fn;
	uint32_t allowed; /* lives, as a mask */
	int after;        /* the life that follows when it was fine, or SAME */
	int failed;       /* when it was not */
	bool settles;     /* accesses that were made before are done before */
} requests[] = {
	[WIRE_LOAD] = { .fn = do_load, .allowed = IN(LIFE_BEGUN), .after = LIFE_LOADED, .failed = LIFE_SPOILT },
	[WIRE_CREATE] = { .fn = do_create, .allowed = IN(LIFE_LOADED), .after = LIFE_CREATED, .failed = LIFE_SPOILT },
	[WIRE_START] = { .fn = do_start,
			 .allowed = IN(LIFE_CREATED),
			 .after = LIFE_RUNNING,
			 .failed = LIFE_STOPPED,
			 .settles = true },
	[WIRE_RESET] = { .fn = do_reset, .allowed = HAS_DEVICE, .after = SAME, .failed = SAME, .settles = true },
	[WIRE_QUIESCE] = { .fn = do_quiesce,
			   .allowed = IN(LIFE_RUNNING),
			   .after = LIFE_QUIET,
			   .failed = SAME,
			   .settles = true },
	[WIRE_RESUME] = { .fn = do_resume,
			  .allowed = IN(LIFE_QUIET),
			  .after = LIFE_RUNNING,
			  .failed = SAME,
			  .settles = true },
	[WIRE_SAVE] = { .fn = do_save, .allowed = IN(LIFE_QUIET), .after = SAME, .failed = SAME, .settles = true },
	[WIRE_RESTORE] = { .fn = do_restore,
			   .allowed = IN(LIFE_QUIET),
			   .after = SAME,
			   .failed = SAME,
			   .settles = true },
	[WIRE_METRICS] = { .fn = do_metrics, .allowed = HAS_DEVICE, .after = SAME, .failed = SAME },
	[WIRE_PING] = { .fn = do_ping, .allowed = HAS_DEVICE, .after = SAME, .failed = SAME },
	[WIRE_STOP] = { .fn = do_stop, .allowed = STARTED, .after = LIFE_STOPPED, .failed = SAME, .settles = true },
	[WIRE_END] = { .fn = do_end, .allowed = ANY, .after = SAME, .failed = SAME },
	[WIRE_RESIZED] = { .fn = do_resized, .allowed = STARTED, .after = SAME, .failed = SAME },
	[WIRE_SETTLE] = { .fn = do_settle, .allowed = STARTED, .after = SAME, .failed = SAME, .settles = true },
};

static void send_reply(struct host *host, const struct wire_message *message, int result, const struct reply *reply)
{
	const struct wire_head head = {
		.version = WIRE_VERSION,
		.op = message->head.op | WIRE_REPLY,
		.sequence = message->head.sequence,
		.result = result,
		.blob_bytes = (uint32_t)reply->blob_bytes,
	};

	if (wire_send(&host->control, &head, reply->body, reply->blob, NULL, host_patience()) < 0)
		host_die("the core does not take a reply");
}

void host_serve(struct host *host, const struct wire_message *message)
{
	struct reply reply = { .blob = NULL };
	const struct request *request;
	struct err err = ERR_NONE;
	int r;

	if (message->head.op == WIRE_CONNECTED) {
		host_connected(host, &host->control, &message->body.connected);
		return;
	}
	if (message->head.op >= sizeof(requests) / sizeof(requests[0]) || !requests[message->head.op].fn)
		host_die("a message that is not a request");
	request = &requests[message->head.op];
	if (!(request->allowed & IN(host->life)))
		host_die("a request out of turn");
	if (request->settles && host->device && !host->backend)
		host_accesses(host, true);
	r = request->fn(host, message, &reply, &err);
	if (r < 0) {
		free(take(&reply.blob));
		reply.blob_bytes = 0;
		reply.body = &reply.room.text;
		memset(&reply.room, 0, sizeof(reply.room));
		snprintf(reply.room.text.text, sizeof(reply.room.text.text), "%s", err.text);
	}
	if (r < 0 ? request->failed != SAME : request->after != SAME)
		host->life = (enum life)(r < 0 ? request->failed : request->after);
	/* It may be what a plugin has returned, who returns anything. */
	send_reply(host, message, r < -ERRNO_MAX ? -EIO : r < 0 ? r : 0, &reply);
	free(reply.blob);
	if (message->head.op == WIRE_END)
		exit(0);
}
