/* SPDX-License-Identifier: BSD-3-Clause */
/* What the commands share; see cli.h. Main thread. */
#include "core/cli/cli.h"

#include "core/base/log.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_SET = 256, OPTION_LOG_LEVEL, OPTION_METRICS, OPTION_FORMAT, OPTION_HELP };

static const struct option file_options[] = {
	{ "set", required_argument, NULL, OPTION_SET },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

static const struct option run_options[] = {
	{ "set", required_argument, NULL, OPTION_SET },
	{ "metrics", required_argument, NULL, OPTION_METRICS },
	{ "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

static const struct option plain_options[] = {
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

static const struct option format_options[] = {
	{ "format", required_argument, NULL, OPTION_FORMAT },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 },
};

void cli_error(const char *format, ...)
{
	char text[ERR_TEXT_MAX + 128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* Parts of it may come from files and command lines: one line it stays. */
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	fprintf(stderr, "%s\n", text);
}

int cli_usage(const char *command, const char *problem)
{
	cli_error("backplane %s: %s; see `backplane %s --help`", command, problem, command);
	return CLI_USAGE;
}

int cli_bad_option(char **argv, int option)
{
	char problem[200];
	const char *text = argv[optind - 1];

	snprintf(problem, sizeof(problem),
		 option == ':' ? "option \"%.100s\" needs a value" : "unknown option \"%.100s\"", text);
	return cli_usage(argv[0], problem);
}

static int read_options(struct cli_file *file, int argc, char **argv, const char *help, const struct option *options)
{
	enum log_level level;
	int option;

	/* Options may stand before and after the file. The leading ':' keeps getopt quiet: one line, and it is ours. */
	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
		switch (option) {
		case OPTION_SET:
			file->sets[file->set_count++] = optarg;
			break;
		case OPTION_METRICS:
			file->metrics = optarg;
			break;
		case OPTION_LOG_LEVEL:
			if (log_level_parse(optarg, &level) < 0)
				return cli_usage(argv[0], "--log-level is one of error, warning, info, debug");
			log_set_level(level);
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return -1;
		default:
			return cli_bad_option(argv, option);
		}
	if (argc - optind != 1)
		return cli_usage(argv[0], argc == optind ? "a configuration file is missing"
							 : "one configuration file, not several");
	file->path = argv[optind];
	return CLI_OK;
}

static int open_with(struct cli_file *file, int argc, char **argv, const char *help, const struct option *options)
{
	struct err err = ERR_NONE;
	int r;

	memset(file, 0, sizeof(*file));
	file->sets = calloc((size_t)argc, sizeof(*file->sets));
	if (!file->sets) {
		cli_error("out of memory");
		return CLI_FAILED;
	}
	r = read_options(file, argc, argv, help, options);
	if (r != CLI_OK)
		return r;
	if (config_load(file->path, file->sets, file->set_count, &file->config, &err) < 0 ||
	    store_new(&file->store, &err) < 0 || plan_make(file->config, file->store, &file->plan, &err) < 0) {
		cli_error("%s", err.text);
		return CLI_USAGE;
	}
	return CLI_OK;
}

int cli_file_open(struct cli_file *file, int argc, char **argv, const char *help)
{
	return open_with(file, argc, argv, help, file_options);
}

int cli_run_open(struct cli_file *file, int argc, char **argv, const char *help)
{
	return open_with(file, argc, argv, help, run_options);
}

void cli_file_close(struct cli_file *file)
{
	plan_free(file->plan);
	store_free(file->store);
	config_free(file->config);
	free(file->sets);
}

static int read_args(int argc, char **argv, int count, const char *help, const struct option *options,
		     enum cli_format *ret_format)
{
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
		switch (option) {
		case OPTION_FORMAT:
			if (strcmp(optarg, "text") != 0 && strcmp(optarg, "scdoc") != 0)
				return cli_usage(argv[0], "--format is one of text, scdoc");
			*ret_format = optarg[0] == 's' ? CLI_SCDOC : CLI_TEXT;
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return -1;
		default:
			return cli_bad_option(argv, option);
		}
	if (argc - optind != count)
		return cli_usage(argv[0], argc - optind < count ? "an argument is missing" : "too many arguments");
	return CLI_OK;
}

int cli_plain_args(int argc, char **argv, int count, const char *help)
{
	return read_args(argc, argv, count, help, plain_options, NULL);
}

int cli_format_args(int argc, char **argv, int count, const char *help, enum cli_format *ret_format)
{
	*ret_format = CLI_TEXT;
	return read_args(argc, argv, count, help, format_options, ret_format);
}
