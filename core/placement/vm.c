/* SPDX-License-Identifier: BSD-3-Clause */
/* A VM from its plan; see vm.h. run.c has its life. */
#include "core/placement/vm.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/config/report.h"
#include "core/machine/layout.h"
#include "core/placement/instance.h"
#include "core/placement/open.h"
#include "core/placement/virtio.h"

#include <backplane/host.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what devices ask of the VM ---- */

static int home_claim(void *ctx, const char *id, const struct class_range *range, uint64_t base, bus_access_fn *access,
		      void *access_ctx, uint32_t cookie, uint64_t *ret_base, struct err *err)
{
	struct vm *vm = ctx;
	struct bus_claim claim = {
		.space = range->space,
		.widths = range->widths,
		.base = base,
		.length = range->length,
		.access = access,
		.ctx = access_ctx,
		.cookie = cookie,
	};
	int r;

	snprintf(claim.owner, sizeof(claim.owner), "%s", id);
	if (base == BP_BASE_ANY) {
		uint64_t align = 4096;

		while (align < range->length && align <= LAYOUT_MMIO)
			align *= 2;
		r = bus_find_free(vm->bus, range->space, LAYOUT_MMIO, LAYOUT_MMIO_END, range->length, align,
				  &claim.base);
		if (r < 0)
			return err_set(err, r, "no room for a range of 0x%" PRIx64 " bytes", range->length);
	}
	r = bus_insert(vm->bus, &claim, err);
	if (r < 0)
		return r;
	*ret_base = claim.base;
	return 0;
}

static int home_release(void *ctx, uint32_t space, uint64_t base)
{
	struct vm *vm = ctx;

	return bus_remove(vm->bus, space, base);
}

static void home_quit(void *ctx)
{
	struct vm *vm = ctx;

	/* If the guest has ended just now by itself, the first reason counts; so that a restart does not undo what the user wants, it
	 * looks at this. */
	atomic_store(&vm->quit, true);
	machine_end(vm->machine, MACHINE_REQUESTED);
}

/* Each mark is a line, so a guest gets a budget of them. */
static void mark(struct vm *vm, const char *id, uint64_t value)
{
	uint64_t us = (clock_now_ns() - clock_start_ns()) / NS_PER_US;
	uint32_t before = atomic_fetch_add(&vm->marks, 1);

	if (before < INSTANCE_MARKS_MAX)
		log_tell("devices.%s: mark %" PRIu64 " at %" PRIu64 " us", id, value, us);
	else if (before == INSTANCE_MARKS_MAX)
		log_warn("devices.%s: the guest makes more than %d marks: the others are left out", id,
			 INSTANCE_MARKS_MAX);
}

static int home_event(void *ctx, const char *id, uint32_t event, uint64_t value)
{
	struct vm *vm = ctx;

	/* Before the end that it is the reason of. */
	if (event < 32)
		atomic_fetch_or(&vm->told, 1u << event);
	switch (event) {
	case BP_EVENT_PANIC:
		machine_end(vm->machine, MACHINE_PANIC);
		return 0;
	case BP_EVENT_CRASH_LOADED:
		if (!atomic_exchange(&vm->crash_loaded, true))
			log_warn("devices.%s: the guest has crashed, and goes on with a crash kernel", id);
		return 0;
	case BP_EVENT_RESET:
		machine_end(vm->machine, MACHINE_RESET);
		return 0;
	case BP_EVENT_POWEROFF:
		machine_end(vm->machine, MACHINE_POWEROFF);
		return 0;
	case BP_EVENT_MARK:
		mark(vm, id, value);
		return 0;
	default:
		return -EINVAL;
	}
}

static void home_failed(void *ctx, const char *id)
{
	struct vm *vm = ctx;

	for (size_t i = 0; i < vm->plan->device_count; i++) {
		const struct config_device *config = vm->plan->devices[i].config;

		if (strcmp(config->id, id) != 0)
			continue;
		vm->devices[i].failed = true;
		if (config->on_failure != ON_FAILURE_STOP)
			continue;
		vm->device_gone = true;
		machine_end(vm->machine, MACHINE_BROKEN);
	}
}

/* ---- making and ending ---- */

/* Joins the virtio device that was made last. */
static int make_seat(struct vm *vm, const struct plan_device *planned, struct err *err)
{
	size_t index = vm->device_count - 1;
	const struct virtio_seat_spec spec = {
		.device = &vm->devices[index].placed,
		.machine = vm->machine,
		.bus = vm->bus,
		.base = planned->bases[0],
		.line = planned->lines[0],
	};
	int r = virtio_seat_new(&spec, &vm->devices[index].seat, err);

	if (r < 0)
		err_prefix(err, "devices.%s: ", planned->config->id);
	return r;
}

/* In this process. */
static int make_thread(struct vm *vm, const struct plan_device *planned, const int *irq_fds,
		       const struct placed_home *home, struct placed *ret, struct err *err)
{
	struct device_spec spec = {
		.id = planned->config->id,
		.class = planned->class,
		.values = planned->values,
		.mem = machine_mem(vm->machine),
		.vcpus = vm->plan->machine.vcpus,
		.identity = planned->identity,
	};

	memcpy(spec.bases, planned->bases, sizeof(spec.bases));
	memcpy(spec.irq_fds, irq_fds, sizeof(spec.irq_fds));
	return placed_thread_new(&spec, home, ret, err);
}

/* Out of the process that has the plugin. */
static int make_process(struct vm *vm, struct plan_device *planned, const int *irq_fds, const struct placed_home *home,
			struct placed *ret, struct err *err)
{
	struct machine_region regions[GMEM_REGIONS_MAX];
	struct process_memory memory = { .count = machine_regions(vm->machine, regions) };
	struct process_device spec = {
		.class = planned->class,
		.values = planned->values,
		.memory = &memory,
		.vcpus = vm->plan->machine.vcpus,
		.identity = planned->identity,
	};
	int r;

	for (size_t i = 0; i < memory.count; i++) {
		memory.regions[i].gpa = regions[i].gpa;
		memory.regions[i].bytes = regions[i].bytes;
		memory.regions[i].offset = regions[i].offset;
		memory.regions[i].fd = regions[i].fd;
	}
	memcpy(spec.bases, planned->bases, sizeof(spec.bases));
	memcpy(spec.irq_fds, irq_fds, sizeof(spec.irq_fds));
	r = process_create(planned->process, &spec, home, ret, err);
	if (r == 0)
		planned->process = NULL;
	return r;
}

static int make_device(struct vm *vm, struct plan_device *planned, struct err *err)
{
	const struct class_decl *decl = &planned->class->decl;
	const struct placed_home home = {
		.claim = home_claim,
		.release = home_release,
		.quit = home_quit,
		.event = home_event,
		.failed = home_failed,
		.ctx = vm,
	};
	struct placed *placed = &vm->devices[vm->device_count].placed;
	int irq_fds[CLASS_IRQS_MAX] = { 0 };
	size_t lines;
	int r = open_values(&vm->opener, planned->values, err);

	if (r < 0)
		return r;
	for (lines = 0; lines < decl->irq_count; lines++) {
		irq_fds[lines] = machine_irq_fd(vm->machine, planned->lines[lines], err);
		if (irq_fds[lines] < 0) {
			r = irq_fds[lines];
			goto fail;
		}
	}
	r = planned->process ? make_process(vm, planned, irq_fds, &home, placed, err)
			     : make_thread(vm, planned, irq_fds, &home, placed, err);
	if (r < 0)
		goto fail;
	planned->values = NULL;
	vm->device_count++;
	return decl->virtio.id ? make_seat(vm, planned, err) : 0;
fail:
	while (lines)
		fd_close(irq_fds[--lines]);
	{
		struct err text = *err;

		config_fail(err, &planned->values->place, planned->values->path, "%s", text.text);
	}
	return r;
}

int vm_new(struct plan *plan, struct vm **ret, struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_sys(err, -ENOMEM, "VM");
	vm->plan = plan;
	/* First, while this process has neither threads nor guest memory: it starts another one. */
	r = plan_unpack(plan, err);
	if (r < 0)
		goto fail;
	vm->devices = calloc(plan->device_count + 1, sizeof(vm->devices[0]));
	r = vm->devices ? bus_new(&vm->bus) : -ENOMEM;
	if (r < 0) {
		err_sys(err, r, "VM");
		goto fail;
	}
	r = machine_reserve(&plan->machine, vm->bus, err);
	if (r < 0)
		goto fail;
	r = machine_new(&plan->machine, vm->bus, &vm->machine, err);
	if (r < 0)
		goto fail;
	for (size_t i = 0; i < plan->device_count; i++) {
		r = make_device(vm, &plan->devices[i], err);
		if (r < 0)
			goto fail;
	}
	r = machine_boot(vm->machine, plan->image, &plan->firmware, err);
	if (r < 0)
		goto fail;
	*ret = vm;
	return 0;
fail:
	vm_free(vm);
	return r;
}

void vm_metrics(struct vm *vm, const char *path)
{
	vm->metrics_path = path;
}

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	opener_end(&vm->opener);
	while (vm->device_count) {
		struct vm_device *device = &vm->devices[--vm->device_count];

		virtio_seat_free(device->seat);
		device->placed.ops->free(device->placed.ctx);
	}
	/* Of a device that could not be made. */
	for (size_t i = 0; i < vm->plan->device_count; i++)
		if (vm->plan->devices[i].values)
			values_let_go(vm->plan->devices[i].values);
	opener_wait(&vm->opener);
	free(vm->devices);
	machine_free(vm->machine);
	bus_free(vm->bus);
	free(vm);
}
