/* SPDX-License-Identifier: BSD-3-Clause */
/* The io engines: many requests at once, draining, ending, several files; and engines that cannot be made. */
#include "tests/unit/io_fixture.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BLOCK 4096u

static alignas(4096) uint8_t blocks[DEPTH][BLOCK];

/* Writes to all blocks, each request with a pattern of its own; none of them is submitted. */
static void queue_writes(struct io_user *user)
{
	for (size_t i = 0; i < DEPTH; i++) {
		memset(blocks[i], (int)(i + 1), BLOCK);
		user->iov[i] = (struct iovec){ .iov_base = blocks[i], .iov_len = BLOCK };
		user->requests[i] =
		    (struct io_request){ .op = IO_WRITEV, .offset = i * BLOCK, .iov = &user->iov[i], .iov_count = 1 };
		MUST(io_engine_queue(user->engine, &user->requests[i]) == 0);
	}
}

static void check_writes(const struct io_user *user)
{
	static uint8_t content[DEPTH * BLOCK];

	for (size_t i = 0; i < DEPTH; i++) {
		assert_int_equal(user->calls[i], 1);
		assert_int_equal(user->requests[i].result, BLOCK);
	}
	assert_int_equal(pread(user->fd, content, sizeof(content), 0), sizeof(content));
	assert_memory_equal(content, blocks, sizeof(content));
}

static void full_depth(void **state)
{
	struct io_user *user = *state;
	struct io_request more = { .op = IO_FLUSH };

	queue_writes(user);
	assert_int_equal(io_engine_in_flight(user->engine), DEPTH);
	assert_int_equal(io_engine_queue(user->engine, &more), -EBUSY);
	assert_int_equal(user->all_calls, 0);
	io_engine_submit(user->engine);
	while (io_engine_in_flight(user->engine))
		io_user_wait(user);
	check_writes(user);
	assert_int_equal(io_user_run(user, &more), 0);
}

static void drain_submits_and_waits(void **state)
{
	struct io_user *user = *state;

	queue_writes(user);
	io_engine_drain(user->engine);
	assert_int_equal(io_engine_in_flight(user->engine), 0);
	check_writes(user);
	io_engine_drain(user->engine);
	assert_int_equal(user->all_calls, DEPTH);
}

/* What nobody has begun is not begun any more; then the engine goes on. */
static void cancel_begins_nothing(void **state)
{
	struct io_user *user = *state;
	struct io_request more = { .op = IO_FLUSH };

	queue_writes(user);
	io_engine_cancel(user->engine);
	assert_int_equal(io_engine_in_flight(user->engine), 0);
	for (size_t i = 0; i < DEPTH; i++) {
		assert_int_equal(user->calls[i], 1);
		assert_int_equal(user->requests[i].result, -ECANCELED);
	}
	assert_int_equal(lseek(user->fd, 0, SEEK_END), 0);
	assert_int_equal(io_user_run(user, &more), 0);
}

static void free_ends_what_is_in_flight(void **state)
{
	struct io_user *user = *state;
	struct io_engine *engine = user->engine;

	queue_writes(user);
	io_engine_submit(engine);
	user->engine = NULL;
	io_engine_free(engine);
	check_writes(user);
}

/* What `done` queues is for the next submit, and drain waits for it as well. */
static void done_may_queue(void **state)
{
	struct io_user *user = *state;
	struct io_request request = { .op = IO_FLUSH };

	user->again = 2;
	assert_int_equal(io_engine_queue(user->engine, &request), 0);
	io_engine_submit(user->engine);
	while (!user->all_calls)
		io_user_wait(user);
	assert_int_equal(user->all_calls, 1);
	assert_int_equal(io_engine_in_flight(user->engine), 1);
	io_engine_drain(user->engine);
	assert_int_equal(user->all_calls, 3);
}

static void *submit_in_thread(void *arg)
{
	struct io_user *user = arg;

	queue_writes(user);
	io_engine_submit(user->engine);
	return NULL;
}

/* Another thread than the one that submitted drains, after that one has ended: nothing is lost, nothing is cancelled. */
static void drained_by_another_thread(void **state)
{
	struct io_user *user = *state;
	int flags = fcntl(user->fd, F_GETFL);
	pthread_t thread;

	/* Where the file system has direct I/O it is more likely to be in flight still. */
	assert_int_equal(ftruncate(user->fd, DEPTH * BLOCK), 0);
	for (int round = 0; round < 5; round++) {
		if (fcntl(user->fd, F_SETFL, flags | O_DIRECT) < 0)
			assert_int_equal(errno, EINVAL);
		memset(user->calls, 0, sizeof(user->calls));
		MUST(pthread_create(&thread, NULL, submit_in_thread, user) == 0);
		assert_true(thread_join(thread));
		io_engine_drain(user->engine);
		fcntl(user->fd, F_SETFL, flags);
		check_writes(user);
	}
}

static void files_by_number(void **state)
{
	struct io_user *user = *state;
	int fds[3] = { user->fd, io_temp_file(O_RDWR), io_temp_file(O_RDWR) };
	const struct io_engine_spec spec = {
		.kind = user->kind, .fds = fds, .fd_count = 3, .depth = DEPTH, .done = io_user_done, .ctx = user
	};
	struct iovec iov = { .iov_base = blocks[0], .iov_len = BLOCK };
	struct io_request request = { .op = IO_WRITEV, .file = 2, .offset = 10, .iov = &iov, .iov_count = 1 };
	struct err err;
	uint8_t byte;

	io_engine_free(user->engine);
	assert_int_equal(io_engine_new(&spec, &user->engine, &err), 0);
	memset(blocks[0], 0x5a, BLOCK);
	assert_int_equal(io_user_run(user, &request), BLOCK);
	assert_int_equal(pread(fds[2], &byte, 1, 10), 1);
	assert_int_equal(byte, 0x5a);
	assert_int_equal(pread(fds[0], &byte, 1, 0), 0);
	assert_int_equal(pread(fds[1], &byte, 1, 0), 0);
	request.file = 3;
	assert_int_equal(io_engine_queue(user->engine, &request), -EINVAL);
	io_engine_free(user->engine);
	user->engine = NULL;
	close(fds[1]);
	close(fds[2]);
}

/* ---- making and ending ---- */

/* Locks on the file, too, which a process that waits for it would see. */
static void nothing_is_left_behind(void **state)
{
	struct io_user *user = *state;
	size_t fds;

	io_engine_free(user->engine);
	user->engine = NULL;
	fds = count_fds();
	for (int i = 0; i < 20; i++) {
		int fd = io_temp_file(O_RDWR);
		struct flock lock = { .l_type = F_WRLCK };
		char path[64];
		int other;

		MUST(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		other = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(io_user_open(user, fd), 0);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), -1);
		assert_int_equal(io_range(user, IO_FLUSH, 0, 0, 0), 0);
		io_engine_free(user->engine);
		user->engine = NULL;
		close(fd);
		assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), 0);
		close(other);
	}
	assert_int_equal(count_fds(), fds);
	io_engine_free(NULL);
}

static void engines_that_cannot_be(void **state)
{
	struct io_user *user = *state;
	struct io_engine *engine = NULL;
	struct io_engine_spec spec = {
		.kind = user->kind, .fds = &user->fd, .fd_count = 1, .depth = 1, .done = io_user_done, .ctx = user
	};
	size_t fds = count_fds();
	int pipes[2], closed = 1 << 20;
	struct err err;

	spec.depth = 0;
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EINVAL);
	spec.depth = IO_DEPTH_MAX + 1;
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EINVAL);
	spec.depth = 1;
	spec.fd_count = IO_FILES_MAX + 1;
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EINVAL);
	spec.fd_count = 0;
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EINVAL);
	spec.fd_count = 1;
	spec.fds = &closed;
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EBADF);
	assert_non_null(strstr(err.text, ": file 0: "));
	assert_int_equal(pipe(pipes), 0);
	spec.fds = &pipes[0];
	assert_int_equal(io_engine_new(&spec, &engine, &err), -EINVAL);
	assert_non_null(strstr(err.text, ": file 0 is neither a regular file nor a block device"));
	close(pipes[0]);
	close(pipes[1]);
	assert_int_equal(count_fds(), fds);
	assert_null(engine);
}

/* The greatest depth works, in all of its slots. */
static void greatest_depth(void **state)
{
	struct io_user *user = *state;
	const struct io_engine_spec spec = { .kind = user->kind,
					     .fds = &user->fd,
					     .fd_count = 1,
					     .depth = IO_DEPTH_MAX,
					     .done = io_user_done,
					     .ctx = user };
	static struct io_request requests[IO_DEPTH_MAX + 1];
	static uint8_t byte[IO_DEPTH_MAX];
	static struct iovec iov[IO_DEPTH_MAX];
	struct err err;

	io_engine_free(user->engine);
	assert_int_equal(io_engine_new(&spec, &user->engine, &err), 0);
	memset(byte, 7, sizeof(byte));
	for (size_t i = 0; i < IO_DEPTH_MAX; i++) {
		iov[i] = (struct iovec){ .iov_base = &byte[i], .iov_len = 1 };
		requests[i] = (struct io_request){ .op = IO_WRITEV, .offset = i, .iov = &iov[i], .iov_count = 1 };
		assert_int_equal(io_engine_queue(user->engine, &requests[i]), 0);
	}
	requests[IO_DEPTH_MAX] = requests[0];
	assert_int_equal(io_engine_queue(user->engine, &requests[IO_DEPTH_MAX]), -EBUSY);
	io_engine_drain(user->engine);
	for (size_t i = 0; i < IO_DEPTH_MAX; i++)
		assert_int_equal(requests[i].result, 1);
	memset(byte, 0, sizeof(byte));
	assert_int_equal(pread(user->fd, byte, sizeof(byte), 0), sizeof(byte));
	for (size_t i = 0; i < IO_DEPTH_MAX; i++)
		assert_int_equal(byte[i], 7);
}

/* A filter that makes one system call fail. */
static void forbid(unsigned int number, unsigned int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = COUNT_OF(code), .filter = code };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* In a process of its own: with the call forbidden, making an engine gives this error and text. */
static bool refused_with(enum io_kind kind, unsigned int number, unsigned int error, const char *text)
{
	pid_t child = fork();
	int status;

	MUST(child >= 0);
	if (child == 0) {
		int fd = io_temp_file(O_RDWR);
		const struct io_engine_spec spec = {
			.kind = kind, .fds = &fd, .fd_count = 1, .depth = 1, .done = io_user_done
		};
		struct io_engine *engine;
		struct err err = ERR_NONE;
		int r;

		forbid(number, error);
		r = io_engine_new(&spec, &engine, &err);
		if (r != -(int)error || strcmp(err.text, text) != 0)
			fprintf(stderr, "%d: %s\n", r, err.text);
		_exit(r == -(int)error && strcmp(err.text, text) == 0 ? 0 : 1);
	}
	MUST(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void forbidden_by_the_host(void **state)
{
	(void)state;
	assert_true(refused_with(
	    IO_URING, SYS_io_uring_setup, EPERM,
	    "io_uring: not permitted, by the sysctl kernel.io_uring_disabled or a filter of system calls"));
	assert_true(refused_with(IO_URING, SYS_io_uring_setup, ENOSYS,
				 "io_uring: this kernel has none, or a filter of system calls hides it"));
	assert_true(refused_with(IO_AIO, SYS_io_setup, EPERM, "aio: not permitted, by a filter of system calls"));
	assert_true(refused_with(IO_AIO, SYS_io_setup, ENOSYS,
				 "aio: this kernel has none, or a filter of system calls hides it"));
	assert_true(refused_with(IO_AIO, SYS_io_setup, EAGAIN, "aio: the sysctl fs.aio-max-nr allows no more"));
	assert_true(
	    refused_with(IO_THREAD_POOL, SYS_eventfd2, EMFILE, "threads: cannot make an eventfd: Too many open files"));
}

/* In a process of its own: a kernel that takes no requests any more, for lack of memory. All of them are done all the same. */
static bool done_without(enum io_kind kind, unsigned int number, unsigned int error)
{
	pid_t child = fork();
	int status;

	MUST(child >= 0);
	if (child == 0) {
		static struct io_user user;

		user.kind = kind;
		user.fd = io_temp_file(O_RDWR);
		MUST(io_user_open(&user, user.fd) == 0);
		forbid(number, error);
		queue_writes(&user);
		MUST(io_engine_submit(user.engine));
		MUST(io_engine_reap(user.engine) == DEPTH);
		for (size_t i = 0; i < DEPTH; i++)
			MUST(user.calls[i] == 1 && user.requests[i].result == BLOCK);
		MUST(io_rw(&user, IO_READV, blocks[0], BLOCK, 5 * BLOCK) == BLOCK && blocks[0][0] == 6);
		_exit(0);
	}
	MUST(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void kernel_takes_none(void **state)
{
	(void)state;
	assert_true(done_without(IO_URING, SYS_io_uring_enter, EAGAIN));
	assert_true(done_without(IO_URING, SYS_io_uring_enter, ENOMEM));
	assert_true(done_without(IO_AIO, SYS_io_submit, EAGAIN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH_KIND(full_depth),
		EACH_KIND(drain_submits_and_waits),
		EACH_KIND(cancel_begins_nothing),
		EACH_KIND(free_ends_what_is_in_flight),
		EACH_KIND(done_may_queue),
		EACH_KIND(drained_by_another_thread),
		EACH_KIND(files_by_number),
		EACH_KIND(nothing_is_left_behind),
		EACH_KIND(engines_that_cannot_be),
		EACH_KIND(greatest_depth),
		cmocka_unit_test(forbidden_by_the_host),
		cmocka_unit_test(kernel_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
