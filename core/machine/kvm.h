/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host's KVM: opening it, checking what it can do, and the VM's own file descriptor with its interrupt controllers.
 * Main thread, but for kvm_ioeventfd.
 */
#ifndef MACHINE_KVM_H
#define MACHINE_KVM_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm {
	int fd;           /* /dev/kvm */
	int vm_fd;        /* -1 until kvm_create_vm() */
	size_t run_bytes; /* of each vCPU's shared page */
	uint32_t vcpus_max;
	uint32_t slots_max;
};

/* Opens /dev/kvm and checks version and capabilities, by name. -ENOENT, -EACCES and the like come with what to do. */
int kvm_open(struct kvm *kvm, struct err *err);

/* The same without a look at the capabilities, for whoever wants to know about each of them. */
int kvm_open_any(struct kvm *kvm, struct err *err);

/* Calls fn for each capability that kvm_open() asks for, with its value, 0 if this KVM lacks it. */
void kvm_each_needed(const struct kvm *kvm, void (*fn)(const char *name, int value, void *arg), void *arg);

/* Makes the VM with in-kernel interrupt controllers and no PIT. */
int kvm_create_vm(struct kvm *kvm, struct err *err);

/* Closes what is open; the struct may be zeroed by KVM_CLOSED before. */
void kvm_close(struct kvm *kvm);
#define KVM_CLOSED                    \
	{                             \
		.fd = -1, .vm_fd = -1 \
	}

/* Maps `bytes` of host memory at `gpa`. */
int kvm_set_memory(struct kvm *kvm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *host, struct err *err);

/* An eventfd whose signal is an edge on interrupt line `gsi`. The fd, owned by the caller, or -errno. */
int kvm_irq_fd(struct kvm *kvm, uint32_t gsi, struct err *err);

/* Adds or removes an eventfd that a write to memory address `gpa` signals instead of leaving the guest: of `bytes`, or of any
 * length if that is 0, which without KVM_CAP_IOEVENTFD_ANY_LENGTH means 4; of any value, or of *match. Any thread, but once
 * the vCPUs exist: it waits until all of them have seen the change. */
int kvm_ioeventfd(struct kvm *kvm, uint64_t gpa, uint32_t bytes, const uint64_t *match, int fd, bool add,
		  struct err *err);

/* The value of a capability, 0 if there is none. */
int kvm_capability(const struct kvm *kvm, int capability);

#endif
