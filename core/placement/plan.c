/* SPDX-License-Identifier: BSD-3-Clause */
/* Working out the plan; see plan.h. */
#include "core/placement/plan.h"

#include "core/base/checked.h"
#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/hash.h"
#include "core/config/check.h"
#include "core/config/report.h"
#include "core/machine/arch/x86_64/arch.h"
#include "core/machine/layout.h"
#include "core/placement/unpack.h"
#include "core/placement/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAGE              UINT64_C(4096)
/* What may take longer than the read of a register: a file to be flushed, a thread to be waited for. */
#define REQUEST_DEADLINES 4
#define REQUEST_MIN_NS    (10 * NS_PER_S)

/* Lines for devices that leave the choice to us, best first: those that no PC device is known by. */
static const uint32_t free_lines[] = { 16, 17, 18, 19, 20, 21, 22, 23, 5, 6, 7, 10, 11, 12, 13, 14, 15 };

static int no_access(void *ctx, uint32_t cookie, uint64_t offset, uint32_t width, bool write, uint64_t *value)
{
	(void)ctx;
	(void)cookie;
	(void)offset;
	(void)width;
	if (!write)
		*value = UINT64_MAX;
	return 0;
}

/* Puts the place of `name` (or of the whole group, where it is absent) before the message. */
static int fail_at(const struct values *values, const char *name, int error, struct err *err)
{
	const struct value *value = name ? values_get(values, name, 0) : NULL;
	char path[256];
	struct err text = *err;

	snprintf(path, sizeof(path), "%s%s%s", values->path, value ? "." : "", value ? name : "");
	config_fail(err, value ? &value->place : &values->place, path, "%s", text.text);
	return error;
}

static int plan_machine(struct plan *plan, struct err *err)
{
	const struct values *section = plan->config->machine;
	int r;

	plan->machine.vcpus = (uint32_t)values_number(section, "vcpus", 1);
	plan->machine.memory_bytes = values_number(section, "memory", 0);
	plan->machine.hugepages = values_number(section, "hugepages", 0);
	plan->machine.prefault = values_number(section, "prefault", 0);
	plan->endings.on_reboot = values_number(section, "on_reboot", 0) ? ENDINGS_RESTART : ENDINGS_EXIT;
	plan->endings.on_panic = values_number(section, "on_panic", 0) ? ENDINGS_RESTART : ENDINGS_EXIT;
	plan->endings.on_crash = values_number(section, "on_crash", 0) ? ENDINGS_RESTART : ENDINGS_EXIT;
	plan->shutdown_timeout_ns = values_number(section, "shutdown_timeout", 0);
	if (!values_text(section, "name", "unnamed")[0]) {
		err_set(err, -EINVAL, "it is empty");
		return fail_at(section, "name", -EINVAL, err);
	}
	if (plan->machine.memory_bytes % PAGE) {
		err_set(err, -EINVAL, "it is not a multiple of 4K");
		return fail_at(section, "memory", -EINVAL, err);
	}
	r = machine_check(&plan->machine, err);
	if (r < 0)
		return fail_at(section, "memory", r, err);
	r = machine_check_hugepages(&plan->machine, err);
	if (r < 0)
		return fail_at(section, "hugepages", r, err);
	return machine_reserve(&plan->machine, plan->bus, err);
}

/* Opens kernel and initrd; the kernel is `kernel_fd`, which is taken over, or if that is -1 the one in the configuration. */
static int open_image(const struct plan *plan, int kernel_fd, struct boot_image **ret, struct err *err)
{
	const struct values *section = plan->config->boot;
	FREE_AUTO char *kernel = NULL;
	FREE_AUTO char *initrd = NULL;
	const struct value *kernel_value = values_get(section, "kernel", 0);
	const struct value *initrd_value = values_get(section, "initrd", 0);
	static const char *const blamed[] = {
		[BOOT_BLAME_KERNEL] = "kernel",
		[BOOT_BLAME_INITRD] = "initrd",
		[BOOT_BLAME_CMDLINE] = "cmdline",
	};
	enum boot_blame blame = BOOT_BLAME_NONE;
	struct boot_spec spec = {
		.dir_fd = AT_FDCWD,
		.cmdline = values_text(section, "cmdline", ""),
		.low_ram_bytes = machine_low_ram(&plan->machine),
	};
	int r = config_resolve_path(&kernel_value->place, kernel_value->text, &kernel);

	if (r == 0 && initrd_value)
		r = config_resolve_path(&initrd_value->place, initrd_value->text, &initrd);
	if (r < 0) {
		fd_close(kernel_fd);
		return err_sys(err, r, "boot");
	}
	spec.kernel = kernel;
	spec.initrd = initrd;
	r = boot_open_fd(&spec, kernel_fd, ret, &blame, err);
	if (r < 0)
		return fail_at(section, blamed[blame], r, err);
	return 0;
}

static int cannot_unpack(const struct plan *plan, int error, struct err *err)
{
	err_prefix(err, "cannot unpack \"%s\": ", boot_image_kernel_name(plan->image));
	return fail_at(plan->config->boot, "kernel", error, err);
}

static int plan_boot(struct plan *plan, struct err *err)
{
	int r = open_image(plan, -1, &plan->image, err);

	if (r < 0)
		return r;
	/* An ELF kernel is what unpacking would give. */
	plan->unpack =
	    values_number(plan->config->boot, "unpack", 0) && boot_image_kind(plan->image) == BOOT_BZIMAGE_64;
	if (!plan->unpack)
		return 0;
	r = unpack_check(boot_image_kernel_fd(plan->image), err);
	return r < 0 ? cannot_unpack(plan, r, err) : 0;
}

int plan_unpack(struct plan *plan, struct err *err)
{
	struct boot_image *image = NULL;
	int fd, r;

	if (!plan->unpack)
		return 0;
	fd = unpack_kernel(boot_image_kernel_fd(plan->image), err);
	if (fd < 0)
		return cannot_unpack(plan, fd, err);
	r = open_image(plan, fd, &image, err);
	if (r < 0)
		return r;
	boot_close(plan->image);
	plan->image = image;
	plan->unpack = false;
	return 0;
}

static void plan_needs(struct plan_device *device)
{
	const struct class_decl *decl = &device->class->decl;
	bool virtio = decl->virtio.id != 0;

	device->hid = virtio ? VIRTIO_HID : decl->hid;
	device->compatible = decl->compatible;
	device->range_count = virtio ? 1 : decl->range_count;
	device->ranges = virtio ? &virtio_range : decl->ranges;
	device->irq_count = virtio ? 1 : decl->irq_count;
	device->irqs = virtio ? &virtio_irq : decl->irqs;
}

/* A process of its own, which has loaded the plugin. */
static int plan_process(struct plan *plan, struct plan_device *device, const char *file, struct err *err)
{
	const struct config_device *config = device->config;
	const uint64_t request_ns = config->deadline_ns * REQUEST_DEADLINES;
	const struct process_spec spec = {
		.id = config->id,
		.plugin_path = file,
		.read_ns = config->deadline_ns,
		.request_ns = request_ns > REQUEST_MIN_NS ? request_ns : REQUEST_MIN_NS,
		.on_failure = (enum on_failure)config->on_failure,
	};
	int r = plan->processes ? 0 : processes_new(&plan->processes, err);

	if (r == 0)
		r = process_new(plan->processes, &spec, &device->process, err);
	if (r < 0)
		return r;
	device->plugin = process_plugin(device->process);
	return 0;
}

static int plan_plugin(struct plan *plan, struct plan_device *device, struct err *err)
{
	const struct config_device *config = device->config;
	FREE_AUTO char *file = NULL;
	int r = store_find(plan->store, config->plugin, &config->place, &file, err);

	if (r < 0)
		return r;
	if (config->placement == CONFIG_PROCESS)
		return plan_process(plan, device, file, err);
	return store_load(plan->store, file, &device->plugin, err);
}

/* The same in each run of the machine, which is known by its name, or else by where its file is. */
static uint64_t identity_of(const struct plan *plan, const struct config_device *device)
{
	const char *name = values_text(plan->config->machine, "name", NULL);
	uint64_t hash = hash_text(HASH_INIT, name ? "name" : "file");

	hash = hash_text(hash, name ? name : plan->config->path);
	return hash_end(hash_text(hash, device->id));
}

/* The plugin, its class, and the values by the class's schema. */
static int plan_device(struct plan *plan, struct plan_device *device, struct err *err)
{
	const struct config_device *config = device->config;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "devices.%s", config->id);
	r = plan_plugin(plan, device, err);
	if (r < 0) {
		struct err text = *err;

		config_fail(err, &config->place, path, "%s", text.text);
		return r;
	}
	device->class = plugin_find_class(device->plugin, config->class_name);
	if (!device->class) {
		struct nearest nearest = NEAREST_INIT(config->class_name);
		char hint[NEAREST_HINT_MAX];

		for (size_t i = 0; i < device->plugin->class_count; i++)
			nearest_offer(&nearest, device->plugin->classes[i].decl.name);
		nearest_hint(&nearest, hint);
		config_fail(err, &config->place, path, "plugin \"%s\" has no class \"%s\"%s", config->plugin,
			    config->class_name, hint);
		return -EINVAL;
	}
	plan_needs(device);
	device->identity = identity_of(plan, config);
	return config_check_group(config->node, device->class->decl.schema, path, plan->config->device_keys,
				  &device->values, err);
}

static int insert(struct plan *plan, const struct plan_device *device, size_t index, struct err *err)
{
	const struct class_range *range = &device->ranges[index];
	struct bus_claim claim = {
		.space = range->space,
		.widths = range->widths,
		.base = device->bases[index],
		.length = range->length,
		.access = no_access,
	};
	int r;

	snprintf(claim.owner, sizeof(claim.owner), "%s", device->config->id);
	r = bus_insert(plan->bus, &claim, err);
	if (r < 0)
		return fail_at(device->values, range->base_param, r, err);
	return 0;
}

/* Ranges: first those that the configuration places, then, around them, those that are left to us. */
static int plan_ranges(struct plan *plan, struct plan_device *device, bool chosen, struct err *err)
{
	for (size_t i = 0; i < device->range_count; i++) {
		const struct class_range *range = &device->ranges[i];
		const struct value *base = range->base_param ? values_get(device->values, range->base_param, 0) : NULL;
		uint64_t align = PAGE;
		int r;

		if (chosen != !base)
			continue;
		if (base) {
			device->bases[i] = base->number;
		} else if (range->space == BP_PIO) {
			err_set(err, -EINVAL, "\"%s\" is missing, and ports are not chosen automatically",
				range->base_param);
			return fail_at(device->values, NULL, -EINVAL, err);
		} else {
			while (align < range->length && align <= LAYOUT_MMIO)
				align *= 2;
			r = bus_find_free(plan->bus, BP_MMIO, LAYOUT_MMIO, LAYOUT_MMIO_END, range->length, align,
					  &device->bases[i]);
			if (r < 0) {
				err_set(err, r,
					"no room for a range of 0x%" PRIx64 " bytes between 0x%" PRIx64
					" and 0x%" PRIx64,
					range->length, LAYOUT_MMIO, LAYOUT_MMIO_END);
				return fail_at(device->values, NULL, r, err);
			}
		}
		r = insert(plan, device, i, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The line with the fewest users, the first of them. */
static uint32_t choose_line(const uint32_t users[ARCH_IRQ_LINES])
{
	uint32_t best = free_lines[0];

	for (size_t i = 1; i < sizeof(free_lines) / sizeof(free_lines[0]); i++)
		if (users[free_lines[i]] < users[best])
			best = free_lines[i];
	return best;
}

static int plan_lines(struct plan_device *device, bool chosen, uint32_t users[ARCH_IRQ_LINES], struct err *err)
{
	for (size_t i = 0; i < device->irq_count; i++) {
		const char *param = device->irqs[i].line_param;
		const struct value *line = param ? values_get(device->values, param, 0) : NULL;

		if (chosen != !line)
			continue;
		if (line && line->number >= ARCH_IRQ_LINES) {
			err_set(err, -EINVAL, "there are interrupt lines 0 to %u", ARCH_IRQ_LINES - 1);
			return fail_at(device->values, param, -EINVAL, err);
		}
		if (line && line->number == LAYOUT_BUTTON_GSI) {
			err_set(err, -EBUSY, "interrupt line %u is the machine's own, for its power button",
				LAYOUT_BUTTON_GSI);
			return fail_at(device->values, param, -EBUSY, err);
		}
		device->lines[i] = line ? (uint32_t)line->number : choose_line(users);
		users[device->lines[i]]++;
	}
	return 0;
}

static int plan_resources(struct plan *plan, struct err *err)
{
	uint32_t users[ARCH_IRQ_LINES] = { 0 };

	for (int chosen = 0; chosen < 2; chosen++)
		for (size_t i = 0; i < plan->device_count; i++) {
			int r = plan_ranges(plan, &plan->devices[i], chosen, err);

			if (r == 0)
				r = plan_lines(&plan->devices[i], chosen, users, err);
			if (r < 0)
				return r;
		}
	return 0;
}

/* _UID: how many nodes of the same kind came before. */
static uint32_t next_uid(const struct plan *plan, const struct firmware_node *node)
{
	const char *kind = node->hid ? node->hid : "PRP0001";
	uint32_t uid = 0;

	for (size_t i = 0; i < plan->firmware.node_count; i++)
		if (!strcmp(plan->nodes[i].hid ? plan->nodes[i].hid : "PRP0001", kind))
			uid++;
	return uid;
}

static int plan_firmware(struct plan *plan, struct err *err)
{
	plan->nodes = calloc(plan->device_count + 1, sizeof(plan->nodes[0]));
	if (!plan->nodes)
		return err_sys(err, -ENOMEM, "firmware");
	plan->firmware.nodes = plan->nodes;
	for (size_t i = 0; i < plan->device_count; i++) {
		const struct plan_device *device = &plan->devices[i];
		struct firmware_node *node = &plan->nodes[plan->firmware.node_count];

		plan->firmware.facts |= device->class->decl.facts;
		if (!device->hid && !device->compatible)
			continue;
		node->instance = device->config->id;
		node->hid = device->hid;
		node->compatible = device->compatible;
		node->uid = next_uid(plan, node);
		for (size_t j = 0; j < device->range_count; j++)
			node->ranges[node->range_count++] = (struct firmware_range){
				.space = device->ranges[j].space,
				.base = device->bases[j],
				.length = device->ranges[j].length,
			};
		for (size_t j = 0; j < device->irq_count; j++)
			node->irqs[node->irq_count++] = device->lines[j];
		plan->firmware.node_count++;
	}
	return machine_check_firmware(&plan->machine, &plan->firmware, err);
}

static int plan_devices(struct plan *plan, struct err *err)
{
	plan->devices = calloc(plan->config->device_count + 1, sizeof(plan->devices[0]));
	if (!plan->devices)
		return err_sys(err, -ENOMEM, "devices");
	for (size_t i = 0; i < plan->config->device_count; i++) {
		int r;

		plan->devices[i].config = &plan->config->devices[i];
		plan->device_count++;
		r = plan_device(plan, &plan->devices[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_make(const struct config *config, struct store *store, struct plan **ret, struct err *err)
{
	struct plan *plan = calloc(1, sizeof(*plan));
	int r;

	if (!plan)
		return err_sys(err, -ENOMEM, "plan");
	plan->config = config;
	plan->store = store;
	r = bus_new(&plan->bus);
	if (r < 0)
		err_sys(err, r, "plan");
	if (r == 0)
		r = plan_machine(plan, err);
	if (r == 0)
		r = plan_devices(plan, err);
	if (r == 0)
		r = plan_resources(plan, err);
	if (r == 0)
		r = plan_firmware(plan, err);
	if (r == 0)
		r = plan_boot(plan, err);
	if (r < 0) {
		plan_free(plan);
		return r;
	}
	*ret = plan;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->device_count; i++) {
		values_free(plan->devices[i].values);
		process_free(plan->devices[i].process);
	}
	processes_free(plan->processes);
	free(plan->devices);
	free(plan->nodes);
	boot_close(plan->image);
	bus_free(plan->bus);
	free(plan);
}
