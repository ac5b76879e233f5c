/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking a plugin's process, and what it says meanwhile or without being asked. Main thread. */
#include "core/base/clock.h"
#include "core/placement/process_impl.h"

#include <backplane/host.h>

#include <errno.h>
#include <poll.h>

const char *process_op_name(uint32_t op)
{
	static const char *const names[] = {
		[WIRE_LOAD] = "load",       [WIRE_CREATE] = "create",   [WIRE_START] = "start",
		[WIRE_RESET] = "reset",     [WIRE_QUIESCE] = "quiesce", [WIRE_RESUME] = "resume",
		[WIRE_SAVE] = "save",       [WIRE_RESTORE] = "restore", [WIRE_METRICS] = "metrics",
		[WIRE_PING] = "running",    [WIRE_STOP] = "stop",       [WIRE_END] = "destroy",
		[WIRE_RESIZED] = "resized", [WIRE_SETTLE] = "access",
	};

	return op < sizeof(names) / sizeof(names[0]) && names[op] ? names[op] : "running";
}

const char *process_during(const struct process *process)
{
	return process->asked ? process_op_name(process->asked) : NULL;
}

static void breach(struct process *process, const char *why)
{
	process_fail(process, FAILURE_PROTOCOL, process_during(process), why);
}

/* ---- what comes ---- */

static void take_event(struct process *process, const struct wire_event *event)
{
	if (!process->home.event || event->event < BP_EVENT_PANIC || event->event > BP_EVENT_MARK)
		breach(process, "an event that there is not");
	else
		process->home.event(process->home.ctx, process->id, event->event, event->value);
}

static void take_quit(struct process *process)
{
	if (!process->home.quit)
		breach(process, "a notice before there is a device");
	else
		process->home.quit(process->home.ctx);
}

static void take_pong(struct process *process, const struct wire_message *message)
{
	if (process->ping_sent && message->head.sequence == process->ping_sequence && message->head.result == 0) {
		process->ping_sent = false;
		process->ping_since_ns = 0;
	} else {
		breach(process, "a reply that nobody waits for");
	}
}

static void dispatch(struct process *process, const struct wire_message *message)
{
	switch (message->head.op) {
	case WIRE_LOG:
		process_log_line(process, &message->body.log);
		break;
	case WIRE_EVENT:
		take_event(process, &message->body.event);
		break;
	case WIRE_QUIT:
		take_quit(process);
		break;
	case WIRE_CONNECT:
		process_serve_connect(process, &message->body.connect);
		break;
	case WIRE_CLAIM:
		process_serve_claim(process, message);
		break;
	case WIRE_RELEASE:
		process_serve_release(process, message);
		break;
	case WIRE_PING | WIRE_REPLY:
		take_pong(process, message);
		break;
	default:
		breach(process, message->head.op & WIRE_REPLY ? "a reply that nobody waits for"
							      : "a request that is not for it to make");
		break;
	}
}

/* Takes one message. 1 if it is the reply with that op and sequence, which is in *ret then; 0 if it was another;
 * -EAGAIN if there is none; -ENODEV if there will be none any more. */
static int take_one(struct process *process, uint32_t op, uint32_t sequence, struct wire_message *ret)
{
	int r = wire_receive(&process->control, ret);

	if (r == -EAGAIN)
		return r;
	if (r == 0)
		process_fail(process, PROCESS_GONE, process_during(process), "");
	else if (r < 0)
		breach(process, "a malformed message");
	if (r <= 0) {
		process_unwatch(process, SOURCE_CONTROL);
		return -ENODEV;
	}
	if (op && ret->head.op == (op | WIRE_REPLY) && ret->head.sequence == sequence)
		return 1;
	dispatch(process, ret);
	return 0;
}

void process_listen(struct process *process)
{
	struct wire_message message;
	int r = 0;

	for (int i = 0; r == 0 && i < PROCESS_TURN_MESSAGES; i++)
		r = take_one(process, 0, 0, &message);
}

/* ---- asking ---- */

/* Until something has come, the process has gone or the deadline has passed. */
static void wait_more(struct process *process, uint64_t deadline_ns)
{
	struct pollfd fds[] = {
		{ .fd = process->control.fd, .events = POLLIN },
		{ .fd = process->pidfd, .events = POLLIN },
		{ .fd = process->stderr_fd, .events = POLLIN },
	};
	uint64_t now_ns = clock_now_ns();
	uint64_t left_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
	const struct timespec left = { .tv_sec = (time_t)(left_ns / NS_PER_S), .tv_nsec = (long)(left_ns % NS_PER_S) };
	int count = ppoll(fds, 3, &left, NULL);

	if (count < 0)
		return;
	/* One that never stops writing to its standard error does not answer, either. */
	if (!left_ns && !fds[0].revents && !fds[1].revents)
		process_fail(process, FAILURE_HANG, process_during(process), "");
	if (fds[2].revents)
		process_read_stderr(process);
	/* Others may hold its end of the socket. What it has sent before it ended comes first. */
	if (fds[1].revents && !fds[0].revents && poll(fds, 1, 0) == 0)
		process_fail(process, PROCESS_GONE, process_during(process), "");
}

static int wait_reply(struct process *process, uint32_t sequence, uint64_t deadline_ns, struct wire_message *ret)
{
	while (!process_failed(process)) {
		int r = take_one(process, process->asked, sequence, ret);

		if (r == 1)
			return 0;
		if (r == -EAGAIN)
			wait_more(process, deadline_ns);
		else if (clock_now_ns() >= deadline_ns)
			process_fail(process, FAILURE_HANG, process_during(process), "");
	}
	return -ENODEV;
}

static int exchange(struct process *process, const struct process_request *request, struct wire_message *ret)
{
	const struct wire_head head = {
		.version = WIRE_VERSION,
		.op = request->op,
		.sequence = ++process->sequence,
		.blob_bytes = (uint32_t)request->blob_bytes,
		.fd_count = (uint32_t)request->fd_count,
	};
	uint64_t deadline_ns = clock_now_ns() + process->request_ns;
	int r = wire_send(&process->control, &head, request->body, request->blob, request->fds, deadline_ns);

	/* Whoever does not listen any more may have said something before. */
	if (r < 0 && r != -EPIPE) {
		process_fail_of(process, r, process_during(process), "a request cannot be sent");
		return -ENODEV;
	}
	return wait_reply(process, head.sequence, deadline_ns, ret);
}

/* Whether the reply has one. Pieces of any other would only fill our memory. */
static bool has_blob(uint32_t op)
{
	return op == WIRE_LOAD || op == WIRE_SAVE || op == WIRE_METRICS;
}

int process_ask(struct process *process, const struct process_request *request, struct wire_message *ret,
		struct err *err)
{
	int r = -ENODEV;

	if (!process_failed(process)) {
		process->asked = request->op;
		process->control.refuses_blobs = !has_blob(request->op);
		r = exchange(process, request, ret);
		process->control.refuses_blobs = true;
		process->asked = 0;
	}
	if (r < 0) {
		/* It had failed before: nothing of it can be asked. */
		process_sentence(process, err);
		return r;
	}
	return ret->head.result < 0 ? err_set(err, ret->head.result, "%s", ret->body.text.text) : 0;
}

int process_ask_plain(struct process *process, uint32_t op, struct err *err)
{
	const struct process_request request = { .op = op };
	struct wire_message reply;

	return process_ask(process, &request, &reply, err);
}

/* ---- pings ---- */

static void send_ping(struct process *process, uint64_t now_ns)
{
	const struct wire_head head = { .version = WIRE_VERSION, .op = WIRE_PING, .sequence = process->sequence + 1 };
	int r = wire_send(&process->control, &head, NULL, NULL, NULL, 0);

	/* Where there is no room nobody reads: the time counts all the same. */
	if (!process->ping_since_ns)
		process->ping_since_ns = now_ns;
	process->ping_next_ns = now_ns + process->request_ns / 4;
	if (r < 0)
		return;
	process->ping_sequence = ++process->sequence;
	process->ping_sent = true;
}

void process_mind_ping(struct process *process, uint64_t now_ns)
{
	if (process->phase != PROCESS_RUNNING || process_failed(process))
		return;
	/* We may have been away for as long: what has come meanwhile counts. */
	if (process->ping_since_ns && now_ns - process->ping_since_ns >= process->request_ns) {
		process_listen(process);
		if (process->ping_since_ns)
			process_fail(process, FAILURE_HANG, NULL, "");
		return;
	}
	if (now_ns < process->ping_next_ns)
		return;
	if (process->ping_sent)
		process->ping_next_ns = now_ns + process->request_ns / 4;
	else
		send_ping(process, now_ns);
}
