/* SPDX-License-Identifier: BSD-3-Clause */
/* Context switches; see switches.h. */
#include "tests/bench/switches.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool switches_of(const char *path, uint64_t *ret)
{
	FILE *file = fopen(path, "re");
	char line[256];
	uint64_t count;
	int found = 0;

	*ret = 0;
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &count) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %" SCNu64, &count) == 1) {
			*ret += count;
			found++;
		}
	if (file)
		fclose(file);
	return found == 2;
}

uint64_t switches_of_others(void)
{
	DIR *threads = opendir("/proc/self/task");
	uint64_t sum = 0, count;
	struct dirent *entry;
	char path[300];

	while (threads && (entry = readdir(threads))) {
		if (strtol(entry->d_name, NULL, 10) == gettid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		if (switches_of(path, &count))
			sum += count;
	}
	if (threads)
		closedir(threads);
	return sum;
}
