/* SPDX-License-Identifier: BSD-3-Clause */
/* The spawner as a program: what it takes for its core, and what it makes of requests that no core sends. */
#include "core/placement/program.h"
#include "tests/unit/spawn_fixture.h"

static struct hosted hosted;

/* The program, with a descriptor as its socket; none has SPAWN_FD if that is negative. */
static pid_t start_program(int socket)
{
	struct program program = { .name = "spawner", .count = SPAWN_FD + 1 };
	char path[PATH_MAX];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	spawner_find_program(SPAWNER_PATH, "", path);
	program.path = path;
	for (size_t i = 0; i < SPAWN_FD; i++)
		program.fds[i] = null;
	program.fds[SPAWN_FD] = socket;
	if (socket < 0)
		program.count--;
	MUST(program_start(&program, &pid) == 0);
	close(null);
	return pid;
}

/* A message of the spawner's. */
static struct spawn_answer read_answer(int socket, struct msg_fds *fds)
{
	struct spawn_answer answer;

	MUST(wait_readable(socket));
	MUST(msg_recv(socket, &answer, sizeof(answer), fds) == (ssize_t)sizeof(answer));
	MUST(answer.version == SPAWN_VERSION);
	return answer;
}

static pid_t start_ready(int *ret_socket)
{
	struct msg_fds fds;
	struct spawn_answer answer;
	int pair[2];
	pid_t pid;

	MUST(msg_pair(SOCK_SEQPACKET, pair) == 0);
	pid = start_program(pair[1]);
	close(pair[1]);
	answer = read_answer(pair[0], &fds);
	MUST(answer.op == SPAWN_READY && answer.token == 0 && answer.pid == pid && fds.count == 0);
	*ret_socket = pair[0];
	return pid;
}

static struct spawn_request request_of(uint64_t token)
{
	return (struct spawn_request){ .version = SPAWN_VERSION, .op = SPAWN_START, .token = token };
}

/* A right request: the process is in `hosted`, and has begun. */
static struct spawn_answer start_hosted(int socket, uint64_t token)
{
	struct spawn_request request = request_of(token);
	struct msg_fds fds = { .count = SPAWN_FDS };
	struct spawn_answer answer;
	int theirs[SPAWN_FDS];

	hosted_pairs(hosted.fds, theirs);
	memcpy(fds.fds, theirs, sizeof(theirs));
	MUST(msg_send(socket, &request, sizeof(request), &fds, 0) == 0);
	close_fds(theirs);
	answer = read_answer(socket, &fds);
	MUST(answer.op == SPAWN_STARTED && answer.token == token && fds.count == (answer.error ? 0 : 1));
	hosted.pid = answer.pid;
	hosted.pidfd = answer.error ? -1 : fds.fds[0];
	if (!answer.error)
		wait_message(hosted.fds[1], hosted.report, sizeof(hosted.report));
	return answer;
}

static void assert_exits(pid_t pid, int expected)
{
	int status;

	assert_int_equal(wait_child(pid, &status), CLD_EXITED);
	assert_int_equal(status, expected);
}

/* ---- its core ---- */

static void without_a_socket_it_does_nothing(void **state)
{
	int pair[2];

	(void)state;
	assert_exits(start_program(-1), 2);
	assert_int_equal(msg_pair(SOCK_STREAM, pair), 0);
	assert_exits(start_program(pair[1]), 2);
	close(pair[0]);
	close(pair[1]);
}

static void core_that_has_gone_before_is_noticed(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(msg_pair(SOCK_SEQPACKET, pair), 0);
	close(pair[0]);
	assert_exits(start_program(pair[1]), 1);
	close(pair[1]);
}

/* As if the core had died and somebody else had become its parent: the socket still says who was meant. */
static void parent_that_is_not_the_core_is_noticed(void **state)
{
	int pair[2];
	pid_t other;

	(void)state;
	assert_int_equal(msg_pair(SOCK_SEQPACKET, pair), 0);
	fflush(NULL);
	other = fork();
	assert_true(other >= 0);
	if (other == 0) {
		int status;

		_exit(wait_child(start_program(pair[1]), &status) == CLD_EXITED ? status : 99);
	}
	assert_exits(other, 1);
	close(pair[0]);
	close(pair[1]);
}

static void closed_socket_ends_it_with_0(void **state)
{
	int socket;
	pid_t pid = start_ready(&socket);

	(void)state;
	start_hosted(socket, 1);
	close(socket);
	assert_exits(pid, 0);
	assert_true(hosted_gone(&hosted));
	hosted_close(&hosted);
}

/* ---- requests ---- */

#define RIGHT_BYTES sizeof(struct spawn_request)

static const struct hostile {
	const char *name;
	uint32_t version, op;
	uint64_t token;
	size_t bytes, fds;
} hostile[] = {
	{ "short", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES - 1, SPAWN_FDS },
	{ "one byte", SPAWN_VERSION, SPAWN_START, 2, 1, SPAWN_FDS },
	{ "long", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES + 1, SPAWN_FDS },
	{ "very long", SPAWN_VERSION, SPAWN_START, 2, 16384, SPAWN_FDS },
	{ "version 0", 0, SPAWN_START, 2, RIGHT_BYTES, SPAWN_FDS },
	{ "next version", SPAWN_VERSION + 1, SPAWN_START, 2, RIGHT_BYTES, SPAWN_FDS },
	{ "op 0", SPAWN_VERSION, 0, 2, RIGHT_BYTES, SPAWN_FDS },
	{ "an answer's op", SPAWN_VERSION, SPAWN_STARTED, 2, RIGHT_BYTES, SPAWN_FDS },
	{ "op of all ones", SPAWN_VERSION, UINT32_MAX, 2, RIGHT_BYTES, SPAWN_FDS },
	{ "token 0", SPAWN_VERSION, SPAWN_START, 0, RIGHT_BYTES, SPAWN_FDS },
	{ "token of another", SPAWN_VERSION, SPAWN_START, 1, RIGHT_BYTES, SPAWN_FDS },
	{ "no descriptors", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES, 0 },
	{ "too few descriptors", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES, SPAWN_FDS - 1 },
	{ "too many descriptors", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES, SPAWN_FDS + 1 },
	{ "far too many descriptors", SPAWN_VERSION, SPAWN_START, 2, RIGHT_BYTES, 250 },
};

/* Without msg_send(), which does not send as many descriptors as some of these have. */
static void send_hostile(int socket, const struct hostile *message)
{
	struct spawn_request request = { message->version, message->op, message->token };
	static union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(250 * sizeof(int))];
	} control;
	static uint8_t bytes[16384];
	struct iovec iov = { .iov_base = bytes, .iov_len = message->bytes };
	struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(bytes, &request, sizeof(request));
	if (message->fds) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(message->fds * sizeof(int));
		for (size_t i = 0; i < message->fds; i++)
			memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &(int){ STDIN_FILENO }, sizeof(int));
		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(message->fds * sizeof(int));
	}
	MUST(sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)message->bytes);
}

/* Each after a right one, whose process has to end with it. */
static void request_that_is_none_ends_everything(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(hostile); i++) {
		int socket, status, code;
		pid_t pid = start_ready(&socket);

		start_hosted(socket, 1);
		send_hostile(socket, &hostile[i]);
		code = wait_child(pid, &status);
		if (code != CLD_EXITED || status != 1)
			print_error("%s: code %d, status %d\n", hostile[i].name, code, status);
		assert_true(code == CLD_EXITED && status == 1);
		assert_true(hosted_gone(&hosted));
		hosted_close(&hosted);
		close(socket);
	}
}

static void token_can_be_used_again_once_its_end_was_told(void **state)
{
	int socket;
	pid_t pid = start_ready(&socket);
	struct msg_fds fds;
	struct spawn_answer answer;

	(void)state;
	for (int i = 0; i < 3; i++) {
		start_hosted(socket, 1);
		hosted_order(&hosted, "exit 4");
		answer = read_answer(socket, &fds);
		assert_int_equal(answer.op, SPAWN_ENDED);
		assert_int_equal(answer.token, 1);
		assert_int_equal(answer.code, CLD_EXITED);
		assert_int_equal(answer.status, 4);
		hosted_close(&hosted);
	}
	close(socket);
	assert_exits(pid, 0);
}

/* They hold a descriptor each there; that many are not held here. */
static void processes_are_limited(void **state)
{
	int socket;
	pid_t pid = start_ready(&socket);
	struct spawn_answer answer;
	static int controls[SPAWN_PROCESSES_MAX];
	struct msg_fds fds;

	(void)state;
	for (uint64_t i = 0; i < SPAWN_PROCESSES_MAX; i++) {
		assert_int_equal(start_hosted(socket, i + 1).error, 0);
		controls[i] = fcntl(hosted.fds[1], F_DUPFD_CLOEXEC, 3);
		hosted_close(&hosted);
	}
	assert_int_equal(start_hosted(socket, 1000).error, -EAGAIN);
	close_fds(hosted.fds);
	/* One ends, and there is room for one. */
	close(controls[0]);
	answer = read_answer(socket, &fds);
	assert_int_equal(answer.op, SPAWN_ENDED);
	assert_int_equal(answer.token, 1);
	assert_int_equal(start_hosted(socket, 1000).error, 0);
	close(socket);
	assert_exits(pid, 0);
	assert_true(hosted_gone(&hosted));
	hosted_close(&hosted);
	for (size_t i = 1; i < SPAWN_PROCESSES_MAX; i++)
		close(controls[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_socket_it_does_nothing),
		cmocka_unit_test(core_that_has_gone_before_is_noticed),
		cmocka_unit_test(parent_that_is_not_the_core_is_noticed),
		cmocka_unit_test(closed_socket_ends_it_with_0),
		cmocka_unit_test(request_that_is_none_ends_everything),
		cmocka_unit_test(token_can_be_used_again_once_its_end_was_told),
		cmocka_unit_test(processes_are_limited),
	};

	return cmocka_run_group_tests(tests, tree_setup, tree_teardown);
}
