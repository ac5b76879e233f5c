/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache: where it is, what is not trusted, and that a name is never there before its content. The source is included, since
 * one of its two ways to put a file there is only taken on file systems that are seldom at hand.
 */
#include "core/placement/cache.c" // NOLINT(bugprone-suspicious-include)

#include "tests/unit/support.h"

#include <ftw.h>
#include <sys/wait.h>

#define NAME    "0123abcd-1"
#define CONTENT "what was unpacked"

static char base[64];
static int source = -1;

static int make_base(void **state)
{
	(void)state;
	strcpy(base, "/tmp/bp-test-cache-XXXXXX");
	source = memfd_create("source", MFD_CLOEXEC);
	if (!mkdtemp(base) || source < 0 || pwrite(source, CONTENT, sizeof(CONTENT), 0) != sizeof(CONTENT))
		return -1;
	unsetenv("XDG_CACHE_HOME");
	return setenv("BACKPLANE_CACHE", base, 1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

static int remove_base(void **state)
{
	(void)state;
	close(source);
	return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int open_cache(void)
{
	struct err err;
	int fd = cache_open("unpacked", &err);

	if (fd < 0)
		fail_msg("%s", err.text);
	return fd;
}

/* How many entries the folder has, and whether the one of our name is right. */
static size_t entries(int dir_fd)
{
	DIR *dir = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY));
	size_t count = 0;

	MUST(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return count;
}

static void assert_good(int dir_fd)
{
	char text[sizeof(CONTENT)];
	struct err err;
	struct stat st;
	int fd = cache_get(dir_fd, NAME, sizeof(CONTENT), &err);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, text, sizeof(text), 0), sizeof(text));
	assert_string_equal(text, CONTENT);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(entries(dir_fd), 1);
	close(fd);
}

static void put_and_get(void **state)
{
	int dir_fd = open_cache();
	size_t fds = count_fds();
	struct err err;

	(void)state;
	assert_int_equal(cache_get(dir_fd, NAME, sizeof(CONTENT), &err), -ENOENT);
	assert_int_equal(cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err), 0);
	assert_good(dir_fd);
	assert_int_equal(cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err), 0);
	assert_good(dir_fd);
	assert_int_equal(count_fds(), fds);
	close(dir_fd);
}

static void put_with_a_name(void **state)
{
	int dir_fd = open_cache();
	size_t fds = count_fds();

	(void)state;
	assert_int_equal(put_named(dir_fd, NAME, source, sizeof(CONTENT)), 0);
	assert_good(dir_fd);
	assert_int_equal(put_named(dir_fd, NAME, source, sizeof(CONTENT)), 0);
	assert_good(dir_fd);
	assert_int_equal(count_fds(), fds);
	close(dir_fd);
}

/* What a process that was killed leaves behind is not used, and is gone when the next one is ready. */
static void killed_while_writing(void **state)
{
	static const mode_t modes[] = { 0600, 0400 };
	int dir_fd = open_cache();
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		int fd = openat(dir_fd, "." NAME ".part", O_CREAT | O_EXCL | O_WRONLY, modes[i]);

		assert_int_equal(write(fd, "partial and longer than it should be", 36), 36);
		close(fd);
		assert_int_equal(cache_get(dir_fd, NAME, sizeof(CONTENT), &err), -ENOENT);
		assert_int_equal(put_named(dir_fd, NAME, source, sizeof(CONTENT)), 0);
		assert_good(dir_fd);
		assert_int_equal(unlinkat(dir_fd, NAME, 0), 0);
	}
	close(dir_fd);
}

static void another_one_is_writing(void **state)
{
	int dir_fd = open_cache();
	int fd = openat(dir_fd, "." NAME ".part", O_CREAT | O_EXCL | O_RDWR, 0600);

	(void)state;
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(put_named(dir_fd, NAME, source, sizeof(CONTENT)), -EAGAIN);
	close(fd);
	assert_int_equal(put_named(dir_fd, NAME, source, sizeof(CONTENT)), 0);
	assert_good(dir_fd);
	close(dir_fd);
}

/* A copy that fails half-way: a source that is shorter than it should be. */
static void short_source(void **state)
{
	int dir_fd = open_cache();
	struct err err;

	(void)state;
	assert_true(cache_put(dir_fd, NAME, source, sizeof(CONTENT) + 1, &err) < 0);
	assert_int_equal(entries(dir_fd), 0);
	assert_true(put_named(dir_fd, NAME, source, sizeof(CONTENT) + 1) < 0);
	assert_int_equal(entries(dir_fd), 0);
	close(dir_fd);
}

static void many_at_once(void **state)
{
	int dir_fd = open_cache();
	pid_t pids[8];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(pids); i++) {
		fflush(NULL);
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			for (int round = 0; round < 200; round++) {
				char text[sizeof(CONTENT)] = "";
				struct err err;
				int r = i % 2 ? cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err)
					      : put_named(dir_fd, NAME, source, sizeof(CONTENT));
				int fd;

				if (r < 0 && r != -EAGAIN)
					_exit(1);
				fd = cache_get(dir_fd, NAME, sizeof(CONTENT), &err);
				if (fd < 0 && fd != -ENOENT)
					_exit(2);
				if (fd >= 0 &&
				    (pread(fd, text, sizeof(text), 0) != sizeof(text) || strcmp(text, CONTENT) != 0))
					_exit(3);
				fd_close(fd);
			}
			_exit(0);
		}
	}
	for (size_t i = 0; i < COUNT_OF(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_good(dir_fd);
	close(dir_fd);
}

/* ---- what is not trusted ---- */

static void put_bad(int dir_fd, const char *content, mode_t mode)
{
	int fd = openat(dir_fd, NAME, O_CREAT | O_EXCL | O_WRONLY, 0600);

	MUST(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content) && fchmod(fd, mode) == 0);
	close(fd);
}

static void assert_refused(int dir_fd, const char *part)
{
	struct err err;

	assert_int_equal(cache_get(dir_fd, NAME, sizeof(CONTENT), &err), -EPERM);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	assert_int_equal(cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err), 0);
	assert_good(dir_fd);
	assert_int_equal(unlinkat(dir_fd, NAME, 0), 0);
}

static void bad_files(void **state)
{
	int dir_fd = open_cache();
	struct err err;

	(void)state;
	put_bad(dir_fd, "123456789012345678", 0420);
	assert_refused(dir_fd, "others can write to it");
	put_bad(dir_fd, "123456789012345678", 0402);
	assert_refused(dir_fd, "others can write to it");
	put_bad(dir_fd, "too short", 0400);
	assert_refused(dir_fd, "right size");
	assert_int_equal(mkfifoat(dir_fd, NAME, 0600), 0);
	assert_refused(dir_fd, "not a regular file");
	if (geteuid() == 0) {
		put_bad(dir_fd, "123456789012345678", 0400);
		assert_int_equal(fchownat(dir_fd, NAME, 65534, 65534, 0), 0);
		assert_refused(dir_fd, "others can write to it");
	}
	/* A link is not followed, whatever it leads to. */
	put_bad(dir_fd, "123456789012345678", 0400);
	assert_int_equal(renameat(dir_fd, NAME, dir_fd, "target"), 0);
	assert_int_equal(symlinkat("target", dir_fd, NAME), 0);
	assert_int_equal(cache_get(dir_fd, NAME, sizeof(CONTENT), &err), -ELOOP);
	assert_int_equal(cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err), 0);
	assert_int_equal(unlinkat(dir_fd, "target", 0), 0);
	assert_good(dir_fd);
	/* What cannot be replaced stays; the caller goes on without a cache. */
	assert_int_equal(unlinkat(dir_fd, NAME, 0), 0);
	assert_int_equal(mkdirat(dir_fd, NAME, 0700), 0);
	assert_true(cache_put(dir_fd, NAME, source, sizeof(CONTENT), &err) < 0);
	assert_int_equal(entries(dir_fd), 1);
	close(dir_fd);
}

static void bad_folders(void **state)
{
	char path[128];
	struct err err;

	(void)state;
	close(open_cache());
	snprintf(path, sizeof(path), "%s/unpacked", base);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(cache_open("unpacked", &err), -EPERM);
	assert_non_null(strstr(err.text, "others can write to it"));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_true(cache_open("unpacked", &err) < 0);
	assert_int_equal(unlink(path), 0);
	setenv("BACKPLANE_CACHE", "/proc/absent", 1);
	assert_true(cache_open("unpacked", &err) < 0);
	assert_true(err.text[0]);
}

static void where_it_is(void **state)
{
	char path[128];
	struct err err;
	int fd;

	(void)state;
	setenv("BACKPLANE_CACHE", "", 1);
	setenv("XDG_CACHE_HOME", base, 1);
	fd = cache_open("unpacked", &err);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/backplane/unpacked", base);
	assert_int_equal(access(path, F_OK), 0);
	unsetenv("XDG_CACHE_HOME");
	if (geteuid() != 0) {
		setenv("HOME", base, 1);
		fd = cache_open("unpacked", &err);
		assert_true(fd >= 0);
		close(fd);
		snprintf(path, sizeof(path), "%s/.cache/backplane/unpacked", base);
		assert_int_equal(access(path, F_OK), 0);
		unsetenv("HOME");
		assert_int_equal(cache_open("unpacked", &err), -ENOENT);
	}
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)
	const struct CMUnitTest tests[] = {
		IN_A_FOLDER(put_and_get),
		IN_A_FOLDER(put_with_a_name),
		IN_A_FOLDER(killed_while_writing),
		IN_A_FOLDER(another_one_is_writing),
		IN_A_FOLDER(short_source),
		IN_A_FOLDER(many_at_once),
		IN_A_FOLDER(bad_files),
		IN_A_FOLDER(bad_folders),
		IN_A_FOLDER(where_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
