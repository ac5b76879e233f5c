/* SPDX-License-Identifier: BSD-3-Clause */
/* The spawner as the core has it: what a plugin process begins with, and how its end is told. How everything ends:
 * test_spawner_ends.c. */
#include "tests/unit/spawn_fixture.h"

#include <sys/resource.h>

static struct hosted hosted;

static size_t count_fds_of(int pid)
{
	char path[64];
	DIR *dir;
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	MUST(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void assert_told(const char *line)
{
	if (!strstr(hosted.report, line))
		print_error("no \"%s\" in:\n%s", line, hosted.report);
	assert_non_null(strstr(hosted.report, line));
}

/* The core as it is: it blocks and ignores signals, has an environment, and descriptors that exec does not close. */
static void process_begins_with_nothing_of_the_core(void **state)
{
	int extra = open("/dev/null", O_RDWR);
	int high = fcntl(extra, F_DUPFD, 200);
	mode_t mask = umask(022);
	sigset_t blocked, before;
	struct spawner *spawner;

	(void)state;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	assert_true(extra >= 0 && high >= 200 && environ[0]);
	spawner = spawner_make();
	hosted_start(spawner, 1, &hosted);

	assert_int_equal(count_of_text(hosted.report, "fd "), 6);
	for (int fd = 0; fd <= 5; fd++) {
		char line[16];

		snprintf(line, sizeof(line), "\nfd %d\n", fd);
		assert_told(line);
	}
	assert_told("null 0\nnull 1\n");
	assert_int_equal(count_of_text(hosted.report, "environment "), 0);
	assert_int_equal(count_of_text(hosted.report, "argument "), 1);
	assert_told("\nargument backplane-device-host\n");
	assert_told("\numask 077\n");
	assert_told("\ncore 0 0\n");
	assert_told("\nSigBlk:\t0000000000000000\n");
	/* SIGHUP, SIGINT, SIGTERM: the end is asked of the core. */
	assert_told("\nSigIgn:\t0000000000004003\n");
	assert_told("\ndeath 9\n");
	spawner_free(spawner);
	hosted_close(&hosted);

	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR1, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	umask(mask);
	close(high);
	close(extra);
}

static void process_is_known_by_its_pid_and_pidfd(void **state)
{
	struct spawner *spawner = spawner_make();
	struct spawn_ended ended;

	(void)state;
	hosted_start(spawner, 1, &hosted);
	assert_int_equal(strncmp(hosted.report, "pid ", 4), 0);
	assert_int_equal(atoi(hosted.report + 4), hosted.pid);
	assert_true(fcntl(hosted.pidfd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pidfd_send_signal(hosted.pidfd, SIGUSR2, NULL, 0), 0);
	assert_true(hosted_gone(&hosted));
	ended = wait_end(spawner);
	assert_int_equal(ended.code, CLD_KILLED);
	assert_int_equal(ended.status, SIGUSR2);
	hosted_close(&hosted);
	spawner_free(spawner);
}

/* A terminal's Ctrl-C goes to the core, which ends the VM in order, and to nobody else. */
static void spawner_and_processes_have_sessions_of_their_own(void **state)
{
	struct spawner *spawner = spawner_make();
	int parent;

	(void)state;
	hosted_start(spawner, 1, &hosted);
	parent = hosted_number(&hosted, "parent");
	assert_int_equal(hosted_number(&hosted, "session"), hosted.pid);
	assert_int_equal(getsid(parent), parent);
	assert_int_not_equal(parent, getpid());
	hosted_close(&hosted);
	spawner_free(spawner);
}

static void descriptors_are_at_their_numbers(void **state)
{
	static const char *const names[SPAWN_FDS] = { "stderr", "", "access", "vhost" };
	struct spawner *spawner = spawner_make();

	(void)state;
	hosted_start(spawner, 1, &hosted);
	for (int i = 0; i < SPAWN_FDS; i++) {
		char text[64];

		if (!names[i][0])
			continue;
		wait_message(hosted.fds[i], text, sizeof(text));
		assert_string_equal(text, names[i]);
	}
	hosted_close(&hosted);
	spawner_free(spawner);
}

static void ends_are_told_with_how(void **state)
{
	static const struct {
		const char *order;
		int code, status;
	} cases[] = {
		{ "exit 0", CLD_EXITED, 0 },
		{ "exit 7", CLD_EXITED, 7 },
		{ "signal 9", CLD_KILLED, SIGKILL },
		{ "signal 10", CLD_KILLED, SIGUSR1 },
	};
	struct spawner *spawner = spawner_make();
	struct spawn_ended ended;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		hosted_start(spawner, 100 + i, &hosted);
		assert_int_equal(spawner_next(spawner, &ended), 0);
		hosted_order(&hosted, cases[i].order);
		ended = wait_end(spawner);
		assert_int_equal(ended.token, 100 + i);
		assert_int_equal(ended.code, cases[i].code);
		assert_int_equal(ended.status, cases[i].status);
		assert_true(hosted_gone(&hosted));
		assert_int_equal(spawner_next(spawner, &ended), 0);
		hosted_close(&hosted);
	}
	spawner_free(spawner);
}

static int start_without_program(struct spawner *spawner, struct err *err)
{
	int ours[SPAWN_FDS], theirs[SPAWN_FDS];
	int pid = -2, pidfd = -2;
	int r;

	hosted_pairs(ours, theirs);
	r = spawner_start(spawner, 5, theirs, &pid, &pidfd, err);
	close_fds(theirs);
	close_fds(ours);
	assert_int_equal(pid, -2);
	assert_int_equal(pidfd, -2);
	return r;
}

static void failed_exec_is_told_and_does_no_harm(void **state)
{
	struct spawner *spawner = spawner_make();
	char path[PATH_MAX], aside[PATH_MAX];
	struct spawn_ended ended;
	struct err err = ERR_NONE;

	(void)state;
	spawner_find_program(HOST_PATH, "", path);
	spawner_find_program("core/aside", "", aside);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(start_without_program(spawner, &err), -ENOENT);
	assert_string_equal(err.text,
			    "cannot start a plugin's process: exec of device-host: No such file or directory");
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(start_without_program(spawner, &err), -EACCES);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(aside, path), 0);
	hosted_start(spawner, 5, &hosted);
	assert_int_equal(spawner_next(spawner, &ended), 0);
	hosted_close(&hosted);
	spawner_free(spawner);
}

static void hundred_processes_leave_nothing(void **state)
{
	enum { AT_ONCE = 20, ROUNDS = 5 };
	static struct hosted many[AT_ONCE];
	size_t before = count_fds(), with_spawner, of_spawner = 0;
	struct spawner *spawner = spawner_make();
	int parent = 0;

	(void)state;
	with_spawner = count_fds();
	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t told = 0;

		for (uint64_t i = 0; i < AT_ONCE; i++)
			hosted_start(spawner, round * AT_ONCE + i + 1, &many[i]);
		parent = hosted_number(&many[0], "parent");
		for (int i = 0; i < AT_ONCE; i++)
			hosted_order(&many[i], i % 2 ? "exit 3" : "signal 9");
		for (int i = 0; i < AT_ONCE; i++) {
			struct spawn_ended ended = wait_end(spawner);
			uint64_t index = ended.token - round * AT_ONCE - 1;

			assert_true(index < AT_ONCE);
			assert_int_equal(ended.status, index % 2 ? 3 : SIGKILL);
			told |= UINT64_C(1) << index;
		}
		assert_int_equal(told, (UINT64_C(1) << AT_ONCE) - 1);
		for (int i = 0; i < AT_ONCE; i++)
			hosted_close(&many[i]);
		assert_int_equal(count_fds(), with_spawner);
		if (round == 0)
			of_spawner = count_fds_of(parent);
		assert_int_equal(count_fds_of(parent), of_spawner);
	}
	spawner_free(spawner);
	assert_int_equal(count_fds(), before);
}

/* What is stopped, or does not listen, is ended as well. */
static void free_ends_all_processes(void **state)
{
	static struct hosted three[3];
	size_t before = count_fds();
	struct spawner *spawner = spawner_make();

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		hosted_start(spawner, i + 1, &three[i]);
	hosted_stop(&three[1]);
	hosted_order(&three[2], "exit 0");
	spawner_free(spawner);
	for (int i = 0; i < 3; i++) {
		struct pollfd polled = { .fd = three[i].pidfd, .events = POLLIN };

		/* Nobody has to wait for them any more. */
		assert_int_equal(poll(&polled, 1, 0), 1);
		assert_int_equal(kill(three[i].pid, 0), -1);
		hosted_close(&three[i]);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(count_fds(), before);
	spawner_free(NULL);
}

static void too_few_descriptors_are_told(void **state)
{
	struct spawner *spawner = spawner_make();
	int ours[SPAWN_FDS], theirs[SPAWN_FDS], pid, pidfd = -1;
	struct rlimit before, few;
	struct err err = ERR_NONE;

	(void)state;
	hosted_pairs(ours, theirs);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(spawner_start(spawner, 1, theirs, &pid, &pidfd, &err), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_non_null(strstr(err.text, "Too many open files"));
	close_fds(ours);
	close_fds(theirs);
	spawner_free(spawner);
}

/* However few the core began with: as many as the host allows, up to what a plugin may want. */
static void process_may_have_many_descriptors(void **state)
{
	struct rlimit before, few;
	struct spawner *spawner;
	char line[64];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 256, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	spawner = spawner_make();
	hosted_start(spawner, 1, &hosted);
	snprintf(line, sizeof(line), "\nfiles %u\n", before.rlim_max < 8192 ? (unsigned int)before.rlim_max : 8192);
	assert_told(line);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	spawner_free(spawner);
	hosted_close(&hosted);
}

static void missing_spawner_is_told(void **state)
{
	char path[PATH_MAX], aside[PATH_MAX];
	size_t before = count_fds();
	struct spawner *spawner = NULL;
	struct err err = ERR_NONE;

	(void)state;
	spawner_find_program(SPAWNER_PATH, "", path);
	spawner_find_program("core/aside", "", aside);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(spawner_new(&spawner, &err), -ENOENT);
	assert_int_equal(rename(aside, path), 0);
	assert_null(spawner);
	assert_non_null(strstr(err.text, SPAWNER_PATH));
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_begins_with_nothing_of_the_core),
		cmocka_unit_test(process_is_known_by_its_pid_and_pidfd),
		cmocka_unit_test(spawner_and_processes_have_sessions_of_their_own),
		cmocka_unit_test(descriptors_are_at_their_numbers),
		cmocka_unit_test(ends_are_told_with_how),
		cmocka_unit_test(failed_exec_is_told_and_does_no_harm),
		cmocka_unit_test(hundred_processes_leave_nothing),
		cmocka_unit_test(free_ends_all_processes),
		cmocka_unit_test(process_may_have_many_descriptors),
		cmocka_unit_test(too_few_descriptors_are_told),
		cmocka_unit_test(missing_spawner_is_told),
	};

	return cmocka_run_group_tests(tests, tree_setup, tree_teardown);
}
