/* SPDX-License-Identifier: BSD-3-Clause */
/* Fail-stop: whatever of core and spawner dies, in whatever state, all plugin processes die too. Only SIGKILL is used,
 * which nobody can prepare for. */
#include "tests/unit/spawn_fixture.h"

enum { PROCESSES = 3 };

static struct hosted all[PROCESSES];

/* The last one is stopped: it cannot see to its end itself. */
static void start_all(struct spawner *spawner)
{
	for (uint64_t i = 0; i < PROCESSES; i++)
		hosted_start(spawner, i + 1, &all[i]);
	hosted_stop(&all[PROCESSES - 1]);
}

static void assert_all_gone(void)
{
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(hosted_gone(&all[i]));
		hosted_close(&all[i]);
	}
}

static void death_of_the_spawner_ends_all(void **state)
{
	size_t before = count_fds();
	struct spawner *spawner = spawner_make();
	struct spawn_ended ended;
	struct err err = ERR_NONE;
	int ours[SPAWN_FDS], theirs[SPAWN_FDS];
	int pid, pidfd;

	(void)state;
	start_all(spawner);
	assert_int_equal(spawner_next(spawner, &ended), 0);
	assert_int_equal(kill(hosted_number(&all[0], "parent"), SIGKILL), 0);
	assert_all_gone();
	assert_true(wait_readable(spawner_fd(spawner)));
	assert_int_equal(spawner_next(spawner, &ended), -ECONNRESET);
	hosted_pairs(ours, theirs);
	assert_int_equal(spawner_start(spawner, 9, theirs, &pid, &pidfd, &err), -ECONNRESET);
	close_fds(ours);
	close_fds(theirs);
	assert_int_equal(spawner_next(spawner, &ended), -ECONNRESET);
	assert_true(wait_readable(spawner_fd(spawner)));
	spawner_free(spawner);
	assert_int_equal(count_fds(), before);
}

/* Found by the start itself, as nobody has looked before. */
static void start_finds_that_the_spawner_has_died(void **state)
{
	struct spawner *spawner = spawner_make();
	struct err err = ERR_NONE;
	int ours[SPAWN_FDS], theirs[SPAWN_FDS];
	int pid, pidfd;

	(void)state;
	hosted_start(spawner, 1, &all[0]);
	assert_int_equal(kill(hosted_number(&all[0], "parent"), SIGKILL), 0);
	assert_true(hosted_gone(&all[0]));
	hosted_close(&all[0]);
	hosted_pairs(ours, theirs);
	assert_int_equal(spawner_start(spawner, 9, theirs, &pid, &pidfd, &err), -ECONNRESET);
	assert_string_not_equal(err.text, "");
	close_fds(ours);
	close_fds(theirs);
	spawner_free(spawner);
}

/* A process that stands for the core: it has a spawner and processes, tells us who they are, and waits to be killed. */
static pid_t start_core(int *ret_spawner_pidfd)
{
	int pair[2];
	pid_t core;
	struct msg_fds fds;
	int pids[PROCESSES];

	MUST(msg_pair(SOCK_SEQPACKET, pair) == 0);
	fflush(NULL);
	core = fork();
	MUST(core >= 0);
	if (core == 0) {
		struct spawner *spawner = spawner_make();

		start_all(spawner);
		fds.count = PROCESSES + 1;
		for (int i = 0; i < PROCESSES; i++) {
			fds.fds[i] = all[i].pidfd;
			pids[i] = all[i].pid;
		}
		fds.fds[PROCESSES] = pidfd_open(hosted_number(&all[0], "parent"), 0);
		MUST(msg_send(pair[1], pids, sizeof(pids), &fds, 0) == 0);
		for (;;)
			pause();
	}
	close(pair[1]);
	MUST(wait_readable(pair[0]));
	MUST(msg_recv(pair[0], pids, sizeof(pids), &fds) == (ssize_t)sizeof(pids));
	close(pair[0]);
	for (int i = 0; i < PROCESSES; i++) {
		/* The sockets stay the core's: nothing but its death ends anything. */
		all[i] = (struct hosted){ .pid = pids[i], .pidfd = fds.fds[i], .fds = { -1, -1, -1, -1 } };
		MUST(pidfd_send_signal(all[i].pidfd, 0, NULL, 0) == 0);
	}
	*ret_spawner_pidfd = fds.fds[PROCESSES];
	return core;
}

static void kill_core(bool stop_spawner)
{
	size_t before = count_fds();
	int spawner_pidfd, status;
	pid_t core = start_core(&spawner_pidfd);

	if (stop_spawner)
		assert_int_equal(pidfd_send_signal(spawner_pidfd, SIGSTOP, NULL, 0), 0);
	assert_int_equal(kill(core, SIGKILL), 0);
	assert_int_equal(wait_child(core, &status), CLD_KILLED);
	assert_true(wait_readable(spawner_pidfd));
	assert_all_gone();
	close(spawner_pidfd);
	assert_int_equal(count_fds(), before);
}

static void death_of_the_core_ends_all(void **state)
{
	(void)state;
	kill_core(false);
}

static void death_of_the_core_ends_a_stopped_spawner(void **state)
{
	(void)state;
	kill_core(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(death_of_the_spawner_ends_all),
		cmocka_unit_test(start_finds_that_the_spawner_has_died),
		cmocka_unit_test(death_of_the_core_ends_all),
		cmocka_unit_test(death_of_the_core_ends_a_stopped_spawner),
	};

	return cmocka_run_group_tests(tests, tree_setup, tree_teardown);
}
