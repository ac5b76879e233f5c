/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane plugins` and `backplane plugin NAME`: what can be put into a configuration. */
#include "core/cli/cli.h"

#include "core/config/text.h"

#include <inttypes.h>
#include <stdio.h>

static const char plugins_help[] = "usage: backplane plugins\n"
				   "Lists the plugins that a configuration can name, one line per class.\n";

static const char plugin_help[] =
    "usage: backplane plugin NAME\n"
    "Shows a plugin: its classes, their keys with types and defaults, ranges and interrupts. NAME is looked up\n"
    "as in a configuration file; with a slash it is a path.\n";

static int load(struct store *store, const char *name, const struct plugin **ret, struct err *err)
{
	const struct place here = { 0 };

	return store_get(store, name, &here, ret, err);
}

int cmd_plugins(int argc, char **argv)
{
	struct err err = ERR_NONE;
	struct store *store = NULL;
	char **names = NULL;
	size_t count = 0;
	int status = cli_plain_args(argc, argv, 0, plugins_help);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	if (store_new(&store, &err) < 0 || store_names(store, &names, &count, &err) < 0) {
		cli_error("%s", err.text);
		status = CLI_FAILED;
	}
	for (size_t i = 0; i < count; i++) {
		const struct plugin *plugin;

		/* One that cannot be loaded is told, and does not hide the others. */
		if (load(store, names[i], &plugin, &err) < 0) {
			cli_error("%s", err.text);
			status = CLI_FAILED;
			continue;
		}
		for (size_t j = 0; j < plugin->class_count; j++)
			printf("%-16s  %-16s  %-8s  %s\n", names[i], plugin->classes[j].decl.name, plugin->version,
			       plugin->classes[j].decl.summary);
	}
	store_names_free(names, count);
	store_free(store);
	return status;
}

static void print_range_of(const struct param *param)
{
	char low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];

	if (!param_has_range(param))
		return;
	switch (param->type) {
	case BP_P_SIZE:
		text_format_size((uint64_t)param->min, low);
		text_format_size((uint64_t)param->max, high);
		break;
	case BP_P_DURATION:
		text_format_duration((uint64_t)param->min, low);
		text_format_duration((uint64_t)param->max, high);
		break;
	default:
		snprintf(low, sizeof(low), "%" PRId64, param->min);
		snprintf(high, sizeof(high), "%" PRId64, param->max);
		break;
	}
	printf(", %s to %s", low, high);
}

static void print_schema(const struct schema *schema, int indent)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct param *param = &schema->params[i];

		printf("%*s%s (%s", indent, "", param->name, schema_type_name(param->type));
		print_range_of(param);
		for (size_t j = 0; j < param->choice_count; j++)
			printf("%s\"%s\"", j ? " | " : ": ", param->choices[j]);
		if (param->flags & BP_P_REPEATED)
			printf(", list");
		if (param->flags & BP_P_REQUIRED)
			printf(", required");
		if (param->def)
			printf(", default %s", param->def);
		printf(")\n");
		if (param->help && *param->help)
			printf("%*s%s\n", indent + 4, "", param->help);
		if (param->group)
			print_schema(param->group, indent + 4);
	}
}

static void print_class(const struct class_decl *decl)
{
	printf("\nclass %s: %s\n", decl->name, decl->summary);
	if (decl->hid || decl->compatible)
		printf("  found by the guest as %s%s%s\n", decl->hid ? decl->hid : "",
		       decl->hid && decl->compatible ? ", " : "", decl->compatible ? decl->compatible : "");
	for (size_t i = 0; i < decl->range_count; i++)
		printf("  %s range of %" PRIu64 " bytes%s%s\n", decl->ranges[i].space == BP_PIO ? "port" : "memory",
		       decl->ranges[i].length, decl->ranges[i].base_param ? " at " : "",
		       decl->ranges[i].base_param ? decl->ranges[i].base_param : "");
	if (decl->irq_count)
		printf("  %zu interrupt%s\n", decl->irq_count, decl->irq_count > 1 ? "s" : "");
	printf("  keys:\n");
	print_schema(decl->schema, 4);
}

int cmd_plugin(int argc, char **argv)
{
	struct err err = ERR_NONE;
	struct store *store = NULL;
	const struct plugin *plugin;
	int status = cli_plain_args(argc, argv, 1, plugin_help);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	if (store_new(&store, &err) < 0 || load(store, argv[argc - 1], &plugin, &err) < 0) {
		cli_error("%s", err.text);
		store_free(store);
		return CLI_USAGE;
	}
	printf("%s %s, plugin ABI %d.%" PRIu32 "\n%s\n", plugin->id, plugin->version, BP_ABI_MAJOR, plugin->abi_minor,
	       plugin->path);
	for (size_t i = 0; i < plugin->class_count; i++)
		print_class(&plugin->classes[i].decl);
	store_free(store);
	return CLI_OK;
}
