/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The registers by which a guest ends: the sleep and reset registers of a hardware-reduced ACPI machine (ACPI 6.4, 4.8.3.7
 * and 4.8.3.6), in memory space so that no port is needed. Bytes from the base, each one byte wide:
 *   0  sleep control: SLP_EN (bit 5) with SLP_TYP (bits 2 to 4) 5 is power off
 *   1  sleep status: reads 0; WAK_STS is never set, since nothing sleeps
 *   2  reset: writing POWER_RESET_VALUE resets
 */
#ifndef MACHINE_POWER_H
#define MACHINE_POWER_H

#define POWER_BYTES         UINT64_C(8)
#define POWER_SLEEP_CONTROL 0
#define POWER_SLEEP_STATUS  1
#define POWER_RESET         2
#define POWER_RESET_VALUE   0x42
#define POWER_SLP_EN        0x20
#define POWER_SLP_TYP_SHIFT 2
#define POWER_SLP_TYP_MASK  0x1c
#define POWER_SLP_TYP_S5    5

#endif
