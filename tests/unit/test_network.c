/* SPDX-License-Identifier: BSD-3-Clause */
/* Networks and sockets that are Unix sockets: opened, shared with a plugin's process, and reached by the broker. */
#include "tests/unit/open_fixture.h"

#include "core/placement/broker.h"

static void expect_listener(const char *path, int fd)
{
	struct stat st;
	int client;

	assert_own_fd(fd);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	client = reach(path);
	assert_true(client >= 0);
	close(client);
}

/* ---- what listens ---- */

static void sockets_listen_at_their_paths(void **state)
{
	const char *first = in_folder("first"), *second = in_folder("second"), *third = in_folder("third");
	struct opened opened;

	(void)state;
	opened_begin(&opened);
	opened_add(&opened, BOTH, "first");
	opened_add(&opened, BOTH, "second");
	opened_add(&opened, IN, "third");
	opened_add(&opened, OUT, "fourth");
	assert_int_equal(open_values(&opened.opener, opened.values, &opened.err), 0);
	expect_listener(first, opened.values->lists[BOTH].items[0].fd);
	expect_listener(second, opened.values->lists[BOTH].items[1].fd);
	expect_listener(third, opened.values->lists[IN].items[0].fd);
	assert_int_equal(opened.values->lists[OUT].items[0].fd, -1);
	assert_false(exists(in_folder("fourth")));
	opener_end(&opened.opener);
	assert_false(exists(first) || exists(second) || exists(third));
	opened_end(&opened);
}

/* Many clients come at once. */
static void a_socket_lets_many_wait(void **state)
{
	int clients[100];
	struct opened opened;

	(void)state;
	opened_begin(&opened);
	opened_add(&opened, IN, "socket");
	assert_int_equal(open_values(&opened.opener, opened.values, &opened.err), 0);
	for (size_t i = 0; i < COUNT_OF(clients); i++) {
		clients[i] = reach(in_folder("socket"));
		assert_true(clients[i] >= 0);
	}
	for (size_t i = 0; i < COUNT_OF(clients); i++)
		close(clients[i]);
	opened_end(&opened);
}

static void a_network_listens(void **state)
{
	struct opened opened;
	const struct network *network = open_network(&opened, "listen:peer", 4);

	(void)state;
	assert_int_equal(network->kind, BP_NETWORK_LISTENER);
	assert_int_equal(network->flags, 0);
	assert_int_equal(network->fd_count, 1);
	expect_listener(in_folder("peer"), network->fds[0]);
	opened_end(&opened);
	assert_false(exists(in_folder("peer")));
}

static void what_is_in_the_way_stays(void **state)
{
	int fd = open(in_folder("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct opened opened;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	refuse_network("listen:file", 0, "\"file\" exists, and is no socket");
	assert_int_equal(mkdir(in_folder("folder"), 0700), 0);
	refuse_network("listen:folder", 0, "\"folder\" exists, and is no socket");
	/* A link is not followed, to wherever it leads. */
	assert_int_equal(symlink("nowhere", in_folder("link")), 0);
	refuse_network("listen:link", 0, "\"link\" exists, and is no socket");
	assert_false(exists(in_folder("nowhere")));
	fd = serve(in_folder("taken"), SOCK_STREAM, 4);
	refuse_network("listen:taken", 0, "somebody else listens on \"taken\"");
	assert_true(exists(in_folder("taken")) && exists(in_folder("file")) && exists(in_folder("link")));
	/* Of a program that has ended. */
	close(fd);
	open_network(&opened, "listen:taken", 0);
	opened_end(&opened);
	refuse_network("listen:none/socket", 0, "cannot listen on \"none/socket\": No such file or directory");
	unlink(in_folder("file"));
	unlink(in_folder("link"));
	rmdir(in_folder("folder"));
}

static void somebody_elses_socket_is_not_removed(void **state)
{
	struct opened opened;
	int fd;

	(void)state;
	open_network(&opened, "listen:peer", 0);
	unlink(in_folder("peer"));
	fd = serve(in_folder("peer"), SOCK_STREAM, 1);
	opened.fds_before++;
	opened_end(&opened);
	assert_true(exists(in_folder("peer")));
	close(fd);
	unlink(in_folder("peer"));
}

/* ---- what connects ---- */

static void a_network_connects_at_once(void **state)
{
	int listener = serve(in_folder("peer"), SOCK_STREAM, 4), far;
	struct opened opened;
	const struct network *network = open_network(&opened, "connect:peer", 2);

	(void)state;
	assert_int_equal(network->kind, BP_NETWORK_STREAM);
	assert_int_equal(network->flags, BP_NETWORK_CONNECTS);
	assert_int_equal(network->fd_count, 1);
	assert_own_fd(network->fds[0]);
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
	close(far);
	opened_end(&opened);
	close(listener);
	assert_true(exists(in_folder("peer")));
	unlink(in_folder("peer"));
}

static void expect_nobody(const char *text)
{
	struct opened opened;
	const struct network *network = open_network(&opened, text, 0);

	assert_int_equal(network->kind, BP_NETWORK_STREAM);
	assert_int_equal(network->flags, BP_NETWORK_CONNECTS);
	assert_int_equal(network->fd_count, 0);
	opened_end(&opened);
}

static void a_peer_may_come_later(void **state)
{
	int listener, waiting[2];

	(void)state;
	expect_nobody("connect:peer");
	expect_nobody("connect:no/such/folder");
	listener = serve(in_folder("peer"), SOCK_STREAM, 0);
	/* Its backlog is full. */
	waiting[0] = reach(in_folder("peer"));
	waiting[1] = reach(in_folder("peer"));
	assert_int_equal(waiting[1], -EAGAIN);
	expect_nobody("connect:peer");
	close(waiting[0]);
	close(listener);
	expect_nobody("connect:peer");
	unlink(in_folder("peer"));
}

static void what_can_be_no_peer_is_an_error(void **state)
{
	int fd = serve(in_folder("packets"), SOCK_SEQPACKET, 1);

	(void)state;
	refuse_network("connect:packets", 0, "cannot connect to \"packets\": Protocol wrong type for socket");
	refuse_network("connect:packets/peer", 0, "cannot connect to \"packets/peer\": Not a directory");
	assert_int_equal(symlink("loop", in_folder("loop")), 0);
	refuse_network("connect:loop", 0, "cannot connect to \"loop\": Too many levels of symbolic links");
	unlink(in_folder("loop"));
	close(fd);
	unlink(in_folder("packets"));
}

/* ---- another process has it, too ---- */

static void a_peer_sees_the_end_of_who_has_the_connection(void **state)
{
	int listener = serve(in_folder("peer"), SOCK_STREAM, 4), far;
	struct opened opened;
	const struct network *network = open_network(&opened, "connect:peer", 0);
	int theirs = dup(network->fds[0]);

	(void)state;
	far = accept(listener, NULL, NULL);
	values_let_go(opened.values);
	assert_int_equal(network->fd_count, 0);
	assert_int_equal(network->kind, BP_NETWORK_STREAM);
	assert_int_equal(network->flags, BP_NETWORK_CONNECTS);
	assert_int_equal(write(theirs, "x", 1), 1);
	close(theirs);
	assert_true(hangs_up(far));
	close(far);
	opened_end(&opened);
	close(listener);
	unlink(in_folder("peer"));
}

static void listening_sockets_stay(void **state)
{
	struct opened opened;
	const struct network *network;

	(void)state;
	opened_begin(&opened);
	opened_add(&opened, NETWORK, "listen:peer");
	opened_add(&opened, IN, "socket");
	assert_int_equal(open_values(&opened.opener, opened.values, &opened.err), 0);
	network = network_of(&opened);
	values_let_go(opened.values);
	expect_listener(in_folder("peer"), network->fds[0]);
	expect_listener(in_folder("socket"), opened.values->lists[IN].items[0].fd);
	opened_end(&opened);
}

static void nobody_waits_for_who_has_gone(void **state)
{
	struct opened opened;
	int waiting[2];

	(void)state;
	opened_begin(&opened);
	opened_add(&opened, NETWORK, "listen:peer");
	opened_add(&opened, BOTH, "socket");
	assert_int_equal(open_values(&opened.opener, opened.values, &opened.err), 0);
	waiting[0] = reach(in_folder("peer"));
	waiting[1] = reach(in_folder("socket"));
	values_hang_up(opened.values);
	for (size_t i = 0; i < 2; i++) {
		assert_true(waiting[i] >= 0 && hangs_up(waiting[i]));
		close(waiting[i]);
	}
	assert_int_equal(reach(in_folder("peer")), -ECONNREFUSED);
	assert_int_equal(reach(in_folder("socket")), -ECONNREFUSED);
	opened_end(&opened);
	assert_false(exists(in_folder("peer")) || exists(in_folder("socket")));
}

/* ---- the broker ---- */

static int ask(struct opened *opened, uint32_t param, uint32_t index, uint32_t number)
{
	const struct device_connect what = { .token = 1, .param = param, .index = index, .number = number };

	return broker_connect(opened->values, &what);
}

/* A value of each, not opened. */
static void broker_begin(struct opened *opened, const char *network)
{
	opened_begin(opened);
	opened_add(opened, NETWORK, network);
	opened_add(opened, BOTH, "first");
	opened_add(opened, BOTH, "second");
	opened_add(opened, IN, "in");
	opened_add(opened, OUT, "out");
}

static void expect_reached(struct opened *opened, const char *name, uint32_t param, uint32_t index, uint32_t number)
{
	int listener = serve(in_folder(name), SOCK_STREAM, 4), far, fd = ask(opened, param, index, number);

	assert_own_fd(fd);
	far = accept(listener, NULL, NULL);
	assert_true(far >= 0);
	close(fd);
	close(far);
	close(listener);
	unlink(in_folder(name));
}

static void the_broker_reaches_what_the_values_name(void **state)
{
	struct opened opened;

	(void)state;
	broker_begin(&opened, "connect:peer");
	expect_reached(&opened, "peer", NETWORK, 0, 0);
	expect_reached(&opened, "first_0", BOTH, 0, 0);
	expect_reached(&opened, "second_1024", BOTH, 1, 1024);
	expect_reached(&opened, "out_4294967295", OUT, 0, UINT32_MAX);
	opened_end(&opened);
}

static void the_broker_refuses_what_they_do_not(void **state)
{
	static const char *const networks[] = { "tap", "passt", "fd:3", "listen:peer" };
	struct opened opened;

	(void)state;
	broker_begin(&opened, "connect:peer");
	assert_int_equal(ask(&opened, NETWORK, 0, 1), -EPROTO);
	assert_int_equal(ask(&opened, NETWORK, 1, 0), -EPROTO);
	assert_int_equal(ask(&opened, PAIRS, 0, 0), -EPROTO);
	assert_int_equal(ask(&opened, BOTH, 2, 0), -EPROTO);
	assert_int_equal(ask(&opened, BOTH, UINT32_MAX, 0), -EPROTO);
	assert_int_equal(ask(&opened, IN, 0, 0), -EPROTO);
	assert_int_equal(ask(&opened, OUT + 1, 0, 0), -EPROTO);
	assert_int_equal(ask(&opened, UINT32_MAX, 0, 0), -EPROTO);
	opened_end(&opened);
	for (size_t i = 0; i < COUNT_OF(networks); i++) {
		broker_begin(&opened, networks[i]);
		assert_int_equal(ask(&opened, NETWORK, 0, 0), -EPROTO);
		opened_end(&opened);
	}
}

static void the_broker_says_why_nobody_is_there(void **state)
{
	char name[128];
	struct opened opened;
	int listener, waiting;

	(void)state;
	broker_begin(&opened, "connect:peer");
	assert_int_equal(ask(&opened, OUT, 0, 7), -ENOENT);
	listener = serve(in_folder("out_7"), SOCK_STREAM, 0);
	waiting = reach(in_folder("out_7"));
	assert_int_equal(ask(&opened, OUT, 0, 7), -EAGAIN);
	close(waiting);
	close(listener);
	assert_int_equal(ask(&opened, OUT, 0, 7), -ECONNREFUSED);
	unlink(in_folder("out_7"));
	/* core/config lets no such path through. */
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	opened_add(&opened, BOTH, name);
	assert_int_equal(ask(&opened, BOTH, 2, 0), -ENAMETOOLONG);
	opened_end(&opened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_listen_at_their_paths),
		cmocka_unit_test(a_socket_lets_many_wait),
		cmocka_unit_test(a_network_listens),
		cmocka_unit_test(what_is_in_the_way_stays),
		cmocka_unit_test(somebody_elses_socket_is_not_removed),
		cmocka_unit_test(a_network_connects_at_once),
		cmocka_unit_test(a_peer_may_come_later),
		cmocka_unit_test(what_can_be_no_peer_is_an_error),
		cmocka_unit_test(a_peer_sees_the_end_of_who_has_the_connection),
		cmocka_unit_test(listening_sockets_stay),
		cmocka_unit_test(nobody_waits_for_who_has_gone),
		cmocka_unit_test(the_broker_reaches_what_the_values_name),
		cmocka_unit_test(the_broker_refuses_what_they_do_not),
		cmocka_unit_test(the_broker_says_why_nobody_is_there),
	};

	return cmocka_run_group_tests_name("network", tests, net_folder_setup, net_folder_teardown);
}
