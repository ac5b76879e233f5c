/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Judges what a disk would have been like after crashes:
 *
 *   judge LOG BASE FOLDER COUNT SEED
 *
 * LOG comes from recorder.c, BASE is what the disk had at its beginning, FOLDER is an empty one to work in. For each of COUNT crash
 * images (image.h; the first has the seed SEED, the next SEED + 1):
 *
 *   - e2fsck -fp, which replays the journal and mends what is safe to mend, ends with status 0 or 1 ("errors corrected");
 *     if it leaves something (status 4 or 8), e2fsck -fy ends with 0 or 1, and the image counts as repaired;
 *   - e2fsck -fn then finds nothing (status 0);
 *   - every record that the guest knew to be safe is there (promises.h), in the files that debugfs gets out.
 *
 * Prints a line for each image, details below it if something is wrong, and at the end what there was:
 *
 *   judge: IMAGES images of PROMISES promises, FLUSHES flushes, WRITES writes: REPAIRED repaired, UNCLEAN unclean, LOST lost data
 *
 * ext4 writes its superblock, which is two sectors with one checksum, at mount and unmount without the journal, so a rare image needs
 * -fy rightly: one whose superblock is torn. Status 0 if none is unclean, none lost data, and no more than one in PER_REPAIRED is
 * repaired; 1 if not; 2 if nothing could be judged. A failed image can be looked at again: COUNT 1 and its seed leave it in
 * FOLDER/image, as e2fsck left it.
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

#define PER_REPAIRED 20

struct judge {
	struct crash_log log;
	struct crash_promises promises;
	const uint8_t *base;
	uint8_t *image; /* mapped: FOLDER/image */
	int folder;
	unsigned long repaired, unclean, lost;
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

static bool mended(int status)
{
	return status == 0 || status == 1;
}

static bool check_clean(struct judge *judge)
{
	static const char *const mend[] = { "e2fsck", "-fp", "image", NULL };
	static const char *const repair[] = { "e2fsck", "-fy", "image", NULL };
	static const char *const look[] = { "e2fsck", "-fn", "image", NULL };
	int status = run(judge->folder, mend);

	if (status > 0 && status & (4 | 8)) {
		printf("  e2fsck -fp ended with status %d\n", status);
		repeat_said(judge->folder);
		status = run(judge->folder, repair);
		judge->repaired += mended(status);
	}
	if (mended(status))
		status = run(judge->folder, look);
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

/* Makes the disk after one crash, and counts what is wrong with it. */
static void judge_one(struct judge *judge, uint64_t seed)
{
	struct crash_cut cut = crash_draw(&judge->log, judge->promises.list[0].at + 1, seed);

	memcpy(judge->image, judge->base, judge->log.image_bytes);
	crash_apply(&judge->log, &cut, judge->image);
	printf("image of seed %" PRIu64 ": crash after entry %zu of %zu, %zu of them flushed, of the rest: %s\n", seed,
	       cut.at, judge->log.count, cut.flushed, crash_manner_name(cut.manner));
	judge->unclean += !check_clean(judge);
	judge->lost += !check_promises(judge, &cut);
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
	unsigned long count;
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
	if (r)
		return complain(argv[1], -r);
	base_bytes = judge.log.image_bytes;
	r = map(argv[2], &base_bytes, &judge.base);
	if (r)
		return complain(argv[2], -r);
	r = make_image(&judge, argv[3]);
	if (r)
		return complain(argv[3], -r);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long i = 0; i < count; i++)
		judge_one(&judge, seed + i);
	printf("judge: %lu images of %zu promises, %zu flushes, %zu writes: %lu repaired, %lu unclean, %lu lost data\n",
	       count, judge.promises.count, count_of(&judge.log, CRASH_FLUSH), count_of(&judge.log, CRASH_WRITE),
	       judge.repaired, judge.unclean, judge.lost);
	free(judge.promises.list);
	crash_log_free(&judge.log);
	return judge.unclean || judge.lost || judge.repaired > count / PER_REPAIRED ? 1 : 0;
}
