/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A payload that works with a faulty device and, after each step, with a healthy one beside it. The command line says
 * which steps: "do=STEPS", a letter each. For each it prints on a serial port at 0x3f8 the letter and + or -: the
 * device did what it should, or it is gone.
 *   r w        reads, writes the device's register
 *   t f j i    has it called back by a timer, an fd, a job, an io, and waits for that
 *   T F J I    the same without waiting
 *   x          waits until the device is gone; always +
 *   V          starts the virtio device; v resets it
 *   q          a request, and waits for its end; Q without waiting
 *   c          writes config space
 *   X          waits until the virtio device needs a reset; always +
 *   z          resets the machine, if this is its first life
 *   h          halts for ever
 * At the end it prints how often the healthy device was right and wrong and the longest time, in microseconds, that a
 * step's access to the faulty device took, as "right=N wrong=N longest=N", and "done", and powers off.
 */
#include "tests/payload/beside.h"

#include "core/machine/layout.h"
#include "core/machine/power.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void payload_main(const uint8_t *boot_params);
void payload_cpu(void);
void payload_interrupt(uint64_t vector);

#define BOOT_PARAMS_CMDLINE 0x228 /* cmd_line_ptr, 32 bits */
#define UART                0x3f8
#define GONE                UINT32_MAX
#define ROUNDS              4 /* with the healthy device, after each step */

/* virtio-mmio (VIRTIO 1.2, 4.2.2). */
enum {
	MMIO_MAGIC = 0x000,
	MMIO_DRIVER_FEATURES = 0x020,
	MMIO_DRIVER_FEATURES_SEL = 0x024,
	MMIO_QUEUE_SEL = 0x030,
	MMIO_QUEUE_NUM = 0x038,
	MMIO_QUEUE_READY = 0x044,
	MMIO_QUEUE_NOTIFY = 0x050,
	MMIO_STATUS = 0x070,
	MMIO_QUEUE_DESC = 0x080,
	MMIO_QUEUE_DRIVER = 0x090,
	MMIO_QUEUE_DEVICE = 0x0a0,
	MMIO_CONFIG = 0x100,
};

#define STATUS_ACKNOWLEDGE 1u
#define STATUS_DRIVER      2u
#define STATUS_DRIVER_OK   4u
#define STATUS_FEATURES_OK 8u
#define STATUS_NEEDS_RESET 64u
#define QUEUE_SIZE         4u
#define DESC_F_WRITE       2u
#define BUFFER_BYTES       64u

static struct {
	struct {
		uint64_t address;
		uint32_t bytes;
		uint16_t flags, next;
	} desc[QUEUE_SIZE];
	struct {
		uint16_t flags, index, ring[QUEUE_SIZE];
	} avail;
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, bytes;
		} ring[QUEUE_SIZE];
	} used __attribute__((aligned(4)));
	uint8_t buffer[BUFFER_BYTES];
} volatile queue __attribute__((aligned(4096)));

static uint64_t longest_ns, right, wrong;
static uint32_t pattern = 0x01234567;

/* ---- instructions ---- */

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void store8(uint32_t address, uint8_t value)
{
	__asm__ volatile("movb %0, (%1)" : : "r"(value), "r"((uint64_t)address) : "memory");
}

static void store(uint32_t address, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"((uint64_t)address) : "memory");
}

static uint32_t load(uint32_t address)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"((uint64_t)address) : "memory");
	return value;
}

static uint64_t load64(uint32_t address)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"((uint64_t)address) : "memory");
	return value;
}

static void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void pause(void)
{
	__asm__ volatile("pause");
}

void payload_interrupt(uint64_t vector)
{
	(void)vector;
	halt();
}

void payload_cpu(void)
{
	halt();
}

/* ---- words ---- */

static void print(const char *text)
{
	for (; *text; text++)
		out8(UART, (uint8_t)*text);
}

static void print_number(uint64_t number)
{
	char digits[21];
	char *at = &digits[sizeof(digits) - 1];

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	print(at);
}

/* What follows "do=" on the command line. */
static const char *find_steps(const char *cmdline)
{
	for (; *cmdline; cmdline++)
		if (cmdline[0] == 'd' && cmdline[1] == 'o' && cmdline[2] == '=')
			return cmdline + 3;
	return "";
}

/* ---- the devices ---- */

static uint64_t clock_ns(void)
{
	return load64(BESIDE_HEALTHY + BESIDE_HEALTHY_CLOCK);
}

static void note_time(uint64_t since_ns)
{
	uint64_t took_ns = clock_ns() - since_ns;

	if (took_ns > longest_ns)
		longest_ns = took_ns;
}

/* Of the faulty device or the virtio one. */
static uint32_t timed_load(uint32_t address)
{
	uint64_t since_ns = clock_ns();
	uint32_t value = load(address);

	note_time(since_ns);
	return value;
}

static void timed_store(uint32_t address, uint32_t value)
{
	uint64_t since_ns = clock_ns();

	store(address, value);
	note_time(since_ns);
}

static void use_healthy(void)
{
	for (int i = 0; i < ROUNDS; i++) {
		pattern = pattern * 1664525 + 1013904223;
		store(BESIDE_HEALTHY + BESIDE_HEALTHY_VALUE, pattern);
		if (load(BESIDE_HEALTHY + BESIDE_HEALTHY_VALUE) == pattern)
			right++;
		else
			wrong++;
	}
}

static bool trigger(enum beside_trigger which, bool waits)
{
	uint32_t before = timed_load(BESIDE_FAULTY + BESIDE_FAULTY_COUNT), now = before;

	timed_store(BESIDE_FAULTY + BESIDE_FAULTY_TRIGGER, which);
	while (waits && before != GONE && now == before) {
		pause();
		now = timed_load(BESIDE_FAULTY + BESIDE_FAULTY_COUNT);
	}
	return now != GONE;
}

static bool wait_gone(void)
{
	while (timed_load(BESIDE_FAULTY + BESIDE_FAULTY_COUNT) != GONE)
		pause();
	return true;
}

static bool virtio_needs_reset(void)
{
	return timed_load(BESIDE_VIRTIO + MMIO_STATUS) & STATUS_NEEDS_RESET;
}

static bool virtio_reset(void)
{
	timed_store(BESIDE_VIRTIO + MMIO_STATUS, 0);
	return timed_load(BESIDE_VIRTIO + MMIO_STATUS) == 0;
}

static bool virtio_start(void)
{
	uint32_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;

	virtio_reset();
	queue.avail.index = 0;
	queue.used.index = 0;
	store(BESIDE_VIRTIO + MMIO_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	store(BESIDE_VIRTIO + MMIO_DRIVER_FEATURES_SEL, 1);
	store(BESIDE_VIRTIO + MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
	store(BESIDE_VIRTIO + MMIO_STATUS, status);
	store(BESIDE_VIRTIO + MMIO_QUEUE_SEL, 0);
	store(BESIDE_VIRTIO + MMIO_QUEUE_NUM, QUEUE_SIZE);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DESC, (uint32_t)(uintptr_t)&queue.desc);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DESC + 4, 0);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DRIVER, (uint32_t)(uintptr_t)&queue.avail);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DRIVER + 4, 0);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DEVICE, (uint32_t)(uintptr_t)&queue.used);
	store(BESIDE_VIRTIO + MMIO_QUEUE_DEVICE + 4, 0);
	store(BESIDE_VIRTIO + MMIO_QUEUE_READY, 1);
	timed_store(BESIDE_VIRTIO + MMIO_STATUS, status | STATUS_DRIVER_OK);
	return timed_load(BESIDE_VIRTIO + MMIO_STATUS) == (status | STATUS_DRIVER_OK);
}

static bool virtio_request(bool waits)
{
	uint16_t before = queue.used.index;

	queue.desc[0].address = (uintptr_t)queue.buffer;
	queue.desc[0].bytes = BUFFER_BYTES;
	queue.desc[0].flags = DESC_F_WRITE;
	queue.avail.ring[queue.avail.index % QUEUE_SIZE] = 0;
	__asm__ volatile("mfence" : : : "memory");
	queue.avail.index++;
	__asm__ volatile("mfence" : : : "memory");
	timed_store(BESIDE_VIRTIO + MMIO_QUEUE_NOTIFY, 0);
	while (waits && queue.used.index == before) {
		if (virtio_needs_reset())
			return false;
		pause();
	}
	return true;
}

static bool virtio_config(void)
{
	uint64_t since_ns = clock_ns();

	store8(BESIDE_VIRTIO + MMIO_CONFIG, 1);
	note_time(since_ns);
	return !virtio_needs_reset();
}

static bool wait_needs_reset(void)
{
	while (!virtio_needs_reset())
		pause();
	return true;
}

/* ---- steps ---- */

static void reset_machine(void)
{
	if (load(BESIDE_HEALTHY + BESIDE_HEALTHY_LIVES))
		return;
	store8(LAYOUT_POWER + POWER_RESET, POWER_RESET_VALUE);
	halt();
}

static bool carry_out(char step)
{
	switch (step) {
	case 'r':
		return timed_load(BESIDE_FAULTY + BESIDE_FAULTY_VALUE) != GONE;
	case 'w':
		timed_store(BESIDE_FAULTY + BESIDE_FAULTY_VALUE, 1);
		return true;
	case 't':
	case 'T':
		return trigger(BESIDE_TIMER, step == 't');
	case 'f':
	case 'F':
		return trigger(BESIDE_FD, step == 'f');
	case 'j':
	case 'J':
		return trigger(BESIDE_JOB, step == 'j');
	case 'i':
	case 'I':
		return trigger(BESIDE_IO, step == 'i');
	case 'x':
		return wait_gone();
	case 'V':
		return virtio_start();
	case 'v':
		return virtio_reset();
	case 'q':
	case 'Q':
		return virtio_request(step == 'q');
	case 'c':
		return virtio_config();
	case 'X':
		return wait_needs_reset();
	case 'z':
		reset_machine();
		return true;
	case 'h':
		halt();
		return true;
	default:
		return false;
	}
}

void payload_main(const uint8_t *boot_params)
{
	const uint32_t *cmdline_at = (const uint32_t *)(boot_params + BOOT_PARAMS_CMDLINE);
	const char *steps = find_steps((const char *)(uintptr_t)*cmdline_at);

	print("ready ");
	use_healthy();
	for (; *steps && *steps != ' '; steps++) {
		char text[3] = { *steps, '\0', '\0' };

		print(text);
		text[0] = carry_out(*steps) ? '+' : '-';
		print(text);
		use_healthy();
	}
	print("\r\nright=");
	print_number(right);
	print(" wrong=");
	print_number(wrong);
	print(" longest=");
	print_number(longest_ns / 1000);
	print("\r\ndone\r\n");
	store8(LAYOUT_POWER + POWER_SLEEP_CONTROL, POWER_SLP_EN | POWER_SLP_TYP_S5 << POWER_SLP_TYP_SHIFT);
	halt();
}
