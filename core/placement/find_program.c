/* SPDX-License-Identifier: BSD-3-Clause */
/* Where programs of ours are that users do not call; see spawner.h. The VMM and the spawner both have it. */
#include "core/placement/spawner.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if !defined(BACKPLANE_LIBEXEC_DIR) || !defined(BACKPLANE_BIN_DIR)
#error "BACKPLANE_LIBEXEC_DIR and BACKPLANE_BIN_DIR must be set by the build"
#endif

static_assert(PATH_MAX == 4096, "spawner.h says so");

/* Whether `folder`, which is "ROOT/usr/bin" for an `installed` "/usr/bin", has it: then *ret_length is that of "ROOT". */
static bool ends_with(const char *folder, const char *installed, size_t *ret_length)
{
	size_t length = strlen(folder), tail = strlen(installed);

	if (length < tail || strcmp(folder + length - tail, installed) != 0)
		return false;
	*ret_length = length - tail;
	return true;
}

/* Beside the program `own`, which is cut into the name of its folder: where the build has it, or what was installed
 * with it, below whatever root. */
static bool find_beside(char *own, const char *build_path, const char *name, char path[static 4096])
{
	char *slash = strrchr(own, '/');
	size_t root = 0;

	if (!slash)
		return false;
	*slash = 0;
	if (snprintf(path, PATH_MAX, "%s/%s", own, build_path) < PATH_MAX && access(path, X_OK) == 0)
		return true;
	return (ends_with(own, BACKPLANE_BIN_DIR, &root) || ends_with(own, BACKPLANE_LIBEXEC_DIR, &root)) &&
	       snprintf(path, PATH_MAX, "%.*s%s/%s", (int)root, own, BACKPLANE_LIBEXEC_DIR, name) < PATH_MAX &&
	       access(path, X_OK) == 0;
}

void spawner_find_program(const char *build_path, const char *name, char path[static 4096])
{
	char own[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (length > 0) {
		own[length] = 0;
		if (find_beside(own, build_path, name, path))
			return;
	}
	snprintf(path, PATH_MAX, "%s/%s", BACKPLANE_LIBEXEC_DIR, name);
}
