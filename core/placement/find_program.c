/* SPDX-License-Identifier: BSD-3-Clause */
/* Where programs of ours are that users do not call; see spawner.h. The VMM and the spawner both have it. */
#include "core/placement/own_place.h"
#include "core/placement/spawner.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#ifndef BACKPLANE_LIBEXEC_DIR
#error "BACKPLANE_LIBEXEC_DIR must be set by the build"
#endif

static_assert(PATH_MAX == 4096, "spawner.h says so");

void spawner_find_program(const char *build_path, const char *name, char path[static 4096])
{
	struct own_place own;

	if (own_place_find(&own)) {
		if (snprintf(path, PATH_MAX, "%s/%s", own.folder, build_path) < PATH_MAX && access(path, X_OK) == 0)
			return;
		if (own.installed &&
		    snprintf(path, PATH_MAX, "%s%s/%s", own.root, BACKPLANE_LIBEXEC_DIR, name) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return;
	}
	snprintf(path, PATH_MAX, "%s/%s", BACKPLANE_LIBEXEC_DIR, name);
}
