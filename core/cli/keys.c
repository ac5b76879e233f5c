/* SPDX-License-Identifier: BSD-3-Clause */
/* `backplane keys`, and how keys are printed: for people, and as the source of a manual page (scdoc(5)). The tables that the
 * configuration is checked against are printed, so neither can say anything else. Main thread. */
#include "core/cli/cli.h"

#include "core/base/fd.h"
#include "core/config/sections.h"
#include "core/config/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] = "usage: backplane keys [OPTION]...\n"
			   "Shows the keys that are not a plugin's, section by section: types, ranges and defaults.\n"
			   "\n"
			   "  --format FORMAT    text (the default), or scdoc, for a manual page\n"
			   "  --help             this text\n";

static void format_number(const struct param *param, int64_t number, char ret[static TEXT_NUMBER_MAX])
{
	if (param->type == BP_P_SIZE)
		text_format_size((uint64_t)number, ret);
	else if (param->type == BP_P_DURATION)
		text_format_duration((uint64_t)number, ret);
	else
		snprintf(ret, TEXT_NUMBER_MAX, "%" PRId64, number);
}

static void print_range(const struct param *param, FILE *out)
{
	char low[TEXT_NUMBER_MAX], high[TEXT_NUMBER_MAX];

	if (!param_has_range(param))
		return;
	format_number(param, param->min, low);
	format_number(param, param->max, high);
	if (param->max == INT64_MAX)
		fprintf(out, ", at least %s", low);
	else if (param->min == INT64_MIN)
		fprintf(out, ", at most %s", high);
	else
		fprintf(out, ", %s to %s", low, high);
}

/* "uint, 0 to 23, default 4" */
static void print_facts(const struct param *param, FILE *out)
{
	fputs(schema_type_name(param->type), out);
	if (param->flags & BP_P_LISTEN)
		fputs(", listens", out);
	if (param->flags & BP_P_CONNECT)
		fputs(", connects", out);
	print_range(param, out);
	for (size_t i = 0; i < param->choice_count; i++)
		fprintf(out, "%s\"%s\"", i ? " | " : ": ", param->choices[i]);
	if (param->flags & BP_P_REPEATED)
		fputs(", list", out);
	if (param->flags & BP_P_REQUIRED)
		fputs(", required", out);
	if (param->def)
		fprintf(out, ", default %s", *param->def ? param->def : "\"\"");
}

static void print_text(const struct schema *schema, int indent)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct param *param = &schema->params[i];

		printf("%*s%s (", indent, "", param->name);
		print_facts(param, stdout);
		printf(")\n");
		if (param->help && *param->help)
			printf("%*s%s\n", indent + 4, "", param->help);
		if (param->group)
			print_text(param->group, indent + 4);
	}
}

/* Text that means nothing to scdoc, except where a line begins. */
static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (strchr("\\*_+`", *text))
			putchar('\\');
		putchar(*text);
	}
}

/* A help text or summary as a sentence: capital and full stop. A name such as "vCPU" keeps its small letter. */
static void print_sentence(const char *text)
{
	char first, last;

	text += strspn(text, " ");
	if (!*text)
		return;
	first = *text;
	last = text[strlen(text) - 1];
	if (strchr("#-;[]|.", first)) {
		fputs("**",
		      stdout); /* nothing, in bold: the line does not begin with what would mean something there */
	} else if (islower((unsigned char)first) && (islower((unsigned char)text[1]) || text[1] == ' ')) {
		putchar(toupper((unsigned char)first));
		text++;
	}
	print_escaped(text);
	puts(last == '.' ? "" : ".");
}

static void print_tabs(unsigned int tabs)
{
	while (tabs--)
		putchar('\t');
}

static int print_scdoc(const struct schema *schema, unsigned int tabs)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct param *param = &schema->params[i];
		FREE_AUTO char *facts = NULL;
		size_t bytes;
		FILE *out = open_memstream(&facts, &bytes);

		if (!out)
			return -ENOMEM;
		print_facts(param, out);
		if (fclose(out) != 0)
			return -ENOMEM;
		print_tabs(tabs);
		printf("*%s* (", param->name);
		print_escaped(facts);
		printf(")\n");
		if (param->help && *param->help) {
			print_tabs(tabs + 1);
			print_sentence(param->help);
		}
		putchar('\n');
		if (param->group) {
			int r = print_scdoc(param->group, tabs + 1);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int keys_print(const struct schema *schema, enum cli_format format, struct err *err)
{
	if (!schema->count) {
		printf(format == CLI_TEXT ? "  no keys of its own\n" : "No keys of its own.\n\n");
		return 0;
	}
	if (format == CLI_TEXT) {
		printf("  keys:\n");
		print_text(schema, 4);
		return 0;
	}
	return print_scdoc(schema, 0) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

void keys_print_heading(const char *kind, const char *name, const char *summary, enum cli_format format)
{
	if (format == CLI_TEXT) {
		printf("%s %s: %s\n", kind, name, summary);
		return;
	}
	/* Headings have no formatting, so there is nothing to escape. */
	printf("## %c%s %s\n\n", toupper((unsigned char)kind[0]), kind + 1, name);
	print_sentence(summary);
	putchar('\n');
}

static int print_section(const struct section *section, enum cli_format format, struct err *err)
{
	struct schema *schema;
	int r = section->schema(&schema, err);

	if (r < 0)
		return r;
	keys_print_heading("section", section->name, section->summary, format);
	r = keys_print(schema, format, err);
	schema_free(schema);
	return r;
}

int cmd_keys(int argc, char **argv)
{
	enum cli_format format;
	struct err err = ERR_NONE;
	size_t count;
	const struct section *sections = sections_all(&count);
	int status = cli_format_args(argc, argv, 0, help, &format);

	if (status != CLI_OK)
		return status < 0 ? CLI_OK : status;
	for (size_t i = 0; i < count; i++) {
		if (i && format == CLI_TEXT)
			putchar('\n');
		if (print_section(&sections[i], format, &err) < 0) {
			cli_error("%s", err.text);
			return CLI_FAILED;
		}
	}
	return CLI_OK;
}
