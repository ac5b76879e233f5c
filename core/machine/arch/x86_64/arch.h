/* SPDX-License-Identifier: BSD-3-Clause */
/* What is particular to x86_64 vCPUs: CPUID, MSRs, first registers, and what to show when a guest dies. */
#ifndef MACHINE_ARCH_X86_64_ARCH_H
#define MACHINE_ARCH_X86_64_ARCH_H

#include "core/machine/boot/boot.h"
#include "core/machine/kvm.h"

/* Every vCPU: CPUID (topology of one package with `vcpus` cores, x2APIC, TSC deadline timer, kvmclock) and MSRs. */
int arch_vcpu_setup(const struct kvm *kvm, int vcpu_fd, uint32_t index, uint32_t vcpus, struct err *err);

/* The first vCPU's registers; the others wait for INIT and SIPI. */
int arch_vcpu_boot(int vcpu_fd, const struct boot_entry *entry, struct err *err);

/* Logs registers and the bytes at the instruction pointer, at error level. */
void arch_vcpu_dump(int vcpu_fd, uint32_t index, const struct gmem *mem);

/* Interrupt lines that devices may use. */
#define ARCH_IRQ_LINES 24u

#endif
