/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts programs; see program.h. */
#include "core/placement/program.h"

#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

void program_environment(char *ret[static PROGRAM_ENVIRONMENT])
{
	size_t count = 0;

#ifdef BP_SANITIZED
	static const char *const names[] = { "ASAN_OPTIONS=", "LSAN_OPTIONS=", "TSAN_OPTIONS=", "UBSAN_OPTIONS=" };

	for (char **at = environ; at && *at; at++)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (count < PROGRAM_ENVIRONMENT - 1 && !strncmp(*at, names[i], strlen(names[i])))
				ret[count++] = *at;
#endif
	ret[count] = NULL;
}

static int set_attributes(posix_spawnattr_t *attributes, bool session)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t signals;
	int r;

	if (session)
		flags = (short)(flags | POSIX_SPAWN_SETSID);
	/* We block and ignore some, which a program would inherit. */
	sigemptyset(&signals);
	r = posix_spawnattr_setsigmask(attributes, &signals);
	sigfillset(&signals);
	if (!r)
		r = posix_spawnattr_setsigdefault(attributes, &signals);
	if (!r)
		r = posix_spawnattr_setflags(attributes, flags);
	return r;
}

int program_start(const struct program *program, pid_t *ret)
{
	char name[64];
	char *alone[] = { name, NULL };
	char *environment[PROGRAM_ENVIRONMENT];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	strncpy(name, program->name, sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	program_environment(environment);
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r)
		goto out;
	r = set_attributes(&attributes, program->session);
	/* One that has its number already keeps it, and is not closed at exec any more: glibc sees to that. */
	for (size_t i = 0; !r && i < program->count; i++)
		r = posix_spawn_file_actions_adddup2(&actions, program->fds[i], (int)i);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, (int)program->count);
	if (!r)
		r = posix_spawn(ret, program->path, &actions, &attributes,
				program->arguments ? program->arguments : alone, environment);
	posix_spawnattr_destroy(&attributes);
out:
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}
