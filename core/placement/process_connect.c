/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connections that a plugin's process asks for while its device runs. What it asks for is hostile: the broker looks whether the
 * device's values allow it. The answer is there at once, so none is ever due, and however often a process asks, it gets no more of our
 * time than other notices do. Main thread.
 */
#include "core/base/fd.h"
#include "core/placement/broker.h"
#include "core/placement/process_impl.h"

#include <errno.h>

static void answer(struct process *process, uint32_t token, int fd)
{
	const struct wire_connected connected = { .token = token, .result = fd < 0 ? fd : 0 };
	const struct wire_head head = { .op = WIRE_CONNECTED, .fd_count = fd >= 0 };
	/* There is room for as many as it may have asked for, and it is not waited for. */
	int r = wire_send(&process->control, &head, &connected, NULL, &fd, 0);

	if (r < 0)
		process_fail_of(process, r, process_during(process),
				"it does not take the connections that it asks for");
}

void process_serve_connect(struct process *process, const struct wire_connect *asked)
{
	const struct device_connect ask = {
		.token = asked->token,
		.param = asked->param,
		.index = asked->index,
		.number = asked->number,
	};
	FD_AUTO int fd = -1;

	if (!process->may_connect) {
		process_fail(process, FAILURE_PROTOCOL, process_during(process),
			     "a connection before its device was started");
		return;
	}
	/* It was on its way when the device was stopped: nobody is there any more to be told. */
	if (process->phase == PROCESS_STOPPED)
		return;
	fd = broker_connect(process->values, &ask);
	if (fd == -EPROTO)
		process_fail(process, FAILURE_PROTOCOL, process_during(process),
			     "a connection that is not its own to ask for");
	else
		answer(process, asked->token, fd);
}
