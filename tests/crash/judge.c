/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges what a disk would have been like after crashes:
 *
 *   judge LOG BASE FOLDER COUNT SEED
 *
 * LOG comes from recorder.c, BASE is what the disk had at its beginning, FOLDER is an empty one to work in. For each of COUNT crash
 * images (image.h; the first has the seed SEED, the next SEED + 1):
 *
 *   - e2fsck -fy, which replays the journal, ends with status 0 or 1 ("errors corrected"), and e2fsck -fn then finds nothing (status 0);
 *   - every record that the guest knew to be safe is there (promises.h), in the files that debugfs gets out.
 *
 * Prints a line for each image that fails, and at the end what there was:
 *
 *   judge: IMAGES images of PROMISES promises, FLUSHES flushes, WRITES writes: UNCLEAN unclean, LOST lost data
 *
 * An image can be both. Status 0 if there is no such image, 1 if there is one, 2 if nothing could be judged. A failed image can be
 * looked at again: COUNT 1 and its seed leave it in FOLDER/image as e2fsck left it.
 */
#include "image.h"
#include "log.h"
#include "promises.h"
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct judge {
	struct crash_log log;
	struct crash_promises promises;
	const uint8_t *base;
	uint8_t *image; /* mapped: FOLDER/image */
	int folder;
	unsigned long unclean, lost;
};

static int complain(const char *what, int error)
{
	fprintf(stderr, "judge: %s: %s\n", what, strerror(error));
	return 2;
}

/* Runs a program in the folder, with its output in the file "said" there. Its exit status, or -1. */
static int run(int folder, const char *const command[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int said;

		if (fchdir(folder) < 0)
			_exit(127);
		said = open("said", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(said, STDOUT_FILENO);
		dup2(said, STDERR_FILENO);
		/* Its arguments are const in spirit. */
		execvp(command[0], (char *const *)(uintptr_t)command);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Prints what the program had to say, as details. */
static void repeat_said(int folder)
{
	char line[512];
	int fd = openat(folder, "said", O_RDONLY | O_CLOEXEC);
	FILE *said = fd < 0 ? NULL : fdopen(fd, "r");

	for (int i = 0; said && i < 20 && fgets(line, sizeof(line), said); i++)
		printf("  | %s", line);
	if (said)
		fclose(said);
}

static bool check_clean(const struct judge *judge)
{
	static const char *const mend[] = { "e2fsck", "-fy", "image", NULL };
	static const char *const look[] = { "e2fsck", "-fn", "image", NULL };
	int status = run(judge->folder, mend);

	if (status == 0 || status == 1)
		status = run(judge->folder, look);
	else
		status = status ? status : -1;
	if (status) {
		printf("  e2fsck ended with status %d\n", status);
		repeat_said(judge->folder);
	}
	return !status;
}

static bool check_promises(const struct judge *judge, const struct crash_cut *cut)
{
	static const char *const clear[] = { "rm", "-rf", "files", NULL };
	static const char *const get[] = { "debugfs", "-R", "rdump / files", "image", NULL };
	struct crash_promise broken;
	size_t count;
	int files;

	run(judge->folder, clear);
	if (mkdirat(judge->folder, "files", 0700) < 0 || run(judge->folder, get) != 0)
		repeat_said(judge->folder);
	files = openat(judge->folder, "files", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	count = crash_promises_broken(&judge->promises, cut->at, files, &broken);
	if (files >= 0)
		close(files);
	if (count)
		printf("  %zu promises are broken, the first: record %" PRIu32 " of stream %" PRIu32
		       ", said by entry %zu\n",
		       count, broken.number, broken.stream, broken.at);
	return !count;
}

/* Whether the disk is as it should be after one crash. */
static bool judge_one(struct judge *judge, uint64_t seed)
{
	struct crash_cut cut = crash_draw(&judge->log, judge->promises.list[0].at + 1, seed);
	bool clean, whole;

	memcpy(judge->image, judge->base, judge->log.image_bytes);
	crash_apply(&judge->log, &cut, judge->image);
	printf("image of seed %" PRIu64 ": crash after entry %zu of %zu, %zu of them flushed, of the rest: %s\n", seed,
	       cut.at, judge->log.count, cut.flushed, crash_manner_name(cut.manner));
	clean = check_clean(judge);
	whole = check_promises(judge, &cut);
	judge->unclean += !clean;
	judge->lost += !whole;
	return clean && whole;
}

/* Maps a file; its size must be `size` unless that is 0. 0 or -errno. */
static int map(const char *path, size_t *size, const uint8_t **ret)
{
	struct stat st;
	void *bytes;
	int r = -EINVAL, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > 0 && (!*size || (size_t)st.st_size == *size)) {
		bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		r = bytes == MAP_FAILED ? -errno : 0;
	}
	close(fd);
	if (r == 0) {
		*size = (size_t)st.st_size;
		*ret = bytes;
	}
	return r;
}

static int make_image(struct judge *judge, const char *path)
{
	void *image;
	int r, fd;

	judge->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (judge->folder < 0)
		return -errno;
	fd = openat(judge->folder, "image", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = ftruncate(fd, (off_t)judge->log.image_bytes) < 0 ? -errno : 0;
	if (r == 0) {
		image = mmap(NULL, judge->log.image_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (image == MAP_FAILED)
			r = -errno;
		else
			judge->image = image;
	}
	close(fd);
	return r;
}

static size_t count_of(const struct crash_log *log, enum crash_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < log->count; i++)
		count += log->entries[i].kind == kind;
	return count;
}

int main(int argc, char **argv)
{
	struct judge judge = { .folder = -1 };
	const uint8_t *log = NULL;
	size_t log_bytes = 0, base_bytes;
	uint64_t seed;
	unsigned long count, failed = 0;
	int r;

	if (argc != 6)
		return complain("usage: judge LOG BASE FOLDER COUNT SEED", EINVAL);
	count = strtoul(argv[4], NULL, 10);
	seed = strtoull(argv[5], NULL, 10);
	r = map(argv[1], &log_bytes, &log);
	if (r == 0)
		r = crash_log_read(log, log_bytes, &judge.log);
	if (r == 0)
		r = crash_promises_find(&judge.log, &judge.promises);
	if (r == 0 && !judge.promises.count)
		r = -ENODATA;
	if (r < 0)
		return complain(argv[1], -r);
	base_bytes = judge.log.image_bytes;
	r = map(argv[2], &base_bytes, &judge.base);
	if (r < 0)
		return complain(argv[2], -r);
	r = make_image(&judge, argv[3]);
	if (r < 0)
		return complain(argv[3], -r);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long i = 0; i < count; i++)
		failed += !judge_one(&judge, seed + i);
	printf("judge: %lu images of %zu promises, %zu flushes, %zu writes: %lu unclean, %lu lost data\n", count,
	       judge.promises.count, count_of(&judge.log, CRASH_FLUSH), count_of(&judge.log, CRASH_WRITE),
	       judge.unclean, judge.lost);
	free(judge.promises.list);
	crash_log_free(&judge.log);
	return failed ? 1 : 0;
}
