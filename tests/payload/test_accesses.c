/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses of a guest as devices see them: widths, alignment, page boundaries, string instructions, and what nobody answers.
 * The guest is the payload, on this machine's KVM.
 */
#include "tests/payload/fixture.h"

#include "core/base/log.h"

#include <backplane/device.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define DEVICE       UINT64_C(0xd0000000)
#define DEVICE_BYTES 0x3000
#define PORT         0x600
#define PORT_BYTES   0x20
#define PAGE         0x1000u
#define WRITTEN      UINT64_C(0x8877665544332211)
#define REPEATED_MAX 3000 /* more than a page of any width */

static uint64_t cut(uint64_t value, uint32_t width)
{
	return width == 8 ? value : value & ((UINT64_C(1) << (8 * width)) - 1);
}

/* One write and one read at every aligned offset of some bytes. */
static void each_width(struct fixture *fixture, uint64_t base, uint32_t width, uint32_t bytes, bool port)
{
	struct access expected[16];
	size_t reads[8];
	size_t count = 0;

	for (uint32_t offset = 0; offset < bytes; offset += width) {
		fixture_op(fixture, (struct payload_op){
					.kind = port ? PAYLOAD_OP_OUT : PAYLOAD_OP_WRITE,
					.width = width,
					.address = base + offset,
					.value = WRITTEN + offset,
				    });
		expected[count++] = (struct access){
			.width = width,
			.write = true,
			.offset = offset,
			.value = cut(WRITTEN + offset, width),
		};
		reads[count / 2] = fixture_op(fixture, (struct payload_op){
							   .kind = port ? PAYLOAD_OP_IN : PAYLOAD_OP_READ,
							   .width = width,
							   .address = base + offset,
						       });
		expected[count++] = (struct access){ .width = width, .offset = offset };
	}
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, expected, count);
	for (size_t i = 0; i < count / 2; i++)
		assert_int_equal(fixture_value(fixture, reads[i]),
				 cut(fixture->device.accesses[2 * i + 1].value, width));
}

static void memory_width(struct fixture *fixture, uint32_t width)
{
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_MMIO, DEVICE, DEVICE_BYTES, ALL_WIDTHS);
	each_width(fixture, DEVICE, width, 8, false);
}

static void memory_width_1(void **state)
{
	memory_width(*state, 1);
}

static void memory_width_2(void **state)
{
	memory_width(*state, 2);
}

static void memory_width_4(void **state)
{
	memory_width(*state, 4);
}

static void memory_width_8(void **state)
{
	memory_width(*state, 8);
}

static void port_width(struct fixture *fixture, uint32_t width)
{
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_PIO, PORT, PORT_BYTES, BP_W8 | BP_W16 | BP_W32);
	each_width(fixture, PORT, width, 8, true);
}

static void port_width_1(void **state)
{
	port_width(*state, 1);
}

static void port_width_2(void **state)
{
	port_width(*state, 2);
}

static void port_width_4(void **state)
{
	port_width(*state, 4);
}

static const struct payload_op *read_at(uint64_t address, uint32_t width)
{
	static struct payload_op op;

	op = (struct payload_op){ .kind = PAYLOAD_OP_READ, .width = width, .address = address };
	return &op;
}

static const struct payload_op *write_at(uint64_t address, uint32_t width, uint64_t value)
{
	static struct payload_op op;

	op = (struct payload_op){ .kind = PAYLOAD_OP_WRITE, .width = width, .address = address, .value = value };
	return &op;
}

/* Widths that a range does not take: nobody is called, reads give all-ones. */
static void refused_widths(void **state)
{
	struct fixture *fixture = *state;
	static const uint32_t refused[] = { 1, 2, 8 };
	const struct access expected[] = {
		{ .width = 4, .write = true, .offset = 8, .value = 5 },
		{ .width = 4, .offset = 8 },
	};
	size_t reads[3];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_MMIO, DEVICE, DEVICE_BYTES, BP_W32);
	for (size_t i = 0; i < 3; i++) {
		fixture_op(fixture, *write_at(DEVICE + 8, refused[i], WRITTEN));
		reads[i] = fixture_op(fixture, *read_at(DEVICE + 8, refused[i]));
	}
	fixture_op(fixture, *write_at(DEVICE + 8, 4, 5));
	fixture_op(fixture, *read_at(DEVICE + 8, 4));
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, expected, 2);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(fixture_value(fixture, reads[i]), cut(UINT64_MAX, refused[i]));
}

static void refused_port_widths(void **state)
{
	struct fixture *fixture = *state;
	static const uint32_t refused[] = { 2, 4 };
	size_t reads[2];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_PIO, PORT, PORT_BYTES, BP_W8);
	for (size_t i = 0; i < 2; i++) {
		fixture_op(fixture, (struct payload_op){
					.kind = PAYLOAD_OP_OUT, .width = refused[i], .address = PORT, .value = 1 });
		reads[i] =
		    fixture_op(fixture,
			       (struct payload_op){ .kind = PAYLOAD_OP_IN, .width = refused[i], .address = PORT });
	}
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, NULL, 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(fixture_value(fixture, reads[i]), cut(UINT64_MAX, refused[i]));
}

/* The same unaligned accesses at a range that does not take them, and at one that does. */
static void unaligned(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		uint32_t offset;
		uint32_t width;
	} cases[] = { { 1, 2 }, { 2, 4 }, { 3, 4 }, { 4, 8 }, { 1, 8 } };
	const size_t count = sizeof(cases) / sizeof(cases[0]);
	struct access expected[10];
	size_t refused[5], taken[5];

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 1, BP_MMIO, DEVICE, PAGE, ALL_WIDTHS);
	device_claim(&fixture->device, &fixture->harness, 2, BP_MMIO, DEVICE + PAGE, PAGE, ALL_WIDTHS | BP_UNALIGNED);
	for (size_t i = 0; i < count; i++) {
		uint64_t address = DEVICE + cases[i].offset;

		fixture_op(fixture, *write_at(address, cases[i].width, WRITTEN));
		refused[i] = fixture_op(fixture, *read_at(address, cases[i].width));
		fixture_op(fixture, *write_at(address + PAGE, cases[i].width, WRITTEN));
		taken[i] = fixture_op(fixture, *read_at(address + PAGE, cases[i].width));
		expected[2 * i] = (struct access){
			.cookie = 2,
			.width = cases[i].width,
			.write = true,
			.offset = cases[i].offset,
			.value = cut(WRITTEN, cases[i].width),
		};
		expected[2 * i + 1] =
		    (struct access){ .cookie = 2, .width = cases[i].width, .offset = cases[i].offset };
	}
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, expected, 2 * count);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fixture_value(fixture, refused[i]), cut(UINT64_MAX, cases[i].width));
		assert_int_equal(fixture_value(fixture, taken[i]),
				 cut(fixture->device.accesses[2 * i + 1].value, cases[i].width));
	}
}

/* KVM cuts an access at the end of a page: a device gets the parts that are a width of its own. */
static void page_crossing(void **state)
{
	struct fixture *fixture = *state;
	const struct access expected[] = {
		{ .width = 4, .write = true, .offset = PAGE - 4, .value = WRITTEN & 0xffffffff },
		{ .width = 4, .write = true, .offset = PAGE, .value = WRITTEN >> 32 },
		{ .width = 4, .offset = PAGE - 4 },
		{ .width = 4, .offset = PAGE },
		{ .width = 2, .offset = PAGE - 2 },
		{ .width = 2, .offset = PAGE },
		/* Three bytes are not a width; the byte behind them is. */
		{ .width = 1, .offset = PAGE },
	};
	const struct access *seen = fixture->device.accesses;
	size_t eight, four, odd;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 0, BP_MMIO, DEVICE, DEVICE_BYTES, ALL_WIDTHS | BP_UNALIGNED);
	fixture_op(fixture, *write_at(DEVICE + PAGE - 4, 8, WRITTEN));
	eight = fixture_op(fixture, *read_at(DEVICE + PAGE - 4, 8));
	four = fixture_op(fixture, *read_at(DEVICE + PAGE - 2, 4));
	odd = fixture_op(fixture, *read_at(DEVICE + PAGE - 3, 4));
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, expected, sizeof(expected) / sizeof(expected[0]));
	assert_int_equal(fixture_value(fixture, eight), cut(seen[2].value, 4) | seen[3].value << 32);
	assert_int_equal(fixture_value(fixture, four), cut(seen[4].value, 2) | cut(seen[5].value, 2) << 16);
	assert_int_equal(fixture_value(fixture, odd), 0xffffff | cut(seen[6].value, 1) << 24);
}

/* Two neighbours: what crosses from one to the other within a page is for neither. */
static void crossing_two_ranges(void **state)
{
	struct fixture *fixture = *state;
	size_t read;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	device_claim(&fixture->device, &fixture->harness, 1, BP_MMIO, DEVICE, 0x100, ALL_WIDTHS | BP_UNALIGNED);
	device_claim(&fixture->device, &fixture->harness, 2, BP_MMIO, DEVICE + 0x100, 0x100, ALL_WIDTHS | BP_UNALIGNED);
	fixture_op(fixture, *write_at(DEVICE + 0xfe, 4, WRITTEN));
	read = fixture_op(fixture, *read_at(DEVICE + 0xfe, 4));
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, NULL, 0);
	assert_int_equal(fixture_value(fixture, read), 0xffffffff);
}

/* The buffer of string instructions, as the guest sees it. */
static uint8_t *buffer(struct fixture *fixture, size_t bytes)
{
	return gmem_slice(machine_mem(fixture->harness.machine), PAYLOAD_BUFFER, bytes);
}

/* A string instruction is one access per element, in order, in its direction. */
static void repeat(struct fixture *fixture, bool write, uint32_t width, uint32_t count, bool backward)
{
	const size_t bytes = (size_t)count * width;
	struct access *expected = test_calloc(count, sizeof(*expected));
	uint8_t *data;

	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	memset(&fixture->device.count, 0, sizeof(fixture->device.count));
	device_claim(&fixture->device, &fixture->harness, 0, BP_PIO, PORT, PORT_BYTES, BP_W8 | BP_W16 | BP_W32);
	data = buffer(fixture, bytes + 1);
	for (size_t i = 0; i < bytes; i++)
		data[i] = write ? (uint8_t)(i * 7 + i / 256) : 0;
	data[bytes] = 0xa5;
	fixture_op(fixture, (struct payload_op){
				.kind = write ? PAYLOAD_OP_OUTS : PAYLOAD_OP_INS,
				.width = width,
				.count = count,
				.backward = backward,
				.address = PORT + 4,
				.value = backward ? bytes - width : 0,
			    });
	for (uint32_t i = 0; i < count; i++) {
		expected[i] = (struct access){ .width = width, .write = write, .offset = 4 };
		if (write)
			memcpy(&expected[i].value, data + (size_t)(backward ? count - 1 - i : i) * width, width);
	}
	fixture_run(fixture, MACHINE_POWEROFF);
	device_expect(&fixture->device, expected, count);
	for (uint32_t i = 0; i < count && !write; i++)
		assert_memory_equal(data + (size_t)(backward ? count - 1 - i : i) * width,
				    &fixture->device.accesses[i].value, width);
	assert_int_equal(data[bytes], 0xa5);
	test_free(expected);
}

static void rep_outs(void **state)
{
	for (uint32_t width = 1; width <= 4; width *= 2)
		repeat(*state, true, width, 5, false);
}

static void rep_outs_backward(void **state)
{
	for (uint32_t width = 1; width <= 4; width *= 2)
		repeat(*state, true, width, 5, true);
}

static void rep_outs_long(void **state)
{
	repeat(*state, true, 4, REPEATED_MAX, false);
}

static void rep_ins(void **state)
{
	for (uint32_t width = 1; width <= 4; width *= 2)
		repeat(*state, false, width, 5, false);
}

static void rep_ins_backward(void **state)
{
	for (uint32_t width = 1; width <= 4; width *= 2)
		repeat(*state, false, width, 5, true);
}

static void rep_ins_long(void **state)
{
	repeat(*state, false, 4, REPEATED_MAX, false);
}

/* Nobody at the address, nobody at the port: all-ones, nothing else, and each of them is counted. */
static void unclaimed(void **state)
{
	struct fixture *fixture = *state;
	char log[512] = "";
	size_t reads[4];
	int before = dup(STDERR_FILENO);
	int file = memfd_create("log", MFD_CLOEXEC);

	assert_true(before >= 0 && file >= 0);
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=script");
	for (uint32_t i = 0; i < 4; i++) {
		fixture_op(fixture, *write_at(DEVICE, 1u << i, WRITTEN));
		reads[i] = fixture_op(fixture, *read_at(DEVICE, 1u << i));
	}
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_OUT, .width = 1, .address = PORT, .value = 1 });
	fixture_op(fixture, (struct payload_op){ .kind = PAYLOAD_OP_IN, .width = 1, .address = PORT });
	log_set_level(LOG_LEVEL_INFO);
	dup2(file, STDERR_FILENO);
	fixture_run(fixture, MACHINE_POWEROFF);
	dup2(before, STDERR_FILENO);
	log_set_level(LOG_LEVEL_WARN);
	close(before);
	assert_true(pread(file, log, sizeof(log) - 1, 0) > 0);
	close(file);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(fixture_value(fixture, reads[i]), cut(UINT64_MAX, 1u << i));
	if (!strstr(log, "10 accesses that nobody answered"))
		fail_msg("the log does not tell: %s", log);
}

/* case=loop: two CPUs at once, each with an operation of its own. */
static void loops_of_two_cpus(void **state)
{
	struct fixture *fixture = *state;
	size_t reads = 0, writes = 0;

	fixture_open(fixture, 2, HARNESS_MEMORY, "case=loop cpus=2");
	device_claim(&fixture->device, &fixture->harness, 0, BP_MMIO, DEVICE, DEVICE_BYTES, ALL_WIDTHS);
	fixture_op(fixture, (struct payload_op){
				.kind = PAYLOAD_OP_READ,
				.width = 4,
				.count = 300,
				.address = DEVICE,
			    });
	fixture_op(fixture, (struct payload_op){
				.kind = PAYLOAD_OP_WRITE,
				.width = 2,
				.count = 200,
				.address = DEVICE + 8,
				.value = WRITTEN,
			    });
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture->device.count, 500);
	for (size_t i = 0; i < fixture->device.count; i++) {
		const struct access *access = &fixture->device.accesses[i];

		reads += !access->write && access->width == 4 && access->offset == 0;
		writes +=
		    access->write && access->width == 2 && access->offset == 8 && access->value == cut(WRITTEN, 2);
	}
	assert_int_equal(reads, 300);
	assert_int_equal(writes, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(memory_width_1), CASE(memory_width_2),    CASE(memory_width_4),
		CASE(memory_width_8), CASE(port_width_1),      CASE(port_width_2),
		CASE(port_width_4),   CASE(refused_widths),    CASE(refused_port_widths),
		CASE(unaligned),      CASE(page_crossing),     CASE(crossing_two_ranges),
		CASE(rep_outs),       CASE(rep_outs_backward), CASE(rep_outs_long),
		CASE(rep_ins),        CASE(rep_ins_backward),  CASE(rep_ins_long),
		CASE(unclaimed),      CASE(loops_of_two_cpus),
	};

	return cmocka_run_group_tests_name("payload accesses", tests, NULL, NULL);
}
