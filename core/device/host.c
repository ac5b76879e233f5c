/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host table, and its entries for the log, failures, clocks, events, claims and interrupts. Called by plugin code on the thread tags that
 * <backplane/host.h> states; each entry checks its own.
 */
#include "core/device/internal.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/device/state.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

static void host_log(struct bp_dev *dev, uint32_t level, const char *text)
{
	device_log(device_of(dev), level <= BP_LOG_DEBUG ? (enum log_level)level : LOG_LEVEL_DEBUG, "%s", text);
}

static int host_fail(struct bp_dev *dev, int error, const char *text)
{
	struct device *device = device_of(dev);

	if (device_context.device == device && device_context.tag == DEVICE_TAG_MAIN)
		return err_set(&device->error, error, "%s", text);
	device_log(device, LOG_LEVEL_WARN, "%s (%s)", text, strerror(-error));
	return error;
}

static void host_broken(struct bp_dev *dev, const char *text)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, false, true, "bp_broken"))
		return;
	device_broken(device, text);
}

static uint64_t host_clock_ns(struct bp_dev *dev)
{
	(void)dev;
	return clock_now_ns();
}

static uint64_t host_clock(struct bp_dev *dev, uint32_t clock)
{
	struct timespec real;

	(void)dev;
	switch (clock) {
	case BP_CLOCK_MONOTONIC:
		return clock_now_ns();
	case BP_CLOCK_REAL:
		clock_gettime(CLOCK_REALTIME, &real);
		return (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec;
	case BP_CLOCK_START:
		return clock_now_ns() - clock_start_ns();
	default:
		return 0;
	}
}

static int host_event(struct bp_dev *dev, uint32_t event, uint64_t value)
{
	struct device *device = device_of(dev);

	if (!device_on_tag(device, false, true, "bp_event"))
		return -EDEADLK;
	return device->place.event(device->place.ctx, device, event, value);
}

static uint64_t host_info(struct bp_dev *dev, uint32_t what)
{
	switch (what) {
	case BP_INFO_VCPUS:
		return device_of(dev)->vcpus;
	case BP_INFO_IDENTITY:
		return device_of(dev)->identity;
	default:
		return 0;
	}
}

static int host_claim(struct bp_dev *dev, const struct bp_range *range, uint64_t base, uint32_t *ret_range)
{
	struct device *device = device_of(dev);
	struct class_range what = { 0 };
	uint32_t index = (uint32_t)device->class->decl.range_count;
	int r;

	if (!device_on_tag(device, true, false, "bp_claim"))
		return -EDEADLK;
	while (index < DEVICE_RANGES_MAX && device->ranges[index].claimed)
		index++;
	if (index == DEVICE_RANGES_MAX)
		return err_set(&device->error, -ENOSPC, "a device has at most %d ranges", DEVICE_RANGES_MAX);
	if (!device->class->callbacks.access)
		return err_set(&device->error, -EINVAL, "bp_claim was called by a class without an access callback");
	if (range->flags || (range->space == BP_PIO && base == BP_BASE_ANY))
		return err_set(&device->error, -EINVAL, "bp_claim was called with a malformed range");
	what.space = range->space;
	what.widths = range->widths;
	what.length = range->length;
	r = device->place.claim(device->place.ctx, device, index, &what, base, &base, &device->error);
	if (r < 0)
		return r;
	device->ranges[index] = (struct device_range){ .claimed = true, .what = what, .base = base };
	*ret_range = index;
	return 0;
}

static int host_release(struct bp_dev *dev, uint32_t range)
{
	struct device *device = device_of(dev);
	int r;

	if (!device_on_tag(device, true, false, "bp_release"))
		return -EDEADLK;
	if (range >= DEVICE_RANGES_MAX || !device->ranges[range].claimed)
		return -ENOENT;
	r = device->place.release(device->place.ctx, device->ranges[range].what.space, device->ranges[range].base);
	if (r == 0)
		device->ranges[range].claimed = false;
	return r;
}

/* Ranges change on [main] only, when nothing else of the device runs; so any thread may look. */
static int host_range_base(struct bp_dev *dev, uint32_t range, uint64_t *ret_base)
{
	struct device *device = device_of(dev);

	if (range >= DEVICE_RANGES_MAX || !device->ranges[range].claimed)
		return -ENOENT;
	*ret_base = device->ranges[range].base;
	return 0;
}

static int host_irq_raise(struct bp_dev *dev, uint32_t irq)
{
	struct device *device = device_of(dev);

	if (irq >= device->class->decl.irq_count)
		return -ENOENT;
	fd_event_signal(device->irq_fds[irq]);
	return 0;
}

const struct bp_host device_host = {
	.size = sizeof(struct bp_host),
	.abi_major = BP_ABI_MAJOR,
	.abi_minor = BP_ABI_MINOR,
	.log = host_log,
	.fail = host_fail,
	.broken = host_broken,
	.clock_ns = host_clock_ns,
	.cfg_count = host_cfg_count,
	.cfg_uint = host_cfg_uint,
	.cfg_int = host_cfg_int,
	.cfg_string = host_cfg_string,
	.cfg_fd = host_cfg_fd,
	.cfg_stream = host_cfg_stream,
	.cfg_group = host_cfg_group,
	.claim = host_claim,
	.release = host_release,
	.range_base = host_range_base,
	.irq_raise = host_irq_raise,
	.mem_read = host_mem_read,
	.mem_write = host_mem_write,
	.mem_copy = host_mem_copy,
	.mem_slice = host_mem_slice,
	.mem_unpin = host_mem_unpin,
	.fd_add = host_fd_add,
	.fd_set = host_fd_set,
	.fd_del = host_fd_del,
	.timer_add = host_timer_add,
	.timer_set = host_timer_set,
	.timer_del = host_timer_del,
	.stream_listen = host_stream_listen,
	.stream_read = host_stream_read,
	.stream_write = host_stream_write,
	.event = host_event,
	.clock = host_clock,
	.stream_size = host_stream_size,
	.virtio_offer = host_virtio_offer,
	.virtio_config_write = host_virtio_config_write,
	.virtio_config_read = host_virtio_config_read,
	.chain_left = host_chain_left,
	.chain_read = host_chain_read,
	.chain_write = host_chain_write,
	.chain_take = host_chain_take,
	.chain_skip = host_chain_skip,
	.chain_complete = host_chain_complete,
	.io_open = host_io_open,
	.io_submit = host_io_submit,
	.job = host_job,
	.metric = host_metric,
	.put_uint = host_put_uint,
	.put_bytes = host_put_bytes,
	.get_uint = host_get_uint,
	.get_bytes = host_get_bytes,
	.info = host_info,
	.cfg_network = host_cfg_network,
	.connect = host_connect,
	.chain_peek = host_chain_peek,
	.chain_wrote = host_chain_wrote,
};
