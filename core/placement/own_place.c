/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the program that runs is; see own_place.h. */
#include "core/placement/own_place.h"

#include <assert.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#if !defined(BACKPLANE_LIBEXEC_DIR) || !defined(BACKPLANE_BIN_DIR)
#error "BACKPLANE_LIBEXEC_DIR and BACKPLANE_BIN_DIR must be set by the build"
#endif

static_assert(PATH_MAX == 4096, "own_place.h says so");

/* Whether the folder is "ROOT/usr/bin" for an `installed` "/usr/bin": then that is its root. */
static bool has_root(struct own_place *place, const char *installed)
{
	size_t length = strlen(place->folder), tail = strlen(installed);

	if (length < tail || strcmp(place->folder + length - tail, installed) != 0)
		return false;
	memcpy(place->root, place->folder, length - tail);
	place->root[length - tail] = 0;
	return true;
}

bool own_place_find(struct own_place *ret)
{
	static const char *const installed[] = { BACKPLANE_BIN_DIR, BACKPLANE_LIBEXEC_DIR };
	ssize_t length = readlink("/proc/self/exe", ret->folder, sizeof(ret->folder) - 1);
	char *slash;

	if (length <= 0)
		return false;
	ret->folder[length] = 0;
	slash = strrchr(ret->folder, '/');
	if (!slash)
		return false;
	*slash = 0;
	ret->root[0] = 0;
	ret->installed = false;
	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]) && !ret->installed; i++)
		ret->installed = has_root(ret, installed[i]);
	return true;
}
