/* SPDX-License-Identifier: BSD-3-Clause */
/* CPUs of the machine, with the payload on this machine's KVM: that they start, and what they say of themselves. */
#include "tests/payload/fixture.h"

#include "core/base/fd.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static void start_cpus(struct fixture *fixture, uint32_t cpus, const char *extra)
{
	char cmdline[64];

	snprintf(cmdline, sizeof(cmdline), "case=smp cpus=%u%s", cpus, extra);
	fixture_open(fixture, cpus, HARNESS_MEMORY, cmdline);
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(fixture->harness.report_count, cpus);
	for (uint32_t i = 0; i < cpus; i++)
		assert_int_equal(harness_count(&fixture->harness, PAYLOAD_SAYS_CPU + i), 1);
}

static void cpus_1(void **state)
{
	start_cpus(*state, 1, "");
}

static void cpus_2(void **state)
{
	start_cpus(*state, 2, "");
}

static void cpus_4(void **state)
{
	start_cpus(*state, 4, "");
}

static void cpus_8(void **state)
{
	start_cpus(*state, 8, "");
}

static void cpus_32(void **state)
{
	start_cpus(*state, 32, "");
}

static void cpus_8_xapic(void **state)
{
	start_cpus(*state, 8, " xapic");
}

static uint32_t bits_for(uint32_t count)
{
	uint32_t bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* One package, a thread per core, APIC ids from 0 (Intel SDM 2A, CPUID; AMD APM 3, appendix E). */
static void check_cpuid(const struct payload_cpuid *cpuid, uint32_t index, uint32_t cpus)
{
	assert_int_equal(cpuid->present, 1);
	assert_int_equal(cpuid->apic_id, index);
	assert_int_equal(cpuid->features[1] >> 24, index);
	assert_int_equal(cpuid->features[1] >> 16 & 0xff, cpus);
	if (cpus > 1)
		assert_int_equal(cpuid->features[3] >> 28 & 1, 1); /* HTT */
	assert_int_equal(cpuid->features[2] >> 21 & 1, 1);         /* x2APIC */
	assert_int_equal(cpuid->features[2] >> 31 & 1, 1);         /* hypervisor */
	if (cpuid->last_leaf >= 0xb) {
		assert_int_equal(cpuid->topology[0][0], 0);
		assert_int_equal(cpuid->topology[0][1], 1);
		assert_int_equal(cpuid->topology[0][2], 1 << 8 | 0); /* threads */
		assert_int_equal(cpuid->topology[0][3], index);
		assert_int_equal(cpuid->topology[1][0], bits_for(cpus));
		assert_int_equal(cpuid->topology[1][1], cpus);
		assert_int_equal(cpuid->topology[1][2], 2 << 8 | 1); /* cores */
		assert_int_equal(cpuid->topology[1][3], index);
		assert_int_equal(cpuid->topology[2][1], 0);
		assert_int_equal(cpuid->topology[2][2] >> 8 & 0xff, 0); /* no more */
	}
	if (!cpuid->vendor_amd)
		return;
	assert_int_equal(cpuid->sizes[2] & 0xff, cpus - 1);
	assert_int_equal(cpuid->sizes[2] >> 12 & 0xf, bits_for(cpus));
	/* Zero: this processor has no such leaf. */
	if (cpuid->last_amd_leaf >= 0x8000001e) {
		assert_int_equal(cpuid->amd_topology[0], index);
		assert_int_equal(cpuid->amd_topology[1] & 0xff, index);
		assert_int_equal(cpuid->amd_topology[1] >> 8 & 0xff, 0); /* threads per core, less one */
		assert_int_equal(cpuid->amd_topology[2] & 0x7ff, 0);
	}
}

static void topology(struct fixture *fixture, uint32_t cpus)
{
	char cmdline[64];

	snprintf(cmdline, sizeof(cmdline), "case=cpuid cpus=%u", cpus);
	fixture_open(fixture, cpus, HARNESS_MEMORY, cmdline);
	fixture_run(fixture, MACHINE_POWEROFF);
	for (uint32_t i = 0; i < PAYLOAD_CPUS_MAX; i++) {
		const struct payload_cpuid *cpuid = &harness_shared(&fixture->harness)->cpuid[i];

		if (i < cpus)
			check_cpuid(cpuid, i, cpus);
		else
			assert_int_equal(cpuid->present, 0);
	}
}

static void topology_1(void **state)
{
	topology(*state, 1);
}

static void topology_2(void **state)
{
	topology(*state, 2);
}

static void topology_3(void **state)
{
	topology(*state, 3);
}

static void topology_8(void **state)
{
	topology(*state, 8);
}

/* struct kvm_cpuid2 with room. */
struct cpuid_table {
	uint32_t nent;
	uint32_t padding;
	struct kvm_cpuid_entry2 entries[256];
};

/* Whether KVM lets the bit be 0: some set it behind our back. */
static bool kvm_keeps_htt_clear(void)
{
	struct cpuid_table *table = test_calloc(1, sizeof(*table));
	FD_AUTO int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	FD_AUTO int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	FD_AUTO int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	bool clear = true;

	table->nent = 256;
	assert_int_equal(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, table), 0);
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 1)
			table->entries[i].edx &= ~(1u << 28);
	assert_int_equal(ioctl(vcpu, KVM_SET_CPUID2, table), 0);
	table->nent = 256;
	assert_int_equal(ioctl(vcpu, KVM_GET_CPUID2, table), 0);
	for (uint32_t i = 0; i < table->nent; i++)
		if (table->entries[i].function == 1 && (table->entries[i].edx & (1u << 28)))
			clear = false;
	test_free(table);
	return clear;
}

static void one_cpu_has_no_htt(void **state)
{
	struct fixture *fixture = *state;

	if (!kvm_keeps_htt_clear()) {
		print_message("this host's KVM sets HTT itself\n");
		skip();
	}
	fixture_open(fixture, 1, HARNESS_MEMORY, "case=cpuid");
	fixture_run(fixture, MACHINE_POWEROFF);
	assert_int_equal(harness_shared(&fixture->harness)->cpuid[0].features[3] >> 28 & 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(cpus_1),
		CASE(cpus_2),
		CASE(cpus_4),
		CASE(cpus_8),
		CASE(cpus_32),
		CASE(cpus_8_xapic),
		CASE(topology_1),
		CASE(topology_2),
		CASE(topology_3),
		CASE(topology_8),
		CASE(one_cpu_has_no_htt),
	};

	return cmocka_run_group_tests_name("payload cpus", tests, NULL, NULL);
}
