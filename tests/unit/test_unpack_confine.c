/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The unpacker's confinement, by doing: a child confines itself as the unpacker does and then tries something. Each thing that must
 * kill it is first tried by a child that is not confined, where it must work, so that a test which could not fail is seen.
 */
#include "core/unpack/confine.h"
#include "tests/unit/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PAGE 4096u

/* A function that a child runs: true if it could do what it wanted. */
typedef bool attempt_fn(void);

/* Descriptors as the unpacker has them: two files and a socket, each with something to read. */
static void arrange_fds(int report)
{
	int kernel = memfd_create("kernel", 0);
	int output = memfd_create("output", 0);

	MUST(pwrite(kernel, "kernel", 6, 0) == 6 && pwrite(output, "output", 6, 0) == 6);
	MUST(dup2(kernel, CONFINE_KERNEL_FD) == CONFINE_KERNEL_FD);
	MUST(dup2(output, CONFINE_OUTPUT_FD) == CONFINE_OUTPUT_FD);
	MUST(dup2(report, CONFINE_REPORT_FD) == CONFINE_REPORT_FD);
}

/* Runs it in a child. Its wait status. */
static int status_of(attempt_fn *attempt, bool confined)
{
	int pair[2], status;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(write(pair[0], "go", 2) == 2);
	fflush(NULL);
	pid = fork();
	MUST(pid >= 0);
	if (pid == 0) {
		struct err err;

		arrange_fds(pair[1]);
		if (confined && confine(&err) < 0)
			_exit(3);
		_exit(attempt() ? 0 : 4);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	close(pair[0]);
	close(pair[1]);
	return status;
}

/* ---- what works ---- */

static bool does_its_work(void)
{
	char byte;
	uint8_t *data = malloc(100);

	for (size_t bytes = 1000; data && bytes < 64u << 20; bytes *= 10) {
		data = realloc(data, bytes);
		if (data)
			data[bytes - 1] = 1;
	}
	free(data);
	return data && pread(CONFINE_KERNEL_FD, &byte, 1, 0) == 1 && write(CONFINE_OUTPUT_FD, "x", 1) == 1 &&
	       write(CONFINE_REPORT_FD, "x", 1) == 1 && read(CONFINE_REPORT_FD, &byte, 1) == 1;
}

static void work_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(status_of(does_its_work, false), 0);
	assert_int_equal(status_of(does_its_work, true), 0);
}

/* ---- what does not ---- */

static bool opens(void)
{
	return open("/dev/null", O_RDONLY) >= 0;
}

static bool makes_file(void)
{
	return memfd_create("x", 0) >= 0;
}

static bool makes_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool sends_descriptor(void)
{
	return send(CONFINE_REPORT_FD, "x", 1, MSG_NOSIGNAL) == 1;
}

static bool forks(void)
{
	pid_t pid = (pid_t)syscall(SYS_fork);

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool executes(void)
{
	char name[] = "true";
	char *arguments[] = { name, NULL };

	execve("/bin/true", arguments, NULL);
	return false;
}

static bool signals_others(void)
{
	return kill(getppid(), 0) == 0;
}

static bool maps_code(void)
{
	return mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool maps_file(void)
{
	return mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, CONFINE_KERNEL_FD, 0) != MAP_FAILED;
}

static bool shares_memory(void)
{
	return mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool makes_code(void)
{
	static uint8_t page[2 * PAGE];

	return mprotect(page + PAGE - (uintptr_t)page % PAGE, PAGE, PROT_READ | PROT_EXEC) == 0;
}

static bool reads_output(void)
{
	char byte;

	return pread(CONFINE_OUTPUT_FD, &byte, 1, 0) == 1;
}

static bool writes_kernel(void)
{
	return write(CONFINE_KERNEL_FD, "x", 1) == 1;
}

static bool moves_in_kernel(void)
{
	return lseek(CONFINE_KERNEL_FD, 1, SEEK_SET) == 1;
}

static bool truncates(void)
{
	return ftruncate(CONFINE_OUTPUT_FD, 1) == 0;
}

static bool duplicates(void)
{
	return dup(CONFINE_OUTPUT_FD) >= 0;
}

static bool controls(void)
{
	int bytes;

	return ioctl(CONFINE_REPORT_FD, FIONREAD, &bytes) == 0;
}

static bool raises_limit(void)
{
	const struct rlimit limit = { 0, 0 };

	return setrlimit(RLIMIT_CORE, &limit) == 0;
}

static bool is_traced(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool names_itself(void)
{
	return prctl(PR_SET_NAME, "init") == 0;
}

static const struct {
	const char *name;
	attempt_fn *attempt;
} attempts[] = {
	{ "open", opens },
	{ "memfd_create", makes_file },
	{ "socket", makes_socket },
	{ "send", sends_descriptor },
	{ "fork", forks },
	{ "execve", executes },
	{ "kill", signals_others },
	{ "mmap with PROT_EXEC", maps_code },
	{ "mmap of a file", maps_file },
	{ "mmap with MAP_SHARED", shares_memory },
	{ "mprotect with PROT_EXEC", makes_code },
	{ "pread of the output", reads_output },
	{ "write to the kernel", writes_kernel },
	{ "lseek", moves_in_kernel },
	{ "ftruncate", truncates },
	{ "dup", duplicates },
	{ "ioctl", controls },
	{ "setrlimit", raises_limit },
	{ "ptrace", is_traced },
	{ "prctl", names_itself },
};

static void the_rest_kills(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(attempts); i++) {
		int status = status_of(attempts[i].attempt, false);

		if (status != 0)
			fail_msg("%s: does not work unconfined either (0x%x)", attempts[i].name, (unsigned int)status);
		status = status_of(attempts[i].attempt, true);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: not killed by SIGSYS (0x%x)", attempts[i].name, (unsigned int)status);
	}
}

/* ---- what the system says of it ---- */

static bool status_has(pid_t pid, const char *line)
{
	char path[64], text[8192];
	size_t got;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	MUST(file);
	got = fread(text, 1, sizeof(text) - 1, file);
	text[got] = 0;
	fclose(file);
	return strstr(text, line);
}

static void limits_and_privileges(void **state)
{
	static const struct {
		int resource;
		rlim_t max;
	} limits[] = { { RLIMIT_CORE, 0 },
		       { RLIMIT_NOFILE, 0 },
		       { RLIMIT_NPROC, 0 },
		       { RLIMIT_FSIZE, 1u << 30 },
		       { RLIMIT_CPU, 120 } };
	char path[64], byte;
	int pair[2], extra;
	struct rlimit limit;
	pid_t pid;
	DIR *dir;

	(void)state;
	extra = open("/dev/null", O_RDONLY);
	assert_true(extra > CONFINE_REPORT_FD);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct err err;

		MUST(dup2(pair[1], CONFINE_REPORT_FD) == CONFINE_REPORT_FD);
		if (confine(&err) < 0)
			_exit(3);
		/* Waits until its parent has looked. */
		_exit(write(CONFINE_REPORT_FD, "r", 1) == 1 && read(CONFINE_REPORT_FD, &byte, 1) == 1 ? 0 : 4);
	}
	close(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	assert_true(status_has(pid, "Seccomp:\t2\n"));
	assert_true(status_has(pid, "NoNewPrivs:\t1\n"));
	assert_true(status_has(pid, "Threads:\t1\n"));
	assert_false(status_has(getpid(), "Seccomp:\t2\n") && status_has(getpid(), "NoNewPrivs:\t1\n"));
	/* It cannot be examined by its own user; root may. */
	for (size_t i = 0; geteuid() == 0 && i < COUNT_OF(limits); i++) {
		assert_int_equal(prlimit(pid, (__rlimit_resource_t)limits[i].resource, NULL, &limit), 0);
		assert_true(limit.rlim_max <= limits[i].max);
	}
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	assert_true(dir || geteuid() != 0);
	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (entry->d_name[0] != '.')
			assert_true(strlen(entry->d_name) == 1 && entry->d_name[0] <= '0' + CONFINE_REPORT_FD);
	if (dir)
		closedir(dir);
	assert_int_equal(write(pair[0], "x", 1), 1);
	{
		int status;

		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	close(pair[0]);
	close(extra);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_is_allowed),
		cmocka_unit_test(the_rest_kills),
		cmocka_unit_test(limits_and_privileges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
