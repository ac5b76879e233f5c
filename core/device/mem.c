/* SPDX-License-Identifier: BSD-3-Clause */
/* The host table's entries for guest memory: DMA, RAM only. [any] but for slices. */
#include "core/device/internal.h"

#include <errno.h>

int host_mem_read(struct bp_dev *dev, uint64_t gpa, void *buf, size_t bytes)
{
	return gmem_read(device_of(dev)->mem, gpa, buf, bytes);
}

int host_mem_write(struct bp_dev *dev, uint64_t gpa, const void *buf, size_t bytes)
{
	return gmem_write(device_of(dev)->mem, gpa, buf, bytes);
}

int host_mem_copy(struct bp_dev *dev, uint64_t dst_gpa, uint64_t src_gpa, uint64_t bytes)
{
	return gmem_copy(device_of(dev)->mem, dst_gpa, src_gpa, bytes);
}

static int pin(struct device *device, const void *slice, size_t bytes)
{
	int r = -ENOSPC;

	pthread_mutex_lock(&device->pin_lock);
	if (device->pin_count < DEVICE_PINS_MAX) {
		device->pins[device->pin_count].slice = slice;
		device->pins[device->pin_count].bytes = bytes;
		device->pin_count++;
		r = 0;
	}
	pthread_mutex_unlock(&device->pin_lock);
	return r;
}

int host_mem_slice(struct bp_dev *dev, uint64_t gpa, size_t bytes, uint32_t flags, void **ret)
{
	struct device *device = device_of(dev);
	void *slice;
	int r;

	if (!device_on_tag(device, false, true, "bp_mem_slice"))
		return -EDEADLK;
	if ((flags & ~(BP_SLICE_READ | BP_SLICE_WRITE | BP_SLICE_PIN)) || !(flags & (BP_SLICE_READ | BP_SLICE_WRITE)))
		return -EINVAL;
	slice = gmem_slice(device->mem, gpa, bytes);
	if (!slice)
		return -EFAULT;
	if (flags & BP_SLICE_PIN) {
		r = pin(device, slice, bytes);
		if (r < 0)
			return r;
	}
	*ret = slice;
	return 0;
}

int host_mem_unpin(struct bp_dev *dev, void *slice, size_t bytes)
{
	struct device *device = device_of(dev);
	int r = -EINVAL;

	pthread_mutex_lock(&device->pin_lock);
	for (size_t i = 0; i < device->pin_count; i++)
		if (device->pins[i].slice == slice && device->pins[i].bytes == bytes) {
			device->pins[i] = device->pins[--device->pin_count];
			r = 0;
			break;
		}
	pthread_mutex_unlock(&device->pin_lock);
	return r;
}
