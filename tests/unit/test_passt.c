/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * passt as it is started, watched and ended. In its place stands this program, which looks at what it was given and does what its first
 * word says; and, where there is one, the real one, in a network namespace of the test's own.
 */
#include "tests/payload/uplink.h"
#include "tests/unit/open_fixture.h"

#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FAKE_SOCKET 3

/* ---- what stands in its place ---- */

static void echo(int fd)
{
	char bytes[64];
	ssize_t got;

	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		if (bytes[0] == 'x' || write(fd, bytes, (size_t)got) != got)
			_exit(7);
	_exit(0);
}

/* As the real one does: its child serves, in a session of its own. */
static int go_behind(void)
{
	int null;

	if (fork() > 0)
		_exit(0);
	setsid();
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close(null);
	echo(FAKE_SOCKET);
	return 0;
}

/* Words, descriptors, environment and session, a line each. */
static int record(int argc, char **argv)
{
	FILE *file = fopen(argv[4], "w");

	for (int i = 0; i < argc; i++)
		fprintf(file, "%s ", argv[i]);
	fputc('\n', file);
	for (int fd = 0; fd < 1024; fd++)
		if (fd != fileno(file) && fcntl(fd, F_GETFD) >= 0)
			fprintf(file, "%d ", fd);
	fprintf(file, "\n%s\n", getsid(0) == getpid() ? "leader" : "not a leader");
	for (char **at = environ; *at; at++)
		if (!strstr(*at, "SAN_OPTIONS="))
			fprintf(file, "%s\n", *at);
	fclose(file);
	return go_behind();
}

static int fake(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[3] : "serve";

	if (!strcmp(what, "record"))
		return record(argc, argv);
	if (!strcmp(what, "fail")) {
		fputs("first line\nFailed to send 12 bytes to syslog\nlast \x1b[1mline\n\n", stderr);
		return 1;
	}
	if (!strcmp(what, "mute"))
		return 3;
	if (!strcmp(what, "crash"))
		raise(SIGKILL);
	if (!strcmp(what, "leave"))
		return 0;
	if (!strcmp(what, "stay"))
		for (;;)
			pause();
	if (!strcmp(what, "talk"))
		for (int i = 0; i < 1000; i++)
			fprintf(stderr, "%1000d\n", i);
	return go_behind();
}

/* ---- helpers ---- */

/* How much faster time goes for whoever waits with a limit. */
static uint64_t haste = 1;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int r = __real_clock_gettime(clock, ret);
	uint64_t ns = ((uint64_t)ret->tv_sec * 1000000000 + (uint64_t)ret->tv_nsec) * haste;

	ret->tv_sec = (time_t)(ns / 1000000000);
	ret->tv_nsec = (long)(ns % 1000000000);
	return r;
}

int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	return __real_poll(fds, count, timeout_ms > 0 ? timeout_ms / (int)haste + 1 : timeout_ms);
}

/* What becomes of it where the compiler checks how much memory `fds` is. */
int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t bytes);
int __wrap___poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t bytes)
{
	MUST(count * sizeof(*fds) <= bytes);
	return __wrap_poll(fds, count, timeout_ms);
}

/* With a limit, and without a mask of signals. */
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
	MUST(limit && !mask);
	return __wrap_poll(fds, count, (int)(limit->tv_sec * 1000 + limit->tv_nsec / 1000000));
}

static char real_path[4096];
static bool has_namespace, has_uplink;

static void use_fake(void)
{
	setenv("PATH", net_folder, 1);
}

static int setup(void **state)
{
	char own[PATH_MAX] = "";

	snprintf(real_path, sizeof(real_path), "%s", getenv("PATH") ? getenv("PATH") : "");
	has_namespace = uplink_unshare() == 0;
	if (net_folder_setup(state) < 0 || readlink("/proc/self/exe", own, sizeof(own) - 1) < 0 ||
	    symlink(own, in_folder("passt")) < 0)
		return -1;
	return 0;
}

static int teardown(void **state)
{
	unlink(in_folder("passt"));
	return net_folder_teardown(state);
}

static int each_setup(void **state)
{
	(void)state;
	use_fake();
	haste = 1;
	return 0;
}

static int each_teardown(void **state)
{
	(void)state;
	log_release();
	/* Neither a process nor a zombie is left, whatever has happened. */
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, each_setup, each_teardown)

static int only_child(void)
{
	char path[64], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	if (!file)
		skip();
	if (!fgets(text, sizeof(text), file))
		text[0] = '\0';
	fclose(file);
	return atoi(text);
}

static void await(int fd, short events)
{
	struct pollfd what = { .fd = fd, .events = events };

	assert_int_equal(poll(&what, 1, PATIENCE_S * 1000), 1);
}

/* ---- with the other one ---- */

static void it_serves_until_our_end_is_closed(void **state)
{
	struct opened opened;
	const struct network *network = open_network(&opened, "passt", 4);
	char bytes[8];

	(void)state;
	assert_int_equal(network->kind, BP_NETWORK_STREAM);
	assert_int_equal(network->flags, 0);
	assert_int_equal(network->fd_count, 1);
	assert_own_fd(network->fds[0]);
	assert_int_equal(write(network->fds[0], "hello", 5), 5);
	await(network->fds[0], POLLIN);
	assert_int_equal(read(network->fds[0], bytes, sizeof(bytes)), 5);
	assert_true(only_child() > 0);
	opened_end(&opened);
	assert_int_equal(only_child(), 0);
}

static void it_has_what_it_needs_and_nothing_else(void **state)
{
	int given = open("/dev/null", O_RDONLY); /* as one that we were started with */
	struct opened opened;
	char text[256], found[1024] = "";
	FILE *file;

	(void)state;
	assert_true(given >= 0);
	snprintf(text, sizeof(text), "passt record  %s -t\t22 ", in_folder("record"));
	open_network(&opened, text, 0);
	file = fopen(in_folder("record"), "re");
	assert_non_null(file);
	found[fread(found, 1, sizeof(found) - 1, file)] = '\0';
	fclose(file);
	snprintf(text, sizeof(text), "passt --fd 3 record %s -t 22 \n0 1 2 3 \nleader\n", in_folder("record"));
	assert_string_equal(found, text);
	opened_end(&opened);
	close(given);
	unlink(in_folder("record"));
}

static void two_of_them_end_apart(void **state)
{
	struct opened one, other;
	char bytes[8];

	(void)state;
	open_network(&one, "passt", 0);
	open_network(&other, "passt", 0);
	opener_end(&one.opener);
	values_free(one.values);
	opener_wait(&one.opener);
	assert_true(only_child() > 0);
	assert_int_equal(write(network_of(&other)->fds[0], "hello", 5), 5);
	await(network_of(&other)->fds[0], POLLIN);
	assert_int_equal(read(network_of(&other)->fds[0], bytes, sizeof(bytes)), 5);
	schema_free(one.schema);
	other.fds_before = one.fds_before;
	opened_end(&other);
}

static void what_it_says_last_is_the_error(void **state)
{
	(void)state;
	log_catch(LOG_LEVEL_INFO);
	refuse_network("passt fail", 0, "passt cannot be used: last ?[1mline");
	assert_string_equal(log_caught(), "backplane: info: devices.net0.network: passt: first line\n"
					  "backplane: info: devices.net0.network: passt: last ?[1mline\n");
}

static void a_start_that_fails_otherwise(void **state)
{
	(void)state;
	refuse_network("passt mute", 0, "passt cannot be used: it does not say why");
	refuse_network("passt crash", 0, "passt was ended by signal 9 (Killed)");
	refuse_network("passt leave", 0, "passt cannot be used: it does not say why");
}

static void one_that_is_never_ready(void **state)
{
	(void)state;
	haste = 100;
	refuse_network("passt stay", 0, "passt was not ready within 10 s");
}

static void one_that_talks_too_much(void **state)
{
	struct opened opened;

	(void)state;
	open_network(&opened, "passt talk", 0);
	opened_end(&opened);
}

static void who_has_no_passt_is_told(void **state)
{
	(void)state;
	setenv("PATH", "/nonexistent::relative", 1);
	refuse_network("passt", 0, "there is no passt on PATH: it is in Debian's package passt");
	setenv("PATH", "", 1);
	refuse_network("passt", 0, "there is no passt on PATH: it is in Debian's package passt");
}

/* A folder that depends on where we are is not looked into. */
static void the_current_folder_is_not_on_path(void **state)
{
	char before[PATH_MAX];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(net_folder), 0);
	setenv("PATH", ".:", 1);
	refuse_network("passt", 0, "there is no passt on PATH: it is in Debian's package passt");
	assert_int_equal(chdir(before), 0);
}

static void an_end_that_nobody_asked_for_is_told(void **state)
{
	struct opened opened;
	const struct network *network = open_network(&opened, "passt", 0);
	struct passts *passts = &opened.opener.passts;

	(void)state;
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(write(network->fds[0], "x", 1), 1);
	await(passts_fd(passts), POLLIN);
	passts_mind(passts);
	assert_string_equal(log_caught(), "backplane: warning: devices.net0.network: passt has ended with status 7\n");
	log_release();
	/* No zombie, and nothing more to tell. */
	assert_int_equal(only_child(), 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = passts_fd(passts), .events = POLLIN }, 1, 0), 0);
	opened_end(&opened);
}

static void one_that_is_killed(void **state)
{
	struct opened opened;
	const struct network *network = open_network(&opened, "passt", 0);
	struct passts *passts = &opened.opener.passts;

	(void)state;
	log_catch(LOG_LEVEL_WARN);
	assert_int_equal(kill(only_child(), SIGTERM), 0);
	await(passts_fd(passts), POLLIN);
	passts_mind(passts);
	assert_string_equal(log_caught(),
			    "backplane: warning: devices.net0.network: passt was ended by signal 15 (Terminated)\n");
	log_release();
	assert_true(hangs_up(network->fds[0]));
	opened_end(&opened);
}

/* Somebody still has our end: it is not waited for without a limit. */
static void one_that_does_not_end_is_ended(void **state)
{
	struct opened opened;
	const struct network *network = open_network(&opened, "passt", 0);
	int kept = dup(network->fds[0]);

	(void)state;
	opened.fds_before++;
	haste = 100;
	log_catch(LOG_LEVEL_ERROR);
	opened.fds_before += 2;
	opened_end(&opened);
	assert_true(hangs_up(kept));
	close(kept);
}

/* ---- with the real one ---- */

static void use_real(void)
{
	char path[4096];

	setenv("PATH", real_path, 1);
	if (!has_namespace || passt_find(path) < 0)
		skip();
}

static void the_real_one_without_an_interface(void **state)
{
	(void)state;
	use_real();
	refuse_network("passt", 0, "passt cannot be used: External interface not usable");
}

/* Asks the gateway for its hardware address, as a guest would: frames have their length before them. */
static void expect_arp(int fd)
{
	static const uint8_t question[] = {
		0, 0, 0, 42, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0,  1, 8, 6, /* length, Ethernet */
		0, 1, 8, 0,  6,   4,   0,   1,   2,   0,   0, 0, 0, 1, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 10, 1, 2, 1,
	};
	uint8_t answer[sizeof(question)];
	size_t used = 0;

	assert_int_equal(sizeof(question), 46);
	assert_int_equal(write(fd, question, sizeof(question)), sizeof(question));
	while (used < sizeof(answer)) {
		ssize_t got;

		await(fd, POLLIN);
		got = read(fd, answer + used, sizeof(answer) - used);
		assert_true(got > 0);
		used += (size_t)got;
	}
	assert_memory_equal(answer + 16, question + 16, 8); /* as long a question */
	assert_int_equal(answer[25], 2);                    /* a reply */
}

/* Nothing of ours but its socket. */
static void expect_own_descriptors(int pid, const char *given)
{
	char path[64], link[PATH_MAX], target[PATH_MAX];
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t got;

		snprintf(link, sizeof(link), "%s/%.16s", path, entry->d_name);
		got = readlink(link, target, sizeof(target) - 1);
		if (got < 0)
			continue;
		target[got] = '\0';
		count++;
		if (!strncmp(target, given, strlen(given)) || !strncmp(target, "pipe:", 5))
			fail_msg("it has %s", target);
	}
	if (dir)
		closedir(dir);
	/* Only root may look. */
	if (geteuid() == 0)
		assert_true(count >= 4);
}

static void the_real_one_serves_and_ends(void **state)
{
	int given = open(in_folder("given"), O_RDWR | O_CREAT, 0600);
	struct opened opened;
	const struct network *network;

	(void)state;
	unlink(in_folder("given"));
	use_real();
	has_uplink = uplink_make() == 0;
	if (!has_uplink)
		skip();
	network = open_network(&opened, "passt", 0);
	expect_arp(network->fds[0]);
	expect_own_descriptors(only_child(), in_folder("given"));
	opened_end(&opened);
	assert_int_equal(only_child(), 0);
	close(given);
}

static void a_port_of_the_real_one_that_is_taken(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	FD_AUTO int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t bytes = sizeof(address);
	struct opened opened;
	char text[64];

	(void)state;
	use_real();
	if (!has_uplink)
		skip();
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	snprintf(text, sizeof(text), "passt -t %d", ntohs(address.sin_port));
	assert_true(try_network(&opened, text, 0) < 0);
	assert_non_null(strstr(opened.err.text, "passt cannot be used: "));
	assert_non_null(strstr(opened.err.text, "bind"));
	opened_end(&opened);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(it_serves_until_our_end_is_closed),
		TEST(it_has_what_it_needs_and_nothing_else),
		TEST(two_of_them_end_apart),
		TEST(what_it_says_last_is_the_error),
		TEST(a_start_that_fails_otherwise),
		TEST(one_that_is_never_ready),
		TEST(one_that_talks_too_much),
		TEST(who_has_no_passt_is_told),
		TEST(the_current_folder_is_not_on_path),
		TEST(an_end_that_nobody_asked_for_is_told),
		TEST(one_that_is_killed),
		TEST(one_that_does_not_end_is_ended),
		TEST(the_real_one_without_an_interface),
		TEST(the_real_one_serves_and_ends),
		TEST(a_port_of_the_real_one_that_is_taken),
	};

	if (!strcmp(argv[0], "passt"))
		return fake(argc, argv);
	return cmocka_run_group_tests_name("passt", tests, setup, teardown);
}
