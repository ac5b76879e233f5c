/* SPDX-License-Identifier: BSD-3-Clause */
/* The contents of the DSDT: what there is in the machine. Private to this folder, for tables.c. */
#ifndef MACHINE_ACPI_DSDT_H
#define MACHINE_ACPI_DSDT_H

#include "core/base/err.h"
#include "core/machine/acpi/aml.h"
#include "core/machine/firmware.h"

/* Writes the definitions (the table's header is not part of them). 0, -EINVAL with a message that
 * names the instance, or -ENOMEM. */
int acpi_write_dsdt(struct aml *aml, const struct firmware *firmware, struct err *err);

#endif
