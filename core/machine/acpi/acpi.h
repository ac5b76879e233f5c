/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ACPI tables from a firmware description: RSDP, XSDT, FADT (hardware-reduced), MADT, DSDT (ACPI
 * 6.4). Main thread, before the guest runs.
 */
#ifndef MACHINE_ACPI_ACPI_H
#define MACHINE_ACPI_ACPI_H

#include "core/base/err.h"
#include "core/machine/firmware.h"

/* One image of all tables, to be placed at guest physical address `gpa`, with the RSDP first. */
struct acpi_image {
	uint8_t *data; /* owned by the caller; free() */
	size_t bytes;
};

/* Builds the tables so that they are right at `gpa` (16-byte aligned), in at most `capacity` bytes.
 * 0, -ENOSPC (the message says how much room is missing), -EINVAL for a description that has no
 * valid encoding (a HID that is of neither EISA's nor ACPI's form, a range that wraps, no vCPU or
 * more than 254 of them), -ENOMEM. */
int acpi_build(const struct firmware *firmware, uint64_t gpa, size_t capacity, struct acpi_image *ret, struct err *err);

#endif
