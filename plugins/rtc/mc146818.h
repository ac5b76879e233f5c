/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A MC146818 as its driver sees it: registers, flags, and when something is due (Motorola MC146818 data sheet, 1984). No host,
 * no timers, no threads: rtc.c tells it the time at every call, and asks what to do next.
 *
 * The chip's clock is the host's plus a difference, which the guest sets. Nothing counts: registers are made from the time when they
 * are read, and what has happened since the last call (an update, an alarm, a period) is found out by comparing then and now.
 *
 *   state     the time registers                    entered                       ended by
 *   running   are made from the clock               reset; neither of the two     SET, or another divider than 32768 Hz
 *   stopped   keep what is written                  SET, or another divider       both undone: the clock goes on from there
 */
#ifndef RTC_MC146818_H
#define RTC_MC146818_H

#include <stdbool.h>
#include <stdint.h>

#define MC_REGISTERS     128u

#define MC_SECONDS       0x00u
#define MC_SECONDS_ALARM 0x01u
#define MC_MINUTES       0x02u
#define MC_MINUTES_ALARM 0x03u
#define MC_HOURS         0x04u
#define MC_HOURS_ALARM   0x05u
#define MC_WEEKDAY       0x06u /* 1 is Sunday; not to be set */
#define MC_DAY           0x07u
#define MC_MONTH         0x08u
#define MC_YEAR          0x09u
#define MC_A             0x0au
#define MC_B             0x0bu
#define MC_C             0x0cu
#define MC_D             0x0du
#define MC_CENTURY       0x32u /* of a PC, no part of the chip */

#define MC_A_UIP         0x80u /* an update is near: the time may change between two reads */
#define MC_A_DIVIDER     0x70u
#define MC_A_32KHZ       0x20u
#define MC_A_RATE        0x0fu

#define MC_B_SET         0x80u
#define MC_B_PIE         0x40u
#define MC_B_AIE         0x20u
#define MC_B_UIE         0x10u
#define MC_B_BINARY      0x04u
#define MC_B_24H         0x02u

#define MC_C_IRQF        0x80u
#define MC_C_PF          0x40u
#define MC_C_AF          0x20u
#define MC_C_UF          0x10u
#define MC_C_FLAGS       0x70u /* at the bits where B enables them */

#define MC_D_VALID       0x80u /* the battery is good */

/* Alarm registers from here on mean any value. */
#define MC_ANY           0xc0u

/* What a difference to the host's clock can be, either way: 30000 years. */
#define MC_AHEAD_S_MAX   (INT64_C(1) << 40)
#define MC_SECOND_NS     UINT64_C(1000000000)

struct mc_time {
	int64_t s; /* since 1970 */
	uint32_t ns;
};

struct mc146818 {
	uint8_t regs[MC_REGISTERS]; /* C with IRQF; those of the time while stopped */
	struct mc_time ahead;       /* the chip's clock less the host's */
	struct mc_time seen;        /* the chip's clock at the last call */
};

/* Power-on at `real_ns` of the host's clock (nanoseconds since 1970; so below). The battery was out: the time is the host's. */
void mc_reset(struct mc146818 *mc, uint64_t real_ns);

/* Sets the flags in C for what has happened up to now. */
void mc_sync(struct mc146818 *mc, uint64_t real_ns);

/* One register; `reg` below MC_REGISTERS. mc_sync() comes first. */
uint8_t mc_read(struct mc146818 *mc, uint64_t real_ns, uint32_t reg);
void mc_write(struct mc146818 *mc, uint64_t real_ns, uint32_t reg, uint8_t value);

/* Whether the interrupt line is active. */
bool mc_irq(const struct mc146818 *mc);

/* In how many nanoseconds from `real_ns` a flag will rise that raises the line; false if none will. */
bool mc_next(const struct mc146818 *mc, uint64_t real_ns, uint64_t *ret_ns);

/* Whether the fields can be those of a chip: for a state that comes from outside. Corrects what follows from other fields. */
bool mc_check(struct mc146818 *mc);

#endif
