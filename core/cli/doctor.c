/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane doctor`: what this host can do, as a table for people or as JSON. */
#include "core/cli/cli.h"

#include "core/placement/host.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: backplane doctor [OPTION]...\n"
    "Finds out whether this host can run guests, and if not, why; then what else it has that plugins and\n"
    "devices could use. It tries each thing, and leaves nothing behind.\n"
    "\n"
    "  --probe  only run the probe guest, which does what every kernel does; one line\n"
    "  --json   for programs: one object, of which keys are never renamed or taken away\n"
    "  --help   this text\n"
    "\n"
    "The object has can_run_guests (a boolean) and checks, a list of objects with name, state (\"ok\", \"no\",\n"
    "\"unknown\"), needed (a boolean: no guest runs without it) and text. The check kvm-capabilities also has\n"
    "capabilities, an object of KVM's values by name, 0 for what it lacks. The check probe-guest also has\n"
    "stage, how far the guest came, and stage_name.\n"
    "\n"
    "Exit status: 0 guests can run here, 1 they cannot, 2 bad usage.\n";

static const char *const state_names[] = { [HOST_OK] = "ok", [HOST_NO] = "no", [HOST_UNKNOWN] = "unknown" };
static const char *const state_colours[] = {
	[HOST_OK] = "\033[32m", [HOST_NO] = "\033[31m", [HOST_UNKNOWN] = "\033[33m"
};

enum { OPTION_PROBE = 256, OPTION_JSON, OPTION_HELP };

struct options {
	bool only_probe;
	bool json;
};

static int read_options(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "probe", no_argument, NULL, OPTION_PROBE },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "help", no_argument, NULL, OPTION_HELP },
		{ 0 },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":", known, NULL)) != -1)
		switch (option) {
		case OPTION_PROBE:
			options->only_probe = true;
			break;
		case OPTION_JSON:
			options->json = true;
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return -1;
		default:
			return cli_bad_option(argv, option);
		}
	return argc == optind ? CLI_OK : cli_usage(argv[0], "too many arguments");
}

/* ---- for people ---- */

static void print_state(enum host_state state, int width, bool colour)
{
	if (colour)
		printf("%s%-*s\033[0m", state_colours[state], width, state_names[state]);
	else
		printf("%-*s", width, state_names[state]);
}

static void print_checks(const struct host_report *report, bool needed, bool colour)
{
	for (size_t i = 0; i < report->check_count; i++) {
		const struct host_check *check = &report->checks[i];

		if (check->needed != needed)
			continue;
		printf("  %-17s ", check->name);
		print_state(check->state, 8, colour);
		printf("%s\n", check->text);
	}
}

static void print_table(const struct host_report *report, bool colour)
{
	puts("Needed to run guests:");
	print_checks(report, true, colour);
	puts("For some devices, and for the isolation of plugins:");
	print_checks(report, false, colour);
	puts(host_can_run(report) ? "This host can run guests." : "This host cannot run guests.");
}

static void print_probe(const struct host_check *check, bool colour)
{
	print_state(check->state, 0, colour);
	printf(": %s\n", check->text);
}

/* ---- for programs ---- */

static void print_json_string(const char *text)
{
	putchar('"');
	for (const char *c = text; *c; c++)
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			printf("\\u%04x", (unsigned char)*c);
		else
			putchar(*c);
	putchar('"');
}

static void print_json_check(const struct host_report *report, const struct host_check *check)
{
	printf("    { \"name\": \"%s\", \"state\": \"%s\", \"needed\": %s, \"text\": ", check->name,
	       state_names[check->state], check->needed ? "true" : "false");
	print_json_string(check->text);
	if (!strcmp(check->name, "kvm-capabilities")) {
		printf(",\n      \"capabilities\": {");
		for (size_t i = 0; i < report->capability_count; i++)
			printf("%s \"%s\": %d", i ? "," : "", report->capabilities[i].name,
			       report->capabilities[i].value);
		printf(" }");
	}
	if (!strcmp(check->name, "probe-guest")) {
		printf(",\n      \"stage\": %d, \"stage_name\": ", (int)report->stage);
		print_json_string(probe_stage_name(report->stage));
	}
	printf(" }");
}

static void print_json(const struct host_report *report)
{
	printf("{\n  \"can_run_guests\": %s,\n  \"checks\": [\n", host_can_run(report) ? "true" : "false");
	for (size_t i = 0; i < report->check_count; i++) {
		print_json_check(report, &report->checks[i]);
		puts(i + 1 < report->check_count ? "," : "");
	}
	printf("  ]\n}\n");
}

int cmd_doctor(int argc, char **argv)
{
	struct options options = { 0 };
	struct host_report report;
	const char *no_colour = getenv("NO_COLOR");
	bool colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	int status = read_options(&options, argc, argv);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	host_examine(options.only_probe, &report);
	if (options.json)
		print_json(&report);
	else if (options.only_probe)
		print_probe(&report.checks[0], colour);
	else
		print_table(&report, colour);
	return host_can_run(&report) ? CLI_OK : CLI_FAILED;
}
