/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the paths in a configuration lead; see path.h. */
#include "core/config/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int config_resolve_path(const struct place *place, const char *path, char **ret)
{
	const char *slash = place->file ? strrchr(place->file, '/') : NULL;
	size_t directory = slash ? (size_t)(slash + 1 - place->file) : 0;
	size_t bytes = strlen(path) + 1;
	char *resolved;

	if (path[0] == '/')
		directory = 0;
	resolved = malloc(directory + bytes);
	if (!resolved)
		return -ENOMEM;
	if (directory)
		memcpy(resolved, place->file, directory);
	memcpy(resolved + directory, path, bytes);
	*ret = resolved;
	return 0;
}
