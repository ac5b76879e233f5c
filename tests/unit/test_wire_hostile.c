/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of a control socket, from a side that breaks one rule at a time: refused, and no descriptor and no memory is kept. */
#include "tests/unit/wire_fixture.h"

static struct wire_message got;

/* What is there is refused. The next test gets a new socket, as this one is of no use. */
static void expect_refusal(struct wires *wires)
{
	assert_int_equal(wire_receive(&wires->ours, &got), -EPROTO);
	wire_end(&wires->ours);
	assert_int_equal(count_fds(), wires->fds_before + 2);
}

static void expect_message(struct wires *wires, uint32_t op)
{
	assert_int_equal(wire_receive(&wires->ours, &got), 1);
	assert_int_equal(got.head.op, op);
	wire_next(&wires->ours);
}

static size_t body_bytes(uint32_t op)
{
	return (size_t)wire_body_bytes(op);
}

static void a_head_that_is_cut(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_PING);

	for (size_t bytes = 1; bytes < sizeof(raw.head); bytes++) {
		assert_int_equal(send(wires->theirs.fd, &raw, bytes, 0), bytes);
		expect_refusal(wires);
	}
	assert_int_equal(send(wires->theirs.fd, &raw, sizeof(raw.head), 0), sizeof(raw.head));
	expect_message(wires, WIRE_PING);
}

static void another_version(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_PING);

	raw.head.version = WIRE_VERSION + 1;
	raw_send(wires, &raw, 0, 0);
	expect_refusal(wires);
	raw.head.version = 0;
	raw_send(wires, &raw, 0, 0);
	expect_refusal(wires);
}

static void ops_that_are_not_known(void **state)
{
	static const uint32_t ops[] = {
		0,
		WIRE_OPS,
		WIRE_OPS + 1,
		WIRE_REPLY,
		WIRE_BLOB | WIRE_REPLY,
		WIRE_FDS | WIRE_REPLY,
		WIRE_LOG | WIRE_REPLY,
		WIRE_EVENT | WIRE_REPLY,
		WIRE_QUIT | WIRE_REPLY,
		WIRE_CONNECT | WIRE_REPLY,
		WIRE_CONNECTED | WIRE_REPLY,
		WIRE_PING | 0x200,
		WIRE_PING | 0x80000000,
		UINT32_MAX,
	};
	struct wires *wires = *state;

	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		struct raw raw = raw_of(ops[i]);

		raw_send(wires, &raw, 0, 0);
		expect_refusal(wires);
	}
}

static void a_body_of_another_length(void **state)
{
	struct wires *wires = *state;

	for (uint32_t op = 1; op < 2 * WIRE_REPLY; op++) {
		struct raw raw = raw_of(op);

		if (wire_body_bytes(op) < 0 || op == WIRE_BLOB || op == WIRE_FDS)
			continue;
		if (body_bytes(op)) {
			raw_send(wires, &raw, body_bytes(op) - 1, 0);
			expect_refusal(wires);
			raw_send(wires, &raw, 0, 0);
			expect_refusal(wires);
		}
		raw_send(wires, &raw, body_bytes(op) + 1, 0);
		expect_refusal(wires);
		raw_send(wires, &raw, body_bytes(op), 0);
		expect_message(wires, op);
	}
}

static void a_message_longer_than_any(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_LOG);

	raw_send(wires, &raw, sizeof(union wire_body) + 1, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, sizeof(raw.body), 3);
	expect_refusal(wires);
}

static void a_text_without_end(void **state)
{
	struct wires *wires = *state;
	struct raw raw;

	raw = raw_of(WIRE_LOAD);
	memset(raw.body + offsetof(struct wire_load, path), 'x', WIRE_PATH_MAX);
	raw_send(wires, &raw, sizeof(struct wire_load), 0);
	expect_refusal(wires);
	raw = raw_of(WIRE_CREATE);
	memset(raw.body + offsetof(struct wire_create, id), 'x', WIRE_ID_MAX);
	raw_send(wires, &raw, sizeof(struct wire_create), 0);
	expect_refusal(wires);
	raw = raw_of(WIRE_CREATE);
	memset(raw.body + offsetof(struct wire_create, class_name), 'x', WIRE_ID_MAX);
	raw_send(wires, &raw, sizeof(struct wire_create), 0);
	expect_refusal(wires);
	raw = raw_of(WIRE_LOG);
	memset(raw.body + offsetof(struct wire_log, text), 'x', WIRE_TEXT_MAX);
	raw_send(wires, &raw, sizeof(struct wire_log), 0);
	expect_refusal(wires);
	raw = raw_of(WIRE_START | WIRE_REPLY);
	raw.head.result = -EIO;
	memset(raw.body, 'x', WIRE_TEXT_MAX);
	raw_send(wires, &raw, sizeof(struct wire_text), 0);
	expect_refusal(wires);
	raw.body[WIRE_TEXT_MAX - 1] = 0;
	raw_send(wires, &raw, sizeof(struct wire_text), 0);
	expect_message(wires, WIRE_START | WIRE_REPLY);
}

static void results_that_cannot_be(void **state)
{
	static const int32_t results[] = { 1, 4096, INT32_MAX, -4096, INT32_MIN };
	struct wires *wires = *state;
	struct raw raw;

	for (size_t i = 0; i < COUNT_OF(results); i++) {
		raw = raw_of(WIRE_START | WIRE_REPLY);
		raw.head.result = results[i];
		raw_send(wires, &raw, results[i] < 0 ? sizeof(struct wire_text) : 0, 0);
		expect_refusal(wires);
	}
	/* An error without its text, and a request with an error. */
	raw = raw_of(WIRE_START | WIRE_REPLY);
	raw.head.result = -EIO;
	raw_send(wires, &raw, 0, 0);
	expect_refusal(wires);
	raw = raw_of(WIRE_START);
	raw.head.result = -EIO;
	raw_send(wires, &raw, sizeof(struct wire_text), 0);
	expect_refusal(wires);
}

static void descriptors_with_another_message(void **state)
{
	struct wires *wires = *state;

	for (uint32_t op = 1; op < 2 * WIRE_REPLY; op++) {
		struct raw raw = raw_of(op);

		if (wire_body_bytes(op) < 0 || op == WIRE_BLOB || op == WIRE_FDS)
			continue;
		raw_send(wires, &raw, body_bytes(op), 1);
		expect_refusal(wires);
		raw.head.fd_count = 1;
		raw_send(wires, &raw, body_bytes(op), 1);
		expect_refusal(wires);
	}
}

static void a_fd_bomb_in_one_message(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_FDS);

	for (size_t count = MSG_FDS_MAX + 1; count <= 64; count++) {
		raw_send(wires, &raw, 0, count);
		expect_refusal(wires);
	}
}

static void a_fd_bomb_in_many_messages(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_FDS);

	for (size_t i = 0; i < WIRE_FDS_MAX / MSG_FDS_MAX; i++) {
		raw_send(wires, &raw, 0, MSG_FDS_MAX);
		assert_int_equal(wire_receive(&wires->ours, &got), -EAGAIN);
	}
	assert_int_equal(count_fds(), wires->fds_before + 2 + WIRE_FDS_MAX);
	raw_send(wires, &raw, 0, 1);
	expect_refusal(wires);
}

static void groups_of_descriptors_that_are_not_full(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_FDS);

	raw_send(wires, &raw, 0, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, 1, 1);
	expect_refusal(wires);
	raw_send(wires, &raw, 0, MSG_FDS_MAX - 1);
	raw_send(wires, &raw, 0, 1);
	expect_refusal(wires);
	raw.head.fd_count = 1;
	raw_send(wires, &raw, 0, 1);
	expect_refusal(wires);
}

static void pieces_that_lie(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_BLOB);
	uint32_t bytes = 100;

	raw_send_piece(wires, 0);
	expect_refusal(wires);
	memcpy(raw.body, &bytes, sizeof(bytes));
	raw_send(wires, &raw, 8 + 99, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, 8 + 101, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, 8, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, 7, 0);
	expect_refusal(wires);
	raw_send(wires, &raw, 8 + 100, 1);
	expect_refusal(wires);
	raw.head.blob_bytes = 100;
	raw_send(wires, &raw, 8 + 100, 0);
	expect_refusal(wires);
	bytes = UINT32_MAX;
	raw = raw_of(WIRE_BLOB);
	memcpy(raw.body, &bytes, sizeof(bytes));
	raw_send(wires, &raw, 8 + WIRE_PIECE_MAX, 0);
	expect_refusal(wires);
	/* A short one that is not the last: else their number would not be bounded. */
	raw_send_piece(wires, WIRE_PIECE_MAX - 1);
	raw_send_piece(wires, 1);
	expect_refusal(wires);
}

static void a_blob_beyond_the_limit(void **state)
{
	struct wires *wires = *state;

	for (size_t i = 0; i < WIRE_BLOB_MAX / WIRE_PIECE_MAX; i++) {
		raw_send_piece(wires, WIRE_PIECE_MAX);
		assert_int_equal(wire_receive(&wires->ours, &got), -EAGAIN);
	}
	assert_int_equal(wires->ours.blob_cap, WIRE_BLOB_MAX);
	raw_send_piece(wires, 1);
	assert_int_equal(wire_receive(&wires->ours, &got), -EPROTO);
	assert_int_equal(wires->ours.blob_cap, WIRE_BLOB_MAX);
}

static void a_head_that_counts_wrongly(void **state)
{
	struct raw create = raw_of(WIRE_CREATE), group = raw_of(WIRE_FDS);
	struct wires *wires = *state;

	for (uint32_t blob = 9; blob <= 11; blob++)
		for (uint32_t fds = 1; fds <= 3; fds++) {
			raw_send_piece(wires, 10);
			raw_send(wires, &group, 0, 2);
			create.head.blob_bytes = blob;
			create.head.fd_count = fds;
			raw_send(wires, &create, sizeof(struct wire_create), 0);
			if (blob == 10 && fds == 2)
				expect_message(wires, WIRE_CREATE);
			else
				expect_refusal(wires);
		}
	/* Counted, but nothing came. */
	create.head.blob_bytes = 1;
	create.head.fd_count = 0;
	raw_send(wires, &create, sizeof(struct wire_create), 0);
	expect_refusal(wires);
	create.head.blob_bytes = 0;
	create.head.fd_count = UINT32_MAX;
	raw_send(wires, &create, sizeof(struct wire_create), 0);
	expect_refusal(wires);
}

/* Which messages may have what, as the table in wire.h says. */
static void belongings_of_a_message_that_has_none(void **state)
{
	struct wires *wires = *state;
	struct raw group = raw_of(WIRE_FDS);

	for (uint32_t op = 1; op < 2 * WIRE_REPLY; op++) {
		bool blob = op == WIRE_CREATE || op == WIRE_RESTORE || op == (WIRE_LOAD | WIRE_REPLY) ||
			    op == (WIRE_SAVE | WIRE_REPLY) || op == (WIRE_METRICS | WIRE_REPLY);
		struct raw raw = raw_of(op);

		if (wire_body_bytes(op) < 0 || op == WIRE_BLOB || op == WIRE_FDS)
			continue;
		raw.head.blob_bytes = 5;
		raw_send_piece(wires, 5);
		raw_send(wires, &raw, body_bytes(op), 0);
		if (blob)
			expect_message(wires, op);
		else
			expect_refusal(wires);
		raw.head.blob_bytes = 0;
		raw.head.fd_count = 1;
		raw_send(wires, &group, 0, 1);
		raw_send(wires, &raw, body_bytes(op), 0);
		if (op == WIRE_CREATE || op == WIRE_CONNECTED)
			expect_message(wires, op);
		else
			expect_refusal(wires);
	}
}

static void an_error_with_a_blob(void **state)
{
	struct wires *wires = *state;
	struct raw raw = raw_of(WIRE_SAVE | WIRE_REPLY);

	raw.head.result = -EIO;
	raw_send_piece(wires, 5);
	raw_send(wires, &raw, sizeof(struct wire_text), 0);
	expect_refusal(wires);
	raw.head.blob_bytes = 5;
	raw_send_piece(wires, 5);
	raw_send(wires, &raw, sizeof(struct wire_text), 0);
	expect_refusal(wires);
}

static void an_empty_message_is_the_end(void **state)
{
	struct wires *wires = *state;

	assert_int_equal(send(wires->theirs.fd, "", 0, 0), 0);
	assert_int_equal(wire_receive(&wires->ours, &got), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WIRE_TEST(a_head_that_is_cut),
		WIRE_TEST(another_version),
		WIRE_TEST(ops_that_are_not_known),
		WIRE_TEST(a_body_of_another_length),
		WIRE_TEST(a_message_longer_than_any),
		WIRE_TEST(a_text_without_end),
		WIRE_TEST(results_that_cannot_be),
		WIRE_TEST(descriptors_with_another_message),
		WIRE_TEST(a_fd_bomb_in_one_message),
		WIRE_TEST(a_fd_bomb_in_many_messages),
		WIRE_TEST(groups_of_descriptors_that_are_not_full),
		WIRE_TEST(pieces_that_lie),
		WIRE_TEST(a_blob_beyond_the_limit),
		WIRE_TEST(a_head_that_counts_wrongly),
		WIRE_TEST(belongings_of_a_message_that_has_none),
		WIRE_TEST(an_error_with_a_blob),
		WIRE_TEST(an_empty_message_is_the_end),
	};

	return cmocka_run_group_tests_name("wire_hostile", tests, NULL, NULL);
}
