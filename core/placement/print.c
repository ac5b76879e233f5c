/* SPDX-License-Identifier: BSD-3-Clause */
/* The plan as tables for people; see plan.h. */
#include "core/placement/plan.h"

#include "core/config/text.h"
#include "core/machine/layout.h"

#include <inttypes.h>

static void print_claim(const struct bus_claim *claim, void *arg)
{
	static const char *const width_names[] = { "8", "16", "32", "64" };
	char range[BUS_RANGE_TEXT], widths[32] = "";
	size_t used = 0;

	for (unsigned int i = 0; i < 4; i++)
		if (claim->widths & (1u << i))
			used += (size_t)snprintf(widths + used, sizeof(widths) - used, "%s%s", used ? "," : "",
						 width_names[i]);
	fprintf(arg, "%-6s  %-37s  %-10s  %s\n", claim->space == BP_PIO ? "port" : "memory",
		bus_range_text(claim->base, claim->length, range), widths, claim->owner);
}

static void print_lines(const struct plan *plan, FILE *out)
{
	fprintf(out, "\nINTERRUPTS\n%-6s  %-8s  %s\n", "line", "trigger", "device");
	fprintf(out, "%-6" PRIu32 "  %-8s  %s\n", LAYOUT_BUTTON_GSI, "edge", "power button");
	for (size_t i = 0; i < plan->device_count; i++)
		for (size_t j = 0; j < plan->devices[i].irq_count; j++)
			fprintf(out, "%-6" PRIu32 "  %-8s  %s\n", plan->devices[i].lines[j], "edge",
				plan->devices[i].config->id);
}

static void print_nodes(const struct plan *plan, FILE *out)
{
	fprintf(out, "\nFIRMWARE NODES\n%-10s  %-4s  %-20s  %s\n", "hid", "uid", "compatible", "device");
	for (size_t i = 0; i < plan->firmware.node_count; i++) {
		const struct firmware_node *node = &plan->nodes[i];

		fprintf(out, "%-10s  %-4" PRIu32 "  %-20s  %s\n", node->hid ? node->hid : "PRP0001", node->uid,
			node->compatible ? node->compatible : "-", node->instance);
	}
}

void plan_print(const struct plan *plan, FILE *out)
{
	char memory[TEXT_NUMBER_MAX];

	text_format_size(plan->machine.memory_bytes, memory);
	fprintf(out, "MACHINE\n%-8s  %" PRIu32 "\n%-8s  %s\n%-8s  %s\n", "vcpus", plan->machine.vcpus, "memory", memory,
		"kernel",
		plan->unpack ? "bzImage, unpacked before it starts" : boot_kind_name(boot_image_kind(plan->image)));
	fprintf(out, "\nADDRESS MAP\n%-6s  %-37s  %-10s  %s\n", "space", "range", "widths", "owner");
	bus_each(plan->bus, print_claim, out);
	print_lines(plan, out);
	print_nodes(plan, out);
	fprintf(out, "\nDEVICES\n%-16s  %-24s  %-8s  %s\n", "device", "plugin", "version", "placement");
	for (size_t i = 0; i < plan->device_count; i++)
		fprintf(out, "%-16s  %-24s  %-8s  %s\n", plan->devices[i].config->id, plan->devices[i].plugin->id,
			plan->devices[i].plugin->version,
			plan->devices[i].config->placement == CONFIG_PROCESS ? "process" : "thread");
}
