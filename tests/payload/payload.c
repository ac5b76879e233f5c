/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The payload: a kernel of a few hundred instructions that tests run on the machine; see payload.h for what it can do.
 * Freestanding, general registers only, identity-mapped, interrupts off unless it waits for one. Slow KVMs interpret it, so
 * it does no more than it has to.
 */
#include "tests/payload/payload.h"

#include "core/machine/layout.h"
#include "core/machine/power.h"

#include <stdbool.h>
#include <stddef.h>

/* start.S */
extern const uint8_t trampoline[], trampoline_end[], trampoline_gdt[], trampoline_table[], trampoline_cr3[];
extern const uint8_t interrupt_stubs[];

void payload_main(const uint8_t *boot_params);
void payload_cpu(void);
void payload_interrupt(uint64_t vector);

#define BOOT_PARAMS_CMDLINE 0x228 /* cmd_line_ptr, 32 bits */
#define TRAMPOLINE          0x40000u
#define UART                0x3f8
#define IOAPIC_WINDOW       (LAYOUT_IOAPIC + 0x10)
#define IOAPIC_LINE         (0x10 + 2 * LAYOUT_BUTTON_GSI)

#define MSR_APIC_BASE       0x1bu
#define APIC_BASE_X2APIC    (1u << 10)
#define APIC_BASE_ENABLE    (1u << 11)
#define APIC_ID             0x20u
#define APIC_EOI            0xb0u
#define APIC_SPURIOUS       0xf0u
#define APIC_ICR            0x300u
#define APIC_ICR_HIGH       0x310u
#define APIC_MSR            0x800u /* + register / 16 */
#define SPURIOUS_VECTOR     0xffu
#define SPURIOUS_ENABLE     0x100u
#define ICR_INIT            0xc4500u /* to all but this CPU, edge, assert */
#define ICR_STARTUP         0xc4600u
#define ICR_PENDING         0x1000u

#define PAGE_PRESENT_WRITE  3u
#define PAGE_LARGE          0x80u
#define PAGE_ENTRIES        512
#define LARGE_PAGE          UINT64_C(0x200000)

#define SELECTOR_CODE       0x10
#define NOWHERE             (UINT64_C(1) << 39) /* an address that no page table has */

enum what { DO_REPORT, DO_CPUID, DO_SPIN, DO_HALT };

struct gate {
	uint16_t offset_low;
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t offset_middle;
	uint32_t offset_high;
	uint32_t reserved;
};

static struct gate gates[256];
static uint64_t high_directory[PAGE_ENTRIES] __attribute__((aligned(4096)));
static volatile struct payload_shared *const shared = (volatile struct payload_shared *)(uintptr_t)PAYLOAD_SHARED;
static volatile uint64_t interrupts; /* all that have come */
static volatile uint32_t cpus_done;
static bool x2apic;
static enum what what;

/* ---- instructions ---- */

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static void out32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint16_t in16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static uint32_t in32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static void cpuid(uint32_t leaf, uint32_t subleaf, volatile uint32_t out[4])
{
	uint32_t a = leaf, b, c = subleaf, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	out[0] = a;
	out[1] = b;
	out[2] = c;
	out[3] = d;
}

static uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr3, %0" : "=r"(value));
	return value;
}

/* Memory, whatever is behind it, with exactly one access of the width. */
static uint64_t load(uint64_t address, uint32_t width)
{
	uint64_t value = 0;

	switch (width) {
	case 1:
		__asm__ volatile("movb (%1), %b0" : "+r"(value) : "r"(address) : "memory");
		break;
	case 2:
		__asm__ volatile("movw (%1), %w0" : "+r"(value) : "r"(address) : "memory");
		break;
	case 4:
		__asm__ volatile("movl (%1), %k0" : "+r"(value) : "r"(address) : "memory");
		break;
	default:
		__asm__ volatile("movq (%1), %0" : "+r"(value) : "r"(address) : "memory");
		break;
	}
	return value;
}

static void store(uint64_t address, uint32_t width, uint64_t value)
{
	switch (width) {
	case 1:
		__asm__ volatile("movb %b0, (%1)" : : "r"(value), "r"(address) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %w0, (%1)" : : "r"(value), "r"(address) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %k0, (%1)" : : "r"(value), "r"(address) : "memory");
		break;
	default:
		__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
		break;
	}
}

/* ---- endings and reports ---- */

static void report(uint32_t value)
{
	out32(PAYLOAD_REPORT, value);
}

static void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

static void power_off(void)
{
	store(LAYOUT_POWER + POWER_SLEEP_CONTROL, 1, POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT);
	halt();
}

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing;

	__asm__ volatile("lidt %0" : : "m"(nothing));
	load(NOWHERE, 1);
}

/* ---- local APIC and interrupts ---- */

static void apic_write(uint32_t reg, uint64_t value)
{
	if (x2apic)
		wrmsr(APIC_MSR + reg / 16, value);
	else
		store(LAYOUT_LAPIC + reg, 4, value);
}

static uint32_t apic_id(void)
{
	return x2apic ? (uint32_t)rdmsr(APIC_MSR + APIC_ID / 16) : (uint32_t)load(LAYOUT_LAPIC + APIC_ID, 4) >> 24;
}

static void apic_enable(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE | (x2apic ? APIC_BASE_X2APIC : 0));
}

static void ipi(uint32_t command)
{
	if (x2apic) {
		wrmsr(APIC_MSR + APIC_ICR / 16, command);
		return;
	}
	store(LAYOUT_LAPIC + APIC_ICR_HIGH, 4, 0);
	store(LAYOUT_LAPIC + APIC_ICR, 4, command);
	while (load(LAYOUT_LAPIC + APIC_ICR, 4) & ICR_PENDING)
		;
}

void payload_interrupt(uint64_t vector)
{
	if (vector < 32) {
		report(PAYLOAD_SAYS_FAULT + (uint32_t)vector);
		power_off();
	}
	shared->interrupts[vector]++;
	interrupts++;
	apic_write(APIC_EOI, 0);
	report(PAYLOAD_SAYS_IRQ + (uint32_t)vector);
}

static void interrupts_enable(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { .limit = sizeof(gates) - 1, .base = (uintptr_t)gates };

	for (uintptr_t i = 0; i < 256; i++) {
		uintptr_t stub = (uintptr_t)interrupt_stubs + i * 16;

		gates[i].offset_low = (uint16_t)stub;
		gates[i].offset_middle = (uint16_t)(stub >> 16);
		gates[i].selector = SELECTOR_CODE;
		gates[i].type = 0x8e;
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
	apic_enable();
	apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | SPURIOUS_VECTOR);
}

/* One after `sti` is taken before the instruction that follows, so none is slept over. */
static void wait_interrupts(uint64_t count)
{
	while (interrupts < count)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

/* ---- several CPUs ---- */

static void tell_cpuid(void)
{
	uint32_t id = apic_id(), leaf[4];
	volatile struct payload_cpuid *own = &shared->cpuid[id % PAYLOAD_CPUS_MAX];

	own->apic_id = id;
	cpuid(0, 0, leaf);
	own->last_leaf = leaf[0];
	own->vendor_amd = leaf[1] == 0x68747541; /* "Auth" */
	cpuid(0x80000000, 0, leaf);
	own->last_amd_leaf = leaf[0];
	cpuid(1, 0, own->features);
	if (own->last_leaf >= 0xb)
		for (uint32_t i = 0; i < 3; i++)
			cpuid(0xb, i, own->topology[i]);
	if (own->last_amd_leaf >= 0x80000008)
		cpuid(0x80000008, 0, own->sizes);
	if (own->last_amd_leaf >= 0x8000001e)
		cpuid(0x8000001e, 0, own->amd_topology);
	own->present++;
}

/* What each CPU does, the first one last. */
void payload_cpu(void)
{
	apic_enable();
	switch (what) {
	case DO_REPORT:
		report(PAYLOAD_SAYS_CPU + apic_id());
		break;
	case DO_CPUID:
		tell_cpuid();
		break;
	default:
		break;
	}
	__atomic_fetch_add(&cpus_done, 1, __ATOMIC_SEQ_CST);
	if (what == DO_SPIN)
		spin();
}

static void start_cpus(uint32_t count)
{
	uint8_t *page = (uint8_t *)(uintptr_t)TRAMPOLINE;

	apic_enable();
	for (size_t i = 0; i < (size_t)(trampoline_end - trampoline); i++)
		page[i] = trampoline[i];
	*(uint32_t *)(page + (trampoline_gdt - trampoline)) = TRAMPOLINE + (uint32_t)(trampoline_table - trampoline);
	*(uint32_t *)(page + (trampoline_cr3 - trampoline)) = (uint32_t)read_cr3();
	if (count > 1) {
		ipi(ICR_INIT);
		ipi(ICR_STARTUP | TRAMPOLINE >> 12);
	}
	while (cpus_done < count - 1)
		__asm__ volatile("pause");
}

/* Another CPU jumps in real mode to where a processor begins after a reset. */
static void jump_to_reset_vector(void)
{
	static const uint8_t jump[] = { 0xea, 0xf0, 0xff, 0x00, 0xf0 }; /* ljmpw $0xf000, $0xfff0 */
	volatile uint8_t *page = (volatile uint8_t *)(uintptr_t)TRAMPOLINE;

	apic_enable();
	for (size_t i = 0; i < sizeof(jump); i++)
		page[i] = jump[i];
	ipi(ICR_INIT);
	ipi(ICR_STARTUP | TRAMPOLINE >> 12);
	halt();
}

/* ---- cases ---- */

/* 4 to 5 GiB, to itself. */
static void map_high(void)
{
	uint64_t *pml4 = (uint64_t *)(uintptr_t)(read_cr3() & ~(uint64_t)0xfff);
	uint64_t *pdpt = (uint64_t *)(uintptr_t)(pml4[0] & ~(uint64_t)0xfff);

	for (uint64_t i = 0; i < PAGE_ENTRIES; i++)
		high_directory[i] = (LAYOUT_HIGH_RAM + i * LARGE_PAGE) | PAGE_LARGE | PAGE_PRESENT_WRITE;
	pdpt[4] = (uintptr_t)high_directory | PAGE_PRESENT_WRITE;
}

static uint64_t in(uint16_t port, uint32_t width)
{
	return width == 1 ? in8(port) : width == 2 ? in16(port) : in32(port);
}

static void out(uint16_t port, uint32_t width, uint64_t value)
{
	if (width == 1)
		out8(port, (uint8_t)value);
	else if (width == 2)
		out16(port, (uint16_t)value);
	else
		out32(port, (uint32_t)value);
}

static void ins(const volatile struct payload_op *op)
{
	uint64_t to = PAYLOAD_BUFFER + op->value, count = op->count;
	uint16_t port = (uint16_t)op->address;

	if (op->backward)
		__asm__ volatile("std" : : : "cc");
	if (op->width == 1)
		__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
	else if (op->width == 2)
		__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory");
	else
		__asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
	__asm__ volatile("cld" : : : "cc");
}

static void outs(const volatile struct payload_op *op)
{
	uint64_t from = PAYLOAD_BUFFER + op->value, count = op->count;
	uint16_t port = (uint16_t)op->address;

	if (op->backward)
		__asm__ volatile("std" : : : "cc");
	if (op->width == 1)
		__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	else if (op->width == 2)
		__asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	else
		__asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"(port) : "memory");
	__asm__ volatile("cld" : : : "cc");
}

static void run_script(void)
{
	bool high = false, ready = false;

	for (unsigned int i = 0; i < PAYLOAD_OPS_MAX && shared->ops[i].kind != PAYLOAD_OP_END; i++) {
		volatile struct payload_op *op = &shared->ops[i];

		if (op->address >= LAYOUT_HIGH_RAM && !high) {
			map_high();
			high = true;
		}
		switch (op->kind) {
		case PAYLOAD_OP_READ:
			op->value = load(op->address, op->width);
			break;
		case PAYLOAD_OP_WRITE:
			store(op->address, op->width, op->value);
			break;
		case PAYLOAD_OP_IN:
			op->value = in((uint16_t)op->address, op->width);
			break;
		case PAYLOAD_OP_OUT:
			out((uint16_t)op->address, op->width, op->value);
			break;
		case PAYLOAD_OP_INS:
			ins(op);
			break;
		case PAYLOAD_OP_OUTS:
			outs(op);
			break;
		default:
			if (!ready)
				interrupts_enable();
			ready = true;
			report(PAYLOAD_SAYS_READY);
			wait_interrupts(op->value);
			break;
		}
	}
}

/* Whether the text at `at` begins with `word`; *ret_rest is what follows. */
static bool begins(const char *at, const char *word, const char **ret_rest)
{
	while (*word)
		if (*at++ != *word++)
			return false;
	*ret_rest = at;
	return true;
}

/* The word of the command line that begins so, or NULL. */
static const char *find_word(const char *cmdline, const char *word)
{
	for (const char *at = cmdline; *at; at++) {
		const char *rest;

		if ((at == cmdline || at[-1] == ' ') && begins(at, word, &rest))
			return rest;
	}
	return NULL;
}

static bool is_case(const char *cmdline, const char *name)
{
	const char *rest = find_word(cmdline, "case=");

	return rest && begins(rest, name, &rest) && (!*rest || *rest == ' ');
}

static uint32_t find_number(const char *cmdline, const char *word)
{
	const char *digits = find_word(cmdline, word);
	uint32_t number = 0;

	for (; digits && *digits >= '0' && *digits <= '9'; digits++)
		number = number * 10 + (uint32_t)(*digits - '0');
	return number ? number : 1;
}

/* Each digit is an event. */
static void raise_events(const char *digits)
{
	for (; digits && *digits >= '0' && *digits <= '9'; digits++) {
		out32(PAYLOAD_EVENTS, (uint32_t)in32(PAYLOAD_EVENTS) + 1);
		out32(PAYLOAD_EVENTS + 4, (uint32_t)(*digits - '0'));
	}
}

/* Waits until the power button has been pressed that often. */
static void wait_for_button(uint32_t presses)
{
	interrupts_enable();
	store(LAYOUT_IOAPIC, 4, IOAPIC_LINE + 1);
	store(IOAPIC_WINDOW, 4, (uint64_t)apic_id() << 24);
	store(LAYOUT_IOAPIC, 4, IOAPIC_LINE);
	store(IOAPIC_WINDOW, 4, PAYLOAD_VECTOR);
	wait_interrupts(presses);
}

void payload_main(const uint8_t *boot_params)
{
	const uint32_t *cmdline_at = (const uint32_t *)(boot_params + BOOT_PARAMS_CMDLINE);
	const char *cmdline = (const char *)(uintptr_t)*cmdline_at;
	uint32_t cpus = find_number(cmdline, "cpus=");

	x2apic = !find_word(cmdline, "xapic");
	if (find_word(cmdline, "uart"))
		for (const char *c = "ready\r\n"; *c; c++)
			out8(UART, (uint8_t)*c);
	raise_events(find_word(cmdline, "events="));
	if (is_case(cmdline, "script")) {
		run_script();
	} else if (is_case(cmdline, "smp") || is_case(cmdline, "cpuid")) {
		what = is_case(cmdline, "smp") ? DO_REPORT : DO_CPUID;
		start_cpus(cpus);
		payload_cpu();
	} else if (is_case(cmdline, "spin") || is_case(cmdline, "halt")) {
		what = is_case(cmdline, "spin") ? DO_SPIN : DO_HALT;
		start_cpus(cpus);
		report(PAYLOAD_SAYS_READY);
		payload_cpu();
		halt();
	} else if (is_case(cmdline, "reset")) {
		store(LAYOUT_POWER + POWER_RESET, 1, POWER_RESET_VALUE);
		halt();
	} else if (is_case(cmdline, "button")) {
		wait_for_button(find_number(cmdline, "presses="));
		if (find_word(cmdline, "then=reset"))
			store(LAYOUT_POWER + POWER_RESET, 1, POWER_RESET_VALUE);
		raise_events(find_word(cmdline, "then=events"));
	} else if (is_case(cmdline, "vector")) {
		jump_to_reset_vector();
	} else if (is_case(cmdline, "triple")) {
		triple_fault();
	}
	power_off();
}
