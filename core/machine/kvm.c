/* SPDX-License-Identifier: BSD-3-Clause */
/* The host's KVM; see kvm.h. */
#include "core/machine/kvm.h"

#include "core/base/fd.h"
#include "core/machine/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#define KVM_DEVICE           "/dev/kvm"
#define KVM_API_VERSION_WANT 12 /* the only one since 2007 */

struct capability {
	int number;
	const char *name;
};

/* Everything that the machine is built on; there is no second way for any of them. */
static const struct capability needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
#if defined(__x86_64__)
	{ KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
	{ KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER" },
#endif
};

int kvm_capability(const struct kvm *kvm, int capability)
{
	int r = ioctl(kvm->fd, KVM_CHECK_EXTENSION, capability);

	return r < 0 ? 0 : r;
}

static int open_device(struct err *err)
{
	int fd = open(KVM_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
		return err_set(err, -ENOENT,
			       KVM_DEVICE " does not exist: load the kernel's module kvm_intel or kvm_amd, and switch "
					  "virtualization on in the machine's firmware (or in the VM around this one)");
	case EACCES:
	case EPERM:
		return err_set(err, -EACCES,
			       "no permission to open " KVM_DEVICE ": add the user to its group (usually "
			       "`usermod -aG kvm USER`, then log in again)");
	case ENXIO:
	case ENODEV:
		return err_set(err, -ENODEV,
			       KVM_DEVICE " has no driver behind it: this processor offers no virtualization "
					  "or it is switched off in the firmware");
	default:
		return err_sys(err, -errno, "cannot open " KVM_DEVICE);
	}
}

int kvm_open_any(struct kvm *kvm, struct err *err)
{
	int r;

	memset(kvm, 0, sizeof(*kvm));
	kvm->vm_fd = -1;
	kvm->fd = open_device(err);
	if (kvm->fd < 0)
		return kvm->fd;
	r = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (r < 0) {
		r = err_sys(err, -errno, KVM_DEVICE " is not KVM");
		goto fail;
	}
	if (r != KVM_API_VERSION_WANT) {
		r = err_set(err, -ENODEV, KVM_DEVICE " speaks KVM API version %d, not %d", r, KVM_API_VERSION_WANT);
		goto fail;
	}
	r = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (r < (int)sizeof(struct kvm_run)) {
		r = err_set(err, -ENODEV, "this host's KVM reports a vCPU page of %d bytes", r);
		goto fail;
	}
	kvm->run_bytes = (size_t)r;
	r = kvm_capability(kvm, KVM_CAP_MAX_VCPUS);
	kvm->vcpus_max = r > 0 ? (uint32_t)r : 4;
	r = kvm_capability(kvm, KVM_CAP_NR_MEMSLOTS);
	kvm->slots_max = r > 0 ? (uint32_t)r : 32;
	return 0;
fail:
	kvm_close(kvm);
	return r;
}

int kvm_open(struct kvm *kvm, struct err *err)
{
	int r = kvm_open_any(kvm, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!kvm_capability(kvm, needed[i].number)) {
			kvm_close(kvm);
			return err_set(err, -ENODEV, "this host's KVM lacks %s", needed[i].name);
		}
	return 0;
}

void kvm_each_needed(const struct kvm *kvm, void (*fn)(const char *name, int value, void *arg), void *arg)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		fn(needed[i].name, kvm_capability(kvm, needed[i].number), arg);
}

#if defined(__x86_64__)
/* struct kvm_irq_routing with an entry for each line. */
struct routing {
	uint32_t nr;
	uint32_t flags;
	struct kvm_irq_routing_entry entries[KVM_IOAPIC_NUM_PINS];
};
_Static_assert(offsetof(struct routing, entries) == sizeof(struct kvm_irq_routing), "layout of struct kvm_irq_routing");

/*
 * Lines go to the I/O APIC only. KVM's own table has the first 16 go to its 8259 as well, which the firmware tables say is
 * not there: nobody would mask it, and while the first CPU's LINT0 is as reset leaves it (open to the 8259), each edge would
 * come a second time, as the exception whose number the line has.
 */
static int route_lines(const struct kvm *kvm, struct err *err)
{
	struct routing table = { .nr = KVM_IOAPIC_NUM_PINS };

	for (uint32_t i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		table.entries[i] = (struct kvm_irq_routing_entry){
			.gsi = i,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = i },
		};
	if (ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, &table) < 0)
		return err_sys(err, -errno, "KVM_SET_GSI_ROUTING");
	return 0;
}
#endif

int kvm_create_vm(struct kvm *kvm, struct err *err)
{
	int r;

	do
		kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	while (kvm->vm_fd < 0 && errno == EINTR);
	if (kvm->vm_fd < 0 && errno == EBUSY)
		return err_set(err, -EBUSY,
			       "another hypervisor on this host has taken the processor's virtualization: end it");
	if (kvm->vm_fd < 0)
		return err_sys(err, -errno, "KVM_CREATE_VM");
#if defined(__x86_64__)
	{
		uint64_t identity = LAYOUT_IDENTITY;

		/* Intel's processors without unrestricted guests run real-mode code with these pages' help. */
		r = ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
		if (r < 0)
			return err_sys(err, -errno, "KVM_SET_IDENTITY_MAP_ADDR");
		r = ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, LAYOUT_TSS);
		if (r < 0)
			return err_sys(err, -errno, "KVM_SET_TSS_ADDR");
	}
#endif
	r = ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0);
	if (r < 0)
		return err_sys(err, -errno, "KVM_CREATE_IRQCHIP");
#if defined(__x86_64__)
	r = route_lines(kvm, err);
	if (r < 0)
		return r;
#endif
	return 0;
}

void kvm_close(struct kvm *kvm)
{
	fd_close(kvm->vm_fd);
	fd_close(kvm->fd);
	kvm->vm_fd = -1;
	kvm->fd = -1;
}

int kvm_set_memory(struct kvm *kvm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *host, struct err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};

	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return err_sys(err, -errno, "KVM_SET_USER_MEMORY_REGION");
	return 0;
}

int kvm_irq_fd(struct kvm *kvm, uint32_t gsi, struct err *err)
{
	FD_AUTO int fd = fd_event();
	struct kvm_irqfd irqfd = { .gsi = gsi };

	if (fd < 0)
		return err_sys(err, fd, "eventfd");
	irqfd.fd = (uint32_t)fd;
	if (ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) < 0)
		return err_sys(err, -errno, "KVM_IRQFD for line %u", gsi);
	return fd_take(&fd);
}

int kvm_ioeventfd(struct kvm *kvm, uint64_t gpa, uint32_t bytes, const uint64_t *match, int fd, bool add,
		  struct err *err)
{
	struct kvm_ioeventfd event = {
		.addr = gpa,
		.len = bytes,
		.fd = fd,
		.flags = add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	if (!bytes && !kvm_capability(kvm, KVM_CAP_IOEVENTFD_ANY_LENGTH))
		event.len = 4;
	if (match) {
		event.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
		event.datamatch = *match;
	}
	if (ioctl(kvm->vm_fd, KVM_IOEVENTFD, &event) < 0)
		return err_sys(err, -errno, "KVM_IOEVENTFD at 0x%" PRIx64, gpa);
	return 0;
}
