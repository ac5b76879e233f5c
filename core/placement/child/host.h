/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-host: the process that one plugin lives in, as its files share it. It does what the core asks for
 * (wire/wire.h), one request after the other on its main thread, which is also the plugin's [main]; the device's own
 * threads are core/device's. The core is treated as hostile, too: what breaks a rule ends the process.
 *
 *   life       entered by                    allowed then
 *   begun      exec                          LOAD
 *   loaded     LOAD == 0                     CREATE
 *   created    CREATE == 0                   START, RESET, METRICS, PING
 *   running    START == 0, RESUME == 0       RESET, QUIESCE, STOP, RESIZED, SETTLE, METRICS, PING; accesses
 *   quiet      QUIESCE == 0                  RESET, RESUME, SAVE, RESTORE, STOP, RESIZED, SETTLE, METRICS, PING
 *   stopped    STOP, a START that failed     RESET, METRICS, PING
 *   spoilt     a LOAD or CREATE that failed  -
 * END is allowed in all of them. What the device has asked to be connected comes in the last four but spoilt, and while START is
 * carried out.
 */
#ifndef PLACEMENT_CHILD_HOST_H
#define PLACEMENT_CHILD_HOST_H

#include "core/base/gmem.h"
#include "core/base/virtio_isr.h"
#include "core/device/device.h"
#include "core/placement/child/vhost_backend.h"
#include "core/placement/wire/wire.h"

#include <stdbool.h>

enum life {
	LIFE_BEGUN,
	LIFE_LOADED,
	LIFE_CREATED,
	LIFE_RUNNING,
	LIFE_QUIET,
	LIFE_STOPPED,
	LIFE_SPOILT,
};

/* A range that was claimed, by its cookie. */
struct host_range {
	bool claimed;
	uint32_t space;
	uint64_t base, length;
};

struct host {
	struct wire control;
	uint32_t sequence; /* of the last that we asked */
	enum life life;
	struct plugin *plugin;
	struct device *device; /* NULL until it is created */
	struct gmem mem;
	struct virtio_isr *isr;        /* virtio: a page of the core's */
	struct vhost_backend *backend; /* virtio */
	bool vhost_closed;             /* by the core */
	struct host_range ranges[CLASS_RANGES_MAX];
};

/* The core broke a rule, or does not take what we send: says so, and ends the process. */
_Noreturn void host_die(const char *what);

/* A reply or a request of ours waits as long as this for room; then the core is not there any more. */
uint64_t host_patience(void);

/* requests.c: carries out one message of the core. */
void host_serve(struct host *host, const struct wire_message *message);

/* accesses.c: register accesses that have come, a few of them; or with `all` every one that lies in the socket. */
void host_accesses(struct host *host, bool all);

/* create.c. -errno with one line, and nothing is left behind. */
int host_create(struct host *host, const struct wire_create *spec, struct wire_created *ret, struct err *err);
/* Ends the device, whatever state it is in; nothing if there is none. */
void host_end(struct host *host);

/* place.c: where the device finds itself, as struct device_place's ctx is the host. */
extern const struct device_place host_place;
/* Takes a connection that was asked for, out of `wire`, which has just received it. */
void host_connected(struct host *host, struct wire *wire, const struct wire_connected *connected);

/* notices.c. Log lines go to the core from here on. */
void notices_begin(void);
/* [any] Gets there for sure, if not at once, but for a mark, which is dropped when there is no room. -EINVAL for an
 * event that is not known. */
int notices_event(uint32_t event, uint64_t value);
void notices_quit(void);
/* The same for a connection, of which a device has at most WIRE_CONNECTS that were not answered. */
void notices_connect(const struct wire_connect *connect);
/* Readable when notices_flush() is to be called, with the control socket writable or after a moment. */
int notices_fd(void);
/* Sends what had no room before. Whether something is left. */
bool notices_flush(void);

#endif
