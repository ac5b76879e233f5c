/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device-host: see host.h. Started by the spawner without arguments and with an empty environment; its descriptors are
 * those of enum wire_fd. It ends when the core asks it to, with status 0; at once when the core closes its end; and
 * with EXIT_BREACH when the core breaks a rule.
 */
#include "core/placement/child/host.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/stacks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define EXIT_BREACH 70
/* How soon notices that had no room are tried again. */
#define RETRY_MS    10

void host_die(const char *what)
{
	log_error("the plugin's process ends: %s", what);
	_exit(EXIT_BREACH);
}

uint64_t host_patience(void)
{
	return clock_now_ns() + 3600 * NS_PER_S;
}

/* One message of the control socket. */
static void mind_control(struct host *host)
{
	/* 16 KiB, of which most messages use little: on the stack all of it would be written. */
	static struct wire_message message;
	int r = wire_receive(&host->control, &message);

	if (r == 0)
		_exit(0);
	if (r == -EAGAIN)
		return;
	if (r < 0)
		host_die("a malformed message");
	host_serve(host, &message);
	wire_next(&host->control);
}

static void mind_vhost(struct host *host)
{
	struct err err = ERR_NONE;
	int r = vhost_backend_mind(host->backend, &err);

	/* The core closes it before it asks for the end; until then nothing is to be read any more. */
	if (r == -ECONNRESET)
		host->vhost_closed = true;
	else if (r < 0)
		host_die(err.text);
}

/* What is beside the control socket: nothing until there is a device. */
static struct pollfd data_socket(const struct host *host)
{
	if (!host->device || host->vhost_closed)
		return (struct pollfd){ .fd = -1 };
	return (struct pollfd){ .fd = host->backend ? WIRE_FD_VHOST : WIRE_FD_ACCESS, .events = POLLIN };
}

int main(void)
{
	static struct host host = { .control = { .fd = WIRE_FD_CONTROL } };
	bool left = false;

	signal(SIGPIPE, SIG_IGN);
	stacks_limit();
	notices_begin();
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = WIRE_FD_CONTROL, .events = POLLIN },
			data_socket(&host),
			{ .fd = left ? -1 : notices_fd(), .events = POLLIN },
		};

		if (poll(fds, 3, left ? RETRY_MS : -1) < 0 && errno != EINTR)
			host_die("poll");
		if (left || fds[2].revents)
			left = notices_flush();
		if (fds[0].revents)
			mind_control(&host);
		else if (fds[1].revents && host.backend)
			mind_vhost(&host);
		else if (fds[1].revents)
			host_accesses(&host, false);
	}
}
