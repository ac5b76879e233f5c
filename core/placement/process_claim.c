/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of addresses that a plugin's process asks for, while its plugin is in one of the callbacks that may. Those
 * that its class declares have to be what it declares, where the plan has put them. Main thread.
 */
#include "core/base/clock.h"
#include "core/placement/process_impl.h"

#include <errno.h>
#include <string.h>

static bool may_ask(const struct process *process)
{
	/* It may end without ever having been a device. */
	if (!process->home.claim)
		return false;
	return process->asked == WIRE_CREATE || process->asked == WIRE_START || process->asked == WIRE_STOP ||
	       process->asked == WIRE_END;
}

static void answer(struct process *process, const struct wire_message *message, int result, const void *body)
{
	const struct wire_head head = {
		.version = WIRE_VERSION,
		.op = message->head.op | WIRE_REPLY,
		.sequence = message->head.sequence,
		.result = result,
	};
	int r = wire_send(&process->control, &head, body, NULL, NULL, clock_now_ns() + process->request_ns);

	if (r < 0)
		process_fail_of(process, r, process_op_name(process->asked), "an answer cannot be sent");
}

static void refuse(struct process *process, const struct wire_message *message, int result, const struct err *err)
{
	struct wire_text text = { .text = "" };

	memcpy(text.text, err->text, strnlen(err->text, sizeof(text.text) - 1));
	answer(process, message, result, &text);
}

/* Whether the process may use the cookie for this. */
static bool is_its_own(const struct process *process, const struct wire_claim *claim)
{
	const struct class_decl *decl = &process->class->decl;
	const struct class_range *range;

	if (claim->cookie >= CLASS_RANGES_MAX || process->claims[claim->cookie].claimed)
		return false;
	if (claim->cookie >= decl->range_count)
		return decl->has_access;
	range = &decl->ranges[claim->cookie];
	return claim->space == range->space && claim->widths == range->widths && claim->length == range->length &&
	       claim->base == process->bases[claim->cookie];
}

void process_serve_claim(struct process *process, const struct wire_message *message)
{
	const struct wire_claim *claim = &message->body.claim;
	const struct class_range range = { .space = claim->space, .widths = claim->widths, .length = claim->length };
	struct wire_claimed claimed;
	struct err err = ERR_NONE;
	int r;

	if (!may_ask(process) || !is_its_own(process, claim)) {
		process_fail(process, FAILURE_PROTOCOL, process_during(process), "a claim that is not its own to make");
		return;
	}
	r = process->home.claim(process->home.ctx, process->id, &range, claim->base, process_access, process,
				claim->cookie, &claimed.base, &err);
	if (r < 0) {
		refuse(process, message, r, &err);
		return;
	}
	process->claims[claim->cookie] =
	    (struct process_claim){ .claimed = true, .space = claim->space, .base = claimed.base };
	answer(process, message, 0, &claimed);
}

static int release(struct process *process, struct process_claim *claim)
{
	int r = process->home.release(process->home.ctx, claim->space, claim->base);

	if (r == 0)
		claim->claimed = false;
	return r;
}

void process_serve_release(struct process *process, const struct wire_message *message)
{
	const struct wire_release *asked = &message->body.release;
	const struct err err = { .text = "the range cannot be given back" };
	struct process_claim *claim = NULL;
	int r;

	for (size_t i = 0; i < CLASS_RANGES_MAX; i++)
		if (process->claims[i].claimed && process->claims[i].space == asked->space &&
		    process->claims[i].base == asked->base)
			claim = &process->claims[i];
	if (!may_ask(process) || !claim) {
		process_fail(process, FAILURE_PROTOCOL, process_during(process),
			     "a release of what it has not claimed");
		return;
	}
	r = release(process, claim);
	if (r < 0)
		refuse(process, message, r, &err);
	else
		answer(process, message, 0, NULL);
}

void process_release_all(struct process *process)
{
	for (size_t i = 0; i < CLASS_RANGES_MAX; i++)
		if (process->claims[i].claimed)
			release(process, &process->claims[i]);
}
