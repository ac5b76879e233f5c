/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the registers of a virtio-mmio device with the fake backend have to do, said a second time and as plainly as possible:
 * a table of who may do what at which offset, and one rule for each register. The tests and the fuzz target make the same
 * accesses to the device and to the model, and compare. No cmocka here.
 */
#ifndef TESTS_UNIT_VIRTIO_MODEL_H
#define TESTS_UNIT_VIRTIO_MODEL_H

#include "tests/unit/virtio_fake.h"

#define MODEL_R 1u
#define MODEL_W 2u

/* VIRTIO 1.2, table 4.1, without QueueReset, which needs a feature. */
static const struct {
	uint32_t offset;
	uint32_t may;
} model_registers[] = {
	{ 0x000, MODEL_R },           /* MagicValue */
	{ 0x004, MODEL_R },           /* Version */
	{ 0x008, MODEL_R },           /* DeviceID */
	{ 0x00c, MODEL_R },           /* VendorID */
	{ 0x010, MODEL_R },           /* DeviceFeatures */
	{ 0x014, MODEL_W },           /* DeviceFeaturesSel */
	{ 0x020, MODEL_W },           /* DriverFeatures */
	{ 0x024, MODEL_W },           /* DriverFeaturesSel */
	{ 0x030, MODEL_W },           /* QueueSel */
	{ 0x034, MODEL_R },           /* QueueNumMax */
	{ 0x038, MODEL_W },           /* QueueNum */
	{ 0x044, MODEL_R | MODEL_W }, /* QueueReady */
	{ 0x050, MODEL_W },           /* QueueNotify */
	{ 0x060, MODEL_R },           /* InterruptStatus */
	{ 0x064, MODEL_W },           /* InterruptACK */
	{ 0x070, MODEL_R | MODEL_W }, /* Status */
	{ 0x080, MODEL_W },           /* QueueDescLow */
	{ 0x084, MODEL_W },           /* QueueDescHigh */
	{ 0x090, MODEL_W },           /* QueueDriverLow */
	{ 0x094, MODEL_W },           /* QueueDriverHigh */
	{ 0x0a0, MODEL_W },           /* QueueDeviceLow */
	{ 0x0a4, MODEL_W },           /* QueueDeviceHigh */
	{ 0x0ac, MODEL_W },           /* SHMSel */
	{ 0x0b0, MODEL_R },           /* SHMLenLow */
	{ 0x0b4, MODEL_R },           /* SHMLenHigh */
	{ 0x0b8, MODEL_R },           /* SHMBaseLow */
	{ 0x0bc, MODEL_R },           /* SHMBaseHigh */
	{ 0x0fc, MODEL_R },           /* ConfigGeneration */
};

struct model_queue {
	uint32_t size;
	uint32_t address[6]; /* desc low, high, driver low, high, device low, high */
	bool ready;
	bool refused;
};

struct model {
	uint64_t offered;
	uint32_t queue_count;
	uint32_t queue_max[VIRTIO_QUEUES_MAX];
	uint32_t config_bytes;
	bool refuse; /* as the fake's */

	uint32_t status;
	uint32_t interrupts;
	uint32_t generation;
	uint32_t features[2];
	bool impossible; /* a feature beyond the second word */
	uint32_t device_sel, driver_sel, queue_sel;
	struct model_queue queues[VIRTIO_QUEUES_MAX];
	uint8_t config[VIRTIO_CONFIG_BYTES_MAX];

	bool active;
	unsigned int activations, resets;
	uint64_t kicks[VIRTIO_QUEUES_MAX];
	uint64_t calls; /* signals on the call fd */
};

static inline void model_forget(struct model *model)
{
	if (model->active)
		model->resets++;
	model->active = false;
	model->status = model->interrupts = 0;
	model->features[0] = model->features[1] = 0;
	model->impossible = false;
	model->device_sel = model->driver_sel = model->queue_sel = 0;
	memset(model->queues, 0, sizeof(model->queues));
	for (uint32_t i = 0; i < model->queue_count; i++)
		model->queues[i].size = model->queue_max[i];
}

static inline void model_init(struct model *model, const struct fake *fake)
{
	*model = (struct model){
		/* Indirect descriptors, event index, in order, platform order; the device's own; and version 1. */
		.offered = (fake->backend.features & UINT64_C(0xfffc001830ffffff)) | UINT64_C(1) << 32,
		.queue_count = fake->backend.queue_count,
		.config_bytes = fake->backend.config_bytes,
	};
	for (uint32_t i = 0; i < model->queue_count; i++)
		model->queue_max[i] = fake->backend.queue_sizes[i];
	memcpy(model->config, fake->config, sizeof(model->config));
	model_forget(model);
}

/* Whether an access of that kind does anything at all. */
static inline bool model_takes(const struct model *model, uint64_t offset, uint32_t width, bool write)
{
	if (offset >= 0x100)
		return (width == 1 || width == 2 || width == 4 || width == 8) && offset % width == 0 &&
		       offset - 0x100 + width <= model->config_bytes;
	if (width != 4)
		return false;
	for (size_t i = 0; i < sizeof(model_registers) / sizeof(model_registers[0]); i++)
		if (model_registers[i].offset == offset)
			return model_registers[i].may & (write ? MODEL_W : MODEL_R);
	return false;
}

static inline uint64_t model_read(const struct model *model, uint64_t offset, uint32_t width)
{
	const bool queue = model->queue_sel < model->queue_count;
	uint64_t value = 0;

	if (!model_takes(model, offset, width, false))
		return width >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * width)) - 1;
	if (offset >= 0x100) {
		memcpy(&value, model->config + (offset - 0x100), width);
		return value;
	}
	switch (offset) {
	case 0x000:
		return 0x74726976;
	case 0x004:
		return 2;
	case 0x008:
		return FAKE_DEVICE_ID;
	case 0x00c:
		return FAKE_VENDOR_ID;
	case 0x010:
		return model->device_sel > 1 ? 0 : (uint32_t)(model->offered >> (32 * model->device_sel));
	case 0x034:
		return queue ? model->queue_max[model->queue_sel] : 0;
	case 0x044:
		return queue && model->queues[model->queue_sel].ready;
	case 0x060:
		return model->interrupts;
	case 0x070:
		return model->status;
	case 0x0fc:
		return model->generation;
	default:
		return 0xffffffff; /* shared memory */
	}
}

static inline void model_needs_reset(struct model *model)
{
	if (!(model->status & 0x40) && (model->status & 0x04)) {
		model->interrupts |= 2;
		model->calls++;
	}
	model->status |= 0x40;
}

static inline void model_config_changed(struct model *model)
{
	model->generation++;
	if (model->status & 0x04) {
		model->interrupts |= 2;
		model->calls++;
	}
}

static inline uint64_t model_address(const struct model_queue *queue, unsigned int which)
{
	return queue->address[which] | (uint64_t)queue->address[which + 1] << 32;
}

static inline bool model_ring_fits(uint64_t start, uint64_t align, uint64_t bytes)
{
	return start % align == 0 && start + bytes > start;
}

static inline bool model_queue_right(const struct model_queue *queue, uint32_t max)
{
	bool power = false;

	for (uint32_t size = 1; size <= max; size *= 2)
		power |= queue->size == size;
	return power && model_ring_fits(model_address(queue, 0), 16, UINT64_C(16) * queue->size) &&
	       model_ring_fits(model_address(queue, 2), 2, UINT64_C(6) + 2 * queue->size) &&
	       model_ring_fits(model_address(queue, 4), 4, UINT64_C(6) + UINT64_C(8) * queue->size);
}

static inline void model_driver_ok(struct model *model)
{
	bool wrong = false;

	model->status |= 0x04;
	if (model->status & 0x40) {
		model->interrupts |= 2;
		model->calls++;
		return;
	}
	for (uint32_t i = 0; i < model->queue_count; i++)
		wrong |= model->queues[i].refused;
	if (!wrong)
		model->activations++;
	if (wrong || model->refuse)
		model_needs_reset(model);
	else
		model->active = true;
}

static inline void model_status(struct model *model, uint32_t value)
{
	const uint64_t wanted = model->features[0] | (uint64_t)model->features[1] << 32;

	if (value == 0) {
		model_forget(model);
		return;
	}
	model->status |= value & 0x83;
	if (model->status & 0x80)
		return;
	if ((value & 0x08) && (model->status & 0x03) == 0x03 && !model->impossible &&
	    (wanted | model->offered) == model->offered && (wanted >> 32 & 1))
		model->status |= 0x08;
	if ((value & 0x04) && (model->status & 0x0c) == 0x08)
		model_driver_ok(model);
}

static inline void model_queue_write(struct model *model, uint64_t offset, uint32_t value)
{
	struct model_queue *queue = &model->queues[model->queue_sel];

	if (model->status & 0x04)
		return;
	if (offset == 0x044) {
		queue->ready = (value & 1) && model_queue_right(queue, model->queue_max[model->queue_sel]);
		queue->refused = (value & 1) && !queue->ready;
	} else if (queue->ready) {
		return;
	} else if (offset == 0x038) {
		queue->size = value;
	} else {
		queue->address[(offset - 0x080) / 16 * 2 + (offset & 4) / 4] = value;
	}
}

static inline void model_write(struct model *model, uint64_t offset, uint32_t width, uint64_t wide)
{
	const uint32_t value = (uint32_t)wide;

	if (!model_takes(model, offset, width, true))
		return;
	if (offset >= 0x100) {
		memcpy(model->config + (offset - 0x100), &wide, width);
		return;
	}
	switch (offset) {
	case 0x014:
		model->device_sel = value;
		return;
	case 0x020:
		if (model->status & 0x08)
			return;
		if (model->driver_sel < 2)
			model->features[model->driver_sel] = value;
		else
			model->impossible |= value != 0;
		return;
	case 0x024:
		model->driver_sel = value;
		return;
	case 0x030:
		model->queue_sel = value;
		return;
	case 0x050:
		if (model->active && value < model->queue_count && model->queues[value].ready)
			model->kicks[value]++;
		return;
	case 0x064:
		model->interrupts &= ~value;
		return;
	case 0x070:
		model_status(model, value);
		return;
	case 0x0ac:
		return;
	default:
		if (model->queue_sel < model->queue_count)
			model_queue_write(model, offset, value);
	}
}

/* What the backend and the eventfds have seen is what the model says; the eventfds are emptied. */
static inline void model_compare(struct model *model, const struct fake *fake, const struct virtio_device *device)
{
	FAKE_MUST(fake->active == model->active);
	FAKE_MUST(fake->activations == model->activations);
	FAKE_MUST(fake->resets == model->resets);
	FAKE_MUST(fd_event_clear(fake->call_fd) == model->calls);
	model->calls = 0;
	for (uint32_t i = 0; i < model->queue_count; i++) {
		const struct model_queue *queue = &model->queues[i];

		FAKE_MUST(fd_event_clear(virtio_device_kick_fd(device, i)) == model->kicks[i]);
		model->kicks[i] = 0;
		if (!model->active)
			continue;
		FAKE_MUST(fake->queues[i].ready == queue->ready);
		FAKE_MUST(fake->queues[i].size == (queue->ready ? queue->size : 0));
		FAKE_MUST(fake->queues[i].desc_gpa == (queue->ready ? model_address(queue, 0) : 0));
		FAKE_MUST(fake->queues[i].driver_gpa == (queue->ready ? model_address(queue, 2) : 0));
		FAKE_MUST(fake->queues[i].device_gpa == (queue->ready ? model_address(queue, 4) : 0));
	}
	if (model->active)
		FAKE_MUST(fake->activation.features == (model->features[0] | (uint64_t)model->features[1] << 32));
}

#endif
