/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The namespace: how to power off, the processors, the registers and the button that are the machine's own, and
 * a node for each device. Called by tables.c.
 */
#include "core/machine/acpi/dsdt.h"

#include "core/base/checked.h"
#include "core/machine/power.h"

#include <backplane/device.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define NODES_MAX      0x1000u /* three digits of a name */
#define NOTIFY_PRESSED 0x80u   /* of a button (ACPI 6.4, 4.8.2.2.1.2) */

/* Device Properties (_DSD): daffd814-6eba-4d8c-8a91-bc9bbf4aa301, as ToUUID() encodes it. */
static const uint8_t properties_uuid[16] = {
	0x14, 0xd8, 0xff, 0xda, 0xba, 0x6e, 0x8c, 0x4d, 0x8a, 0x91, 0xbc, 0x9b, 0xbf, 0x4a, 0xa3, 0x01,
};

/* The value for the sleep control register (ACPI 6.4, 7.4.2); S5 is all that there is. */
static void write_s5(struct aml *aml)
{
	size_t package;

	aml_named(aml, "_S5");
	package = aml_package_begin(aml, 4);
	aml_integer(aml, POWER_SLP_TYP_S5);
	for (unsigned int i = 1; i < 4; i++)
		aml_integer(aml, 0);
	aml_end(aml, package);
}

/* _UID is the processor's in MADT. */
static void write_processor(struct aml *aml, uint32_t index)
{
	char name[8];
	size_t device;

	snprintf(name, sizeof(name), "C%03X", index & 0xfffu);
	device = aml_device_begin(aml, name);
	aml_named(aml, "_HID");
	aml_hid(aml, "ACPI0007");
	aml_named(aml, "_UID");
	aml_integer(aml, index);
	aml_end(aml, device);
}

/* So that the guest gives these addresses to nothing else. */
static void write_motherboard(struct aml *aml, const struct firmware *firmware)
{
	size_t resources;
	size_t device;

	device = aml_device_begin(aml, "MB00");
	aml_named(aml, "_HID");
	aml_hid(aml, "PNP0C02");
	aml_named(aml, "_UID");
	aml_integer(aml, 0);
	aml_named(aml, "_CRS");
	resources = aml_template_begin(aml);
	aml_memory(aml, firmware->power_address, POWER_BYTES);
	aml_template_end(aml, resources);
	aml_end(aml, device);
}

/*
 * The power button (ACPI 6.4, 4.8.2.2.1.2): a control method button, as a hardware-reduced machine has no other, and the generic
 * event device (5.6.9) whose interrupt says that it has been pressed. One interrupt, one event, so _EVT need not look which.
 */
static void write_button(struct aml *aml, const struct firmware *firmware)
{
	size_t resources;
	size_t device;
	size_t method;

	device = aml_device_begin(aml, "PWRB");
	aml_named(aml, "_HID");
	aml_hid(aml, "PNP0C0C");
	aml_named(aml, "_UID");
	aml_integer(aml, 0);
	aml_end(aml, device);

	device = aml_device_begin(aml, "GED0");
	aml_named(aml, "_HID");
	aml_hid(aml, "ACPI0013");
	aml_named(aml, "_UID");
	aml_integer(aml, 0);
	aml_named(aml, "_CRS");
	resources = aml_template_begin(aml);
	aml_interrupt(aml, firmware->button_gsi);
	aml_template_end(aml, resources);
	method = aml_method_begin(aml, "_EVT", 1);
	aml_notify(aml, "PWRB", NOTIFY_PRESSED);
	aml_end(aml, method);
	aml_end(aml, device);
}

static void write_resources(struct aml *aml, const struct firmware_node *node)
{
	size_t resources;

	aml_named(aml, "_CRS");
	resources = aml_template_begin(aml);
	for (size_t i = 0; i < node->range_count; i++) {
		const struct firmware_range *range = &node->ranges[i];

		if (range->space == BP_PIO)
			aml_ports(aml, range->base, range->length);
		else
			aml_memory(aml, range->base, range->length);
	}
	for (size_t i = 0; i < node->irq_count; i++)
		aml_interrupt(aml, node->irqs[i]);
	aml_template_end(aml, resources);
}

static void write_properties(struct aml *aml, const char *compatible)
{
	size_t outer;
	size_t list;
	size_t property;

	aml_named(aml, "_DSD");
	outer = aml_package_begin(aml, 2);
	aml_buffer(aml, properties_uuid, sizeof(properties_uuid));
	list = aml_package_begin(aml, 1);
	property = aml_package_begin(aml, 2);
	aml_string(aml, "compatible");
	aml_string(aml, compatible);
	aml_end(aml, property);
	aml_end(aml, list);
	aml_end(aml, outer);
}

static void write_node(struct aml *aml, unsigned int index, const struct firmware_node *node)
{
	char name[8];
	size_t device;

	snprintf(name, sizeof(name), "D%03X", index & 0xfffu);
	device = aml_device_begin(aml, name);
	aml_named(aml, "_HID");
	/* PRP0001: the driver is found by the property "compatible". */
	aml_hid(aml, node->hid ? node->hid : "PRP0001");
	aml_named(aml, "_UID");
	aml_integer(aml, node->uid);
	/* For people; an id that AML's plain text cannot express is left out. */
	if (aml_string_is_valid(node->instance)) {
		aml_named(aml, "_STR");
		aml_unicode(aml, node->instance);
	}
	write_resources(aml, node);
	if (node->compatible)
		write_properties(aml, node->compatible);
	aml_end(aml, device);
}

static int check_range(const struct firmware_node *node, const struct firmware_range *range, struct err *err)
{
	uint64_t last;

	if (range->space != BP_MMIO && range->space != BP_PIO)
		return err_set(err, -EINVAL, "device \"%s\": no address space has the number %u", node->instance,
			       range->space);
	if (!range->length)
		return err_set(err, -EINVAL, "device \"%s\": the range at 0x%" PRIx64 " is empty", node->instance,
			       range->base);
	if (__builtin_add_overflow(range->base, range->length - 1, &last) ||
	    (range->space == BP_PIO && (last > UINT16_MAX || range->length > UINT16_MAX)))
		return err_set(err, -EINVAL,
			       "device \"%s\": the range of 0x%" PRIx64 " %s at 0x%" PRIx64 " is too large",
			       node->instance, range->length, range->space == BP_PIO ? "ports" : "bytes", range->base);
	return 0;
}

static int check_node(const struct firmware_node *node, struct err *err)
{
	int r;

	if (!node->hid && !node->compatible)
		return err_set(err, -EINVAL, "device \"%s\" has neither a HID nor a compatible", node->instance);
	if (node->hid && !aml_hid_is_valid(node->hid))
		return err_set(err, -EINVAL,
			       "device \"%s\": the HID \"%.32s\" is neither three letters nor four "
			       "letters or digits, then four hexadecimal digits, in upper case",
			       node->instance, node->hid);
	if (node->compatible && (!*node->compatible || !aml_string_is_valid(node->compatible)))
		return err_set(err, -EINVAL, "device \"%s\": the compatible is not plain text", node->instance);
	if (node->range_count > FIRMWARE_RANGES_MAX || node->irq_count > FIRMWARE_IRQS_MAX)
		return err_set(err, -EINVAL, "device \"%s\" has too many ranges or interrupts", node->instance);
	for (size_t i = 0; i < node->range_count; i++) {
		r = check_range(node, &node->ranges[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int acpi_write_dsdt(struct aml *aml, const struct firmware *firmware, struct err *err)
{
	size_t scope;
	int r;

	if (firmware->node_count > NODES_MAX)
		return err_set(err, -EINVAL, "%zu devices are more than %u", firmware->node_count, NODES_MAX);
	for (size_t i = 0; i < firmware->node_count; i++) {
		r = check_node(&firmware->nodes[i], err);
		if (r < 0)
			return r;
	}

	write_s5(aml);
	scope = aml_scope_begin(aml, "_SB");
	for (uint32_t i = 0; i < firmware->vcpus; i++)
		write_processor(aml, i);
	write_motherboard(aml, firmware);
	write_button(aml, firmware);
	for (size_t i = 0; i < firmware->node_count; i++)
		write_node(aml, (unsigned int)i, &firmware->nodes[i]);
	aml_end(aml, scope);
	if (aml->error)
		return err_sys(err, aml->error, "cannot make the ACPI namespace");
	return 0;
}
