/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the process tells the core without being asked. Any thread, also with the device's lock held, so nothing here
 * waits: a line of the log for which the socket has no room is counted and left out, an event or a connection that is
 * asked for is kept until there is room. Of each kind of event one is kept: they are about the end of the guest, and a
 * second one changes nothing. Of connections each is: the device has not more of them under way than there is room here.
 */
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/placement/child/host.h"

#include <backplane/host.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define KIND_QUIT 0u /* beside BP_EVENT_* */
#define KINDS     5u /* those before BP_EVENT_MARK */

static struct {
	struct wire wire; /* only sends */
	atomic_uint lines_dropped;
	int event_fd; /* signalled while something is kept */
	pthread_mutex_t lock;
	uint32_t kept; /* kinds, as a mask; under lock */
	size_t connect_count;
	struct wire_connect connects[WIRE_CONNECTS]; /* kept, oldest first; under lock */
} notices = { .wire = { .fd = WIRE_FD_CONTROL }, .event_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

static int send_notice(uint32_t op, const void *body)
{
	const struct wire_head head = { .version = WIRE_VERSION, .op = op };

	return wire_send(&notices.wire, &head, body, NULL, NULL, 0);
}

static void send_line(enum log_level level, const char *text)
{
	unsigned int dropped = atomic_exchange(&notices.lines_dropped, 0);
	struct wire_log line = { .level = level };

	if (dropped)
		snprintf(line.text, sizeof(line.text), "%.900s (%u lines left out before)", text, dropped);
	else
		snprintf(line.text, sizeof(line.text), "%s", text);
	if (send_notice(WIRE_LOG, &line) < 0)
		atomic_fetch_add(&notices.lines_dropped, dropped + 1);
}

void notices_begin(void)
{
	notices.event_fd = fd_event();
	if (notices.event_fd < 0)
		host_die("no eventfd");
	log_set_sink(send_line);
}

static int send_kind(uint32_t kind)
{
	const struct wire_event event = { .event = kind };

	return kind == KIND_QUIT ? send_notice(WIRE_QUIT, NULL) : send_notice(WIRE_EVENT, &event);
}

static void tell(uint32_t kind)
{
	pthread_mutex_lock(&notices.lock);
	if (send_kind(kind) == -EAGAIN) {
		notices.kept |= 1u << kind;
		fd_event_signal(notices.event_fd);
	}
	pthread_mutex_unlock(&notices.lock);
}

int notices_event(uint32_t event, uint64_t value)
{
	const struct wire_event mark = { .event = BP_EVENT_MARK, .value = value };

	static_assert(BP_EVENT_PANIC == 1 && BP_EVENT_MARK == KINDS, "kinds are numbers of bits");
	if (event < BP_EVENT_PANIC || event > BP_EVENT_MARK)
		return -EINVAL;
	if (event == BP_EVENT_MARK)
		(void)send_notice(WIRE_EVENT, &mark);
	else
		tell(event);
	return 0;
}

void notices_quit(void)
{
	tell(KIND_QUIT);
}

void notices_connect(const struct wire_connect *connect)
{
	static_assert(WIRE_CONNECTS == DEVICE_CONNECTS_MAX, "all that a device may have under way are kept");
	pthread_mutex_lock(&notices.lock);
	if (notices.connect_count || send_notice(WIRE_CONNECT, connect) == -EAGAIN) {
		assert(notices.connect_count < WIRE_CONNECTS);
		notices.connects[notices.connect_count++] = *connect;
		fd_event_signal(notices.event_fd);
	}
	pthread_mutex_unlock(&notices.lock);
}

/* Sends connections that were kept, as many as there is room for. Under the lock. */
static void flush_connects(void)
{
	size_t sent = 0;

	while (sent < notices.connect_count && send_notice(WIRE_CONNECT, &notices.connects[sent]) != -EAGAIN)
		sent++;
	notices.connect_count -= sent;
	memmove(notices.connects, notices.connects + sent, notices.connect_count * sizeof(notices.connects[0]));
}

int notices_fd(void)
{
	return notices.event_fd;
}

bool notices_flush(void)
{
	bool left;

	pthread_mutex_lock(&notices.lock);
	for (uint32_t kind = 0; kind < KINDS; kind++)
		if (notices.kept & 1u << kind && send_kind(kind) != -EAGAIN)
			notices.kept &= ~(1u << kind);
	flush_connects();
	left = notices.kept || notices.connect_count;
	if (!left)
		fd_event_clear(notices.event_fd);
	pthread_mutex_unlock(&notices.lock);
	return left;
}
