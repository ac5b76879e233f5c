/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID for a guest's vCPU; plain arithmetic on KVM's table, so that it can be tested without KVM. */
#ifndef MACHINE_ARCH_X86_64_CPUID_H
#define MACHINE_ARCH_X86_64_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPUID_ENTRIES_MAX 256

/* struct kvm_cpuid2 with room for what KVM supports, and for a few leaves of our own. */
struct cpuid {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};
_Static_assert(offsetof(struct cpuid, entries) == sizeof(struct kvm_cpuid2), "layout of struct kvm_cpuid2");

/* Turns what KVM supports into what vCPU `index` of `vcpus` sees: one package, one thread per core, APIC ids from 0. */
void cpuid_adjust(struct cpuid *cpuid, uint32_t index, uint32_t vcpus, bool tsc_deadline);

/* The entry, or NULL. `index` counts only for leaves that have subleaves. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *cpuid, uint32_t function, uint32_t index);

#endif
