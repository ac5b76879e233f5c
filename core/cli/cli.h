/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of `backplane`, one file each. Each gets its own arguments (argv[0] is the command's name) and returns the exit
 * status: CLI_OK, CLI_FAILED or CLI_USAGE. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "core/config/config.h"
#include "core/placement/plan.h"

#define CLI_OK     0 /* the guest powered off; the command did what was asked */
#define CLI_FAILED 1 /* something went wrong at run time */
#define CLI_USAGE  2 /* bad usage, bad configuration, or a host that cannot do it: nothing was started */

int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_plugins(int argc, char **argv);
int cmd_plugin(int argc, char **argv);
int cmd_connect(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_keys(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* What the commands on a configuration file share: options, file, plan. */
struct cli_file {
	const char *path;
	const char *metrics; /* of cli_run_open(), or NULL */
	size_t set_count;
	const char **sets; /* owned */
	struct config *config;
	struct store *store;
	struct plan *plan;
};

/* Reads `[OPTION]... FILE` and works the plan out. CLI_OK; or another status, after a line on stderr; or -1 if --help was
 * answered. Free in every case. */
int cli_file_open(struct cli_file *file, int argc, char **argv, const char *help);
/* The same with the options of `run` alone. */
int cli_run_open(struct cli_file *file, int argc, char **argv, const char *help);
void cli_file_close(struct cli_file *file);

/* One line on stderr, whatever the log level is. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line that says what is wrong with the command's arguments, or with the option for which getopt_long() has just returned
 * '?' or ':'. CLI_USAGE. */
int cli_usage(const char *command, const char *problem);
int cli_bad_option(char **argv, int option);

/* Exactly `count` arguments and no options but --help, which is answered. CLI_OK, another status, or -1 as above. */
int cli_plain_args(int argc, char **argv, int count, const char *help);

/* What the commands that describe keys print: text for people, or the source of a manual page. */
enum cli_format { CLI_TEXT, CLI_SCDOC };

/* The same for a command with the option --format. */
int cli_format_args(int argc, char **argv, int count, const char *help, enum cli_format *ret_format);

/* A heading, "class serial: 16550A serial port", and the keys below it, to standard output. 0, or -ENOMEM. */
void keys_print_heading(const char *kind, const char *name, const char *summary, enum cli_format format);
int keys_print(const struct schema *schema, enum cli_format format, struct err *err);

#endif
