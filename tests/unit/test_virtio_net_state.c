/* SPDX-License-Identifier: BSD-3-Clause */
/* Network cards on the fake host: saved, loaded, and loaded from what nobody saved. */
#include "tests/unit/net_control.h"
#include "tests/unit/net_stream.h"

#define TAG_ACTIVE   1u
#define TAG_FEATURES 2u
#define TAG_OFFLOADS 3u
#define TAG_PAIRS    4u

#define G_CSUM       BIT(VIRTIO_NET_F_GUEST_CSUM)
#define G_TSO4       BIT(VIRTIO_NET_F_GUEST_TSO4)

static const struct fakehost_pair four_pairs[] = { { "queues", "4" }, { NULL, NULL } };

/* ---- round trips ---- */

static void a_card_that_was_never_driven(void **state)
{
	struct card *card = *state;

	card_open(card, "tap", four_pairs);
	assert_int_equal(fakehost_check_state(card->dev), 0);
}

static void a_card_with_pairs_and_offloads_changed(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", four_pairs, BIT(VIRTIO_NET_F_GUEST_ECN));
	assert_int_equal(set_pairs(card, 8, 3), VIRTIO_NET_OK);
	assert_int_equal(set_offloads(card, 8, G_CSUM | G_TSO4), VIRTIO_NET_OK);
	assert_int_equal(fakehost_check_state(card->dev), 0);
	/* It goes on as it was. */
	assert_done(send_frame(card, TX(2), 1, 100));
	assert_sent(card, 2, 1, 100);
}

static void a_card_with_frames_under_way(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	give(card, RX(0), 300, 0);
	far_put(card, 0, 1, 1000);
	settle(card);
	calls.writev_error = EAGAIN;
	assert_pending(send_frame(card, TX(0), 1, 100));
	assert_int_equal(fakehost_check_state(card->dev), 0);
	calls.writev_error = 0;
	settle(card);
	assert_sent(card, 0, 1, 100);
}

static void a_card_on_a_connection(void **state)
{
	struct card *card = *state;
	int far;

	card_run(card, "passt", NULL, 0);
	far = far_end(card, 0);
	calls.send_most = 10;
	assert_done(send_frame(card, TX(0), 1, 100));
	assert_int_equal(fakehost_check_state(card->dev), 0);
	settle(card);
	assert_stream_got(card, far, 1, 100);
}

static void a_card_that_connects(void **state)
{
	struct card *card = *state;

	card_run(card, "connect:peer.sock", NULL, 0);
	assert_int_equal(fakehost_check_state(card->dev), 0);
}

/* ---- what is loaded ---- */

static void save(struct card *card, struct fakehost_bytes *ret)
{
	assert_int_equal(fakehost_quiesce(card->dev), 0);
	assert_int_equal(fakehost_save(card->dev, ret), 0);
}

static void the_tap_is_told_what_was_saved(void **state)
{
	struct card *card = *state;
	struct fakehost_bytes saved;

	card_run(card, "tap", four_pairs, 0);
	assert_int_equal(set_pairs(card, 8, 2), VIRTIO_NET_OK);
	assert_int_equal(set_offloads(card, 8, G_CSUM), VIRTIO_NET_OK);
	save(card, &saved);
	card_close(card);
	card_open(card, "tap", four_pairs);
	assert_int_equal(calls.detached_count, 3);
	assert_int_equal(calls.offloads, 0);
	assert_int_equal(fakehost_quiesce(card->dev), 0);
	assert_int_equal(fakehost_restore(card->dev, &saved), 0);
	assert_int_equal(calls.detached_count, 2);
	assert_int_equal(calls.offloads, TUN_F_CSUM);
	assert_int_equal(fakehost_resume(card->dev), 0);
	fakehost_bytes_free(&saved);
}

static void a_tap_that_does_not_take_it_fails_the_load(void **state)
{
	static const int requests[] = { (int)TUNSETQUEUE, (int)TUNSETOFFLOAD };
	struct card *card = *state;
	struct fakehost_bytes saved;

	card_run(card, "tap", four_pairs, 0);
	assert_int_equal(set_pairs(card, 8, 2), VIRTIO_NET_OK);
	save(card, &saved);
	card_close(card);
	card_open(card, "tap", four_pairs);
	assert_int_equal(fakehost_quiesce(card->dev), 0);
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		calls.ioctl_error = EPERM;
		calls.error_at = requests[i];
		assert_true(fakehost_restore(card->dev, &saved) < 0);
		assert_int_equal(fakehost_log_count(card->host, "does not take the saved settings"), i + 1);
		calls.ioctl_error = 0;
		assert_int_equal(calls.detached_count, 3);
	}
	assert_int_equal(fakehost_restore(card->dev, &saved), 0);
	assert_int_equal(calls.detached_count, 2);
	assert_int_equal(fakehost_resume(card->dev), 0);
	fakehost_bytes_free(&saved);
}

/* ---- what nobody saved ---- */

struct field {
	uint32_t tag;
	uint64_t value;
};

/* A state with these fields is refused, and the card works after that. */
static void refuse(struct card *card, const struct fakehost_bytes *good, const struct field *fields, size_t count)
{
	struct fakehost_bytes bad = { .data = malloc(good->count), .count = good->count };

	assert_non_null(bad.data);
	memcpy(bad.data, good->data, good->count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(fakehost_bytes_uint(&bad, fields[i].tag, fields[i].value), 0);
	assert_true(fakehost_restore(card->dev, &bad) < 0);
	fakehost_bytes_free(&bad);
	assert_int_equal(calls.detached_count, 3);
	assert_int_equal(calls.offloads, 0);
	assert_int_equal(fakehost_restore(card->dev, good), 0);
}

static void hostile_states_are_refused(void **state)
{
	static const struct field fields[][3] = {
		{ { TAG_ACTIVE, 2 } },
		{ { TAG_ACTIVE, UINT64_MAX } },
		/* No driver, and yet features, pairs or offloads. */
		{ { TAG_ACTIVE, 0 } },
		{ { TAG_ACTIVE, 0 }, { TAG_FEATURES, 0 } },
		{ { TAG_ACTIVE, 0 }, { TAG_FEATURES, 0 }, { TAG_OFFLOADS, 0 } },
		{ { TAG_FEATURES, UINT64_MAX } },
		{ { TAG_FEATURES, BIT(63) } },
		{ { TAG_FEATURES, BIT(VIRTIO_NET_F_MTU) } },
		/* 5.1.3.1 */
		{ { TAG_FEATURES, BIT(VIRTIO_NET_F_MQ) }, { TAG_OFFLOADS, 0 } },
		{ { TAG_FEATURES, G_TSO4 }, { TAG_OFFLOADS, 0 }, { TAG_PAIRS, 1 } },
		{ { TAG_PAIRS, 0 } },
		{ { TAG_PAIRS, 5 } },
		{ { TAG_PAIRS, UINT64_MAX } },
		/* Pairs without MQ. */
		{ { TAG_FEATURES, BIT(VIRTIO_NET_F_MAC) }, { TAG_OFFLOADS, 0 } },
		{ { TAG_OFFLOADS, UINT64_MAX } },
		{ { TAG_OFFLOADS, G_TSO4 } },
		{ { TAG_OFFLOADS, BIT(0) } },
		{ { TAG_OFFLOADS, G_CSUM | BIT(10) } },
	};
	struct card *card = *state;
	struct fakehost_bytes good;

	card_run(card, "tap", four_pairs, 0);
	assert_int_equal(set_pairs(card, 8, 2), VIRTIO_NET_OK);
	save(card, &good);
	for (size_t i = 0; i < COUNT_OF(fields); i++) {
		size_t count = 0;

		while (count < 3 && fields[i][count].tag)
			count++;
		refuse(card, &good, fields[i], count);
	}
	fakehost_bytes_free(&good);
	assert_int_equal(fakehost_resume(card->dev), 0);
}

static void a_field_of_bytes_is_no_number(void **state)
{
	struct card *card = *state;

	card_run(card, "tap", NULL, 0);
	for (uint32_t tag = TAG_ACTIVE; tag <= TAG_PAIRS; tag++) {
		struct fakehost_bytes saved;

		save(card, &saved);
		assert_int_equal(fakehost_bytes_set(&saved, tag, "12345678", 8), 0);
		assert_true(fakehost_restore(card->dev, &saved) < 0);
		fakehost_bytes_free(&saved);
		assert_int_equal(fakehost_resume(card->dev), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		NET_TEST(a_card_that_was_never_driven),
		NET_TEST(a_card_with_pairs_and_offloads_changed),
		NET_TEST(a_card_with_frames_under_way),
		NET_TEST(a_card_on_a_connection),
		NET_TEST(a_card_that_connects),
		NET_TEST(the_tap_is_told_what_was_saved),
		NET_TEST(a_tap_that_does_not_take_it_fails_the_load),
		NET_TEST(hostile_states_are_refused),
		NET_TEST(a_field_of_bytes_is_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
