/* SPDX-License-Identifier: BSD-3-Clause */
/* Networks, sockets and the identity of a device whose plugin lives in a process: what it gets, and who sees its end. */
#include "tests/unit/process_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

static char folder[] = "/tmp/bp-test-process-net.XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name);
	return address;
}

static int serve(const char *name)
{
	const struct sockaddr_un address = address_of(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int reach(const char *name)
{
	const struct sockaddr_un address = address_of(name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -errno;
}

static void forget(const char *name)
{
	const struct sockaddr_un address = address_of(name);

	unlink(address.sun_path);
}

/* "network = "connect:FOLDER/peer";" */
static const char *key(const char *name, const char *form, const char *file)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s = \"%s%s/%s\";", name, form, folder, file);
	return text;
}

static bool hangs_up(int fd)
{
	struct pollfd ends = { .fd = fd, .events = POLLRDHUP };

	return poll(&ends, 1, PATIENCE_S * 1000) == 1;
}

static void kill_plugin(struct rig *rig)
{
	assert_int_equal(pidfd_send_signal(rig->process->pidfd, SIGKILL, NULL, 0), 0);
	MIND_UNTIL(rig, rig->home.failures == 1);
}

static void a_plugin_gets_what_was_opened(void **state)
{
	struct rig *rig = *state;
	char expected[512];
	int listener = serve("peer"), far;

	log_catch(LOG_LEVEL_WARN);
	rig_run(rig, "peers", NULL, key("network", "connect:", "peer"));
	snprintf(expected, sizeof(expected),
		 "backplane: warning: device: network \"connect:%s/peer\": kind 2, flags 1, 1 descriptors\n"
		 "backplane: warning: device: identity 0123456789abcdef\n",
		 folder);
	assert_string_equal(log_caught(), expected);
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
	close(far);
	close(listener);
	forget("peer");
}

/* The plugin's process is the only one that has it. */
static void a_peer_sees_the_end_of_the_plugin(void **state)
{
	struct rig *rig = *state;
	int listener = serve("peer"), far;
	const struct value *value;

	rig_run(rig, "peers", NULL, key("network", "connect:", "peer"));
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
	value = values_get(rig->process->values, "network", 0);
	assert_int_equal(value->network->fd_count, 0);
	/* It is connected, until the plugin dies. */
	assert_int_equal(poll(&(struct pollfd){ .fd = far, .events = POLLRDHUP }, 1, 0), 0);
	kill_plugin(rig);
	assert_true(hangs_up(far));
	close(far);
	close(listener);
	forget("peer");
}

/* Nobody waits at a socket that nobody serves, though it is there until the end of the VM. */
static void sockets_of_a_plugin_that_has_died_refuse(void **state)
{
	struct rig *rig = *state;
	char keys[512];
	int waiting[2];

	snprintf(keys, sizeof(keys), "%s", key("network", "listen:", "peer"));
	snprintf(keys + strlen(keys), sizeof(keys) - strlen(keys), "%s", key("uds", "", "socket"));
	rig_run(rig, "peers", NULL, keys);
	waiting[0] = reach("peer");
	waiting[1] = reach("socket");
	assert_true(waiting[0] >= 0 && waiting[1] >= 0);
	kill_plugin(rig);
	for (size_t i = 0; i < 2; i++) {
		assert_true(hangs_up(waiting[i]));
		close(waiting[i]);
	}
	assert_int_equal(reach("peer"), -ECONNREFUSED);
	assert_int_equal(reach("socket"), -ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(a_plugin_gets_what_was_opened),
		RIG_TEST(a_peer_sees_the_end_of_the_plugin),
		RIG_TEST(sockets_of_a_plugin_that_has_died_refuse),
	};

	return cmocka_run_group_tests_name("process_network", tests, setup, teardown);
}
