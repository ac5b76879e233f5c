/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables around the namespace, and where each goes: RSDP, XSDT, FADT, MADT, DSDT (ACPI 6.4,
 * 5.2). The machine is a hardware-reduced one: no SCI, no PM timer, no FACS, no 8259, no PIT. It
 * says what is absent, because guests spend time on looking for it. Called on the main thread.
 */
#include "core/machine/acpi/acpi.h"

#include "core/base/checked.h"
#include "core/machine/acpi/dsdt.h"
#include "core/machine/power.h"

#include <backplane/device.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_ALIGN 16u

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct header) == 36, "5.2.6");

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct rsdp) == 36, "5.2.5.3");
#define RSDP_FIRST_BYTES 20

struct xsdt {
	struct header header;
	uint64_t tables[2];
} __attribute__((packed));

struct address {
	uint8_t space; /* 0: memory */
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size; /* 1: bytes */
	uint64_t address;
} __attribute__((packed));
static_assert(sizeof(struct address) == 12, "5.2.3.2");

struct fadt {
	struct header header;
	uint32_t firmware_ctrl;
	uint32_t dsdt;
	uint8_t reserved;
	uint8_t pm_profile;
	uint8_t fixed_hardware[63]; /* SCI, SMI, PM1, PM timer, GPE: none */
	uint16_t boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct address reset_register;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_revision;
	uint64_t x_firmware_ctrl;
	uint64_t x_dsdt;
	struct address x_fixed_hardware[8];
	struct address sleep_control;
	struct address sleep_status;
	char hypervisor_vendor[8];
} __attribute__((packed));
static_assert(offsetof(struct fadt, boot_arch) == 109, "5.2.9");
static_assert(offsetof(struct fadt, reset_register) == 116, "5.2.9");
static_assert(offsetof(struct fadt, sleep_control) == 244, "5.2.9");
static_assert(sizeof(struct fadt) == 276, "5.2.9");

#define FADT_WBINVD           (1u << 0)
#define FADT_PWR_BUTTON       (1u << 4) /* there is no fixed one */
#define FADT_SLP_BUTTON       (1u << 5) /* likewise */
#define FADT_RESET_REG_SUP    (1u << 10)
#define FADT_HW_REDUCED_ACPI  (1u << 20)
#define BOOT_LEGACY_DEVICES   (1u << 0)
#define BOOT_8042             (1u << 1)
#define BOOT_VGA_NOT_PRESENT  (1u << 2)
#define BOOT_CMOS_NOT_PRESENT (1u << 5)

struct madt {
	struct header header;
	uint32_t lapic_address;
	uint32_t flags; /* PCAT_COMPAT is not set: there is no 8259 */
} __attribute__((packed));

struct madt_lapic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags; /* 1: enabled */
} __attribute__((packed));
static_assert(sizeof(struct madt_lapic) == 8, "5.2.12.2");

struct madt_ioapic {
	uint8_t type; /* 1 */
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
} __attribute__((packed));
static_assert(sizeof(struct madt_ioapic) == 12, "5.2.12.3");

/* APIC ids are one byte, 255 is everybody, and one is the I/O APIC's. */
#define VCPUS_MAX 254u

/* Where each table is in the image. */
struct plan {
	size_t xsdt;
	size_t fadt;
	size_t madt;
	size_t madt_bytes;
	size_t dsdt;
	size_t dsdt_bytes;
	size_t end;
};

static uint8_t checksum(const void *data, size_t bytes)
{
	const uint8_t *at = data;
	unsigned int sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum += at[i];
	return (uint8_t)(0x100u - (sum & 0xffu));
}

static struct header make_header(const char *signature, uint8_t revision, size_t bytes)
{
	struct header header = {
		.length = (uint32_t)bytes,
		.revision = revision,
		.oem_id = { 'B', 'K', 'P', 'L', 'N', 'E' },
		.oem_table_id = { 'B', 'A', 'C', 'K', 'P', 'L', 'A', 'N' },
		.oem_revision = 1,
		.creator_id = { 'B', 'K', 'P', 'L' },
		.creator_revision = 1,
	};

	memcpy(header.signature, signature, sizeof(header.signature));
	return header;
}

/* A table is complete: its checksum makes the sum of its bytes 0. */
static void seal(uint8_t *table, size_t bytes)
{
	table[offsetof(struct header, checksum)] = checksum(table, bytes);
}

static struct address register_at(uint64_t address)
{
	return (struct address){ .bit_width = 8, .access_size = 1, .address = address };
}

static size_t next(size_t offset, size_t bytes)
{
	return (offset + bytes + TABLE_ALIGN - 1) & ~(size_t)(TABLE_ALIGN - 1);
}

static struct plan make_plan(const struct firmware *firmware, size_t aml_bytes)
{
	struct plan plan;

	plan.xsdt = next(0, sizeof(struct rsdp));
	plan.fadt = next(plan.xsdt, sizeof(struct xsdt));
	plan.madt = next(plan.fadt, sizeof(struct fadt));
	plan.madt_bytes =
	    sizeof(struct madt) + firmware->vcpus * sizeof(struct madt_lapic) + sizeof(struct madt_ioapic);
	plan.dsdt = next(plan.madt, plan.madt_bytes);
	plan.dsdt_bytes = sizeof(struct header) + aml_bytes;
	plan.end = plan.dsdt + plan.dsdt_bytes;
	return plan;
}

static void write_rsdp(uint8_t *at, uint64_t xsdt)
{
	struct rsdp rsdp = {
		.signature = { 'R', 'S', 'D', ' ', 'P', 'T', 'R', ' ' },
		.oem_id = { 'B', 'K', 'P', 'L', 'N', 'E' },
		.revision = 2,
		.length = sizeof(rsdp),
		.xsdt = xsdt,
	};

	rsdp.checksum = checksum(&rsdp, RSDP_FIRST_BYTES);
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(at, &rsdp, sizeof(rsdp));
}

static void write_xsdt(uint8_t *at, uint64_t fadt, uint64_t madt)
{
	struct xsdt xsdt = {
		.header = make_header("XSDT", 1, sizeof(xsdt)),
		.tables = { fadt, madt },
	};

	memcpy(at, &xsdt, sizeof(xsdt));
	seal(at, sizeof(xsdt));
}

/* LEGACY_DEVICES says that something is at ports. Without 8042 and with the other two set, Linux
 * does not wait for a keyboard controller, and touches neither VGA nor the clock. */
static uint16_t boot_arch(const struct firmware *firmware)
{
	unsigned int flags = 0;

	for (size_t i = 0; i < firmware->node_count; i++) {
		const struct firmware_node *node = &firmware->nodes[i];

		for (size_t j = 0; j < node->range_count; j++) {
			if (node->ranges[j].space == BP_PIO)
				flags |= BOOT_LEGACY_DEVICES;
		}
	}
	if (firmware->facts & BP_FACT_I8042)
		flags |= BOOT_8042;
	if (!(firmware->facts & BP_FACT_VGA))
		flags |= BOOT_VGA_NOT_PRESENT;
	if (!(firmware->facts & BP_FACT_RTC))
		flags |= BOOT_CMOS_NOT_PRESENT;
	return (uint16_t)flags;
}

static void write_fadt(uint8_t *at, const struct firmware *firmware, uint64_t dsdt)
{
	uint64_t power = firmware->power_address;
	struct fadt fadt = {
		.header = make_header("FACP", 6, sizeof(fadt)),
		.dsdt = dsdt <= UINT32_MAX ? (uint32_t)dsdt : 0,
		.boot_arch = boot_arch(firmware),
		.flags = FADT_WBINVD | FADT_PWR_BUTTON | FADT_SLP_BUTTON | FADT_RESET_REG_SUP | FADT_HW_REDUCED_ACPI,
		.reset_register = register_at(power + POWER_RESET),
		.reset_value = POWER_RESET_VALUE,
		.minor_revision = 4,
		.x_dsdt = dsdt,
		.sleep_control = register_at(power + POWER_SLEEP_CONTROL),
		.sleep_status = register_at(power + POWER_SLEEP_STATUS),
		.hypervisor_vendor = { 'B', 'A', 'C', 'K', 'P', 'L', 'A', 'N' },
	};

	memcpy(at, &fadt, sizeof(fadt));
	seal(at, sizeof(fadt));
}

/*
 * No interrupt source overrides: with no 8259 Linux knows no ISA interrupts, maps each GSI when its
 * device is found, and takes trigger and polarity from the device's extended interrupt descriptor.
 */
static void write_madt(uint8_t *at, const struct firmware *firmware, size_t bytes)
{
	struct madt madt = {
		.header = make_header("APIC", 5, bytes),
		.lapic_address = (uint32_t)firmware->lapic_address,
	};
	struct madt_ioapic ioapic = {
		.type = 1,
		.length = sizeof(ioapic),
		.id = (uint8_t)firmware->vcpus,
		.address = (uint32_t)firmware->ioapic_address,
		.gsi_base = 0,
	};
	uint8_t *entry = at + sizeof(madt);

	memcpy(at, &madt, sizeof(madt));
	for (uint32_t i = 0; i < firmware->vcpus; i++) {
		struct madt_lapic lapic = {
			.type = 0,
			.length = sizeof(lapic),
			.processor_uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = 1,
		};

		memcpy(entry, &lapic, sizeof(lapic));
		entry += sizeof(lapic);
	}
	memcpy(entry, &ioapic, sizeof(ioapic));
	seal(at, bytes);
}

static void write_dsdt(uint8_t *at, const struct aml *aml, size_t bytes)
{
	struct header header = make_header("DSDT", 2, bytes);

	memcpy(at, &header, sizeof(header));
	memcpy(at + sizeof(header), aml->data, aml->bytes);
	seal(at, bytes);
}

static int check_machine(const struct firmware *firmware, uint64_t gpa, struct err *err)
{
	if (!firmware->vcpus || firmware->vcpus > VCPUS_MAX)
		return err_set(err, -EINVAL, "ACPI tables are for 1 to %u vCPUs, not %u", VCPUS_MAX, firmware->vcpus);
	if (firmware->lapic_address > UINT32_MAX || firmware->ioapic_address > UINT32_MAX)
		return err_set(err, -EINVAL, "an interrupt controller is not below 4 GiB");
	if (!range_within(firmware->power_address, POWER_BYTES, UINT64_MAX))
		return err_set(err, -EINVAL, "no room for power registers at 0x%" PRIx64, firmware->power_address);
	if (gpa % TABLE_ALIGN)
		return err_set(err, -EINVAL, "ACPI tables cannot start at 0x%" PRIx64, gpa);
	return 0;
}

int acpi_build(const struct firmware *firmware, uint64_t gpa, size_t capacity, struct acpi_image *ret, struct err *err)
{
	AML_AUTO struct aml aml = AML_EMPTY;
	struct plan plan;
	uint64_t end;
	uint8_t *data;
	int r;

	r = check_machine(firmware, gpa, err);
	if (r < 0)
		return r;
	r = acpi_write_dsdt(&aml, firmware, err);
	if (r < 0)
		return r;
	plan = make_plan(firmware, aml.bytes);
	if (plan.end > capacity)
		return err_set(err, -ENOSPC,
			       "ACPI tables for %zu devices take %zu bytes, %zu more than there is "
			       "room for",
			       firmware->node_count, plan.end, plan.end - capacity);
	if (__builtin_add_overflow(gpa, plan.end, &end))
		return err_set(err, -EINVAL, "ACPI tables cannot start at 0x%" PRIx64, gpa);
	data = calloc(1, plan.end);
	if (!data)
		return err_set(err, -ENOMEM, "out of memory");

	write_rsdp(data, gpa + plan.xsdt);
	write_xsdt(data + plan.xsdt, gpa + plan.fadt, gpa + plan.madt);
	write_fadt(data + plan.fadt, firmware, gpa + plan.dsdt);
	write_madt(data + plan.madt, firmware, plan.madt_bytes);
	write_dsdt(data + plan.dsdt, &aml, plan.dsdt_bytes);
	ret->data = data;
	ret->bytes = plan.end;
	return 0;
}
