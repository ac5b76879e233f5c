/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections that a device asks for (tests/plugins/caller.c), in a process and in a thread: who reaches whom, and when the device is told. */
#include "tests/unit/process_fixture.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Registers of the plugin. */
#define CALL    0u
#define ANSWERS 0u
#define LAST    4u
#define ASKED   8u

static char folder[] = "/tmp/bp-test-connect.XXXXXX";
static char keys[256];

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(keys, sizeof(keys), "uds = \"%s/uds\"; network = \"connect:%s/network\";", folder, folder);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int serve(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 128), 0);
	return fd;
}

static void serve_no_more(int listener, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	close(listener);
}

static bool is_readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	return poll(&ready, 1, 0) == 1;
}

/* What the next caller says, which it has sent when the device was told. */
static void expect_caller(int listener, const char *text)
{
	FD_AUTO int fd = accept(listener, NULL, NULL);
	char got[32] = { 0 };

	assert_true(fd >= 0);
	assert_true(recv(fd, got, sizeof(got) - 1, MSG_WAITALL) >= 0);
	assert_string_equal(got, text);
}

/* ---- in a process ---- */

static void call(struct rig *rig, uint32_t number)
{
	home_write(&rig->home, 0, CALL, 4, number);
}

static uint32_t get(struct rig *rig, uint64_t offset)
{
	return (uint32_t)home_read(&rig->home, 0, offset, 4);
}

static void a_process_reaches_who_listens(void **state)
{
	struct rig *rig = *state;
	int listener = serve("uds_4000000000"), network = serve("network");

	rig_run(rig, "caller", NULL, keys);
	/* This one was connected when the VM began. */
	close(accept(network, NULL, NULL));
	call(rig, 4000000000);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 1);
	assert_int_equal(get(rig, LAST), 0);
	expect_caller(listener, "4000000000\n");
	home_write(&rig->home, 0, 4, 4, 0);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 2);
	assert_int_equal(get(rig, LAST), 0);
	expect_caller(network, "0\n");
	serve_no_more(listener, "uds_4000000000");
	serve_no_more(network, "network");
}

static void a_process_is_told_that_nobody_is_there(void **state)
{
	struct rig *rig = *state;
	int listener = serve("uds_2");

	/* There, but nobody is behind it. */
	close(listener);
	rig_run(rig, "caller", NULL, keys);
	call(rig, 1);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 1);
	assert_int_equal(get(rig, LAST), ENOENT);
	call(rig, 2);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 2);
	assert_int_equal(get(rig, LAST), ECONNREFUSED);
	serve_no_more(-1, "uds_2");
}

static void a_process_may_ask_in_start(void **state)
{
	struct rig *rig = *state;
	int listener = serve("uds_7");
	char more[300];

	/* Its start claims a range as well: the connection comes before the answer to that. */
	snprintf(more, sizeof(more), "%s at_start = 7;", keys);
	rig_run(rig, "caller", NULL, more);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 1);
	assert_int_equal(get(rig, LAST), 0);
	assert_int_equal(claims_held(&rig->home), 2);
	expect_caller(listener, "7\n");
	serve_no_more(listener, "uds_7");
}

static void a_process_at_rest_is_told_when_it_goes_on(void **state)
{
	struct rig *rig = *state;
	const struct placed_ops *ops;
	int listener = serve("uds_1");

	rig_run(rig, "caller", NULL, keys);
	ops = rig->placed.ops;
	/* Nobody minds the process meanwhile: the connection is made while it is brought to rest. */
	call(rig, 1);
	must(ops->quiesce(rig->placed.ctx, &rig->err), &rig->err);
	assert_true(is_readable(listener));
	must(ops->resume(rig->placed.ctx, &rig->err), &rig->err);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 1);
	expect_caller(listener, "1\n");
	serve_no_more(listener, "uds_1");
}

static void a_reset_does_not_end_it(void **state)
{
	struct rig *rig = *state;
	int listener = serve("uds_1");

	rig_run(rig, "caller", NULL, keys);
	call(rig, 1);
	rig->placed.ops->reset(rig->placed.ctx);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 1);
	expect_caller(listener, "1\n");
	serve_no_more(listener, "uds_1");
}

static void sixty_four_at_once(void **state)
{
	struct rig *rig = *state;
	int listener = serve("uds_1");

	rig_run(rig, "caller", NULL, keys);
	for (int i = 0; i < 64; i++)
		call(rig, 1);
	MIND_UNTIL(rig, get(rig, ANSWERS) == 64);
	assert_int_equal(get(rig, ASKED), 0);
	assert_int_equal(get(rig, LAST), 0);
	for (int i = 0; i < 64; i++)
		expect_caller(listener, "1\n");
	serve_no_more(listener, "uds_1");
}

static void a_stop_while_one_is_under_way(void **state)
{
	struct rig *rig = *state;
	size_t fds = count_fds();
	int listener = serve("uds_1");

	log_catch(LOG_LEVEL_WARN);
	rig_run(rig, "caller", NULL, keys);
	for (int i = 0; i < 10; i++)
		call(rig, 1);
	rig->placed.ops->stop(rig->placed.ctx);
	rig_free_process(rig);
	assert_string_equal(log_caught(), "");
	serve_no_more(listener, "uds_1");
	/* The log's two. */
	assert_int_equal(count_fds(), fds + 2);
}

static pid_t pid_of(const struct rig *rig)
{
	char path[64], line[64];
	int pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", rig->process->pidfd);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	fclose(file);
	assert_true(pid > 0);
	return pid;
}

/* A guest can have a device keep many: the device is told, and goes on. */
static void a_process_without_room_goes_on(void **state)
{
	struct rig *rig = *state;
	struct rlimit before, few;
	int listener = serve("uds_1");
	uint32_t count = 0;
	char more[300];
	pid_t pid;

	snprintf(more, sizeof(more), "%s keep = true;", keys);
	rig_run(rig, "caller", NULL, more);
	pid = pid_of(rig);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, NULL, &before), 0);
	few = (struct rlimit){ .rlim_cur = 64, .rlim_max = before.rlim_max };
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &few, NULL), 0);
	do {
		call(rig, 1);
		count++;
		MIND_UNTIL(rig, get(rig, ANSWERS) == count);
		assert_true(count <= 64);
	} while (!get(rig, LAST));
	assert_int_equal(get(rig, LAST), EMFILE);
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &before, NULL), 0);
	call(rig, 1);
	MIND_UNTIL(rig, get(rig, ANSWERS) == count + 1);
	assert_int_equal(get(rig, LAST), 0);
	serve_no_more(listener, "uds_1");
}

/* ---- in a thread ---- */

struct threaded {
	struct home home;
	struct source source;
	struct plugin *plugin;
	struct placed placed;
	struct gmem mem;
	struct err err;
};

static int thread_setup(void **state)
{
	static struct threaded threaded;
	struct placed_home home = home_of(&threaded.home);
	struct device_spec spec = { .id = "device", .mem = &threaded.mem, .vcpus = 1, .bases = { 0xd2001000 } };
	char path[PATH_MAX];

	memset(&threaded, 0, sizeof(threaded));
	plugin_file("caller", path);
	must(plugin_load(path, &threaded.plugin, &threaded.err), &threaded.err);
	spec.class = plugin_find_class(threaded.plugin, NULL);
	spec.values = values_from(&threaded.source, spec.class, keys);
	must(placed_thread_new(&spec, &home, &threaded.placed, &threaded.err), &threaded.err);
	must(threaded.placed.ops->start(threaded.placed.ctx, &threaded.err), &threaded.err);
	*state = &threaded;
	return 0;
}

static int thread_teardown(void **state)
{
	struct threaded *threaded = *state;

	threaded->placed.ops->stop(threaded->placed.ctx);
	threaded->placed.ops->free(threaded->placed.ctx);
	source_end(&threaded->source);
	plugin_free(threaded->plugin);
	return 0;
}

#define THREAD_TEST(name) cmocka_unit_test_setup_teardown(name, thread_setup, thread_teardown)

/* Until the device has been told so often; what of last. */
static uint32_t wait_answers(struct threaded *threaded, uint32_t count)
{
	for (int i = 0; i < PATIENCE_S * 1000; i++) {
		if (home_read(&threaded->home, 0, ANSWERS, 4) == count)
			return (uint32_t)home_read(&threaded->home, 0, LAST, 4);
		poll(NULL, 0, 1);
	}
	fail_msg("%u answers did not come", count);
	return UINT32_MAX;
}

static void a_thread_reaches_who_listens(void **state)
{
	struct threaded *threaded = *state;
	int listener = serve("uds_5"), network = serve("network");

	home_write(&threaded->home, 0, CALL, 4, 5);
	assert_int_equal(wait_answers(threaded, 1), 0);
	expect_caller(listener, "5\n");
	home_write(&threaded->home, 0, 4, 4, 0);
	assert_int_equal(wait_answers(threaded, 2), 0);
	expect_caller(network, "0\n");
	serve_no_more(listener, "uds_5");
	serve_no_more(network, "network");
}

static void a_thread_is_told_that_nobody_is_there(void **state)
{
	struct threaded *threaded = *state;

	home_write(&threaded->home, 0, CALL, 4, 1);
	assert_int_equal(wait_answers(threaded, 1), ENOENT);
}

static void a_thread_at_rest_is_told_when_it_goes_on(void **state)
{
	struct threaded *threaded = *state;
	const struct placed_ops *ops = threaded->placed.ops;
	int listener = serve("uds_1");

	for (int i = 0; i < 20; i++)
		home_write(&threaded->home, 0, CALL, 4, 1);
	must(ops->quiesce(threaded->placed.ctx, &threaded->err), &threaded->err);
	must(ops->resume(threaded->placed.ctx, &threaded->err), &threaded->err);
	assert_int_equal(wait_answers(threaded, 20), 0);
	for (int i = 0; i < 20; i++)
		expect_caller(listener, "1\n");
	serve_no_more(listener, "uds_1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_process_reaches_who_listens),
		RIG_TEST(a_process_is_told_that_nobody_is_there),
		RIG_TEST(a_process_may_ask_in_start),
		RIG_TEST(a_process_at_rest_is_told_when_it_goes_on),
		RIG_TEST(a_reset_does_not_end_it),
		RIG_TEST(sixty_four_at_once),
		RIG_TEST(a_stop_while_one_is_under_way),
		RIG_TEST(a_process_without_room_goes_on),
		THREAD_TEST(a_thread_reaches_who_listens),
		THREAD_TEST(a_thread_is_told_that_nobody_is_there),
		THREAD_TEST(a_thread_at_rest_is_told_when_it_goes_on),
	};

	return cmocka_run_group_tests_name("process_connect", tests, group_setup, group_teardown);
}
