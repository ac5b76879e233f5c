/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane plugins` and `backplane plugin NAME`: what can be put into a configuration. Whoever asks what a plugin is
 * does not yet trust it, so its code runs in a process of its own, as that of a device does. */
#include "core/cli/cli.h"

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/placement/process.h"

#include <inttypes.h>
#include <stdio.h>

static const char plugins_help[] = "usage: backplane plugins\n"
				   "Lists the plugins that a configuration can name, one line per class.\n";

static const char plugin_help[] =
    "usage: backplane plugin [OPTION]... NAME\n"
    "Shows a plugin: its classes, their keys with types and defaults, ranges and interrupts. NAME is looked up\n"
    "as in a configuration file; with a slash it is a path.\n"
    "\n"
    "  --format FORMAT    text (the default), or scdoc, for the OPTIONS section of a manual page\n"
    "  --help             this text\n";

/* To be loaded and to say what it is. */
#define LOAD_NS (10 * NS_PER_S)

struct looker {
	struct store *store;
	struct processes *processes;
};

static int looker_open(struct looker *looker, struct err *err)
{
	int r = store_new(&looker->store, err);

	return r < 0 ? r : processes_new(&looker->processes, err);
}

static void looker_close(struct looker *looker)
{
	processes_free(looker->processes);
	store_free(looker->store);
}

static int load(const struct looker *looker, const char *name, struct process **ret, struct err *err)
{
	const struct place here = { 0 };
	FREE_AUTO char *path = NULL;
	struct process_spec spec = { .id = name, .read_ns = LOAD_NS, .request_ns = LOAD_NS };
	int r = store_find(looker->store, name, &here, &path, err);

	if (r < 0)
		return r;
	spec.plugin_path = path;
	return process_new(looker->processes, &spec, ret, err);
}

int cmd_plugins(int argc, char **argv)
{
	struct err err = ERR_NONE;
	struct looker looker = { NULL, NULL };
	char **names = NULL;
	size_t count = 0;
	int status = cli_plain_args(argc, argv, 0, plugins_help);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	if (looker_open(&looker, &err) < 0 || store_names(looker.store, &names, &count, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_FAILED;
	}
	for (size_t i = 0; i < count; i++) {
		const struct plugin *plugin;
		struct process *process;

		/* One that cannot be loaded is told, and does not hide the others. */
		if (load(&looker, names[i], &process, &err) < 0) {
			cli_error("%s", err.text);
			status = CLI_FAILED;
			continue;
		}
		plugin = process_plugin(process);
		for (size_t j = 0; j < plugin->class_count; j++)
			printf("%-16s  %-16s  %-8s  %s\n", names[i], plugin->classes[j].decl.name, plugin->version,
			       plugin->classes[j].decl.summary);
		process_free(process);
	}
	store_names_free(names, count);
	looker_close(&looker);
	return status;
}

/* How a guest finds the device, and what it occupies, is for people only: pages say it in their own words. */
static void print_resources(const struct class_decl *decl)
{
	if (decl->hid || decl->compatible)
		printf("  found by the guest as %s%s%s\n", decl->hid ? decl->hid : "",
		       decl->hid && decl->compatible ? ", " : "", decl->compatible ? decl->compatible : "");
	for (size_t i = 0; i < decl->range_count; i++)
		printf("  %s range of %" PRIu64 " bytes%s%s\n", decl->ranges[i].space == BP_PIO ? "port" : "memory",
		       decl->ranges[i].length, decl->ranges[i].base_param ? " at " : "",
		       decl->ranges[i].base_param ? decl->ranges[i].base_param : "");
	if (decl->virtio.id)
		printf("  virtio device of type %" PRIu32 ", %" PRIu32 " queue%s\n", decl->virtio.id,
		       decl->virtio.queue_count, decl->virtio.queue_count > 1 ? "s at most" : "");
	if (decl->irq_count)
		printf("  %zu interrupt%s\n", decl->irq_count, decl->irq_count > 1 ? "s" : "");
}

static int print_class(const struct class_decl *decl, enum cli_format format, struct err *err)
{
	if (format == CLI_TEXT)
		putchar('\n');
	keys_print_heading("class", decl->name, decl->summary, format);
	if (format == CLI_TEXT)
		print_resources(decl);
	return keys_print(decl->schema, format, err);
}

int cmd_plugin(int argc, char **argv)
{
	enum cli_format format;
	struct err err = ERR_NONE;
	struct looker looker = { NULL, NULL };
	struct process *process;
	const struct plugin *plugin;
	int status = cli_format_args(argc, argv, 1, plugin_help, &format);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	if (looker_open(&looker, &err) < 0 || load(&looker, argv[argc - 1], &process, &err) < 0) {
		cli_error("%s", err.text);
		looker_close(&looker);
		return CLI_USAGE;
	}
	plugin = process_plugin(process);
	if (format == CLI_TEXT)
		printf("%s %s, plugin ABI %d.%" PRIu32 "\n%s\n", plugin->id, plugin->version, BP_ABI_MAJOR,
		       plugin->abi_minor, plugin->path);
	for (size_t i = 0; i < plugin->class_count && status == CLI_OK; i++)
		if (print_class(&plugin->classes[i].decl, format, &err) < 0) {
			cli_error("%s", err.text);
			status = CLI_FAILED;
		}
	process_free(process);
	looker_close(&looker);
	return status;
}
