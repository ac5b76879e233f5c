/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What firmware tables say about the machine: one description, from which ACPI tables are made, and later a device tree.
 * Filled by whoever knows the devices, before the guest's memory is loaded; plain data.
 */
#ifndef MACHINE_FIRMWARE_H
#define MACHINE_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#define FIRMWARE_RANGES_MAX 16
#define FIRMWARE_IRQS_MAX   16

/* One range of a node's _CRS. */
struct firmware_range {
	uint32_t space; /* BP_MMIO or BP_PIO */
	uint64_t base;
	uint64_t length;
};

/* One device. At least one of hid and compatible is set; strings are borrowed and outlive the tables' making. */
struct firmware_node {
	const char *instance;   /* the id in the configuration: _STR, and for messages */
	const char *hid;        /* "PNP0501", or NULL: PRP0001 */
	const char *compatible; /* becomes _DSD property "compatible", or NULL */
	uint32_t uid;           /* _UID, unique among nodes with the same hid */
	size_t range_count;
	struct firmware_range ranges[FIRMWARE_RANGES_MAX];
	size_t irq_count;
	uint32_t irqs[FIRMWARE_IRQS_MAX]; /* GSIs: edge triggered, active high, shared */
};

/* The whole machine. */
struct firmware {
	uint32_t vcpus;
	uint32_t facts;          /* BP_FACT_*: true of some device; the tables say that the others are absent */
	uint64_t lapic_address;  /* x86: local APICs, as MADT says */
	uint64_t ioapic_address; /* x86 */
	uint64_t power_address;  /* MMIO: the core's sleep and reset registers, see core/machine/power.h */
	uint32_t button_gsi;     /* an edge there is a press of the power button */
	size_t node_count;
	const struct firmware_node *nodes;
};

#endif
