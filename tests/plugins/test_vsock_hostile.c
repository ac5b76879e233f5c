/* SPDX-License-Identifier: BSD-3-Clause */
/* The vsock plugin and guests that send nonsense: what it answers (5.10.6.4, 5.10.6.5), and that nothing grows. */
#include "tests/plugins/vsock_fixture.h"

#define RESETS_MAX 256u

/* The next packet is a RST, from what the guest has sent its packet to, to where that came from. */
static void gets_reset(struct vsock_test *test, const struct virtio_vsock_hdr *sent)
{
	struct virtio_vsock_hdr header = { 0 };

	assert_true(next_packet(test, &header));
	assert_int_equal(header.op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(header.src_cid, le64toh(sent->dst_cid));
	assert_int_equal(header.src_port, le32toh(sent->dst_port));
	/* Whatever the packet says it comes from: the device sends to its guest only. */
	assert_int_equal(header.dst_cid, CID);
	assert_int_equal(header.dst_port, le32toh(sent->src_port));
	assert_int_equal(header.type, le16toh(sent->type));
	assert_int_equal(header.len, 0);
	assert_int_equal(header.flags, 0);
}

static void is_answered_by_reset(struct vsock_test *test, const struct virtio_vsock_hdr *header)
{
	give(test, 1, 64);
	assert_int_not_equal(fakehost_chain_order(send_raw(test, header, NULL, 0)), 0);
	settle(test);
	gets_reset(test, header);
	gets_nothing(test);
	assert_false(fakehost_is_broken(test->dev));
}

static void packets_of_no_connection_are_answered_by_reset(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_RESPONSE, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RW,
					VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_REQUEST };
	const struct peer nobody = { .guest_port = 5, .host_port = 6, .buf_alloc = 7, .fwd_cnt = 8 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		struct virtio_vsock_hdr header = make_header(&nobody, ops[i], 0, 0);

		is_answered_by_reset(test, &header);
	}
	assert_int_equal(metric(test, "dropped_packets"), COUNT_OF(ops));
}

static void a_reset_is_never_answered(void **state)
{
	const struct peer nobody = { .guest_port = 5, .host_port = 6 };
	struct vsock_test *test = *state;
	struct virtio_vsock_hdr header = make_header(&nobody, VIRTIO_VSOCK_OP_RST, 0, 0);

	vsock_run(test);
	give(test, 4, 64);
	sends(test, &nobody, VIRTIO_VSOCK_OP_RST);
	header.type = htole16(99);
	send_raw(test, &header, NULL, 0);
	header.dst_cid = htole64(99);
	send_raw(test, &header, NULL, 0);
	settle(test);
	gets_nothing(test);
}

static void unknown_operations_are_answered_by_reset(void **state)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_INVALID, 8, 9, 255, 256, UINT16_MAX };
	const struct peer nobody = { .guest_port = 5, .host_port = 6 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(ops); i++) {
		struct virtio_vsock_hdr header = make_header(&nobody, ops[i], 0, 0);
		struct peer peer;
		int fd;

		is_answered_by_reset(test, &header);
		/* Of a connection it is the end. */
		fd = open_to_guest(test, 1, &peer);
		give(test, 1, 64);
		sends(test, &peer, ops[i]);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		hears_end(fd);
		close(fd);
	}
}

/* Only streams are offered: of other types a request is refused (5.10.6.4). */
static void other_types_are_answered_by_reset(void **state)
{
	static const uint16_t types[] = { 0, VIRTIO_VSOCK_TYPE_SEQPACKET, 3, UINT16_MAX };
	const struct peer nobody = { .guest_port = 5, .host_port = 6 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(types); i++) {
		struct virtio_vsock_hdr header = make_header(&nobody, VIRTIO_VSOCK_OP_REQUEST, 0, 0);

		header.type = htole16(types[i]);
		is_answered_by_reset(test, &header);
	}
	assert_int_equal(fakehost_connects(test->dev), 0);
}

/* A connection is not meant by a packet of another type with its ports, nor by one from somewhere else. */
static void a_connection_is_not_ended_by_strangers(void **state)
{
	struct vsock_test *test = *state;
	struct virtio_vsock_hdr header = { 0 };
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	header = make_header(&peer, VIRTIO_VSOCK_OP_SHUTDOWN, 0, 3);
	header.type = htole16(VIRTIO_VSOCK_TYPE_SEQPACKET);
	is_answered_by_reset(test, &header);
	header = make_header(&peer, VIRTIO_VSOCK_OP_SHUTDOWN, 0, 3);
	header.src_cid = htole64(CID + 1);
	is_answered_by_reset(test, &header);
	header.op = htole16(VIRTIO_VSOCK_OP_RST);
	send_raw(test, &header, NULL, 0);
	sends_text(test, &peer, "still here");
	hears(fd, "still here");
	close(fd);
}

/* Neither siblings nor reserved addresses are reached, and the upper half counts. */
static void wrong_addresses_are_answered_by_reset(void **state)
{
	static const uint64_t cids[] = {
		0, 1, CID, 43, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 32 | HOST, UINT64_C(1) << 32 | CID,
	};
	const struct peer nobody = { .guest_port = 5, .host_port = 6 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(cids); i++) {
		struct virtio_vsock_hdr header = make_header(&nobody, VIRTIO_VSOCK_OP_REQUEST, 0, 0);

		header.dst_cid = htole64(cids[i]);
		is_answered_by_reset(test, &header);
		if (cids[i] == CID)
			continue;
		header = make_header(&nobody, VIRTIO_VSOCK_OP_REQUEST, 0, 0);
		header.src_cid = htole64(cids[i]);
		is_answered_by_reset(test, &header);
	}
	assert_int_equal(fakehost_connects(test->dev), 0);
	assert_int_equal(metric(test, "connections_open"), 0);
}

/* ---- lengths ---- */

static void a_chain_without_a_whole_header_is_dropped(void **state)
{
	struct vsock_test *test = *state;
	uint8_t bytes[HEADER] = { 0 };
	struct fakehost_chain *chain;

	vsock_run(test);
	give(test, 2, 64);
	for (size_t i = 1; i < HEADER; i++) {
		const struct fakehost_piece pieces[] = { { bytes, i }, { NULL, 0 } };

		assert_int_equal(fakehost_chain(test->dev, TX, pieces, &chain), 0);
		assert_int_not_equal(fakehost_chain_order(chain), 0);
		assert_int_equal(fakehost_chain_used(chain), 0);
	}
	/* One that has nothing to read at all. */
	assert_int_equal(fakehost_chain(test->dev, TX, (struct fakehost_piece[]){ { NULL, 64 }, { NULL, 0 } }, &chain),
			 0);
	assert_int_not_equal(fakehost_chain_order(chain), 0);
	settle(test);
	gets_nothing(test);
	assert_int_equal(metric(test, "dropped_packets"), HEADER);
}

static void a_length_beyond_the_chain_ends_the_connection(void **state)
{
	static const uint32_t lengths[] = { 6, 4096, UINT32_MAX, UINT32_MAX - 43 };
	struct vsock_test *test = *state;

	vsock_run(test);
	for (size_t i = 0; i < COUNT_OF(lengths); i++) {
		struct virtio_vsock_hdr header = { 0 };
		struct peer peer;
		int fd = open_to_guest(test, 1, &peer);

		header = make_header(&peer, VIRTIO_VSOCK_OP_RW, lengths[i], 0);
		give(test, 1, 64);
		assert_int_not_equal(fakehost_chain_order(send_raw(test, &header, "hello", 5)), 0);
		settle(test);
		gets_of(test, &peer, VIRTIO_VSOCK_OP_RST);
		hears_end(fd);
		close(fd);
	}
}

/* The length counts, not what follows. */
static void bytes_beyond_the_length_are_not_data(void **state)
{
	struct vsock_test *test = *state;
	struct virtio_vsock_hdr header = { 0 };
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	header = make_header(&peer, VIRTIO_VSOCK_OP_RW, 5, 0);
	send_raw(test, &header, "hello, world", 12);
	hears(fd, "hello");
	header = make_header(&peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5, 0);
	send_raw(test, &header, "hello", 5);
	header = make_header(&peer, VIRTIO_VSOCK_OP_RW, 0, 0);
	send_raw(test, &header, "hello", 5);
	settle(test);
	hears_nothing(fd);
	gets_nothing_more(test);
	close(fd);
}

/* ---- buffers that are no use ---- */

static void buffers_without_room_for_a_header_come_back_empty(void **state)
{
	struct vsock_test *test = *state;
	const struct fakehost_piece readable[] = { { "what for?", 9 }, { NULL, 0 } };
	struct fakehost_chain *chains[3];
	int fd;

	vsock_run(test);
	fd = dial(test);
	say(fd, "CONNECT 1\n");
	settle(test);
	assert_int_equal(fakehost_chain(test->dev, RX, (struct fakehost_piece[]){ { NULL, 1 }, { NULL, 0 } },
					&chains[0]),
			 0);
	assert_int_equal(fakehost_chain(test->dev, RX, (struct fakehost_piece[]){ { NULL, 43 }, { NULL, 0 } },
					&chains[1]),
			 0);
	assert_int_equal(fakehost_chain(test->dev, RX, readable, &chains[2]), 0);
	settle(test);
	for (size_t i = 0; i < 3; i++) {
		assert_int_not_equal(fakehost_chain_order(chains[i]), 0);
		assert_int_equal(fakehost_chain_used(chains[i]), 0);
	}
	give(test, 1, 64);
	settle(test);
	gets(test, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
}

/* A header alone has room for all packets but data. */
static void buffers_of_a_header_alone_take_no_data(void **state)
{
	struct vsock_test *test = *state;
	const struct fakehost_piece small[] = { { NULL, HEADER }, { NULL, 0 } };
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fakehost_chain(test->dev, RX, small, &test->rx[test->given]), 0);
		test->given++;
	}
	sends(test, &peer, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	gets_of(test, &peer, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	say(fd, "hello");
	settle(test);
	gets_nothing(test);
	assert_int_equal(fakehost_chains_left(test->dev, RX), 0);
	give(test, 2, 64);
	settle(test);
	gets_text(test, &peer, "hello");
	close(fd);
}

/* ---- nothing grows ---- */

/* The guest floods and gives no buffers for the answers: its packets wait, and then each answer comes once, in order. */
static void answers_are_bounded_and_packets_wait(void **state)
{
	struct vsock_test *test = *state;
	struct fakehost_chain *chains[RESETS_MAX + 100];
	struct virtio_vsock_hdr header = { 0 };

	vsock_run(test);
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		const struct peer nobody = { .guest_port = i, .host_port = 6 };

		header = make_header(&nobody, VIRTIO_VSOCK_OP_RW, 0, 0);
		chains[i] = send_raw(test, &header, NULL, 0);
		assert_int_equal(fakehost_chain_order(chains[i]) != 0, i < RESETS_MAX);
	}
	assert_int_equal(settle(test), 0);
	assert_int_equal(fakehost_chains_left(test->dev, TX), 100);
	for (uint32_t i = 0; i < COUNT_OF(chains); i++) {
		give(test, 1, 64);
		assert_true(next_packet(test, &header));
		assert_int_equal(header.op, VIRTIO_VSOCK_OP_RST);
		assert_int_equal(header.dst_port, i);
	}
	gets_nothing_more(test);
	assert_int_equal(fakehost_chains_left(test->dev, TX), 0);
}

/* Packets that wait are dealt with in order, as if they had come then. */
static void packets_of_connections_wait_as_well(void **state)
{
	struct vsock_test *test = *state;
	const struct peer nobody = { .guest_port = 5, .host_port = 6 };
	struct virtio_vsock_hdr header = make_header(&nobody, VIRTIO_VSOCK_OP_RW, 0, 0);
	struct peer peer;
	int fd;

	vsock_run(test);
	fd = open_to_guest(test, 1, &peer);
	for (uint32_t i = 0; i < RESETS_MAX; i++)
		send_raw(test, &header, NULL, 0);
	header = make_header(&peer, VIRTIO_VSOCK_OP_RW, 1, 0);
	send_raw(test, &header, "a", 1);
	send_raw(test, &header, "b", 1);
	settle(test);
	hears_nothing(fd);
	give(test, 1, 64);
	settle(test);
	hears(fd, "ab");
	close(fd);
}

/* Requests without end, of which the answers are not taken. */
static void requests_are_bounded(void **state)
{
	struct vsock_test *test = *state;
	uint32_t taken = 0;

	vsock_power(test, "100");
	vsock_drive(test);
	for (uint32_t i = 0; fakehost_chains_left(test->dev, TX) < QUEUE_SIZE; i++) {
		const struct peer peer = { .guest_port = i, .host_port = i };
		struct virtio_vsock_hdr header = make_header(&peer, VIRTIO_VSOCK_OP_REQUEST, 0, 0);

		taken += fakehost_chain_order(send_raw(test, &header, NULL, 0)) != 0;
	}
	assert_int_equal(metric(test, "connections_open"), 100);
	assert_int_equal(taken, 100 + RESETS_MAX);
	assert_int_equal(settle(test), 0);
	while (!fakehost_connect_answer(test->dev, -ENOENT))
		;
	assert_int_equal(settle(test), 0);
	vsock_reset(test);
	assert_int_equal(metric(test, "connections_open"), 0);
}

/* ---- the device itself ---- */

static void only_streams_are_offered(void **state)
{
	struct vsock_test *test = *state;
	uint32_t queues;

	vsock_power(test, "1023");
	assert_int_equal(fakehost_virtio_offer(test->dev, &queues), UINT64_C(1) << 0);
	assert_int_equal(queues, 3);
}

static void the_guests_address_is_in_configuration_space(void **state)
{
	struct vsock_test *test = *state;
	struct virtio_vsock_config config;
	uint8_t zeroes[8] = { 0 };

	vsock_run(test);
	assert_int_equal(fakehost_config_read(test->dev, 0, &config, sizeof(config)), 0);
	assert_int_equal(le64toh(config.guest_cid), CID);
	assert_int_equal(fakehost_config_write(test->dev, 0, zeroes, 8), -EACCES);
	assert_int_equal(fakehost_config_read(test->dev, 0, &config, sizeof(config)), 0);
	assert_int_equal(le64toh(config.guest_cid), CID);
	assert_int_equal(fakehost_config_read(test->dev, 8, zeroes, 1), -EINVAL);
}

static void cids_are_checked(void **state)
{
	static const char *const wrong[] = { "0", "1", "2", "4294967295", "18446744073709551615", "x", "-3" };
	struct vsock_test *test = *state;
	struct fakehost_pair values[] = { { "cid", NULL }, { "uds_path", test->path }, { NULL, NULL } };

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		values[0].value = wrong[i];
		assert_int_not_equal(fakehost_create(test->host, fakehost_class(&backplane_plugin, NULL), "v", values,
						     &test->dev),
				     0);
	}
	values[0].value = "4294967294";
	assert_int_equal(fakehost_create(test->host, fakehost_class(&backplane_plugin, NULL), "v", values, &test->dev),
			 0);
}

static void both_parameters_are_needed(void **state)
{
	struct vsock_test *test = *state;
	const struct fakehost_pair no_cid[] = { { "uds_path", test->path }, { NULL, NULL } };
	const struct fakehost_pair no_path[] = { { "cid", "3" }, { NULL, NULL } };
	const struct bp_device_class *class_table = fakehost_class(&backplane_plugin, NULL);

	assert_int_not_equal(fakehost_create(test->host, class_table, "v", no_cid, &test->dev), 0);
	assert_int_not_equal(fakehost_create(test->host, class_table, "v", no_path, &test->dev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VSOCK_TEST(packets_of_no_connection_are_answered_by_reset),
		VSOCK_TEST(a_reset_is_never_answered),
		VSOCK_TEST(unknown_operations_are_answered_by_reset),
		VSOCK_TEST(other_types_are_answered_by_reset),
		VSOCK_TEST(a_connection_is_not_ended_by_strangers),
		VSOCK_TEST(wrong_addresses_are_answered_by_reset),
		VSOCK_TEST(a_chain_without_a_whole_header_is_dropped),
		VSOCK_TEST(a_length_beyond_the_chain_ends_the_connection),
		VSOCK_TEST(bytes_beyond_the_length_are_not_data),
		VSOCK_TEST(buffers_without_room_for_a_header_come_back_empty),
		VSOCK_TEST(buffers_of_a_header_alone_take_no_data),
		VSOCK_TEST(answers_are_bounded_and_packets_wait),
		VSOCK_TEST(packets_of_connections_wait_as_well),
		VSOCK_TEST(requests_are_bounded),
		VSOCK_TEST(only_streams_are_offered),
		VSOCK_TEST(the_guests_address_is_in_configuration_space),
		VSOCK_TEST(cids_are_checked),
		VSOCK_TEST(both_parameters_are_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
