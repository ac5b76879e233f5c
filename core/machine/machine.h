/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine without devices: vCPUs, memory, interrupts and power around a bus. It knows devices only as claims on the bus
 * and as nodes of the firmware description.
 *
 *   state     entered by                    allowed then
 *   made      machine_new                   machine_irq_fd, machine_ioeventfd, machine_mem, machine_boot,
 *                                           machine_boot_code
 *   booted    machine_boot, or _boot_code   machine_start
 *   running   machine_start                 machine_end (any thread), machine_end_fd
 *   stopped   machine_stop                  machine_crash_text, machine_restart, machine_free
 *   made      machine_restart               as above, for another life
 * machine_free is allowed in every state, and nothing else after a machine_restart that failed. All but machine_end and
 * machine_press_button belong to the main thread.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "core/base/gmem.h"
#include "core/machine/boot/boot.h"
#include "core/machine/bus.h"
#include "core/machine/firmware.h"

#define MACHINE_VCPUS_MAX 32

struct machine;

/* Why a guest ended. */
enum machine_end {
	MACHINE_RUNNING,
	MACHINE_POWEROFF,  /* the guest, by the sleep register or a device */
	MACHINE_RESET,     /* the guest, by the reset register or a device */
	MACHINE_PANIC,     /* the guest says by a device that it has crashed */
	MACHINE_CRASH,     /* triple fault, or a crash that KVM reports */
	MACHINE_KVM_ERROR, /* KVM cannot go on */
	MACHINE_BROKEN,    /* something on our side has failed that it cannot do without */
	MACHINE_REQUESTED  /* somebody outside asked for it */
};

struct machine_spec {
	uint32_t vcpus;        /* 1 to MACHINE_VCPUS_MAX */
	uint64_t memory_bytes; /* multiple of 4096; of MEMORY_HUGE_BYTES with huge pages */
	bool hugepages;        /* memory in the host's huge pages */
	bool prefault;         /* memory is taken from the host when the machine is made */
	bool quiet;            /* a crash is told by machine_crash_text() alone: nothing is logged */
};

/* Whether this host can give such a machine at all, without making anything. */
int machine_check(const struct machine_spec *spec, struct err *err);

/* The same for huge pages, if it is to have them: how many are missing, and what to do. They can be gone a moment later. */
int machine_check_hugepages(const struct machine_spec *spec, struct err *err);

/* Whether firmware tables can be made of the description, without making anything. Sets its vcpus and addresses. */
int machine_check_firmware(const struct machine_spec *spec, struct firmware *firmware, struct err *err);

/* RAM from address 0 up to the hole. */
uint64_t machine_low_ram(const struct machine_spec *spec);

/* Claims what is not for devices: RAM, the power registers, and what the processor and the interrupt controllers answer.
 * `bus` may be one that is only used for planning. */
int machine_reserve(const struct machine_spec *spec, struct bus *bus, struct err *err);

/* Opens KVM and makes VM, memory and vCPUs around `bus`, which is borrowed and on which machine_reserve() has been called
 * with success. -errno with one line that says what to do where something can be done. */
int machine_new(const struct machine_spec *spec, struct bus *bus, struct machine **ret, struct err *err);
void machine_free(struct machine *machine); /* NULL is fine */

/* The guest's RAM; lives as long as the machine. */
const struct gmem *machine_mem(const struct machine *machine);

/* A region of the guest's RAM, for another process to map: `bytes` at `offset` of a file that can be neither resized
 * nor sealed further. */
struct machine_region {
	uint64_t gpa, bytes, offset;
	int fd; /* borrowed; the same for the life of the machine, through restarts, too */
};

/* All of them, by address; how many. Who gets a descriptor can read and write guest memory. */
size_t machine_regions(const struct machine *machine, struct machine_region ret[static GMEM_REGIONS_MAX]);

/* An eventfd that raises line `gsi`, also after machine_restart(); owned by the caller. */
int machine_irq_fd(struct machine *machine, uint32_t gsi, struct err *err);

/* Writes of the guest to a memory address that become a signal on an eventfd, and no exit to user space. */
struct machine_ioeventfd {
	uint64_t gpa;
	uint32_t bytes; /* of the write: 1, 2, 4 or 8; 0: of any length, where KVM lacks that of 4 bytes */
	bool match;     /* only writes of `value`; not with bytes == 0 */
	uint64_t value;
	int fd; /* borrowed, until it is taken back */
};

/* Registers an ioeventfd, or takes it back (with the same fields). `machine_ptr` is a struct machine. -EEXIST if one like it
 * exists, -ENOSPC beyond KVM's limit of about a thousand, each with one line. The bus should have a claim there all the same:
 * what does not match arrives at it. */
int machine_ioeventfd(void *machine_ptr, const struct machine_ioeventfd *event, bool add, struct err *err);

/* Fills guest memory from `image` and the firmware description (whose vcpus and addresses are set here), and sets the first
 * vCPU's registers. */
int machine_boot(struct machine *machine, struct boot_image *image, struct firmware *firmware, struct err *err);

/* The same for a guest without a kernel: `bytes` of 64-bit code at `gpa`, where the first vCPU begins, with the first 4 GiB
 * mapped to themselves. There are no firmware tables. */
int machine_boot_code(struct machine *machine, const void *code, size_t bytes, uint64_t gpa, struct err *err);

/* One thread per vCPU. */
int machine_start(struct machine *machine, struct err *err);

/* [any thread] Ends the guest; the first reason wins. machine_end_fd() becomes readable; whoever waits for it calls
 * machine_stop(), which makes the vCPUs leave the guest. */
void machine_end(struct machine *machine, enum machine_end reason);
int machine_end_fd(const struct machine *machine);
enum machine_end machine_end_reason(const struct machine *machine);

/* Ends the guest if it runs, and returns when no vCPU thread exists any more. Accesses of the guest that had begun are complete
 * then, so devices have seen all of each instruction or nothing. */
void machine_stop(struct machine *machine);

/* Presses the guest's power button. What the guest does then is its own affair; before it has a driver for the button a press is
 * lost, without harm. Only with firmware tables. */
void machine_press_button(struct machine *machine);

/* After machine_stop(): puts the machine back to where machine_new() had brought it, for the next machine_boot(). KVM's VM and
 * vCPUs are made anew; memory stays where it is and is all zero; claims and interrupt descriptors stay, and interrupts that were
 * raised and not yet delivered are forgotten. Devices have been reset by then. -errno with a message. */
int machine_restart(struct machine *machine, struct err *err);

/* How often the guest has left to user space since the machine was made or restarted, and how often nobody answered what it
 * wanted. Main thread. */
void machine_counts(const struct machine *machine, uint64_t *ret_exits, uint64_t *ret_unclaimed);

/* What made the guest crash, one line; "" if nothing did. After machine_stop() only. */
const char *machine_crash_text(const struct machine *machine);

#endif
