/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtio-mmio device and its model side by side, driven by bytes: each asks for a write, a read, a notice of the backend. What
 * both say is compared all the way. The unit test makes the bytes up, the fuzz target is given them. No cmocka here.
 */
#ifndef TESTS_UNIT_VIRTIO_DRIVE_H
#define TESTS_UNIT_VIRTIO_DRIVE_H

#include "tests/unit/virtio_model.h"

#include <backplane/device.h>

#define DRIVE_BASE      UINT64_C(0xd0000000)
#define DRIVE_REGISTERS (sizeof(model_registers) / sizeof(model_registers[0]))

struct drive {
	struct fake fake;
	struct model model;
	struct bus *bus;
	struct bus_reader reader;
	struct virtio_mmio *mmio;
};

/* Around fake.backend as it is. */
static inline void drive_begin(struct drive *drive)
{
	struct virtio_mmio_spec spec = { .base = DRIVE_BASE };
	struct err err;

	memset(&drive->reader, 0, sizeof(drive->reader));
	FAKE_MUST(bus_new(&drive->bus) == 0);
	FAKE_MUST(bus_reader_add(drive->bus, &drive->reader) == 0);
	spec.bus = drive->bus;
	spec.device = fake_spec(&drive->fake);
	FAKE_MUST(virtio_mmio_new(&spec, &drive->mmio, &err) == 0);
	drive->fake.device = virtio_mmio_device(drive->mmio);
	model_init(&drive->model, &drive->fake);
}

static inline void drive_end(struct drive *drive)
{
	virtio_mmio_free(drive->mmio);
	FAKE_MUST(!drive->fake.active);
	bus_reader_remove(&drive->reader);
	bus_free(drive->bus);
}

/* What has reached the backend since the last time. */
static inline void drive_settle(struct drive *drive)
{
	model_compare(&drive->model, &drive->fake, drive->fake.device);
}

/* Widths that no processor has reach the transport without the bus, which would refuse them. */
static inline void drive_read(struct drive *drive, uint64_t offset, uint32_t width)
{
	uint64_t value = UINT64_C(0x0123456789abcdef);

	if (width == 1 || width == 2 || width == 4 || width == 8) {
		bus_access(&drive->reader, BP_MMIO, DRIVE_BASE + offset, width, false, &value);
		FAKE_MUST(value == model_read(&drive->model, offset, width));
		if (offset % width)
			return;
	}
	value = 7;
	if (virtio_mmio_access(drive->mmio, 0, offset, width, false, &value) == 0) {
		FAKE_MUST(model_takes(&drive->model, offset, width, false));
		FAKE_MUST(value == model_read(&drive->model, offset, width));
	} else {
		FAKE_MUST(!model_takes(&drive->model, offset, width, false) && value == 7);
	}
}

static inline void drive_write(struct drive *drive, uint64_t offset, uint32_t width, uint64_t value)
{
	drive->model.refuse = drive->fake.refuse;
	if (width == 1 || width == 2 || width == 4 || width == 8) {
		uint64_t copy = value;

		bus_access(&drive->reader, BP_MMIO, DRIVE_BASE + offset, width, true, &copy);
	} else {
		FAKE_MUST(virtio_mmio_access(drive->mmio, 0, offset, width, true, &value) < 0);
	}
	model_write(&drive->model, offset, width, value);
}

/* All that the guest can read, and what the backend has seen. */
static inline void drive_look(struct drive *drive)
{
	for (size_t i = 0; i < DRIVE_REGISTERS; i++)
		drive_read(drive, model_registers[i].offset, 4);
	for (uint32_t i = 0; i <= drive->model.config_bytes; i++)
		drive_read(drive, 0x100 + i, 1);
	drive_settle(drive);
}

static inline void drive_queue(struct drive *drive, uint32_t queue, uint32_t size, uint64_t gpa)
{
	const uint64_t addresses[] = { gpa, gpa + 0x100000, gpa + 0x200000 };

	drive_write(drive, 0x030, 4, queue);
	drive_write(drive, 0x038, 4, size);
	for (unsigned int i = 0; i < 3; i++) {
		drive_write(drive, 0x080 + 0x10 * i, 4, (uint32_t)addresses[i]);
		drive_write(drive, 0x084 + 0x10 * i, 4, addresses[i] >> 32);
	}
	drive_write(drive, 0x044, 4, 1);
}

/* What a driver does that takes all features and uses all queues. */
static inline void drive_start(struct drive *drive)
{
	drive_write(drive, 0x070, 4, 0);
	drive_write(drive, 0x070, 4, 0x01);
	drive_write(drive, 0x070, 4, 0x03);
	for (uint32_t word = 0; word < 2; word++) {
		drive_write(drive, 0x024, 4, word);
		drive_write(drive, 0x020, 4, drive->model.offered >> (32 * word));
	}
	drive_write(drive, 0x070, 4, 0x0b);
	for (uint32_t queue = 0; queue < drive->model.queue_count; queue++)
		drive_queue(drive, queue, drive->model.queue_max[queue], 0x1000000 * (queue + 1));
	drive_write(drive, 0x070, 4, 0x0f);
}

/* ---- bytes ---- */

struct drive_bytes {
	const uint8_t *at;
	size_t left;
};

static inline uint64_t drive_take(struct drive_bytes *bytes, unsigned int count)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < count; i++) {
		if (!bytes->left)
			return value;
		value |= (uint64_t)*bytes->at++ << (8 * i);
		bytes->left--;
	}
	return value;
}

static inline void drive_notice(struct drive *drive, uint64_t what, uint64_t argument)
{
	struct model *model = &drive->model;
	struct fake *fake = &drive->fake;

	switch (what) {
	case 0:
		virtio_device_needs_reset(fake->device);
		model_needs_reset(model);
		return;
	case 1:
		fake->config[argument] ^= 0xff;
		model->config[argument] ^= 0xff;
		virtio_device_config_changed(fake->device);
		model_config_changed(model);
		return;
	case 2: /* another process may have written anything */
		virtio_isr_raise(&fake->isr, (uint32_t)argument * 0x01010101u, fake->call_fd);
		model->interrupts |= argument & 3;
		model->calls++;
		return;
	case 3:
		fake->refuse = argument & 1;
		return;
	case 4:
		virtio_mmio_reset(drive->mmio);
		model_forget(model);
		return;
	default:
		drive_start(drive);
	}
}

/* The first bytes are the device's shape, the others what happens to it. */
static inline void drive_run(const uint8_t *data, size_t size)
{
	struct drive_bytes bytes = { data, size };
	static struct drive drive;

	fake_init(&drive.fake);
	drive.fake.backend.queue_count = 1 + drive_take(&bytes, 1) % VIRTIO_QUEUES_MAX;
	for (uint32_t i = 0; i < drive.fake.backend.queue_count; i++)
		drive.fake.backend.queue_sizes[i] = (uint16_t)(i < 4 ? 1u << drive_take(&bytes, 1) % 16 : 16);
	drive.fake.backend.config_bytes = (uint32_t)drive_take(&bytes, 2) % (VIRTIO_CONFIG_BYTES_MAX + 1);
	drive.fake.backend.features = drive_take(&bytes, 8);
	drive_begin(&drive);
	while (bytes.left) {
		uint64_t op = drive_take(&bytes, 1);
		uint32_t offset, width;

		switch (op % 8) {
		case 0:
		case 1:
		case 2: /* a register, all of it */
			offset = model_registers[drive_take(&bytes, 1) % DRIVE_REGISTERS].offset;
			drive_write(&drive, offset, 4, drive_take(&bytes, op < 128 ? 1 : 4));
			break;
		case 3: /* anything anywhere, a little beyond the end too */
			offset = (uint32_t)drive_take(&bytes, 2) % 0x210;
			width = (uint32_t)drive_take(&bytes, 1) % 17;
			drive_write(&drive, offset, width, drive_take(&bytes, 8));
			break;
		case 4:
			offset = (uint32_t)drive_take(&bytes, 2) % 0x210;
			width = (uint32_t)drive_take(&bytes, 1) % 17;
			drive_read(&drive, offset, width);
			break;
		case 5:
			drive_look(&drive);
			break;
		case 6:
			drive_notice(&drive, op / 8 % 6, drive_take(&bytes, 1));
			break;
		default:
			offset = (uint32_t)drive_take(&bytes, 1);
			drive_queue(&drive, offset, 1u << op / 8 % 16, drive_take(&bytes, 8));
		}
	}
	drive_look(&drive);
	drive_end(&drive);
	fake_end(&drive.fake);
}

#endif
