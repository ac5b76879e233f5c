/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request costs: system calls, counted by a tracer, the notice of its end and the wait for that included, and
 * allocations, which the linker leads through here.
 */
#include "tests/unit/io_fixture.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define BLOCK  4096u
#define BLOCKS 64u
#define ROUNDS 256u

/* A call that nothing makes, to show the tracer where counting begins and ends. */
#define MARK   SYS_getpgid

/* ---- allocations: -Wl,--wrap ---- */

static atomic_uint allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_realloc(old, bytes);
}

/* ---- the work: as a device's loop does it ---- */

struct work {
	enum io_op op;
	unsigned int depth;
	bool notices; /* do not look whether some are done at once: every end is waited for */
};

/* `depth` requests at once, until all are done. */
static void do_batch(struct io_user *user, const struct work *work, int epoll_fd)
{
	static alignas(4096) uint8_t buf[BLOCKS][BLOCK];
	struct epoll_event event;
	bool ready;

	for (unsigned int i = 0; i < work->depth; i++) {
		user->iov[i] = (struct iovec){ .iov_base = buf[i], .iov_len = BLOCK };
		user->requests[i] = (struct io_request){
			.op = (uint8_t)work->op, .offset = i * BLOCK, .iov = &user->iov[i], .iov_count = 1
		};
		MUST(io_engine_queue(user->engine, &user->requests[i]) == 0);
	}
	ready = io_engine_submit(user->engine);
	while (io_engine_in_flight(user->engine)) {
		if (work->notices || !ready)
			epoll_wait(epoll_fd, &event, 1, -1);
		ready = io_engine_ready(user->engine);
		io_engine_reap(user->engine);
	}
	for (unsigned int i = 0; i < work->depth; i++)
		MUST(user->requests[i].result == BLOCK);
}

/* The same often enough; the first round warms up. Ends the process: 0, or 1 if something was allocated. */
static void child(struct io_user *user, const struct work *work)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	unsigned int before;

	MUST(io_user_open(user, user->fd) == 0);
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, io_engine_fd(user->engine), &event) == 0);
	MUST(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	raise(SIGSTOP);
	do_batch(user, work, epoll_fd);
	before = atomic_load(&allocations);
	syscall(MARK, 0);
	for (unsigned int i = 0; i < ROUNDS; i++)
		do_batch(user, work, epoll_fd);
	syscall(MARK, 0);
	_exit(atomic_load(&allocations) == before ? 0 : 1);
}

/* System calls that the child makes between its marks, in the thread that does what a device's loop does. */
static unsigned int count_calls(pid_t traced, int *ret_status)
{
	unsigned int count = 0, marks = 0;
	bool entry = true;
	int status;

	MUST(waitpid(traced, &status, 0) == traced && WIFSTOPPED(status));
	MUST(ptrace(PTRACE_SETOPTIONS, traced, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	for (;;) {
		MUST(ptrace(PTRACE_SYSCALL, traced, NULL, NULL) == 0);
		MUST(waitpid(traced, &status, 0) == traced);
		if (!WIFSTOPPED(status))
			break;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (entry) {
			struct user_regs_struct regs;

			MUST(ptrace(PTRACE_GETREGS, traced, NULL, &regs) == 0);
			if (regs.orig_rax == MARK)
				marks++;
			else if (marks == 1)
				count++;
		}
		entry = !entry;
	}
	MUST(marks == 2);
	*ret_status = status;
	return count;
}

/* Calls for each request, in thousandths. Nothing is allocated. */
static unsigned int cost(struct io_user *user, const struct work *work)
{
	unsigned int calls;
	pid_t traced;
	int status;

	/* A file in the page cache. */
	io_engine_free(user->engine);
	user->engine = NULL;
	for (unsigned int i = 0; i < BLOCKS; i++) {
		static const uint8_t block[BLOCK] = { 1 };

		MUST(pwrite(user->fd, block, BLOCK, (off_t)(i * BLOCK)) == BLOCK);
	}
	fflush(stdout);
	traced = fork();
	MUST(traced >= 0);
	if (traced == 0)
		child(user, work);
	calls = count_calls(traced, &status);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	calls = (unsigned int)((uint64_t)calls * 1000 / (ROUNDS * work->depth));
	printf("# %s, %s, depth %u%s: %u.%03u system calls a request\n", io_kind_name(user->kind),
	       work->op == IO_READV ? "read" : "write", work->depth, work->notices ? ", all by notice" : "",
	       calls / 1000, calls % 1000);
	return calls;
}

static void cached_reads_with_io_uring(void **state)
{
	assert_in_range(cost(*state, &(struct work){ .op = IO_READV, .depth = 1 }), 1000, 2500);
	assert_in_range(cost(*state, &(struct work){ .op = IO_READV, .depth = 1, .notices = true }), 1000, 2500);
	assert_in_range(cost(*state, &(struct work){ .op = IO_READV, .depth = 16 }), 1, 150);
	assert_in_range(cost(*state, &(struct work){ .op = IO_READV, .depth = 32 }), 1, 150);
	assert_in_range(cost(*state, &(struct work){ .op = IO_READV, .depth = 32, .notices = true }), 1, 150);
}

/* How the ends of writes come is the kernel's and the disk's: printed, not asserted. Allocations are. */
static void nothing_is_allocated(void **state)
{
	cost(*state, &(struct work){ .op = IO_READV, .depth = 1 });
	cost(*state, &(struct work){ .op = IO_READV, .depth = 32 });
	cost(*state, &(struct work){ .op = IO_WRITEV, .depth = 1 });
	cost(*state, &(struct work){ .op = IO_WRITEV, .depth = 32 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "cached_reads_with_io_uring", cached_reads_with_io_uring, io_setup_user, io_teardown_user,
		  &io_kinds[0] },
		EACH_KIND(nothing_is_allocated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
