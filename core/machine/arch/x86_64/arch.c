/* SPDX-License-Identifier: BSD-3-Clause */
/* x86_64 vCPUs: set-up through KVM, first registers, the dump of a dead guest; see arch.h. */
#include "core/machine/arch/x86_64/arch.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/machine/arch/x86_64/cpuid.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define CR0_PE                  (1u << 0)
#define CR0_ET                  (1u << 4)
#define CR0_NE                  (1u << 5)
#define CR0_PG                  (1u << 31)
#define CR4_PAE                 (1u << 5)
#define EFER_LME                (1u << 8)
#define EFER_LMA                (1u << 10)
#define RFLAGS_ALWAYS           2u

#define BOOT_CS                 0x10
#define BOOT_DS                 0x18
#define BOOT_TR                 0x20

/* Where a processor begins after a reset. */
#define RESET_IP                0xfff0
#define RESET_CS                0xf000

#define MSR_IA32_MISC_ENABLE    0x1a0u
#define MSR_MTRR_DEF_TYPE       0x2ffu
#define MISC_ENABLE_FAST_STRING 1u
#define MTRR_ENABLE             0x800u
#define MTRR_TYPE_WB            6u

static int setup_cpuid(const struct kvm *kvm, int vcpu_fd, uint32_t index, uint32_t vcpus, struct err *err)
{
	FREE_AUTO struct cpuid *cpuid = calloc(1, sizeof(*cpuid));

	if (!cpuid)
		return err_sys(err, -ENOMEM, "CPUID");
	/* Some entries are left free for the subleaves that we make. */
	cpuid->nent = CPUID_ENTRIES_MAX - 8;
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return err_sys(err, -errno, "KVM_GET_SUPPORTED_CPUID");
	cpuid_adjust(cpuid, index, vcpus, true);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		return err_sys(err, -errno, "KVM_SET_CPUID2");
	return 0;
}

/* struct kvm_msrs with one entry. */
struct one_msr {
	uint32_t nmsrs;
	uint32_t padding;
	struct kvm_msr_entry entry;
};
_Static_assert(offsetof(struct one_msr, entry) == sizeof(struct kvm_msrs), "layout of struct kvm_msrs");

static int setup_msrs(int vcpu_fd, struct err *err)
{
	static const struct kvm_msr_entry initial[] = {
		{ .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_TYPE_WB },
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRING },
	};

	/* One at a time: KVM stops at the first that it does not have, and neither is worth failing for. */
	for (size_t i = 0; i < sizeof(initial) / sizeof(initial[0]); i++) {
		struct one_msr one = { .nmsrs = 1, .entry = initial[i] };

		if (ioctl(vcpu_fd, KVM_SET_MSRS, &one) < 0)
			return err_sys(err, -errno, "KVM_SET_MSRS");
	}
	return 0;
}

int arch_vcpu_setup(const struct kvm *kvm, int vcpu_fd, uint32_t index, uint32_t vcpus, struct err *err)
{
	int r = setup_cpuid(kvm, vcpu_fd, index, vcpus, err);

	return r < 0 ? r : setup_msrs(vcpu_fd, err);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool long_mode)
{
	bool code = type & 8;

	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(code && long_mode),
		.l = code && long_mode,
	};
}

int arch_vcpu_boot(int vcpu_fd, const struct boot_entry *entry, struct err *err)
{
	bool long_mode = entry->mode == BOOT_MODE_LONG_64;
	struct kvm_segment data = flat_segment(BOOT_DS, 3, long_mode);
	struct kvm_regs regs = {
		.rip = entry->rip,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rsp = entry->rsp,
		.rflags = RFLAGS_ALWAYS,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return err_sys(err, -errno, "KVM_GET_SREGS");
	sregs.cs = flat_segment(BOOT_CS, 11, long_mode);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){ .selector = BOOT_TR, .type = 11, .present = 1, .limit = 0x67 };
	sregs.gdt.base = entry->gdt_gpa;
	sregs.gdt.limit = (uint16_t)(entry->gdt_bytes - 1);
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE;
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.efer = 0;
	if (long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = entry->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return err_sys(err, -errno, "KVM_SET_SREGS");
	if (ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return err_sys(err, -errno, "KVM_SET_REGS");
	return 0;
}

/* The bytes that the guest was about to execute, as far as they lie in RAM. */
static void dump_code(int vcpu_fd, uint64_t rip, const struct gmem *mem)
{
	struct kvm_translation translation = { .linear_address = rip };
	uint8_t code[16];
	char text[sizeof(code) * 3 + 1] = "";
	size_t bytes = sizeof(code);

	if (ioctl(vcpu_fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid)
		return;
	/* Not past the page: the next one may be anywhere. */
	if (4096 - (translation.physical_address & 4095) < bytes)
		bytes = 4096 - (size_t)(translation.physical_address & 4095);
	if (gmem_read(mem, translation.physical_address, code, bytes) < 0)
		return;
	for (size_t i = 0; i < bytes; i++)
		snprintf(text + i * 3, 4, " %02x", code[i]);
	log_error("  code at rip:%s", text);
}

void arch_vcpu_dump(int vcpu_fd, uint32_t index, const struct gmem *mem)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &regs) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return;
	log_error("registers of vCPU %" PRIu32 ":", index);
#define HEX16 "%016" PRIx64
	log_error("  rip " HEX16 "  rsp " HEX16 "  rbp " HEX16 "  rflags " HEX16, (uint64_t)regs.rip,
		  (uint64_t)regs.rsp, (uint64_t)regs.rbp, (uint64_t)regs.rflags);
	log_error("  rax " HEX16 "  rbx " HEX16 "  rcx " HEX16 "  rdx " HEX16, (uint64_t)regs.rax, (uint64_t)regs.rbx,
		  (uint64_t)regs.rcx, (uint64_t)regs.rdx);
	log_error("  rsi " HEX16 "  rdi " HEX16 "  r8  " HEX16 "  r9  " HEX16, (uint64_t)regs.rsi, (uint64_t)regs.rdi,
		  (uint64_t)regs.r8, (uint64_t)regs.r9);
	log_error("  r10 " HEX16 "  r11 " HEX16 "  r12 " HEX16 "  r13 " HEX16, (uint64_t)regs.r10, (uint64_t)regs.r11,
		  (uint64_t)regs.r12, (uint64_t)regs.r13);
	log_error("  r14 " HEX16 "  r15 " HEX16, (uint64_t)regs.r14, (uint64_t)regs.r15);
	log_error("  cr0 " HEX16 "  cr2 " HEX16 "  cr3 " HEX16 "  cr4 " HEX16, (uint64_t)sregs.cr0, (uint64_t)sregs.cr2,
		  (uint64_t)sregs.cr3, (uint64_t)sregs.cr4);
	log_error("  efer " HEX16 "  cs %04x  ss %04x  ds %04x  es %04x", (uint64_t)sregs.efer, sregs.cs.selector,
		  sregs.ss.selector, sregs.ds.selector, sregs.es.selector);
#undef HEX16
	if (regs.rip == RESET_IP && sregs.cs.selector == RESET_CS) {
		log_error(
		    "  these are the values after a reset: on AMD processors a triple fault does not leave others");
		return;
	}
	dump_code(vcpu_fd, regs.rip, mem);
}
