/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID for a guest's vCPU (Intel SDM 2A, CPUID; AMD APM 3, appendix E); see cpuid.h. */
#include "core/machine/arch/x86_64/cpuid.h"

#include <string.h>

#define LEAF_VENDOR               0x0u
#define LEAF_FEATURES             0x1u
#define LEAF_CACHE                0x4u
#define LEAF_PMU                  0xau
#define LEAF_TOPOLOGY             0xbu
#define LEAF_TOPOLOGY_V2          0x1fu
#define LEAF_AMD_FEATURES         0x80000001u
#define LEAF_AMD_SIZES            0x80000008u
#define LEAF_AMD_CACHE            0x8000001du
#define LEAF_AMD_TOPOLOGY         0x8000001eu

#define FEATURES_ECX_X2APIC       (1u << 21)
#define FEATURES_ECX_TSC_DEADLINE (1u << 24)
#define FEATURES_ECX_HYPERVISOR   (1u << 31)
#define FEATURES_EDX_HTT          (1u << 28)
#define AMD_ECX_CMP_LEGACY        (1u << 1)

#define TOPOLOGY_SMT              1u
#define TOPOLOGY_CORE             2u

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == function &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

static void remove_leaf(struct cpuid *cpuid, uint32_t function)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[kept++] = cpuid->entries[i];
	cpuid->nent = kept;
}

static void add_subleaf(struct cpuid *cpuid, const struct kvm_cpuid_entry2 *entry)
{
	if (cpuid->nent < CPUID_ENTRIES_MAX)
		cpuid->entries[cpuid->nent++] = *entry;
}

/* How many bits number `count` things. */
static uint32_t bits_for(uint32_t count)
{
	uint32_t bits = 0;

	while ((UINT32_C(1) << bits) < count)
		bits++;
	return bits;
}

/* Extended topology: a level of one thread per core, a level of cores, an end. */
static void topology_leaf(struct cpuid *cpuid, uint32_t function, uint32_t index, uint32_t vcpus)
{
	struct kvm_cpuid_entry2 smt = {
		.function = function,
		.index = 0,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = 0,
		.ebx = 1,
		.ecx = 0 | TOPOLOGY_SMT << 8,
		.edx = index,
	};
	struct kvm_cpuid_entry2 core = {
		.function = function,
		.index = 1,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = bits_for(vcpus),
		.ebx = vcpus,
		.ecx = 1 | TOPOLOGY_CORE << 8,
		.edx = index,
	};
	struct kvm_cpuid_entry2 end = {
		.function = function,
		.index = 2,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ecx = 2,
		.edx = index,
	};

	remove_leaf(cpuid, function);
	add_subleaf(cpuid, &smt);
	add_subleaf(cpuid, &core);
	add_subleaf(cpuid, &end);
}

void cpuid_adjust(struct cpuid *cpuid, uint32_t index, uint32_t vcpus, bool tsc_deadline)
{
	uint32_t core_bits = bits_for(vcpus);
	struct kvm_cpuid_entry2 *vendor = cpuid_find(cpuid, LEAF_VENDOR, 0);
	bool has_topology = vendor && vendor->eax >= LEAF_TOPOLOGY;
	bool has_topology_v2 = cpuid_find(cpuid, LEAF_TOPOLOGY_V2, 0);

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		switch (entry->function) {
		case LEAF_FEATURES:
			entry->ebx = (entry->ebx & 0x0000ffffu) | vcpus << 16 | index << 24;
			entry->ecx |= FEATURES_ECX_X2APIC | FEATURES_ECX_HYPERVISOR;
			if (tsc_deadline)
				entry->ecx |= FEATURES_ECX_TSC_DEADLINE;
			if (vcpus > 1)
				entry->edx |= FEATURES_EDX_HTT;
			else
				entry->edx &= ~FEATURES_EDX_HTT;
			break;
		case LEAF_CACHE: {
			/* Level 1 and 2 belong to a core, level 3 to the package; all cores are in one package. */
			uint32_t level = (entry->eax >> 5) & 7;
			uint32_t sharing = level >= 3 ? (1u << core_bits) - 1 : 0;

			if (entry->eax & 0x1f)
				entry->eax = (entry->eax & 0x00003fffu) | sharing << 14 | ((1u << core_bits) - 1) << 26;
			break;
		}
		case LEAF_PMU:
			/* The guest gets no performance counters. */
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
			break;
		case LEAF_AMD_FEATURES:
			if (vcpus > 1)
				entry->ecx |= AMD_ECX_CMP_LEGACY;
			else
				entry->ecx &= ~AMD_ECX_CMP_LEGACY;
			break;
		case LEAF_AMD_SIZES:
			entry->ecx = (entry->ecx & ~0xf0ffu) | (vcpus - 1) | core_bits << 12;
			break;
		case LEAF_AMD_CACHE: {
			uint32_t level = (entry->eax >> 5) & 7;

			if (entry->eax & 0x1f)
				entry->eax = (entry->eax & 0x00003fffu) | (level >= 3 ? vcpus - 1 : 0) << 14;
			break;
		}
		case LEAF_AMD_TOPOLOGY:
			entry->eax = index;
			entry->ebx = (entry->ebx & ~0xffffu) | (index & 0xff);
			entry->ecx = 0;
			break;
		default:
			break;
		}
	}
	if (has_topology)
		topology_leaf(cpuid, LEAF_TOPOLOGY, index, vcpus);
	if (has_topology_v2)
		topology_leaf(cpuid, LEAF_TOPOLOGY_V2, index, vcpus);
}
