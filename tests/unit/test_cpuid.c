/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUID as a vCPU sees it: one package, a thread per core, APIC ids from 0, and nothing that the guest does not get. */
#include "core/machine/arch/x86_64/cpuid.h"

#include "tests/unit/support.h"

#define SUBLEAVES KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct cpuid table;

static void add(uint32_t function, uint32_t index, uint32_t flags, uint32_t eax, uint32_t ebx, uint32_t ecx,
		uint32_t edx)
{
	table.entries[table.nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = flags,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

/* Like a host with 16 threads in 8 cores, of both vendors at once: leaves that a vendor does not have do not disturb. */
static int setup(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	add(0x0, 0, 0, 0x1f, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(0x1, 0, 0, 0x000906ea, 0x07100800, 0x7ed8320b, 0xbfebfbff);
	add(0x4, 0, SUBLEAVES, 0x1c004121, 0x01c0003f, 0x3f, 0);   /* L1 data */
	add(0x4, 1, SUBLEAVES, 0x1c004122, 0x01c0003f, 0x3f, 0);   /* L1 instructions */
	add(0x4, 2, SUBLEAVES, 0x1c004143, 0x00c0003f, 0x3ff, 0);  /* L2 */
	add(0x4, 3, SUBLEAVES, 0x1c03c163, 0x03c0003f, 0x2fff, 6); /* L3 */
	add(0x4, 4, SUBLEAVES, 0, 0, 0, 0);
	add(0xa, 0, 0, 0x08300805, 0, 0xf, 0x00008604);
	add(0xb, 0, SUBLEAVES, 1, 2, 0x100, 7);
	add(0xb, 1, SUBLEAVES, 4, 16, 0x201, 7);
	add(0x1f, 0, SUBLEAVES, 1, 2, 0x100, 7);
	add(0x1f, 1, SUBLEAVES, 4, 16, 0x201, 7);
	add(0x1f, 2, SUBLEAVES, 5, 32, 0x502, 7);
	add(0x80000000, 0, 0, 0x8000001e, 0, 0, 0);
	add(0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800);
	add(0x80000008, 0, 0, 0x00003027, 0, 0x400f, 0);
	add(0x8000001d, 0, SUBLEAVES, 0x00004121, 0x01c0003f, 0x3f, 0);
	add(0x8000001d, 3, SUBLEAVES, 0x0003c163, 0x03c0003f, 0x2fff, 6);
	add(0x8000001d, 4, SUBLEAVES, 0, 0, 0, 0);
	add(0x8000001e, 0, 0, 13, 0x0106, 0x0300, 0);
	return 0;
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(&table, function, index);

	assert_non_null(entry);
	return entry;
}

static uint32_t bits_for(uint32_t count)
{
	uint32_t bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

static const uint32_t sizes[] = { 1, 2, 3, 4, 5, 8, 15, 16, 31, 32 };

/* For each size of machine and each vCPU of it. */
static void for_each_vcpu(void (*check)(uint32_t index, uint32_t vcpus))
{
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		for (uint32_t index = 0; index < sizes[i]; index++) {
			setup(NULL);
			cpuid_adjust(&table, index, sizes[i], false);
			check(index, sizes[i]);
		}
}

static void check_features(uint32_t index, uint32_t vcpus)
{
	const struct kvm_cpuid_entry2 *entry = leaf(1, 0);

	assert_int_equal(entry->ebx >> 24, index);
	assert_int_equal((entry->ebx >> 16) & 0xff, vcpus);
	assert_int_equal(entry->ebx & 0xffff, 0x0800);
	assert_int_equal((entry->edx >> 28) & 1, vcpus > 1);
	assert_true(entry->ecx & (1u << 31)); /* hypervisor */
	assert_true(entry->ecx & (1u << 21)); /* x2APIC */
	assert_int_equal(entry->eax, 0x000906ea);
}

static void apic_id_and_count(void **state)
{
	(void)state;
	for_each_vcpu(check_features);
}

static void tsc_deadline_as_told(void **state)
{
	uint32_t before = leaf(1, 0)->ecx;

	(void)state;
	cpuid_adjust(&table, 0, 1, false);
	assert_int_equal(leaf(1, 0)->ecx & (1u << 24), before & (1u << 24));
	setup(NULL);
	cpuid_adjust(&table, 0, 1, true);
	assert_true(leaf(1, 0)->ecx & (1u << 24));
}

static void check_caches(uint32_t index, uint32_t vcpus)
{
	uint32_t cores = (1u << bits_for(vcpus)) - 1;

	(void)index;
	for (uint32_t level = 0; level < 3; level++) {
		assert_int_equal((leaf(4, level)->eax >> 14) & 0xfff, 0);
		assert_int_equal(leaf(4, level)->eax >> 26, cores);
	}
	assert_int_equal((leaf(4, 3)->eax >> 14) & 0xfff, cores);
	assert_int_equal(leaf(4, 3)->eax >> 26, cores);
	assert_int_equal(leaf(4, 3)->eax & 0x3fff, 0x0163);
	/* The end of the list stays one. */
	assert_int_equal(leaf(4, 4)->eax, 0);
	assert_int_equal((leaf(0x8000001d, 0)->eax >> 14) & 0xfff, 0);
	assert_int_equal((leaf(0x8000001d, 3)->eax >> 14) & 0xfff, vcpus - 1);
	assert_int_equal(leaf(0x8000001d, 4)->eax, 0);
}

static void caches_belong_to_cores_or_to_all(void **state)
{
	(void)state;
	for_each_vcpu(check_caches);
}

static void check_topology_leaf(uint32_t function, uint32_t index, uint32_t vcpus)
{
	const struct kvm_cpuid_entry2 *smt = leaf(function, 0), *core = leaf(function, 1), *end = leaf(function, 2);

	assert_int_equal(smt->eax, 0);
	assert_int_equal(smt->ebx, 1);
	assert_int_equal(smt->ecx, 0x100);
	assert_int_equal(core->eax, bits_for(vcpus));
	assert_int_equal(core->ebx, vcpus);
	assert_int_equal(core->ecx, 0x201);
	assert_int_equal(end->eax | end->ebx, 0);
	assert_int_equal(end->ecx, 2);
	assert_int_equal(smt->edx, index);
	assert_int_equal(core->edx, index);
	assert_int_equal(end->edx, index);
	/* Ids of this machine do not run into the next package's. */
	assert_int_equal(index >> core->eax, 0);
}

static void check_topology(uint32_t index, uint32_t vcpus)
{
	check_topology_leaf(0xb, index, vcpus);
	check_topology_leaf(0x1f, index, vcpus);
	assert_null(cpuid_find(&table, 0x1f, 3));
}

static void topology_of_one_package(void **state)
{
	(void)state;
	for_each_vcpu(check_topology);
}

static void check_amd(uint32_t index, uint32_t vcpus)
{
	const struct kvm_cpuid_entry2 *entry = leaf(0x8000001e, 0);

	assert_int_equal(entry->eax, index);
	assert_int_equal(entry->ebx & 0xff, index);
	assert_int_equal((entry->ebx >> 8) & 0xff, 0); /* a thread per core */
	assert_int_equal(entry->ecx, 0);               /* one node */
	assert_int_equal(leaf(0x80000008, 0)->ecx & 0xff, vcpus - 1);
	assert_int_equal((leaf(0x80000008, 0)->ecx >> 12) & 0xf, bits_for(vcpus));
	assert_int_equal(leaf(0x80000008, 0)->eax, 0x00003027);
	assert_int_equal((leaf(0x80000001, 0)->ecx >> 1) & 1, vcpus > 1);
	assert_int_equal(leaf(0x80000001, 0)->ecx & ~2u, 0x121);
}

static void topology_as_amd_has_it(void **state)
{
	(void)state;
	for_each_vcpu(check_amd);
}

static void no_performance_counters(void **state)
{
	const struct kvm_cpuid_entry2 *entry;

	(void)state;
	cpuid_adjust(&table, 0, 2, true);
	entry = leaf(0xa, 0);
	assert_int_equal(entry->eax | entry->ebx | entry->ecx | entry->edx, 0);
}

/* A leaf that the host does not have is not invented, but for topology where the highest leaf says that it exists. */
static void old_processors(void **state)
{
	(void)state;
	memset(&table, 0, sizeof(table));
	add(0x0, 0, 0, 0xa, 0, 0, 0);
	add(0x1, 0, 0, 0, 0, 0, 0);
	cpuid_adjust(&table, 1, 2, false);
	assert_int_equal(table.nent, 2);
	assert_null(cpuid_find(&table, 0xb, 0));
	memset(&table, 0, sizeof(table));
	add(0x0, 0, 0, 0xb, 0, 0, 0);
	cpuid_adjust(&table, 1, 2, false);
	check_topology_leaf(0xb, 1, 2);
	assert_null(cpuid_find(&table, 0x1f, 0));
	memset(&table, 0, sizeof(table));
	cpuid_adjust(&table, 0, 1, false);
	assert_int_equal(table.nent, 0);
}

/* KVM's table may be as long as there is room for: nothing is written past it, and what does not fit is left out. */
static void a_full_table(void **state)
{
	static struct {
		struct cpuid cpuid;
		uint8_t guard[sizeof(struct kvm_cpuid_entry2)];
	} full;

	(void)state;
	memset(&full, 0xa5, sizeof(full));
	full.cpuid.nent = CPUID_ENTRIES_MAX;
	for (uint32_t i = 0; i < CPUID_ENTRIES_MAX; i++)
		full.cpuid.entries[i] = (struct kvm_cpuid_entry2){ .function = 0x40000000 + i };
	full.cpuid.entries[0] = (struct kvm_cpuid_entry2){ .function = 0, .eax = 0xb };
	cpuid_adjust(&full.cpuid, 0, 4, true);
	assert_int_equal(full.cpuid.nent, CPUID_ENTRIES_MAX);
	for (size_t i = 0; i < sizeof(full.guard); i++)
		assert_int_equal(full.guard[i], 0xa5);
	assert_int_equal(full.cpuid.entries[CPUID_ENTRIES_MAX - 1].function, 0x40000000 + CPUID_ENTRIES_MAX - 1);
}

static void adjusting_twice_changes_nothing_more(void **state)
{
	static struct cpuid once;

	(void)state;
	cpuid_adjust(&table, 3, 5, true);
	once = table;
	cpuid_adjust(&table, 3, 5, true);
	assert_memory_equal(&once, &table, sizeof(once));
}

static void finding_an_entry(void **state)
{
	(void)state;
	assert_int_equal(cpuid_find(&table, 0x4, 3)->eax, 0x1c03c163);
	assert_null(cpuid_find(&table, 0x4, 5));
	/* Without subleaves the index does not count. */
	assert_ptr_equal(cpuid_find(&table, 0x1, 9), cpuid_find(&table, 0x1, 0));
	assert_null(cpuid_find(&table, 0x2, 0));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(apic_id_and_count),       TEST(tsc_deadline_as_told),   TEST(caches_belong_to_cores_or_to_all),
		TEST(topology_of_one_package), TEST(topology_as_amd_has_it), TEST(no_performance_counters),
		TEST(old_processors),          TEST(a_full_table),           TEST(adjusting_twice_changes_nothing_more),
		TEST(finding_an_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
