/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine without devices; see machine.h. */
#include "core/machine/machine.h"

#include "core/base/fd.h"
#include "core/base/log.h"
#include "core/machine/acpi/acpi.h"
#include "core/machine/arch/x86_64/arch.h"
#include "core/machine/arch/x86_64/reset_stub.h"
#include "core/machine/kvm.h"
#include "core/machine/layout.h"
#include "core/machine/memory.h"
#include "core/machine/power.h"
#include "core/machine/vcpu.h"

#include <backplane/device.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(RESET_STUB_BASE == LAYOUT_RESET && RESET_STUB_BASE + RESET_STUB_BYTES == LAYOUT_HIGH_START &&
		   LAYOUT_ACPI + LAYOUT_ACPI_MAX == LAYOUT_RESET,
	       "where the reset stub lies");
_Static_assert(RESET_STUB_REGISTER == LAYOUT_POWER + POWER_RESET && RESET_STUB_VALUE == POWER_RESET_VALUE,
	       "what the reset stub does");

/* reset_stub.S: RESET_STUB_BYTES */
extern const uint8_t reset_stub[];

/* An eventfd that raises an interrupt line; what a device has is a duplicate. */
struct irq_line {
	uint32_t gsi;
	int fd;
};

struct machine {
	struct machine_spec spec;
	struct kvm kvm;
	struct bus *bus; /* borrowed */
	struct memory memory;
	_Atomic(int) end; /* enum machine_end */
	int end_fd;
	int button_fd;
	bool power_claimed;
	size_t irq_count;
	struct irq_line *irqs;
	uint32_t vcpu_count;
	struct vcpu *vcpus; /* aligned for their bus readers */
};

/* What is reserved never gets here: the processor and KVM answer before the bus is asked. */
static int reserved_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	(void)ctx;
	(void)cookie;
	(void)offset;
	(void)width;
	if (!write)
		*value = UINT64_MAX;
	return 0;
}

static struct memory_spec memory_of(const struct machine_spec *spec)
{
	return (struct memory_spec){
		.bytes = spec->memory_bytes,
		.hugepages = spec->hugepages,
		.prefault = spec->prefault,
	};
}

int machine_check(const struct machine_spec *spec, struct err *err)
{
	const struct memory_spec memory = memory_of(spec);

	return memory_check(&memory, err);
}

int machine_check_hugepages(const struct machine_spec *spec, struct err *err)
{
	const struct memory_spec memory = memory_of(spec);

	return memory_check_hugepages(&memory, err);
}

/* The tables for a machine of that many vCPUs; the caller frees their data. */
static int make_tables(struct firmware *firmware, uint32_t vcpus, struct acpi_image *ret, struct err *err)
{
	firmware->vcpus = vcpus;
	firmware->lapic_address = LAYOUT_LAPIC;
	firmware->ioapic_address = LAYOUT_IOAPIC;
	firmware->power_address = LAYOUT_POWER;
	firmware->button_gsi = LAYOUT_BUTTON_GSI;
	return acpi_build(firmware, LAYOUT_ACPI, LAYOUT_ACPI_MAX, ret, err);
}

int machine_check_firmware(const struct machine_spec *spec, struct firmware *firmware, struct err *err)
{
	struct acpi_image tables = { 0 };
	int r = make_tables(firmware, spec->vcpus, &tables, err);

	free(tables.data);
	return r;
}

uint64_t machine_low_ram(const struct machine_spec *spec)
{
	return memory_low_bytes(spec->memory_bytes);
}

int machine_reserve(const struct machine_spec *spec, struct bus *bus, struct err *err)
{
	uint64_t low = memory_low_bytes(spec->memory_bytes);
	const struct bus_claim reserved[] = {
		{ .base = 0, .length = low, .owner = "memory" },
		{ .base = LAYOUT_POWER, .length = POWER_BYTES, .owner = "power" },
		{ .base = LAYOUT_IOAPIC, .length = 0x1000, .owner = "I/O APIC" },
		{ .base = LAYOUT_LAPIC, .length = 0x1000, .owner = "local APIC" },
		{ .base = LAYOUT_IDENTITY, .length = 0x4000, .owner = "KVM" },
		{ .base = LAYOUT_HIGH_RAM, .length = spec->memory_bytes - low, .owner = "memory" },
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		struct bus_claim claim = reserved[i];
		int r;

		if (!claim.length)
			continue;
		claim.space = BP_MMIO;
		claim.widths = BP_W8;
		claim.access = reserved_access;
		r = bus_insert(bus, &claim, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int power_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	struct machine *machine = ctx;

	(void)cookie;
	(void)width;
	if (!write) {
		*value = 0;
		return 0;
	}
	if (offset == POWER_SLEEP_CONTROL && (*value & POWER_SLP_EN) &&
	    (*value & POWER_SLP_TYP_MASK) >> POWER_SLP_TYP_SHIFT == POWER_SLP_TYP_S5)
		machine_end(machine, MACHINE_POWEROFF);
	else if (offset == POWER_RESET && *value == POWER_RESET_VALUE)
		machine_end(machine, MACHINE_RESET);
	return 0;
}

/* The array is made once, since bus readers stay in place. */
static int make_vcpus(struct machine *machine, struct err *err)
{
	uint32_t count = machine->spec.vcpus;
	size_t bytes = count * sizeof(struct vcpu);

	if (count > machine->kvm.vcpus_max)
		return err_set(err, -EINVAL, "%" PRIu32 " vCPUs are more than this host's KVM allows (%" PRIu32 ")",
			       count, machine->kvm.vcpus_max);
	if (!machine->vcpus)
		machine->vcpus = aligned_alloc(_Alignof(struct vcpu), bytes);
	if (!machine->vcpus)
		return err_sys(err, -ENOMEM, "vCPUs");
	memset(machine->vcpus, 0, bytes);
	for (uint32_t i = 0; i < count; i++) {
		int r = vcpu_init(&machine->vcpus[i], machine, &machine->kvm, machine->bus, i, err);

		if (r < 0)
			return r;
		machine->vcpu_count++;
		machine->vcpus[i].quiet = machine->spec.quiet;
		r = arch_vcpu_setup(&machine->kvm, machine->vcpus[i].fd, i, count, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void destroy_vcpus(struct machine *machine)
{
	while (machine->vcpu_count)
		vcpu_destroy(&machine->vcpus[--machine->vcpu_count]);
}

/* KVM's part, around memory that exists: the VM, its memory, its vCPUs, its interrupt lines. */
static int make_vm(struct machine *machine, struct err *err)
{
	int r = kvm_create_vm(&machine->kvm, err);

	if (r == 0)
		r = memory_attach(&machine->memory, &machine->kvm, err);
	if (r == 0)
		r = make_vcpus(machine, err);
	for (size_t i = 0; r == 0 && i < machine->irq_count; i++)
		r = kvm_irq_attach(&machine->kvm, machine->irqs[i].gsi, machine->irqs[i].fd, err);
	return r;
}

int machine_new(const struct machine_spec *spec, struct bus *bus, struct machine **ret, struct err *err)
{
	struct machine *machine = calloc(1, sizeof(*machine));
	struct bus_claim power = {
		.space = BP_MMIO,
		.widths = BP_W8,
		.base = LAYOUT_POWER,
		.length = POWER_BYTES,
		.access = power_access,
		.ctx = machine,
		.owner = "power",
	};
	const struct memory_spec memory = memory_of(spec);
	int r;

	if (!machine)
		return err_sys(err, -ENOMEM, "machine");
	machine->spec = *spec;
	machine->kvm = (struct kvm)KVM_CLOSED;
	machine->bus = bus;
	machine->button_fd = -1;
	machine->end_fd = fd_event();
	if (machine->end_fd < 0) {
		r = err_sys(err, machine->end_fd, "eventfd");
		goto fail;
	}
	r = kvm_open(&machine->kvm, err);
	if (r < 0)
		goto fail;
	r = memory_create(&machine->memory, &memory, err);
	if (r < 0)
		goto fail;
	r = make_vm(machine, err);
	if (r < 0)
		goto fail;
	machine->button_fd = machine_irq_fd(machine, LAYOUT_BUTTON_GSI, err);
	if (machine->button_fd < 0) {
		r = machine->button_fd;
		goto fail;
	}
	/* What was reserved under that name is now answered. */
	bus_remove(bus, BP_MMIO, LAYOUT_POWER);
	r = bus_insert(bus, &power, err);
	if (r < 0)
		goto fail;
	machine->power_claimed = true;
	*ret = machine;
	return 0;
fail:
	machine_free(machine);
	return r;
}

void machine_free(struct machine *machine)
{
	if (!machine)
		return;
	machine_stop(machine);
	if (machine->power_claimed)
		bus_remove(machine->bus, BP_MMIO, LAYOUT_POWER);
	destroy_vcpus(machine);
	free(machine->vcpus);
	fd_close(machine->button_fd);
	for (size_t i = 0; i < machine->irq_count; i++)
		close(machine->irqs[i].fd);
	free(machine->irqs);
	memory_destroy(&machine->memory);
	kvm_close(&machine->kvm);
	fd_close(machine->end_fd);
	free(machine);
}

const struct gmem *machine_mem(const struct machine *machine)
{
	return &machine->memory.map;
}

size_t machine_regions(const struct machine *machine, struct machine_region ret[static GMEM_REGIONS_MAX])
{
	const struct memory *memory = &machine->memory;

	for (size_t i = 0; i < memory->map.count; i++)
		ret[i] = (struct machine_region){
			.gpa = memory->map.regions[i].gpa,
			.bytes = memory->map.regions[i].bytes,
			.fd = memory->fds[i],
		};
	return memory->map.count;
}

int machine_irq_fd(struct machine *machine, uint32_t gsi, struct err *err)
{
	struct irq_line *irqs = realloc(machine->irqs, (machine->irq_count + 1) * sizeof(*irqs));
	FD_AUTO int kept = fd_event();
	FD_AUTO int fd = -1;
	int r;

	if (!irqs)
		return err_sys(err, -ENOMEM, "interrupt lines");
	machine->irqs = irqs;
	if (kept < 0)
		return err_sys(err, kept, "eventfd");
	fd = fcntl(kept, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, -errno, "eventfd");
	r = kvm_irq_attach(&machine->kvm, gsi, kept, err);
	if (r < 0)
		return r;
	irqs[machine->irq_count++] = (struct irq_line){ .gsi = gsi, .fd = fd_take(&kept) };
	return fd_take(&fd);
}

int machine_ioeventfd(void *machine_ptr, const struct machine_ioeventfd *event, bool add, struct err *err)
{
	struct machine *machine = machine_ptr;

	return kvm_ioeventfd(&machine->kvm, event->gpa, event->bytes, event->match ? &event->value : NULL, event->fd,
			     add, err);
}

/* The memory map that the kernel is told: RAM, less what lies between 640 KiB and 1 MiB, where the tables are. */
static void describe_memory(const struct machine *machine, struct boot_machine *boot)
{
	const struct gmem *mem = &machine->memory.map;

	boot->map[0] = (struct boot_map_entry){ 0, LAYOUT_LOW_END, BOOT_MAP_RAM };
	boot->map[1] = (struct boot_map_entry){ LAYOUT_LOW_END, LAYOUT_ACPI - LAYOUT_LOW_END, BOOT_MAP_RESERVED };
	boot->map[2] = (struct boot_map_entry){ LAYOUT_ACPI, LAYOUT_ACPI_MAX, BOOT_MAP_ACPI };
	boot->map[3] = (struct boot_map_entry){ LAYOUT_RESET, LAYOUT_HIGH_START - LAYOUT_RESET, BOOT_MAP_RESERVED };
	boot->map[4] =
	    (struct boot_map_entry){ LAYOUT_HIGH_START, mem->regions[0].bytes - LAYOUT_HIGH_START, BOOT_MAP_RAM };
	boot->map_count = 5;
	for (size_t i = 1; i < mem->count; i++)
		boot->map[boot->map_count++] =
		    (struct boot_map_entry){ mem->regions[i].gpa, mem->regions[i].bytes, BOOT_MAP_RAM };
}

int machine_boot(struct machine *machine, struct boot_image *image, struct firmware *firmware, struct err *err)
{
	struct boot_machine boot = { .mem = &machine->memory.map, .rsdp_gpa = LAYOUT_ACPI };
	struct acpi_image tables = { 0 };
	struct boot_entry entry;
	int r;

	r = make_tables(firmware, machine->vcpu_count, &tables, err);
	if (r < 0)
		return r;
	r = gmem_write(&machine->memory.map, LAYOUT_ACPI, tables.data, tables.bytes);
	free(tables.data);
	if (r < 0)
		return err_sys(err, r, "ACPI tables");
	r = gmem_write(&machine->memory.map, LAYOUT_RESET, reset_stub, RESET_STUB_BYTES);
	if (r < 0)
		return err_sys(err, r, "reset vector");
	describe_memory(machine, &boot);
	r = boot_place(image, &boot, &entry, err);
	if (r < 0)
		return r;
	return arch_vcpu_boot(machine->vcpus[0].fd, &entry, err);
}

int machine_boot_code(struct machine *machine, const void *code, size_t bytes, uint64_t gpa, struct err *err)
{
	struct boot_entry entry;
	int r = boot_place_code(&machine->memory.map, gpa, code, bytes, &entry, err);

	return r < 0 ? r : arch_vcpu_boot(machine->vcpus[0].fd, &entry, err);
}

int machine_start(struct machine *machine, struct err *err)
{
	int r = vcpu_signal_setup(err);

	for (uint32_t i = 0; r == 0 && i < machine->vcpu_count; i++)
		r = vcpu_start(&machine->vcpus[i], err);
	if (r < 0)
		machine_stop(machine);
	return r;
}

void machine_end(struct machine *machine, enum machine_end reason)
{
	int running = MACHINE_RUNNING;

	if (atomic_compare_exchange_strong(&machine->end, &running, (int)reason))
		fd_event_signal(machine->end_fd);
}

int machine_end_fd(const struct machine *machine)
{
	return machine->end_fd;
}

enum machine_end machine_end_reason(const struct machine *machine)
{
	return (enum machine_end)atomic_load_explicit(&machine->end, memory_order_acquire);
}

void machine_stop(struct machine *machine)
{
	uint64_t exits, unclaimed;
	bool ran = false;

	machine_end(machine, MACHINE_REQUESTED);
	for (uint32_t i = 0; i < machine->vcpu_count; i++)
		vcpu_kick(&machine->vcpus[i]);
	for (uint32_t i = 0; i < machine->vcpu_count; i++) {
		ran |= machine->vcpus[i].started;
		vcpu_join(&machine->vcpus[i]);
	}
	machine_counts(machine, &exits, &unclaimed);
	if (ran)
		log_info("the guest made %" PRIu64 " exits to user space, and %" PRIu64
			 " accesses that nobody answered",
			 exits, unclaimed);
}

void machine_press_button(struct machine *machine)
{
	fd_event_signal(machine->button_fd);
}

int machine_restart(struct machine *machine, struct err *err)
{
	int r;

	destroy_vcpus(machine);
	/* Ends the connections between the interrupts' eventfds and the old VM; what waits in one of them is the old guest's. */
	kvm_close_vm(&machine->kvm);
	for (size_t i = 0; i < machine->irq_count; i++)
		fd_event_clear(machine->irqs[i].fd);
	r = memory_clear(&machine->memory, err);
	if (r == 0)
		r = make_vm(machine, err);
	if (r < 0)
		return r;
	fd_event_clear(machine->end_fd);
	atomic_store_explicit(&machine->end, MACHINE_RUNNING, memory_order_release);
	return 0;
}

void machine_counts(const struct machine *machine, uint64_t *ret_exits, uint64_t *ret_unclaimed)
{
	uint64_t exits = 0, unclaimed = 0;

	for (uint32_t i = 0; i < machine->vcpu_count; i++) {
		exits += __atomic_load_n(&machine->vcpus[i].exits, __ATOMIC_RELAXED);
		unclaimed += __atomic_load_n(&machine->vcpus[i].reader.unclaimed, __ATOMIC_RELAXED);
	}
	*ret_exits = exits;
	*ret_unclaimed = unclaimed;
}

const char *machine_crash_text(const struct machine *machine)
{
	for (uint32_t i = 0; i < machine->vcpu_count; i++)
		if (machine->vcpus[i].crash[0])
			return machine->vcpus[i].crash;
	return "";
}
