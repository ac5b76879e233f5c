/* SPDX-License-Identifier: BSD-3-Clause */
/* The io engines: every kind gives the same results, for good requests and for bad ones. */
#include "tests/unit/io_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static uint8_t wrote[8 * MIB];
static uint8_t got[8 * MIB];

static void fill(struct io_user *user, size_t bytes)
{
	uint64_t seed = 1;

	fill_random(wrote, bytes, &seed);
	assert_int_equal(pwrite(user->fd, wrote, bytes, 0), bytes);
}

static off_t size_of(int fd)
{
	struct stat info;

	MUST(fstat(fd, &info) == 0);
	return info.st_size;
}

/* ---- reads and writes ---- */

/* Segments of odd sizes, empty ones among them, at an odd offset. */
static void segments_of_any_size(void **state)
{
	static const size_t sizes[] = { 0, 1, 0, 4096, 511, 70000, 0, 3, 1, 0 };
	struct io_user *user = *state;
	struct iovec iov[COUNT_OF(sizes)];
	struct io_request request = { .op = IO_WRITEV, .offset = 12345, .iov = iov, .iov_count = COUNT_OF(sizes) };
	size_t bytes = 0;
	uint64_t seed = 2;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		iov[i] = (struct iovec){ .iov_base = wrote + bytes, .iov_len = sizes[i] };
		bytes += sizes[i];
	}
	fill_random(wrote, bytes, &seed);
	assert_int_equal(io_user_run(user, &request), bytes);
	assert_int_equal(pread(user->fd, got, sizeof(got), 12345), bytes);
	assert_memory_equal(got, wrote, bytes);
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		iov[i].iov_base = got + ((uint8_t *)iov[i].iov_base - wrote);
	memset(got, 0, bytes);
	request.op = IO_READV;
	assert_int_equal(io_user_run(user, &request), bytes);
	assert_memory_equal(got, wrote, bytes);
}

/* The kernel takes 1024 at once; the engine more, and keeps their order. */
static void more_segments_than_the_kernel_takes(void **state)
{
	enum { COUNT = 3001, BYTES = 7 };
	struct io_user *user = *state;
	static struct iovec iov[COUNT];
	struct io_request request = { .op = IO_WRITEV, .offset = 5, .iov = iov, .iov_count = COUNT };
	uint64_t seed = 3;

	fill_random(wrote, COUNT * BYTES, &seed);
	for (size_t i = 0; i < COUNT; i++)
		iov[i] = (struct iovec){ .iov_base = wrote + i * BYTES, .iov_len = BYTES };
	assert_int_equal(io_user_run(user, &request), COUNT * BYTES);
	for (size_t i = 0; i < COUNT; i++)
		iov[i].iov_base = got + i * BYTES;
	memset(got, 0, COUNT * BYTES);
	request.op = IO_READV;
	assert_int_equal(io_user_run(user, &request), COUNT * BYTES);
	assert_memory_equal(got, wrote, COUNT * BYTES);
	assert_int_equal(size_of(user->fd), 5 + COUNT * BYTES);
}

/* The file ends in the middle of a segment, before one, and long before all of it. */
static void reads_end_where_the_file_does(void **state)
{
	struct io_user *user = *state;
	struct iovec iov[2] = { { .iov_base = got, .iov_len = 600 }, { .iov_base = got + 600, .iov_len = 1000 } };
	struct io_request request = { .op = IO_READV, .iov = iov, .iov_count = 2 };

	fill(user, 1000);
	assert_int_equal(io_user_run(user, &request), 1000);
	assert_memory_equal(got, wrote, 1000);
	request.offset = 400;
	assert_int_equal(io_user_run(user, &request), 600);
	assert_memory_equal(got, wrote + 400, 600);
	request.offset = 999;
	assert_int_equal(io_user_run(user, &request), 1);
	request.offset = 1000;
	assert_int_equal(io_user_run(user, &request), 0);
	request.offset = UINT64_C(1) << 40;
	assert_int_equal(io_user_run(user, &request), 0);
}

static void file_truncated_underneath(void **state)
{
	struct io_user *user = *state;

	fill(user, 64 * KIB);
	assert_int_equal(io_rw(user, IO_READV, got, 8 * KIB, 32 * KIB), 8 * KIB);
	assert_int_equal(ftruncate(user->fd, 33 * KIB), 0);
	assert_int_equal(io_rw(user, IO_READV, got, 8 * KIB, 32 * KIB), KIB);
	assert_memory_equal(got, wrote + 32 * KIB, KIB);
	assert_int_equal(io_rw(user, IO_READV, got, 8 * KIB, 40 * KIB), 0);
	assert_int_equal(io_range(user, IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 32 * KIB, 8 * KIB), 0);
	assert_int_equal(size_of(user->fd), 33 * KIB);
}

static void nothing_to_do(void **state)
{
	struct io_user *user = *state;
	struct io_request request = { .op = IO_WRITEV, .offset = 7 };

	assert_int_equal(io_user_run(user, &request), 0);
	request.op = IO_READV;
	assert_int_equal(io_user_run(user, &request), 0);
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, 0, 9), 0);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 9, 0), 0);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 9, 0), 0);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, IO_MAY_UNMAP, 9, 0), 0);
	assert_int_equal(size_of(user->fd), 0);
}

/* Direct I/O: aligned transfers, and the end of a file that is no multiple of anything. */
static void direct(void **state)
{
	struct io_user *user = *state;
	static alignas(4096) uint8_t out[64 * KIB];
	static alignas(4096) uint8_t in[64 * KIB];
	uint64_t seed = 4;
	int64_t r;

	io_engine_free(user->engine);
	user->engine = NULL;
	fd_close(user->fd);
	user->fd = io_temp_file(O_RDWR | O_DIRECT);
	if (user->fd < 0) {
		/* As tmpfs before Linux 6.6. */
		assert_int_equal(errno, EINVAL);
		skip();
	}
	assert_int_equal(io_user_open(user, user->fd), 0);
	fill_random(out, sizeof(out), &seed);
	assert_int_equal(io_rw(user, IO_WRITEV, out, sizeof(out), 4 * KIB), sizeof(out));
	assert_int_equal(io_rw(user, IO_READV, in, sizeof(in), 4 * KIB), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
	/* Some file systems do an unaligned one by their cache. */
	r = io_rw(user, IO_READV, in + 1, 100, 4 * KIB + 3);
	assert_true(r == -EINVAL || (r == 100 && memcmp(in + 1, out + 3, 100) == 0));
	assert_int_equal(ftruncate(user->fd, 9 * KIB + 10), 0);
	assert_int_equal(io_rw(user, IO_READV, in, sizeof(in), 4 * KIB), 5 * KIB + 10);
	assert_memory_equal(in, out, 5 * KIB + 10);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 4 * KIB, 4 * KIB), 0);
	assert_int_equal(io_range(user, IO_FLUSH, 0, 0, 0), 0);
	memset(out, 0, 4 * KIB);
	assert_int_equal(io_rw(user, IO_READV, in, 4 * KIB, 4 * KIB), 4 * KIB);
	assert_memory_equal(in, out, 4 * KIB);
}

/* ---- discard and zeroes ---- */

/* The range is zero, what lies beside it untouched, and the file as long as before. */
static void check_zeroed(struct io_user *user, size_t offset, size_t bytes, size_t file_bytes)
{
	memset(wrote + offset, 0, bytes);
	assert_int_equal(size_of(user->fd), file_bytes);
	assert_int_equal(io_rw(user, IO_READV, got, file_bytes, 0), file_bytes);
	assert_memory_equal(got, wrote, file_bytes);
}

static void zero_ranges(struct io_user *user)
{
	fill(user, 8 * MIB);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 64 * KIB + 3, 300 * KIB), 0);
	check_zeroed(user, 64 * KIB + 3, 300 * KIB, 8 * MIB);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, IO_MAY_UNMAP, MIB + 1, 70 * KIB + 1), 0);
	check_zeroed(user, MIB + 1, 70 * KIB + 1, 8 * MIB);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 2 * MIB - 5, 5 * MIB + 77), 0);
	check_zeroed(user, 2 * MIB - 5, 5 * MIB + 77, 8 * MIB);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 8 * MIB - 9, 9), 0);
	check_zeroed(user, 8 * MIB - 9, 9, 8 * MIB);
}

static void discard_and_zeroes(void **state)
{
	zero_ranges(*state);
}

/* Files in memory have no ZERO_RANGE, so zeroes are written. */
static void zeroes_where_the_file_system_lacks_them(void **state)
{
	struct io_user *user = *state;

	io_engine_free(user->engine);
	fd_close(user->fd);
	user->fd = memfd_create("zeroes", MFD_CLOEXEC);
	assert_int_equal(ftruncate(user->fd, MIB), 0);
	if (fallocate(user->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096) < 0)
		assert_int_equal(errno, EOPNOTSUPP);
	assert_int_equal(io_user_open(user, user->fd), 0);
	zero_ranges(user);
}

/* ---- errors ---- */

static void wrong_access_mode(void **state)
{
	struct io_user *user = *state;
	char path[64];
	int fd;

	fill(user, 4 * KIB);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", user->fd);
	io_engine_free(user->engine);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_user_open(user, fd), 0);
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, 100, 0), -EBADF);
	assert_int_equal(io_range(user, IO_DISCARD, 0, 0, 4 * KIB), -EBADF);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, 0, 0, 4 * KIB), -EBADF);
	assert_int_equal(io_range(user, IO_WRITE_ZEROES, IO_MAY_UNMAP, 0, 4 * KIB), -EBADF);
	assert_int_equal(io_range(user, IO_FLUSH, 0, 0, 0), 0);
	assert_int_equal(io_rw(user, IO_READV, got, 4 * KIB, 0), 4 * KIB);
	assert_memory_equal(got, wrote, 4 * KIB);
	io_engine_free(user->engine);
	close(fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(io_user_open(user, fd), 0);
	assert_int_equal(io_rw(user, IO_READV, got, 100, 0), -EBADF);
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, 100, 0), 100);
	io_engine_free(user->engine);
	user->engine = NULL;
	close(fd);
}

/* A write that cannot be whole is an error, after a part of it has been written, too. */
static void file_size_limit(void **state)
{
	struct io_user *user = *state;
	struct rlimit before, limit;
	sigset_t signals, old;
	int64_t across, beyond, below;

	sigemptyset(&signals);
	sigaddset(&signals, SIGXFSZ);
	pthread_sigmask(SIG_BLOCK, &signals, &old);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 64 * KIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	below = io_rw(user, IO_WRITEV, wrote, 4 * KIB, 0);
	across = io_rw(user, IO_WRITEV, wrote, 8 * KIB, 60 * KIB);
	beyond = io_rw(user, IO_WRITEV, wrote, 8 * KIB, 64 * KIB);
	setrlimit(RLIMIT_FSIZE, &before);
	signal(SIGXFSZ, SIG_IGN); /* drops one that is pending */
	signal(SIGXFSZ, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(below, 4 * KIB);
	assert_int_equal(across, -EFBIG);
	assert_int_equal(beyond, -EFBIG);
	assert_int_equal(io_rw(user, IO_WRITEV, wrote, 8 * KIB, 64 * KIB), 8 * KIB);
}

static void bad_requests_are_refused(void **state)
{
	struct io_user *user = *state;
	struct iovec iov[2] = { { .iov_base = got, .iov_len = 1 }, { .iov_base = got, .iov_len = 1 } };
	const struct io_request good = { .op = IO_READV, .iov = iov, .iov_count = 2 };
	struct io_request request;

#define REFUSED(error, ...)                                                       \
	do {                                                                      \
		request = good;                                                   \
		__VA_ARGS__;                                                      \
		assert_int_equal(io_engine_queue(user->engine, &request), error); \
	} while (0)
	REFUSED(-EINVAL, request.op = IO_OP_COUNT);
	REFUSED(-EINVAL, request.op = 255);
	REFUSED(-EINVAL, request.file = 1);
	REFUSED(-EINVAL, request.file = 255);
	REFUSED(-EINVAL, request.flags = IO_MAY_UNMAP);
	REFUSED(-EINVAL, request.op = IO_WRITE_ZEROES; request.flags = 2);
	REFUSED(-EINVAL, request.op = IO_DISCARD; request.flags = IO_MAY_UNMAP);
	REFUSED(-EINVAL, request.iov = NULL);
	REFUSED(-EINVAL, request.iov_count = IO_SEGMENTS_MAX + 1);
	REFUSED(-EINVAL, request.iov_count = UINT32_MAX);
	REFUSED(-EOVERFLOW, request.offset = INT64_MAX);
	REFUSED(-EOVERFLOW, request.offset = (uint64_t)INT64_MAX - 1);
	REFUSED(-EOVERFLOW, request.offset = UINT64_MAX);
	REFUSED(-EOVERFLOW, request.op = IO_DISCARD; request.offset = 1; request.bytes = INT64_MAX);
	REFUSED(-EOVERFLOW, request.op = IO_DISCARD; request.offset = UINT64_MAX; request.bytes = 1);
	REFUSED(-EOVERFLOW, request.op = IO_WRITE_ZEROES; request.bytes = UINT64_MAX);
	iov[0].iov_len = SIZE_MAX;
	REFUSED(-EOVERFLOW, (void)0);
	iov[0].iov_len = INT64_MAX;
	REFUSED(-EOVERFLOW, (void)0);
#undef REFUSED
	assert_int_equal(io_engine_in_flight(user->engine), 0);
	assert_false(io_engine_submit(user->engine));
	assert_int_equal(io_engine_reap(user->engine), 0);
	assert_int_equal(user->all_calls, 0);
}

/* Memory that is not there is the request's error, not the engine's end. */
static void bad_address(void **state)
{
	struct io_user *user = *state;
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill(user, 8 * KIB);
	assert_int_equal(io_rw(user, IO_READV, hole, 4096, 0), -EFAULT);
	assert_int_equal(io_rw(user, IO_WRITEV, hole, 4096, 0), -EFAULT);
	assert_int_equal(io_rw(user, IO_READV, got, 4096, 0), 4096);
	assert_memory_equal(got, wrote, 4096);
	munmap(hole, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_KIND(segments_of_any_size),
		EACH_KIND(more_segments_than_the_kernel_takes),
		EACH_KIND(reads_end_where_the_file_does),
		EACH_KIND(file_truncated_underneath),
		EACH_KIND(nothing_to_do),
		EACH_KIND(direct),
		EACH_KIND(discard_and_zeroes),
		EACH_KIND(zeroes_where_the_file_system_lacks_them),
		EACH_KIND(wrong_access_mode),
		EACH_KIND(file_size_limit),
		EACH_KIND(bad_requests_are_refused),
		EACH_KIND(bad_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
