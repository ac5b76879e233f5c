/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of a control socket, from a side that keeps to the rules: each arrives as it was sent, with what belongs to it. */
#include "tests/unit/wire_fixture.h"

#include <sys/resource.h>

#include <fcntl.h>
#include <pthread.h>

static const uint32_t all_ops[] = {
	WIRE_LOAD,
	WIRE_CREATE,
	WIRE_START,
	WIRE_RESET,
	WIRE_QUIESCE,
	WIRE_RESUME,
	WIRE_SAVE,
	WIRE_RESTORE,
	WIRE_METRICS,
	WIRE_PING,
	WIRE_STOP,
	WIRE_END,
	WIRE_RESIZED,
	WIRE_CLAIM,
	WIRE_RELEASE,
	WIRE_LOG,
	WIRE_EVENT,
	WIRE_QUIT,
	WIRE_SETTLE,
	WIRE_LOAD | WIRE_REPLY,
	WIRE_CREATE | WIRE_REPLY,
	WIRE_START | WIRE_REPLY,
	WIRE_RESET | WIRE_REPLY,
	WIRE_QUIESCE | WIRE_REPLY,
	WIRE_RESUME | WIRE_REPLY,
	WIRE_SAVE | WIRE_REPLY,
	WIRE_RESTORE | WIRE_REPLY,
	WIRE_METRICS | WIRE_REPLY,
	WIRE_PING | WIRE_REPLY,
	WIRE_STOP | WIRE_REPLY,
	WIRE_END | WIRE_REPLY,
	WIRE_RESIZED | WIRE_REPLY,
	WIRE_CLAIM | WIRE_REPLY,
	WIRE_RELEASE | WIRE_REPLY,
	WIRE_SETTLE | WIRE_REPLY,
	WIRE_CONNECT,
	WIRE_CONNECTED,
};

static void lengths_are_those_of_the_table(void **state)
{
	size_t known = 0;

	(void)state;
	assert_int_equal(wire_body_bytes(WIRE_LOAD), sizeof(struct wire_load));
	assert_int_equal(wire_body_bytes(WIRE_LOAD | WIRE_REPLY), 0);
	assert_int_equal(wire_body_bytes(WIRE_CREATE), sizeof(struct wire_create));
	assert_int_equal(wire_body_bytes(WIRE_CREATE | WIRE_REPLY), sizeof(struct wire_created));
	assert_int_equal(wire_body_bytes(WIRE_CLAIM), sizeof(struct wire_claim));
	assert_int_equal(wire_body_bytes(WIRE_CLAIM | WIRE_REPLY), sizeof(struct wire_claimed));
	assert_int_equal(wire_body_bytes(WIRE_LOG), sizeof(struct wire_log));
	assert_int_equal(wire_body_bytes(WIRE_CONNECT), sizeof(struct wire_connect));
	assert_int_equal(wire_body_bytes(WIRE_CONNECTED), sizeof(struct wire_connected));
	assert_int_equal(wire_body_bytes(WIRE_BLOB), 8);
	assert_int_equal(wire_body_bytes(WIRE_FDS), 0);
	for (uint32_t op = 0; op < 0x1000; op++)
		known += wire_body_bytes(op) >= 0;
	assert_int_equal(known, COUNT_OF(all_ops) + 2);
	assert_int_equal(wire_body_bytes(0), -EPROTO);
	assert_int_equal(wire_body_bytes(UINT32_MAX), -EPROTO);
}

static void each_message_goes_round(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	uint8_t body[sizeof(struct wire_load)];

	for (size_t i = 0; i < COUNT_OF(all_ops); i++) {
		struct wire_head head = { .version = 99, .op = all_ops[i], .sequence = (uint32_t)i };
		size_t bytes = (size_t)wire_body_bytes(head.op);

		for (size_t j = 0; j < bytes; j++)
			body[j] = (uint8_t)(j % 61); /* each text has its NUL */
		assert_int_equal(wire_send(&wires->theirs, &head, body, NULL, NULL, 0), 0);
		assert_int_equal(wire_receive(&wires->ours, &got), 1);
		assert_int_equal(got.head.version, WIRE_VERSION);
		assert_int_equal(got.head.op, head.op);
		assert_int_equal(got.head.sequence, i);
		assert_memory_equal(&got.body, body, bytes);
		wire_next(&wires->ours);
	}
	assert_int_equal(wire_receive(&wires->ours, &got), -EAGAIN);
}

static void an_error_has_its_text(void **state)
{
	struct wire_head head = { .op = WIRE_CREATE | WIRE_REPLY, .result = -ENOENT };
	struct wire_text text = { .text = "no such thing" };
	struct wires *wires = *state;
	static struct wire_message got;

	assert_int_equal(wire_send(&wires->theirs, &head, &text, NULL, NULL, 0), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	assert_int_equal(got.head.result, -ENOENT);
	assert_string_equal(got.body.text.text, "no such thing");
}

/* What is longer than the socket holds is sent by a thread. */
struct sending {
	struct wire *wire;
	struct wire_head head;
	const uint8_t *blob;
	const int *fds;
	int r;
};

static void *send_all(void *arg)
{
	static const struct wire_create create = { .id = "disk" };
	struct sending *sending = arg;

	sending->r = wire_send(sending->wire, &sending->head, &create, sending->blob, sending->fds, wires_soon());
	return NULL;
}

static void receive_soon(struct wire *wire, struct wire_message *ret)
{
	int r;

	do
		r = msg_wait(wire->fd, -1, wires_soon()) < 0 ? -ETIMEDOUT : wire_receive(wire, ret);
	while (r == -EAGAIN);
	assert_int_equal(r, 1);
}

static void go_round(struct wires *wires, size_t blob_bytes, size_t fd_count)
{
	uint8_t *blob = malloc(blob_bytes ? blob_bytes : 1), *taken = NULL;
	static struct wire_message got;
	struct sending sending = { .wire = &wires->theirs, .blob = blob };
	int fds[WIRE_FDS_MAX];
	pthread_t thread;
	size_t bytes = 0;

	assert_non_null(blob);
	for (size_t i = 0; i < blob_bytes; i++)
		blob[i] = (uint8_t)(i * 13 >> 2);
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = fd_memfd("sent", 4096 * (i + 1));
	sending.fds = fds;
	sending.head =
	    (struct wire_head){ .op = WIRE_CREATE, .blob_bytes = (uint32_t)blob_bytes, .fd_count = (uint32_t)fd_count };
	assert_int_equal(pthread_create(&thread, NULL, send_all, &sending), 0);
	receive_soon(&wires->ours, &got);
	assert_true(thread_join(thread));
	assert_int_equal(sending.r, 0);
	assert_int_equal(got.head.blob_bytes, blob_bytes);
	assert_int_equal(wires->ours.fd_count, fd_count);
	for (size_t i = 0; i < fd_count; i++) {
		assert_int_equal(lseek(wires->ours.fds[i], 0, SEEK_END), 4096 * (i + 1));
		assert_int_equal(fcntl(wires->ours.fds[i], F_GETFD), FD_CLOEXEC);
		close(fds[i]);
	}
	/* One is taken, the others are closed. */
	if (fd_count)
		close(fd_take(&wires->ours.fds[fd_count / 2]));
	taken = wire_take_blob(&wires->ours, &bytes);
	assert_int_equal(taken ? bytes : 0, blob_bytes);
	if (blob_bytes)
		assert_memory_equal(taken, blob, blob_bytes);
	assert_null(wire_take_blob(&wires->ours, &bytes));
	wire_next(&wires->ours);
	assert_int_equal(wires->ours.fd_count, 0);
	assert_int_equal(count_fds(), wires->fds_before + 2);
	free(taken);
	free(blob);
}

static void a_blob_and_descriptors_go_round(void **state)
{
	struct wires *wires = *state;

	go_round(wires, 1, 0);
	go_round(wires, 0, 1);
	go_round(wires, WIRE_PIECE_MAX, MSG_FDS_MAX);
	go_round(wires, WIRE_PIECE_MAX + 1, MSG_FDS_MAX + 1);
	go_round(wires, 3 * WIRE_PIECE_MAX - 1, 3 * MSG_FDS_MAX - 1);
	go_round(wires, 0, 0);
}

static void the_largest_blob_and_all_descriptors_go_round(void **state)
{
	go_round(*state, WIRE_BLOB_MAX, WIRE_FDS_MAX);
}

/* The pieces are there before the message that they belong to, and whoever has looked in between may have said wire_next(). */
static void what_has_gathered_waits_for_its_message(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	struct raw raw = raw_of(WIRE_CREATE);
	size_t bytes = 0;
	uint8_t *blob;

	raw_send_piece(wires, 100);
	assert_int_equal(wire_receive(&wires->ours, &got), -EAGAIN);
	wire_next(&wires->ours);
	assert_null(wire_take_blob(&wires->ours, &bytes));
	raw.head.blob_bytes = 100;
	raw_send(wires, &raw, sizeof(struct wire_create), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	blob = wire_take_blob(&wires->ours, &bytes);
	assert_non_null(blob);
	assert_int_equal(bytes, 100);
	free(blob);
}

static void notices_may_lie_between_pieces(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	struct raw raw = raw_of(WIRE_CREATE), notice = raw_of(WIRE_LOG), group = raw_of(WIRE_FDS);
	struct raw connect = raw_of(WIRE_CONNECT);

	raw_send_piece(wires, WIRE_PIECE_MAX);
	raw_send(wires, &notice, sizeof(struct wire_log), 0);
	raw_send_piece(wires, 10);
	raw_send(wires, &group, 0, 2);
	raw_send(wires, &connect, sizeof(struct wire_connect), 0);
	raw.head.blob_bytes = WIRE_PIECE_MAX + 10;
	raw.head.fd_count = 2;
	raw_send(wires, &raw, sizeof(struct wire_create), 0);
	for (int i = 0; i < 2; i++) {
		size_t bytes;

		assert_int_equal(wire_receive(&wires->ours, &got), 1);
		assert_int_equal(got.head.op, i ? WIRE_CONNECT : WIRE_LOG);
		/* What has gathered is not the notice's. */
		assert_null(wire_take_blob(&wires->ours, &bytes));
		wire_next(&wires->ours);
	}
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	assert_int_equal(got.head.op, WIRE_CREATE);
	assert_int_equal(wires->ours.blob_bytes, WIRE_PIECE_MAX + 10);
	assert_int_equal(wires->ours.fd_count, 2);
}

/* ---- no room for a descriptor ---- */

/* From here on, until the limit is put back, this process can have no more of them. */
static struct rlimit fill_up(void)
{
	struct rlimit before, full;
	int next = dup(STDERR_FILENO);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	full = before;
	full.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &full), 0);
	return before;
}

static void send_connected(struct wires *wires)
{
	struct raw group = raw_of(WIRE_FDS), raw = raw_of(WIRE_CONNECTED);

	raw.head.fd_count = 1;
	raw_send(wires, &group, 0, 1);
	raw_send(wires, &raw, sizeof(struct wire_connected), 0);
}

static void a_connection_without_room_comes_without_it(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	struct rlimit before;

	wires->ours.may_lose_fd = true;
	for (int i = 0; i < 3; i++)
		send_connected(wires);
	before = fill_up();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wire_receive(&wires->ours, &got), 1);
		assert_int_equal(got.head.op, WIRE_CONNECTED);
		assert_int_equal(wires->ours.fd_count, 0);
		assert_true(wires->ours.lost_fd);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	assert_int_equal(wires->ours.fd_count, 1);
	assert_false(wires->ours.lost_fd);
}

/* It is one of many then, or belongs to what cannot do without. */
static void nothing_else_comes_without_it(void **state)
{
	struct raw group = raw_of(WIRE_FDS), create = raw_of(WIRE_CREATE), connected = raw_of(WIRE_CONNECTED);
	struct wires *wires = *state;
	static struct wire_message got;
	struct rlimit before;

	send_connected(wires);
	before = fill_up();
	assert_int_equal(wire_receive(&wires->ours, &got), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), -EPROTO);
	wire_end(&wires->ours);

	wires->ours.may_lose_fd = true;
	raw_send(wires, &group, 0, 1);
	create.head.fd_count = 1;
	raw_send(wires, &create, sizeof(struct wire_create), 0);
	before = fill_up();
	assert_int_equal(wire_receive(&wires->ours, &got), -EPROTO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wire_end(&wires->ours);

	raw_send(wires, &group, 0, 2);
	connected.head.fd_count = 2;
	raw_send(wires, &connected, sizeof(struct wire_connected), 0);
	before = fill_up();
	assert_int_equal(wire_receive(&wires->ours, &got), -EPROTO);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	wire_end(&wires->ours);

	raw_send(wires, &group, 0, 1);
	raw_send(wires, &group, 0, 1);
	before = fill_up();
	assert_int_equal(wire_receive(&wires->ours, &got), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* ---- notices ---- */

#define NOTICES 2000u

static void *send_notices(void *arg)
{
	struct wire *wire = arg;

	for (uint32_t i = 0; i < NOTICES; i++) {
		struct wire_head head = { .op = WIRE_EVENT, .sequence = i };
		struct wire_event event = { .event = 3, .value = i };

		MUST(wire_send(wire, &head, &event, NULL, NULL, wires_soon()) == 0);
	}
	return NULL;
}

static void *send_replies(void *arg)
{
	struct wire *wire = arg;
	uint8_t *blob = calloc(1, 5 * WIRE_PIECE_MAX);

	MUST(blob);
	for (uint32_t i = 0; i < 100; i++) {
		struct wire_head head = { .op = WIRE_SAVE | WIRE_REPLY,
					  .sequence = i,
					  .blob_bytes = 4 * WIRE_PIECE_MAX + i + 1 };

		memset(blob, (int)i, head.blob_bytes);
		MUST(wire_send(wire, &head, NULL, blob, NULL, wires_soon()) == 0);
	}
	free(blob);
	return NULL;
}

static void notices_of_other_threads_disturb_nothing(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	uint32_t notices = 0, replies = 0;
	pthread_t threads[2];

	assert_int_equal(pthread_create(&threads[0], NULL, send_notices, &wires->theirs), 0);
	assert_int_equal(pthread_create(&threads[1], NULL, send_replies, &wires->theirs), 0);
	while (notices < NOTICES || replies < 100) {
		receive_soon(&wires->ours, &got);
		if (got.head.op == WIRE_EVENT) {
			assert_int_equal(got.body.event.value, notices);
			notices++;
		} else {
			assert_int_equal(got.head.op, WIRE_SAVE | WIRE_REPLY);
			assert_int_equal(wires->ours.blob_bytes, 4 * WIRE_PIECE_MAX + replies + 1);
			for (size_t i = 0; i < wires->ours.blob_bytes; i++)
				if (wires->ours.blob[i] != replies)
					fail_msg("byte %zu of blob %u is of another one", i, replies);
			replies++;
		}
		wire_next(&wires->ours);
	}
	assert_true(thread_join(threads[0]));
	assert_true(thread_join(threads[1]));
}

static void the_end_is_told(void **state)
{
	struct wires *wires = *state;
	static struct wire_message got;
	struct raw raw = raw_of(WIRE_QUIT);
	struct wire_head head = { .op = WIRE_PING };

	raw_send_piece(wires, 10);
	raw_send(wires, &raw, 0, 0);
	close(fd_take(&wires->theirs.fd));
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	assert_int_equal(wire_receive(&wires->ours, &got), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), 0);
	assert_int_equal(wire_send(&wires->ours, &head, NULL, NULL, NULL, wires_soon()), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_are_those_of_the_table),
		WIRE_TEST(each_message_goes_round),
		WIRE_TEST(an_error_has_its_text),
		WIRE_TEST(a_blob_and_descriptors_go_round),
		WIRE_TEST(the_largest_blob_and_all_descriptors_go_round),
		WIRE_TEST(what_has_gathered_waits_for_its_message),
		WIRE_TEST(notices_may_lie_between_pieces),
		WIRE_TEST(a_connection_without_room_comes_without_it),
		WIRE_TEST(nothing_else_comes_without_it),
		WIRE_TEST(notices_of_other_threads_disturb_nothing),
		WIRE_TEST(the_end_is_told),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
