/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the device finds itself: its claims are asked of the core, within the core's request that they are made for;
 * events are told, and so is what it wants to be connected, which the core answers when it likes. */
#include "core/placement/child/host.h"

#include "core/base/clock.h"
#include "core/base/fd.h"

#include <errno.h>

/* Of one question at a time, on the main thread. As in main.c it is not on the stack. */
static struct wire_message answer;

void host_connected(struct host *host, struct wire *wire, const struct wire_connected *connected)
{
	int fd = connected->result;

	if (fd > 0 || (fd < 0 ? wire->fd_count || wire->lost_fd : wire->fd_count + wire->lost_fd != 1))
		host_die("a connection that is none");
	if (wire->lost_fd)
		fd = -EMFILE;
	else if (fd == 0)
		fd = fd_take(&wire->fds[0]);
	if (!host->device || !device_connected(host->device, connected->token, fd))
		host_die("a connection that nobody has asked for");
}

/* Asks the core, and waits for the answer. What else can come meanwhile is a connection; all other things are a breach. */
static int ask(struct host *host, uint32_t op, const void *body)
{
	const struct wire_head head = { .version = WIRE_VERSION, .op = op, .sequence = ++host->sequence };
	struct wire nested = {
		.fd = WIRE_FD_CONTROL,
		.refuses_blobs = true,
		.refuses_fds = host->control.refuses_fds,
		.may_lose_fd = host->control.may_lose_fd,
	};
	int r = wire_send(&host->control, &head, body, NULL, NULL, host_patience());

	if (r < 0)
		host_die("the core does not take a request");
	answer.head = (struct wire_head){ .op = 0 };
	do {
		r = msg_wait(WIRE_FD_CONTROL, -1, host_patience());
		if (r == 0)
			r = wire_receive(&nested, &answer);
		if (r == 1 && answer.head.op == WIRE_CONNECTED) {
			host_connected(host, &nested, &answer.body.connected);
			r = -EAGAIN;
		}
	} while (r == -EAGAIN);
	if (r <= 0 || answer.head.op != (op | WIRE_REPLY) || answer.head.sequence != head.sequence || nested.fd_count ||
	    nested.blob_bytes)
		host_die("the core did not answer a request");
	wire_end(&nested);
	return answer.head.result;
}

static int place_claim(void *ctx, struct device *device, uint32_t cookie, const struct class_range *range,
		       uint64_t base, uint64_t *ret_base, struct err *err)
{
	const struct wire_claim claim = {
		.cookie = cookie,
		.space = range->space,
		.widths = range->widths,
		.length = range->length,
		.base = base,
	};
	struct host *host = ctx;
	int r;

	(void)device;
	if (cookie >= CLASS_RANGES_MAX)
		return err_set(err, -ENOSPC, "a device has at most %d ranges", CLASS_RANGES_MAX);
	r = ask(host, WIRE_CLAIM, &claim);
	if (r < 0)
		return err_set(err, r, "%s", answer.body.text.text);
	host->ranges[cookie] = (struct host_range){
		.claimed = true,
		.space = range->space,
		.base = answer.body.claimed.base,
		.length = range->length,
	};
	*ret_base = answer.body.claimed.base;
	return 0;
}

static int place_release(void *ctx, uint32_t space, uint64_t base)
{
	const struct wire_release release = { .space = space, .base = base };
	struct host *host = ctx;
	int r = ask(host, WIRE_RELEASE, &release);

	for (size_t i = 0; r == 0 && i < CLASS_RANGES_MAX; i++) {
		struct host_range *range = &host->ranges[i];

		if (range->claimed && range->space == space && range->base == base)
			range->claimed = false;
	}
	return r;
}

static void place_quit(void *ctx)
{
	(void)ctx;
	notices_quit();
}

static int place_event(void *ctx, struct device *device, uint32_t event, uint64_t value)
{
	(void)ctx, (void)device;
	return notices_event(event, value);
}

static int place_connect(void *ctx, struct device *device, const struct device_connect *ask)
{
	const struct wire_connect connect = {
		.token = ask->token,
		.param = ask->param,
		.index = ask->index,
		.number = ask->number,
	};

	(void)ctx, (void)device;
	notices_connect(&connect);
	return 0;
}

const struct device_place host_place = {
	.claim = place_claim,
	.release = place_release,
	.quit = place_quit,
	.event = place_event,
	.connect = place_connect,
};
