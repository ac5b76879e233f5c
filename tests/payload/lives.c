/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a VM again and again in one process, as `backplane run` does, and counts what this process has after each time:
 *
 *   lives ROUNDS OPTION... FILE
 *
 * Exit status: 0 if all VMs have ended with 0 and the counts have not changed since the first one; else 1, with a line
 * on standard error.
 */
#include "core/cli/cli.h"
#include "tests/payload/family.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILDREN_MAX 64
#define LINE_MAX     4096
#define ROUNDS_MAX   100000

struct counts {
	size_t descriptors;
	size_t memfds; /* among the descriptors and the mappings */
	size_t threads;
	size_t children;
};

static size_t count_names(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

static size_t count_memfd_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		char target[64] = "";

		if (readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0)
			count += !strncmp(target, "/memfd:", 7);
	}
	if (dir)
		closedir(dir);
	return count;
}

static size_t count_memfd_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[LINE_MAX];
	size_t count = 0;

	while (file && fgets(line, sizeof(line), file))
		count += strstr(line, "/memfd:") != NULL;
	if (file)
		fclose(file);
	return count;
}

static struct counts count_all(void)
{
	pid_t children[CHILDREN_MAX];

	return (struct counts){
		.descriptors = count_names("/proc/self/fd"),
		.memfds = count_memfd_descriptors() + count_memfd_mappings(),
		.threads = count_names("/proc/self/task"),
		.children = family_children(getpid(), children, CHILDREN_MAX),
	};
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct counts first = { 0 };

	if (!rounds || rounds > ROUNDS_MAX) {
		fprintf(stderr, "usage: lives ROUNDS OPTION... FILE\n");
		return 2;
	}
	for (unsigned long i = 0; i < rounds; i++) {
		int status = cmd_run(argc - 1, argv + 1);
		struct counts now = count_all();

		if (status != 0) {
			fprintf(stderr, "VM %lu: status %d\n", i, status);
			return 1;
		}
		if (i == 0)
			first = now;
		if (memcmp(&first, &now, sizeof(now)) != 0 || now.children) {
			fprintf(stderr,
				"VM %lu: %zu descriptors, %zu memfds, %zu threads, %zu children; after the first: "
				"%zu, %zu, %zu, %zu\n",
				i, now.descriptors, now.memfds, now.threads, now.children, first.descriptors,
				first.memfds, first.threads, first.children);
			return 1;
		}
	}
	printf("# %zu descriptors, %zu memfds, %zu threads after each of %lu\n", first.descriptors - 3, first.memfds,
	       first.threads - 2, rounds);
	return 0;
}
