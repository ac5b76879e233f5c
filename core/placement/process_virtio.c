/* SPDX-License-Identifier: BSD-3-Clause */
/* The virtio side of a device in another process: its vhost-user frontend, and the page with the interrupt status.
 * Between transport and frontend we only note what is being asked, for the line that tells of a failure. */
#include "core/base/fd.h"
#include "core/placement/process_impl.h"
#include "core/placement/virtio.h"

#include <errno.h>
#include <sys/mman.h>

#define ISR_BYTES 4096u

int process_make_isr(struct process *process, struct err *err)
{
	FD_AUTO int fd = fd_memfd("interrupt-status", ISR_BYTES);
	void *page;

	if (fd < 0)
		return err_sys(err, fd, "interrupt status");
	page = mmap(NULL, ISR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return err_sys(err, -errno, "interrupt status");
	process->isr = page;
	return fd_take(&fd);
}

/* [any] */
static void on_failed(void *ctx, int error, const char *why)
{
	process_fail_of(ctx, error, NULL, why);
}

int process_join_frontend(struct process *process, const struct process_memory *memory,
			  const struct wire_created *created, struct err *err)
{
	const struct class_virtio *class = &process->class->decl.virtio;
	const struct vhost_frontend_spec spec = {
		.id = process->id,
		.fd = process->vhost_fd,
		.gone_fd = process->pidfd,
		.deadline_ns = process->request_ns,
		.device_id = class->id,
		.vendor_id = VIRTIO_VENDOR_ID,
		.queue_max = created->queue_count,
		.queue_size = (uint16_t) class->queue_size,
		.config_bytes = class->config_bytes,
		.config_writable = process->class->decl.has_config_changed,
		.memory = memory,
		.failed = on_failed,
		.ctx = process,
	};
	int r = vhost_frontend_new(&spec, &process->frontend, err);

	if (r < 0)
		return r;
	process->vhost_fd = -1;
	vhost_frontend_backend(process->frontend, &process->inner);
	r = process_watch(process, SOURCE_VHOST, vhost_frontend_fd(process->frontend));
	return r < 0 ? err_sys(err, r, "virtio") : 0;
}

void process_free_virtio(struct process *process)
{
	process_unwatch(process, SOURCE_VHOST);
	vhost_frontend_free(process->frontend);
	process->frontend = NULL;
	if (process->isr)
		munmap(process->isr, ISR_BYTES);
	process->isr = NULL;
}

void process_attach(void *ctx, const struct placed_notices *notices)
{
	struct process *process = ctx;

	vhost_frontend_attach(process->frontend, notices);
}

/* ---- between transport and frontend ---- */

static int activate(void *ctx, const struct virtio_activation *activation, struct err *err)
{
	struct process *process = ctx;
	int r;

	atomic_store(&process->doing, "activate");
	r = process->inner.ops->activate(process->inner.ctx, activation, err);
	atomic_store(&process->doing, NULL);
	return r;
}

static void reset(void *ctx)
{
	struct process *process = ctx;

	atomic_store(&process->doing, "reset");
	process->inner.ops->reset(process->inner.ctx);
	atomic_store(&process->doing, NULL);
}

static void config_read(void *ctx, uint32_t offset, void *buf, uint32_t bytes)
{
	struct process *process = ctx;

	process->inner.ops->config_read(process->inner.ctx, offset, buf, bytes);
}

static void config_write(void *ctx, uint32_t offset, const void *buf, uint32_t bytes)
{
	struct process *process = ctx;

	atomic_store(&process->doing, "config_changed");
	process->inner.ops->config_write(process->inner.ctx, offset, buf, bytes);
	atomic_store(&process->doing, NULL);
}

static const struct virtio_backend_ops ops = {
	.activate = activate,
	.reset = reset,
	.config_read = config_read,
};

static const struct virtio_backend_ops writable_ops = {
	.activate = activate,
	.reset = reset,
	.config_read = config_read,
	.config_write = config_write,
};

void process_backend(void *ctx, struct virtio_backend *ret)
{
	struct process *process = ctx;

	*ret = process->inner;
	ret->ops = process->inner.ops->config_write ? &writable_ops : &ops;
	ret->ctx = process;
}
