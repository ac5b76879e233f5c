/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replays a corpus: linked with a fuzz target instead of libFuzzer, it hands over every file of tests/fuzz/corpus/NAME, where
 * the program's name is replay_NAME, and prints TAP. A crash ends it before the plan is fulfilled. Files or folders to replay
 * instead can be given as arguments.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PREFIX "replay_"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t points;

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;
	int r = -1;

	if (!file || fstat(fileno(file), &st) < 0)
		goto end;
	/* Of exactly the file's size, so that a sanitizer sees every byte too far. */
	data = malloc(st.st_size ? (size_t)st.st_size : 1);
	if (!data || fread(data, 1, (size_t)st.st_size, file) != (size_t)st.st_size)
		goto end;
	r = LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
end:
	free(data);
	if (file)
		fclose(file);
	printf("%s %zu - %s\n", r ? "not ok" : "ok", ++points, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	fflush(stdout);
	return r;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int replay_folder(const char *folder)
{
	struct dirent **entries;
	int count = scandir(folder, &entries, visible, by_name);
	int failed = 0;

	if (count < 0 && errno == ENOTDIR) {
		printf("1..1\n");
		return replay_file(folder) != 0;
	}
	if (count < 0) {
		printf("Bail out! %s: %s\n", folder, strerror(errno));
		return 1;
	}
	printf("1..%d\n", count);
	for (int i = 0; i < count; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		failed |= replay_file(path) != 0;
		free(entries[i]);
	}
	free(entries);
	return failed;
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	const char *source = getenv("BP_SRC");
	char folder[4096];

	if (argc > 1) {
		int failed = 0;

		for (int i = 1; i < argc; i++)
			failed |= replay_folder(argv[i]);
		return failed;
	}
	if (strncmp(base, PREFIX, strlen(PREFIX)) != 0) {
		fprintf(stderr, "%s: this program must be named " PREFIX "NAME\n", base);
		return 2;
	}
	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", source ? source : ".", base + strlen(PREFIX));
	return replay_folder(folder);
}
