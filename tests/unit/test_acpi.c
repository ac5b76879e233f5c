/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ACPI tables as a guest's firmware would leave them: found from the RSDP on, with right checksums,
 * saying what the description says, and accepted by iasl, whose own encoding of the namespace is
 * byte for byte ours. Then descriptions that have no encoding. See test_aml.c for the AML writer.
 */
#include "core/machine/acpi/acpi.h"

#include <backplane/device.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE         UINT64_C(0xe0000)
#define CAPACITY     0x1f000
#define HEADER       36
#define FADT_FLAGS   112
#define FADT_ARCH    109
#define MADT_ENTRIES 44

static uint64_t get(const uint8_t *at, unsigned int width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return value;
}

static struct acpi_image build(const struct firmware *firmware)
{
	struct acpi_image image = { .data = NULL };
	struct err err = ERR_NONE;
	int r = acpi_build(firmware, BASE, CAPACITY, &image, &err);

	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	return image;
}

static uint8_t sum(const uint8_t *at, size_t bytes)
{
	unsigned int value = 0;

	for (size_t i = 0; i < bytes; i++)
		value += at[i];
	return (uint8_t)value;
}

/* The table at an address, after checking that it is one. */
static const uint8_t *table_at(const struct acpi_image *image, uint64_t gpa, const char *signature)
{
	const uint8_t *table = image->data + (gpa - BASE);

	assert_true(gpa > BASE && gpa - BASE + HEADER <= image->bytes);
	assert_memory_equal(table, signature, 4);
	assert_true(gpa - BASE + get(table + 4, 4) <= image->bytes);
	assert_int_equal(sum(table, get(table + 4, 4)), 0);
	assert_memory_equal(table + 10, "BKPLNEBACKPLAN", 14);
	assert_int_equal(gpa % 16, 0);
	return table;
}

static const uint8_t *find(const struct acpi_image *image, const char *signature)
{
	const uint8_t *xsdt = table_at(image, get(image->data + 24, 8), "XSDT");

	if (!strcmp(signature, "XSDT"))
		return xsdt;
	assert_int_equal(get(xsdt + 4, 4), HEADER + 16);
	if (!strcmp(signature, "APIC"))
		return table_at(image, get(xsdt + HEADER + 8, 8), signature);
	if (!strcmp(signature, "FACP"))
		return table_at(image, get(xsdt + HEADER, 8), signature);
	assert_string_equal(signature, "DSDT");
	return table_at(image, get(find(image, "FACP") + 140, 8), signature);
}

static struct firmware_node serial_node(void)
{
	return (struct firmware_node){
		.instance = "console",
		.hid = "PNP0501",
		.range_count = 1,
		.ranges = { { .space = BP_PIO, .base = 0x3f8, .length = 8 } },
		.irq_count = 1,
		.irqs = { 4 },
	};
}

static struct firmware_node virtio_node(uint32_t uid)
{
	return (struct firmware_node){
		.instance = "root",
		.hid = "LNRO0005",
		.uid = uid,
		.range_count = 1,
		.ranges = { { .space = BP_MMIO, .base = 0xd0000000 + uid * 0x1000, .length = 0x200 } },
		.irq_count = 1,
		.irqs = { 5 + uid },
	};
}

static struct firmware_node led_node(void)
{
	return (struct firmware_node){
		.instance = "led \"front\"",
		.compatible = "acme,led",
		.range_count = 4,
		.ranges = { { .space = BP_MMIO, .base = 0xd1000000, .length = 1 },
			    { .space = BP_MMIO, .base = UINT64_C(0x4000000000), .length = 0x1000 },
			    { .space = BP_MMIO, .base = 0xfffff000, .length = 0x1001 },
			    { .space = BP_PIO, .base = 0x1000, .length = 0x100 } },
		.irq_count = 3,
		.irqs = { 16, 23, 100 },
	};
}

static struct firmware machine(const struct firmware_node *nodes, size_t count)
{
	return (struct firmware){
		.vcpus = 2,
		.lapic_address = 0xfee00000,
		.ioapic_address = 0xfec00000,
		.power_address = 0xfe000000,
		.button_gsi = 9,
		.node_count = count,
		.nodes = nodes,
	};
}

static void rsdp_leads_to_every_table(void **state)
{
	struct firmware_node nodes[] = { serial_node(), virtio_node(0), led_node() };
	struct firmware firmware = machine(nodes, 3);
	struct acpi_image image = build(&firmware);

	(void)state;
	assert_memory_equal(image.data, "RSD PTR ", 8);
	assert_int_equal(sum(image.data, 20), 0);
	assert_int_equal(sum(image.data, 36), 0);
	assert_int_equal(image.data[15], 2);
	assert_int_equal(get(image.data + 20, 4), 36);
	assert_non_null(find(&image, "APIC"));
	assert_int_equal(find(&image, "DSDT")[8], 2);
	free(image.data);
}

static void fadt_is_hardware_reduced(void **state)
{
	struct firmware firmware = machine(NULL, 0);
	struct acpi_image image = build(&firmware);
	const uint8_t *fadt = find(&image, "FACP");

	(void)state;
	assert_int_equal(fadt[8], 6);
	assert_int_equal(get(fadt + 4, 4), 276);
	assert_int_equal(get(fadt + FADT_FLAGS, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1);
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
	/* Memory, eight bits, byte access. */
	assert_memory_equal(fadt + 116, "\0\10\0\1\2\0\0\xfe\0\0\0\0\x42", 13);
	assert_memory_equal(fadt + 244, "\0\10\0\1\0\0\0\xfe\0\0\0\0", 12);
	assert_memory_equal(fadt + 256, "\0\10\0\1\1\0\0\xfe\0\0\0\0", 12);
	free(image.data);
}

static void facts_are_reflected(void **state)
{
	static const struct {
		uint32_t facts;
		bool ports;
		uint16_t arch;
	} cases[] = {
		{ 0, false, 1 << 5 | 1 << 2 },
		{ 0, true, 1 << 5 | 1 << 2 | 1 },
		{ BP_FACT_I8042, false, 1 << 5 | 1 << 2 | 1 << 1 },
		{ BP_FACT_VGA, false, 1 << 5 },
		{ BP_FACT_RTC, false, 1 << 2 },
		{ BP_FACT_RTC | BP_FACT_VGA | BP_FACT_I8042, true, 1 << 1 | 1 },
	};
	struct firmware_node nodes[] = { serial_node() };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct firmware firmware = machine(nodes, cases[i].ports ? 1 : 0);
		struct acpi_image image;

		firmware.facts = cases[i].facts;
		image = build(&firmware);
		assert_int_equal(get(find(&image, "FACP") + FADT_ARCH, 2), cases[i].arch);
		free(image.data);
	}
}

static void madt_lists_processors_and_one_ioapic(void **state)
{
	static const uint32_t counts[] = { 1, 2, 254 };

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct firmware firmware = machine(NULL, 0);
		struct acpi_image image;
		const uint8_t *entry;

		firmware.vcpus = counts[i];
		image = build(&firmware);
		entry = find(&image, "APIC") + MADT_ENTRIES;
		assert_int_equal(get(entry - 8, 4), 0xfee00000);
		assert_int_equal(get(entry - 4, 4), 0);
		for (uint32_t cpu = 0; cpu < counts[i]; cpu++) {
			assert_int_equal(get(entry, 2), 0x0800);
			assert_int_equal(entry[2], cpu);
			assert_int_equal(entry[3], cpu);
			assert_int_equal(get(entry + 4, 4), 1);
			entry += 8;
		}
		assert_int_equal(get(entry, 2), 0x0c01);
		assert_int_equal(entry[2], counts[i]); /* no processor's id */
		assert_int_equal(get(entry + 4, 4), 0xfec00000);
		assert_int_equal(get(entry + 8, 4), 0);
		assert_ptr_equal(entry + 12, find(&image, "APIC") + get(find(&image, "APIC") + 4, 4));
		free(image.data);
	}
}

static bool has_bytes(const uint8_t *table, const void *bytes, size_t count)
{
	return memmem(table, get(table + 4, 4), bytes, count) != NULL;
}

#define HAS(table, literal) assert_true(has_bytes(table, literal, sizeof(literal) - 1))

static void dsdt_describes_devices(void **state)
{
	struct firmware_node nodes[] = { serial_node(), virtio_node(1), led_node() };
	struct firmware firmware = machine(nodes, 3);
	struct acpi_image image = build(&firmware);
	const uint8_t *dsdt = find(&image, "DSDT");

	(void)state;
	HAS(dsdt, "\x08_S5_\x12\x07\x04\x0a\x05\0\0\0");
	HAS(dsdt, "\x08_HID\x0c\x41\xd0\x05\x01"); /* EISAID ("PNP0501") */
	HAS(dsdt, "\x08_HID\x0d"
		  "LNRO0005");
	HAS(dsdt, "\x08_HID\x0c\x42\x50\x00\x01"); /* EISAID ("PRP0001") */
	HAS(dsdt, "\x08_HID\x0d"
		  "ACPI0007\0\x08_UID\x01"); /* the second processor */
	HAS(dsdt, "\x47\x01\xf8\x03\xf8\x03\x01\x08");
	HAS(dsdt, "\x86\x09\0\x01\x00\x10\0\xd0\x00\x02\0\0");
	HAS(dsdt, "\x89\x06\0\x0b\x01\x06\0\0\0\x79\0");
	HAS(dsdt, "\x0d"
		  "compatible\0\x0d"
		  "acme,led\0");
	HAS(dsdt, "\x14\xd8\xff\xda\xba\x6e\x8c\x4d\x8a\x91\xbc\x9b\xbf\x4a\xa3\x01");
	HAS(dsdt, "c\0o\0n\0s\0o\0l\0e\0\0\0");
	/* The power button: PNP0C0C, and an event device whose interrupt 9 notifies it that it has been pressed. */
	HAS(dsdt, "PWRB\x08_HID\x0c\x41\xd0\x0c\x0c");
	HAS(dsdt, "GED0\x08_HID\x0d"
		  "ACPI0013\0");
	HAS(dsdt, "\x89\x06\0\x0b\x01\x09\0\0\0\x79\0\x14\x0d_EVT\x09\x86PWRB\x0a\x80");
	free(image.data);
}

/* Runs a command in the current directory; its output ends with a NUL. */
static int run(const char *command, char *output, size_t capacity)
{
	FILE *pipe = popen(command, "r");
	size_t used = 0;
	size_t got;

	assert_non_null(pipe);
	while (used < capacity - 1 && (got = fread(output + used, 1, capacity - 1 - used, pipe)) > 0)
		used += got;
	output[used] = '\0';
	return pclose(pipe);
}

static void write_file(const char *path, const void *data, size_t bytes)
{
	FILE *file = fopen(path, "wb");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

/* Disassembles and compiles a table again: no complaint, and the same bytes past the header. (The
 * RSDP is not a table that iasl disassembles.) */
static void assert_iasl_agrees(const uint8_t *table)
{
	static uint8_t again[CAPACITY];
	static char output[65536];
	size_t bytes = get(table + 4, 4);
	FILE *file;

	write_file("t.dat", table, bytes);
	if (run("iasl -d t.dat 2>&1", output, sizeof(output)) || strstr(output, "Error") || strstr(output, "Warning"))
		fail_msg("iasl -d: %s", output);
	if (run("iasl -p again t.dsl 2>&1", output, sizeof(output)) ||
	    !strstr(output, "0 Errors, 0 Warnings, 0 Remarks"))
		fail_msg("iasl: %s", output);
	file = fopen("again.aml", "rb");
	assert_non_null(file);
	assert_int_equal(fread(again, 1, sizeof(again), file), bytes);
	fclose(file);
	assert_memory_equal(again + HEADER, table + HEADER, bytes - HEADER);
}

/* iasl writes into the current directory. */
static char work_dir[] = "/tmp/test_acpi.XXXXXX";

static int enter_work_dir(void **state)
{
	(void)state;
	return mkdtemp(work_dir) ? chdir(work_dir) : -1;
}

static int remove_work_dir(void **state)
{
	char output[4096];
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r -- %s", work_dir);
	return chdir("/") < 0 ? -1 : run(command, output, sizeof(output));
}

static void iasl_compiles_the_same_tables(void **state)
{
	static const char *const signatures[] = { "XSDT", "FACP", "APIC", "DSDT" };
	struct firmware_node nodes[64];
	char output[4096];

	(void)state;
	if (run("command -v iasl", output, sizeof(output))) {
		print_message("no iasl: install acpica-tools\n");
		skip();
	}
	nodes[0] = serial_node();
	nodes[1] = led_node();
	nodes[2] = led_node();
	nodes[2].hid = "ACME00FF";
	for (uint32_t i = 3; i < 64; i++)
		nodes[i] = virtio_node(i);
	for (size_t count = 0; count <= 64; count = count ? count * 4 : 1) {
		struct firmware firmware = machine(nodes, count);
		struct acpi_image image = build(&firmware);

		for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
			assert_iasl_agrees(find(&image, signatures[i]));
		free(image.data);
	}
}

static void too_little_room_says_how_much(void **state)
{
	struct firmware_node nodes[] = { serial_node() };
	struct firmware firmware = machine(nodes, 1);
	struct acpi_image image = build(&firmware);
	struct acpi_image none = { .data = NULL };
	struct err err = ERR_NONE;

	(void)state;
	assert_int_equal(acpi_build(&firmware, BASE, image.bytes - 7, &none, &err), -ENOSPC);
	assert_non_null(strstr(err.text, " 7 more than"));
	assert_null(none.data);
	assert_int_equal(acpi_build(&firmware, BASE, image.bytes, &none, &err), 0);
	free(none.data);
	free(image.data);
}

static void assert_refused(const struct firmware_node *node, const char *text)
{
	struct firmware firmware = machine(node, 1);
	struct acpi_image image = { .data = NULL };
	struct err err = ERR_NONE;

	assert_int_equal(acpi_build(&firmware, BASE, CAPACITY, &image, &err), -EINVAL);
	assert_null(image.data);
	assert_non_null(strstr(err.text, text));
	assert_non_null(strstr(err.text, node->instance));
}

static void hids_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {
		"",          "PNP",
		"PNP050",    "pnp0501",
		"PNP050g",   "PNP050a",
		"1NP0501",   "LNRO000",
		"LNRO00055", "LNRO000G",
		"lnro0005",  "PNP 501",
		"PNP0501 ",  "A very long hardware id that goes on and on",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct firmware_node node = serial_node();

		node.hid = bad[i];
		assert_refused(&node, "HID");
	}
}

static void descriptions_without_encoding_are_refused(void **state)
{
	struct firmware_node node = serial_node();
	struct firmware firmware = machine(&node, 1);
	struct acpi_image image;
	struct err err = ERR_NONE;

	(void)state;
	node.hid = NULL;
	assert_refused(&node, "neither a HID nor a compatible");
	node.compatible = "";
	assert_refused(&node, "compatible");
	node.compatible = "acme,\xc3\xa9";
	assert_refused(&node, "compatible");
	node.compatible = "acme,led";
	node.ranges[0].length = 0;
	assert_refused(&node, "empty");
	node.ranges[0].length = 0xfc09;
	assert_refused(&node, "too large");
	node.ranges[0] = (struct firmware_range){ .space = BP_MMIO, .base = 1, .length = UINT64_MAX };
	assert_int_equal(acpi_build(&firmware, BASE, CAPACITY, &image, &err), 0);
	free(image.data);
	node.ranges[0].base = 2;
	assert_refused(&node, "too large");
	node.ranges[0].space = 3;
	assert_refused(&node, "space");
	node.range_count = FIRMWARE_RANGES_MAX + 1;
	assert_refused(&node, "too many");

	node = serial_node();
	firmware.vcpus = 0;
	assert_int_equal(acpi_build(&firmware, BASE, CAPACITY, &image, &err), -EINVAL);
	firmware.vcpus = 255;
	assert_int_equal(acpi_build(&firmware, BASE, CAPACITY, &image, &err), -EINVAL);
	firmware.vcpus = 1;
	assert_int_equal(acpi_build(&firmware, BASE + 8, CAPACITY, &image, &err), -EINVAL);
	assert_int_equal(acpi_build(&firmware, UINT64_MAX - 15, CAPACITY, &image, &err), -EINVAL);
	firmware.power_address = UINT64_MAX;
	assert_int_equal(acpi_build(&firmware, BASE, CAPACITY, &image, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdp_leads_to_every_table),
		cmocka_unit_test(fadt_is_hardware_reduced),
		cmocka_unit_test(facts_are_reflected),
		cmocka_unit_test(madt_lists_processors_and_one_ioapic),
		cmocka_unit_test(dsdt_describes_devices),
		cmocka_unit_test_setup_teardown(iasl_compiles_the_same_tables, enter_work_dir, remove_work_dir),
		cmocka_unit_test(too_little_room_says_how_much),
		cmocka_unit_test(hids_that_are_none_are_refused),
		cmocka_unit_test(descriptions_without_encoding_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
