/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in another process, as a struct placed. Main thread. */
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/values_pack.h"
#include "core/placement/process_impl.h"

#include <backplane/host.h>
#include <backplane/state.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(GMEM_REGIONS_MAX == WIRE_REGIONS, "all of memory fits into a message");
static_assert(WIRE_FDS_MAX >= 1 + CLASS_IRQS_MAX + WIRE_REGIONS + VALUES_FDS_MAX, "and so do all descriptors");

#define METRIC_HELP_MAX 200

/* ---- making ---- */

/* What goes with a WIRE_CREATE. */
struct create {
	struct wire_create body;
	uint8_t *blob;
	size_t blob_bytes;
	size_t fd_count;
	int fds[WIRE_FDS_MAX]; /* borrowed */
};

static int pack_values(const struct values *values, struct create *create, struct err *err)
{
	struct values_fds fds = { .count = 0 };
	struct pack_writer writer;
	int r, packed;

	pack_begin(&writer, WIRE_BLOB_MAX);
	packed = values_pack(values, &writer, &fds);
	r = pack_end(&writer, &create->blob, &create->blob_bytes);
	if (packed < 0 && r == 0)
		free(take(&create->blob));
	if (packed < 0 || r < 0)
		return err_sys(err, packed < 0 ? packed : r, "its configuration cannot be handed to its process");
	create->body.value_fds = (uint32_t)fds.count;
	memcpy(create->fds + create->fd_count, fds.fds, fds.count * sizeof(fds.fds[0]));
	create->fd_count += fds.count;
	return 0;
}

static void add_regions(const struct process_memory *memory, struct create *create)
{
	create->body.region_count = (uint32_t)memory->count;
	for (size_t i = 0; i < memory->count; i++) {
		create->body.regions[i].gpa = memory->regions[i].gpa;
		create->body.regions[i].bytes = memory->regions[i].bytes;
		create->body.regions[i].offset = memory->regions[i].offset;
		create->fds[create->fd_count++] = memory->regions[i].fd;
	}
}

/* The descriptors are in the order that wire.h says. */
static int gather(const struct process *process, const struct process_device *spec, int isr_fd, struct create *create,
		  struct err *err)
{
	const struct class_decl *decl = &spec->class->decl;

	*create = (struct create){ .body = {
				       .vcpus = spec->vcpus,
				       .irq_count = (uint32_t)decl->irq_count,
				       .identity = spec->identity,
				   } };
	snprintf(create->body.id, sizeof(create->body.id), "%s", process->id);
	snprintf(create->body.class_name, sizeof(create->body.class_name), "%s", decl->name);
	memcpy(create->body.bases, spec->bases, sizeof(create->body.bases));
	if (isr_fd >= 0)
		create->fds[create->fd_count++] = isr_fd;
	for (size_t i = 0; i < decl->irq_count; i++)
		create->fds[create->fd_count++] = spec->irq_fds[i];
	if (!decl->virtio.id)
		add_regions(spec->memory, create);
	return pack_values(spec->values, create, err);
}

static bool offer_ok(const struct class_virtio *class, const struct wire_created *created)
{
	return class->id ? created->queue_count && created->queue_count <= class->queue_count
			 : !created->queue_count && !created->features;
}

static int ask_create(struct process *process, const struct create *create, struct wire_created *ret, struct err *err)
{
	const struct process_request request = {
		.op = WIRE_CREATE,
		.body = &create->body,
		.blob = create->blob,
		.blob_bytes = create->blob_bytes,
		.fds = create->fds,
		.fd_count = create->fd_count,
	};
	struct wire_message reply;
	int r = process_ask(process, &request, &reply, err);

	if (r < 0)
		return r;
	*ret = reply.body.created;
	if (offer_ok(&process->class->decl.virtio, ret))
		return 0;
	process_fail(process, FAILURE_PROTOCOL, "create", "it offers what its class does not");
	return process_sentence(process, err);
}

static int make_virtio(struct process *process, const struct process_device *spec, const struct wire_created *created,
		       struct err *err)
{
	int r = process_join_frontend(process, spec->memory, created, err);

	/* What the frontend found out is an end of the process, most of the time. */
	if (r < 0 && !process_failed(process) && (r == -ECONNRESET || r == -ETIMEDOUT || r == -EPIPE || r == -EPROTO))
		process_fail_of(process, r, "create", err->text);
	if (r < 0 && process_failed(process))
		return process_sentence(process, err);
	return r;
}

static int make(struct process *process, const struct process_device *spec, struct err *err)
{
	FD_AUTO int isr_fd = -1;
	struct wire_created created;
	struct create create;
	int r;

	if (spec->class->decl.virtio.id) {
		isr_fd = process_make_isr(process, err);
		if (isr_fd < 0)
			return isr_fd;
	}
	r = gather(process, spec, isr_fd, &create, err);
	if (r < 0)
		return r;
	r = ask_create(process, &create, &created, err);
	free(create.blob);
	if (r == 0 && spec->class->decl.virtio.id)
		r = make_virtio(process, spec, &created, err);
	return r;
}

int process_create(struct process *process, const struct process_device *spec, const struct placed_home *home,
		   struct placed *ret, struct err *err)
{
	int r;

	process->class = spec->class;
	process->home = *home;
	memcpy(process->bases, spec->bases, sizeof(process->bases));
	r = make(process, spec, err);
	if (r < 0) {
		process_release_all(process);
		process->home = (struct placed_home){ .ctx = NULL };
		return r;
	}
	process->phase = PROCESS_MADE;
	process->values = spec->values;
	values_let_go(process->values);
	for (size_t i = 0; i < spec->class->decl.irq_count; i++)
		fd_close(spec->irq_fds[i]);
	*ret = (struct placed){ .ops = &process_placed_ops, .ctx = process, .id = process->id, .isr = process->isr };
	return 0;
}

/* ---- what the VM does with it ---- */

/* Whether it can be asked for what needs a device that was started. */
static bool is_started(const struct process *process)
{
	return process->phase == PROCESS_RUNNING || process->phase == PROCESS_QUIET;
}

static void run(struct process *process)
{
	process->phase = PROCESS_RUNNING;
	process->ping_next_ns = clock_now_ns() + process->request_ns / 4;
	processes_rearm(process->set);
}

static int device_start_op(void *ctx, struct err *err)
{
	struct process *process = ctx;
	int r;

	process->may_connect = true;
	r = process_ask_plain(process, WIRE_START, err);
	if (r == 0)
		run(process);
	return r;
}

static void device_stop_op(void *ctx)
{
	struct process *process = ctx;
	struct err ignored = ERR_NONE;

	if (!is_started(process))
		return;
	process->phase = PROCESS_STOPPED;
	if (!process_failed(process))
		process_ask_plain(process, WIRE_STOP, &ignored);
}

static void device_reset_op(void *ctx)
{
	struct process *process = ctx;
	struct err ignored = ERR_NONE;

	if (!process_failed(process))
		process_ask_plain(process, WIRE_RESET, &ignored);
}

/* 0 if the device is in that phase. Else the same answer as a device in a thread gives, without asking for what is out
 * of turn; and one that has failed has no phases any more. */
static int check_phase(struct process *process, enum process_phase phase, struct err *err)
{
	if (process_failed(process))
		return process_sentence(process, err);
	if (process->phase == phase)
		return 0;
	return err_set(err, -EINVAL, "the device is %s", phase == PROCESS_QUIET ? "not at rest" : "not running");
}

static int device_quiesce_op(void *ctx, struct err *err)
{
	struct process *process = ctx;
	int r = check_phase(process, PROCESS_RUNNING, err);

	if (r < 0)
		return r;
	r = process_ask_plain(process, WIRE_QUIESCE, err);
	if (r == 0)
		process->phase = PROCESS_QUIET;
	return r;
}

static int device_resume_op(void *ctx, struct err *err)
{
	struct process *process = ctx;
	int r = check_phase(process, PROCESS_QUIET, err);

	if (r < 0)
		return r;
	r = process_ask_plain(process, WIRE_RESUME, err);
	if (r == 0)
		run(process);
	return r;
}

static int device_save_op(void *ctx, uint8_t **ret, size_t *ret_count, struct err *err)
{
	const struct process_request request = { .op = WIRE_SAVE };
	struct process *process = ctx;
	struct wire_message reply;
	size_t count = 0;
	uint8_t *bytes;
	int r = check_phase(process, PROCESS_QUIET, err);

	if (r < 0)
		return r;
	r = process_ask(process, &request, &reply, err);
	if (r < 0)
		return r;
	bytes = wire_take_blob(&process->control, &count);
	if (bytes && count <= BP_STATE_MAX) {
		*ret = bytes;
		*ret_count = count;
		return 0;
	}
	free(bytes);
	process_fail(process, FAILURE_PROTOCOL, "save", "a state that is none, or too long");
	return process_sentence(process, err);
}

static int device_load_op(void *ctx, const void *bytes, size_t count, struct err *err)
{
	const struct process_request request = { .op = WIRE_RESTORE, .blob = bytes, .blob_bytes = count };
	struct process *process = ctx;
	struct wire_message reply;
	int r = check_phase(process, PROCESS_QUIET, err);

	if (r < 0)
		return r;
	if (count > BP_STATE_MAX)
		return err_set(err, -EINVAL, "these are not the bytes of a device's state");
	return process_ask(process, &request, &reply, err);
}

/* Only register accesses are on their way: a driver's notifications are no message. */
static void device_settle_op(void *ctx)
{
	struct process *process = ctx;
	struct err ignored = ERR_NONE;

	if (is_started(process) && !process->class->decl.virtio.id && !process_failed(process))
		process_ask_plain(process, WIRE_SETTLE, &ignored);
}

static void device_resized_op(void *ctx)
{
	struct process *process = ctx;
	struct err ignored = ERR_NONE;

	if (is_started(process) && !process_failed(process))
		process_ask_plain(process, WIRE_RESIZED, &ignored);
}

/* ---- metrics ---- */

struct metric {
	uint32_t kind;
	char *name, *help;
	uint64_t value;
};

static void metrics_free(struct metric *metrics, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(metrics[i].name);
		free(metrics[i].help);
	}
}

static bool metric_ok(const struct metric *metrics, size_t index)
{
	const struct metric *metric = &metrics[index];
	char *printable;

	if ((metric->kind != BP_METRIC_COUNTER && metric->kind != BP_METRIC_GAUGE) || !metric->name || !metric->help ||
	    !schema_name_ok(metric->name, "_", SCHEMA_NAME_MAX))
		return false;
	for (size_t i = 0; i < index; i++)
		if (!strcmp(metrics[i].name, metric->name))
			return false;
	printable = class_copy_text(metric->help, METRIC_HELP_MAX);
	free(printable);
	return printable != NULL;
}

/* How many there are, all of them in order; or -EPROTO, and none. */
static int unpack_metrics(const uint8_t *blob, size_t bytes, struct metric metrics[static WIRE_METRIC_COUNT])
{
	struct pack_reader reader;
	size_t count = 0;
	bool ok = bytes <= WIRE_METRICS_BYTES;

	unpack_begin(&reader, blob, bytes);
	while (ok && reader.at < reader.count && count < WIRE_METRIC_COUNT) {
		struct metric *metric = &metrics[count];

		metric->kind = unpack_u32(&reader);
		metric->name = unpack_text(&reader, SCHEMA_NAME_MAX);
		metric->help = unpack_text(&reader, METRIC_HELP_MAX);
		metric->value = unpack_u64(&reader);
		ok = metric_ok(metrics, count++);
	}
	if (ok && unpack_end(&reader) == 0)
		return (int)count;
	metrics_free(metrics, count);
	return -EPROTO;
}

static void device_metrics_op(void *ctx, device_metric_fn *fn, void *arg)
{
	const struct process_request request = { .op = WIRE_METRICS };
	struct metric metrics[WIRE_METRIC_COUNT];
	struct process *process = ctx;
	struct err ignored = ERR_NONE;
	struct wire_message reply;
	int count;

	if (process_failed(process) || process_ask(process, &request, &reply, &ignored) < 0)
		return;
	count = unpack_metrics(process->control.blob, process->control.blob_bytes, metrics);
	if (count < 0) {
		process_fail(process, FAILURE_PROTOCOL, "metrics", "metrics that cannot be");
		return;
	}
	for (int i = 0; i < count; i++)
		fn(metrics[i].kind, metrics[i].name, metrics[i].help, metrics[i].value, arg);
	metrics_free(metrics, (size_t)count);
}

static void device_free_op(void *ctx)
{
	process_free(ctx);
}

const struct placed_ops process_placed_ops = {
	.start = device_start_op,
	.stop = device_stop_op,
	.reset = device_reset_op,
	.quiesce = device_quiesce_op,
	.resume = device_resume_op,
	.save = device_save_op,
	.load = device_load_op,
	.settle = device_settle_op,
	.terminal_resized = device_resized_op,
	.metrics_each = device_metrics_op,
	.backend = process_backend,
	.attach = process_attach,
	.free = device_free_op,
};
